"""Who is inside a transaction: the task that calls a method, whichever goes on with what it gives."""

import asyncio
import contextlib
import copy
import inspect
import pickle
import sqlite3

import pytest

import csqlite


@pytest.fixture
def db():
    return csqlite.connect(":memory:", isolation_level=None)


async def prepare(db):
    await db.execute("CREATE TABLE t(x INTEGER PRIMARY KEY, data BLOB)")
    await db.execute("INSERT INTO t VALUES(1, x'0102')")


async def every(rows):
    return [row async for row in rows]


async def given():
    yield (7, None)


async def entered(context):
    async with context as cursor:
        return await cursor.fetchall() if isinstance(cursor, csqlite.Cursor) else cursor


async def body(tx):
    return await tx.fetch_scalar("SELECT max(x) FROM t")


@csqlite.transactional
async def decorated(tx):
    return await body(tx)


# What is called on a connection, or on a transaction, and gives the number 2 somewhere: the row that is not committed.
CALLS = {
    "execute": lambda on: entered(on.execute("SELECT x FROM t")),
    "executemany": lambda on: on.executemany("INSERT INTO t VALUES(?, ?)", [(7, None)]),
    "executemany async": lambda on: on.executemany("INSERT INTO t VALUES(?, ?)", given()),
    "execute_insert": lambda on: on.execute_insert("INSERT INTO t VALUES(7, NULL)"),
    "execute_fetchall": lambda on: on.execute_fetchall("SELECT x FROM t"),
    "fetch_all": lambda on: on.fetch_all("SELECT x FROM t"),
    "fetch_one": lambda on: on.fetch_one("SELECT max(x) FROM t"),
    "fetch_optional": lambda on: on.fetch_optional("SELECT max(x) FROM t"),
    "fetch_scalar": lambda on: on.fetch_scalar("SELECT max(x) FROM t"),
    "stream": lambda on: every(on.stream("SELECT x FROM t, (VALUES(1),(2),(3))", chunk=1)),
    "cursor": lambda on: entered(on.cursor()),
    "blobopen": lambda on: entered(on.blobopen("t", "data", 1)),
}
OF_A_CONNECTION = {
    "iterdump": lambda on: every(on.iterdump()),
    "statement_info": lambda on: on.statement_info("SELECT x FROM t"),
    "script_info": lambda on: on.script_info("SELECT x FROM t; SELECT 1"),
    "create_function": lambda on: on.create_function("f", 0, int),
    "create_module": lambda on: on.create_module("numbers", [(1,)], ["x"]),
    "serialize": lambda on: on.serialize(),
    "session": lambda on: entered(on.session()),
    "run_transaction": lambda on: on.run_transaction(body),
    "transactional": decorated,
}


async def through(awaitable):
    return await awaitable


WAYS = {
    "await": through,
    "gather": asyncio.gather,
    "shield": asyncio.shield,
    "wait_for": lambda call: asyncio.wait_for(call, 20),
    "create_task": lambda call: asyncio.create_task(through(call)),
    "ensure_future": asyncio.ensure_future,
}


