"""Where lines come from when nobody edits them, or only as input() lets them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from .interrupts import Interrupts
    from .vocabulary import Vocabulary


class Lines(Protocol):
    """What gives lines."""

    async def read(self, prompt: str, continuation: str, begun: bool) -> str | None:
        """Return one line or several, without the last newline; None at the end.

        prompt: what to ask with; continuation: what to ask with for further lines of a statement.
        begun: a statement has begun in an earlier line. Raises KeyboardInterrupt when Ctrl-C was
        pressed meanwhile.
        """


class FileLines:
    """The lines of a file, or of standard input that is no terminal."""

    def __init__(self, file: TextIO, interrupts: Interrupts) -> None:
        self._file = file
        self._interrupts = interrupts

    async def read(self, prompt: str, continuation: str, begun: bool) -> str | None:
        """See Lines."""
        with self._interrupts.reading():
            line = self._file.readline()
        if not line:
            return None
        return line[:-1] if line.endswith("\n") else line


class PromptedLines:
    """Lines that input() asks for; readline, where Python has it, edits them."""

    def __init__(
        self, stdin: TextIO, stdout: TextIO, interrupts: Interrupts, vocabulary: Vocabulary
    ) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._interrupts = interrupts
        self._vocabulary = vocabulary
        self._edited = stdin is sys.stdin and stdout is sys.stdout and stdin.isatty()
        if self._edited:
            self._begin_editing()

    async def read(self, prompt: str, continuation: str, begun: bool) -> str | None:
        """See Lines."""
        prompt = continuation if begun else prompt
        with self._interrupts.reading():
            if self._edited:
                try:
                    return input(prompt)
                except EOFError:
                    return None
            self._stdout.write(prompt)
            self._stdout.flush()
            line = self._stdin.readline()
        if not line:
            return None
        return line[:-1] if line.endswith("\n") else line

    def close(self) -> None:
        """Keep the history."""
        path = history_path()
        if self._edited and path is not None:
            with suppress(ImportError, OSError):
                import readline

                readline.set_history_length(2000)
                readline.write_history_file(str(path))

    def _begin_editing(self) -> None:
        try:
            import readline
        except ImportError:
            return
        path = history_path()
        if path is not None:
            with suppress(OSError):
                readline.read_history_file(str(path))
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t\n\"'`;,()=<>+-*/|&")
        # libedit, which stands for readline on macOS, has commands of its own.
        if "libedit" in (readline.__doc__ or ""):
            readline.parse_and_bind("bind ^I rl_complete")
        else:
            readline.parse_and_bind("tab: complete")

    def _complete(self, word: str, state: int) -> str | None:
        import readline

        text = readline.get_line_buffer()
        found = self._vocabulary.complete(text[: readline.get_endidx()], text)[1]
        return found[state] if state < len(found) else None


def history_path() -> Path | None:
    """Return where the history is kept; None: nowhere."""
    chosen = os.environ.get("CSQLITE_HISTORY")
    if chosen is not None:
        return Path(chosen) if chosen else None
    with suppress(RuntimeError):
        return Path.home() / ".csqlite_history"
    return None
