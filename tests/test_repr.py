"""repr() of what belongs to a connection: what it is of, and what state it is in."""

import re
import sqlite3

import pytest

import csqlite


def told(thing):
    """Return repr() without the address."""
    text = repr(thing)
    assert re.search(r", at 0x[0-9a-f]+>$", text)
    return re.sub(r", at 0x[0-9a-f]+>$", ">", text)


async def test_a_connection(tmp_path):
    path = tmp_path / "x.db"
    db = csqlite.connect(path)
    name = f"<csqlite.Connection {str(path)!r}"
    assert told(db) == f"{name}, not opened>"
    await db
    assert told(db) == f"{name}, open>"
    await db.execute("BEGIN")
    assert told(db) == f"{name}, open, in transaction>"
    await db.close()
    assert told(db) == f"{name}, closed>"


@pytest.mark.parametrize(
    ("database", "shown"),
    [(":memory:", "':memory:'"), (b"x.db", "'x.db'"), ("", "''"), (b"\xff.db", r"'\udcff.db'")],
)
def test_a_connection_that_was_never_opened(database, shown):
    assert told(csqlite.connect(database)) == f"<csqlite.Connection {shown}, not opened>"


async def test_a_connection_of_an_own_connector_and_of_a_subclass():
    class Own(csqlite.Connection):
        def __init__(self):
            super().__init__(self.open, 64)

        def open(self):
            return sqlite3.connect(":memory:")

    async with Own() as db:
        assert "Own <bound method" in repr(db)
        assert "Own ...," in repr(db), "it does not tell of itself within itself"
        cursor = await db.execute("SELECT 1")
        assert "sqlite3.Cursor" in repr(cursor)


async def test_a_connection_that_was_not_initialized():
    assert "not opened" in repr(csqlite.Connection.__new__(csqlite.Connection))
    assert told(csqlite.Cursor.__new__(csqlite.Cursor)) == "<csqlite.Cursor not initialized>"


async def test_a_cursor():
    async with csqlite.connect(":memory:", iter_chunk_size=2) as db:
        cursor = await db.cursor()
        assert told(cursor) == "<csqlite.Cursor nothing executed>"
        await cursor.execute("CREATE TABLE t (a)")
        assert told(cursor) == "<csqlite.Cursor 'CREATE TABLE t (a)', no result>"
        await cursor.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(5)])
        assert told(cursor) == "<csqlite.Cursor 'INSERT INTO t VALUES (?)', no result>"
        await cursor.execute("SELECT a\n  FROM t")
        assert told(cursor) == "<csqlite.Cursor 'SELECT a FROM t', 1 row waiting, perhaps more>"
        await cursor.fetchone()
        assert "0 rows waiting, perhaps more" in repr(cursor)
        await cursor.fetchall()
        assert told(cursor) == "<csqlite.Cursor 'SELECT a FROM t', 0 rows waiting>"
        await cursor.close()
        assert told(cursor) == "<csqlite.Cursor 'SELECT a FROM t', closed>"


async def test_a_long_statement_is_cut():
    async with csqlite.connect(":memory:") as db:
        cursor = await db.execute("SELECT " + "1, " * 1500 + "1")
        assert len(repr(cursor)) < 150
        assert "…" in repr(cursor)


async def test_a_blob():
    async with csqlite.connect(":memory:") as db:
        await db.execute("CREATE TABLE t (b)")
        await db.execute("INSERT INTO t VALUES (zeroblob(10))")
        blob = await db.blobopen("t", "b", 1)
        await blob.read(3)
        assert told(blob) == "<csqlite.Blob object of 10 bytes, position 3>"
        await blob.close()
        assert told(blob) == "<csqlite.Blob object, closed>"


@pytest.mark.skipif(
    not hasattr(csqlite.Connection, "session"), reason="this SQLite has no sessions"
)
async def test_a_session():
    async with csqlite.connect(":memory:") as db:
        session = await db.session()
        assert told(session) == "<csqlite.Session of 'main' in ':memory:', open>"
        await session.close()
        assert told(session) == "<csqlite.Session of 'main' in ':memory:', closed>"


async def test_a_request():
    async with csqlite.connect(":memory:") as db:
        request = db.execute("SELECT 1")
        assert repr(request) == "<csqlite request Connection.execute, not awaited>"
        await request
        assert repr(request) == "<csqlite request Connection.execute, done>"
