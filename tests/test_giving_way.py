"""Awaits that are answered at once, and whether a task that makes nothing else gives way."""

import asyncio
import contextlib
import sys

import pytest

import csqlite

NUMBERS = "with recursive n(i) as (select 0 union all select i + 1 from n limit {}) select i from n"
MANY = 1_000_000


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def iterate(db, cursor):
    async for _ in cursor:
        pass


async def enter(db, cursor):
    async with db.cursor():
        pass


POLLS = {
    "fetchone": lambda db, cursor: cursor.fetchone(),
    "fetchmany": lambda db, cursor: cursor.fetchmany(10),
    "fetchall": lambda db, cursor: cursor.fetchall(),
    "async for": iterate,
    "cursor": lambda db, cursor: db.cursor(),
    "async with": enter,
    "close": lambda db, cursor: cursor.close(),
    "interrupt": lambda db, cursor: db.interrupt(),
    "execute": lambda db, cursor: db.execute_fetchall("select 1"),
}


@pytest.mark.parametrize("poll", POLLS)
@pytest.mark.parametrize("how", ["task", "timer"])
async def test_others_come_to_their_turn(db, poll, how):
    cursor = await db.execute("select 1 where 0")
    loop = asyncio.get_running_loop()
    turns = []
    if how == "timer":
        loop.call_later(0.001, turns.append, 1)
    else:
        loop.call_soon(turns.append, 1)
    for _ in range(MANY):
        await POLLS[poll](db, cursor)
        if turns:
            break
    assert turns == [1]


async def test_task_can_be_cancelled_in_a_loop_of_such_awaits(db):
    cursor = await db.execute("select 1 where 0")

    async def poll():
        for _ in range(MANY):
            await cursor.fetchone()

    task = asyncio.ensure_future(poll())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_sends_by_hand_is_never_told_to_give_way(db):
    cursor = await db.execute("select 1 where 0")
    for _ in range(100_000):
        with pytest.raises(StopIteration):
            cursor.fetchone().send(None)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout() is new in Python 3.11")
async def test_no_row_is_lost_where_a_task_gives_way(db):
    rows = 200_000
    cursor = await db.execute(NUMBERS.format(rows))
    seen = []
    for _ in range(MANY):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.002):
                async for (number,) in cursor:
                    seen.append(number)
                break
        # A fetch that was cancelled on its way leaves no rows; one that gave way, all of them.
        if (row := await cursor.fetchone()) is None:
            break
        seen.append(row[0])
    assert seen == list(range(len(seen)))
