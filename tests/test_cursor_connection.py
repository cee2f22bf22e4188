"""What `connection` of each kind of cursor is."""

import sqlite3

import pytest

import csqlite


async def test_a_cursors_is_the_connection_that_made_it():
    async with csqlite.connect(":memory:") as db:
        cursor = await db.execute("SELECT 1")
        assert cursor.connection is db
        assert (await db.cursor()).connection is db
        await cursor.close()
    assert cursor.connection is db


async def test_that_of_another_modules():
    own = type("Own", (sqlite3.Connection,), {})
    async with csqlite.connect(":memory:", factory=own) as db:
        cursor = await db.execute("SELECT 1")
        assert cursor.connection is db
        assert cursor._cursor.connection is db._conn


async def test_a_synchronous_cursors_is_a_synchronous_connection():
    async with csqlite.connect(":memory:") as db:
        cursor = await db._execute(db._conn.execute, "SELECT 1")
        assert cursor.connection == db._conn
        assert not await db._execute(lambda: cursor.connection.in_transaction)


def test_a_cursor_that_was_not_initialized_has_none():
    with pytest.raises(sqlite3.ProgrammingError, match="__init__ not called"):
        _ = csqlite.Cursor.__new__(csqlite.Cursor).connection


async def test_the_cursor_of_a_row_factory_says_which_object_to_use():
    said = []

    def factory(cursor, row):
        said.append(getattr(cursor, "connection", None))
        try:
            _ = cursor.connection
        except AttributeError as error:
            said.append(str(error))
        return dict(zip([column[0] for column in cursor.description], row))

    async with csqlite.connect(":memory:", row_factory=factory) as db:
        assert await db.execute_fetchall("SELECT 1 AS a") == [{"a": 1}]
    assert said[0] is None
    assert "use the csqlite.Connection" in said[1]
