"""Pools and transactions of many tasks: what they promise is held against the bank's invariant."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable
from typing import Any

import csqlite

from . import bank
from .ledger import KEPT, UNDONE
from .process import Process
from .tally import Violation

WRITERS = 3
READERS = 4
PATIENCE = 60  # Seconds for what has been committed to be observed.


async def fill(process: Process, tx: Any, chosen: list[bank.Move], attempt: bank.Attempt) -> None:
    """Carry transfers out within a transaction, some of them in savepoints, some at first in vain."""
    for move in chosen:
        if process.dice.random() < 0.5 or not hasattr(tx, "savepoint"):
            await bank.carry_out(tx, move, "together")
            continue
        try:
            async with tx.savepoint() as inner:
                await bank.carry_out(inner, move, "together")
                raise KeyError
        except KeyError:
            async with tx.savepoint() as inner:
                await bank.carry_out(inner, move, "together")
    attempt.committing = True


async def transfer(process: Process, name: str, kind: str, begin: Any) -> None:
    """Move money once, in a transaction that `begin` gives, and write down what came of it."""
    ids = process.ledger.numbers(process.dice.choice((1, 1, 2, 5)))
    attempt = bank.Attempt()

    async def work() -> None:
        async with begin() as tx:
            await fill(process, tx, bank.moves(ids, process.dice), attempt)

    try:
        await process.attempt(f"transfer {kind}", work())
    except (asyncio.CancelledError, asyncio.TimeoutError, sqlite3.OperationalError) as error:
        if not process.is_expected(error):
            raise
        process.tally.error(error)
        if not attempt.committing:  # The block has rolled it back.
            process.ledger.write(UNDONE, name, ids)
        return
    process.ledger.write(KEPT, name, ids)


async def repeat(process: Process, times: int, make: Any) -> None:
    """Do something so many times, with pauses."""
    for _ in range(times):
        if process.stopping:
            break
        await make()
        await asyncio.sleep(process.dice.uniform(0, 0.03))


async def share(process: Process, name: str) -> None:
    """Let tasks of one connection move money, each in its transaction."""
    while not process.stopping:
        try:
            async with process.connection(name, isolation_level=None) as db:

                async def one(db: csqlite.Connection[Any] = db) -> None:
                    await transfer(process, name, "shared", db.transaction)

                await together([repeat(process, 60, one) for _ in range(WRITERS)])
        except sqlite3.OperationalError as error:
            if not process.is_expected(error):
                raise
            process.tally.error(error)


async def together(works: list[Awaitable[None]]) -> None:
    """Run tasks, all of them to their end; raise what one of them raises."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome


async def look(process: Process, name: str, pool: csqlite.Pool[Any]) -> None:
    """Look at the sum through a pool, in one of several ways."""
    way = process.dice.choice(("one", "one", "read", "snapshot", "stream"))
    if way == "one":
        found = tuple(await pool.fetch_one(bank.SUM))
    elif way == "read":
        async with pool.read() as db:
            found = tuple(await db.fetch_one(bank.SUM))
            await asyncio.sleep(0)
            if tuple(await db.fetch_one(bank.SUM)) != found:
                raise Violation(f"a read of {name} saw two states")
    elif way == "snapshot":
        newest = "select coalesce(max(id), 0), count(*) from transfer"
        async with pool.snapshot(2) as (first, second):
            states = [tuple(await db.fetch_one(newest)) for db in (first, second)]
            found = tuple(await second.fetch_one(bank.SUM))
        if states[0] != states[1]:
            raise Violation(f"a snapshot of {name} had two states: {states}")
    else:
        total = count = 0
        async for (balance,) in pool.stream("select balance from account", chunk=7):
            total += balance
            count += 1
        found = total, count
    process.check_sum(name, found, f"a reader of a pool ({way})")


async def read(process: Process, name: str, pool: csqlite.Pool[Any]) -> None:
    """Look once, which may be cancelled."""
    try:
        await process.attempt("read pool", look(process, name, pool))
    except (asyncio.CancelledError, asyncio.TimeoutError, sqlite3.OperationalError) as error:
        if not process.is_expected(error):
            raise
        process.tally.error(error)


class Observer:
    """Observes the sum, and the transfers of this process: it has to come to know all of them."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self.seen = -1
        numbers = process.ledger.range()
        self.own = f"select count(*) from transfer where id >= {numbers[0]} and id < {numbers[1]}"

    async def observe(self, pool: csqlite.Pool[Any]) -> None:
        """Take in what is observed, again after an error that is to be expected."""
        while True:
            try:
                async with pool.observe_many({"sum": bank.SUM, "own": self.own}) as states:
                    async for state in states:
                        self.process.check_sum(self.name, tuple(state["sum"][0]), "an observer")
                        self.seen = state["own"][0][0]
                        self.process.tally.counts["done observed"] += 1
            except sqlite3.OperationalError as error:
                if not self.process.is_expected(error):
                    raise
                self.process.tally.error(error)
            except Violation as violation:
                self.process.tally.violation(str(violation))
                return

    async def compare(self, pool: csqlite.Pool[Any]) -> None:
        """Wait until what is there now was observed."""
        there = await pool.fetch_scalar(self.own)
        for _ in range(PATIENCE * 20):
            if self.seen >= there:
                return
            await asyncio.sleep(0.05)
        raise Violation(f"an observer of {self.name} saw {self.seen} of {there} transfers")


async def use(process: Process, name: str, pool: csqlite.Pool[Any]) -> None:
    """Let tasks write and read through a pool for a while."""

    async def write_one() -> None:
        await transfer(process, name, "pool", pool.transaction)

    async def read_one() -> None:
        await read(process, name, pool)

    observer = Observer(process, name)
    observing = asyncio.ensure_future(observer.observe(pool))
    try:
        writing = [repeat(process, 60, write_one) for _ in range(WRITERS)]
        reading = [repeat(process, 60, read_one) for _ in range(READERS)]
        await together(writing + reading)
        await observer.compare(pool)
    finally:
        observing.cancel()
        await asyncio.gather(observing, return_exceptions=True)


async def pooled(process: Process, name: str) -> None:
    """Let tasks write and read through a pool, and look at its books before it is closed."""
    # Small caches: what a process holds is not to grow with the file.
    pragmas = {"synchronous": process.dice.choice(("full", "normal")), "cache_size": 50}
    while not process.stopping:
        try:
            pool = await csqlite.create_pool(
                process.path(name), busy_timeout=20, timeout=60, pragmas=pragmas, max_readers=3
            )
            try:
                await use(process, name, pool)
                await balance(process, name, pool)
            finally:
                await pool.close()
        except sqlite3.OperationalError as error:
            if not process.is_expected(error):
                raise
            process.tally.error(error)


async def balance(process: Process, name: str, pool: csqlite.Pool[Any]) -> None:
    """See that each connection of a pool has come back, when nobody uses it."""
    stats = pool.get_stats()
    for _ in range(200):  # What was cancelled last may be on its way.
        if not stats["requests_waiting"] and stats["pool_size"] == stats["pool_available"]:
            process.tally.counts["done balance"] += 1
            return
        await asyncio.sleep(0.05)
        stats = pool.get_stats()
    raise Violation(f"a pool of {name} has lost a connection: {stats}")
