"""Connections of other modules: requests as any others, run by an executor that calls Python.

What aiosqlite does with them too is in parity/ and clients/; here is what is an executor's to do:
the order of jobs, cancelling, deadlines, the end.
"""

import asyncio
import contextlib
import gc
import inspect
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Callable

import pytest

import csqlite

SECONDS = 30


class Wrapper:
    """A DB-API connection that is no sqlite3.Connection, and says what it was asked for."""

    def __init__(self, path: str = ":memory:", **options: Any) -> None:
        self.inner = sqlite3.connect(path, check_same_thread=False, **options)
        self.asked: list[str] = []
        self.closed_by: list[int] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("inner", "asked"):
            raise AttributeError(name)
        self.asked.append(name)
        return getattr(self.inner, name)

    def close(self) -> None:
        self.closed_by.append(threading.get_ident())
        self.inner.close()


class Subclass(sqlite3.Connection):
    """One that is."""


MAKERS = {
    "connector": lambda: csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64),
    "factory": lambda: csqlite.connect(":memory:", factory=Subclass),
    "wrapper": lambda: csqlite.Connection(Wrapper, 64),
}


@pytest.fixture(params=sorted(MAKERS))
def made(request: pytest.FixtureRequest) -> csqlite.Connection:
    """Return a connection that is not open yet."""
    return MAKERS[request.param]()


async def wrapped(**options: Any) -> "tuple[csqlite.Connection, Wrapper]":
    """Return a connection with a table, and what is below it."""
    below = Wrapper(**options)
    db = await csqlite.Connection(lambda: below, 64)
    await db.execute("create table t (a)")
    await db.commit()
    return db, below


@contextlib.asynccontextmanager
async def held(db: csqlite.Connection) -> AsyncIterator[None]:
    """Hold the connection's worker, so that what is awaited inside stands in the queue."""
    there, go = threading.Event(), threading.Event()

    def hold() -> None:
        there.set()
        go.wait(SECONDS)

    holding = asyncio.ensure_future(db._execute(hold))
    await asyncio.to_thread(there.wait, SECONDS)
    try:
        yield
    finally:
        go.set()
        await holding


def started(awaitable: Awaitable[Any]) -> "asyncio.Future[Any]":
    """Return a task that awaits it."""

    async def wait() -> Any:
        return await awaitable

    return asyncio.ensure_future(wait())


async def cancel(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# -- calls ------------------------------------------------------------------------


async def test_a_call_is_a_request_with_the_name_of_its_method(made: csqlite.Connection) -> None:
    async with made as db:
        cursor = await db.execute("create table t (a)")
        for request, name in [
            (db.execute("select 1"), "Connection.execute"),
            (db.executemany("insert into t values (?)", []), "Connection.executemany"),
            (db.executescript(""), "Connection.executescript"),
            (db.commit(), "Connection.commit"),
            (db.rollback(), "Connection.rollback"),
            (db.cursor(), "Connection.cursor"),
            (db.create_function("f", 0, int), "Connection.create_function"),
            (cursor.fetchone(), "Cursor.fetchone"),
            (cursor.fetchall(), "Cursor.fetchall"),
            (cursor.close(), "Cursor.close"),
        ]:
            assert inspect.isawaitable(request)
            assert asyncio.iscoroutine(request)
            assert f"'{name}'" in repr(request) or name in repr(request)
            request.close()


WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "execute": lambda db, cursor: db.execute(),
    "execute, a name": lambda db, cursor: db.execute("select 1", no_such=1),
    "executemany": lambda db, cursor: db.executemany("select 1"),
    "commit": lambda db, cursor: db.commit(1),
    "fetchmany": lambda db, cursor: cursor.fetchmany(1, 2),
    "cursor execute": lambda db, cursor: cursor.execute(),
    "deadline, which close() has not": lambda db, cursor: cursor.close(deadline=1),
    "a deadline that is no number": lambda db, cursor: cursor.fetchall(deadline="soon"),
}


@pytest.mark.parametrize("call", sorted(WRONG))
async def test_wrong_arguments_are_refused_by_the_call(made: csqlite.Connection, call: str) -> None:
    async with made as db:
        cursor = await db.execute("select 1")
        with pytest.raises(TypeError):
            WRONG[call](db, cursor)
        assert await cursor.fetchall() == [(1,)]


