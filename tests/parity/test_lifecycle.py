"""From connect() to the last reference: which state answers what."""

import asyncio
import gc
import sqlite3
import threading
import warnings

import pytest
from parity.outcomes import fetchall, outcome, scalar

PROPERTIES = ["in_transaction", "isolation_level", "row_factory", "text_factory", "total_changes"]

CALLS = {
    "backup": lambda db: db.backup(db),
    "commit": lambda db: db.commit(),
    "create_function": lambda db: db.create_function("f", 0, int),
    "cursor": lambda db: db.cursor(),
    "enable_load_extension": lambda db: db.enable_load_extension(False),
    "execute": lambda db: db.execute("select 1"),
    "executemany": lambda db: db.executemany("insert into t values (?)", [(1,)]),
    "executescript": lambda db: db.executescript("select 1"),
    "interrupt": lambda db: db.interrupt(),
    "rollback": lambda db: db.rollback(),
    "set_authorizer": lambda db: db.set_authorizer(None),
    "set_progress_handler": lambda db: db.set_progress_handler(None, 1),
    "set_trace_callback": lambda db: db.set_trace_callback(None),
}

CURSOR_CALLS = {
    "close": lambda cursor: cursor.close(),
    "execute": lambda cursor: cursor.execute("select 1"),
    "executemany": lambda cursor: cursor.executemany("insert into t values (?)", [(1,)]),
    "executescript": lambda cursor: cursor.executescript("select 1"),
    "fetchall": lambda cursor: cursor.fetchall(),
    "fetchmany": lambda cursor: cursor.fetchmany(2),
    "fetchone": lambda cursor: cursor.fetchone(),
}


async def test_await_gives_the_connection_itself(aiosqlite):
    connection = aiosqlite.connect(":memory:")
    db = await connection
    assert db is connection
    await db.close()


async def test_async_with_gives_the_connection_itself(aiosqlite):
    connection = aiosqlite.connect(":memory:")
    async with connection as db:
        assert db is connection
        assert isinstance(db, aiosqlite.Connection)


async def test_state_before_while_and_after(aiosqlite):
    db = aiosqlite.connect(":memory:")
    assert (db._running, db._connection, db._thread.is_alive()) == (True, None, False)
    async with db:
        assert db._running is True
        assert db._connection
        assert db._conn
        assert db._thread.is_alive()
    assert (db._running, db._connection) == (False, None)
    await asyncio.to_thread(db._thread.join)
    assert not db._thread.is_alive()


@pytest.mark.parametrize("name", PROPERTIES)
async def test_property_before_opening(aiosqlite, name):
    db = aiosqlite.connect(":memory:")
    with pytest.raises(ValueError, match=r"(?m)^no active connection$"):
        getattr(db, name)


@pytest.mark.parametrize("name", [*PROPERTIES, "_conn"])
async def test_property_after_close(aiosqlite, name):
    async with aiosqlite.connect(":memory:") as db:
        getattr(db, name)
    with pytest.raises(ValueError, match=r"(?m)^no active connection$"):
        getattr(db, name)


@pytest.mark.parametrize("name", ["isolation_level", "row_factory", "text_factory"])
async def test_setting_a_property_of_a_connection_that_is_not_open(aiosqlite, name):
    db = aiosqlite.connect(":memory:")
    with pytest.raises(ValueError, match=r"(?m)^no active connection$"):
        setattr(db, name, None)
    async with db:
        pass
    with pytest.raises(ValueError, match=r"(?m)^no active connection$"):
        setattr(db, name, None)


@pytest.mark.parametrize("name", ["in_transaction", "total_changes"])
async def test_property_that_cannot_be_set(db, name):
    with pytest.raises(AttributeError):
        setattr(db, name, 1)


@pytest.mark.parametrize("call", sorted(CALLS))
async def test_method_before_opening(aiosqlite, call):
    db = aiosqlite.connect(":memory:")
    assert await outcome(CALLS[call](db)) == (ValueError, "no active connection")


@pytest.mark.parametrize("call", sorted(CALLS))
async def test_method_after_close(aiosqlite, call):
    async with aiosqlite.connect(":memory:") as db:
        pass
    assert await outcome(CALLS[call](db)) == (ValueError, "no active connection")


