"""Where results go: standard output, a file or a command, for good or for one statement."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import IO, Callable, TextIO

from .errors import CommandError
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
        """Write a text."""
        if self._file is None:
            self.stdout.write(text)
            return
        try:
            self._file.write(text)
        except OSError as error:
            name = self.name
            self.restore()
            raise CommandError(f'Error: cannot write to "{name}": {error.strerror}') from error

    def cleaner(self) -> Callable[[str], str]:
        """Return what makes a text of a database fit for where it goes now.

        A terminal must not act upon it; elsewhere it goes as it is.
        """
        return visible if self.is_terminal else str

    def flush(self) -> None:
        """Let what was written appear."""
        self.stream.flush()

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
        """Note that a statement or a command has ended."""
        if self._once:
            self.restore()

    def restore(self) -> None:
        """Write to standard output again; a command is waited for."""
        file, self._file = self._file, None
        process, self._process = self._process, None
        self.name = "stdout"
        self._once = False
        if file is not None:
            with suppress(OSError):
                file.close()
        if process is not None:
            process.wait()
