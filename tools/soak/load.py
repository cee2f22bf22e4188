"""One process of csqlite's: writers, readers and trouble, until a signal: python -m soak.load.

Writers and readers of one process share an event loop. Each operation may be cancelled in the
middle, by its task or by a timeout.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import sqlite3
from collections.abc import Awaitable
from typing import Any

import csqlite

from . import bank, faults, pools, tenants, watch
from .ledger import KEPT, UNDONE
from .process import BANKS, Process, arguments


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
            jobs += [pools.pooled(process, name), pools.share(process, name)]
            jobs += [watch.watch(process, name)]
    if not process.cramped:
        jobs += [faults.trouble(process), tenants.live(process)]
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


def main() -> None:
    """Work until a signal says to stop."""
    process = Process(arguments())
    if process.cramped:
        cramp(process)
    asyncio.run(run(process))


if __name__ == "__main__":
    main()