@pytest.mark.parametrize("call", ["execute", "executemany", "cursor"])
async def test_async_with_closes_the_cursor(made: csqlite.Connection, call: str) -> None:
    arguments = {"execute": ("select 1",), "executemany": ("insert into t values (?)", [(1,)])}
    async with made as db:
        await db.execute("create table t (a)")
        async with getattr(db, call)(*arguments.get(call, ())) as cursor:
            raw = cursor._cursor
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            await db._execute(raw.fetchone)


async def test_steps_of_async_for(made: csqlite.Connection) -> None:
    async with made as db:
        cursor = await db.execute("values (1), (2), (3)")
        assert await cursor.__anext__() == (1,)
        assert [row async for row in cursor] == [(2,), (3,)]
        with pytest.raises(StopAsyncIteration):
            await cursor.__anext__()


async def test_what_the_module_raises_is_raised_as_it_is(made: csqlite.Connection) -> None:
    async with made as db:
        with pytest.raises(sqlite3.OperationalError, match="syntax error") as caught:
            await db.execute("selekt 1")
        assert caught.value.__cause__ is None
        with pytest.raises(sqlite3.ProgrammingError):
            await db.execute("select ?", (1, 2))
        cursor = await db.execute("select 1")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await cursor.execute("select * from t")


async def test_a_cursor_of_the_connection_with_nothing_below_it_says_so(
    made: csqlite.Connection,
) -> None:
    async with made as db:
        cursor = csqlite.Cursor(db)
        with pytest.raises(sqlite3.ProgrammingError, match="has none"):
            cursor.execute("select 1")
        with pytest.raises(StopAsyncIteration):
            await cursor.__anext__()


NATIVE: dict[str, Callable[[Any], Any]] = {
    "session()": lambda db: db.session(),
    "apply_changeset()": lambda db: db.apply_changeset(b""),
    "create_module()": lambda db: db.create_module("m", None),
    "statement_info()": lambda db: db.statement_info("select 1"),
    "reset()": lambda db: db.reset(),
    "set_update_hook()": lambda db: db.set_update_hook(None),
    "cache_stats()": lambda db: db.cache_stats(),
}


@pytest.mark.parametrize("what", sorted(NATIVE))
async def test_what_takes_sqlites_handle_names_the_class_that_has_it_not(what: str) -> None:
    async with MAKERS["factory"]() as db:
        with pytest.raises(sqlite3.NotSupportedError) as caught:
            await NATIVE[what](db)
        named = f"{Subclass.__module__}.Subclass"
        assert str(caught.value) == f"{what} needs csqlite's own connection, not {named}"


# -- order, cancelling, deadlines --------------------------------------------------------


async def test_calls_are_run_in_the_order_in_which_they_are_awaited() -> None:
    db, _ = await wrapped(isolation_level=None)
    async with held(db):
        tasks = []
        for number in range(20):
            tasks.append(started(db.execute("insert into t values (?)", (number,))))
            await asyncio.sleep(0)
        rows = started(db.execute_fetchall("select a from t"))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert await rows == [(number,) for number in range(20)]
    await db.close()


async def test_two_loops_use_one_connection() -> None:
    db, _ = await wrapped(isolation_level=None)

    async def insert(first: int) -> None:
        for number in range(first, first + 50):
            await db.execute("insert into t values (?)", (number,))

    await asyncio.gather(insert(0), asyncio.to_thread(asyncio.run, insert(50)))
    assert await db.execute_fetchall("select count(*), sum(a) from t") == [(100, 4950)]
    await db.close()


@pytest.mark.parametrize("method", ["execute", "commit", "executemany"])
async def test_what_is_cancelled_in_the_queue_is_not_called(method: str) -> None:
    arguments = {"execute": ("select 1",), "executemany": ("insert into t values (?)", [(1,)])}
    db, below = await wrapped()
    if method == "commit":
        await db.execute("create table u (a)")
        await db.execute("begin")
    async with held(db):
        traced: list[str] = []
        below.inner.set_trace_callback(traced.append)
        task = started(getattr(db, method)(*arguments.get(method, ())))
        await asyncio.sleep(0)
        await cancel(task)
    assert await db.execute_fetchall("select a from t") == []
    assert traced == ["select a from t"]
    await db.close()


async def test_a_rollback_that_is_cancelled_in_the_queue_is_done() -> None:
    """As with csqlite's own: who is cancelled and cleans up may be cancelled once more."""
    db, _ = await wrapped()
    await db.execute("insert into t values (1)")
    async with held(db):
        task = started(db.rollback())
        await asyncio.sleep(0)
        await cancel(task)
    assert await db.execute_fetchall("select a from t") == []
    assert db.in_transaction is False
    await db.close()


