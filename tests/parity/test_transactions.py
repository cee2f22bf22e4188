"""Who begins a transaction, and who ends it."""

import asyncio
import contextlib
import sqlite3
import sys

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

LEVELS = ["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"]


@pytest.fixture
def autocommit_module(aiosqlite):
    """A module that knows `autocommit`: csqlite on every Python, aiosqlite where sqlite3 does."""
    if aiosqlite.__name__ == "aiosqlite" and sys.version_info < (3, 12):
        pytest.skip("sqlite3 has no autocommit attribute before Python 3.12")
    return aiosqlite


@contextlib.asynccontextmanager
async def table(connection):
    """Open `connection` with an empty table `t (a)` and no transaction."""
    async with connection as db:
        await db.execute("create table t (a)")
        await db.commit()
        yield db


async def rows(db):
    return [row[0] for row in await fetchall(db, "select a from t order by a")]


@pytest.mark.parametrize(
    "sql",
    [
        "insert into t values (1)",
        "INSERT INTO t VALUES (1)",
        "update t set a = 1",
        "delete from t",
        "replace into t values (1)",
        "insert or ignore into t values (1)",
        " \n insert into t values (1)",
        "insert into t values (1) returning a",
    ],
)
async def test_changing_rows_begins_a_transaction(aiosqlite, sql):
    async with table(aiosqlite.connect(":memory:")) as db:
        cursor = await db.execute(sql)
        assert db.in_transaction
        await cursor.fetchall()
        await db.rollback()
        assert not db.in_transaction
        assert await rows(db) == []


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "create table u (a)",
        "drop table t",
        "alter table t add column b",
        "create index i on t (a)",
        "pragma user_version = 3",
        "explain insert into t values (1)",
        "with x as (select 1) select * from x",
        "values (1)",
        "analyze",
        "vacuum",
        "reindex",
    ],
)
async def test_anything_else_does_not(aiosqlite, sql):
    async with table(aiosqlite.connect(":memory:")) as db:
        cursor = await db.execute(sql)
        await cursor.fetchall()
        assert not db.in_transaction


@pytest.mark.parametrize(
    "sql",
    [
        "with x as (select 5) insert into t select * from x",
        "-- comment\ninsert into t values (5)",
        "/* comment */ insert into t values (5)",
    ],
)
async def test_insert_behind_something_else_is_as_in_sqlite3(aiosqlite, sql):
    def program(connection):
        connection.execute("create table t (a)")
        connection.execute(sql)
        return connection.in_transaction

    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute(sql)
        assert db.in_transaction is stdlib_outcome(program)
        assert await rows(db) == [5]


