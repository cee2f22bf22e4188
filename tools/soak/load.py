"""One process of csqlite's: writers, readers and trouble, until a signal: python -m soak.load.

Writers and readers of one process share an event loop. Each operation may be cancelled in the
middle, by its task or by a timeout.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import gc
import random
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import csqlite

from . import bank
from .ledger import KEPT, UNDONE, Ledger
from .tally import Tally, Violation

BANKS = ("wal", "rollback")

# What many processes on one file may tell each other at any time.
CROWDED = ("database is locked", "locking protocol", "database schema is locked")
# What a full disk leads to. A process that may not write long files cannot roll back either.
FULL = (
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
    # SQLite has rolled back by itself; with autocommit=False sqlite3 says so, too.
    "cannot rollback - no transaction is active",
)


class Process:
    """What the tasks of one process share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.directory: Path = options.directory
        self.cramped: bool = options.cramped
        self.beside: bool = options.beside
        self.ledger = Ledger(options.directory / f"ledger-{options.process}", options.process)
        self.dice = random.Random(options.seed)
        self.tally = Tally()
        self.stopping = False
        self.expected = CROWDED + FULL if self.cramped else CROWDED

    def path(self, name: str) -> Path:
        """Return the file of a bank."""
        return self.directory / f"{name}.db"

    @contextlib.asynccontextmanager
    async def connection(self, name: str, **options: Any) -> AsyncIterator[csqlite.Connection[Any]]:
        """Open a bank's file and close it again."""
        async with csqlite.connect(self.path(name), timeout=20, **options) as db:
            yield db

    def is_expected(self, error: BaseException) -> bool:
        """Whether an error is one that crowds, full disks and cancelling lead to."""
        if isinstance(error, (asyncio.CancelledError, asyncio.TimeoutError)):
            return True
        return isinstance(error, sqlite3.OperationalError) and str(error) in self.expected

    async def attempt(self, name: str, work: Awaitable[Any]) -> None:
        """Run an operation; one in five is cancelled in the middle.

        Raises what it raises, a cancelling of its own included.
        """
        way = self.dice.random()
        seconds = self.dice.expovariate(300)
        with self.tally.operation(name):
            if way < 0.1:
                await asyncio.wait_for(work, seconds)
                return
            task = asyncio.ensure_future(work)
            if way < 0.2:
                asyncio.get_running_loop().call_later(seconds, task.cancel)
            await asyncio.wait([task])
            task.result()

    def check_sum(self, name: str, found: tuple[int, int], who: str) -> None:
        """Hold a sum and a number of accounts against what they must be."""
        if found != (bank.TOTAL, bank.ACCOUNTS):
            raise Violation(f"{who} saw {found} in {name}")


async def settle(process: Process, db: csqlite.Connection[Any]) -> bool:
    """Leave the transaction after a failure; return whether it is certainly undone."""
    try:
        with process.tally.operation("rollback"):
            await db.rollback()
    except sqlite3.OperationalError as error:
        if not process.is_expected(error):
            raise
        process.tally.error(error)
        return False
    return True


async def transfer(process: Process, name: str, kind: str, db: csqlite.Connection[Any]) -> bool:
    """Move money once; return whether the connection can go on being used."""
    ids = process.ledger.numbers(process.dice.choice((1, 1, 2, 5, 30)))
    attempt = bank.Attempt()
    work = bank.KINDS[kind](db, bank.moves(ids, process.dice), attempt)
    try:
        await process.attempt(f"transfer {kind}", work)
    except (asyncio.CancelledError, asyncio.TimeoutError, sqlite3.OperationalError) as error:
        if not process.is_expected(error):
            raise
        process.tally.error(error)
        undone = await settle(process, db)
        if undone and not attempt.committing:
            process.ledger.write(UNDONE, name, ids)
        return undone
    process.ledger.write(KEPT, name, ids)
    return True


async def write(process: Process, name: str, kind: str) -> None:
    """Move money, on connections that last a while each."""
    while not process.stopping:
        try:
            async with process.connection(name, **bank.OPTIONS.get(kind, {})) as db:
                await db.execute(f"pragma synchronous = {process.dice.choice(('full', 'normal'))}")
                await db.execute(f"pragma cache_size = {process.dice.choice((5, 200))}")
                if kind == "manual":
                    db.autocommit = False
                for _ in range(process.dice.choice((1, 10, 200))):
                    if process.stopping or not await transfer(process, name, kind, db):
                        break
                    # Somebody else's turn: SQLite's locks are not fair.
                    await asyncio.sleep(process.dice.uniform(0, 0.03))
        except sqlite3.OperationalError as error:
            if not process.is_expected(error):
                raise
            process.tally.error(error)


