"""backup(): into the same kind of connection and into one of `sqlite3`."""

import sqlite3
import threading
from contextlib import closing

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

ROWS = [(1, "one"), (2, "two"), (3, b"three")]


async def fill(db, count=0):
    await db.execute("create table t (a, b)")
    await db.executemany("insert into t values (?, ?)", ROWS)
    if count:
        await db.execute("create table large (a)")
        await db.executemany("insert into large values (?)", [("x" * 1000,) for _ in range(count)])
    await db.commit()


async def test_backup_into_another_connection(aiosqlite, db):
    await fill(db)
    async with aiosqlite.connect(":memory:") as target:
        assert await db.backup(target) is None
        assert await fetchall(target, "select * from t") == ROWS


async def test_backup_into_a_file(aiosqlite, db, path):
    await fill(db)
    async with aiosqlite.connect(path) as target:
        await db.backup(target)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select * from t").fetchall() == ROWS


async def test_backup_into_sqlite3_in_memory(db):
    await fill(db)
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as target:
        await db.backup(target)
        assert target.execute("select * from t").fetchall() == ROWS


async def test_backup_into_sqlite3_of_this_thread(db):
    await fill(db)
    with closing(sqlite3.connect(":memory:")) as target:
        await db.backup(target)
        assert target.execute("select * from t").fetchall() == ROWS


async def test_backup_into_sqlite3_in_a_file(db, path):
    await fill(db)
    with closing(sqlite3.connect(path, check_same_thread=False)) as target:
        await db.backup(target)
        assert target.execute("select * from t").fetchall() == ROWS
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select * from t").fetchall() == ROWS


async def test_backup_of_a_file_into_sqlite3(aiosqlite, path):
    async with aiosqlite.connect(path) as db:
        await fill(db)
        with closing(sqlite3.connect(":memory:", check_same_thread=False)) as target:
            await db.backup(target)
            assert target.execute("select * from t").fetchall() == ROWS


async def test_backup_replaces_what_the_target_held(aiosqlite, db):
    await fill(db)
    async with aiosqlite.connect(":memory:") as target:
        await target.execute("create table old (a)")
        await target.execute("create table t (other)")
        await db.backup(target)
        assert await fetchall(target, "select name from sqlite_master") == [("t",)]
        assert await fetchall(target, "select a from t") == [(1,), (2,), (3,)]


async def test_source_and_target_are_independent_afterwards(aiosqlite, db):
    await fill(db)
    async with aiosqlite.connect(":memory:") as target:
        await db.backup(target)
        await target.execute("delete from t")
        assert await scalar(db, "select count(*) from t") == 3


async def test_empty_database(aiosqlite, db):
    async with aiosqlite.connect(":memory:") as target:
        await target.execute("create table old (a)")
        await db.backup(target)
        assert await scalar(target, "select count(*) from sqlite_master") == 0


@pytest.mark.parametrize("pages", [1, 7, 1000, 0, -1])
async def test_progress_counts_down(aiosqlite, db, pages):
    calls = []
    await fill(db, 50)
    total = await scalar(db, "pragma page_count")
    async with aiosqlite.connect(":memory:") as target:
        await db.backup(target, pages=pages, progress=lambda *call: calls.append(call), sleep=0)
        assert await scalar(target, "select count(*) from large") == 50
    step = pages if 0 < pages < total else total
    remaining = [*list(range(total - step, 0, -step)), 0]
    assert [call[1] for call in calls] == remaining
    assert {call[2] for call in calls} == {total}
    assert calls[-1][0] == 101
    assert all(status == 0 for status, _, _ in calls[:-1])


async def test_progress_into_sqlite3_ends_at_zero(db):
    calls = []
    await fill(db, 50)
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as target:
        await db.backup(target, pages=1, progress=lambda *call: calls.append(call), sleep=0)
    assert calls[-1][:2] == (101, 0)
    assert len(calls) > 10


async def test_progress_does_not_run_on_the_loop_thread(aiosqlite, db):
    threads = set()
    await fill(db)
    async with aiosqlite.connect(":memory:") as target:
        await db.backup(target, progress=lambda *call: threads.add(threading.get_ident()))
    assert threads
    assert threading.get_ident() not in threads


async def test_progress_that_is_not_callable(aiosqlite, db):
    async with aiosqlite.connect(":memory:") as target:
        expected = (TypeError, "progress argument must be a callable")
        assert await outcome(db.backup(target, progress=5)) == expected


async def test_error_of_progress_passes_through(aiosqlite, db):
    def progress(*call):
        raise LookupError("progress")

    await fill(db, 50)
    async with aiosqlite.connect(":memory:") as target:
        with pytest.raises(LookupError, match=r"progress"):
            await db.backup(target, pages=1, progress=progress)
        assert await scalar(target, "select 1") == 1


async def test_same_connection(db):
    expected = (ValueError, "target cannot be the same connection instance")
    assert await outcome(db.backup(db)) == expected


@pytest.mark.parametrize("target", [5, None, object()])
async def test_target_that_is_no_connection(db, target):
    with pytest.raises(TypeError, match=r"must be sqlite3\.Connection, not "):
        await db.backup(target)


async def test_target_that_is_closed(aiosqlite, db):
    async with aiosqlite.connect(":memory:") as target:
        pass
    assert await outcome(db.backup(target)) == (ValueError, "no active connection")


async def test_target_of_sqlite3_that_is_closed(db):
    target = sqlite3.connect(":memory:")
    target.close()
    expected = stdlib_outcome(lambda connection: connection.backup(target))
    assert await outcome(db.backup(target)) == expected


async def test_name_of_an_attached_database(aiosqlite, db):
    await db.execute("attach ':memory:' as extra")
    await db.execute("create table extra.only_there (a)")
    await fill(db)
    async with aiosqlite.connect(":memory:") as target:
        await db.backup(target, name="extra")
        assert await fetchall(target, "select name from sqlite_master") == [("only_there",)]


async def test_name_that_does_not_exist(aiosqlite, db):
    def program(connection):
        with closing(sqlite3.connect(":memory:")) as target:
            connection.backup(target, name="nowhere")

    async with aiosqlite.connect(":memory:") as target:
        assert await outcome(db.backup(target, name="nowhere")) == stdlib_outcome(program)


async def test_backup_leaves_out_what_is_not_committed(aiosqlite, path):
    async with aiosqlite.connect(path) as db, aiosqlite.connect(path) as reader:
        await fill(db)
        await db.execute("delete from t")
        async with aiosqlite.connect(":memory:") as target:
            await reader.backup(target)
            assert await scalar(target, "select count(*) from t") == 3


async def test_target_keeps_its_factories(aiosqlite, db):
    await fill(db)
    async with aiosqlite.connect(":memory:") as target:
        target.row_factory = sqlite3.Row
        await db.backup(target)
        assert dict((await fetchall(target, "select a from t"))[0]) == {"a": 1}
