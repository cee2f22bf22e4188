"""Names that are not UTF-8: a damaged schema does not hide its rows, which sqlite3 then cannot read."""

import contextlib
import sqlite3

import pytest
from parity.outcomes import fetchall, outcome

import csqlite

NAME = "a\ufffdb"


@pytest.fixture
def damaged(tmp_path):
    """A database with a table and a column whose names have a byte that begins no character."""
    path = tmp_path / "damaged.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table tXb (aXb, c)")
        connection.execute("insert into tXb values (1, 'two')")
        connection.execute("create view v as select * from tXb")
        connection.execute("pragma writable_schema = on")
        connection.execute(
            "update sqlite_master set sql = cast(replace(cast(sql as blob), x'615862', x'61ff62') as text)"
        )
        connection.commit()
    return path


def test_sqlite3_reads_no_row(damaged):
    with contextlib.closing(sqlite3.connect(damaged)) as connection:
        with pytest.raises(UnicodeDecodeError):
            connection.execute("select * from tXb")


@pytest.mark.parametrize("table", ["tXb", "v"])
async def test_columns_have_a_replacement_character(damaged, table):
    async with csqlite.connect(damaged) as db:
        async with db.execute(f"select * from {table}") as cursor:
            assert [column[0] for column in cursor.description] == [NAME, "c"]
            assert await cursor.fetchall() == [(1, "two")]
        db.row_factory = csqlite.Row
        (row,) = await fetchall(db, "select * from tXb")
        assert row.keys() == [NAME, "c"]
        assert row[NAME] == 1


async def test_message_has_a_replacement_character(damaged):
    async with csqlite.connect(damaged) as db:
        await db.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_READ else 0
        )
        kind, text = await outcome(db.execute("select * from tXb"))
    assert kind is sqlite3.DatabaseError
    assert f"tXb.{NAME}" in text


async def test_values_are_decoded_strictly(damaged):
    async with csqlite.connect(damaged) as db:
        kind, text = await outcome(fetchall(db, "select sql from sqlite_master where name = 'tXb'"))
    assert kind is sqlite3.OperationalError
    assert text.startswith("Could not decode to UTF-8 column 'sql' with text")