@pytest.mark.parametrize("name", ["execute_fetchall", "execute_insert"])
async def test_shortcut_of_a_connection_that_is_not_open(aiosqlite, name):
    db = aiosqlite.connect(":memory:")
    assert await outcome(getattr(db, name)("select 1")) == (ValueError, "Connection closed")
    async with db:
        pass
    assert await outcome(getattr(db, name)("select 1")) == (ValueError, "Connection closed")


async def test_iterdump_after_close(aiosqlite):
    async with aiosqlite.connect(":memory:") as db:
        pass
    with pytest.raises(ValueError, match=r"(?m)^Connection closed$"):
        async for _ in db.iterdump():
            raise AssertionError("a closed connection gave a line")


@pytest.mark.parametrize("call", sorted(CURSOR_CALLS))
async def test_cursor_method_after_the_connection_is_closed(aiosqlite, call):
    async with aiosqlite.connect(":memory:") as db:
        cursor = await db.execute("select 1")
    assert await outcome(CURSOR_CALLS[call](cursor)) == (ValueError, "Connection closed")


async def test_method_error_waits_for_the_await(aiosqlite):
    db = aiosqlite.connect(":memory:")
    pending = db.execute("select 1")
    async with db:
        cursor = await pending
        assert await cursor.fetchall() == [(1,)]


async def test_cursor_attributes_after_the_connection_is_closed(aiosqlite):
    async with aiosqlite.connect(":memory:") as db:
        cursor = await db.execute("select 1 as a")
    assert [column[0] for column in cursor.description] == ["a"]
    assert (cursor.rowcount, cursor.lastrowid, cursor.arraysize) == (-1, 0, 1)


