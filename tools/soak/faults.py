"""What goes wrong on purpose: each is one operation, which must leave the banks as they were."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import csqlite

from . import bank, other
from .ledger import UNDONE
from .process import Process
from .tally import Violation

ENDLESS = "with recursive n (i) as (select 1 union all select i + 1 from n) select count(*) from n"

PROGRAM = f"""
import asyncio, csqlite, sys

async def main():
    async with csqlite.connect(sys.argv[1], timeout=20) as db:
        print(await db.execute_fetchall({bank.SUM!r}))

asyncio.run(main())
"""

# Statements that fail, and what with.
MISTAKES: list[tuple[str, tuple[Any, ...], type[Exception]]] = [
    ("select", (), sqlite3.OperationalError),
    ("select * from nowhere", (), sqlite3.OperationalError),
    ("select ?", (), sqlite3.ProgrammingError),
    ("select 1; select 2", (), sqlite3.ProgrammingError),
    ("select abs(-9223372036854775808)", (), sqlite3.OperationalError),
    ("insert into account values (1, 1)", (), sqlite3.IntegrityError),
    ("insert into account values (?, ?)", (object(), 1), sqlite3.ProgrammingError),
    ("update account set balance = null", (), sqlite3.IntegrityError),
]


async def mistakes(process: Process, name: str) -> None:
    """Run statements that fail, within a transaction, which is rolled back."""
    async with process.connection(name) as db:
        for sql, parameters, kind in MISTAKES:
            try:
                await db.execute(sql, parameters)
            except kind:
                continue
            raise Violation(f"no error: {sql}")
        await db.rollback()


async def disk_full(process: Process, name: str) -> None:
    """Move money while the file may not grow."""
    ids = process.ledger.numbers(1)
    [move] = bank.moves(ids, process.dice)
    async with process.connection(name, isolation_level=None) as db:
        await db.execute("begin immediate")
        await bank.carry_out(db, move, "full")
        [(pages,)] = await db.execute_fetchall("pragma page_count")
        await db.execute(f"pragma max_page_count = {pages}")
        try:
            await db.execute(
                "insert into transfer (id, source, target, amount, kind, padding)"
                " values (?, 1, 1, 0, 'full', zeroblob(?))",
                (-ids[0], pages * 4096 + 1_000_000),
            )
        except sqlite3.OperationalError as error:
            if str(error) != "database or disk is full":
                raise
        else:
            raise Violation("the disk was not full")
        await db.rollback()
    process.ledger.write(UNDONE, name, ids)


async def impatient(process: Process, name: str) -> None:
    """Ask for the lock and do not wait."""
    async with csqlite.connect(process.path(name), timeout=0, isolation_level=None) as db:
        for _ in range(20):
            try:
                await db.execute("begin exclusive")
                await db.execute("rollback")
            except sqlite3.OperationalError as error:
                if not process.is_expected(error):
                    raise
                process.tally.error(error)
            await asyncio.sleep(0)


async def forgotten(process: Process, name: str) -> None:
    """Forget connections: one that is idle, one amid a transaction, one with half a result."""
    idle = await csqlite.connect(process.path(name))
    writing = await csqlite.connect(process.path(name), timeout=20, isolation_level=None)
    await writing.execute("begin immediate")
    await writing.execute("update account set balance = 0")
    reading = await csqlite.connect(process.path(name))
    cursor = await reading.execute("select * from account a, account b")
    await cursor.fetchone()
    if process.dice.random() < 0.5:
        idle.itself, writing.itself, reading.itself = idle, writing, reading  # type: ignore[attr-defined]
    del idle, writing, reading, cursor
    gc.collect()


async def half_read(process: Process, name: str) -> None:
    """Leave a statement half read for a moment, beside another on the same connection."""
    async with process.connection(name) as db:
        cursor = await db.execute("select a.balance from account a, account b, account c")
        await cursor.fetchone()
        await asyncio.sleep(process.dice.uniform(0, 0.1))
        [found] = await db.execute_fetchall(bank.SUM)
        process.check_sum(name, found, "a reader beside a half-read cursor")
        if process.dice.random() < 0.5:
            await cursor.close()


async def closed_loop(process: Process, name: str) -> None:
    """Close a loop, in another thread, while its query runs."""

    async def begin() -> Any:
        db = await csqlite.connect(process.path(name))
        request: Any = db.execute_fetchall(ENDLESS)
        request.send(None)
        return request

    def live() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()
        gc.collect()

    await asyncio.to_thread(run_thread, live)


def run_thread(function: Callable[[], None]) -> None:
    """Run a function in a thread that ends with it."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


async def second_loop(process: Process, name: str) -> None:
    """Read in a loop of another thread."""

    async def look() -> None:
        async with process.connection(name) as db:
            [found] = await db.execute_fetchall(bank.SUM)
            process.check_sum(name, found, "a reader in another loop")

    await asyncio.to_thread(asyncio.run, look())


