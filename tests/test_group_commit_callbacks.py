"""Group commit beside code of the user's: what must not happen twice, or wait for itself, does not."""

import asyncio
import random
import sqlite3
from contextlib import closing

import pytest
from grouping import held, insert, new_file, opened, rows

import csqlite


@pytest.fixture(params=["wal", "delete"])
def path(request, tmp_path):
    return new_file(tmp_path / "a.db", request.param)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@opened
async def test_a_wal_hook_that_fails_behind_the_commit(db, path):
    """Nothing is written twice, though whoever has written is told of a failure."""
    calls = []

    def hook(*_):
        calls.append(None)
        raise ValueError("hook")

    await db.set_wal_hook(hook)
    await held(db, lambda: [insert(db, n) for n in range(20)])
    assert rows(path) == list(range(20))
    with closing(sqlite3.connect(path)) as other:
        if other.execute("PRAGMA journal_mode").fetchone() == ("wal",):
            assert calls


@opened
async def test_a_coroutine_that_waits_for_another_one(db, path):
    """It waits for a write that would wait for the same commit: so it is run by itself."""
    tasks = []

    async def after(value):
        await tasks[0]
        return value

    await db.create_function("after", 1, after)

    def made():
        tasks.extend(asyncio.ensure_future(insert(db, n)) for n in range(3))
        tasks.append(asyncio.ensure_future(db.execute("INSERT INTO t VALUES (after(100))")))
        return tasks

    came = await asyncio.wait_for(held(db, made), 20)
    assert [type(one).__name__ for one in came] == ["Cursor"] * 4
    assert rows(path) == [0, 1, 2, 100]


WRITTEN: "list[int]" = []


class Table:
    """A virtual table that is written to."""

    columns = ("id", "a")
    rowid = "id"

    def rows(self):
        return list(enumerate(WRITTEN))

    def insert(self, rowid, values):
        WRITTEN.append(values[1])
        return len(WRITTEN)


@opened
async def test_a_table_of_python_is_written_once(db, path):
    WRITTEN.clear()
    await db.create_module("mine", Table)
    await db.execute("CREATE VIRTUAL TABLE temp.v USING mine()")
    await db.execute("CREATE UNIQUE INDEX one ON t(a)")

    def made():
        return [
            one
            for n in range(5)
            for one in (
                insert(db, n % 3),
                db.execute("INSERT INTO v(a) VALUES (?)", (n,)),
                db.execute("INSERT OR ROLLBACK INTO t VALUES (?)", (n % 2,)),
            )
        ]

    await held(db, made)
    assert sorted(WRITTEN) == list(range(5))


@opened
async def test_an_interrupt_beside_a_half_read_cursor(db, path):
    await db.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(1000)])
    reader = await db.execute("SELECT a FROM t")
    assert await reader.fetchone() == (0,)
    tasks = [asyncio.ensure_future(insert(db, 1000 + n)) for n in range(200)]
    while not all(task.done() for task in tasks):
        await db.interrupt()
        await asyncio.sleep(0)
    came = await asyncio.gather(*tasks, return_exceptions=True)
    done = [1000 + n for n, one in enumerate(came) if isinstance(one, csqlite.Cursor)]
    await reader.close()
    assert rows(path) == [*range(1000), *done]


@opened
async def test_an_exception_of_the_first_time_is_forgotten(db, path):
    """What a function has raised in a batch that was undone is not told of a later success."""
    times = []

    def once(value):
        times.append(value)
        if len(times) == 1:
            raise ValueError("once")
        return value

    await db.create_function("once", 1, once)
    came = await held(
        db, lambda: [insert(db, 1), db.execute("INSERT INTO t VALUES (once(2))"), insert(db, 3)]
    )
    assert [type(one).__name__ for one in came] == ["Cursor"] * 3
    assert rows(path) == [1, 2, 3]


def replay(batches):
    """Return the rowids that are left when the changes of all batches were made."""
    there = set()
    for change in (change for batch in batches for change in batch):
        if change.operation == "DELETE":
            there.remove(change.rowid)
        elif change.operation == "INSERT":
            assert change.rowid not in there
            there.add(change.rowid)
    return there


@pytest.mark.parametrize("seed", range(8))
@opened
async def test_subscriptions_hear_of_what_is_committed(db, path, seed):
    """Not of what was undone with a batch, to be run again."""
    chance = random.Random(seed)
    await db.execute("CREATE TABLE u(a INTEGER PRIMARY KEY, b UNIQUE)")

    def write():
        verb = chance.choice(["", "OR ROLLBACK", "OR FAIL", "OR IGNORE", "OR REPLACE"])
        values = chance.randrange(60), chance.randrange(60)
        return chance.choice(
            [
                lambda: db.execute(f"INSERT {verb} INTO u(b) VALUES (?)", values[:1]),
                lambda: db.execute(f"INSERT {verb} INTO u(b) SELECT ? UNION ALL SELECT ?", values),
                lambda: db.execute("DELETE FROM u WHERE b = ?", values[:1]),
            ]
        )()

    async with csqlite.connect(path) as other:
        async with other.subscribe("u") as subscription:
            await held(db, lambda: [write() for _ in range(100)])
            await db.execute("CREATE TABLE over(a)")
            batches = []
            async for batch in subscription:
                batches.append(batch)
                if any(change.operation == "SCHEMA" for change in batch):
                    break
    assert replay(batches) == {a for (a,) in await db.execute_fetchall("SELECT a FROM u")}
