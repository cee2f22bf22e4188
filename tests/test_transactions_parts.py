"""Blobs, sessions, backups and dumps of a connection while a transaction is open on it."""

import asyncio
import contextlib
import sqlite3

import pytest

import csqlite


@pytest.fixture
def db():
    return csqlite.connect(":memory:", isolation_level=None)


async def prepare(db):
    await db.execute("CREATE TABLE t(x INTEGER PRIMARY KEY, data BLOB)")
    await db.execute("INSERT INTO t VALUES(1, zeroblob(4)), (2, zeroblob(4))")


async def data(db, row=1):
    return await db.fetch_scalar("SELECT data FROM t WHERE x = ?", (row,))


async def until_waiting(*tasks):
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


def task_of(function, *arguments):
    """Begin a task that calls the function, which gives what can be awaited."""

    async def call():
        return await function(*arguments)

    return asyncio.create_task(call())


async def test_a_blob_of_a_transaction_is_inside_whoever_uses_it(db):
    await prepare(db)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            async with tx.blobopen("t", "data", 1) as blob:
                await task_of(blob.write, b"ab")
                await asyncio.gather(blob.write(b"c"), blob.seek(0))
                assert await task_of(blob.read) == b"abc\0"
                await task_of(blob.set, 0, ord("x"))
                assert await task_of(lambda: blob[0]) == ord("x")
                await task_of(blob.reopen, 2)
                assert len(blob) == 4
            raise ZeroDivisionError
    assert await data(db) == bytes(4)


async def test_a_blob_of_a_transaction_is_of_no_use_behind_its_end(db):
    await prepare(db)
    async with db.transaction() as tx:
        blob = await tx.blobopen("t", "data", 1, readonly=True)
        assert await blob.read() == bytes(4)
    for call in (blob.read, lambda: blob.reopen(2), lambda: blob.set(0, 1)):
        with pytest.raises(sqlite3.OperationalError, match="The transaction is over"):
            await call()
    await blob.close()
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM t")


async def test_what_is_open_for_writing_keeps_a_transaction_from_its_end(db):
    """As in sqlite3."""
    await prepare(db)
    with pytest.raises(sqlite3.OperationalError, match="SQL statements in progress"):
        async with db.transaction() as tx:
            blob = await tx.blobopen("t", "data", 1)
            await blob.write(b"ab")
    assert tx.outcome == "rolled back"
    await blob.close()
    assert await data(db) == bytes(4)


async def test_a_blob_of_the_connection_goes_by_who_uses_it(db):
    await prepare(db)
    blob = await db.blobopen("t", "data", 2, readonly=True)
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES(3, NULL)")
        assert await blob.read(1) == b"\0"
        other = task_of(blob.read)
        await until_waiting(other)
    assert await other == bytes(3)
    await blob.close()


async def test_closing_a_blob_waits_for_nobody(db):
    await prepare(db)
    blob = await db.blobopen("t", "data", 1, readonly=True)
    async with db.transaction():
        await task_of(blob.close)
        async with db.blobopen("t", "data", 2, readonly=True) as other:
            assert await other.read() == bytes(4)


async def test_cursors_of_the_connection_go_by_who_uses_them(db):
    await prepare(db)
    cursor = await db.cursor()
    async with db.transaction() as tx:
        await asyncio.gather(cursor.execute("INSERT INTO t VALUES(3, NULL)"))
        other = task_of(cursor.execute, "SELECT count(*) FROM t")
        await until_waiting(other)
        own = await tx.cursor()
        await task_of(own.execute, "SELECT count(*) FROM t")
        assert await task_of(own.fetchone) == (3,)
    assert await (await other).fetchone() == (3,)
    with pytest.raises(sqlite3.OperationalError, match="over"):
        await own.execute("SELECT 1")


async def test_a_session_records_what_is_done_inside(db):
    await prepare(db)
    if not hasattr(csqlite, "Session") or "ENABLE_SESSION" not in csqlite.compile_options:
        pytest.skip("this SQLite has no sessions")
    async with db.session() as session:
        await session.attach()
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES(3, NULL)")
            assert not await session.is_empty()
            other = task_of(session.changeset)
            await until_waiting(other)
            await asyncio.gather(session.changeset())
            await tx.execute("INSERT INTO t VALUES(4, NULL)")
        assert await other == await session.changeset()


async def test_a_dump_inside_has_what_is_not_committed(db):
    await prepare(db)

    async def lines(on):
        return [line async for line in on.iterdump() if line.startswith("INSERT")]

    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES(3, NULL)")
            assert len(await lines(db)) == 3
            other = task_of(lines, db)
            await until_waiting(other)
            raise ZeroDivisionError
    assert len(await other) == 2


async def test_a_backup_waits_for_the_transaction_of_another_task(db, path):
    await prepare(db)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES(3, NULL)")
            other = task_of(db.backup, path)
            await asyncio.sleep(0.01)
            assert not other.done()
            raise ZeroDivisionError
    await other
    with contextlib.closing(sqlite3.connect(path)) as copy:
        assert copy.execute("SELECT count(*) FROM t").fetchone() == (2,)


async def test_a_backup_inside(db, path):
    await prepare(db)
    async with db.transaction("deferred") as tx:
        assert await tx.fetch_scalar("SELECT count(*) FROM t") == 2
        await asyncio.gather(db.backup(path))
        await tx.execute("INSERT INTO t VALUES(3, NULL)")
        with pytest.raises(sqlite3.OperationalError, match="cannot be copied"):
            await db.backup(path)
    async with csqlite.connect(path) as copy:
        assert await copy.fetch_scalar("SELECT count(*) FROM t") == 2


async def test_a_backup_that_is_cancelled_waits_for_nobody(db, path):
    await prepare(db)
    stepped = asyncio.Event()

    async def progress(status, remaining, total):
        stepped.set()

    other = task_of(lambda: db.backup(path, pages=1, progress=progress, sleep=0.001))
    await stepped.wait()
    async with db.transaction():
        other.cancel()
        await asyncio.wait({other})
        assert other.cancelled() or other.exception() is None
