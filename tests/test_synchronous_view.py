"""`_conn`, the synchronous view, beside what is queued."""

import asyncio
import sqlite3

import pytest

import csqlite


@pytest.fixture
def db(path):
    return csqlite.connect(path, isolation_level=None, check_same_thread=False)


def commit_and_read(db, path, count):
    """Commit rows through another connection; give those that the view does not see at once."""
    other = sqlite3.connect(path, isolation_level=None)
    missed = []
    for number in range(1, count + 1):
        other.execute("insert into t values (?)", (number,))
        seen = db._conn.execute("select count(*) from t").fetchone()[0]
        if seen != number:
            missed.append((number, seen))
    other.close()
    return missed


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_call_on_the_worker_reads_what_its_thread_has_committed(db, path, mode):
    await db.execute(f"pragma journal_mode = {mode}")
    await db.execute("create table t (a)")
    # What is queued behind the call would share a snapshot.
    missed, *_ = await asyncio.gather(
        db._execute(commit_and_read, db, path, 20),
        *[db.execute_fetchall("select count(*) from t") for _ in range(20)],
    )
    assert missed == []


async def test_other_thread_reads_what_it_has_committed(db, path):
    await db.execute("pragma journal_mode = wal")
    await db.execute("create table t (a)")
    reading = asyncio.ensure_future(asyncio.to_thread(commit_and_read, db, path, 100))
    while not reading.done():
        await asyncio.gather(*[db.execute_fetchall("select count(*) from t") for _ in range(50)])
    assert await reading == []
