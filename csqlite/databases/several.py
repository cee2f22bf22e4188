"""A transaction over several databases: one connection that has all of them attached.

Its main database is an empty file that nobody else knows, so that all that were asked for are
attached, each under its own name. It is a file, and not in memory: SQLite names the
super-journal after it, without which several databases do not commit as one.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import Any

from .. import pragmas
from ..core import Connection
from . import files
from .connecting import connected
from .locks import Locks
from .registry import SCRATCH

# What a scratch file is locked by, in the file of the registry's locks: beyond the numbers of databases.
_FIRST = 1 << 40

# Journal modes in which a commit over several databases is one.
_ATOMIC = ("delete", "truncate", "persist")

# What ATTACH does not take over from the main database.
_TAKEN_OVER = ("synchronous", "cache_size", "mmap_size", "journal_size_limit")


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


async def _attach(db: Connection, name: str, path: str, settings: "dict[str, Any]") -> None:
    await db.execute_fetchall(f"ATTACH ? AS {quoted(name)}", (path,))
    for pragma, value in settings.items():
        if value is not None:
            await db.execute_fetchall(f"PRAGMA {quoted(name)}.{pragma} = {value}")


async def _value(db: Connection, pragma: str) -> Any:
    rows = await db.execute_fetchall(f"PRAGMA {pragma}")
    return rows[0][0] if rows else None


async def is_atomic(db: Connection, name: str) -> bool:
    """Tell whether a database takes part in a commit that is one for all of them."""
    mode = await _value(db, f"{quoted(name)}.journal_mode")
    return mode in _ATOMIC and await _value(db, f"{quoted(name)}.synchronous") != 0


@contextlib.contextmanager
def _scratch_file(folder: str, locks: Locks) -> "Iterator[str]":
    """Give the path of a file that is nobody else's; it is removed behind it.

    A super-journal of that name may be left by a crash, and stays: others are rolled back by it.
    """
    number = _FIRST + secrets.randbelow(_FIRST)
    locks.take(number, exclusive=True)
    path = os.path.join(folder, f"{SCRATCH}{number}.db")
    try:
        yield path
    finally:
        files.remove_if_there(path)
        locks.release(number)


def remove_left(folder: str, locks: Locks) -> None:
    """Remove the scratch files of those who are gone."""
    for file in os.listdir(folder):
        number = file[len(SCRATCH) : -len(".db")]
        if file != f"{SCRATCH}{number}.db" or not number.isdecimal():
            continue
        if locks.take(int(number), exclusive=True):
            files.remove_if_there(os.path.join(folder, file))
            locks.release(int(number))


@contextlib.asynccontextmanager
async def several(
    paths: "dict[str, str]", options: "dict[str, Any]", mode: str, atomic: bool, locks: Locks
) -> "AsyncIterator[Any]":
    """Give a Transaction of a connection to so many databases, by their names, in this order."""
    folder = os.path.dirname(next(iter(paths.values())))
    async with contextlib.AsyncExitStack() as stack:
        scratch = stack.enter_context(_scratch_file(folder, locks))
        settings = dict(pragmas.settings(options.get("pragmas")))
        settings.pop("journal_mode", None)  # A super-journal is made for a rollback journal only.
        connecting = connected(scratch, {**options, "pragmas": settings})
        db = await stack.enter_async_context(connecting)
        await _prepare(db, paths, atomic)
        yield await stack.enter_async_context(db.transaction(mode))


async def _prepare(db: Connection, paths: "dict[str, str]", atomic: bool) -> None:
    """Attach databases to a connection, with its own settings. Raises NotSupportedError."""
    factory = db.row_factory
    db.row_factory = None
    settings = {name: await _value(db, name) for name in _TAKEN_OVER}
    for name, path in paths.items():
        await _attach(db, name, path, settings)
    loose = [name for name in paths if not await is_atomic(db, name)]
    if atomic and loose and len(paths) > 1:
        raise sqlite3.NotSupportedError(
            "atomic=True needs a rollback journal, and synchronous other than OFF: of "
            f"{', '.join(map(repr, loose))} what is committed is committed for each by itself"
        )
    db.row_factory = factory
