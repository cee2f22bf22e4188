"""fetch_one() and the like of a pool: coroutines that take a reader, and give it back however they end."""

from __future__ import annotations

import asyncio
import gc
import inspect
import random
import sqlite3
import types
import warnings
import weakref
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import csqlite
from csqlite import _csqlite

SECONDS = 60  # For what has to come, on a machine with much else to do.

ONE = "select a from t where a = ?"
SLOW = "with recursive n(i) as (select 1 union all select i + 1 from n) select sum(i) from n"
NAMES = ["fetch_all", "fetch_one", "fetch_optional", "fetch_scalar", "execute_fetchall"]
ANSWERS: dict[str, Any] = {
    "fetch_all": [(3,)],
    "fetch_one": (3,),
    "fetch_optional": (3,),
    "fetch_scalar": 3,
    "execute_fetchall": [(3,)],
}


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[csqlite.Pool[Any]]:
    """A pool of a table with ten rows, which has a reader that is idle, and knows ONE."""
    async with csqlite.create_pool(path, **options) as pool:
        await pool.execute("create table t (a)")
        await pool.executemany("insert into t values (?)", [(row,) for row in range(10)])
        for _ in range(2):
            assert await pool.fetch_scalar(ONE, (3,)) == 3
        yield pool
        assert pool._readers.waiting == 0 and not pool._readers.held and not pool._writers.held
        await pool._readers.ended()
        stats = pool.get_stats()
        assert stats["requests_waiting"] == 0
        assert stats["pool_available"] == stats["pool_size"]


@pytest.mark.parametrize("name", NAMES)
async def test_the_quick_way_is_taken(path: Path, name: str) -> None:
    async with opened(path) as pool:
        assert pool._readers.quick
        asked = pool._readers.taken
        pool._fetch = None  # Python is not asked.
        for _ in range(5):
            assert await getattr(pool, name)(ONE, (3,)) == ANSWERS[name]
        assert pool._readers.taken == asked + 5
        del pool._fetch
        assert pool.pop_stats()["requests_num"] >= 5
        assert pool.get_stats()["requests_num"] == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "options", [{}, {"max_readers": 1}, {"check": lambda db: None}, {"max_lifetime": 0}]
)
async def test_the_same_answers_in_any_way(path: Path, name: str, options: Any) -> None:
    async with opened(path, **options) as pool:

        async def one(number: int) -> None:
            answer = await getattr(pool, name)(sql=ONE, parameters=(number % 10,))
            assert str(number % 10) in str(answer)

        await asyncio.gather(*[one(number) for number in range(60)])
        assert await getattr(pool, name)("select 3", deadline=SECONDS) == ANSWERS[name]
        assert await getattr(pool, name)("select :a", {"a": 3}) == ANSWERS[name]


@pytest.mark.parametrize("name", NAMES)
async def test_errors_give_the_reader_back(path: Path, name: str) -> None:
    async with opened(path, max_readers=1) as pool:
        call = getattr(pool, name)
        with pytest.raises(sqlite3.ProgrammingError, match="0 were supplied|uses 1"):
            await call(ONE)
        with pytest.raises(csqlite.DeadlineExceeded):
            await call(SLOW, deadline=0.01)
        with pytest.raises(csqlite.DeadlineExceeded):
            await call(SLOW, deadline=0.01)
        with pytest.raises(sqlite3.OperationalError, match="integer overflow"):
            await call("select abs(-9223372036854775808)")
        for arguments in ((), (ONE, (1,), 2), (ONE, (1,), 2, 3)):
            with pytest.raises(TypeError):
                call(*arguments)
        with pytest.raises(TypeError):
            await call(3)
        with pytest.raises(TypeError):
            call(ONE, wrong=1)
        if name in ("fetch_one", "fetch_optional"):
            for _ in range(3):
                with pytest.raises(csqlite.RowCountError, match="the query gave 10"):
                    await call("select a from t")
        assert await call(ONE, (3,)) == ANSWERS[name]