async def test_commit_keeps_and_rollback_undoes(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("insert into t values (1)")
        assert await db.commit() is None
        await db.execute("insert into t values (2)")
        assert await db.rollback() is None
        assert await rows(db) == [1]


@pytest.mark.parametrize("method", ["commit", "rollback"])
async def test_ending_a_transaction_that_was_not_begun(db, method):
    assert await getattr(db, method)() is None
    assert not db.in_transaction


async def test_uncommitted_changes_are_seen_by_their_own_connection_only(aiosqlite, path):
    async with table(aiosqlite.connect(path)) as db, aiosqlite.connect(path) as other:
        await db.execute("insert into t values (1)")
        assert await rows(db) == [1]
        assert await rows(other) == []
        await db.commit()
        assert await rows(other) == [1]


async def test_second_statement_stays_in_the_transaction(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("insert into t values (1)")
        await db.execute("update t set a = 2")
        await db.execute("create table u (a)")
        assert db.in_transaction
        await db.rollback()
        assert await fetchall(db, "select name from sqlite_master") == [("t",)]


async def test_begin_and_end_by_hand(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("begin immediate")
        assert db.in_transaction
        await db.execute("insert into t values (1)")
        await db.execute("end")
        assert not db.in_transaction
        await db.execute("BEGIN")
        await db.execute("delete from t")
        await db.execute("ROLLBACK")
        assert await rows(db) == [1]


async def test_begin_within_a_transaction(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("insert into t values (1)")
        with pytest.raises(
            sqlite3.OperationalError, match=r"(?m)^cannot start a transaction within a transaction$"
        ):
            await db.execute("begin")
        assert db.in_transaction


async def test_commit_statement_without_a_transaction(db):
    with pytest.raises(
        sqlite3.OperationalError, match=r"(?m)^cannot commit - no transaction is active$"
    ):
        await db.execute("commit")


async def test_savepoints(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("insert into t values (1)")
        await db.execute("savepoint s")
        await db.execute("insert into t values (2)")
        await db.execute("rollback to s")
        await db.execute("release s")
        assert db.in_transaction
        await db.commit()
        assert await rows(db) == [1]


async def test_savepoint_alone_is_a_transaction(aiosqlite):
    async with table(aiosqlite.connect(":memory:", isolation_level=None)) as db:
        await db.execute("savepoint s")
        assert db.in_transaction
        await db.execute("release s")
        assert not db.in_transaction


async def test_failed_statement_leaves_the_transaction_open(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("create unique index i on t (a)")
        await db.execute("insert into t values (1)")
        with pytest.raises(sqlite3.IntegrityError):
            await db.execute("insert into t values (2), (1)")
        assert db.in_transaction
        await db.commit()
        assert await rows(db) == [1]


async def test_failed_first_statement_has_begun_a_transaction_all_the_same(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("create unique index i on t (a)")
        with pytest.raises(sqlite3.IntegrityError):
            await db.execute("insert into t values (1), (1)")
        assert db.in_transaction


async def test_statement_that_does_not_compile_begins_nothing(db):
    with pytest.raises(sqlite3.OperationalError):
        await db.execute("insert into nowhere values (1)")
    assert not db.in_transaction


async def test_on_conflict_rollback_ends_the_transaction(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("create unique index i on t (a)")
        await db.execute("insert into t values (1)")
        with pytest.raises(sqlite3.IntegrityError):
            await db.execute("insert or rollback into t values (1)")
        assert not db.in_transaction
        assert await rows(db) == []


async def test_isolation_level_none_commits_each_statement(aiosqlite, path):
    async with table(aiosqlite.connect(path, isolation_level=None)) as db:
        await db.execute("insert into t values (1)")
        assert not db.in_transaction
        async with aiosqlite.connect(path) as other:
            assert await rows(other) == [1]


@pytest.mark.parametrize("level", LEVELS)
async def test_isolation_level_is_how_the_transaction_begins(aiosqlite, level):
    seen = []
    async with table(aiosqlite.connect(":memory:", isolation_level=level)) as db:
        assert db.isolation_level == level
        await db.set_trace_callback(seen.append)
        await db.execute("insert into t values (1)")
    assert seen[0].strip() == ("BEGIN " + level).strip()


@pytest.mark.parametrize("level, reads", [("IMMEDIATE", True), ("EXCLUSIVE", False)])
async def test_isolation_level_decides_whether_others_may_read(aiosqlite, path, level, reads):
    async with table(aiosqlite.connect(path, isolation_level=level)) as db:
        await db.execute("insert into t values (1)")
        async with aiosqlite.connect(path, timeout=0) as other:
            locked = (sqlite3.OperationalError, "database is locked")
            assert await outcome(rows(other)) == ([] if reads else locked)


@pytest.mark.parametrize("level", [*LEVELS, None, "deferred", "immediate", "Exclusive"])
async def test_isolation_level_can_be_set(aiosqlite, level):
    def program(connection):
        connection.isolation_level = level
        return connection.isolation_level

    # sqlite3 commits when the level becomes None, which it wants done on the right thread.
    async with aiosqlite.connect(":memory:", check_same_thread=False) as db:
        db.isolation_level = level
        assert db.isolation_level == stdlib_outcome(program)


@pytest.mark.parametrize("level", ["BOGUS", "DEFERRED;", 1, b"DEFERRED", "DEFERRED\0"])
async def test_isolation_level_that_does_not_exist(db, level):
    def program(connection):
        connection.isolation_level = level

    with pytest.raises(Exception) as caught:
        db.isolation_level = level
    assert (caught.type, str(caught.value)) == stdlib_outcome(program)
    assert db.isolation_level == ""


async def test_isolation_level_that_does_not_exist_in_connect(aiosqlite):
    with pytest.raises(Exception) as expected:
        sqlite3.connect(":memory:", isolation_level="BOGUS")
    db = aiosqlite.connect(":memory:", isolation_level="BOGUS")
    assert await outcome(db) == (expected.type, str(expected.value))
    await asyncio.to_thread(db._thread.join)


async def test_isolation_level_holds_from_the_next_statement_on(aiosqlite):
    async with table(aiosqlite.connect(":memory:", check_same_thread=False)) as db:
        db.isolation_level = None
        await db.execute("insert into t values (1)")
        assert not db.in_transaction
        db.isolation_level = "IMMEDIATE"
        await db.execute("insert into t values (2)")
        assert db.in_transaction


async def test_isolation_level_of_none_within_a_transaction_commits(aiosqlite):
    async with table(aiosqlite.connect(":memory:", check_same_thread=False)) as db:
        await db.execute("insert into t values (1)")
        db.isolation_level = None
        assert not db.in_transaction
        await db.rollback()
        assert await rows(db) == [1]


async def test_isolation_level_of_another_kind_within_a_transaction_does_not(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("insert into t values (1)")
        db.isolation_level = "EXCLUSIVE"
        assert db.in_transaction
        await db.rollback()
        assert await rows(db) == []


async def test_total_changes_counts_rows(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        assert db.total_changes == 0
        await db.execute("insert into t values (1), (2)")
        await db.execute("update t set a = 3")
        assert db.total_changes == 4
        await db.rollback()
        assert db.total_changes == 4


async def test_executescript_commits_first(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("insert into t values (1)")
        await db.executescript("insert into t values (2)")
        assert not db.in_transaction
        await db.rollback()
        assert await rows(db) == [1, 2]


async def test_executescript_may_leave_a_transaction_open(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.executescript("begin; insert into t values (1);")
        assert db.in_transaction
        await db.rollback()
        assert await rows(db) == []


async def test_failed_executescript_has_committed_all_the_same(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("insert into t values (1)")
        with pytest.raises(sqlite3.OperationalError):
            await db.executescript("nonsense")
        assert not db.in_transaction
        assert await rows(db) == [1]


async def test_rollback_while_a_cursor_is_being_read(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.executemany("insert into t values (?)", [(n,) for n in range(5)])
        await db.commit()
        await db.execute("insert into t values (99)")
        reader = await db.execute("select 1")
        await db.rollback()
        assert await rows(db) == [0, 1, 2, 3, 4]
        await reader.close()


async def test_commit_while_a_cursor_is_being_read(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.executemany("insert into t values (?)", [(n,) for n in range(300)])
        reader = await db.execute("select a from t")
        assert await reader.fetchone() == (0,)
        await db.commit()
        assert len(await reader.fetchall()) == 299


async def test_vacuum_within_a_transaction(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("insert into t values (1)")
        with pytest.raises(
            sqlite3.OperationalError, match=r"(?m)^cannot VACUUM from within a transaction$"
        ):
            await db.execute("vacuum")


async def test_deferred_constraint_fails_at_the_commit(aiosqlite):
    async with table(aiosqlite.connect(":memory:")) as db:
        await db.execute("pragma foreign_keys = on")
        await db.execute("create table p (a primary key)")
        await db.execute("create table c (a references p deferrable initially deferred)")
        await db.execute("insert into c values (1)")
        with pytest.raises(sqlite3.IntegrityError, match=r"(?m)^FOREIGN KEY constraint failed$"):
            await db.commit()
        assert db.in_transaction
        await db.rollback()
        assert await scalar(db, "select count(*) from c") == 0


async def test_autocommit_true_commits_each_statement(autocommit_module, path):
    async with autocommit_module.connect(path, autocommit=True) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values (1)")
        assert not db.in_transaction
        assert await db.commit() is None
        assert await db.rollback() is None
        assert await rows(db) == [1]


async def test_autocommit_false_is_always_in_a_transaction(autocommit_module, path):
    async with autocommit_module.connect(path, autocommit=False) as db:
        assert db.in_transaction
        await db.execute("create table t (a)")
        await db.commit()
        assert db.in_transaction
        await db.execute("insert into t values (1)")
        await db.rollback()
        assert db.in_transaction
        assert await rows(db) == []


async def test_autocommit_false_rolls_back_at_close(autocommit_module, path):
    async with autocommit_module.connect(path, autocommit=False) as db:
        await db.execute("create table t (a)")
        await db.commit()
        await db.execute("insert into t values (1)")
    async with autocommit_module.connect(path) as db:
        assert await rows(db) == []


async def test_autocommit_true_lets_a_transaction_be_begun_by_hand(autocommit_module):
    async with autocommit_module.connect(":memory:", autocommit=True) as db:
        await db.execute("create table t (a)")
        await db.execute("begin")
        await db.execute("insert into t values (1)")
        # commit() and rollback() do nothing in this mode, not even here.
        await db.rollback()
        assert db.in_transaction
        await db.execute("rollback")
        assert await rows(db) == []


async def test_autocommit_ignores_isolation_level(autocommit_module):
    async with autocommit_module.connect(
        ":memory:", autocommit=True, isolation_level="IMMEDIATE"
    ) as db:
        assert db.isolation_level == "IMMEDIATE"
        await db.execute("create table t (a)")
        await db.execute("insert into t values (1)")
        assert not db.in_transaction


async def test_autocommit_does_not_let_executescript_commit(autocommit_module):
    async with autocommit_module.connect(":memory:", autocommit=False) as db:
        await db.execute("create table t (a)")
        await db.commit()
        await db.execute("insert into t values (1)")
        await db.executescript("insert into t values (2); insert into t values (3)")
        await db.rollback()
        assert await rows(db) == []


async def test_legacy_transaction_control_is_the_default(autocommit_module):
    legacy = getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", -1)
    async with autocommit_module.connect(":memory:", autocommit=legacy) as db:
        await db.execute("create table t (a)")
        assert not db.in_transaction
        await db.execute("insert into t values (1)")
        assert db.in_transaction


async def test_autocommit_of_another_value(autocommit_module):
    db = autocommit_module.connect(":memory:", autocommit="maybe")
    message = "autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL"
    assert await outcome(db) == (ValueError, message)
    await asyncio.to_thread(db._thread.join)
