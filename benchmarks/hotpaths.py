"""Run the six hot paths for benchmarks/instructions.py, which runs this under valgrind.

It is a program of its own, and imports little, because each import takes valgrind long.

``os.getppid()`` is the mark between what is counted and what is not: callgrind writes a part of
its profile whenever the C function of that name is called, and nothing else here calls it. Each
window of each path lies between two marks, so the second, the fourth, ... part is a window.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable
from typing import Any, Callable

import csqlite

mark = os.getppid

SELECTS = 50
SELECT_WINDOWS = 16
ROWS = 3_000
ROW_WINDOWS = 6

COLUMNS = "id INTEGER PRIMARY KEY, name TEXT, email TEXT, score REAL, quantity INTEGER, note TEXT"
INSERT = "INSERT INTO {} (name, email, score, quantity, note) VALUES (?, ?, ?, ?, ?)"
POINT_SELECT = "SELECT quantity, name FROM item WHERE id = ?"
ALL_ROWS = "SELECT id, name, email, score, quantity, note FROM item"
MANY = [
    (
        f"user {number}",
        f"user.{number}@example.org",
        number / 8,
        number % 1000,
        None if number % 4 == 0 else f"note {number % 50} of some length",
    )
    for number in range(1, ROWS + 1)
]


async def point_select(db: csqlite.Connection) -> None:
    """Select one row by its key, again and again: a cursor, ``fetchone``, the cursor closed."""
    for key in range(1, SELECTS + 1):
        async with db.execute(POINT_SELECT, (key,)) as cursor:
            await cursor.fetchone()


async def execute_fetchall(db: csqlite.Connection) -> None:
    """Select one row by its key in a single call, again and again."""
    for key in range(1, SELECTS + 1):
        await db.execute_fetchall(POINT_SELECT, (key,))


async def fetchall(db: csqlite.Connection) -> None:
    """Fetch a large result as one list."""
    async with db.execute(ALL_ROWS) as cursor:
        await cursor.fetchall()


async def executemany(db: csqlite.Connection) -> None:
    """Insert many rows in one call."""
    await db.executemany(INSERT.format("target"), MANY)


async def fetch_one(db: csqlite.Connection) -> None:
    """The same with the call that gives the row itself."""
    for key in range(1, SELECTS + 1):
        await db.fetch_one(POINT_SELECT, (key,))


async def pool_fetch_one(pool: Any) -> None:
    """The same through a pool, on a reader that is free."""
    for key in range(1, SELECTS + 1):
        await pool.fetch_one(POINT_SELECT, (key,))


# What runs in a window, how many operations, or rows, that are, and how many windows there are.
PATHS: dict[str, tuple[Callable[[Any], Awaitable[None]], int, int]] = {
    "point_select": (point_select, SELECTS, SELECT_WINDOWS),
    "execute_fetchall": (execute_fetchall, SELECTS, SELECT_WINDOWS),
    "fetchall": (fetchall, ROWS, ROW_WINDOWS),
    "executemany": (executemany, ROWS, ROW_WINDOWS),
    "fetch_one": (fetch_one, SELECTS, SELECT_WINDOWS),
    "pool_fetch_one": (pool_fetch_one, SELECTS, SELECT_WINDOWS),
}

# Those that are given a pool.
POOLED = (pool_fetch_one,)


async def main(path: str) -> None:
    """Prepare a database file and run every window of every path on it."""
    async with csqlite.connect(path) as db:
        await db.execute("PRAGMA journal_mode = WAL")
        await db.execute("PRAGMA synchronous = NORMAL")
        await db.execute(f"CREATE TABLE item ({COLUMNS})")
        await db.execute(f"CREATE TABLE target ({COLUMNS})")
        await db.executemany(INSERT.format("item"), MANY)
        await db.commit()
        gc.collect()
        gc.disable()
        for run, _, windows in PATHS.values():
            if run not in POOLED:
                await run_windows(db, run, windows)
        async with csqlite.create_pool(path, pragmas=None) as pool:
            for run in POOLED:
                gc.collect()
                await run(pool)  # Where the statement belongs is found once.
                await run_windows(pool, run, SELECT_WINDOWS)


async def run_windows(given: Any, run: Callable[[Any], Awaitable[None]], windows: int) -> None:
    """Run the windows of a path, each of which finds the same database."""
    for _ in range(windows):
        if run is executemany:
            await given.execute("BEGIN")
        mark()
        await run(given)
        mark()
        if run not in POOLED:
            await given.rollback()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    about = {
        "sqlite": csqlite.sqlite_version,
        "paths": {name: numbers for name, (_, *numbers) in PATHS.items()},
    }
    print(json.dumps(about))