async def test_awaiting_twice(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    with pytest.raises(RuntimeError, match=r"(?m)^threads can only be started once$"):
        await db
    assert await scalar(db, "select 1") == 1
    await db.close()


async def test_awaiting_after_close(aiosqlite):
    async with aiosqlite.connect(":memory:") as db:
        pass
    with pytest.raises(RuntimeError, match=r"(?m)^threads can only be started once$"):
        await db


async def test_close_gives_none_and_may_be_repeated(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    assert await db.close() is None
    assert await db.close() is None


async def test_close_before_opening_does_nothing(aiosqlite):
    db = aiosqlite.connect(":memory:")
    assert await db.close() is None
    async with db:
        assert await scalar(db, "select 1") == 1


async def test_async_with_closes_when_the_body_raises(aiosqlite):
    with pytest.raises(LookupError):
        async with aiosqlite.connect(":memory:") as db:
            raise LookupError
    assert db._connection is None


async def test_close_discards_an_open_transaction(aiosqlite, path):
    async with aiosqlite.connect(path) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values (1)")
    async with aiosqlite.connect(path) as db:
        assert await fetchall(db, "select a from t") == []


async def test_close_with_an_open_read_statement(aiosqlite, path):
    async with aiosqlite.connect(path) as db:
        cursor = await db.execute("select 1 union all select 2")
        assert await cursor.fetchone() == (1,)
    async with aiosqlite.connect(path) as db:
        await db.execute("create table t (a)")


async def test_close_waits_for_queued_work(aiosqlite, path):
    db = await aiosqlite.connect(path, isolation_level=None)
    await db.execute("create table t (a)")
    inserts = [
        asyncio.ensure_future(db.execute("insert into t values (?)", (n,))) for n in range(50)
    ]
    await asyncio.sleep(0)
    await db.close()
    assert all(insert.done() and insert.exception() is None for insert in inserts)
    async with aiosqlite.connect(path) as db:
        assert await scalar(db, "select count(*) from t") == 50


async def test_work_queued_behind_a_close_finds_a_closed_database(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    cursor = await db.execute("select 1")
    tasks = [
        asyncio.ensure_future(task)
        for task in (
            outcome(cursor.fetchall()),
            db.close(),
            outcome(db.execute("select 1")),
            outcome(cursor.fetchall()),
            outcome(db.commit()),
        )
    ]
    before, _, execute, fetch, commit = await asyncio.gather(*tasks)
    closed = (sqlite3.ProgrammingError, "Cannot operate on a closed database.")
    assert before == [(1,)]
    assert [execute, fetch, commit] == [closed] * 3


async def test_stop_gives_a_future_of_the_sentinel(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    future = db.stop()
    assert isinstance(future, asyncio.Future)
    assert db._running is False
    assert await future is aiosqlite.core._STOP_RUNNING_SENTINEL
    assert db._connection is None


async def test_stop_refuses_further_work_at_once(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    cursor = await db.cursor()
    pending = cursor.execute("select 1")
    future = db.stop()
    assert await outcome(pending) == (ValueError, "Connection closed")
    await future
    assert await db.close() is None


async def test_stop_lets_queued_work_finish(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    task = asyncio.ensure_future(db.execute_fetchall("select 1"))
    await asyncio.sleep(0)
    await db.stop()
    assert await task == [(1,)]


def test_stop_without_a_loop_gives_none_or_a_future_and_ends_the_thread(aiosqlite):
    async def connect():
        return await aiosqlite.connect(":memory:")

    loop = asyncio.new_event_loop()
    db = loop.run_until_complete(connect())
    loop.close()
    asyncio.set_event_loop(None)
    assert db.stop() is None
    db._thread.join(20)
    assert not db._thread.is_alive()
    assert db._connection is None


def test_stop_from_a_thread_without_a_loop(aiosqlite):
    async def main():
        db = await aiosqlite.connect(":memory:")
        assert await asyncio.to_thread(db.stop) is None
        await asyncio.to_thread(db._thread.join)
        assert db._connection is None

    asyncio.run(main())


async def test_forgotten_connection_warns(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    thread = db._thread
    with pytest.warns(ResourceWarning, match=r"was deleted before being closed") as caught:
        del db
        gc.collect()
    message = str(caught[0].message)
    assert message.startswith("<")
    assert message.endswith(
        "Please use 'async with' or '.close()' to close the connection properly."
    )
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()


async def test_forgotten_connection_gives_up_its_lock(aiosqlite, path):
    db = await aiosqlite.connect(path)
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    thread = db._thread
    with pytest.warns(ResourceWarning):
        del db
        gc.collect()
    await asyncio.to_thread(thread.join, 20)
    async with aiosqlite.connect(path, timeout=20) as db:
        assert await fetchall(db, "select a from t") == []
        await db.execute("insert into t values (2)")


@pytest.mark.parametrize("opened", [False, True])
async def test_connection_that_is_not_open_is_forgotten_silently(aiosqlite, opened):
    db = aiosqlite.connect(":memory:")
    if opened:
        async with db:
            pass
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del db
        gc.collect()
    assert caught == []


async def test_connection_is_not_a_thread(db):
    assert not isinstance(db, threading.Thread)
    assert not hasattr(db, "is_alive")
    assert isinstance(db._thread, threading.Thread)


@pytest.mark.parametrize("call", ["execute", "cursor", "commit"])
async def test_result_that_is_never_awaited_warns_and_runs_nothing(db, call):
    await db.execute("create table t (a)")
    with pytest.warns(RuntimeWarning, match=r"was never awaited"):
        CALLS[call](db)
        gc.collect()
    assert db.total_changes == 0


async def test_awaiting_a_result_twice(db):
    result = db.execute("select 1")
    await result
    with pytest.raises(RuntimeError, match=r"(?m)^cannot reuse already awaited coroutine$"):
        await result


async def test_awaiting_a_coroutine_method_twice(db):
    pending = db.commit()
    await pending
    with pytest.raises(RuntimeError, match=r"(?m)^cannot reuse already awaited coroutine$"):
        await pending


async def test_closing_in_another_loop_than_the_one_that_opened(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    await asyncio.to_thread(asyncio.run, db.close())
    assert db._connection is None


@pytest.mark.parametrize(
    "misuse",
    [
        lambda db: db.execute(),
        lambda db: db.execute("select 1", (), 3),
        lambda db: db.execute("select 1", bogus=1),
        lambda db: db.executemany("select 1"),
        lambda db: db.commit(1),
        lambda db: db.close(1),
        lambda db: db.cursor(int, 1),
        lambda db: db.create_function("f", 1),
        lambda db: db.backup(),
        lambda db: db.backup(db, 1),
        lambda db: db.stop(1),
        lambda db: db.iterdump(1),
    ],
)
async def test_wrong_arguments_are_a_type_error_at_the_call(db, misuse):
    with pytest.raises(TypeError):
        misuse(db)


async def test_connection_is_no_iterator_and_no_plain_context_manager(db):
    with pytest.raises(TypeError):
        iter(db)
    with pytest.raises((TypeError, AttributeError)):
        with db:
            raise AssertionError("a plain with statement was accepted")
