"""Tasks cancelled in asyncio's own ways, at moments that last: each moment with each way.

`cleanliness` says what has to hold afterwards; where it is not as in the beginning, the moment says so.
"""

import asyncio
import random
import statistics
import sys
import threading

import pytest
from cleanliness import LATENCIES, SECONDS, Scene
from doses import dose

import csqlite

ENDLESS = "with recursive n(i) as (select started() union all select i + 1 from n) select i from n"
LOCKED = "begin immediate"


# -- moments: how to get there, and what a cancelled task does ---------------------
# Each gives a coroutine, and an awaitable for when it has come to where it is to be cancelled. What
# stands behind `yield` runs when the task was cancelled.


async def signalling(scene):
    """Let SQL tell that it has begun: give what tells when."""
    started = threading.Event()
    await scene.db.create_function("started", 0, lambda: started.set() or 0)
    return asyncio.to_thread(started.wait, SECONDS)


async def traced(scene, statement):
    """Give what tells when the statement has begun, and so waits for a lock."""
    begun = threading.Event()
    await scene.db.set_trace_callback(lambda sql: sql.lower().startswith(statement) and begun.set())
    return asyncio.to_thread(begun.wait, SECONDS)


async def reading(scene):
    yield scene.db.execute(f"select count(*) from ({ENDLESS})"), await signalling(scene)


async def fetching(scene):
    yield scene.db.execute_fetchall(ENDLESS), await signalling(scene)


async def iterating(scene):
    async def iterate():
        async for _ in await scene.cursor.execute(ENDLESS):
            await asyncio.sleep(0)

    yield iterate(), await signalling(scene)


async def writing(scene):
    yield scene.db.execute(f"insert into t {ENDLESS}"), await signalling(scene)


async def writing_in_autocommit(scene):
    scene.db.isolation_level = None
    yield scene.db.execute(f"insert into t {ENDLESS}"), await signalling(scene)
    scene.db.isolation_level = ""


async def executemany_of_one_endless_row(scene):
    parameters = [(0,), (1,)]
    yield (
        scene.db.executemany(f"insert into t select ? + i from ({ENDLESS})", parameters),
        await signalling(scene),
    )


async def executemany_of_an_endless_generator(scene):
    reached = asyncio.Event()

    def rows():
        number = 0
        while True:
            number += 1
            if number == 3000:
                reached.set()
            yield (number,)

    yield scene.db.executemany("insert into t values (?)", rows()), reached.wait()


async def script(scene):
    yield (
        scene.db.executescript(f"insert into t values (1); select count(*) from ({ENDLESS})"),
        await signalling(scene),
    )


async def waiting_to_begin(scene):
    await scene.other.execute(LOCKED)
    yield scene.db.execute("begin immediate"), await traced(scene, "begin")
    await scene.other.execute("commit")


async def waiting_to_write(scene):
    await scene.other.execute(LOCKED)
    yield scene.db.execute("insert into t values (1)"), await traced(scene, "insert")
    await scene.other.execute("commit")


async def waiting_to_checkpoint(scene):
    reader = await scene.other.execute("select i from numbers")
    await scene.db.execute("insert into t values (1)")
    await scene.db.commit()
    yield scene.db.execute("pragma wal_checkpoint(truncate)"), await traced(scene, "pragma")
    await reader.close()


async def backing_up_into_a_locked_file(scene):
    path = scene.new_path()
    async with csqlite.connect(path, isolation_level=None) as locker:
        await locker.execute("create table held (a)")
        await locker.execute("begin immediate")
        reached = asyncio.Event()
        yield (
            scene.db.backup(path, pages=1, sleep=0, progress=lambda *_: reached.set()),
            asyncio.sleep(0.02),
        )


async def queued(scene):
    entered, release = threading.Event(), threading.Event()
    await scene.db.create_function("block", 0, lambda: entered.set() or release.wait(SECONDS))
    blocked = asyncio.ensure_future(scene.db.execute_fetchall("select block()"))
    await asyncio.to_thread(entered.wait, SECONDS)
    yield scene.db.execute("insert into t values (1)"), asyncio.sleep(0)
    release.set()
    await blocked


async def in_a_function(scene):
    entered, release = threading.Event(), threading.Event()
    await scene.db.create_function("block", 0, lambda: entered.set() or release.wait(SECONDS))
    yield (
        scene.db.execute("insert into t select block() from numbers"),
        asyncio.to_thread(entered.wait, SECONDS),
    )
    release.set()


async def in_a_coroutine_function(scene):
    entered, never = asyncio.Event(), asyncio.Event()

    async def wait():
        entered.set()
        await never.wait()

    await scene.db.create_function("wait", 0, wait)
    yield scene.db.execute("insert into t select wait()"), entered.wait()


async def in_a_table_of_an_asynchronous_generator(scene):
    entered, never = asyncio.Event(), asyncio.Event()

    async def source():
        yield (1,)
        entered.set()
        await never.wait()
        yield (2,)

    await scene.db.create_module("source", source, ["a"])
    yield scene.db.execute_fetchall("select * from source"), entered.wait()
    await scene.db.create_module("source", None)