async def stream(db: csqlite.Connection[Any], pause: bool) -> tuple[int, int]:
    """Add the balances up, row by row of one SELECT."""
    total = count = 0
    async with db.execute("select balance from account") as cursor:
        cursor.iter_chunk_size = 7
        async for (balance,) in cursor:
            total += balance
            count += 1
            if pause:
                await asyncio.sleep(0)
    return total, count


async def ask(process: Process, name: str, db: csqlite.Connection[Any]) -> None:
    """Look at the sum, in one of several ways."""
    way = process.dice.choice(("sum", "sum", "fetchall", "stream", "slow stream"))
    if way == "sum":
        [found] = await db.execute_fetchall(bank.SUM)
    elif way == "fetchall":
        rows = await db.execute_fetchall("select balance from account")
        found = (sum(balance for (balance,) in rows), len(rows))
    else:
        found = await stream(db, way == "slow stream")
    process.check_sum(name, found, f"a reader ({way})")


async def read(process: Process, name: str) -> None:
    """Look at the sum all the time, several at once on one connection."""

    async def one(db: csqlite.Connection[Any]) -> None:
        try:
            await process.attempt("read", ask(process, name, db))
        except (asyncio.CancelledError, asyncio.TimeoutError, sqlite3.OperationalError) as error:
            if not process.is_expected(error):
                raise
            process.tally.error(error)

    while not process.stopping:
        try:
            async with process.connection(name) as db:
                for _ in range(process.dice.choice((1, 20, 300))):
                    if process.stopping:
                        break
                    await asyncio.gather(*(one(db) for _ in range(process.dice.choice((1, 1, 4)))))
                    await asyncio.sleep(process.dice.uniform(0, 0.01))
        except sqlite3.OperationalError as error:
            if not process.is_expected(error):
                raise
            process.tally.error(error)


async def report(process: Process) -> None:
    """Tell the conductor five times a second; its silence would be taken for a hang."""
    while True:
        process.tally.send()
        await asyncio.sleep(0.2)


async def guarded(process: Process, work: Awaitable[None]) -> None:
    """Run a task of the process; whatever it raises must not happen."""
    try:
        await work
    except Exception as error:
        process.tally.violation(f"{type(error).__name__}: {error}")
        process.tally.send()
        raise


def cramp(process: Process) -> None:
    """Let no file grow much longer than the banks are: the disk is full, for this process."""
    longest = max(process.path(name).stat().st_size for name in BANKS)
    limit = longest + process.dice.randrange(200_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


async def run(process: Process) -> None:
    """Start all tasks and wait for the signal."""
    from . import faults

    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    reporter = asyncio.ensure_future(report(process))
    jobs: list[Awaitable[None]] = []
    for name in BANKS:
        kinds = list(bank.KINDS)
        if process.cramped:
            kinds = process.dice.sample(kinds, 2)
        jobs += [write(process, name, kind) for kind in kinds]
        jobs += [read(process, name)]
    if not process.cramped:
        jobs += [faults.trouble(process)]
    tasks = [asyncio.ensure_future(guarded(process, job)) for job in jobs]
    await asyncio.wait(
        [asyncio.ensure_future(stopped.wait()), *tasks], return_when="FIRST_COMPLETED"
    )
    process.stopping = True
    done, late = await asyncio.wait(tasks, timeout=40)
    for task in late:
        process.tally.violation(f"does not end: {task.get_coro()}")
    for task in done:
        task.exception()
    reporter.cancel()
    gc.collect()
    process.tally.send()


def stop_at_signal() -> list[bool]:
    """Return a list that is not empty once SIGTERM has come."""
    stop: list[bool] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(True))
    return stop


def arguments() -> argparse.Namespace:
    """Return the options of a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("process", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--cramped", action="store_true")
    parser.add_argument("--beside", action="store_true")
    options = parser.parse_args()
    faulthandler.enable()
    return options


def main() -> None:
    """Work until a signal says to stop."""
    process = Process(arguments())
    if process.cramped:
        cramp(process)
    asyncio.run(run(process))


if __name__ == "__main__":
    main()
