"""executescript(): many statements in one text, no parameters, no rows."""

import sqlite3

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

SCRIPT = """
    -- A comment with a ; in it
    create table t (a, b default ';');
    /* and another ; */
    create table log (what);
    create trigger added after insert on t begin
        insert into log values ('added; ' || new.a);
        insert into log values ('twice');
    end;
    insert into t (a) values (1); insert into t values (2, 'it''s; fine');
    select * from t;;
    create view v as select a from t where b = ';'
"""


async def test_every_statement_runs(db):
    cursor = await db.executescript(SCRIPT)
    assert await fetchall(db, "select * from t") == [(1, ";"), (2, "it's; fine")]
    assert await fetchall(db, "select what from log") == [
        ("added; 1",),
        ("twice",),
        ("added; 2",),
        ("twice",),
    ]
    assert await fetchall(db, "select * from v") == [(1,)]
    assert cursor.description is None
    assert await cursor.fetchall() == []


async def test_attributes_of_the_cursor_are_as_in_sqlite3(db):
    def program(connection):
        cursor = connection.executescript(SCRIPT)
        return cursor.rowcount, cursor.lastrowid, cursor.description

    cursor = await db.executescript(SCRIPT)
    assert (cursor.rowcount, cursor.lastrowid, cursor.description) == stdlib_outcome(program)


@pytest.mark.parametrize(
    "script", ["", " ", ";", ";;;", "-- comment", "/* open", "-- a\n;\n/* b */"]
)
async def test_script_without_a_statement(db, script):
    cursor = await db.executescript(script)
    assert await cursor.fetchall() == []


async def test_error_in_the_middle_keeps_what_ran_before_and_skips_the_rest(db):
    with pytest.raises(sqlite3.OperationalError, match=r'(?m)^near "nonsense": syntax error$'):
        await db.executescript("create table a (x); nonsense here; create table b (x)")
    assert await fetchall(db, "select name from sqlite_master") == [("a",)]


async def test_error_while_running_keeps_what_ran_before(db):
    with pytest.raises(sqlite3.IntegrityError, match=r"(?m)^UNIQUE constraint failed: t.a$"):
        await db.executescript(
            "create table t (a unique); insert into t values (1);"
            "insert into t values (1); insert into t values (2)"
        )
    assert await fetchall(db, "select a from t") == [(1,)]


async def test_incomplete_last_statement(db):
    with pytest.raises(sqlite3.OperationalError, match=r"(?m)^incomplete input$"):
        await db.executescript("create table t (a); select")
    assert await scalar(db, "select count(*) from sqlite_master") == 1


async def test_every_statement_commits_by_itself(aiosqlite, path):
    async with aiosqlite.connect(path) as db:
        await db.executescript("create table t (a); insert into t values (1)")
        assert not db.in_transaction
    async with aiosqlite.connect(path) as db:
        assert await fetchall(db, "select a from t") == [(1,)]


async def test_transaction_written_into_the_script(db):
    await db.executescript(
        "create table t (a); begin; insert into t values (1); rollback; insert into t values (2)"
    )
    assert await fetchall(db, "select a from t") == [(2,)]


async def test_parameters_are_null(db):
    await db.executescript(
        "create table t (a); insert into t values (?); insert into t values (:name)"
    )
    assert await fetchall(db, "select a from t") == [(None,), (None,)]


async def test_null_character(db):
    script = "create table t (a);\0 create table u (a);"

    def program(connection):
        connection.executescript(script)

    expected = stdlib_outcome(program)
    result = await outcome(db.executescript(script))
    assert (result if isinstance(result, tuple) else None) == expected


@pytest.mark.parametrize(
    "script", [5, None, b"select 1", ["select 1"]], ids=lambda value: type(value).__name__
)
async def test_script_that_is_no_string(db, script):
    expected = stdlib_outcome(lambda connection: connection.executescript(script))
    error, _ = await outcome(db.executescript(script))
    assert error is expected[0]


async def test_text_beyond_ascii(db):
    await db.executescript("create table täble (ä); insert into täble values ('数 😀')")
    assert await fetchall(db, "select ä from täble") == [("数 😀",)]


async def test_rows_of_an_open_cursor_survive(db):
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(n,) for n in range(300)])
    reader = await db.execute("select a from t")
    assert await reader.fetchone() == (0,)
    await db.executescript("create table u (a); insert into u values (1)")
    assert len(await reader.fetchall()) == 299


async def test_many_statements(db):
    await db.executescript("create table t (a);" + "insert into t values (1);" * 2000)
    assert await scalar(db, "select count(*) from t") == 2000
    assert db.total_changes == 2000


async def test_async_with_closes_the_cursor(db):
    async with db.executescript("select 1") as cursor:
        pass
    assert await outcome(cursor.fetchone()) == (
        sqlite3.ProgrammingError,
        "Cannot operate on a closed cursor.",
    )
