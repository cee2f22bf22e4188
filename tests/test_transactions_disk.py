"""A transaction on a disk that refuses: in the middle of it, and in its COMMIT."""

import asyncio
import contextlib
import os
import sqlite3
import sys

import pytest

import csqlite

if sys.platform != "win32":
    import resource
    import signal

FILL = "INSERT INTO t(x) VALUES(zeroblob(200000))"


@contextlib.contextmanager
def no_file_grows(size):
    """Let no file of this process become larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@contextlib.contextmanager
def a_journal_that_cannot_be_deleted(path):
    """Let COMMIT fail at its last step: what it has written is written."""
    journal = f"{path}-journal"
    os.rename(journal, f"{path}-moved")
    os.mkdir(journal)
    try:
        yield
    finally:
        os.rmdir(journal)


@contextlib.asynccontextmanager
async def opened(path, journal="DELETE"):
    async with csqlite.connect(path, isolation_level=None, timeout=0) as db:
        await db.execute(f"PRAGMA journal_mode={journal}")
        await db.execute("CREATE TABLE t(x)")
        yield db


async def count(db):
    return await db.fetch_scalar("SELECT count(*) FROM t")


async def goes_on(db):
    """The connection is as good as new."""
    assert not db.in_transaction
    before = await count(db)
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES(1)")
    assert await count(db) == before + 1


async def by_block(db, body):
    async with db.transaction() as tx:
        await body(tx)


async def by_run(db, body):
    await db.run_transaction(body, retries=20)


async def by_attempts(db, body):
    async for attempt in db.attempts(20):
        async with attempt as tx:
            await body(tx)


async def by_hand(db, body):
    tx = await db.begin()
    try:
        await body(tx)
        await tx.commit()
    finally:
        outcome = tx.outcome
        await tx.rollback()
        assert outcome is None or tx.outcome == outcome


WAYS = {"block": by_block, "run": by_run, "attempts": by_attempts, "hand": by_hand}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_full_database_leaves_the_statement_out_or_ends_all_of_it(path, way):
    async with opened(path) as db:
        await db.execute("PRAGMA max_page_count=5")
        runs = []

        async def body(tx):
            runs.append(tx)
            await tx.execute("INSERT INTO t VALUES(1)")
            with pytest.raises(sqlite3.OperationalError, match="full"):
                await tx.execute(FILL)
            runs.append(db.in_transaction)
            await tx.execute("INSERT INTO t VALUES(2)")

        with contextlib.suppress(sqlite3.OperationalError):
            await way(db, body)
        assert len(runs) == 2
        assert await count(db) == (2 if runs[0].outcome == "committed" else 0)
        assert runs[1] == (runs[0].outcome == "committed")
        await goes_on(db)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
async def test_an_error_of_the_disk_ends_it_though_the_body_swallows_it(path, journal, way):
    async with opened(path, journal) as db:
        await db.execute("PRAGMA cache_size=1")
        await db.execute("PRAGMA cache_spill=1")
        runs = []

        async def body(tx):
            runs.append(tx)
            await tx.execute("INSERT INTO t VALUES(1)")
            with no_file_grows(50_000), pytest.raises(sqlite3.OperationalError, match="I/O"):
                for _ in range(10):
                    await tx.execute(FILL)
            for call in (tx.execute, db.execute):
                with contextlib.suppress(sqlite3.OperationalError):
                    await call("INSERT INTO t VALUES(2)")

        with pytest.raises(sqlite3.OperationalError, match="rolled the transaction back.*I/O"):
            await way(db, body)
        assert len(runs) == 1 and runs[0].outcome == "rolled back"
        assert await count(db) == 0
        await goes_on(db)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_commit_whose_outcome_is_unknown_says_so_and_runs_nothing_again(path, way):
    async with opened(path) as db:
        runs = []
        with contextlib.ExitStack() as stack:

            async def body(tx):
                runs.append(tx)
                await tx.execute("INSERT INTO t VALUES(1)")
                stack.enter_context(a_journal_that_cannot_be_deleted(path))

            with pytest.raises(sqlite3.OperationalError, match="I/O") as caught:
                await way(db, body)
        if sys.version_info >= (3, 11):
            assert (
                "It is not known whether the transaction was committed." in caught.value.__notes__
            )
        assert len(runs) == 1 and runs[0].outcome == "unknown" and not runs[0].is_open
        with pytest.raises(sqlite3.OperationalError, match="over"):
            await runs[0].execute("INSERT INTO t VALUES(2)")
        await goes_on(db)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_commit_that_cannot_be_written(path, way):
    async with opened(path, "WAL") as db:
        runs = []
        with contextlib.ExitStack() as stack:

            async def body(tx):
                runs.append(tx)
                await tx.execute(FILL)
                stack.enter_context(no_file_grows(50_000))

            with pytest.raises(sqlite3.OperationalError, match="I/O"):
                await way(db, body)
        assert len(runs) == 1 and runs[0].outcome == "unknown"
        assert await count(db) == 0
        await goes_on(db)


async def test_others_go_on_behind_it(path):
    async with opened(path) as db:
        others = []
        with contextlib.ExitStack() as stack:
            with pytest.raises(sqlite3.OperationalError, match="I/O"):
                async with db.transaction() as tx:
                    await tx.execute("INSERT INTO t VALUES(1)")

                    async def other(number):
                        async with db.transaction() as tx:
                            await tx.execute("INSERT INTO t VALUES(?)", (number,))

                    others = [asyncio.create_task(other(number)) for number in range(3)]
                    await asyncio.sleep(0)
                    stack.enter_context(a_journal_that_cannot_be_deleted(path))
        results = await asyncio.gather(*others, return_exceptions=True)
        assert all(result is None or isinstance(result, sqlite3.Error) for result in results)
        await goes_on(db)


async def test_the_context_of_an_unknown_outcome_in_a_savepoint(path):
    """RELEASE writes nothing: a savepoint is never in doubt, the transaction around it is."""
    async with opened(path) as db:
        with contextlib.ExitStack() as stack:
            with pytest.raises(sqlite3.OperationalError, match="I/O"):
                async with db.transaction() as tx:
                    async with tx.savepoint() as part:
                        await part.execute("INSERT INTO t VALUES(1)")
                        stack.enter_context(a_journal_that_cannot_be_deleted(path))
                    assert part.outcome == "committed"
        assert tx.outcome == "unknown"
        await goes_on(db)
