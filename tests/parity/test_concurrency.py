"""Many tasks, many connections, many loops and threads."""

import asyncio
import contextvars
import threading

import pytest
from parity.outcomes import fetchall, outcome, scalar


async def test_tasks_run_first_in_first_out(db):
    order = []
    await db.create_function("note", 1, order.append)
    await asyncio.gather(*[db.execute_fetchall("select note(?)", (n,)) for n in range(200)])
    assert order == list(range(200))


async def test_order_holds_across_kinds_of_calls(db):
    order = []
    await db.create_function("note", 1, order.append)
    await db.execute("create table t (a)")
    cursor = await db.cursor()
    await asyncio.gather(
        db.execute("select note(0)"),
        db.execute_fetchall("select note(1)"),
        cursor.execute("select note(2)"),
        db.executescript("select note(3); select note(4);"),
        db.executemany("insert into t select note(?)", [(5,), (6,)]),
        db.execute_insert("insert into t select note(7)"),
        db.commit(),
        db.execute("select note(8)"),
    )
    assert order == list(range(9))


async def test_gathered_results_belong_to_their_tasks(db):
    rows = await asyncio.gather(*[db.execute_fetchall("select ?", (n,)) for n in range(300)])
    assert rows == [[(n,)] for n in range(300)]


async def test_gathered_cursors_are_read_interleaved(db):
    sql = "with recursive n(i) as (select ? union all select i + 1 from n limit 50) select i from n"

    async def read(start):
        seen = []
        async with db.execute(sql, (start,)) as cursor:
            while True:
                row = await cursor.fetchone()
                if row is None:
                    return seen
                seen.append(row[0])

    results = await asyncio.gather(*[read(start) for start in range(0, 1000, 100)])
    assert results == [list(range(start, start + 50)) for start in range(0, 1000, 100)]


async def test_many_connections_at_once(aiosqlite, path):
    async with aiosqlite.connect(path) as db:
        await db.execute("create table t (a)")

    async def insert(number):
        async with aiosqlite.connect(path, timeout=25) as db:
            await db.execute("insert into t values (?)", (number,))
            await db.commit()

    await asyncio.gather(*[insert(number) for number in range(12)])
    async with aiosqlite.connect(path) as db:
        assert await fetchall(db, "select a from t order by a") == [(n,) for n in range(12)]


async def test_connections_in_memory_at_once(aiosqlite):
    async def use(number):
        async with aiosqlite.connect(":memory:") as db:
            await db.execute("create table t (a)")
            await db.executemany("insert into t values (?)", [(number,)] * 10)
            return await scalar(db, "select sum(a) from t")

    assert await asyncio.gather(*[use(n) for n in range(20)]) == [n * 10 for n in range(20)]


async def test_connections_run_side_by_side(aiosqlite):
    # Each function waits for the other: with one worker for both, neither would return.
    barrier = threading.Barrier(2, timeout=20)
    async with aiosqlite.connect(":memory:") as one, aiosqlite.connect(":memory:") as two:
        for db in (one, two):
            await db.create_function("meet", 0, lambda: barrier.wait() * 0)
        assert await asyncio.gather(scalar(one, "select meet()"), scalar(two, "select meet()")) == [
            0,
            0,
        ]


