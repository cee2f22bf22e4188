"""executemany() of an async iterable."""

import asyncio
import contextvars
import gc
import sqlite3

import pytest

import csqlite

INSERT = "insert into t values (?)"
tenant = contextvars.ContextVar("tenant", default="nobody")


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def numbers(count, closed=None):
    try:
        for number in range(count):
            await asyncio.sleep(0)
            yield (number,)
    finally:
        if closed is not None:
            closed.append(1)


class Plain:
    """An async iterable that is no generator, and cannot be closed."""

    def __init__(self, count):
        self.count = count

    def __aiter__(self):
        return numbers(self.count)


async def stored(db):
    return [row[0] for row in await db.execute_fetchall("select a from t order by rowid")]


@pytest.mark.parametrize("rows", [numbers, Plain])
@pytest.mark.parametrize("count", [0, 1, 500])
async def test_rows_are_executed_as_one(db, rows, count):
    await db.execute("create table t (a)")
    cursor = await db.executemany(INSERT, rows(count))
    assert cursor.rowcount == count and db.in_transaction
    assert await stored(db) == list(range(count))
    await db.rollback()
    other = await db.cursor()
    assert await other.executemany(sql=INSERT, parameters=rows(count)) is other
    assert other.rowcount == count
    async with db.executemany(INSERT, rows(2)) as third:
        assert third.rowcount == 2


async def test_what_the_iterable_raises_leaves_nothing(db):
    async def failing():
        yield (1,)
        raise LookupError("lost")

    await db.execute("create table t (a)")
    with pytest.raises(LookupError, match="lost"):
        await db.executemany(INSERT, failing())
    assert not db.in_transaction and await stored(db) == []


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_it_closes_the_iterable(db, turns):
    await db.execute("create table t (a)")
    closed = []
    task = asyncio.ensure_future(db.executemany(INSERT, numbers(1000, closed)))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gc.collect()
    assert closed == [1] * (turns > 0)
    assert not db.in_transaction and await stored(db) == []


async def test_iterable_may_use_the_connection_and_runs_in_the_tasks_context(db):
    async def copied():
        async for (number,) in await db.execute("select 1 union all select 2"):
            yield (f"{tenant.get()} {number}",)

    async def insert(name):
        tenant.set(name)
        await db.executemany(INSERT, copied())

    await db.execute("create table t (a)")
    await asyncio.gather(insert("alice"), insert("bob"))
    assert sorted(await stored(db)) == ["alice 1", "alice 2", "bob 1", "bob 2"]


async def test_row_that_is_used_again_is_taken_as_it_was(db):
    async def one_list():
        row = [0]
        for number in range(3):
            row[0] = number
            yield row

    async def one_dict():
        row = {}
        for number in range(3, 6):
            row["a"] = number
            yield row

    await db.execute("create table t (a)")
    await db.executemany(INSERT, one_list())
    await db.executemany("insert into t values (:a)", one_dict())
    assert await stored(db) == list(range(6))


async def test_errors_are_those_of_any_iterable(db):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await db.executemany(INSERT, numbers(1))
    await db.execute("create table t (a)")
    with pytest.raises(csqlite.DeadlineExceeded):
        await db.executemany(INSERT, numbers(3), deadline=0)
    with pytest.raises(TypeError):
        await db.executemany(INSERT, numbers(1), 5)
    assert await stored(db) == []
