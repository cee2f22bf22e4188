"""How a transaction ends when its task is cancelled meanwhile, and when the disk does not take it."""

import asyncio
import sys
import threading

import pytest

import csqlite

NOTES = sys.version_info >= (3, 11)


class Gate:
    """A function of SQL that holds the worker until it is let through."""

    def __init__(self):
        self.entered = threading.Event()
        self.leave = threading.Event()

    def __call__(self):
        self.entered.set()
        assert self.leave.wait(60)
        return 0

    async def until_entered(self):
        while not self.entered.is_set():
            await asyncio.sleep(0.001)


@pytest.fixture
def db():
    return csqlite.connect(":memory:", isolation_level=None)


@pytest.fixture
def gate():
    return Gate()


async def prepare(db, gate):
    """Let COMMIT come to the gate, by a hook."""
    await db.execute("CREATE TABLE t(x INTEGER PRIMARY KEY)")
    await db.set_commit_hook(gate)


async def values(db):
    return [x for (x,) in await db.execute_fetchall("SELECT x FROM t")]


def told(error, text):
    return not NOTES or any(text in note for note in error.__notes__)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("way", ["block", "by hand", "run"])
async def test_cancelled_during_commit_it_waits_for_the_outcome_and_tells_it(db, gate, way, times):
    await prepare(db, gate)
    held = []

    async def body(tx):
        held.append(tx)
        await tx.execute("INSERT INTO t VALUES(1)")

    async def work():
        if way == "block":
            async with db.transaction() as tx:
                await body(tx)
        elif way == "run":
            await db.run_transaction(body)
        else:
            tx = await db.begin()
            await body(tx)
            await tx.commit()

    task = asyncio.create_task(work())
    await gate.until_entered()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not task.done()
    gate.leave.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert told(caught.value, "was committed")
    assert held[0].outcome == "committed"
    assert await values(db) == [1]


async def test_a_deadline_does_not_end_the_waiting_for_a_commit(db, gate):
    await prepare(db, gate)
    held = []

    async def work():
        with csqlite.timeout(0.05):
            async with db.transaction() as tx:
                held.append(tx)
                await tx.execute("INSERT INTO t VALUES(1)")
            with pytest.raises(csqlite.DeadlineExceeded):
                await db.execute("SELECT 1")

    task = asyncio.create_task(work())
    await gate.until_entered()
    await asyncio.sleep(0.1)
    assert not task.done()
    gate.leave.set()
    await task
    assert held[0].outcome == "committed"
    assert await values(db) == [1]


async def test_cancelled_during_a_commit_that_fails(db, gate):
    await prepare(db, gate)

    def refuse():
        gate()
        return 1

    await db.set_commit_hook(refuse)

    async def work():
        async with db.transaction() as tx:
            held.append(tx)
            await tx.execute("INSERT INTO t VALUES(1)")

    held = []
    task = asyncio.create_task(work())
    await gate.until_entered()
    task.cancel()
    gate.leave.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert told(caught.value, "was rolled back") or told(caught.value, "not committed")
    assert held[0].outcome == "rolled back" and not db.in_transaction
    await db.set_commit_hook(None)
    assert await values(db) == []


async def test_cancelled_while_it_waits_for_its_turn_behind_a_statement(db, gate):
    """The COMMIT is queued behind a statement of another task's, which is inside."""
    await db.execute("CREATE TABLE t(x INTEGER PRIMARY KEY)")
    await db.create_function("gate", 0, gate)
    ready = asyncio.Event()

    async def work():
        async with db.transaction() as tx:
            held.append(tx)
            await tx.execute("INSERT INTO t VALUES(1)")
            ready.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    held = []
    task = asyncio.create_task(work())
    await ready.wait()
    query = asyncio.ensure_future(held[0].execute_fetchall("SELECT gate()"))
    await gate.until_entered()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    gate.leave.set()
    assert await query == [(0,)]
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert told(caught.value, "was committed")
    assert await values(db) == [1]


async def test_cancelled_during_rollback(db, gate):
    await db.execute("CREATE TABLE t(x INTEGER PRIMARY KEY)")
    await db.set_rollback_hook(gate)

    async def work():
        async with db.transaction() as tx:
            held.append(tx)
            await tx.execute("INSERT INTO t VALUES(1)")
            raise ZeroDivisionError

    held = []
    task = asyncio.create_task(work())
    await gate.until_entered()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held[0].outcome == "rolled back"
    assert await values(db) == []


async def test_a_savepoint_is_released_though_it_is_cancelled(db, gate):
    await db.execute("CREATE TABLE t(x INTEGER PRIMARY KEY)")
    await db.create_function("gate", 0, gate)

    async def part(tx):
        async with tx.savepoint() as own:
            held.append(own)
            await own.execute("INSERT INTO t VALUES(1)")
            query.append(asyncio.ensure_future(own.execute_fetchall("SELECT gate()")))
            await asyncio.sleep(0)

    held, query = [], []
    async with db.transaction() as tx:
        task = asyncio.create_task(part(tx))
        await gate.until_entered()
        await asyncio.sleep(0)
        task.cancel()
        gate.leave.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await query[0]
        outcome = held[0].outcome
        await tx.execute("INSERT INTO t VALUES(2)")
    assert await values(db) == {"committed": [1, 2], "rolled back": [2]}[outcome]