async def forked(process: Process, name: str) -> None:
    """Fork; the child may not use what it has inherited, and ends without a trace."""
    async with process.connection(name) as db:
        await db.execute("begin")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            signal.alarm(20)
            code = 1
            try:
                db.execute("select 1").send(None)
            except sqlite3.ProgrammingError:
                code = 0
            finally:
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        if status != 0:
            raise Violation(f"a forked child ended with {status}")
        await db.rollback()
        [found] = await db.execute_fetchall(bank.SUM)
        process.check_sum(name, found, "the parent of a child")


async def executed(process: Process, name: str) -> None:
    """Start a program while connections are open, which opens the same file."""
    async with process.connection(name) as db:
        await db.execute("begin")
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", PROGRAM, str(process.path(name))],
            capture_output=True,
            text=True,
            timeout=60,
        )
        await db.rollback()
    if "database is locked" in done.stderr:
        process.tally.error(sqlite3.OperationalError("database is locked"))
    elif (done.stdout.strip(), done.stderr) != (str([(bank.TOTAL, bank.ACCOUNTS)]), ""):
        raise Violation(f"a started program said {done.stdout!r}, {done.stderr[-500:]!r}")


async def stopped_query(process: Process, name: str) -> None:
    """End endless queries: by a timeout, and by interrupt()."""
    async with process.connection(name) as db:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(db.execute_fetchall(ENDLESS), 0.02)
        task = asyncio.ensure_future(db.execute_fetchall(ENDLESS))
        while not task.done():
            await asyncio.sleep(0.01)
            await db.interrupt()
        if str(task.exception()) != "interrupted":
            raise Violation(f"interrupted: {task.exception()!r}")


async def raising_function(process: Process, name: str) -> None:
    """Let a function of Python's raise in the middle of a transfer's statement."""

    def fail(value: int) -> int:
        if value > 20:
            raise ValueError("no")
        return value

    async with process.connection(name, isolation_level=None) as db:
        await db.create_function("fail", 1, fail)
        try:
            await db.execute("update account set balance = fail(id)")
        except sqlite3.OperationalError as error:
            if "user-defined function" not in str(error) and not process.is_expected(error):
                raise
        else:
            raise Violation("the function did not raise")


async def copies(process: Process, name: str) -> None:
    """Copy the bank, in pieces or as bytes, and look at the copy."""
    async with csqlite.connect(":memory:") as copy, process.connection(name) as db:
        if process.dice.random() < 0.5:
            await asyncio.wait_for(db.backup(copy, pages=-1), 60)
        else:
            data = await db.serialize()
            if name == "wal":
                # Bytes 18 and 19 say that there is a WAL, which a copy in memory has not.
                data = data[:18] + b"\1\1" + data[20:]
            await copy.deserialize(data)
        [found] = await copy.execute_fetchall(bank.SUM)
        process.check_sum(name, found, "a copy")


async def housekeeping(process: Process, name: str) -> None:
    """Checkpoint, analyze, change the schema, rewrite the file now and then."""
    statements = ["pragma wal_checkpoint(truncate)", "analyze", "pragma optimize"]
    if process.dice.random() < 0.05:
        statements.append("vacuum")
    async with process.connection(name, isolation_level=None) as db:
        await db.execute(process.dice.choice(statements))
        await db.execute(f"create table if not exists scratch_{os.getpid()} (a)")
        await db.execute(f"drop table scratch_{os.getpid()}")


async def untrusted(process: Process, name: str) -> None:
    """Read as if the file were a stranger's."""
    async with process.connection(name, untrusted=True) as db:
        [found] = await db.execute_fetchall(bank.SUM)
        process.check_sum(name, found, "a hardened reader")


async def beside(process: Process, name: str) -> None:
    """Let the sqlite3 module of the same process move money in the same file."""
    await asyncio.to_thread(
        other.step, name, process.directory, process.ledger, process.tally, process.dice
    )


FAULTS: list[Callable[[Process, str], Awaitable[None]]] = [
    mistakes, disk_full, impatient, forgotten, half_read, closed_loop, second_loop, forked,
    executed, stopped_query, raising_function, copies, housekeeping, untrusted,
]  # fmt: skip


async def trouble(process: Process) -> None:
    """Make trouble, one kind after the other in random order."""
    faults = [*FAULTS, beside] if process.beside else FAULTS
    while not process.stopping:
        for fault in process.dice.sample(faults, len(faults)):
            if process.stopping:
                break
            name = process.dice.choice(("wal", "rollback"))
            try:
                with process.tally.operation(f"fault {fault.__name__}"):
                    await fault(process, name)
            except sqlite3.OperationalError as error:
                if not process.is_expected(error):
                    raise Violation(f"{fault.__name__}: {error}") from error
                process.tally.error(error)
            await asyncio.sleep(process.dice.uniform(0, 0.2))
