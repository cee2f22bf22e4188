"""What tests of writers share: connections that close with a stack, and waiting until somebody waits."""

import asyncio
import sqlite3

import csqlite

LONG = 10 * 60  # Nobody waits so long: who does not end the wait, hangs.


async def opened(stack, path, count=1, *, timeout=LONG, isolation_level=None, **options):
    """Open so many connections, which close with the stack."""
    return [
        await stack.enter_async_context(
            csqlite.connect(path, timeout=timeout, isolation_level=isolation_level, **options)
        )
        for _ in range(count)
    ]


def made(path, mode):
    """Make a database with a table in it, and return its path."""
    db = sqlite3.connect(path)
    db.execute(f"pragma journal_mode={mode}")
    db.execute("create table t(a)")
    db.commit()
    db.close()
    return str(path)


def values(path):
    db = sqlite3.connect(path)
    try:
        return sorted(value for (value,) in db.execute("select a from t"))
    finally:
        db.close()


def states(path):
    """Return who has a lock on the file and who waits: the states alone."""
    return [lock.state for lock in csqlite.locks(path)]


async def waiting(path, count):
    """Let the loop run until so many wait for their turn."""
    while states(path).count("waits") != count:
        await asyncio.sleep(0)
