"""Entering a block while a transaction is open that a statement has begun."""

import asyncio
import gc
import sqlite3
import threading

import pytest

import csqlite
from csqlite import waits


@pytest.fixture
def db(path):
    return csqlite.connect(path)


@pytest.fixture
def unpolled(monkeypatch):
    """Let nobody look whether it is over: who waits has to be told."""
    monkeypatch.setattr(waits, "_FIRST", 1000)


class Other:
    """A task that has a transaction open, begun by a statement, until it is told how to end it."""

    def __init__(self, db):
        self.db = db
        self.begun = asyncio.Event()
        self.ends = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self.run())

    async def run(self):
        await self.db.execute("INSERT INTO t VALUES(0)")
        self.begun.set()
        end = await self.ends
        await end(self.db)


async def prepare(db):
    await db.execute("CREATE TABLE t(x)")
    await db.commit()
    other = Other(db)
    await other.begun.wait()
    return other


async def values(db):
    return [x for (x,) in await db.execute_fetchall("SELECT x FROM t")]


async def insert(db, number):
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES(?)", (number,))


async def until_waiting(*tasks):
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def raise_rollback(db):
    with pytest.raises(sqlite3.IntegrityError):
        await db.execute("INSERT OR ROLLBACK INTO u VALUES(1), (1)")


ENDS = {
    "commit": (lambda db: db.commit(), [0]),
    "rollback": (lambda db: db.rollback(), []),
    "COMMIT": (lambda db: db.execute("COMMIT"), [0]),
    "script": (lambda db: db.executescript("SELECT 1"), [0]),
    "OR ROLLBACK": (raise_rollback, []),
}


@pytest.mark.parametrize(("end", "left"), ENDS.values(), ids=ENDS)
async def test_whatever_ends_it_lets_who_waits_go_on_in_order(db, unpolled, end, left):
    await db.execute("CREATE TABLE u(x UNIQUE)")
    other = await prepare(db)
    tasks = [asyncio.create_task(insert(db, number)) for number in range(1, 6)]
    await until_waiting(*tasks)
    other.ends.set_result(end)
    await asyncio.gather(other.task, *tasks)
    assert await values(db) == [*left, 1, 2, 3, 4, 5]


async def test_who_has_it_comes_back_behind_who_has_waited(db, unpolled):
    other = await prepare(db)

    async def end(db):
        await db.commit()
        await insert(db, 2)

    task = asyncio.create_task(insert(db, 1))
    await until_waiting(task)
    other.ends.set_result(end)
    await asyncio.gather(other.task, task)
    assert await values(db) == [0, 1, 2]


async def test_it_may_end_before_anybody_has_waited(db, unpolled):
    other = await prepare(db)
    other.ends.set_result(lambda db: db.commit())
    await insert(db, 1)
    await other.task
    assert await values(db) == [0, 1]


async def test_cancelling_leaves_no_gap(db, unpolled):
    other = await prepare(db)
    tasks = [asyncio.create_task(insert(db, number)) for number in range(1, 5)]
    await until_waiting(*tasks)
    for task in (tasks[0], tasks[2]):
        task.cancel()
    await asyncio.wait({tasks[0], tasks[2]})
    assert tasks[0].cancelled() and tasks[2].cancelled()
    other.ends.set_result(lambda db: db.commit())
    await asyncio.gather(other.task, tasks[1], tasks[3])
    assert await values(db) == [0, 2, 4]


async def test_a_deadline_ends_the_wait(db, unpolled):
    other = await prepare(db)
    with pytest.raises(csqlite.DeadlineExceeded):
        async with db.transaction(deadline=0.01):
            pass
    with csqlite.timeout(0.01), pytest.raises(csqlite.DeadlineExceeded):
        await db.begin()
    other.ends.set_result(lambda db: db.rollback())
    await other.task
    await insert(db, 1)


async def test_closing_ends_the_wait(path, unpolled):
    db = await csqlite.connect(path)
    other = await prepare(db)
    task = asyncio.create_task(insert(db, 1))
    await until_waiting(task)
    await db.close()
    with pytest.raises((sqlite3.Error, ValueError)):
        await task
    other.task.cancel()


async def test_what_nobody_awaits_may_end_it(db):
    other = await prepare(db)
    task = asyncio.create_task(insert(db, 1))
    await until_waiting(task)
    await db._execute(db._conn.commit)
    await task
    other.task.cancel()
    assert await values(db) == [0, 1]


async def test_a_wait_in_another_loop(db):
    other = await prepare(db)
    waits_there = threading.Event()

    async def there():
        task = asyncio.create_task(insert(db, 1))
        await until_waiting(task)
        waits_there.set()
        await task

    thread = threading.Thread(target=lambda: asyncio.run(there()))
    thread.start()
    while not waits_there.is_set():
        await asyncio.sleep(0.001)
    other.ends.set_result(lambda db: db.commit())
    await other.task
    while thread.is_alive():
        await asyncio.sleep(0.001)
    thread.join()
    assert await values(db) == [0, 1]


async def test_nothing_is_kept_of_who_has_waited(db):
    other = await prepare(db)
    task = asyncio.create_task(insert(db, 1))
    await until_waiting(task)
    task.cancel()
    await asyncio.wait({task})
    other.ends.set_result(lambda db: db.rollback())
    await other.task
    gc.collect()
    await insert(db, 1)
    assert await values(db) == [1]
