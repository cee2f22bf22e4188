"""What ends a command or the shell."""

from __future__ import annotations


class CommandError(Exception):
    """A dot-command failed; the text says why, as it is to be printed."""


class UsageError(CommandError):
    """A dot-command was given arguments that make no sense."""


class ReaderGone(CommandError):
    """The command that results were sent to wants no more of them, which is no mistake."""


class Interrupted(Exception):
    """Ctrl-C has stopped what was running."""


class Quit(Exception):
    """The shell is to end. status: its exit status; None: what has happened so far decides."""

    def __init__(self, status: int | None = None) -> None:
        super().__init__(status)
        self.status = status
