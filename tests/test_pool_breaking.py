"""Pools with a thousand tasks, slow callbacks, and ten thousand cancels at random."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from doses import dose

import csqlite

SECONDS = 60  # For what has to come, on a machine with much else to do.

COUNT = "select count(*) from t"


async def filled(pool: csqlite.Pool[Any], rows: int = 0) -> None:
    """Make a table with so many rows."""
    await pool.execute("create table t (a)")
    await pool.executemany("insert into t values (?)", [(row,) for row in range(rows)])


async def is_balanced(pool: csqlite.Pool[Any]) -> None:
    """Nobody has, or waits for, anything; and everything can be had."""
    while pool._gaps._task is not None:
        await asyncio.sleep(0.001)
    await asyncio.gather(pool._readers.ended(), pool._writers.ended())
    stats = pool.get_stats()
    assert stats["requests_waiting"] == 0 and pool.holders() == []
    assert stats["pool_available"] == stats["pool_size"] <= stats["pool_max"]
    assert not pool._within and not pool._writers._sharers
    readers = pool._readers.limits.most
    async with pool.snapshot(readers, timeout=SECONDS) as dbs:
        assert len({id(db) for db in dbs}) == readers
    await asyncio.wait_for(pool.execute("insert into t values (0)"), SECONDS)


# -- many


async def test_a_thousand_readers_and_one_that_goes_on(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=2) as pool:
        await filled(pool, 10)
        done = 0

        async def observe(number: int) -> None:
            nonlocal done
            for _ in range(3):
                assert await pool.fetch_scalar(COUNT) >= 10
            done += 1

        observers = [asyncio.ensure_future(observe(number)) for number in range(1000)]
        # One more, who comes last, gets its turn among them.
        for number in range(10):
            async with pool.read() as db:
                assert await db.fetch_scalar(COUNT) == 10 + number
            await pool.execute("insert into t values (1)")
        await asyncio.wait_for(asyncio.gather(*observers), SECONDS)
        assert done == 1000
        await is_balanced(pool)


async def test_a_thousand_who_wait_and_go_away(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=1) as pool:
        await filled(pool, 1)
        async with pool.read() as db:
            waiting = [asyncio.ensure_future(pool.fetch_scalar(COUNT)) for _ in range(1000)]
            while pool.get_stats()["requests_waiting"] < 1000:
                await asyncio.sleep(0)
            for task in waiting[:-1]:
                task.cancel()
            await asyncio.wait(waiting[:-1])
            assert pool.get_stats()["requests_waiting"] == 1
            assert len(pool._readers._places) < 100
            assert await db.fetch_scalar(COUNT) == 1
        assert await asyncio.wait_for(waiting[-1], SECONDS) == 1
        await is_balanced(pool)


async def test_a_statement_is_looked_at_once(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool, 1)
        found = []
        find = pool._router.find

        async def counted(db: Any, sql: str) -> str:
            found.append(sql)
            return await find(db, sql)

        pool._router.find = counted
        await asyncio.gather(*[pool.fetch_scalar(COUNT) for _ in range(50)])
        assert found == [COUNT]


# -- cancels

KINDS = ("execute", "transaction", "nested", "read", "stream", "write", "rows", "many", "snapshot")


async def work(pool: csqlite.Pool[Any], kind: str) -> None:
    """Use a pool in one way."""
    if kind == "execute":
        await pool.execute("insert into t values (1)")
    elif kind == "transaction":
        async with pool.transaction() as tx:
            await tx.execute("insert into t values (2)")
            await tx.execute("insert into t values (3)")
    elif kind == "nested":
        async with pool.transaction() as tx, tx.savepoint():
            await tx.execute("insert into t values (2)")
            await tx.execute("insert into t values (3)")
    elif kind == "read":
        async with pool.read() as db:
            await db.execute("select * from t")
    elif kind == "stream":
        async for _ in pool.stream("select * from t limit 20", chunk=1):
            await asyncio.sleep(0)
    elif kind == "write":
        async with pool.write() as db:
            await db.execute("begin")
            await db.execute("delete from t")
    elif kind == "rows":
        await pool.fetch_all("select * from t limit 5")
        await pool.fetch_scalar("insert into t values (1) returning a")
    elif kind == "many":
        await pool.executemany("insert into t values (?)", [(2,), (3,)])
    else:
        async with pool.snapshot(2) as dbs:
            await asyncio.gather(*[db.fetch_scalar(COUNT) for db in dbs])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_lifetime": 0},
        {"max_idle": 0},
        {"check": lambda db: asyncio.sleep(0)},
        {"max_waiting": 3},
        {"max_wal": 0},
        {"timeout": 0.0005},
        {"group_commit": False},
    ],
    ids=lambda options: next(iter(options), "plain"),
)
async def test_cancels_at_random(path: Path, options: dict[str, Any]) -> None:
    chance = random.Random(str([*options]))
    cancels = dose(150, 10_000 // 8)
    async with csqlite.create_pool(path, max_readers=3, **options) as pool:
        await asyncio.wait_for(filled(pool, 30), SECONDS)
        made = 0
        while made < cancels:
            tasks = [asyncio.ensure_future(work(pool, chance.choice(KINDS))) for _ in range(15)]
            for task in chance.sample(tasks, 12):
                for _ in range(chance.randrange(5)):
                    await asyncio.sleep(0)
                made += task.cancel()
            await asyncio.wait_for(asyncio.wait(tasks), SECONDS)
            for task in tasks:
                error = None if task.cancelled() else task.exception()
                if error is not None and not isinstance(
                    error, (csqlite.PoolTimeout, csqlite.TooManyRequests)
                ):
                    raise error
        pool._readers.limits = pool._readers.limits._replace(max_waiting=0)
        pool._writers.limits = pool._writers.limits._replace(max_waiting=0)
        pool.timeout = SECONDS
        await asyncio.wait_for(is_balanced(pool), SECONDS)
        # Of a transaction everything is there, or nothing.
        counts = await pool.fetch_all("select count(*) from t where a in (2, 3) group by a")
        assert len(set(counts)) <= 1


# -- slow and failing callbacks


async def test_slow_init_and_check(path: Path) -> None:
    calls = []

    async def init(db: csqlite.Connection[Any]) -> None:
        calls.append("init")
        for _ in range(5):
            await asyncio.sleep(0)
        assert await db.fetch_scalar("select 1") == 1

    async def check(db: csqlite.Connection[Any]) -> None:
        calls.append("check")
        await asyncio.sleep(0)
        if len(calls) % 7 == 0:
            raise sqlite3.OperationalError("not this one")

    async with csqlite.create_pool(path, max_readers=3, init=init, check=check) as pool:
        await filled(pool, 3)
        tasks = [asyncio.ensure_future(pool.fetch_scalar(COUNT)) for _ in range(60)]
        for task in tasks[::3]:
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait_for(asyncio.wait(tasks), SECONDS)
        assert {task.result() for task in tasks if not task.cancelled()} == {3}
        assert pool.get_stats()["connections_lost"] > 0
        await pool._readers.ended()
        assert pool.get_stats()["requests_waiting"] == 0 and pool.holders() == []


@pytest.mark.parametrize("what", ["init", "check"])
async def test_cancelled_in_a_callback(path: Path, what: str) -> None:
    entered = asyncio.Event()
    stuck = False

    async def dawdle(db: csqlite.Connection[Any]) -> None:
        if stuck:
            entered.set()
            await asyncio.Event().wait()

    options: dict[str, Any] = {what: dawdle}
    async with csqlite.create_pool(path, max_readers=1, **options) as pool:
        await filled(pool, 3)
        for _ in range(3):
            stuck = True
            entered.clear()
            task = asyncio.ensure_future(pool.fetch_scalar(COUNT))
            await asyncio.wait_for(entered.wait(), SECONDS)
            waiting = asyncio.ensure_future(pool.fetch_scalar(COUNT))
            await asyncio.sleep(0)
            stuck = False
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await asyncio.wait_for(waiting, SECONDS) == 3
            pool.expire_connections()
            await pool._readers.ended()


async def test_a_callback_that_raises_within_the_quick_way(path: Path) -> None:
    """A function of SQL, and a row factory, that use the pool themselves."""
    async with csqlite.create_pool(path, max_readers=2) as pool:
        await filled(pool, 3)
        inner: list[Any] = []

        def factory(cursor: Any, row: Any) -> Any:
            call = pool.fetch_scalar(COUNT)
            inner.append(call)
            if len(inner) % 2:
                raise LookupError("no row")
            return row

        async with pool.read() as one, pool.read() as two:
            one.row_factory = two.row_factory = factory
        for _ in range(4):
            with contextlib.suppress(LookupError):
                assert await pool.fetch_one(COUNT) == (3,)
        for call in inner:
            assert await call == 3
        one.row_factory = two.row_factory = None
        assert pool.holders() == []


async def test_connections_that_die_in_use(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=2) as pool:
        await filled(pool, 3)
        for _ in range(5):
            async with pool.read() as db:
                await db.close()
            with pytest.raises((ValueError, sqlite3.Error)):
                async with pool.transaction() as tx:
                    await tx.connection.close()
                    await tx.execute("select 1")
            assert await asyncio.wait_for(pool.fetch_scalar(COUNT), SECONDS) == 3
        await is_balanced(pool)
        assert pool.get_stats()["connections_lost"] >= 5


async def test_a_stream_that_is_left_early(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=1) as pool:
        await filled(pool, 1000)
        for _ in range(3):
            stream = pool.stream("select a from t", chunk=2)
            async for (number,) in stream:
                if number == 5:
                    break
            await stream.aclose()
            await pool.execute("insert into t values (1)")
            assert await asyncio.wait_for(pool.fetch_scalar(COUNT), SECONDS) > 1000
        assert pool.holders() == []
