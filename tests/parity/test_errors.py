"""Errors: their class, their text and their SQLite code."""

import asyncio
import sqlite3
import sys
import threading

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

SCHEMA = """
    create table p (a integer primary key, b unique, c not null default 0, d check (d > 0), e text);
    create table f (a references p (a));
    create table s (a integer) strict;
    insert into p values (1, 1, 1, 1, 'x');
    pragma foreign_keys = on;
"""

CONSTRAINTS = [
    (
        "insert into p (a) values (1)",
        "SQLITE_CONSTRAINT_PRIMARYKEY",
        "UNIQUE constraint failed: p.a",
    ),
    ("insert into p (b) values (1)", "SQLITE_CONSTRAINT_UNIQUE", "UNIQUE constraint failed: p.b"),
    (
        "insert into p (c) values (null)",
        "SQLITE_CONSTRAINT_NOTNULL",
        "NOT NULL constraint failed: p.c",
    ),
    ("insert into p (d) values (0)", "SQLITE_CONSTRAINT_CHECK", "CHECK constraint failed: d > 0"),
    ("insert into f values (7)", "SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY constraint failed"),
]

OTHERS = [
    ("selec 1", sqlite3.OperationalError, 'near "selec": syntax error'),
    ("select", sqlite3.OperationalError, "incomplete input"),
    ("select 'open", sqlite3.OperationalError, 'unrecognized token: "\'open"'),
    ("select * from nowhere", sqlite3.OperationalError, "no such table: nowhere"),
    ("select missing from p", sqlite3.OperationalError, "no such column: missing"),
    ("select missing()", sqlite3.OperationalError, "no such function: missing"),
    ("select abs()", sqlite3.OperationalError, "wrong number of arguments to function abs()"),
    ("create table p (a)", sqlite3.OperationalError, "table p already exists"),
    ("drop table nowhere", sqlite3.OperationalError, "no such table: nowhere"),
    (
        "insert into p values (1)",
        sqlite3.OperationalError,
        "table p has 5 columns but 1 values were supplied",
    ),
    ("insert into p (zz) values (1)", sqlite3.OperationalError, "table p has no column named zz"),
    ("insert into p (a) values ('text')", sqlite3.IntegrityError, "datatype mismatch"),
    (
        "insert into s values ('text')",
        sqlite3.IntegrityError,
        "cannot store TEXT value in INTEGER column s.a",
    ),
    ("alter table p add column e", sqlite3.OperationalError, "duplicate column name: e"),
    ("select 1 union select 1, 2", sqlite3.OperationalError, None),
    ("attach 'x' as main", sqlite3.OperationalError, "database main is already in use"),
    ("detach nowhere", sqlite3.OperationalError, "no such database: nowhere"),
    ("select json('{')", sqlite3.OperationalError, "malformed JSON"),
    ("rollback to nowhere", sqlite3.OperationalError, "no such savepoint: nowhere"),
    (
        "insert into sqlite_master values (1,1,1,1,1)",
        sqlite3.OperationalError,
        "table sqlite_master may not be modified",
    ),
]


@pytest.mark.parametrize(
    "sql, name, message", CONSTRAINTS, ids=[name for _, name, _ in CONSTRAINTS]
)
async def test_constraint(db, sql, name, message):
    await db.executescript(SCHEMA)
    with pytest.raises(sqlite3.IntegrityError) as caught:
        await db.execute(sql)
    assert str(caught.value) == message
    assert type(caught.value) is sqlite3.IntegrityError
    if sys.version_info >= (3, 11):
        assert caught.value.sqlite_errorname == name
        assert caught.value.sqlite_errorcode == getattr(sqlite3, name)


@pytest.mark.parametrize("sql, error, message", OTHERS, ids=[sql for sql, _, _ in OTHERS])
async def test_error_of_a_statement(db, sql, error, message):
    await db.executescript(SCHEMA)
    with pytest.raises(error) as caught:
        await fetchall(db, sql)
    assert type(caught.value) is error
    if message is not None:
        assert str(caught.value) == message


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 gives no codes before Python 3.11")
@pytest.mark.parametrize(
    "sql, name",
    [
        ("selec 1", "SQLITE_ERROR"),
        ("select * from nowhere", "SQLITE_ERROR"),
        ("insert into p (a) values ('text')", "SQLITE_MISMATCH"),
        ("select zeroblob(2000000000)", "SQLITE_TOOBIG"),
    ],
)
async def test_code_of_an_error(db, sql, name):
    await db.executescript(SCHEMA)
    with pytest.raises(sqlite3.Error) as caught:
        await fetchall(db, sql)
    assert caught.value.sqlite_errorname == name
    assert isinstance(caught.value.sqlite_errorcode, int)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 gives no codes before Python 3.11")