async def test_a_cursors_end_that_is_cancelled_in_the_queue_is_done() -> None:
    db, _ = await wrapped()
    cursor = await db.execute("values (1), (2)")
    raw = cursor._cursor
    async with held(db):
        task = started(cursor.close())
        await asyncio.sleep(0)
        await cancel(task)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        await db._execute(raw.fetchone)
    await db.close()


@pytest.mark.parametrize("method", ["commit", "execute_fetchall"])
async def test_a_deadline_that_passes_in_the_queue(method: str) -> None:
    arguments = {"execute_fetchall": ("select 1",)}
    db, _ = await wrapped()
    async with held(db):
        with pytest.raises(csqlite.DeadlineExceeded, match="was not begun"):
            await getattr(db, method)(*arguments.get(method, ()), deadline=0.001)
    await db.close()


async def test_interrupt_stops_what_runs_and_does_not_wait_for_it() -> None:
    db, _ = await wrapped(isolation_level=None)
    there = threading.Event()
    await db.create_function("there", 0, there.set)
    endless = "with recursive c(x) as (select there() union all select x from c) select * from c"
    running = started(db.execute_fetchall(endless))
    await asyncio.to_thread(there.wait, SECONDS)
    await db.interrupt()
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        await asyncio.wait_for(running, SECONDS)
    there.clear()
    running = started(db.execute_fetchall(endless))
    await asyncio.to_thread(there.wait, SECONDS)
    db._interrupt()
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        await asyncio.wait_for(running, SECONDS)
    await db.close()


async def test_an_interrupt_that_raises() -> None:
    db, below = await wrapped()

    def interrupt() -> None:
        raise LookupError("not now")

    below.interrupt = interrupt  # type: ignore[method-assign]
    with pytest.raises(LookupError, match="not now"):
        await db.interrupt()
    with pytest.raises(LookupError, match="not now"):
        db._interrupt()
    assert await db.execute_fetchall("select 1") == [(1,)]
    await db.close()


# -- the beginning and the end -----------------------------------------------------------


async def test_what_an_opening_brings_that_was_cancelled_is_closed_by_the_worker() -> None:
    there, go = threading.Event(), threading.Event()
    below = Wrapper()

    def connector() -> Wrapper:
        there.set()
        go.wait(SECONDS)
        return below

    db = csqlite.Connection(connector, 64)
    opening = started(db)
    await asyncio.to_thread(there.wait, SECONDS)
    ident = db._thread.ident
    await cancel(opening)
    go.set()
    await asyncio.to_thread(db._thread.join, SECONDS)
    assert below.closed_by == [ident]
    assert db._foreign is None


async def test_a_connector_that_refuses_to_say_how() -> None:
    class Connector:
        def native_options(self) -> None:
            raise LookupError("ask somebody else")

    db = csqlite.Connection(Connector(), 64)
    with pytest.raises(LookupError, match="somebody else"):
        await db
    await asyncio.to_thread(db._thread.join, SECONDS)
    assert not db._thread.is_alive()


async def test_a_close_that_raises_ends_the_connection_all_the_same() -> None:
    db, below = await wrapped()

    def close() -> None:
        raise LookupError("it will not")

    below.close = close  # type: ignore[method-assign]
    with pytest.raises(LookupError, match="will not"):
        await db.close()
    await asyncio.to_thread(db._thread.join, SECONDS)
    await db.close()
    with pytest.raises(ValueError, match="no active connection"):
        await db.execute("select 1")
    below.inner.close()


async def test_what_is_queued_behind_close_learns_of_it_from_the_module() -> None:
    db, _ = await wrapped()
    async with held(db):
        closing = started(db.close())
        await asyncio.sleep(0)
        late = started(db.execute("select 1"))
        await asyncio.sleep(0)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        await late
    await closing


async def test_a_connection_that_is_forgotten_is_closed_by_its_worker() -> None:
    """Also where what is below it, or a function that it was given, names it."""
    for circle in (False, True):
        db, below = await wrapped()
        thread = db._thread
        ident, closed_by = thread.ident, below.closed_by
        if circle:
            below.owner = db  # type: ignore[attr-defined]
        watched = weakref.ref(below)
        del below
        with pytest.warns(ResourceWarning, match="deleted before being closed"):
            del db
            gc.collect()
        await asyncio.to_thread(thread.join, SECONDS)
        assert closed_by == [ident]
        gc.collect()
        assert watched() is None


async def test_nothing_is_left_when_it_is_closed() -> None:
    db, below = await wrapped()
    watched = weakref.ref(below)
    del below
    await db.close()
    del db
    gc.collect()
    assert watched() is None
