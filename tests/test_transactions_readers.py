"""Entering a block while something is half-read on the same connection, and others have committed."""

import contextlib
import sqlite3

import pytest

import csqlite

ROWS = 2000


def prepared(path, rows=ROWS, size=10):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE t(x INTEGER PRIMARY KEY, data hexed)")
        other.executemany("INSERT INTO t VALUES(?, ?)", ((x, b"a" * size) for x in range(rows)))
        other.commit()
    return path


@pytest.fixture
def db(path):
    return csqlite.connect(prepared(path), timeout=0)


async def begin_behind_others(db, path):
    """Commit something by another connection, then write in a transaction."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("INSERT INTO t VALUES(100000, NULL)")
        other.commit()
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES(100001, NULL)")
    assert await db.fetch_scalar("SELECT count(*) FROM t WHERE x >= 100000") == 2


async def one_by_one(cursor):
    rows = []
    while (row := await cursor.fetchone()) is not None:
        rows.append(row)
    return rows


async def by_many(cursor):
    rows = []
    while some := await cursor.fetchmany(7):
        rows += some
    return rows


async def by_loop(cursor):
    return [row async for row in cursor]


FETCHES = {
    "fetchone": one_by_one,
    "fetchmany": by_many,
    "fetchall": lambda cursor: cursor.fetchall(),
    "async for": by_loop,
}


@pytest.mark.parametrize("taken", [0, 1, 3, 100])
@pytest.mark.parametrize("chunk", [1, 2, 64])
@pytest.mark.parametrize("fetch", FETCHES.values(), ids=FETCHES)
async def test_a_cursor_gives_all_its_rows(db, path, fetch, chunk, taken):
    async with db.execute("SELECT x FROM t ORDER BY x") as cursor:
        cursor.iter_chunk_size = chunk
        rows = [await cursor.fetchone() for _ in range(taken)]
        await begin_behind_others(db, path)
        assert [*rows, *await fetch(cursor)] == [(x,) for x in range(ROWS)]
        assert await cursor.fetchone() is None
        await cursor.execute("SELECT 1")
        assert await cursor.fetchall() == [(1,)]


async def test_several_at_once_and_a_stream_and_a_dump(db, path):
    cursors = [await db.execute("SELECT x FROM t WHERE x % 3 = ?", (n,)) for n in range(3)]
    stream = db.stream("SELECT x FROM t", chunk=2)
    dump = db.iterdump()
    first = await stream.__anext__()
    lines = [await dump.__anext__() for _ in range(3)]
    await begin_behind_others(db, path)
    for n, cursor in enumerate(cursors):
        assert await cursor.fetchall() == [(x,) for x in range(n, ROWS, 3)]
    assert [first, *[row async for row in stream]] == [(x,) for x in range(ROWS)]
    lines += [line async for line in dump]
    assert sum(line.startswith("INSERT") for line in lines) == ROWS
    assert lines[-1] == "COMMIT;"


async def test_what_a_row_is_made_of_stays(path):
    csqlite.register_converter("hexed", bytes.hex)
    async with csqlite.connect(
        prepared(path), timeout=0, detect_types=csqlite.PARSE_DECLTYPES, row_factory=csqlite.Row
    ) as db:
        await db.create_function("twice", 1, lambda x: 2 * x)
        cursor = await db.execute("SELECT twice(x) AS doubled, data FROM t")
        await begin_behind_others(db, path)
        rows = await cursor.fetchall()
        assert [(row["doubled"], row["data"]) for row in rows] == [
            (2 * x, "61" * 10) for x in range(ROWS)
        ]
        assert [column[0] for column in cursor.description] == ["doubled", "data"]


async def test_what_is_too_much_is_an_error_and_no_row_less(path):
    async with csqlite.connect(prepared(path, 3000, 2000), timeout=0) as db:
        cursor = await db.execute("SELECT x, data FROM t")
        cursor.iter_chunk_size = 2
        dump = db.iterdump()
        await dump.__anext__()
        await begin_behind_others(db, path)
        with pytest.raises(sqlite3.ProgrammingError, match="ended by reset.. or by a transaction"):
            await one_by_one(cursor)
        assert await cursor.fetchone() is None
        with pytest.raises(sqlite3.ProgrammingError, match="a transaction's begin"):
            await by_loop(dump)


async def test_a_function_that_fails_is_an_error_too(db, path):
    calls = []

    def fail(x):
        calls.append(x)
        if x == 1000:
            raise ZeroDivisionError
        return x

    await db.create_function("fail", 1, fail)
    cursor = await db.execute("SELECT fail(x) FROM t")
    await begin_behind_others(db, path)
    with pytest.raises(sqlite3.ProgrammingError, match="a transaction's begin"):
        await one_by_one(cursor)
    assert calls[-1] == 1000


async def test_a_blob_that_is_open_for_reading_is_told(db, path):
    blob = await db.blobopen("t", "data", 1, readonly=True)
    assert await blob.read(2) == b"aa"
    await begin_behind_others(db, path)
    for call in (lambda: blob.read(1), lambda: blob.reopen(2), lambda: blob[0]):
        with pytest.raises(sqlite3.ProgrammingError, match="ended by a transaction's begin"):
            await call()
    await blob.close()
    async with db.blobopen("t", "data", 1) as blob:
        assert await blob.read() == b"a" * 10


async def test_what_is_kept_is_dropped_with_its_cursor(db, path):
    for end in ("close", "execute", "drop", "close the connection"):
        cursor = await db.execute("SELECT x FROM t")
        other = await db.execute("SELECT x FROM t")
        with contextlib.closing(sqlite3.connect(path)) as writer:
            writer.execute("DELETE FROM t WHERE x = -1")
            writer.execute("INSERT INTO t VALUES(-1, NULL)")
            writer.commit()
        async with db.transaction():
            pass
        if end == "close":
            await cursor.close()
        elif end == "execute":
            await cursor.execute("SELECT 1")
            assert await cursor.fetchall() == [(1,)]
        elif end == "drop":
            del cursor
        else:
            await db.close()
            with pytest.raises((sqlite3.Error, ValueError)):
                await one_by_one(other)
            break
        assert len(await other.fetchall()) >= ROWS


async def test_nothing_is_ended_where_it_is_not_in_the_way(db):
    cursor = await db.execute("SELECT x FROM t")
    async with db.blobopen("t", "data", 1, readonly=True) as blob:
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES(100001, NULL)")
        assert await blob.read() == b"a" * 10
    assert len(await cursor.fetchall()) >= ROWS
