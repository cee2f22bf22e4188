"""The shell as a program: what the command line asks for, step by step."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from .. import _csqlite
from ..__version__ import __version__
from .arguments import Arguments, parse
from .command_files import open_script
from .commands import COMMANDS
from .errors import CommandError, Interrupted, Quit
from .lines import FileLines, PromptedLines
from .script import Script
from .session import Session
from .vocabulary import Vocabulary

INTERRUPTED = 130
BROKEN_PIPE = 141

HINT = (
    'Without {} the shell is plain; pip install "csqlite[shell]" brings completion and colours.\n'
)


class Application:
    """One run of the shell."""

    def __init__(self, arguments: Arguments, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.arguments = arguments
        self.stdin = stdin
        self.stdout = stdout
        self.editing = stdin.isatty() and stdout.isatty() and os.environ.get("TERM") != "dumb"
        interactive = arguments.interactive
        if arguments.sql:
            interactive = False
        elif interactive is None:
            interactive = stdin.isatty()
        self.session = Session(
            stdout,
            stderr,
            interactive=interactive,
            plain=arguments.plain or not self.editing,
        )
        self.vocabulary = Vocabulary(list(COMMANDS.all))

    async def run(self) -> int:
        """Do everything and return the exit status."""
        session = self.session
        session.interrupts.install()
        try:
            self._configure()
            await session.open(self.arguments.file or ":memory:", self.arguments.readonly)
            await self._work()
        except CommandError as error:
            session.fail(str(error))
        except Interrupted:
            return INTERRUPTED
        except Quit as quit:
            if quit.status is not None:
                return quit.status
        finally:
            session.end_output(session.output.restore)
            await session.close()
            session.interrupts.remove()
        return 1 if session.errors and not session.interactive else 0

    def _configure(self) -> None:
        """Apply the options."""
        arguments, settings = self.arguments, self.session.settings
        # People get a table to look at, programs what SQLite's own shell would give them.
        settings.set_mode(arguments.mode or ("box" if self.session.interactive else "list"))
        settings.headers = arguments.headers
        settings.bail = arguments.bail
        settings.echo = arguments.echo
        if arguments.separator is not None:
            settings.column_separator = arguments.separator
        if arguments.newline is not None:
            settings.row_separator = arguments.newline
        if arguments.nullvalue is not None:
            settings.nullvalue = arguments.nullvalue

    async def _work(self) -> None:
        """Read the initial file, run what the command line says, then what is read."""
        session, arguments = self.session, self.arguments
        await self._initialize()
        for text in arguments.commands:
            await self._run_text(text)
        if arguments.sql:
            for text in arguments.sql:
                if not await self._run_text(text):
                    raise Quit(1)
        elif session.interactive:
            await self._converse()
        else:
            await Script(session).run(FileLines(self.stdin, session.interrupts))

    async def _initialize(self) -> None:
        """Read what the user wants to hold always, or the file that is named instead."""
        name = self.arguments.init
        if name is None:
            # A script must not depend on who runs it.
            path = Path(os.path.expanduser("~/.csqliterc"))
            if not self.session.interactive or not path.is_file():
                return
            name = str(path)
        with open_script(name) as file:
            await Script(self.session, name).run(FileLines(file, self.session.interrupts))

    async def _run_text(self, text: str) -> bool:
        """Run an argument. False: something failed."""
        before = self.session.errors
        script = Script(self.session, located=False)
        for line in text.split("\n"):
            await script.feed(line)
            if self.session.errors != before:
                return False
        await script.finish()
        return self.session.errors == before

    async def _converse(self) -> None:
        """Prompt for lines until there are no more."""
        lines = self._prompter()
        self.session.output.write(
            f"csqlite {__version__}, SQLite {_csqlite.sqlite_version}\n"
            f"{self._connected()}\n"
            'Enter ".help" for usage hints.\n'
        )
        missing = [name for name in ("prompt_toolkit", "rich") if find_spec(name) is None]
        if missing and self.editing and not self.arguments.plain:
            self.session.output.write(HINT.format(" and ".join(missing)))
        try:
            await Script(self.session, located=False).run(lines)
        finally:
            lines.close()

    def _connected(self) -> str:
        file = self.session.file
        if file in ("", ":memory:"):
            return "Connected to a transient in-memory database."
        return f"Connected to {file}."

    def _prompter(self) -> Refreshing:
        """Return what asks for lines: with prompt_toolkit where that can be."""
        lines: Any = None
        if self.editing and not self.arguments.plain:
            with suppress(ImportError):
                from .prompting import EditedLines

                lines = EditedLines(self.vocabulary)
        if lines is None:
            lines = PromptedLines(self.stdin, self.stdout, self.session.interrupts, self.vocabulary)
        return Refreshing(lines, self.session, self.vocabulary)


class Refreshing:
    """Lines before each of which the names of the schema are looked at. See lines.Lines."""

    def __init__(self, lines: Any, session: Session, vocabulary: Vocabulary) -> None:
        self._lines = lines
        self._session = session
        self._vocabulary = vocabulary

    async def read(self, prompt: str, continuation: str, begun: bool) -> str | None:
        """See Lines."""
        await self._vocabulary.refresh(self._session.db)
        line: str | None = await self._lines.read(prompt, continuation, begun)
        return line

    def close(self) -> None:
        """Keep the history."""
        self._lines.close()


def open_closed_streams() -> None:
    """Open standard streams that the caller has closed, on nothing.

    A database that took one's descriptor would be read and written by what `.shell` runs.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def run_process(argv: Sequence[str] | None = None) -> int:
    """Run the shell on the standard streams of this process; see csqlite.shell.main()."""
    open_closed_streams()
    arguments = parse(argv)
    for stream in (sys.stdin, sys.stdout):
        # Bytes that are no UTF-8 come out as they went in. A script may begin with a byte order mark.
        encoding = "utf-8" if stream is sys.stdout or stream.isatty() else "utf-8-sig"
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=encoding, errors="surrogateescape")
    try:
        status = asyncio.run(Application(arguments, sys.stdin, sys.stdout, sys.stderr).run())
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on. What is still buffered must not raise at the end of the process.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return BROKEN_PIPE
    except OSError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return status
