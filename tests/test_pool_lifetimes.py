"""Pools that are reopened, closed while they are used, and what of their connections is ready."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import sys
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Callable

import pytest

import csqlite

SECONDS = 60  # For what has to come, on a machine with much else to do.

COUNT = "select count(*) from t"
NUMBERS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n limit 500) select i, i from n"
)


async def filled(pool: csqlite.Pool[Any], rows: int = 0) -> None:
    """Make a table with so many rows."""
    await pool.execute("create table t (a)")
    await pool.executemany("insert into t values (?)", [(row,) for row in range(rows)])


# -- what is ready


async def test_prepared_statements_are_those_that_run(path: Path) -> None:
    prepared = []

    async def init(db: csqlite.Connection[Any]) -> None:
        await db.set_authorizer(lambda code, *names: prepared.append(code) or sqlite3.SQLITE_OK)

    async with csqlite.connect(path) as db:
        await db.executescript("create table t (a); insert into t values (3)")
    sql = ["select a from t where a > ?", "update t set a = a + 1"]
    async with csqlite.create_pool(path, max_readers=1, init=init, prepare=sql) as pool:
        await pool.fetch_all("select 1")
        await pool.execute(sql[1])  # Where it belongs has to be found, on another connection.
        assert await pool.fetch_all(sql[0], (1,)) == [(4,)]
        before = len(prepared)
        await pool.execute(sql[1])
        assert await pool.fetch_all(sql[0], (1,)) == [(5,)]
        assert len(prepared) == before


async def test_warming_reaches_the_cache(path: Path) -> None:
    prepared = []
    async with csqlite.connect(path) as db:
        await db.set_authorizer(lambda code, *names: prepared.append(code) or sqlite3.SQLITE_OK)
        await db._warm("select 1 + 1")
        assert len(prepared) == 1
        assert await db.fetch_scalar("select 1 + 1") == 2
        assert len(prepared) == 1
        with pytest.raises(sqlite3.OperationalError, match="syntax error"):
            await db._warm("selec")
        await db._warm("")


@pytest.mark.parametrize("way", ["pool", "connection"])
async def test_the_server_preset_optimizes_on_close(path: Path, way: str) -> None:
    script = (
        "create table t (a, b)",
        "create index i on t (a)",
        f"insert into t {NUMBERS}",
    )
    if way == "pool":
        async with csqlite.create_pool(path) as pool:
            for sql in script:
                await pool.execute(sql)
            await pool.fetch_all("select * from t where a = 3")
    else:
        async with csqlite.connect(path, pragmas="server", isolation_level=None) as db:
            for sql in script:
                await db.execute(sql)
            await db.execute("begin")  # What is left open does not count, and is in no way.
            await db.execute("delete from t")
    async with csqlite.connect(path) as db:
        assert await db.fetch_all("select tbl, idx from sqlite_stat1") == [("t", "i")]
        assert await db.fetch_scalar(COUNT) == 500


async def test_optimizing_does_not_wait_for_others(path: Path) -> None:
    async with csqlite.connect(path, isolation_level=None) as other:
        db = await csqlite.connect(path, pragmas="server", timeout=SECONDS)
        await db.executescript("create table t (a); create index i on t (a)")
        await db.executemany("insert into t values (?)", [(row,) for row in range(500)])
        await db.commit()
        await other.execute("begin immediate")
        await asyncio.wait_for(db.close(), SECONDS / 2)
        await other.execute("rollback")


# -- looking


async def test_who_holds_what(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool, 100)
        assert pool.holders() == [] and pool.get_stats()["oldest_read_ms"] == 0
        assert pool.get_stats()["wal_pages"] > 0
        async with pool.read() as db, pool.write():
            await db.fetch_all(COUNT)
            reading, writing = pool.holders()
            assert (reading.sql, reading.writes) == (COUNT, False)
            assert (writing.sql, writing.writes) == (None, True)
            task = asyncio.current_task()
            assert task is not None and reading.task == writing.task == task.get_name()
            assert reading.seconds >= writing.seconds >= 0
            assert pool.get_stats()["oldest_read_ms"] >= 0
        assert pool.holders() == []


# -- closing


async def test_closing_by_who_holds_a_connection(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool, 1)
        async with pool.read() as db:
            await asyncio.wait_for(pool.close(), SECONDS)
            with pytest.raises(ValueError, match=r"closed|no active connection"):
                await db.fetch_all(COUNT)
    assert pool.get_stats()["pool_size"] == 0


async def test_a_connection_that_opens_while_the_pool_is_closed(path: Path) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    opened = []

    async def init(db: csqlite.Connection[Any]) -> None:
        opened.append(db)
        if len(opened) == 3:
            begun.set()
            await go.wait()

    pool = await csqlite.create_pool(path, init=init)
    reading = asyncio.ensure_future(pool.fetch_scalar("select 1"))
    await begun.wait()
    closing = asyncio.ensure_future(pool.close())
    await asyncio.sleep(0)
    go.set()
    await asyncio.wait_for(closing, SECONDS)
    with pytest.raises(csqlite.PoolClosed):
        await reading
    assert not any(db._thread.is_alive() for db in opened)


async def test_a_timed_close_cuts_readers_before_the_writer(path: Path) -> None:
    pool = await csqlite.create_pool(path)
    await filled(pool, 1)
    inside: list[Any] = []
    ready = asyncio.Event()

    async def hold(block: Any) -> None:
        async with block as db:
            inside.append(db)
            if len(inside) == 2:
                ready.set()
            await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(hold(block)) for block in (pool.read(), pool.write())]
    await ready.wait()
    order: list[str] = []
    for member in [*pool._readers.held, *pool._writers.held]:
        await member.db.set_trace_callback(None)
    original = pool._readers.cut, pool._writers.cut

    async def noted(name: str, cut: Any, members: Any) -> None:
        order.append(name)
        await cut(members)

    pool._readers.cut = lambda members: noted("read", original[0], members)
    pool._writers.cut = lambda members: noted("write", original[1], members)
    await asyncio.wait_for(pool.close(0.01), SECONDS)
    assert order[-2:] == ["read", "write"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert pool.get_stats()["pool_size"] == 0


async def test_a_block_that_is_collected_gives_back(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool)

        async def inside() -> Any:
            async with pool.transaction() as tx:
                await tx.execute("insert into t values (1)")
                await asyncio.Event().wait()

        left = inside()
        task = asyncio.ensure_future(asyncio.sleep(0))
        # Driven by hand, as far as the block's inside, then closed where nothing can be awaited.
        waiting = None
        while not pool._within or not pool._writers.held or waiting is None:
            waiting = left.send(None)
            await asyncio.sleep(0.01)
        left.close()
        await task
        assert await asyncio.wait_for(pool.fetch_scalar(COUNT), SECONDS) == 0
        await asyncio.wait_for(pool.execute("insert into t values (2)"), SECONDS)
        assert await pool.fetch_scalar(COUNT) == 1


# -- reopening


async def test_reopening_a_file_that_was_replaced(path: Path) -> None:
    async with csqlite.create_pool(path, min_readers=2) as pool:
        await filled(pool, 1)
        assert await pool.fetch_scalar("select a from t") == 0
        async with pool.read() as db:
            other = path.with_name("other.db")
            async with csqlite.connect(other) as fresh:
                await fresh.executescript("create table t (a, b); insert into t values (7, 8)")
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink()
            other.replace(path)
            await pool.reopen()
            # Who began before goes on with what was there.
            assert await db.fetch_all("select * from t") == [(0,)]
        assert await pool.fetch_all("select * from t") == [(7, 8)]
        await pool.execute("insert into t values (9, 10)")
        async with pool.read() as db:
            assert await db.fetch_scalar(COUNT) == 2
    async with csqlite.connect(path) as fresh:
        assert await fresh.fetch_scalar(COUNT) == 2


async def test_a_database_in_memory_is_not_reopened() -> None:
    async with csqlite.create_pool(":memory:") as pool:
        await filled(pool, 1)
        with pytest.raises(sqlite3.NotSupportedError):
            await pool.reopen()
        assert await pool.fetch_scalar(COUNT) == 1
    with pytest.raises(csqlite.PoolClosed):
        await pool.reopen()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork()")
async def test_reopening_in_a_forked_child(path: Path) -> None:

    async def in_child(pool: csqlite.Pool[Any]) -> None:
        with pytest.raises(RuntimeError, match=r"reopen\(\) it in this process"):
            await pool.fetch_scalar(COUNT)
        await pool.reopen()
        assert await pool.fetch_scalar(COUNT) == 1
        await pool.execute("insert into t values (1)")
        async with pool.transaction() as tx:
            await tx.execute("insert into t values (2)")
        await pool.close()

    async with csqlite.create_pool(path, min_readers=1) as pool:
        await filled(pool, 1)
        async with pool.read() as db:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    asyncio.events._set_running_loop(None)
                    asyncio.run(in_child(pool))
                    del db
                    gc.collect()
                    status = 0
                except BaseException as error:
                    print(repr(error), file=sys.stderr, flush=True)
                finally:
                    os._exit(status)
            assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0
            assert await db.fetch_scalar(COUNT) == 1
        assert await pool.fetch_scalar(COUNT) == 3
        await pool.execute("insert into t values (3)")


# -- files that cannot be written


@pytest.mark.parametrize("pragmas", ["server", None])
@pytest.mark.parametrize("way", ["mode=ro", "immutable=1", "read_only"])
async def test_files_that_are_only_read(path: Path, way: str, pragmas: Any) -> None:
    async with csqlite.create_pool(path, pragmas=pragmas) as pool:
        await filled(pool, 5)
    options: dict[str, Any] = {"uri": True} if "=" in way else {"read_only": True}
    name = f"file:{path}?{way}" if "=" in way else path
    async with csqlite.create_pool(name, **options) as pool:
        assert await pool.fetch_scalar(COUNT) == 5
        async with pool.read() as db, pool.transaction(read_only=True) as tx:
            assert await db.fetch_scalar(COUNT) == await tx.fetch_scalar(COUNT) == 5
        for sql in ("insert into t values (1)", "create table u (a)"):
            with pytest.raises(sqlite3.OperationalError, match="readonly database"):
                await pool.execute(sql)
        assert await pool.fetch_scalar(COUNT) == 5
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


# -- loops


def test_a_pool_of_a_loop_that_runs_later(path: Path) -> None:
    """Made outside of a loop, and opened in several, one after the other."""

    async def use(pool: csqlite.Pool[Any]) -> None:
        async with pool:
            await asyncio.gather(*[pool.fetch_scalar("select ?", (1,)) for _ in range(20)])

    for _ in range(2):
        asyncio.run(use(csqlite.create_pool(path)))


async def test_pools_of_several_loops_share_the_line(path: Path) -> None:
    loops, rounds = 4, 30

    async def add(pool: csqlite.Pool[Any]) -> None:
        async def one() -> None:
            async with pool.transaction() as tx:
                number = await tx.fetch_scalar("select a from t")
                await tx.execute("update t set a = ?", (number + 1,))

        await asyncio.gather(*[one() for _ in range(rounds)])

    async def opened(run: Callable[[csqlite.Pool[Any]], Awaitable[None]]) -> None:
        async with csqlite.create_pool(path, busy_timeout=SECONDS) as pool:
            await run(pool)

    async with csqlite.create_pool(path) as pool:
        await filled(pool, 1)
        threads = [threading.Thread(target=lambda: asyncio.run(opened(add))) for _ in range(loops)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert await pool.fetch_scalar("select a from t") == loops * rounds


# -- transactions are those of the connection


async def test_a_transaction_is_the_connections_own(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool)
        async with pool.transaction() as tx:
            assert isinstance(tx, csqlite.Transaction) and tx.is_open
            async with tx.savepoint():
                await tx.execute("insert into t values (1)")
            with pytest.raises(LookupError):
                async with tx.transaction():
                    await tx.execute("insert into t values (2)")
                    raise LookupError
            with pytest.raises(sqlite3.ProgrammingError):
                await tx.execute("commit")
        assert tx.outcome == "committed"
        with pytest.raises(sqlite3.OperationalError, match="over"):
            await tx.execute("insert into t values (3)")
        assert await pool.fetch_all("select a from t") == [(1,)]
        async with pool.transaction(read_only=True) as tx:
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await tx.execute("insert into t values (3)")
        with pytest.raises(sqlite3.NotSupportedError):
            async with pool.transaction("concurrent"):
                pass
        await pool.execute("insert into t values (4)")


async def test_what_is_busy_is_tried_again(path: Path) -> None:
    async with csqlite.create_pool(path, busy_timeout=0) as pool:
        await filled(pool)
        async with csqlite.connect(path, isolation_level=None) as other:
            calls = []

            async def body(tx: Any, number: int) -> str:
                calls.append(number)
                return str(await tx.fetch_scalar("select ?", (number,)))

            await other.execute("begin immediate")
            running = asyncio.ensure_future(pool.run_transaction(body, 7, retries=50))
            while not pool._writers.held:
                await asyncio.sleep(0)
            await other.execute("rollback")
            assert await asyncio.wait_for(running, SECONDS) == "7" and calls == [7]
            await other.execute("begin immediate")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                await pool.run_transaction(body, 8, retries=1)
            await other.execute("rollback")
        async for attempt in pool.attempts():
            async with attempt as tx:
                await tx.execute("insert into t values (1)")

        @csqlite.transactional
        async def add(tx: Any, number: int) -> None:
            await tx.execute("insert into t values (?)", (number,))

        await add(pool, 2)
        assert await pool.fetch_all("select a from t") == [(1,), (2,)]
        assert calls == [7] and pool.get_stats()["pool_available"] == pool.get_stats()["pool_size"]
