"""transaction(): what tasks of one connection cannot do to each other."""

import asyncio
import contextlib
import sqlite3

import pytest

import csqlite


def prepared(path):
    """Make the database: two accounts, the first of which has 1,000."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER)")
        db.execute("INSERT INTO account VALUES(1, 1000), (2, 0)")
        db.commit()
    return path


async def amounts(db):
    return [row[0] for row in await db.execute_fetchall("SELECT amount FROM account ORDER BY id")]


@pytest.fixture
def db(path):
    return csqlite.connect(prepared(path))


async def test_it_commits_at_its_end(db):
    async with db.transaction() as tx:
        await tx.execute("UPDATE account SET amount = 1 WHERE id = 1")
        assert db.in_transaction
        assert tx.is_open and tx.outcome is None
    assert not db.in_transaction
    assert tx.outcome == "committed"
    assert await amounts(db) == [1, 0]


async def test_an_exception_rolls_it_back(db):
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await tx.execute("UPDATE account SET amount = 1 WHERE id = 1")
            raise ZeroDivisionError
    assert not db.in_transaction
    assert tx.outcome == "rolled back"
    assert await amounts(db) == [1000, 0]


async def test_a_hundred_tasks_that_move_money_lose_none(db):
    async def move(amount):
        async with db.transaction() as tx:
            rows = await tx.execute_fetchall("SELECT amount FROM account ORDER BY id")
            await asyncio.sleep(0)
            await tx.execute("UPDATE account SET amount = ? WHERE id = 1", (rows[0][0] - amount,))
            await asyncio.sleep(0)
            await tx.execute("UPDATE account SET amount = ? WHERE id = 2", (rows[1][0] + amount,))

    await asyncio.gather(*(move(number % 7) for number in range(100)))
    moved = sum(number % 7 for number in range(100))
    assert await amounts(db) == [1000 - moved, moved]


async def test_a_task_that_is_cancelled_before_its_commit_leaves_nothing(db):
    inserted = asyncio.Event()

    async def insert():
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO account VALUES(3, 3)")
            inserted.set()
            await asyncio.Event().wait()

    async def other():
        await inserted.wait()
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO account VALUES(4, 4)")

    first = asyncio.create_task(insert())
    second = asyncio.create_task(other())
    await inserted.wait()
    await asyncio.sleep(0)
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await amounts(db) == [1000, 0, 4]


async def test_others_wait_their_turn_in_order(db):
    order = []

    async def other(number):
        await db.execute_fetchall("SELECT 1")
        order.append(number)

    async with db.transaction():
        tasks = [asyncio.create_task(other(number)) for number in range(5)]
        for _ in range(3):
            await asyncio.sleep(0)
        await db.execute("UPDATE account SET amount = 5 WHERE id = 1")
        order.append("end")
    await asyncio.gather(*tasks)
    assert order == ["end", 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda call: call,
        asyncio.gather,
        asyncio.shield,
        lambda call: asyncio.wait_for(call, 10),
        lambda call: asyncio.create_task(asyncio.wait_for(call, 10)),
    ],
)
async def test_what_the_task_calls_on_the_connection_belongs_to_it(db, wrap):
    with pytest.raises(ZeroDivisionError):
        async with db.transaction():
            await wrap(db.execute("UPDATE account SET amount = 1"))
            raise ZeroDivisionError
    assert await amounts(db) == [1000, 0]


async def test_what_is_called_on_it_belongs_to_it_from_any_task(db):
    async def part(tx, number):
        cursor = await tx.execute("INSERT INTO account VALUES(?, 1)", (number,))
        await cursor.execute("UPDATE account SET amount = 2 WHERE id = ?", (number,))
        async with tx.cursor() as own:
            await own.execute("SELECT amount FROM account WHERE id = ?", (number,))
            assert await own.fetchone() == (2,)

    async with db.transaction() as tx:
        await asyncio.gather(*(part(tx, number) for number in range(10, 20)))
    assert await amounts(db) == [1000, 0, *[2] * 10]


@pytest.mark.parametrize("mode", ["deferred", "immediate", "exclusive", "IMMEDIATE"])
async def test_modes(db, mode):
    seen = []
    await db.set_trace_callback(seen.append)
    async with db.transaction(mode):
        pass
    await db.set_trace_callback(None)
    assert seen == [f"BEGIN {mode.upper()}", "COMMIT"]


async def test_modes_that_are_none(db):
    with pytest.raises(ValueError):
        db.transaction("sometimes")
    with pytest.raises(ValueError):
        db.transaction("exclusive", read_only=True)
    with pytest.raises(ValueError):
        db.transaction(deadline=-1)


async def test_concurrent_is_not_supported_where_sqlite_has_it_not(db):
    with pytest.raises(csqlite.NotSupportedError):
        async with db.transaction("concurrent"):
            pass
    assert await amounts(db) == [1000, 0]


async def test_read_only_writes_nothing_and_is_over_at_the_end(db):
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        async with db.transaction(read_only=True) as tx:
            assert await tx.execute_fetchall("SELECT count(*) FROM account") == [(2,)]
            await tx.execute("UPDATE account SET amount = 1")
    await db.execute("UPDATE account SET amount = 1")
    await db.commit()


@pytest.mark.parametrize(
    "end",
    [
        lambda tx, db: tx.execute("COMMIT"),
        lambda tx, db: tx.execute(" /* so */ end transaction"),
        lambda tx, db: tx.execute(";COMMIT"),
        lambda tx, db: db.fetch_scalar("-- a\n ; /* b */ ;rollback"),
        lambda tx, db: tx.execute_insert("\ufeffCOMMIT"),
        lambda tx, db: db._execute(db._conn.execute, "COMMIT"),
        lambda tx, db: db._execute(db._conn.commit),
        lambda tx, db: db.execute("ROLLBACK"),
        lambda tx, db: db.execute("ROLLBACK -- TO x"),
        lambda tx, db: db.commit(),
        lambda tx, db: db.rollback(),
        lambda tx, db: tx.commit(),
        lambda tx, db: tx.rollback(),
        lambda tx, db: db.executescript("SELECT 1"),
        lambda tx, db: tx.executescript("SELECT 1"),
        lambda tx, db: db.begin(),
    ],
)
async def test_nothing_else_ends_it(db, end):
    async with db.transaction() as tx:
        await tx.execute("UPDATE account SET amount = 1")
        with pytest.raises(sqlite3.ProgrammingError):
            await end(tx, db)
        await tx.execute("UPDATE account SET amount = 2")
    assert await amounts(db) == [2, 2]


async def test_savepoints_by_hand_are_no_end(db):
    async with db.transaction() as tx:
        await tx.execute("SAVEPOINT mine")
        await tx.execute("UPDATE account SET amount = 1")
        await tx.execute("ROLLBACK TRANSACTION TO mine")
        await tx.execute("ROLLBACK TO mine")
        await tx.execute("RELEASE mine")
    assert await amounts(db) == [1000, 0]


async def test_once_it_is_over_nothing_of_it_runs(db):
    async with db.transaction() as tx:
        cursor = await tx.execute("SELECT 1")
    for call in (
        lambda: tx.execute("DELETE FROM account"),
        lambda: tx.executemany("DELETE FROM account WHERE id = ?", [(1,)]),
        lambda: tx.execute_fetchall("SELECT 1"),
        lambda: tx.execute_insert("INSERT INTO account VALUES(9, 9)"),
        lambda: cursor.execute("DELETE FROM account"),
    ):
        with pytest.raises(sqlite3.OperationalError, match="over"):
            await call()
    assert await cursor.fetchone() == (1,)
    assert await amounts(db) == [1000, 0]


async def test_a_task_with_a_transaction_of_its_own_statements_is_told(db):
    await db.execute("UPDATE account SET amount = 1")
    with pytest.raises(sqlite3.ProgrammingError, match="has a transaction open"):
        async with db.transaction():
            pass
    await db.rollback()
    async with db.transaction():
        pass


async def test_the_transaction_of_anothers_statements_is_waited_for(db):
    begun = asyncio.Event()
    end = asyncio.Event()

    async def other():
        await db.execute("UPDATE account SET amount = amount + 1")
        begun.set()
        await end.wait()
        await db.commit()

    task = asyncio.create_task(other())
    await begun.wait()
    asyncio.get_running_loop().call_later(0.02, end.set)
    async with db.transaction() as tx:
        await tx.execute("UPDATE account SET amount = amount + 1")
    await task
    assert await amounts(db) == [1002, 2]


async def test_the_wait_for_anothers_is_bounded(path):
    async with csqlite.connect(prepared(path), timeout=0.05) as db:
        await asyncio.create_task(db.execute("UPDATE account SET amount = 1"))
        with pytest.raises(sqlite3.OperationalError, match="outside of any transaction"):
            async with db.transaction():
                pass
        await db.rollback()


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("isolation_level", [None, ""])
async def test_any_control_of_transactions(path, autocommit, isolation_level):
    async with csqlite.connect(
        prepared(path), autocommit=autocommit, isolation_level=isolation_level
    ) as db:
        async with db.transaction() as tx:
            await tx.execute("UPDATE account SET amount = 1")
        with pytest.raises(ZeroDivisionError):
            async with db.transaction() as tx:
                await tx.execute("UPDATE account SET amount = 2")
                raise ZeroDivisionError
        assert db.in_transaction is not autocommit
        await db.rollback()
        assert await amounts(db) == [1, 1]


async def test_a_block_may_be_left_in_another_task(db):
    block = db.transaction()
    tx = await asyncio.create_task(block.__aenter__())
    await tx.execute("UPDATE account SET amount = 1")
    await asyncio.create_task(block.__aexit__(None, None, None))
    assert await amounts(db) == [1, 1]


async def test_by_hand(db):
    tx = await db.begin()
    await tx.execute("UPDATE account SET amount = 1")
    with pytest.raises(sqlite3.ProgrammingError):
        await db.commit()
    await tx.commit()
    await tx.rollback()
    assert tx.outcome == "committed"
    tx = await db.begin("deferred")
    await tx.execute("UPDATE account SET amount = 2")
    await tx.rollback()
    with pytest.raises(sqlite3.OperationalError):
        await tx.commit()
    assert await amounts(db) == [1, 1]


async def test_by_hand_it_is_not_committed_while_a_savepoint_is_open(db):
    tx = await db.begin()
    async with tx.savepoint() as part:
        await part.execute("UPDATE account SET amount = 1")
        with pytest.raises(sqlite3.ProgrammingError, match="a savepoint is open"):
            await tx.commit()
    await tx.commit()
    assert (part.outcome, tx.outcome) == ("committed", "committed")
    tx = await db.begin()
    with pytest.raises(sqlite3.OperationalError, match="over"):
        async with tx.savepoint() as part:
            await part.execute("UPDATE account SET amount = 2")
            await tx.rollback()
    assert (part.outcome, tx.outcome) == ("rolled back", "rolled back")
    assert await amounts(db) == [1, 1]


async def test_a_connection_of_another_module_has_none(path):
    factory = type("Own", (sqlite3.Connection,), {})
    async with csqlite.connect(path, factory=factory) as db:
        with pytest.raises(csqlite.NotSupportedError):
            db.transaction()


async def test_a_generator_that_is_closed_rolls_back(db):
    async def rows():
        async with db.transaction() as tx:
            await tx.execute("UPDATE account SET amount = 1")
            yield 1

    generator = rows()
    async for _ in generator:
        break
    await generator.aclose()
    assert await amounts(db) == [1000, 0]