class Own(Exception):
    """What a body is left by."""


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("on", ["db", "tx", "outer"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_what_the_owner_calls_is_inside_however_it_is_awaited(db, call, on, way):
    await prepare(db)
    with contextlib.suppress(Own):
        async with db.transaction() as outer, db.savepoint() as tx:
            await tx.execute("INSERT INTO t VALUES(2, NULL)")
            await way(call({"db": db, "tx": tx, "outer": outer}[on]))
            raise Own
    assert await db.fetch_all("SELECT x FROM t") == [(1,)]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("call", OF_A_CONNECTION.values(), ids=OF_A_CONNECTION)
async def test_the_same_of_what_only_a_connection_has(db, call, way):
    await prepare(db)
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES(2, NULL)")
        result = await way(call(db))
        if isinstance(result, int):
            assert result == 2


ALL = {**CALLS, **OF_A_CONNECTION}


@pytest.mark.parametrize("call", ALL.values(), ids=ALL)
async def test_what_another_task_calls_waits(db, call):
    await prepare(db)

    async def other():
        await call(db)

    async with db.transaction() as tx:
        await tx.execute("INSERT INTO t VALUES(2, NULL)")
        task = asyncio.create_task(other())
        await asyncio.wait([task], timeout=0.001)
        await tx.execute("DELETE FROM t WHERE x = 2")
        assert not task.done() or call is CALLS["cursor"]
    await task


async def test_transactions_of_one_gather_are_each_their_own(db):
    await prepare(db)
    taken = []

    @csqlite.transactional
    async def take(tx, number):
        assert await tx.fetch_scalar("SELECT count(*) FROM t") == 1
        await tx.execute("INSERT INTO t VALUES(?, NULL)", (number,))
        await asyncio.sleep(0)
        await tx.execute("DELETE FROM t WHERE x = ?", (number,))
        taken.append(number)

    async def block(number):
        async with db.transaction() as tx:
            await take.__wrapped__(tx, number)

    await asyncio.gather(
        *(db.run_transaction(take.__wrapped__, number) for number in range(10, 15)),
        *(take(db, number) for number in range(15, 20)),
        *(block(number) for number in range(20, 25)),
    )
    assert taken == list(range(10, 25))


async def test_of_one_gather_inside_they_are_savepoints(db):
    await prepare(db)

    async def take(tx, number):
        await tx.execute("INSERT INTO t VALUES(?, NULL)", (number,))
        await asyncio.sleep(0)
        if number % 2:
            raise Own

    async with db.transaction() as tx:
        decorated = csqlite.transactional(take)
        results = await asyncio.gather(
            *(db.run_transaction(take, number) for number in range(10, 14)),
            *(decorated(db, number) for number in range(14, 18)),
            *(decorated(tx, number) for number in range(18, 22)),
            return_exceptions=True,
        )
        assert [result is None for result in results] == [True, False] * 6
    assert await db.fetch_all("SELECT x FROM t WHERE x > 1") == [(x,) for x in range(10, 22, 2)]


async def test_a_block_may_be_entered_with_a_time_limit(db):
    await prepare(db)
    block = db.transaction()
    tx = await asyncio.wait_for(block.__aenter__(), 20)
    await db.execute("INSERT INTO t VALUES(2, NULL)")
    await asyncio.wait_for(block.__aexit__(None, None, None), 20)
    by_hand = await asyncio.wait_for(db.begin(), 20)
    await asyncio.gather(db.fetch_one("SELECT 1"), db.execute("INSERT INTO t VALUES(3, NULL)"))
    await asyncio.wait_for(by_hand.commit(), 20)
    assert (tx.outcome, by_hand.outcome) == ("committed", "committed")


async def test_who_waits_is_the_task_that_awaits_and_not_the_one_that_has_called(db):
    await prepare(db)
    entered = asyncio.Event()
    calls = []

    async def other():
        calls.append(asyncio.ensure_future(db.fetch_all("SELECT 1")))
        await entered.wait()

    async with db.transaction():
        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.03, entered.set)
        await task
    assert await calls[0] == [(1,)]
    async with db.transaction():
        task = asyncio.create_task(other())
        await task
        with pytest.raises(sqlite3.OperationalError, match="deadlock"):
            await calls[1]


async def test_what_is_not_awaited_is_told(db):
    await prepare(db)
    async with db.transaction():
        for call in (db.fetch_one, db.statement_info):
            with pytest.warns(RuntimeWarning, match="never awaited"):
                call("SELECT 1")
        with contextlib.closing(db.fetch_one("SELECT 1")) as closed:
            assert closed.__name__ == "fetch_one" and asyncio.iscoroutine(closed)


@pytest.mark.parametrize(
    "name", ["fetch_one", "fetch_scalar", "backup", "run_transaction", "begin"]
)
def test_they_look_like_coroutine_functions(db, name):
    for function in (getattr(db, name), getattr(csqlite.Connection, name)):
        assert inspect.iscoroutinefunction(function)
        assert asyncio.iscoroutinefunction(function)
        assert function.__name__ == name and function.__doc__
        assert "deadline" in inspect.signature(function).parameters or name == "run_transaction"


@pytest.mark.parametrize("name", ["fetch_one", "stream", "backup", "run_transaction"])
def test_they_are_pickled_and_copied_by_name(name):
    function = getattr(csqlite.Connection, name)
    for same in (
        pickle.loads(pickle.dumps(function)),
        copy.copy(function),
        copy.deepcopy(function),
    ):
        assert same is function


@pytest.mark.parametrize("name", ["stream", "iterdump"])
def test_they_look_like_asynchronous_generator_functions(db, name):
    assert inspect.isasyncgenfunction(getattr(db, name))


async def test_a_stream_that_is_left_is_closed(db):
    await prepare(db)
    await db.executemany("INSERT INTO t VALUES(?, NULL)", [(x,) for x in range(10, 20)])
    async with db.transaction() as tx:
        rows = db.stream("SELECT x FROM t", chunk=1)
        assert await asyncio.gather(rows.__anext__()) == [(1,)]
        with pytest.raises(Own):
            await asyncio.gather(rows.athrow(Own))
        assert [row async for row in rows] == []
        async with contextlib.aclosing(tx.stream("SELECT x FROM t", chunk=1)) as rows:
            async for row in rows:
                assert row == (1,)
                break


LATE = {
    "execute": lambda db: db.execute("DELETE FROM t"),
    "executemany": lambda db: db.executemany("DELETE FROM t WHERE x = ?", [(1,)]),
    "execute_fetchall": lambda db: db.execute_fetchall("DELETE FROM t RETURNING x"),
    "execute_insert": lambda db: db.execute_insert("INSERT INTO t VALUES(9, NULL)"),
    "create_function": lambda db: db.create_function("f", 0, int),
}


@pytest.mark.parametrize("then", ["nothing", "another transaction", "a statement"])
@pytest.mark.parametrize("end", ["commit", "raise"])
@pytest.mark.parametrize("call", LATE.values(), ids=LATE)
async def test_what_was_called_inside_does_not_run_outside(db, call, end, then):
    await prepare(db)
    with contextlib.suppress(Own):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO t VALUES(2, NULL)")
            late = call(db)
            cursor = await db.execute("SELECT x FROM t")
            if end == "raise":
                raise Own
    with pytest.raises(sqlite3.OperationalError, match="The transaction is over"):
        if then == "another transaction":
            async with db.transaction():
                await late
        else:
            if then == "a statement":
                await db.execute("BEGIN")
            await late
    if then == "a statement":
        await db.rollback()
    left = [(1,), (2,)] if end == "commit" else [(1,)]
    assert await db.fetch_all("SELECT x FROM t") == left
    await cursor.execute("SELECT 1")
    assert await cursor.fetchone() == (1,)


async def test_what_was_called_in_a_savepoint_runs_in_what_is_around_it(db):
    await prepare(db)
    async with db.transaction():
        async with db.savepoint():
            late = db.execute("INSERT INTO t VALUES(2, NULL)")
        await late
        cursor = await db.cursor()
    await cursor.execute("SELECT count(*) FROM t")
    assert await cursor.fetchone() == (2,)


async def test_a_task_that_is_left_behind_writes_nothing(db):
    await prepare(db)
    for _ in range(20):
        async with db.transaction():
            task = asyncio.create_task(through(db.execute("INSERT INTO t VALUES(2, NULL)")))
        with pytest.raises(sqlite3.OperationalError, match="over"):
            await task
    assert await db.fetch_all("SELECT x FROM t") == [(1,)]