@pytest.mark.parametrize("name", NAMES)
async def test_row_factories(path: Path, name: str) -> None:
    def fail(cursor: Any, row: Any) -> Any:
        raise LookupError(row)

    async with opened(path, row_factory=lambda cursor, row: [*row], max_readers=1) as pool:
        expected = {"fetch_scalar": 3, "fetch_one": [3], "fetch_optional": [3]}.get(name, [[3]])
        assert await getattr(pool, name)(ONE, (3,)) == expected
        async with pool.read() as db:
            db.row_factory = fail
        if name != "fetch_scalar":
            with pytest.raises(LookupError):
                await getattr(pool, name)(ONE, (3,))


# -- as coroutines


@pytest.mark.parametrize("name", NAMES)
async def test_they_are_coroutines(path: Path, name: str) -> None:
    async with opened(path) as pool:
        call = getattr(pool, name)(ONE, (3,))
        assert asyncio.iscoroutine(call) and isinstance(call, Coroutine)
        assert inspect.isawaitable(call)
        assert repr(call).startswith("<csqlite call Pool.fetch_")
        assert call.__qualname__ == f"Pool.{call.__name__}" and call.task is None
        assert await asyncio.create_task(call) == ANSWERS[name]
        assert "done" in repr(call)
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await call
        with pytest.raises(RuntimeError, match="cannot reuse"):
            call.send(None)
        with pytest.raises(RuntimeError, match="cannot reuse"):
            call.throw(LookupError)
        call.close()
        assert await asyncio.wait_for(getattr(pool, name)(ONE, (3,)), SECONDS) == ANSWERS[name]
        assert await asyncio.shield(getattr(pool, name)(ONE, (3,))) == ANSWERS[name]
        assert list[int] and type(call)[int].__origin__ is type(call)


async def test_a_coroutine_that_is_driven_by_hand(path: Path) -> None:
    async with opened(path) as pool:

        @types.coroutine
        def drive(call: Any) -> Any:
            try:
                while True:
                    yield call.send(None)
            except StopIteration as stop:
                return stop.value

        @types.coroutine
        def delegate(call: Any) -> Any:
            return (yield from call)

        for how in (drive, delegate):
            assert await how(pool.fetch_one(ONE, (3,))) == (3,)
            assert await how(pool.fetch_optional(ONE, (30,))) is None


async def test_one_that_is_not_awaited(path: Path) -> None:
    async with opened(path) as pool:
        with pytest.warns(RuntimeWarning, match=r"coroutine 'Pool\.fetch_one' was never awaited"):
            pool.fetch_one(ONE, (3,))
            gc.collect()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            call = pool.fetch_one(ONE, (3,))
            call.close()
            with pytest.raises(RuntimeError, match="cannot reuse"):
                await call
        call = pool.fetch_one(ONE, (3,))
        with pytest.raises(LookupError):
            call.throw(LookupError("thrown"))
        assert not pool._readers.held


async def test_one_that_is_dropped_or_closed_half_way(path: Path) -> None:
    async with opened(path, max_readers=1) as pool:
        with pytest.raises(csqlite.DeadlineExceeded):
            await pool.fetch_all(SLOW, deadline=0.01)
        for way in ("drop", "close", "throw", "cycle"):
            call = pool.fetch_all(SLOW)
            assert call.send(None) is not None
            assert len(pool._readers.held) == 1
            if way == "close":
                call.close()
            elif way == "throw":
                with pytest.raises(LookupError):
                    call.throw(LookupError)
            elif way == "cycle":
                holder: list[Any] = [call]
                holder.append(holder)
                del holder
            del call
            gc.collect()
            assert not pool._readers.held
            assert await asyncio.wait_for(pool.fetch_scalar(ONE, (3,)), SECONDS) == 3


async def test_a_pool_is_not_kept_alive(path: Path) -> None:
    async with opened(path) as pool:
        await pool.fetch_one(ONE, (3,))
        reference = weakref.ref(pool)
    del pool
    gc.collect()
    assert reference() is None


# -- who has it


