"""What is run again because it was busy: run_transaction(), transactional, attempts()."""

import asyncio
import contextlib
import inspect
import sqlite3

import pytest

import csqlite


@pytest.fixture
def db(path):
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE t(x)")
        other.commit()
    return csqlite.connect(path, timeout=0)


class Busy(sqlite3.OperationalError):
    sqlite_errorcode = csqlite.SQLITE_BUSY
    sqlite_errorname = "SQLITE_BUSY"


async def values(db):
    return [row[0] for row in await db.execute_fetchall("SELECT x FROM t ORDER BY x")]


async def insert(tx, *numbers):
    for number in numbers:
        await tx.execute("INSERT INTO t VALUES(?)", (number,))
    return numbers


async def by_run(db, function, retries):
    return await db.run_transaction(function, retries=retries)


async def by_decorator(db, function, retries):
    return await csqlite.transactional(retries=retries)(function)(db)


async def by_attempts(db, function, retries):
    async for attempt in db.attempts(retries):
        async with attempt as tx:
            result = await function(tx)
    return result


WAYS = {"run": by_run, "decorator": by_decorator, "attempts": by_attempts}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_body_that_is_busy_is_run_again(db, way):
    runs = []

    async def body(tx):
        runs.append(tx)
        await insert(tx, len(runs))
        if len(runs) < 3:
            raise Busy("database is locked")
        return "done"

    assert await way(db, body, 5) == "done"
    assert [tx.outcome for tx in runs] == ["rolled back", "rolled back", "committed"]
    assert await values(db) == [3]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_it_is_given_up_after_so_many(db, way):
    runs = []

    async def body(tx):
        runs.append(tx)
        raise Busy("database is locked")

    with pytest.raises(Busy):
        await way(db, body, 2)
    assert len(runs) == 3 and not db.in_transaction


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "error", [ZeroDivisionError, sqlite3.IntegrityError, asyncio.CancelledError]
)
async def test_other_errors_are_not_tried_again(db, way, error):
    runs = []

    async def body(tx):
        runs.append(tx)
        raise error

    with pytest.raises(error):
        await way(db, body, 5)
    assert len(runs) == 1


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_only_the_outermost_is_tried_again(db, way):
    inner = []
    outer = []

    async def part(tx):
        inner.append(tx)
        await insert(tx, 1)
        if len(inner) < 3:
            raise Busy("database is locked")

    async def body(tx):
        outer.append(tx)
        await way(db, part, 5)

    await way(db, body, 5)
    assert len(inner) == len(outer) == 3
    assert await values(db) == [1]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_begin_that_is_busy_is_tried_again(db, path, way):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.03, other.execute, "COMMIT")
        await way(db, lambda tx: insert(tx, 1), 1000)
    assert await values(db) == [1]


async def test_a_snapshot_that_is_old_is_tried_again(db, path):
    runs = []

    async def body(tx):
        runs.append(tx)
        await tx.execute_fetchall("SELECT * FROM t")
        if len(runs) == 1:
            with contextlib.closing(sqlite3.connect(path)) as other:
                other.execute("INSERT INTO t VALUES(1)")
                other.commit()
        await insert(tx, 2)

    await db.run_transaction(body, mode="deferred")
    assert len(runs) == 2
    assert await values(db) == [1, 2]