async def in_a_conflict(scene):
    entered, release = threading.Event(), threading.Event()
    async with csqlite.connect(":memory:") as db:
        await db.execute("create table keyed (a integer primary key, b)")
        async with db.session() as session:
            await session.attach("keyed")
            await db.execute("insert into keyed values (1, 2), (2, 3), (3, 4)")
            data = await session.changeset()
    await scene.other.execute("replace into keyed values (1, 9)")

    def conflict(reason, change):
        entered.set()
        release.wait(SECONDS)
        return csqlite.SQLITE_CHANGESET_REPLACE

    yield (
        scene.db.apply_changeset(data, conflict=conflict),
        asyncio.to_thread(entered.wait, SECONDS),
    )
    release.set()


async def dumping(scene):
    reached, never = asyncio.Event(), asyncio.Event()

    async def dump():
        async for line in scene.db.iterdump():
            if "insert" in line.lower():
                reached.set()
                await never.wait()

    yield dump(), reached.wait()


MOMENTS = [
    reading,
    fetching,
    iterating,
    writing,
    writing_in_autocommit,
    executemany_of_one_endless_row,
    executemany_of_an_endless_generator,
    script,
    waiting_to_begin,
    waiting_to_write,
    waiting_to_checkpoint,
    backing_up_into_a_locked_file,
    queued,
    in_a_function,
    in_a_coroutine_function,
    in_a_table_of_an_asynchronous_generator,
    in_a_conflict,
    dumping,
]


# -- ways to be cancelled ---------------------------------------------------------


async def once(coroutine, there):
    task = asyncio.ensure_future(coroutine)
    await there
    task.cancel()
    await asyncio.wait([task])
    return task


async def twice(coroutine, there):
    task = asyncio.ensure_future(coroutine)
    await there
    task.cancel()
    task.cancel()
    await asyncio.wait([task])
    return task


async def again_while_it_settles(coroutine, there):
    task = asyncio.ensure_future(coroutine)
    await there
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    return task


async def by_wait_for(coroutine, there):
    task = asyncio.ensure_future(coroutine)
    await there
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(task, 0.001)
    return task


async def by_timeout(coroutine, there):
    async def within():
        async with asyncio.timeout(None) as timeout:
            timeouts.append(timeout)
            await coroutine

    timeouts = []
    task = asyncio.ensure_future(within())
    await there
    timeouts[0].reschedule(0)
    with pytest.raises(TimeoutError):
        await task


async def by_a_sibling(coroutine, there):
    async def fail():
        await there
        raise LookupError

    with pytest.raises(BaseException, match="unhandled errors") as caught:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(wrapped(coroutine))
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    return task


async def wrapped(coroutine):
    return await coroutine


WAYS = [once, twice, again_while_it_settles, by_wait_for]
if sys.version_info >= (3, 11):
    WAYS += [by_timeout, by_a_sibling]


@pytest.mark.seconds(240)
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
async def test_cancelled(tmp_path, capfd, moment):
    before = len(LATENCIES)
    async with Scene(tmp_path, capfd, timeout=3600) as scene:
        for way in WAYS:
            scene.note = f"{moment.__name__}, cancelled {way.__name__}"
            there = moment(scene)
            coroutine, reached = await there.__anext__()
            task = await asyncio.wait_for(way(coroutine, reached), SECONDS)
            assert task is None or task.cancelled(), scene.note
            del task, coroutine, reached
            with pytest.raises(StopAsyncIteration):
                await there.__anext__()
            await scene.db.set_trace_callback(None)
            await scene.renew()
            await scene.check()
    # 50 ms is what is promised, of a machine that has nothing else to do.
    assert statistics.median(LATENCIES[before:]) < 0.5


# -- others are not concerned -----------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000])
async def test_tasks_cancelled_at_random_leave_others_their_own_answers(tmp_path, capfd, size):
    chance = random.Random(size)
    async with Scene(tmp_path, capfd) as scene:

        async def ask(number):
            sql = "select ?, i from numbers limit ?"
            rows = await scene.db.execute_fetchall(sql, (number, size))
            assert [row[0] for row in rows] == [number] * size
            cursor = await scene.db.execute("select ? + i from numbers limit 9", (number,))
            assert [row[0] async for row in cursor] == [number + i for i in range(1, 10)]

        async def write(number):
            await scene.db.execute("insert into t values (?)", (number,))
            await scene.db.rollback()

        for _ in range(dose(3, 100)):
            tasks = [asyncio.ensure_future((write if n % 5 == 0 else ask)(n)) for n in range(40)]
            for _ in range(20):
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                chance.choice(tasks).cancel()
            await asyncio.wait(tasks)
            assert all(task.cancelled() or task.exception() is None for task in tasks)
            del tasks
            await scene.check(in_transaction=None)
