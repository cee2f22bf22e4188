"""What is no plain statement stands in the line of writers, too: blobs, changesets, backups, PRAGMA, VACUUM."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack

import pytest
from writing import LONG, made, opened, states, values, waiting

import csqlite


@pytest.fixture(params=["wal", "delete"])
def mode(request):
    return request.param


@pytest.fixture
def path(mode, tmp_path):
    name = made(tmp_path / "a.db", mode)
    db = sqlite3.connect(name)
    db.executescript(
        "create table b(v); insert into b values(zeroblob(9)); create index i on t(a);"
    )
    db.close()
    return name


async def changeset():
    async with csqlite.connect(":memory:") as db:
        await db.execute("create table k(a primary key)")
        session = await db.session()
        await session.attach()
        await db.execute("insert into k values(1)")
        return await session.changeset()


def has_sessions():
    try:
        csqlite.Changeset.concat()
    except csqlite.NotSupportedError:
        return False
    return True


sessions = pytest.mark.skipif(not has_sessions(), reason="this SQLite has no sessions")


async def apply(db):
    await db.apply_changeset(await changeset(), conflict=csqlite.SQLITE_CHANGESET_OMIT)


async def write_blob(db):
    async with db.blobopen("b", "v", 1) as blob:
        await blob.write(b"abc")


async def back_up(db):
    async with csqlite.connect(":memory:") as source:
        await source.execute("create table other(a)")
        await source.backup(db)


async def begin_block(db):
    async with db.transaction():
        pass


KINDS = {
    "blob": write_blob,
    "vacuum": lambda db: db.execute("vacuum"),
    "vacuum main": lambda db: db.execute("vacuum main"),
    "version": lambda db: db.execute("pragma user_version = 3"),
    "application": lambda db: db.execute("pragma main.application_id = 3"),
    "incremental vacuum": lambda db: db.execute("pragma incremental_vacuum"),
    "optimize": lambda db: db.execute("pragma optimize = 0x10002"),
    "reindex": lambda db: db.execute("reindex"),
    "analyze": lambda db: db.execute("analyze"),
    "create": lambda db: db.execute("create table fresh(a)"),
    "script": lambda db: db.executescript("pragma user_version = 4; vacuum;"),
    "many": lambda db: db.executemany("insert into t values(?)", [(1,), (2,)]),
    "block": begin_block,
    "backup": back_up,
}
IN_WAL_MODE = {
    "checkpoint": lambda db: db.wal_checkpoint(csqlite.SQLITE_CHECKPOINT_TRUNCATE),
    "pragma": lambda db: db.execute("pragma wal_checkpoint(restart)"),
}


async def run(function, db):
    return await function(db)


async def check_kind(path, kind):
    async with AsyncExitStack() as stack:
        first, second, third = await opened(stack, path, 3)
        await first.execute("begin immediate")
        task = asyncio.create_task(run(kind, second))
        await waiting(path, 1)
        behind = asyncio.create_task(third.execute("insert into t values(7)"))
        await waiting(path, 2)
        await first.commit()
        await task
        await behind
        assert states(path) == []
    assert values(path)[-1:] == [7]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "backup"])
async def test_it_waits_for_its_turn(path, kind):
    await check_kind(path, KINDS[kind])


@pytest.mark.parametrize("kind", IN_WAL_MODE)
async def test_a_checkpoint_that_waits_does_so_in_its_turn(tmp_path, kind):
    await check_kind(made(tmp_path / "a.db", "wal"), IN_WAL_MODE[kind])


async def test_a_backup_waits_for_its_turn_and_keeps_it(tmp_path):
    path = made(tmp_path / "a.db", "delete")
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await first.execute("begin immediate")
        task = asyncio.create_task(back_up(second))
        await waiting(path, 1)
        assert csqlite.locks(path)[1].sql == "backup()"
        await first.commit()
        await task
        assert states(path) == []
        assert await first.execute_fetchall("select name from sqlite_master") == [("other",)]


@sessions
async def test_a_changeset_waits_for_its_turn(path):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await first.execute("create table k(a primary key)")
        await first.execute("begin immediate")
        task = asyncio.create_task(apply(second))
        await waiting(path, 1)
        await first.commit()
        await task
        assert await first.execute_fetchall("select a from k") == [(1,)]


async def test_a_blob_that_is_open_for_writing_keeps_the_turn(path):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        blob = await first.blobopen("b", "v", 1)
        await blob.write(b"abc")
        task = asyncio.create_task(second.execute("insert into t values(1)"))
        await waiting(path, 1)
        assert csqlite.locks(path)[0].sql == "blobopen()"
        await blob.close()
        await task


async def test_a_blob_that_is_open_for_reading_has_no_turn(path):
    async with AsyncExitStack() as stack:
        (first,) = await opened(stack, path)
        async with first.blobopen("b", "v", 1, readonly=True) as blob:
            assert await blob.read() == bytes(9)
            assert "writes" not in states(path)


@pytest.mark.parametrize("kind", [*KINDS, pytest.param("changeset", marks=sessions)])
async def test_a_wait_in_vain_says_who_has_the_lock(path, kind):
    function = {**KINDS, "changeset": apply}[kind]
    async with AsyncExitStack() as stack:
        (first,) = await opened(stack, path)
        (second,) = await opened(stack, path, timeout=0.05)
        await first.execute("create table k(a primary key)")
        await first.execute("begin immediate")
        if kind == "backup":
            with pytest.raises(asyncio.TimeoutError):  # It tries until it is told to end.
                await asyncio.wait_for(function(second), 0.2)
        else:
            with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
                await function(second)
            assert caught.value.lock_sql == "begin immediate"
            assert caught.value.lock_seconds >= 0
            assert any("has the lock for" in note for note in caught.value.__notes__)
        await first.rollback()
        await second.execute("insert into t values(1)")


@pytest.mark.parametrize("kind", KINDS)
async def test_who_is_cancelled_leaves_no_gap(path, kind):
    async with AsyncExitStack() as stack:
        first, second, third = await opened(stack, path, 3)
        await first.execute("begin immediate")
        task = asyncio.create_task(run(KINDS[kind], second))
        await waiting(path, 1)
        behind = asyncio.create_task(third.execute("insert into t values(7)"))
        await waiting(path, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await first.rollback()
        await behind
        await second.execute("insert into t values(8)")
        assert states(path) == []


async def test_a_change_of_the_journal_mode_waits(tmp_path):
    """SQLite by itself refuses it at once, however long the timeout is."""
    path = made(tmp_path / "a.db", "delete")
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await first.execute("begin immediate")
        task = asyncio.create_task(second.execute_fetchall("pragma journal_mode = wal"))
        await waiting(path, 1)
        await first.commit()
        assert await task == [("wal",)]
        # Which does nothing where it is that already.
        await first.execute("begin immediate")
        assert await second.execute_fetchall("pragma journal_mode = wal") == [("wal",)]
        await first.rollback()


async def test_what_a_connection_begins_with_waits(tmp_path):
    path = made(tmp_path / "a.db", "delete")
    async with AsyncExitStack() as stack:
        (first,) = await opened(stack, path)
        await first.execute("begin immediate")
        task = asyncio.create_task(
            csqlite.connect(path, timeout=LONG, pragmas="server").__aenter__()
        )
        await waiting(path, 1)
        await first.commit()
        second = await task
        assert await second.execute_fetchall("pragma journal_mode") == [("wal",)]
        assert states(path) == []
        await first.execute("insert into t values(1)")
        await second.close()


@pytest.mark.parametrize(
    "sql", ["pragma user_version", "pragma foreign_keys = on", "pragma wal_checkpoint"]
)
async def test_what_does_not_write_does_not_wait(tmp_path, sql):
    path = made(tmp_path / "a.db", "wal")
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await first.execute("begin immediate")
        await second.execute(sql)
        await second.executescript(sql)
        await first.rollback()


async def test_others_write_while_a_checkpoint_waits_for_nobody(tmp_path):
    """It copies what it can, and takes no turn for that."""
    path = made(tmp_path / "a.db", "wal")
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        reader = await first.execute("select 1")
        await second.execute("begin immediate")
        assert states(path) == ["writes"]
        await first.execute("pragma wal_checkpoint")
        assert csqlite.locks(path)[0].sql == "begin immediate"
        await second.rollback()
        await reader.close()