async def test_a_commit_that_is_busy_is_tried_again_and_not_the_body(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t(x)")
        async with csqlite.connect(path, timeout=0) as db:
            runs = []

            async def body(tx):
                runs.append(tx)
                await insert(tx, 1)
                other.execute("BEGIN")
                other.execute("SELECT * FROM t").fetchall()
                asyncio.get_running_loop().call_later(0.03, other.execute, "COMMIT")

            await db.run_transaction(body, retries=1000)
            assert len(runs) == 1
            assert await values(db) == [1]


async def test_the_block_without_retries_rolls_back_what_cannot_be_committed(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t(x)")
        async with csqlite.connect(path, timeout=0) as db:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                async with db.transaction() as tx:
                    await insert(tx, 1)
                    other.execute("BEGIN")
                    other.execute("SELECT * FROM t").fetchall()
            assert tx.outcome == "rolled back" and not db.in_transaction
            other.execute("COMMIT")
            assert await values(db) == []


async def test_transactional_takes_a_connection_or_a_transaction(db):
    @csqlite.transactional
    async def add(tx, *numbers, fails=False):
        """Add."""
        await insert(tx, *numbers)
        if fails:
            raise ZeroDivisionError
        return tx

    assert add.__doc__ == "Add."
    await add(db, 1, 2)
    async with db.transaction() as tx:
        assert await add(tx, 3) is not tx
        with pytest.raises(ZeroDivisionError):
            await add(tx, 4, fails=True)
    assert await values(db) == [1, 2, 3]


class Store:
    """What has methods in transactions."""

    def __init__(self):
        self.runs = 0

    @csqlite.transactional(retries=3)
    async def add(self, tx, *numbers, **named):
        """Add."""
        assert isinstance(tx, csqlite.Transaction)
        self.runs += 1
        await insert(tx, *numbers)
        if self.runs < 3:
            raise Busy("database is locked")
        return named

    @classmethod
    @csqlite.transactional
    async def of_the_class(cls, tx, number):
        await insert(tx, number)
        return cls

    @staticmethod
    @csqlite.transactional
    async def of_nobody(tx, number):
        return await insert(tx, number)


async def test_transactional_takes_methods(db):
    store = Store()
    named = {"body": 1, "function": 2, "mode": 3, "connection": 4}
    assert await store.add(db, 1, 2, **named) == named
    assert store.runs == 3
    assert await Store.of_the_class(db, 3) is Store
    async with db.transaction() as tx:
        assert await store.of_the_class(tx, 4) is Store
        assert await store.of_nobody(tx, 5) == (5,)
    assert await values(db) == [1, 2, 3, 4, 5]
    assert inspect.iscoroutinefunction(store.add) and Store.add.__doc__ == "Add."
    assert list(inspect.signature(store.add).parameters) == ["tx", "numbers", "named"]


def plain(tx):
    """Give nothing that could be awaited."""


def generator(tx):
    yield tx


async def asynchronous_generator(tx):
    yield tx


@pytest.mark.parametrize("function", [1, generator, asynchronous_generator])
def test_what_is_no_function_for_it_is_refused_at_once(function):
    with pytest.raises(TypeError, match="a coroutine function is needed"):
        csqlite.transactional(function)
    with pytest.raises(TypeError, match="a coroutine function is needed"):
        csqlite.transactional(retries=1)(function)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_plain_function_is_an_error_and_leaves_nothing_open(db, way):
    if way is by_attempts:
        return
    with pytest.raises(
        TypeError, match=r"a coroutine function is needed, and plain\(\) gave NoneType"
    ):
        await way(db, plain, 5)
    assert not db.in_transaction


async def test_what_transactional_is_called_with(db):
    add = csqlite.transactional(insert)
    for arguments in ((), (1,), (1, 2, db)):
        with pytest.raises(TypeError, match=r"first argument of insert\(\)"):
            await add(*arguments)
    with pytest.raises(ValueError, match="mode"):
        csqlite.transactional(mode="sometimes")(insert)


async def test_run_transaction_gives_arguments_and_the_result(db):
    assert await db.run_transaction(insert, 1, 2, mode="exclusive") == (1, 2)
    assert await values(db) == [1, 2]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_deadline_ends_it_between_two_attempts(db, way):
    async def body(tx):
        raise Busy("database is locked")

    with pytest.raises(csqlite.DeadlineExceeded), csqlite.timeout(0.1):
        await way(db, body, 1_000_000)
    assert not db.in_transaction