async def test_a_call_in_the_quick_way_is_named(path: Path) -> None:
    async with opened(path, max_readers=1) as pool:
        with pytest.raises(csqlite.DeadlineExceeded):
            await pool.fetch_all(SLOW, deadline=0.01)
        slow = asyncio.create_task(pool.fetch_all(SLOW), name="the slow one")
        while not pool._readers.held:
            await asyncio.sleep(0)
        (holder,) = pool.holders()
        assert (holder.task, holder.sql) == ("the slow one", SLOW)
        with pytest.raises(csqlite.PoolTimeout, match="by the slow one for .* executing 'with"):
            async with pool.read(timeout=0.01):
                pass
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert pool.holders() == []


async def test_other_loops_and_closed_pools(path: Path) -> None:
    async with opened(path) as pool:

        def elsewhere() -> None:
            async def use() -> None:
                await pool.fetch_one(ONE, (3,))

            with pytest.raises(RuntimeError, match="belongs to the event loop"):
                asyncio.run(use())
            with pytest.raises(RuntimeError, match="no running event loop"):
                pool.fetch_one(ONE, (3,)).send(None)

        await asyncio.to_thread(elsewhere)
    with pytest.raises(csqlite.PoolClosed):
        await pool.fetch_one(ONE, (3,))
    bare = _csqlite.Pool()
    with pytest.raises(AttributeError, match="_fetch"):
        await bare.fetch_one(ONE)
    with pytest.raises(TypeError):
        _csqlite.PoolCall()  # type: ignore[type-var]
    with pytest.raises(TypeError):
        _csqlite.Member(3)  # type: ignore[arg-type]
    assert _csqlite.Shelf().idle == []


# -- cancelling


@pytest.mark.parametrize("name", NAMES)
async def test_cancelled_at_each_await(path: Path, name: str) -> None:
    async with opened(path, max_readers=1) as pool:
        for sql, parameters in ((ONE, (3,)), ("insert into t values (?) returning a", (3,))):
            for turns in range(8):
                task = asyncio.ensure_future(getattr(pool, name)(sql, parameters))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                # Nothing is half-read: the one reader sees what is written from now on.
                await pool.execute("insert into t values (100)")
                seen = await pool.fetch_scalar("select count(*) from t where a = 100")
                await pool.execute("delete from t where a = 100")
                assert seen == 1


async def test_a_cancelled_read_leaves_no_old_state_behind(path: Path) -> None:
    """The next one on the same reader sees what was written meanwhile."""
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n limit 100000)"
    big = f"select a from t, ({numbers} select i from n)"
    async with opened(path, max_readers=1) as pool:
        for number in range(100, 130):
            reading = asyncio.ensure_future(pool.fetch_all(big))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            reading.cancel()
            await pool.execute("insert into t values (?)", (number,))
            assert await pool.fetch_one(ONE, (number,)) == (number,)
            await asyncio.wait([reading])


async def test_a_write_that_is_answered_is_seen_in_the_quick_way(path: Path) -> None:
    async with opened(path, max_readers=2) as pool:

        async def one(number: int) -> None:
            await pool.execute("insert into t values (?)", (number,))
            assert await pool.fetch_one(ONE, (number,)) == (number,)
            assert await pool.fetch_scalar("insert into t values (?) returning a", (-number,))
            assert await pool.fetch_one(ONE, (-number,)) == (-number,)

        await asyncio.gather(*[one(number) for number in range(100, 200)])


@pytest.mark.parametrize("readers", [1, 3])
async def test_many_cancels_leave_the_statistics_balanced(path: Path, readers: int) -> None:
    chance = random.Random(readers)
    async with opened(path, max_readers=readers) as pool:
        pool.pop_stats()
        made = 0
        for _ in range(20):
            tasks = []
            for _ in range(20):
                call = getattr(pool, chance.choice(NAMES))
                tasks.append(asyncio.ensure_future(call(ONE, (3,))))
                made += 1
                if chance.random() < 0.3:
                    await asyncio.sleep(0)
            for task in tasks:
                if chance.random() < 0.5:
                    task.cancel()
                    if chance.random() < 0.3:
                        await asyncio.sleep(0)
            await asyncio.wait(tasks)
        assert pool.get_stats()["requests_num"] <= made


