"""Who waits for a transaction, and what ends the waiting."""

import asyncio
import gc
import sqlite3
import threading

import pytest

import csqlite


@pytest.fixture
def db():
    return csqlite.connect(":memory:", isolation_level=None)


async def until_waiting(task):
    """Let a task come as far as it does without the transaction's end."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()


async def select(db):
    return await db.execute_fetchall("SELECT 1")


async def begin(db):
    return await db.begin()


WAITS = {
    "await": lambda call: call,
    "gather": lambda call: asyncio.gather(asyncio.sleep(0), call),
    "nested gather": lambda call: asyncio.gather(asyncio.gather(call)),
    "shield": asyncio.shield,
    "wait_for": lambda call: asyncio.wait_for(call, 20),
    "wait": lambda call: waited(call),  # noqa: PLW0108
    "task of a task": lambda call: asyncio.create_task(through(call)),
    "as_completed": lambda call: next(iter(asyncio.as_completed([call]))),
}


async def waited(call):
    await asyncio.wait([call])
    return call.result()


async def through(call):
    return await call


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
async def test_who_waits_while_the_owner_waits_for_it_is_told(db, wait):
    async with db.transaction() as tx:
        task = asyncio.create_task(select(db), name="reader")
        asyncio.current_task().set_name("owner")
        with pytest.raises(sqlite3.OperationalError, match="deadlock.*'reader'.*'owner'"):
            await wait(task)
        await tx.execute("SELECT 1")
    assert await select(db) == [(1,)]


async def test_two_connections_that_wait_for_each_other(db):
    entered = asyncio.Barrier(2) if hasattr(asyncio, "Barrier") else None
    if entered is None:
        pytest.skip("asyncio.Barrier is of Python 3.11")
    async with csqlite.connect(":memory:") as other:

        async def both(first, second):
            async with first.transaction():
                await entered.wait()
                await select(second)

        results = await asyncio.gather(both(db, other), both(other, db), return_exceptions=True)
        assert any(isinstance(result, sqlite3.OperationalError) for result in results)
        assert all("deadlock" in str(result) for result in results if result is not None)


async def test_a_task_that_the_owner_does_not_wait_for_goes_on_waiting(db):
    async with db.transaction():
        task = asyncio.create_task(select(db))
        done, _ = await asyncio.wait(
            [task, asyncio.create_task(asyncio.sleep(0.05))], return_when=asyncio.FIRST_COMPLETED
        )
        assert task not in done
    assert await task == [(1,)]


async def test_cancelling_ends_the_waiting_and_leaves_no_gap(db):
    async with db.transaction():
        tasks = [asyncio.create_task(select(db)) for _ in range(5)]
        await until_waiting(tasks[0])
        tasks[0].cancel()
        tasks[2].cancel()
        results = await asyncio.gather(tasks[0], tasks[2], return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert await asyncio.gather(tasks[1], tasks[3], tasks[4]) == [[(1,)]] * 3


async def test_cancelling_ends_the_waiting_for_ones_own_transaction(db):
    async def own():
        async with db.transaction():
            pass

    async with db.transaction():
        tasks = [asyncio.create_task(own()) for _ in range(3)]
        await until_waiting(tasks[1])
        tasks[0].cancel()
        tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [asyncio.CancelledError] * 2
    assert results[2] is None


async def test_deadlines_end_the_waiting(db):
    async def late():
        with pytest.raises(csqlite.DeadlineExceeded):
            await db.execute("SELECT 1", deadline=0.01)
        with pytest.raises(csqlite.DeadlineExceeded):
            async with db.transaction(deadline=0.01):
                pass
        with csqlite.timeout(0.01), pytest.raises(csqlite.DeadlineExceeded):
            async with db.transaction():
                pass
        done.set()

    done = asyncio.Event()
    async with db.transaction():
        task = asyncio.create_task(late())
        await done.wait()
    await task
    async with db.transaction():
        pass


async def test_closing_ends_the_waiting():
    db = await csqlite.connect(":memory:")
    tx = await db.begin()
    tasks = [asyncio.create_task(select(db)), asyncio.create_task(begin(db))]
    await until_waiting(tasks[1])
    await db.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, (sqlite3.Error, ValueError)) for result in results)
    with pytest.raises((sqlite3.Error, ValueError)):
        await tx.execute("SELECT 1")
    await tx.rollback()


async def test_one_that_is_forgotten_is_rolled_back(db):
    await db.execute("CREATE TABLE t(x)")
    tx = await asyncio.create_task(db.begin())
    await tx.execute("INSERT INTO t VALUES(1)")
    await asyncio.sleep(0)  # This step's handle has the task, whose result it is.
    with pytest.warns(ResourceWarning, match="forgotten"):
        del tx
        gc.collect()
    assert await db.execute_fetchall("SELECT * FROM t") == []
    async with db.transaction():
        pass


async def test_one_that_was_waited_for_and_is_forgotten_is_rolled_back(db):
    await db.execute("CREATE TABLE t(x)")
    tx = await asyncio.create_task(begin(db))
    await tx.execute("INSERT INTO t VALUES(1)")
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="left it open"):
            await select(db)
    with pytest.warns(ResourceWarning, match="forgotten"):
        del tx
        gc.collect()
    assert await db.execute_fetchall("SELECT * FROM t") == []


async def test_one_whose_task_is_done_makes_others_fail(db):
    task = asyncio.create_task(begin(db), name="gone")
    tx = await task
    with pytest.raises(sqlite3.OperationalError, match="'gone'.*left it open"):
        await select(db)
    await tx.execute("SELECT 1")
    await tx.rollback()
    assert await select(db) == [(1,)]


async def test_two_loops_on_one_connection(db):
    await db.execute("CREATE TABLE t(x)")
    await db.execute("INSERT INTO t VALUES(0)")

    async def count(times):
        for _ in range(times):
            async with db.transaction() as tx:
                ((x,),) = await tx.execute_fetchall("SELECT x FROM t")
                await asyncio.sleep(0)
                await tx.execute("UPDATE t SET x = ?", (x + 1,))

    async def several():
        await asyncio.gather(*(count(20) for _ in range(3)))

    thread = threading.Thread(target=lambda: asyncio.run(several()))
    thread.start()
    await several()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    thread.join()
    assert await db.execute_fetchall("SELECT x FROM t") == [(120,)]


async def test_a_loop_that_is_closed_lets_go(db):
    await db.execute("CREATE TABLE t(x)")
    left = []

    def other():
        async def leave():
            tx = await db.begin()
            await tx.execute("INSERT INTO t VALUES(1)")
            left.append(asyncio.ensure_future(db.execute("SELECT 1")))
            del tx

        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        loop.close()

    thread = threading.Thread(target=other)
    with pytest.warns(ResourceWarning, match="forgotten"):
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.001)
        gc.collect()
    assert await db.execute_fetchall("SELECT * FROM t") == []
