"""close() returns when it is closed: also who closes again, behind a close() that was cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Callable

import pytest

import csqlite

ROWS = """
    with recursive n(i) as (select 1 union all select i + 1 from n limit 1000)
    insert into t select zeroblob(1000) from n
"""
SECONDS = 60  # For what has to come, on a machine with much else to do.


class Held:
    """A connection whose worker is in the middle of a query until `go` is set."""

    def __init__(self, db: csqlite.Connection) -> None:
        self.db = db
        self.go = threading.Event()
        self.there = threading.Event()

    def hold(self) -> int:
        """Wait on the worker's thread, as a function of a statement."""
        self.there.set()
        self.go.wait(SECONDS)
        return 1

    async def begin(self) -> asyncio.Task[Any]:
        """Let the worker begin to wait."""
        await self.db.create_function("hold", 0, self.hold)
        query = asyncio.ensure_future(self.db.execute_fetchall("select hold()"))
        await asyncio.to_thread(self.there.wait, SECONDS)
        return query


@contextlib.asynccontextmanager
async def open_table(path: Path) -> AsyncIterator[csqlite.Connection]:
    """Give a connection with a table of a thousand rows."""
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("create table t (a)")
        await db.execute(ROWS)
        yield db


async def cursor(db: csqlite.Connection) -> Any:
    """Give a cursor that has rows to come."""
    opened = await db.execute("select a from t")
    assert await opened.fetchone() is not None
    return opened


async def blob(db: csqlite.Connection) -> Any:
    """Give a blob that is open for writing."""
    opened = await db.blobopen("t", "a", 1)
    await opened.write(b"abc")
    return opened


async def reading_blob(db: csqlite.Connection) -> Any:
    """Give a blob that is open for reading."""
    return await db.blobopen("t", "a", 1, readonly=True)


async def session(db: csqlite.Connection) -> Any:
    """Give a session, which records."""
    return await db.session()


async def connection(db: csqlite.Connection) -> Any:
    """Give the connection itself."""
    return db


THINGS = [connection, cursor, blob, reading_blob]
if hasattr(csqlite, "Session"):
    THINGS.append(session)


async def cancel(task: asyncio.Future[Any]) -> None:
    """Cancel a task that waits, and wait for its end."""
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def is_free(path: Path) -> bool:
    """Whether another connection may write at once."""
    async with csqlite.connect(path, timeout=0, isolation_level=None) as other:
        try:
            await other.execute("insert into t values (2)")
        except csqlite.OperationalError:
            return False
    return True


async def closed_again(thing: Callable[[csqlite.Connection], Any], path: Path, times: int) -> None:
    """Cancel a thing's close() so many times while the worker is busy, then close it twice."""
    async with open_table(path) as db:
        held = Held(db)
        opened = await thing(db)
        query = await held.begin()
        for _ in range(times):
            await cancel(asyncio.ensure_future(opened.close()))
        again = [asyncio.ensure_future(opened.close()) for _ in range(2)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(closing.done() for closing in again)
        held.go.set()
        await asyncio.wait_for(asyncio.gather(*again), SECONDS)
        assert thing is not connection or not db._thread.is_alive()
        assert await is_free(path)
        assert await query == [(1,)]
        await opened.close()


@pytest.mark.parametrize("times", [1, 3], ids=["once", "three times"])
@pytest.mark.parametrize("thing", THINGS)
async def test_closing_behind_a_cancelled_closing_waits_for_it(
    path: Path, thing: Callable[[csqlite.Connection], Any], times: int
) -> None:
    await closed_again(thing, path, times)


async def test_closing_behind_stop_waits_for_it(path: Path) -> None:
    async with open_table(path) as db:
        held = Held(db)
        query = await held.begin()
        stopped = db.stop()
        closing = asyncio.ensure_future(db.close())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not closing.done()
        held.go.set()
        await asyncio.wait_for(closing, SECONDS)
        assert stopped is not None
        await asyncio.wait_for(stopped, SECONDS)
        assert await query == [(1,)]


async def test_closing_on_another_loop_behind_a_cancelled_closing_waits_for_it(path: Path) -> None:
    async with open_table(path) as db:
        held = Held(db)
        query = await held.begin()
        await cancel(asyncio.ensure_future(db.close()))
        told = threading.Event()

        async def close() -> None:
            closing = asyncio.ensure_future(db.close())
            await asyncio.sleep(0)
            assert not closing.done()
            told.set()
            await closing

        other = asyncio.ensure_future(asyncio.to_thread(asyncio.run, close()))
        assert await asyncio.to_thread(told.wait, SECONDS)
        held.go.set()
        await asyncio.wait_for(other, SECONDS)
        assert await is_free(path)
        assert await query == [(1,)]


async def test_leaving_a_context_that_was_cancelled_while_it_closed(path: Path) -> None:
    async with open_table(path) as db:
        held = Held(db)
        query = await held.begin()

        leaving = asyncio.ensure_future(db.__aexit__(None, None, None))
        await cancel(leaving)
        closing = asyncio.ensure_future(db.close())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not closing.done()
        held.go.set()
        await asyncio.wait_for(closing, SECONDS)
        assert await query == [(1,)]


@pytest.mark.parametrize("closers", [1, 4])
async def test_the_thread_is_not_alive_when_close_returns(path: Path, closers: int) -> None:
    for _ in range(50):
        db = await csqlite.connect(path)
        await asyncio.gather(*[db.close() for _ in range(closers)])
        assert not db._thread.is_alive()


async def foreign(path: Path) -> csqlite.Connection:
    """Give a connection of another module, which is used as any other."""
    return await csqlite.Connection(lambda: sqlite3.connect(path, check_same_thread=False), 64)


async def native(path: Path) -> csqlite.Connection:
    """Give a connection of csqlite's own."""
    return await csqlite.connect(path)


def is_open(path: Path) -> bool:
    """Whether the process has the file open."""
    return any(
        os.path.realpath(f"/proc/self/fd/{fd}") == str(path) for fd in os.listdir("/proc/self/fd")
    )


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("opening", [native, foreign])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same loop", "another loop"])
async def test_nothing_is_open_when_close_returns(
    path: Path, opening: Callable[[Path], Any], elsewhere: bool
) -> None:
    """Whenever those before it were cancelled, in the queue, while it is done, or behind it."""
    path = path.resolve()
    for turns in range(25):
        db = await opening(path)
        await db.execute("select 1")
        for more in range(turns % 3):
            closing = asyncio.ensure_future(db.close())
            for _ in range(turns // (more + 1)):
                await asyncio.sleep(0)
            closing.cancel()
        if elsewhere:
            await asyncio.to_thread(asyncio.run, returned(db.close()))
        else:
            await db.close()
        assert not db._thread.is_alive()
        assert not is_open(path)


async def returned(request: Any) -> Any:
    """Await what csqlite gives, as a coroutine."""
    return await request


async def test_foreign_connection_whose_closing_was_cancelled_in_the_queue_is_closed(
    path: Path,
) -> None:
    db = await foreign(path)
    there, go = threading.Event(), threading.Event()

    def hold() -> None:
        there.set()
        go.wait(SECONDS)

    holding = asyncio.ensure_future(db._execute(hold))
    await asyncio.to_thread(there.wait, SECONDS)
    made = db._conn
    await cancel(asyncio.ensure_future(db.close()))
    again = asyncio.ensure_future(db.close())
    await asyncio.sleep(0)
    assert not again.done()
    go.set()
    await asyncio.wait_for(again, SECONDS)
    await holding
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made.execute("select 1")