# -- writes share the writer


async def test_autocommit_writes_go_to_the_writer_together(path: Path) -> None:
    async with opened(path) as pool:
        writing = [
            asyncio.ensure_future(pool.execute("insert into t values (?)", (number,)))
            for number in range(100, 150)
        ]
        while len(pool._writers.held) == 0:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert pool._writers._sharers > 1 and pool._writers.waiting == 0
        # A transaction waits for those before it, and those behind it for the transaction.
        order = []

        async def transact() -> None:
            async with pool.transaction() as tx:
                order.append("in")
                await tx.execute("insert into t values (1000)")
                await asyncio.sleep(0)
                order.append("out")

        async def write(number: int) -> None:
            await pool.execute("insert into t values (?)", (number,))
            order.append(number)

        transacting = asyncio.ensure_future(transact())
        await asyncio.sleep(0)
        behind = [asyncio.ensure_future(write(number)) for number in range(3)]
        await asyncio.gather(transacting, *writing, *behind)
        assert order == ["in", "out", 0, 1, 2]
        assert await pool.fetch_scalar("select count(*) from t where a >= 100") == 51


async def test_who_shares_is_cancelled_at_random(path: Path) -> None:
    chance = random.Random(7)
    async with opened(path) as pool:
        for _ in range(15):
            tasks = []
            for number in range(12):
                if chance.random() < 0.3:

                    async def transact() -> None:
                        async with pool.transaction() as tx:
                            await tx.execute("insert into t values (-1)")
                            await tx.execute("insert into t values (-2)")

                    tasks.append(asyncio.ensure_future(transact()))
                else:
                    coroutine = pool.execute("insert into t values (?) returning a", (number,))
                    tasks.append(asyncio.ensure_future(coroutine))
                if chance.random() < 0.3:
                    await asyncio.sleep(0)
            for task in tasks:
                if chance.random() < 0.5:
                    await asyncio.sleep(0)
                    task.cancel()
            await asyncio.wait_for(asyncio.wait(tasks), SECONDS)
            assert pool._writers._sharers == 0 and not pool._writers.held
        ones = await pool.fetch_scalar("select count(*) from t where a = -1")
        assert ones == await pool.fetch_scalar("select count(*) from t where a = -2")


async def test_closing_while_writers_share(path: Path) -> None:
    pool = await csqlite.create_pool(path)
    await pool.execute("create table t (a)")

    async def write() -> Any:
        return await pool.execute("insert into t values (1)")

    async with pool.write():
        waiting = [asyncio.ensure_future(write()) for _ in range(5)]
        while pool._writers.waiting < 5:
            await asyncio.sleep(0)
    # They were handed the writer, and have not gone on yet.
    await asyncio.wait_for(pool.close(), SECONDS)
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, (csqlite.PoolClosed, tuple)) for one in done)
    async with csqlite.connect(path) as db:
        count = await db.fetch_scalar("select count(*) from t")
        assert count == sum(isinstance(one, tuple) for one in done)


@pytest.mark.parametrize("grouped", [True, False])
async def test_writes_that_wait_together_are_committed_together(path: Path, grouped: bool) -> None:
    async with opened(path, group_commit=grouped) as pool:
        pool.pop_stats()
        writes = [pool.execute("insert into t values (?)", (number,)) for number in range(100, 300)]
        done = await asyncio.gather(*writes)
        assert len({one.lastrowid for one in done}) == 200
        batches = pool.pop_stats()["batches_num"]
        assert 0 < batches < 200 if grouped else batches == 0
        assert pool.get_stats()["batches_num"] == 0
        await pool.fetch_scalar(ONE, (299,))
        await asyncio.gather(*[pool.execute("delete from t where a = ?", (n,)) for n in range(50)])
        pool.expire_connections()
        await pool._writers.ended()
        assert (pool.get_stats()["batches_num"] > 0) == grouped
