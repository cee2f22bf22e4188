"""create_pool(): routing, lending, waiting, growing, closing, counting."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Callable

import pytest

import csqlite

SECONDS = 60  # For what has to come, on a machine with much else to do.

COUNT = "select count(*) from t"


async def filled(pool: csqlite.Pool[Any], rows: int = 0) -> None:
    """Make a table with so many rows."""
    await pool.execute("create table t (a)")
    await pool.executemany("insert into t values (?)", [(row,) for row in range(rows)])


# -- routing


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("begin", "begins or ends a transaction"),
        ("/* x */ BEGIN IMMEDIATE", "begins or ends a transaction"),
        ("commit", "begins or ends a transaction"),
        ("rollback", "begins or ends a transaction"),
        ("savepoint x", "begins or ends a transaction"),
        ("attach ':memory:' as other", "attached"),
        ("create temp table x (a)", "temporary"),
        ("create temporary view x as select 1", "temporary"),
        ("pragma cache_size = 5", "sets something of one connection"),
        ("pragma foreign_keys(0)", "sets something of one connection"),
    ],
)
@pytest.mark.parametrize("memory", [False, True])
async def test_what_belongs_to_one_connection_is_refused(
    path: Path, sql: str, complaint: str, memory: bool
) -> None:
    async with csqlite.create_pool(":memory:" if memory else path) as pool:
        for call in (pool.execute, pool.fetch_all, pool.fetch_one, pool.fetch_scalar):
            with pytest.raises(sqlite3.ProgrammingError, match=complaint):
                await call(sql)
        with pytest.raises(sqlite3.ProgrammingError, match=complaint):
            async for _ in pool.stream(sql):
                pass


@pytest.mark.parametrize("memory", [False, True])
async def test_each_statement_goes_where_it_belongs(path: Path, memory: bool) -> None:
    async with csqlite.create_pool(":memory:" if memory else path) as pool:
        await filled(pool, 3)
        assert await pool.fetch_all("select a from t where a < ?", (2,)) == [(0,), (1,)]
        assert await pool.fetch_all("with x as (select 1) select * from x") == [(1,)]
        assert await pool.fetch_one("insert into t values (7) returning a") == (7,)
        assert await pool.fetch_optional("delete from t where a = 8 returning a") is None
        assert await pool.execute("update t set a = a + 1") == (4, 4)
        assert await pool.fetch_scalar("select sum(a) from t") == 0 + 1 + 2 + 7 + 4
        assert (await pool.fetch_all("pragma table_info(t)"))[0][1] == "a"
        assert await pool.fetch_all("explain query plan select * from t")
        await pool.execute("pragma user_version = 9")
        assert await pool.fetch_scalar("pragma user_version") == 9
        await pool.execute("create index i on t (a)")
        await pool.execute("vacuum")
        assert [row async for row in pool.stream("select a from t order by a")] == [
            (number,) for number in (1, 2, 3, 8)
        ]


async def test_a_statement_that_cannot_be_prepared(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        with pytest.raises(sqlite3.OperationalError, match="no such table: t"):
            await pool.fetch_all("select * from t")
        await filled(pool, 1)
        assert await pool.fetch_all("select * from t") == [(0,)]
        assert pool.get_stats()["requests_waiting"] == 0


# -- lending


async def test_a_read_that_begins_behind_a_write_sees_it(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=3) as pool:
        await filled(pool)

        async def writing(number: int) -> None:
            await pool.execute("insert into t values (?)", (number,))
            found = await pool.fetch_scalar("select count(*) from t where a = ?", (number,))
            assert found == 1
            async with pool.read() as db:
                sql = "select count(*) from t where a = ?"
                assert await db.fetch_scalar(sql, (number,)) == 1

        await asyncio.gather(*[writing(number) for number in range(200)])
        assert await pool.fetch_scalar(COUNT) == 200


async def test_a_reader_sees_one_state_and_cannot_write(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool, 1)
        async with pool.read() as db:
            await pool.execute("insert into t values (1)")
            assert await db.fetch_scalar(COUNT) == 1
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await db.execute("insert into t values (2)")
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await db.execute("create table u (a)")
        assert await pool.fetch_scalar(COUNT) == 2


async def test_what_is_left_half_read_or_open_is_ended(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=1) as pool:
        await filled(pool, 1000)
        async with pool.read() as db:
            left = await db.execute("select a from t")
            assert await left.fetchone() == (0,)
        await pool.execute("insert into t values (1000)")
        async with pool.read() as db:
            assert await db.fetch_scalar(COUNT) == 1001
        async with pool.write() as db:
            await db.execute("begin")
            await db.execute("delete from t")
        assert await pool.fetch_scalar(COUNT) == 1001


async def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool)
        async with pool.transaction() as tx:
            await tx.execute("insert into t values (1)")
        with pytest.raises(LookupError):
            async with pool.transaction() as tx:
                await tx.execute("insert into t values (2)")
                raise LookupError
        inside = asyncio.Event()

        async def dawdle() -> None:
            async with pool.transaction() as tx:
                await tx.execute("insert into t values (3)")
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(dawdle())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await pool.fetch_all("select a from t") == [(1,)]
        with pytest.raises(sqlite3.ProgrammingError, match="cannot be used inside the block"):
            async with pool.transaction() as tx:
                await tx.execute("insert into t values (4)")
                await tx.rollback()
        await pool.execute("create unique index i on t (a)")
        with pytest.raises(
            sqlite3.OperationalError, match="SQLite has rolled the transaction back"
        ):
            async with pool.transaction() as tx:
                await tx.execute("insert into t values (5)")
                with contextlib.suppress(sqlite3.IntegrityError):
                    await tx.execute("insert or rollback into t values (1)")
        assert await pool.fetch_all("select a from t") == [(1,)]
        with pytest.raises(ValueError, match="mode must be one of"):
            pool.transaction("concurrently")


async def test_many_transactions_lose_nothing(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool, 1)

        async def add() -> None:
            async with pool.transaction() as tx:
                number = await tx.fetch_scalar("select a from t")
                await asyncio.sleep(0)
                await tx.execute("update t set a = ?", (number + 1,))

        await asyncio.gather(*[add() for _ in range(200)])
        assert await pool.fetch_scalar("select a from t") == 200


@pytest.mark.parametrize("block", ["transaction", "write"])
async def test_the_pool_within_a_block_that_holds_the_writer(path: Path, block: str) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool)
        async with getattr(pool, block)() as db:
            for call in (pool.execute, pool.fetch_all, pool.fetch_one, pool.fetch_scalar):
                with pytest.raises(sqlite3.ProgrammingError, match="gives"):
                    await call(COUNT)
            for call in (pool.read, pool.write, pool.transaction):
                with pytest.raises(sqlite3.ProgrammingError, match="gives"):
                    call()
            # Who calls counts, and not who awaits.
            again = pool.run_transaction(lambda tx: tx.fetch_all(COUNT))
            for coroutine in (pool.fetch_all(COUNT), pool.execute(COUNT), again):
                with pytest.raises(sqlite3.ProgrammingError, match="gives"):
                    await asyncio.gather(coroutine)
            # Another task is another matter: it sees what is committed.
            await db.execute("insert into t values (1)")

            async def elsewhere() -> Any:
                return await pool.fetch_scalar(COUNT)

            seen = await asyncio.create_task(elsewhere())
            assert seen == (0 if block == "transaction" else 1)
        assert await pool.fetch_scalar(COUNT) == 1


@pytest.mark.parametrize("readers", [1, 3])
async def test_a_snapshot_is_one_state_for_all(path: Path, readers: int) -> None:
    async with csqlite.create_pool(path, max_readers=3) as pool:
        await filled(pool)
        done = asyncio.Event()

        async def write() -> None:
            while not done.is_set():
                await pool.execute("insert into t values (1)")

        writer = asyncio.ensure_future(write())
        for _ in range(20):
            async with pool.snapshot(readers) as dbs:
                counts = [await db.fetch_scalar(COUNT) for db in dbs]
                assert len(counts) == readers and len(set(counts)) == 1
        done.set()
        await writer
        with pytest.raises(ValueError, match="readers must be 1 to 3, not 4"):
            async with pool.snapshot(4):
                pass


@pytest.mark.parametrize("first", ["read", "snapshot"])
async def test_a_snapshot_waits_for_readers_that_write(path: Path, first: str) -> None:
    async with csqlite.create_pool(path, max_readers=2) as pool:
        await filled(pool)
        waits = asyncio.Event()

        async def read_and_write() -> None:
            async with pool.read() if first == "read" else pool.snapshot(2):
                await waits.wait()
                await pool.execute("insert into t values (1)")

        async def take_all() -> int:
            async with pool.snapshot(2) as dbs:
                return await dbs[1].fetch_scalar(COUNT)

        writes = asyncio.ensure_future(read_and_write())
        await asyncio.sleep(0)
        takes = [asyncio.ensure_future(take_all()) for _ in range(3)]
        while not pool.get_stats()["requests_waiting"]:
            await asyncio.sleep(0.001)
        waits.set()
        await writes
        before = await pool.fetch_scalar(COUNT)
        assert await asyncio.gather(*takes) == [before] * 3


async def test_closing_while_calls_wait_to_be_routed(path: Path) -> None:
    pool = await csqlite.create_pool(path)
    await filled(pool)
    calls = [asyncio.ensure_future(pool.fetch_all(f"select {n} from t")) for n in range(9)]
    await asyncio.sleep(0)
    await pool.terminate()
    *begun, last = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(last, csqlite.pool.PoolClosed)
    assert all(isinstance(one, (list, sqlite3.Error, ValueError)) for one in begun)


# -- waiting


async def test_who_waits_is_served_in_order_and_by_priority(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=1) as pool:
        await filled(pool)
        served = []

        async def wait(name: str, priority: int) -> None:
            async with pool.read(priority=priority):
                served.append(name)

        async with pool.read():
            tasks = []
            for name, priority in (("c", 1), ("d", 1), ("a", -1), ("b", 0), ("e", 1)):
                tasks.append(asyncio.ensure_future(wait(name, priority)))
                await asyncio.sleep(0)
            assert pool.get_stats()["requests_waiting"] == 5
        await asyncio.gather(*tasks)
        assert served == ["a", "b", "c", "d", "e"]


async def test_a_timeout_says_who_holds_what(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=2) as pool:
        await filled(pool)
        held, go = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with pool.read() as db, pool.read():
                await db.fetch_all(COUNT)
                held.set()
                await go.wait()

        holder = asyncio.create_task(hold(), name="the holder")
        await held.wait()
        waiting = [
            asyncio.create_task(pool.fetch_scalar(COUNT), name=name) for name in ("first", "second")
        ]
        while pool.get_stats()["requests_waiting"] < 2:
            await asyncio.sleep(0)
        with pytest.raises(csqlite.PoolTimeout) as caught:
            async with pool.read(timeout=0.01):
                pass
        assert "2 of 2 are held, by the holder for" in str(caught.value)
        assert "executing 'select count(*) from t'" in str(caught.value)
        assert caught.value.args[0].endswith("2 more wait: first, second")
        assert isinstance(caught.value, (sqlite3.OperationalError, TimeoutError))
        assert isinstance(caught.value, asyncio.TimeoutError)
        go.set()
        await asyncio.gather(holder, *waiting)
        async with pool.read(timeout=SECONDS):
            pass
        stats = pool.get_stats()
        assert stats["requests_waiting"] == 0 and stats["requests_errors"] == 1


async def test_no_more_wait_than_may(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=1, max_waiting=1) as pool:
        await filled(pool)
        async with pool.read():
            waiting = asyncio.ensure_future(pool.fetch_scalar(COUNT))
            while not pool.get_stats()["requests_waiting"]:
                await asyncio.sleep(0)
            with pytest.raises(csqlite.TooManyRequests, match="1 wait for a connection"):
                await pool.fetch_scalar(COUNT)
        assert await waiting == 0


@pytest.mark.parametrize("seed", range(5))
async def test_cancels_at_random_leave_everything_balanced(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with csqlite.create_pool(path, max_readers=3) as pool:
        await filled(pool)

        async def one() -> None:
            kind = chance.randrange(6)
            if kind == 0:
                await pool.execute("insert into t values (1)")
            elif kind == 1:
                async with pool.transaction() as tx:
                    await tx.execute("insert into t values (1)")
                    await tx.execute("insert into t values (2)")
            elif kind == 2:
                async with pool.read() as db:
                    await db.execute("select * from t")
            elif kind == 3:
                async for _ in pool.stream("select * from t", chunk=1):
                    await asyncio.sleep(0)
            elif kind == 4:
                async with pool.write() as db:
                    await db.execute("begin")
                    await db.execute("delete from t")
            else:
                await pool.fetch_all("select * from t limit 5")

        for _ in range(20):
            tasks = [asyncio.ensure_future(one()) for _ in range(20)]
            for task in tasks:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait_for(asyncio.wait(tasks), SECONDS)
            for task in tasks:
                if not task.cancelled():
                    task.result()
        stats = pool.get_stats()
        assert stats["requests_waiting"] == 0
        assert stats["pool_available"] == stats["pool_size"]
        # Of a transaction both rows are there, or none.
        single = await pool.fetch_scalar("select count(*) from t where a = 1")
        assert single >= await pool.fetch_scalar("select count(*) from t where a = 2")
        async with pool.transaction() as tx:
            await tx.execute("insert into t values (3)")


# -- growing and shrinking


async def test_it_grows_and_shrinks(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=4, min_readers=1, max_idle=0.01) as pool:
        await filled(pool)
        assert pool.get_stats()["pool_size"] == 2
        async with pool.read(), pool.read(), pool.read():
            assert pool.get_stats()["pool_size"] == 4
        while pool.get_stats()["pool_size"] > 2:
            await asyncio.sleep(0.005)
        assert await pool.fetch_scalar(COUNT) == 0
        assert pool.get_stats()["pool_size"] == 2


async def test_idle_connections_are_handed_out_not_in_turns(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=4) as pool:
        async with pool.read() as first, pool.read():
            pass
        seen = set()
        for _ in range(10):
            async with pool.read() as db:
                seen.add(db)
        assert len(seen) == 1 and first is not None


async def test_old_and_broken_connections_are_replaced(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=1, max_lifetime=0) as pool:
        seen = []
        for _ in range(3):
            async with pool.read() as db:
                seen.append(db)
        assert len(set(map(id, seen))) == 3
    async with csqlite.create_pool(path, max_readers=1) as pool:
        async with pool.read() as db:
            await db.close()
        async with pool.read() as another:
            assert another is not db
        async with pool.write() as db:
            await db.close()
        await filled(pool, 1)
        pool.expire_connections()
        assert await pool.fetch_scalar(COUNT) == 1
        async with pool.read() as last:
            assert last is not another


async def test_check_init_and_prepare(path: Path) -> None:
    opened, checked = [], []

    async def init(db: csqlite.Connection[Any]) -> None:
        opened.append(db)
        await db.create_function("twice", 1, lambda number: 2 * number)

    async def check(db: csqlite.Connection[Any]) -> None:
        checked.append(db)
        if len(checked) == 2:
            raise LookupError("broken")

    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
    options: dict[str, Any] = {"init": init, "check": check, "prepare": ["select a from t"]}
    async with csqlite.create_pool(path, **options) as pool:
        for _ in range(3):
            assert await pool.fetch_scalar("select twice(4)") == 8
        assert len(set(checked)) > 1 and set(checked) <= set(opened)
        assert pool.get_stats()["connections_lost"] == 1
    with pytest.raises(sqlite3.OperationalError, match="no such table: u"):
        await csqlite.create_pool(path, prepare=["select a from u"])


async def test_an_opening_that_fails_fails_for_who_asked(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
        await csqlite.create_pool(tmp_path / "nowhere" / "x.db")
    path = tmp_path / "x.db"
    failing = False

    def init(db: csqlite.Connection[Any]) -> None:
        if failing:
            raise LookupError("not now")

    async with csqlite.create_pool(path, max_readers=1, init=init) as pool:
        failing = True
        for _ in range(3):
            with pytest.raises(LookupError):
                await pool.fetch_scalar("select 1")
        failing = False
        assert await pool.fetch_scalar("select 1") == 1
        assert pool.get_stats()["requests_errors"] == 3


# -- the end


async def test_closing_waits_for_what_is_held(path: Path) -> None:
    pool = await csqlite.create_pool(path, max_readers=1)
    await filled(pool)
    inside, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with pool.transaction() as tx:
            inside.set()
            await go.wait()
            await tx.execute("insert into t values (1)")

    async def wait() -> None:
        async with pool.write():
            raise AssertionError("nobody enters any more")

    task = asyncio.ensure_future(hold())
    await inside.wait()
    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(pool.close())
    with pytest.raises(csqlite.PoolClosed):
        await waiting
    with pytest.raises(csqlite.PoolClosed, match="the pool is closed"):
        await pool.fetch_scalar(COUNT)
    assert not closing.done()
    go.set()
    await asyncio.wait_for(asyncio.gather(task, closing), SECONDS)
    await pool.close()
    async with csqlite.connect(path) as db:
        assert await db.fetch_scalar(COUNT) == 1


@pytest.mark.parametrize("way", ["close", "terminate"])
async def test_what_is_held_too_long_is_cut_off(path: Path, way: str) -> None:
    pool = await csqlite.create_pool(path)
    await filled(pool)
    inside = asyncio.Event()

    async def hold() -> None:
        async with pool.transaction() as tx:
            await tx.execute("insert into t values (1)")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(hold())
    await inside.wait()
    await asyncio.wait_for(pool.close(0.01) if way == "close" else pool.terminate(), SECONDS)
    task.cancel()
    await asyncio.wait([task])
    async with csqlite.connect(path, timeout=0) as db:
        assert await db.fetch_scalar(COUNT) == 0
        await db.execute("insert into t values (2)")


async def test_a_pool_that_is_not_open(path: Path) -> None:
    pool = csqlite.create_pool(path)
    with pytest.raises(csqlite.PoolClosed, match="not open"):
        await pool.fetch_all("select 1")
    async with pool:
        assert await pool.fetch_scalar("select 1") == 1
    with pytest.raises(RuntimeError, match="opened once"):
        await pool
    assert not path.with_name(path.name + "-wal").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_readers": 0}, ValueError),
        ({"min_readers": -1}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"max_idle": float("nan")}, ValueError),
        ({"max_waiting": -1}, ValueError),
        ({"isolation_level": None}, TypeError),
        ({"factory": sqlite3.Connection}, TypeError),
        ({"max_readers": 2, "min_readers": 3}, ValueError),
    ],
)
def test_options_that_make_no_sense(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        csqlite.create_pool("x.db", **options)


async def test_a_loop_of_its_own_for_each(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool)

        async def elsewhere(run: Callable[[], Awaitable[Any]]) -> Any:
            return await run()

        def other() -> None:
            with pytest.raises(RuntimeError, match="belongs to the event loop"):
                asyncio.run(elsewhere(lambda: pool.fetch_all("select 1")))

            async def own() -> None:
                async with csqlite.create_pool(path) as mine:
                    for number in range(50):
                        await mine.execute("insert into t values (?)", (number,))

            asyncio.run(own())

        threads = [threading.Thread(target=other) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(50):
            await pool.execute("insert into t values (?)", (number,))
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert await pool.fetch_scalar(COUNT) == 150


async def test_statistics(path: Path) -> None:
    async with csqlite.create_pool(path, max_readers=2) as pool:
        await filled(pool)
        async with pool.read(), pool.read():
            tasks = [asyncio.ensure_future(pool.fetch_scalar(COUNT)) for _ in range(10)]
            while pool.get_stats()["requests_waiting"] < 10:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        stats = pool.pop_stats()
        assert stats["requests_num"] >= 10 and stats["requests_queued"] >= 1
        assert stats["connections_num"] == 3 == stats["pool_size"]
        again = pool.get_stats()
        assert again["requests_num"] == 0 and again["pool_size"] == 3


async def test_a_database_in_memory_has_one_connection() -> None:
    async with csqlite.create_pool(":memory:") as pool:
        await filled(pool, 5)
        assert pool.get_stats()["pool_size"] == 1
        async with pool.read() as db:
            assert await db.fetch_scalar(COUNT) == 5
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await db.execute("delete from t")
            with pytest.raises(sqlite3.ProgrammingError, match="gives"):
                await pool.fetch_scalar(COUNT)
        await asyncio.gather(*[pool.execute("insert into t values (1)") for _ in range(50)])
        pool.expire_connections()
        assert await pool.fetch_scalar(COUNT) == 55
        with pytest.raises(sqlite3.NotSupportedError):
            async with pool.snapshot(1):
                pass


async def test_nothing_is_left_behind(path: Path) -> None:
    async with csqlite.create_pool(path) as pool:
        await filled(pool)
    del pool
    gc.collect()


def test_names_are_imported_when_they_are_used() -> None:
    assert csqlite.create_pool.__module__ == "csqlite.pool.pool"
    with pytest.raises(AttributeError, match="has no attribute 'create_pol'"):
        _ = csqlite.create_pol  # type: ignore[attr-defined]


@pytest.mark.parametrize("ended", ["close", "terminate"])
@pytest.mark.parametrize("readers", [0, 1, 3])
async def test_the_writer_is_closed_last_and_does_away_with_the_log(
    path: Path, ended: str, readers: int
) -> None:
    for _ in range(10):
        pool = await csqlite.create_pool(path, min_readers=readers)
        await pool.execute("create table if not exists t (a)")
        await asyncio.gather(*[pool.fetch_scalar(COUNT) for _ in range(4)])
        await getattr(pool, ended)()
        assert [file.name for file in path.parent.iterdir()] == [path.name]


DYING = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma cache_size = 1")
db.execute("begin immediate")
db.execute("update t set a = 2")
for _ in range(100):
    db.execute("insert into t values (randomblob(4000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "wal"])
async def test_readers_go_on_when_another_process_has_died_while_writing(
    path: Path, mode: str
) -> None:
    async with csqlite.create_pool(path, min_readers=2, pragmas={"journal_mode": mode}) as pool:
        await pool.execute("create table t (a)")
        await pool.execute("insert into t values (1)")
        for _ in range(2):
            done = subprocess.run([sys.executable, "-c", DYING, str(path)], check=False)
            assert done.returncode == -signal.SIGKILL
            assert await pool.fetch_all("select a from t") == [(1,)]
            async with pool.read() as db:
                assert await db.execute_fetchall("select a from t") == [(1,)]
                with pytest.raises(sqlite3.OperationalError, match="readonly"):
                    await db.execute("insert into t values (3)")
        await pool.execute("update t set a = a + 1")
        assert await pool.fetch_scalar("select a from t") == 2


async def test_where_a_statement_belongs_is_not_mixed_up_with_what_others_prepare(
    path: Path,
) -> None:
    async with csqlite.create_pool(path) as pool:
        await pool.execute("create table t (a)")

        async def other(number: int) -> None:
            # As what follows the commits does, on the connection that statements are looked at with.
            await pool._preparing.execute_fetchall(f"select {number} from temp.sqlite_master")

        async def cancelled(number: int) -> None:
            looking = asyncio.ensure_future(
                pool.fetch_all(f"select {number} from temp.sqlite_master")
            )
            await asyncio.sleep(0)
            looking.cancel()
            await asyncio.wait([looking])

        for number in range(50):
            others = [other(100 * number + each) for each in range(20)]
            looking = pool.fetch_all(f"select {number}, a from t")
            *_, found = await asyncio.gather(*others, cancelled(number), looking)
            assert found == []
            with pytest.raises(sqlite3.ProgrammingError, match="temporary"):
                await pool.fetch_all(f"select 1, {number} from temp.sqlite_master")
