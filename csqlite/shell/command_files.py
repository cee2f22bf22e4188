"""Dot-commands that read and write files: databases, scripts, results, extensions."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TextIO

from .. import _csqlite
from ..backup import same_file
from ..core import Connection
from .command import COMMANDS, Command, options
from .errors import CommandError, UsageError
from .lines import FileLines
from .script import Script
from .session import Session, open_database

# How many scripts may read one another, as in SQLite's own shell.
DEEPEST = 25

# Between two steps of so many pages a backup can be stopped.
PAGES = 1000


async def backup(session: Session, arguments: list[str]) -> None:
    """Write a database to a file, which it replaces."""
    _, rest = options(arguments, [])
    if not 1 <= len(rest) <= 2:
        raise UsageError
    name = rest[0] if len(rest) == 2 else "main"
    target = await open_database(rest[-1], patience=session.patience)
    try:
        await refuse_itself(await session.db.db_filename(name), target, rest[-1])
        async with waiting_briefly(session):
            await session.db.backup(target, pages=PAGES, progress=refuse_locked, name=name, sleep=0)
    finally:
        await target.close()


async def restore(session: Session, arguments: list[str]) -> None:
    """Read a database from a file: its content replaces that of the open one."""
    if len(arguments) == 2 and arguments[0] != "main":
        raise CommandError('Error: only "main" can be restored')
    if not os.path.exists(arguments[-1]):
        raise CommandError(f'Error: cannot open "{arguments[-1]}"')
    source = await open_database(arguments[-1], readonly=True, patience=session.patience)
    try:
        await refuse_itself(await session.db.db_filename(), source, arguments[-1])
        async with waiting_briefly(session):
            await source.backup(session.db, pages=PAGES, progress=refuse_locked, sleep=0)
    finally:
        await source.close()


@asynccontextmanager
async def waiting_briefly(session: Session) -> AsyncIterator[None]:
    """Let the session's connection wait no longer for a lock than the other one does."""
    ((before,),) = await session.db.execute_fetchall("PRAGMA busy_timeout")
    milliseconds = int(session.patience * 1000)
    await session.db.execute_fetchall(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        yield
    finally:
        await session.db.execute_fetchall(f"PRAGMA busy_timeout = {before}")


async def refuse_itself(file: str, other: Connection, name: str) -> None:
    """CommandError where another connection has the session's own file: each would wait for the other."""
    if same_file(file, await other.db_filename()):
        raise CommandError(f'Error: "{name}" is the file of the open database itself')


def refuse_locked(status: int, remaining: int, total: int) -> None:
    """End a backup at a step for which the lock has been waited for in vain."""
    if status in (_csqlite.SQLITE_BUSY, _csqlite.SQLITE_LOCKED):
        raise CommandError("Error: database is locked")


async def open_file(session: Session, arguments: list[str]) -> None:
    """Close the database and open another."""
    given, rest = options(arguments, ["new", "readonly"])
    if len(rest) > 1:
        raise UsageError
    file = rest[0] if rest else ":memory:"
    if "new" in given and rest:
        await session.open(":memory:")
        for leftover in (file, file + "-journal", file + "-wal", file + "-shm"):
            with suppress(FileNotFoundError):
                os.unlink(leftover)
    await session.open(file, "readonly" in given)


def open_script(name: str) -> TextIO:
    """Open a file, or what a command behind a `|` prints, for reading; CommandError.

    A byte order mark at its beginning is no part of the text.
    """
    try:
        if name.startswith("|"):
            done = subprocess.run(name[1:], shell=True, stdout=subprocess.PIPE, check=False)
            import io

            return io.TextIOWrapper(io.BytesIO(done.stdout), "utf-8-sig", "surrogateescape")
        if os.path.isdir(name):
            raise CommandError(f'Error: cannot open "{name}"')
        return open(name, encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise CommandError(f'Error: cannot open "{name}"') from error


def target(arguments: list[str]) -> str:
    """Return the one word there is, or all words of a command behind a `|`; UsageError."""
    if len(arguments) > 1 and not arguments[0].startswith("|"):
        raise UsageError
    return " ".join(arguments)


async def read(session: Session, arguments: list[str]) -> None:
    """Run what a file or a command says."""
    name = target(arguments)
    if session.depth >= DEEPEST:
        raise CommandError(f"Error: scripts read one another more than {DEEPEST} times")
    session.depth += 1
    try:
        with open_script(name) as file:
            await Script(session, name).run(FileLines(file, session.interrupts))
    finally:
        session.depth -= 1


async def output(session: Session, arguments: list[str]) -> None:
    """Send results to a file or a command from now on."""
    session.output.redirect(target(arguments) or "stdout")


async def once(session: Session, arguments: list[str]) -> None:
    """Send the results of the next statement or command to a file or a command."""
    session.output.redirect(target(arguments), once=True)


async def load(session: Session, arguments: list[str]) -> None:
    """Load an extension. SQL alone cannot: load_extension() stays off."""
    path, *entrypoint = arguments
    await session.db.enable_load_extension(True)
    try:
        await session.db.load_extension(path, entrypoint=entrypoint[0] if entrypoint else None)
    finally:
        await session.db.enable_load_extension(False)


async def change_directory(session: Session, arguments: list[str]) -> None:
    """Change the working directory."""
    os.chdir(arguments[0])


async def system(session: Session, arguments: list[str]) -> None:
    """Run a command of the operating system's shell."""
    session.output.flush()
    # What has no blanks is for the shell to understand: `>` and `|` are its own.
    command = " ".join(f'"{word}"' if " " in word else word for word in arguments)
    done = subprocess.run(command, shell=True, check=False)
    if done.returncode:
        session.tell(f"System command returns {done.returncode}\n")


OPEN_DETAILS = """\
   --new                   Remove FILE first, if it is there
   --readonly              Open FILE read-only"""

COMMANDS.add(
    Command("backup", backup, 'Backup DB (default "main") to FILE', "?DB? FILE", 1, 2),
    Command("cd", change_directory, "Change the working directory", "DIRECTORY", 1, 1),
    Command("load", load, "Load an extension library", "FILE ?ENTRY?", 1, 2),
    Command(
        "once", once, "Output for the next command only to FILE", "FILE", 1, None, guarded=False
    ),
    Command(
        "open",
        open_file,
        "Close the database and open FILE",
        "?OPTIONS? ?FILE?",
        0,
        3,
        OPEN_DETAILS,
    ),
    Command(
        "output", output, "Send output to FILE, or to stdout", "?FILE?", 0, None, guarded=False
    ),
    Command("read", read, "Read input from FILE or |command", "FILE", 1, None, guarded=False),
    Command("restore", restore, 'Restore "main" from FILE', "?main? FILE", 1, 2),
    Command("save", backup, "Write the database to FILE, as .backup does", "?DB? FILE", 1, 2),
    Command(
        "shell", system, "Run CMD ARGS... in a system shell", "CMD ARGS...", 1, None, guarded=False
    ),
    Command(
        "system", system, "Run CMD ARGS... in a system shell", "CMD ARGS...", 1, None, guarded=False
    ),
)