async def test_error_of_the_module_itself_has_no_code(db):
    with pytest.raises(sqlite3.ProgrammingError) as caught:
        await db.execute("select ?")
    assert not hasattr(caught.value, "sqlite_errorcode")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 gives no codes before Python 3.11")
async def test_code_of_a_failed_open(aiosqlite, tmp_path):
    db = aiosqlite.connect(tmp_path)
    with pytest.raises(sqlite3.OperationalError) as caught:
        await db
    await asyncio.to_thread(db._thread.join)
    assert caught.value.sqlite_errorname in ("SQLITE_CANTOPEN", "SQLITE_CANTOPEN_ISDIR")


async def test_raise_in_a_trigger(db):
    await db.executescript(
        "create table t (a); create trigger no before insert on t begin select raise(abort, 'not today'); end"
    )
    with pytest.raises(sqlite3.IntegrityError, match=r"(?m)^not today$"):
        await db.execute("insert into t values (1)")


async def test_readonly_pragma(db):
    await db.execute("pragma query_only = on")
    with pytest.raises(
        sqlite3.OperationalError, match=r"(?m)^attempt to write a readonly database$"
    ):
        await db.execute("create table t (a)")


@pytest.mark.parametrize(
    "sql", [5, None, b"select 1", ["select 1"], object()], ids=lambda sql: type(sql).__name__
)
@pytest.mark.parametrize("method", ["execute", "execute_fetchall", "execute_insert"])
async def test_statement_that_is_no_string(db, method, sql):
    with pytest.raises(TypeError, match=rf"must be str, not ({type(sql).__name__}|None)$"):
        await getattr(db, method)(sql)


async def test_statement_that_is_no_string_in_executemany(db):
    with pytest.raises(TypeError, match=r"must be str, not int"):
        await db.executemany(5, [])


async def test_subclass_of_str_is_a_statement(db):
    class Sql(str):
        pass

    assert await scalar(db, Sql("select 1")) == 1


async def test_statement_with_a_null_character(db):
    expected = stdlib_outcome(lambda connection: connection.execute("select 1\0; select 2"))
    assert await outcome(db.execute("select 1\0; select 2")) == expected


async def test_error_leaves_the_connection_and_the_cursor_usable(db):
    cursor = await db.cursor()
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError):
            await cursor.execute("select * from nowhere")
    await cursor.execute("select 1")
    assert await cursor.fetchone() == (1,)


async def test_one_failing_task_does_not_touch_the_others(db):
    results = await asyncio.gather(
        db.execute_fetchall("select 1"),
        db.execute_fetchall("select * from nowhere"),
        db.execute_fetchall("select 2"),
        return_exceptions=True,
    )
    assert (results[0], results[2]) == ([(1,)], [(2,)])
    assert isinstance(results[1], sqlite3.OperationalError)


async def test_traceback_leads_to_the_await(db):
    async def the_query():
        await db.execute("select * from nowhere")

    with pytest.raises(sqlite3.OperationalError) as caught:
        await the_query()
    assert "the_query" in [entry.name for entry in caught.traceback]


async def test_interrupt_ends_a_running_query(db):
    started = threading.Event()
    await db.create_function("started", 0, lambda: started.set() or 1)
    # Bounded, so that a lost interrupt is a failure and not a hang.
    endless = (
        "with recursive n(i) as (select started() union all select i + 1 from n where i < 30000000)"
        " select count(*) from n"
    )
    task = asyncio.ensure_future(outcome(db.execute_fetchall(endless)))
    await asyncio.to_thread(started.wait)
    assert await db.interrupt() is None
    assert await task == (sqlite3.OperationalError, "interrupted")
    assert await scalar(db, "select 1") == 1


async def test_interrupt_with_nothing_running(db):
    await db.interrupt()
    assert await scalar(db, "select 1") == 1


async def test_table_changed_under_a_prepared_statement(db):
    await db.execute("create table t (a)")
    assert await fetchall(db, "select a from t") == []
    await db.execute("drop table t")
    with pytest.raises(sqlite3.OperationalError, match=r"(?m)^no such table: t$"):
        await fetchall(db, "select a from t")


async def test_table_dropped_while_it_is_read(db):
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    await db.commit()
    reader = await db.execute("select a from t")
    assert await reader.fetchone() == (0,)
    with pytest.raises(sqlite3.OperationalError, match=r"(?m)^database table is locked$"):
        await db.execute("drop table t")
    assert len(await reader.fetchall()) == 999
    await db.execute("drop table t")


@pytest.mark.parametrize("method", ["execute", "executescript"])
@pytest.mark.parametrize("sql", [None, 5, b"select 1"])
async def test_sql_that_is_no_string(db, method, sql):
    def stdlib_program(connection):
        return getattr(connection, method)(sql)

    assert await outcome(getattr(db, method)(sql)) == stdlib_outcome(stdlib_program)
