"""Connection.backup(): the steps of SQLite's online backup, driven from the event loop.

Between two csqlite connections the extension copies pages from handle to handle. A
sqlite3.Connection may belong to another copy of SQLite, whose handle csqlite must not
touch: it gets the database through a file that csqlite has written and closed, by its own
backup().
"""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Callable, Optional

from . import _csqlite, core

if TYPE_CHECKING:
    from .core import Connection

Progress = Optional[Callable[[int, int, int], object]]


async def run(
    source: "Connection",
    target: Any,
    pages: int,
    progress: Progress,
    name: str,
    sleep: float,
) -> None:
    """Copy `source` into `target`; see Connection.backup()."""
    if source._foreign is not None:
        await _run_foreign(source, target, pages, progress, name, sleep)
        return
    _ = source._conn  # Raises ValueError when it is not open.
    if progress is not None and not callable(progress):
        raise TypeError("progress argument must be a callable")
    if target is source:
        raise ValueError("target cannot be the same connection instance")
    if isinstance(target, core.Connection) and target._foreign is not None:
        target = target._foreign
    if isinstance(target, core.Connection):
        await _copy(source, target, pages, progress, name, sleep)
    elif isinstance(target, sqlite3.Connection):
        await _copy_to_stdlib(source, target, pages, progress, name, sleep)
    else:
        raise TypeError(
            f"backup() argument 1 must be sqlite3.Connection, not {type(target).__name__}"
        )


async def _run_foreign(
    source: "Connection",
    target: Any,
    pages: int,
    progress: Progress,
    name: str,
    sleep: float,
) -> None:
    """Let a foreign connection back itself up, on its worker."""
    if isinstance(target, core.Connection) and target._foreign is None:
        async with _temporary_path() as path:
            await source._execute(_copy_to_file, source._conn, path, name)
            async with core.connect(path) as file:
                await _copy(file, target, pages, progress, "main", sleep)
        return
    if isinstance(target, core.Connection):
        target = target._foreign
    await source._execute(
        source._conn.backup, target, pages=pages, progress=progress, name=name, sleep=sleep
    )


@asynccontextmanager
async def _temporary_path() -> AsyncIterator[str]:
    """Give the path of an empty file that is gone afterwards, with all that SQLite put beside it."""
    descriptor, path = tempfile.mkstemp(suffix=".sqlite3", prefix="csqlite-backup-")
    os.close(descriptor)
    try:
        yield path
    finally:
        for leftover in (path, path + "-wal", path + "-shm", path + "-journal"):
            if os.path.exists(leftover):
                os.unlink(leftover)


async def _copy(
    source: "Connection",
    target: "Connection",
    pages: int,
    progress: Progress,
    name: str,
    sleep: float,
) -> None:
    """Copy step by step; both connections are free between two steps."""
    copy = source._backup(target, name)
    try:
        while True:
            status, remaining, total = await copy.step(pages if pages > 0 else -1)
            if progress is not None:
                await source._execute(progress, status, remaining, total)
            if status == _csqlite.SQLITE_DONE:
                break
            await asyncio.sleep(sleep)
    finally:
        # Whoever hears of the end may look into the target at once. A connection that is
        # closed by now has ended the backup itself.
        with suppress(ValueError):
            while (await copy.step(0))[0] == _csqlite.SQLITE_BUSY:
                await asyncio.sleep(0.001)


async def _copy_to_stdlib(
    source: "Connection",
    target: sqlite3.Connection,
    pages: int,
    progress: Progress,
    name: str,
    sleep: float,
) -> None:
    """Copy through a temporary file, which the sqlite3 module then copies from."""
    async with _temporary_path() as path:
        async with core.connect(path) as file:
            # Nobody reads the file before it is whole, and nobody keeps it.
            await file.execute("PRAGMA synchronous = OFF")
            await _copy(source, file, -1, None, name, 0)
        await source._execute(_copy_file, path, target, pages, progress, sleep)


def _copy_to_file(connection: Any, path: str, name: str) -> None:
    """On the worker: copy a foreign connection's database into a file."""
    file = sqlite3.connect(path)
    try:
        connection.backup(file, name=name)
    finally:
        file.close()


def _copy_file(
    path: str, target: sqlite3.Connection, pages: int, progress: Progress, sleep: float
) -> None:
    """On the worker: copy a database file into a connection of the sqlite3 module."""
    file = sqlite3.connect(path)
    try:
        file.backup(target, pages=pages, progress=progress, sleep=sleep)
    finally:
        file.close()
