"""Making the file of a new database, under another name than it will have."""

import os
from typing import Any, Optional

from . import files
from .connecting import connected
from .endings import run


async def empty(path: str, options: "dict[str, Any]", script: Optional[str]) -> None:
    """Make a database with the settings of its pool, and what a script makes in it.

    Closing its only connection leaves one complete file.
    """
    async with connected(path, options) as db:
        if script is not None:
            await db.executescript(script)


async def copy(source: str, path: str, options: "dict[str, Any]") -> None:
    """Make a database that is another one as of one moment, without what is free in it."""
    async with connected(source, options) as db:
        await db.execute_fetchall("VACUUM INTO ?", (path,))
    await empty(path, options, None)  # Its journal mode is not copied.


async def share_blocks(source: str, path: str, options: "dict[str, Any]") -> bool:
    """Make the same, a file that shares its blocks with the other one; tell whether that was done.

    A read transaction is open meanwhile. With a rollback journal nobody writes to the file then. With a
    write-ahead log nobody begins the log anew, so that all that is not in the file is in the log,
    which is taken after it.
    """
    async with connected(source, options) as db:
        db.row_factory = None
        ((mode,),) = await db.execute_fetchall("PRAGMA journal_mode")
        await db.execute_fetchall("BEGIN")
        await db.execute_fetchall("SELECT count(*) FROM sqlite_master")
        done: bool = await run(files.reflink, source, path)
        if done and mode == "wal" and os.path.lexists(source + "-wal"):
            done = await run(files.reflink, source + "-wal", path + "-wal")
        await db.execute_fetchall("ROLLBACK")
    if done:
        await empty(path, options, None)  # Takes what is in the log.
        return True
    await run(files.remove, path)
    return False
