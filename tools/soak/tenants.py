"""A directory of many databases: made, used, copied, renamed and removed by all processes at once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Callable

import csqlite

from .process import Process
from .tally import Violation

FOLDER = "tenants"
NAMES = ("a", "b", "c", "d", "e")
TABLE = "create table pair (value)"
TASKS = 3

# What others may have done to a name in the meantime.
CROWDED = (csqlite.DatabaseExists, csqlite.DatabaseNotFound, csqlite.DatabaseInUse)


def open_folder(directory: Path) -> csqlite.Databases[Any]:
    """Return the databases, not yet open."""
    pragmas = {"journal_mode": "wal", "synchronous": "normal"}
    folder = directory / FOLDER
    return csqlite.Databases(folder, max_open=3, timeout=60, busy_timeout=20, pragmas=pragmas)


async def write(databases: csqlite.Databases[Any], name: str) -> None:
    """Add two equal rows in a transaction, and see that there are only such."""
    async with databases.use(name) as pool:
        async with pool.transaction() as tx:
            for _ in range(2):
                await tx.execute("insert into pair select coalesce(max(rowid) / 2, 0) from pair")
                await asyncio.sleep(0)
        await check(name, pool)


async def check(name: str, pool: csqlite.Pool[Any]) -> None:
    """See that whoever wrote has written both of his rows."""
    count = await pool.fetch_scalar("select count(*) from pair")
    if count % 2:
        raise Violation(f"tenant {name} has {count} rows")


async def write_two(databases: csqlite.Databases[Any], one: str, other: str) -> None:
    """Add two rows to each of two databases, in one transaction."""
    async with databases.transaction(one, other) as tx:
        for name in (one, other, one, other):
            await tx.execute(f"insert into {name}.pair values (0)")


def work(process: Process, databases: csqlite.Databases[Any]) -> tuple[str, Awaitable[Any]]:
    """Return something to do, by its name."""
    one, other = process.dice.sample(NAMES, 2)
    kinds: dict[str, Callable[[], Awaitable[Any]]] = {
        "create": lambda: databases.create(one, TABLE),
        "clone": lambda: databases.clone(one, other),
        "rename": lambda: databases.rename(one, other),
        "drop": lambda: databases.drop(one),
        "use": lambda: write(databases, one),
        "use again": lambda: write(databases, other),
        "two": lambda: write_two(databases, one, other),
    }
    kind = process.dice.choice([*kinds])
    return kind, kinds[kind]()


async def one_task(process: Process, databases: csqlite.Databases[Any]) -> None:
    """Do one thing after the other."""
    for _ in range(40):
        if process.stopping:
            break
        kind, coming = work(process, databases)
        try:
            await process.attempt(f"tenant {kind}", coming)
        except CROWDED as error:
            process.tally.counts[f"error {type(error).__name__}"] += 1
        except (asyncio.CancelledError, asyncio.TimeoutError, sqlite3.OperationalError) as error:
            if not process.is_expected(error):
                raise
            process.tally.error(error)
        await asyncio.sleep(process.dice.uniform(0, 0.1))


async def live(process: Process) -> None:
    """Have the directory open for a while, again and again."""
    while not process.stopping:
        async with open_folder(process.directory) as databases:
            outcomes = await asyncio.gather(
                *[one_task(process, databases) for _ in range(TASKS)], return_exceptions=True
            )
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
            used = databases.get_stats()["databases_used"]
            if used:
                raise Violation(f"{used} tenants are used by nobody")


async def audit(directory: Path) -> tuple[list[str], list[str]]:
    """Look at what there is in the end; return remarks and complaints."""
    if not (directory / FOLDER).exists():
        return [], []
    wrong = []
    async with open_folder(directory) as databases:
        names = await databases.list()
        files = sorted(file for file in os.listdir(directory / FOLDER) if file.endswith(".db"))
        if files != [".registry.db", *[f"{name}.db" for name in names]]:
            wrong.append(f"tenants {names} have the files {files}")
        for name in names:
            async with databases.use(name) as pool:
                checked = await pool.fetch_all("pragma integrity_check")
                if checked != [("ok",)]:
                    wrong.append(f"tenant {name}: {checked[:5]}")
                try:
                    await check(name, pool)
                except Violation as error:
                    wrong.append(str(error))
    return [f"tenants: {', '.join(names) or 'none'}"], wrong