async def test_connection_used_from_a_loop_in_another_thread(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")

    async def elsewhere():
        async with db.execute("select a from t") as cursor:
            return [row async for row in cursor]

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == [(1,)]
    assert await fetchall(db, "select a from t") == [(1,)]


async def test_cursor_used_from_a_loop_in_another_thread(db):
    cursor = await db.execute("select 1 union all select 2 union all select 3")
    assert await cursor.fetchone() == (1,)

    async def elsewhere():
        return await cursor.fetchone()

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == (2,)
    assert await cursor.fetchone() == (3,)


async def test_loops_of_four_threads_share_a_connection(db):
    await db.execute("create table t (a)")
    barrier = threading.Barrier(4, timeout=20)

    async def insert(number):
        barrier.wait()
        for value in range(50):
            await db.execute("insert into t values (?)", (number * 50 + value,))

    await asyncio.gather(*[asyncio.to_thread(asyncio.run, insert(number)) for number in range(4)])
    assert await fetchall(db, "select a from t order by a") == [(n,) for n in range(200)]


async def test_two_loops_each_with_a_connection(aiosqlite):
    barrier = threading.Barrier(2, timeout=20)

    async def use(number):
        async with aiosqlite.connect(":memory:") as db:
            barrier.wait()
            return [await scalar(db, "select ?", (number + n,)) for n in range(50)]

    results = await asyncio.gather(*[asyncio.to_thread(asyncio.run, use(n)) for n in (0, 100)])
    assert results == [list(range(50)), list(range(100, 150))]


def test_connection_outlives_the_loop_that_opened_it(aiosqlite):
    async def connect():
        db = await aiosqlite.connect(":memory:")
        await db.execute("create table t (a)")
        return db

    async def use(db):
        await db.execute("insert into t values (1)")
        rows = await fetchall(db, "select a from t")
        await db.close()
        return rows

    assert asyncio.run(use(asyncio.run(connect()))) == [(1,)]


def test_one_loop_after_another(aiosqlite):
    async def use(number):
        async with aiosqlite.connect(":memory:") as db:
            return await scalar(db, "select ?", (number,))

    assert [asyncio.run(use(number)) for number in range(10)] == list(range(10))


def test_uvloop(aiosqlite, path):
    uvloop = pytest.importorskip("uvloop")

    async def use():
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        async with aiosqlite.connect(path) as db:
            await db.execute("create table t (a)")
            await asyncio.gather(
                *[db.execute("insert into t values (?)", (n,)) for n in range(100)]
            )
            await db.commit()
            async with db.execute("select a from t") as cursor:
                return [row[0] async for row in cursor]

    loop = uvloop.new_event_loop()
    try:
        assert loop.run_until_complete(asyncio.wait_for(use(), 25)) == list(range(100))
    finally:
        loop.close()


async def test_loop_is_free_while_a_statement_runs(db):
    release = threading.Event()
    await db.create_function("wait", 0, lambda: release.wait(20))
    task = asyncio.ensure_future(scalar(db, "select wait()"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not task.done()
    release.set()
    assert await task == 1


async def test_debug_mode_of_the_loop(db):
    asyncio.get_running_loop().set_debug(True)
    assert await scalar(db, "select 1") == 1
    async with db.execute("select 1 union all select 2") as cursor:
        assert [row async for row in cursor] == [(1,), (2,)]


async def test_results_can_be_made_into_tasks(db):
    task = asyncio.ensure_future(db.execute("select 1"))
    cursor = await task
    assert await asyncio.wait_for(cursor.fetchone(), 20) == (1,)
    assert await asyncio.shield(db.execute_fetchall("select 2")) == [(2,)]
    assert await asyncio.create_task(db.execute_fetchall("select 3")) == [(3,)]


async def test_cancelled_task_raises_cancelled_error_and_the_connection_works_on(db):
    entered, release = threading.Event(), threading.Event()

    def wait():
        entered.set()
        return release.wait(20)

    await db.create_function("wait", 0, wait)
    task = asyncio.ensure_future(scalar(db, "select wait()"))
    await asyncio.to_thread(entered.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await scalar(db, "select 'still here'") == "still here"


async def test_timeout_around_a_statement(db):
    entered, release = threading.Event(), threading.Event()

    def wait():
        entered.set()
        return release.wait(20)

    await db.create_function("wait", 0, wait)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(scalar(db, "select wait()"), 0.05)
    release.set()
    assert await outcome(db.execute_fetchall("select 1")) == [(1,)]


async def test_context_variables_of_the_awaiting_task_are_its_own(db):
    variable = contextvars.ContextVar("variable")

    async def task(value):
        variable.set(value)
        await scalar(db, "select 1")
        return variable.get()

    assert await asyncio.gather(*[task(n) for n in range(10)]) == list(range(10))


async def test_pipeline_of_statements_sees_its_own_writes(db):
    await db.execute("create table t (a)")
    results = await asyncio.gather(
        db.execute("insert into t values (1)"),
        db.execute_fetchall("select count(*) from t"),
        db.execute("insert into t values (2)"),
        db.execute_fetchall("select count(*) from t"),
        db.rollback(),
        db.execute_fetchall("select count(*) from t"),
    )
    assert [results[1], results[3], results[5]] == [[(1,)], [(2,)], [(0,)]]
