"""Savepoints, and transactions that SQLite ends by itself."""

import asyncio
import contextlib
import sqlite3

import pytest

import csqlite


@pytest.fixture
def db():
    return csqlite.connect(":memory:", isolation_level=None)


async def values(db):
    return [row[0] for row in await db.execute_fetchall("SELECT x FROM t ORDER BY x")]


async def prepare(db):
    await db.execute("CREATE TABLE t(x INTEGER PRIMARY KEY)")


@pytest.mark.parametrize("make", ["transaction", "savepoint"])
@pytest.mark.parametrize("on", ["tx", "db"])
async def test_a_block_within_is_a_savepoint(db, make, on):
    await prepare(db)
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES(1)")
        inside = getattr({"tx": tx, "db": db}[on], make)
        with pytest.raises(ZeroDivisionError):
            async with inside() as part:
                await part.execute("INSERT INTO t VALUES(2)")
                raise ZeroDivisionError
        async with inside() as part:
            await part.execute("INSERT INTO t VALUES(3)")
            async with inside() as deeper:
                await deeper.execute("INSERT INTO t VALUES(4)")
                await tx.execute("INSERT INTO t VALUES(5)")
        assert part.outcome == "committed" and db.in_transaction
    assert await values(db) == [1, 3, 4, 5]


async def test_a_savepoint_with_a_name(db):
    await prepare(db)
    async with db.transaction() as tx:
        async with tx.savepoint('so "it" is') as part:
            await part.execute("INSERT INTO t VALUES(1)")
            await part.execute('ROLLBACK TO "so ""it"" is"')
            await part.execute("INSERT INTO t VALUES(2)")
    assert await values(db) == [2]
    with pytest.raises(TypeError):
        db.savepoint(1)


async def test_a_savepoint_without_a_transaction_begins_one(db):
    await prepare(db)
    async with db.savepoint() as part:
        await part.execute("INSERT INTO t VALUES(1)")
        assert db.in_transaction
    assert not db.in_transaction
    with pytest.raises(ZeroDivisionError):
        async with db.savepoint("named") as part:
            await part.execute("INSERT INTO t VALUES(2)")
            raise ZeroDivisionError
    assert await values(db) == [1]


async def test_savepoints_of_other_tasks_take_turns(db):
    await prepare(db)
    inside = 0

    async def part(tx, number, fails):
        nonlocal inside
        with contextlib.suppress(ZeroDivisionError):
            async with tx.savepoint() as own:
                inside += 1
                assert inside == 1
                await own.execute("INSERT INTO t VALUES(?)", (number,))
                await asyncio.sleep(0)
                await own.execute("INSERT INTO t VALUES(?)", (100 + number,))
                inside -= 1
                if fails:
                    raise ZeroDivisionError

    async with db.transaction() as tx:
        await asyncio.gather(*(part(tx, number, number % 2) for number in range(10)))
    assert await values(db) == [*range(0, 10, 2), *range(100, 110, 2)]


async def test_what_is_called_on_the_transaction_waits_for_a_savepoint_of_another_task(db):
    await prepare(db)
    entered = asyncio.Event()
    leave = asyncio.Event()

    async def part(tx):
        async with tx.savepoint() as own:
            entered.set()
            await leave.wait()
            await own.execute("INSERT INTO t VALUES(1)")
            raise ZeroDivisionError

    async with db.transaction() as tx:
        task = asyncio.create_task(part(tx))
        await entered.wait()
        insert = asyncio.ensure_future(tx.execute("INSERT INTO t VALUES(2)"))
        await asyncio.sleep(0)
        leave.set()
        await insert
        with pytest.raises(ZeroDivisionError):
            await task
    assert await values(db) == [2]


async def test_read_only_is_for_the_outermost(db):
    async with db.transaction() as tx:
        with pytest.raises(sqlite3.ProgrammingError):
            async with db.transaction(read_only=True):
                pass
        assert tx.is_open


ENDS = {
    "or rollback": "INSERT OR ROLLBACK INTO t VALUES(1)",
    "raise": "INSERT INTO v VALUES(1)",
}


@pytest.mark.parametrize("sql", ENDS.values(), ids=ENDS)
async def test_what_sqlite_ends_by_itself_stays_ended(db, sql):
    await prepare(db)
    await db.execute("CREATE TABLE v(x)")
    await db.execute(
        "CREATE TRIGGER no BEFORE INSERT ON v BEGIN SELECT RAISE(ROLLBACK, 'refused'); END"
    )
    with pytest.raises(
        sqlite3.OperationalError, match="rolled the transaction back: .*(t.x|refused)"
    ):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES(1)")
            with pytest.raises(sqlite3.IntegrityError):
                await tx.execute(sql)
            for call in (tx.execute, db.execute):
                with pytest.raises(sqlite3.OperationalError, match="rolled the transaction back"):
                    await call("INSERT INTO t VALUES(2)")
            with pytest.raises(sqlite3.OperationalError, match="rolled the transaction back"):
                async with tx.savepoint():
                    pass
    assert tx.outcome == "rolled back"
    assert await values(db) == []
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES(3)")
    assert await values(db) == [3]


async def test_nothing_that_is_queued_behind_such_an_end_runs(db):
    await prepare(db)
    with pytest.raises(sqlite3.OperationalError):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES(1)")
            results = await asyncio.gather(
                tx.execute("INSERT OR ROLLBACK INTO t VALUES(1)"),
                *(tx.execute("INSERT INTO t VALUES(?)", (number,)) for number in range(2, 9)),
                tx.executemany("INSERT INTO t VALUES(?)", [(9,), (10,)]),
                return_exceptions=True,
            )
            assert all(isinstance(result, sqlite3.Error) for result in results)
    assert await values(db) == []


async def test_an_interrupt_ends_it(db):
    await prepare(db)
    endless = (
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i FROM n"
    )
    with pytest.raises(sqlite3.OperationalError, match="rolled the transaction back: interrupted"):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES(0)")
            insert = asyncio.ensure_future(tx.execute(endless))
            await asyncio.sleep(0.02)
            while not insert.done():
                await db.interrupt()
                await asyncio.sleep(0.001)
            assert isinstance(insert.exception(), sqlite3.OperationalError)
    assert await values(db) == []


async def test_deferred_constraints_fail_in_the_commit_and_leave_nothing(db):
    await db.execute("PRAGMA foreign_keys=1")
    await db.execute("CREATE TABLE p(x PRIMARY KEY)")
    await db.execute("CREATE TABLE c(x REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO c VALUES(1)")
    assert tx.outcome == "rolled back" and not db.in_transaction
    assert await db.execute_fetchall("SELECT * FROM c") == []
    tx = await db.begin()
    await tx.execute("INSERT INTO c VALUES(1)")
    with pytest.raises(sqlite3.IntegrityError):
        await tx.commit()
    assert tx.is_open and tx.outcome is None
    await tx.execute("INSERT INTO p VALUES(1)")
    await tx.commit()
    assert tx.outcome == "committed"
