"""reset(): what a pool does to a connection between two users."""

import asyncio
import sqlite3

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def test_open_transaction_is_rolled_back(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    assert db.in_transaction
    assert await db.reset() is None
    assert not db.in_transaction
    assert await scalar(db, "select count(*) from t") == 0
    assert await db.reset() is None


@pytest.mark.parametrize("autocommit", [True, False])
async def test_transactions_go_on_as_they_are_controlled(autocommit):
    async with csqlite.connect(":memory:", autocommit=autocommit) as db:
        await db.execute("create table t (a)")
        await db.commit()
        await db.execute("insert into t values (1)")
        await db.reset()
        assert db.in_transaction is not autocommit
        assert await scalar(db, "select count(*) from t") == int(autocommit)


async def test_half_read_queries_are_ended(db):
    cursor = await db.execute(NUMBERS.format(1000))
    assert await cursor.fetchone() == (1,)
    await db.reset()
    # What had been fetched ahead is still here; behind it stands the error.
    rows = []
    with pytest.raises(
        sqlite3.ProgrammingError,
        match=r"(?m)^The cursor was ended by reset\(\) or by a transaction's begin before it was read",
    ):
        while True:
            row = await cursor.fetchone()
            assert row is not None
            rows.append(row[0])
    assert rows == list(range(2, len(rows) + 2))
    assert len(rows) < 999
    assert await cursor.fetchall() == []
    # The cursor can be used again.
    await cursor.execute("select 5")
    assert await cursor.fetchall() == [(5,)]


async def test_query_that_has_ended_is_read_to_its_end(db):
    cursor = await db.execute(NUMBERS.format(10))
    await db.reset()
    assert await cursor.fetchall() == [(number,) for number in range(1, 11)]


async def test_half_read_write_is_undone_with_its_transaction(db):
    await db.execute("create table t (a)")
    cursor = await db.execute(f"insert into t {NUMBERS.format(1000)} returning a")
    await cursor.fetchone()
    await db.reset()
    assert await scalar(db, "select count(*) from t") == 0
    await cursor.close()


async def test_dump_is_ended(db):
    await db.execute("create table t (a)")
    await db.execute(f"insert into t {NUMBERS.format(3000)}")
    await db.commit()
    lines = db.iterdump()
    await lines.__anext__()
    await db.reset()
    with pytest.raises(sqlite3.ProgrammingError, match="ended by reset"):
        async for _ in lines:
            pass


async def test_lock_is_given_back(path):
    async with csqlite.connect(path, timeout=0) as one, csqlite.connect(path, timeout=0) as two:
        await one.execute("create table t (a)")
        await one.executescript("begin immediate; insert into t values (1)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await two.execute("insert into t values (2)")
        await one.reset()
        await two.execute("insert into t values (2)")
        await two.commit()


async def test_temporary_objects_are_dropped(db):
    await db.executescript(
        "pragma foreign_keys = on;"
        "create table t (a);"
        "create temp table parent (a integer primary key);"
        "create temp table child (a references parent);"
        "create temp view v as select a from t;"
        "create temp trigger tr after insert on t begin insert into child values (1); end;"
        "create index temp.i on child (a);"
        "insert into parent values (1); insert into child values (1)"
    )
    await fetchall(db, "select * from child")
    await db.reset()
    assert await fetchall(db, "select * from sqlite_temp_master") == []
    assert await outcome(db.execute("select * from child")) == (
        sqlite3.OperationalError,
        "no such table: child",
    )
    await db.execute("insert into t values (1)")
    await db.execute("create temp table child (b)")
    assert await scalar(db, "pragma foreign_keys") == 1


@pytest.mark.skipif("ENABLE_FTS5" not in csqlite.compile_options, reason="needs FTS5")
async def test_temporary_virtual_table_is_dropped(db):
    await db.execute("create virtual table temp.f using fts5 (a)")
    await db.execute("insert into f values ('word')")
    await db.commit()
    await db.reset()
    assert await fetchall(db, "select * from sqlite_temp_master") == []
    await db.execute("create virtual table temp.f using fts5 (a)")
    assert await fetchall(db, "select * from f") == []


@pytest.mark.parametrize("store", [0, 1, 2])
async def test_where_temporary_tables_are_stored_stays(db, store):
    await db.execute_fetchall(f"pragma temp_store = {store}")
    await db.execute("create temp table t (a)")
    await db.reset()
    assert await scalar(db, "pragma temp_store") == store


async def test_last_insert_rowid_is_forgotten(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    await db.commit()
    assert await scalar(db, "select last_insert_rowid()") == 1
    await db.reset()
    assert await scalar(db, "select last_insert_rowid()") == 0


async def test_what_was_set_up_stays(db):
    commits = []
    await db.create_function("f", 0, lambda: "f")
    await db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    await db.set_commit_hook(lambda: commits.append(1))
    await db.execute("attach ':memory:' as other")
    await db.execute("create table other.t (a collate backwards)")
    await db.execute_fetchall("pragma recursive_triggers = 1")
    db.row_factory = csqlite.Row
    await fetchall(db, "select f()")
    stats = await db.cache_stats()
    await db.reset()
    assert (await fetchall(db, "select f() as x"))[0]["x"] == "f"
    await db.executemany("insert into other.t values (?)", [("a",), ("b",)])
    await db.commit()
    assert [row[0] for row in await fetchall(db, "select a from t order by a")] == ["b", "a"]
    assert commits == [1, 1]
    assert (await fetchall(db, "pragma recursive_triggers"))[0][0] == 1
    assert (await db.cache_stats())["size"] >= stats["size"]


async def test_hooks_hear_of_the_rollback(db):
    told, rolled = [], []
    await db.execute("create table t (a)")
    await db.set_update_hook(told.append, batch=True)
    await db.set_rollback_hook(lambda: rolled.append(1))
    await db.execute("insert into t values (1)")
    await db.reset()
    assert (told, rolled) == ([], [1])


async def test_what_was_queued_before_runs_before(db):
    await db.execute("create table t (a)")
    await db.commit()
    insert = asyncio.ensure_future(db.execute("insert into t values (1)"))
    commit = asyncio.ensure_future(db.commit())
    reset = asyncio.ensure_future(db.reset())
    late = asyncio.ensure_future(scalar(db, "select count(*) from t"))
    await asyncio.gather(insert, commit, reset)
    assert await late == 1


async def test_authorizer_that_forbids_it(db):
    await db.execute("create temp table t (a)")
    await db.commit()
    await db.execute("insert into t values (1)")
    await db.set_authorizer(
        lambda action, *names: (
            sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK
        )
    )
    assert await outcome(db.reset()) == (sqlite3.DatabaseError, "not authorized")
    await db.set_authorizer(None)
    assert not db.in_transaction
    assert await scalar(db, "select count(*) from t") == 0
    await db.reset()
    assert await fetchall(db, "select * from sqlite_temp_master") == []


async def test_reset_within_a_function_is_refused(db):
    seen = []

    def function():
        try:
            db._run(db.reset())
        except Exception as error:
            seen.append((type(error), str(error)))

    await db.create_function("f", 0, function)
    await fetchall(db, "select f()")
    assert seen == [
        (
            sqlite3.ProgrammingError,
            "reset() cannot be called from a callback of a statement.",
        )
    ]


async def test_reset_on_the_worker(db):
    await db.execute("create temp table t (a)")
    await db._execute(lambda: db._run(db.reset()))
    assert await fetchall(db, "select * from sqlite_temp_master") == []


async def test_closed_connection():
    db = await csqlite.connect(":memory:")
    await db.close()
    with pytest.raises(ValueError, match="(?m)^no active connection$"):
        await db.reset()


async def test_connection_of_another_module():
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        with pytest.raises(sqlite3.NotSupportedError, match=r"^reset\(\) needs csqlite's own"):
            await db.reset()
