"""What the tests of group commit share: a file, and writes that wait for it together."""

import asyncio
import inspect
import sqlite3
import threading
from contextlib import closing

import csqlite


def new_file(path, journal):
    """Make a database with a table t; return its path."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {journal}")
        db.execute("CREATE TABLE t(a)")
    return str(path)


def rows(path, sql="SELECT a FROM t ORDER BY a"):
    """Return what another connection finds in the file."""
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return [row[0] for row in db.execute(sql)]


def opened(test):
    """Give a test the file at `path`, opened."""
    wanted = list(inspect.signature(test).parameters.values())

    async def run(path, **others):
        async with csqlite.connect(path, isolation_level=None, group_commit=True) as db:
            if any(each.name == "path" for each in wanted):
                others["path"] = path
            await test(db=db, **others)

    rest = [each for each in wanted if each.name not in ("db", "path")]
    run.__signature__ = inspect.Signature(
        [inspect.Parameter("path", inspect.Parameter.KEYWORD_ONLY)]
        + [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in rest]
    )
    run.__name__ = test.__name__
    return run


async def insert(db, value):
    return await db.execute("INSERT INTO t VALUES (?)", (value,))


async def held(db, made):
    """Let what `made()` begins wait for the worker together; return what comes of it."""
    held = threading.Event()
    holder = asyncio.ensure_future(db._execute(held.wait))
    tasks = [asyncio.ensure_future(one) for one in made()]
    while not all(task.done() for task in tasks) and not held.is_set():
        await asyncio.sleep(0)
        held.set()
    await holder
    return await asyncio.gather(*tasks, return_exceptions=True)
