"""What an exception tells beside its message: the code's number and name, and where in the SQL."""

import sqlite3

import pytest

import csqlite


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def failure(db, sql, *parameters):
    """Return the exception that a statement raises."""
    with pytest.raises(sqlite3.Error) as caught:
        await db.execute(sql, parameters)
    return caught.value


@pytest.mark.skipif(
    csqlite.sqlite_version_info < (3, 38), reason="SQLite tells no offset before 3.38"
)
@pytest.mark.parametrize(
    ("sql", "offset"),
    [
        ("selec 1", 0),
        ("select 1,, 2", 9),
        ("select absent from sqlite_schema", 7),
        ("select 'ü', absent", 13),  # In bytes of UTF-8.
        ("select no_such_function(1)", 7),
    ],
)
async def test_offset_of_what_sqlite_does_not_understand(db, sql, offset):
    error = await failure(db, sql)
    assert error.sqlite_error_offset == offset
    assert error.sqlite_errorcode == csqlite._csqlite.SQLITE_ERROR
    assert error.sqlite_errorname == "SQLITE_ERROR"


async def test_offset_of_a_failure_that_has_no_place(db):
    await db.execute("create table t (a unique)")
    await db.execute("insert into t values (1)")
    error = await failure(db, "insert into t values (?)", 1)
    assert error.sqlite_error_offset == -1
    assert error.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE"


async def test_error_that_is_not_sqlites_has_no_offset(db):
    error = await failure(db, "select ?")
    assert not hasattr(error, "sqlite_error_offset")
    assert not hasattr(error, "sqlite_errorcode")
