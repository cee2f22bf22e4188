"""Where results go: standard output, a file or a command, for good or for one statement."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Callable, TextIO

from .errors import CommandError, ReaderGone
from .values import visible


class Output:
    """What results are written to. stdout: where they go unless something else is asked for."""

    def __init__(self, stdout: TextIO) -> None:
        self.stdout = stdout
        self.name = "stdout"
        self._file: IO[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._once = False

    @property
    def stream(self) -> IO[str]:
        """The file that is written to."""
        return self.stdout if self._file is None else self._file

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it."""
        return self._file is None and self.stdout.isatty()

    def write(self, text: str) -> None:
        """Write a text; CommandError where a file takes no more."""
        if self._file is None:
            self.stdout.write(text)
            return
        with self._failing():
            self._file.write(text)

    def cleaner(self) -> Callable[[str], str]:
        """Return what makes a text of a database fit for where it goes now.

        A terminal must not act upon it; elsewhere it goes as it is.
        """
        return visible if self.is_terminal else str

    def flush(self) -> None:
        """Let what was written appear; CommandError where a file takes no more."""
        if self._file is None:
            self.stdout.flush()
            return
        with self._failing():
            self._file.flush()

    def redirect(self, target: str, once: bool = False) -> None:
        """Write to a file, or to the standard input of a command behind a `|`, from now on."""
        self.restore()
        if target == "stdout":
            return
        try:
            if target.startswith("|"):
                self._process = subprocess.Popen(
                    target[1:],
                    shell=True,
                    stdin=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    errors="surrogateescape",
                )
                self._file = self._process.stdin
            else:
                path = "/dev/null" if target == "off" else target
                self._file = open(  # noqa: SIM115
                    path, "w", encoding="utf-8", errors="surrogateescape", newline=""
                )
        except OSError as error:
            raise CommandError(f'Error: cannot open "{target}"') from error
        self.name = target
        self._once = once

    def done(self) -> None:
        """Note that a statement or a command has ended. CommandError as restore()."""
        if self._once:
            self.restore()

    def restore(self) -> None:
        """Write to standard output again; a command is waited for.

        CommandError where what was still to be written cannot be.
        """
        file, self._file = self._file, None
        process, self._process = self._process, None
        name, self.name = self.name, "stdout"
        self._once = False
        try:
            if file is not None:
                file.close()
        except BrokenPipeError:
            pass  # It has read what it wanted.
        except OSError as error:
            raise failure(name, error) from error
        finally:
            if process is not None:
                process.wait()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn away from a file that cannot be written."""
        try:
            yield
        except OSError as error:
            name = self.name
            with suppress(CommandError):
                self.restore()
            if isinstance(error, BrokenPipeError):
                raise ReaderGone from None
            raise failure(name, error) from error


def failure(name: str, error: OSError) -> CommandError:
    """Return what to say of a file that cannot be written."""
    return CommandError(f'Error: cannot write to "{name}": {error.strerror}')
