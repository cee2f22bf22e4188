"""Cancelling: what was not begun never runs, a read ends, a write is whole or undone."""

import asyncio
import gc
import random
import sqlite3
import sys
import tempfile
import threading
import warnings
from contextlib import asynccontextmanager

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

SECONDS = 20

# Both run for ever. The first tells when it has begun and gives no row.
ENDLESS = """
    with recursive n(i) as (select started() union all select i + 1 from n) select count(*) from n
"""
ENDLESS_ROWS = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def wait(event):
    assert await asyncio.to_thread(event.wait, SECONDS)


async def cancel(task):
    """Cancel `task` and see it cancelled."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, SECONDS)


async def answers(db):
    return await asyncio.wait_for(scalar(db, "select 'here'"), SECONDS) == "here"


async def begin(db, awaitable_of):
    """Start `awaitable_of(db)` as a task, and give it once its SQL has called started()."""
    started = threading.Event()
    await db.create_function("started", 0, lambda: started.set() or 0)
    task = asyncio.ensure_future(awaitable_of(db))
    await wait(started)
    return task


@asynccontextmanager
async def busy(db):
    """Keep the worker of `db` busy meanwhile; leaving waits until it is free."""
    entered, release = threading.Event(), threading.Event()

    def block():
        entered.set()
        release.wait(SECONDS)

    await db.create_function("block", 0, block)
    task = asyncio.ensure_future(db.execute_fetchall("select block()"))
    await wait(entered)
    try:
        yield
    finally:
        release.set()
        await task


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


# -- before it began --------------------------------------------------------------


async def test_task_cancelled_before_it_starts_runs_nothing_and_warns_of_nothing(db):
    await db.execute("create table t (a)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = asyncio.ensure_future(db.execute("insert into t values (1)"))
        await cancel(task)
        del task
        gc.collect()
    assert await fetchall(db, "select a from t") == []
    assert not db.in_transaction


QUEUED = {
    "execute": lambda db, ran: db.execute("insert into t values (1)"),
    "execute_insert": lambda db, ran: db.execute_insert("insert into t values (1)"),
    "execute_fetchall": lambda db, ran: db.execute_fetchall("insert into t values (1) returning a"),
    "executemany": lambda db, ran: db.executemany("insert into t values (?)", [(1,), (2,)]),
    "executescript": lambda db, ran: db.executescript("insert into t values (1);"),
    "_execute": lambda db, ran: db._execute(ran.append, 1),
    "create_function": lambda db, ran: db.create_function("note", 0, lambda: 1),
}


@pytest.mark.parametrize("call", sorted(QUEUED))
async def test_queued_call_that_is_cancelled_never_runs(db, call):
    ran = []
    await db.execute("create table t (a)")
    before = db.total_changes
    async with busy(db):
        task = asyncio.ensure_future(QUEUED[call](db, ran))
        await turns()
        await cancel(task)
    assert await fetchall(db, "select a from t") == []
    assert (ran, db.total_changes, db.in_transaction) == ([], before, False)
    assert (await outcome(db.execute("select note()")))[0] is sqlite3.OperationalError


async def test_queued_commit_that_is_cancelled_leaves_the_transaction_open(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    async with busy(db):
        task = asyncio.ensure_future(db.commit())
        await turns()
        await cancel(task)
    assert await answers(db)
    assert db.in_transaction
    assert await fetchall(db, "select a from t") == [(1,)]


async def test_queued_rollback_that_is_cancelled_is_done_all_the_same(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    async with busy(db):
        task = asyncio.ensure_future(db.rollback())
        await turns()
        await cancel(task)
    assert await fetchall(db, "select a from t") == []
    assert not db.in_transaction


async def test_cancelling_one_of_the_queue_leaves_the_others_and_their_order(db):
    order = []
    await db.create_function("note", 1, order.append)
    async with busy(db):
        tasks = [asyncio.ensure_future(db.execute("select note(?)", (n,))) for n in range(20)]
        await turns()
        for task in tasks[::2]:
            task.cancel()
        await turns()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == list(range(1, 20, 2))


# -- while it reads ---------------------------------------------------------------


async def iterate(db):
    async for _ in await db.execute(ENDLESS):
        pass


async def enter(db):
    async with db.execute(ENDLESS) as cursor:
        await cursor.fetchone()


async def fetch(db, method):
    cursor = await db.execute("select 1 union all select * from (" + ENDLESS + ")")
    assert await cursor.fetchone() == (1,)
    await method(cursor)


READS = {
    "execute": lambda db: db.execute(ENDLESS),
    "execute_fetchall": lambda db: db.execute_fetchall(ENDLESS),
    "execute_insert": lambda db: db.execute_insert(ENDLESS),
    "executescript": lambda db: db.executescript("select 1; " + ENDLESS),
    "cursor.execute": lambda db: csqlite.Cursor(db, db._conn.cursor()).execute(ENDLESS),
    "async for": iterate,
    "async with": enter,
}


@pytest.mark.parametrize("call", sorted(READS))
async def test_running_read_ends_and_the_connection_answers(db, call):
    task = await begin(db, READS[call])
    await cancel(task)
    assert await answers(db)


@pytest.mark.parametrize(
    "method",
    [
        lambda cursor: cursor.fetchone(),
        lambda cursor: cursor.fetchmany(10),
        lambda cursor: cursor.fetchall(),
        lambda cursor: cursor.__aiter__().__anext__(),
    ],
    ids=["fetchone", "fetchmany", "fetchall", "anext"],
)
async def test_fetch_of_a_row_that_takes_for_ever_ends(db, method):
    db._iter_chunk_size = 1  # so that execute() does not wait for the second row
    task = await begin(db, lambda db: fetch(db, method))
    await cancel(task)
    assert await answers(db)


async def test_endless_rows_being_fetched_end(db):
    begun = threading.Event()
    await db.create_function("begun", 0, begun.set)
    sql = f"select i, case when i = 50000 then begun() end from ({ENDLESS_ROWS})"
    for fetched in (db.execute_fetchall(sql), fetch_all(db, sql)):
        begun.clear()
        task = asyncio.ensure_future(fetched)
        await wait(begun)
        await cancel(task)
        assert await answers(db)


async def fetch_all(db, sql):
    async with db.execute(sql) as cursor:
        return await cursor.fetchall()


async def test_cursor_whose_fetch_was_cancelled_has_no_more_rows_and_can_execute_again(db):
    begun = threading.Event()
    await db.create_function("begun", 0, begun.set)
    cursor = await db.execute(
        f"select i, case when i = 50000 then begun() end from ({ENDLESS_ROWS})"
    )
    task = asyncio.ensure_future(cursor.fetchall())
    await wait(begun)
    await cancel(task)
    assert await asyncio.wait_for(cursor.fetchall(), SECONDS) == []
    await cursor.execute(NUMBERS.format(200))
    assert await cursor.fetchall() == [(n,) for n in range(1, 201)]


async def test_raw_coroutine_that_is_closed_ends_its_query(db):
    started = threading.Event()
    await db.create_function("started", 0, lambda: started.set() or 0)
    request = db.execute_fetchall(ENDLESS)
    request.send(None)
    await wait(started)
    request.close()
    assert await answers(db)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await request


@pytest.mark.parametrize("streaming", [False, True])
async def test_cancelled_read_gives_up_its_snapshot(path, streaming):
    begun = threading.Event()
    async with (
        csqlite.connect(path, isolation_level=None) as db,
        csqlite.connect(path, isolation_level=None, timeout=0) as other,
    ):
        await db.execute("pragma journal_mode = wal")
        await db.execute("create table t (a)")
        await db.execute(f"insert into t {NUMBERS.format(100)}")
        await db.create_function("begun", 0, begun.set)
        what = "1" if streaming else "count(*)"
        task = asyncio.ensure_future(
            db.execute_fetchall(
                f"""
                with recursive n(i) as (
                    select begun() from t where rowid = 1 union all select 1 from n
                ) select {what} from t, n
                """
            )
        )
        await wait(begun)
        await other.execute("insert into t values (0)")
        checkpoint = "pragma wal_checkpoint(truncate)"
        assert (await fetchall(other, checkpoint))[0][0] == 1  # The read is in its way.
        await cancel(task)
        assert await answers(db)
        assert await fetchall(other, checkpoint) == [(0, 0, 0)]


async def test_cancelling_a_read_does_not_disturb_a_half_read_cursor(db):
    reader = await db.execute(NUMBERS.format(5000))
    assert await reader.fetchmany(10) == [(n,) for n in range(1, 11)]
    task = await begin(db, lambda db: db.execute(ENDLESS))
    await cancel(task)
    assert await reader.fetchall() == [(n,) for n in range(11, 5001)]


async def test_cancelling_a_read_does_not_disturb_the_next(db):
    task = await begin(db, lambda db: db.execute(ENDLESS))
    next_one = asyncio.ensure_future(db.execute_fetchall(NUMBERS.format(5000)))
    await turns()
    await cancel(task)
    assert await asyncio.wait_for(next_one, SECONDS) == [(n,) for n in range(1, 5001)]


async def test_cancelled_read_leaves_the_transaction_as_it_was(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    task = await begin(db, lambda db: db.execute(ENDLESS))
    await cancel(task)
    assert await fetchall(db, "select a from t") == [(1,)]
    assert db.in_transaction
    await db.commit()
    assert await fetchall(db, "select a from t") == [(1,)]


async def test_task_cancelled_in_the_middle_of_an_iteration_closes_its_cursor(path):
    reached, never = asyncio.Event(), asyncio.Event()
    cursors = []

    async def read(db):
        async with db.execute("select a from t") as cursor:
            cursors.append(cursor)
            async for (number,) in cursor:
                if number == 100:
                    reached.set()
                    await never.wait()

    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("create table t (a)")
        await db.execute(f"insert into t {NUMBERS.format(1000)}")
        task = asyncio.ensure_future(read(db))
        await asyncio.wait_for(reached.wait(), SECONDS)
        async with csqlite.connect(path, timeout=0) as other:
            locked = await outcome(other.execute("begin exclusive"))
            assert locked == (sqlite3.OperationalError, "database is locked")
            await cancel(task)
            await other.execute("begin exclusive")
        assert (await outcome(cursors[0].fetchone()))[0] is sqlite3.ProgrammingError


async def test_cancelled_dump_ends(db):
    await db.execute("create table t (a)")
    await db.execute(f"insert into t {NUMBERS.format(20000)}")
    reached, never = asyncio.Event(), asyncio.Event()

    async def dump():
        count = 0
        async for _ in db.iterdump():
            count += 1
            if count == 1000:
                reached.set()
                await never.wait()

    task = asyncio.ensure_future(dump())
    await asyncio.wait_for(reached.wait(), SECONDS)
    await cancel(task)
    assert await answers(db)
    # Nothing reads any more, or this would be "database table is locked".
    await db.commit()
    await db.execute("drop table t")


async def test_callable_that_runs_when_its_task_is_cancelled_finishes(db):
    entered, release = threading.Event(), threading.Event()
    done = []

    def work():
        entered.set()
        release.wait(SECONDS)
        done.append(True)

    task = asyncio.ensure_future(db._execute(work))
    await wait(entered)
    await cancel(task)
    release.set()
    assert await answers(db)
    assert done == [True]


# -- while it waits for a lock ----------------------------------------------------


async def begin_waiting(db, awaitable_of, statement=""):
    """Start `awaitable_of(db)` as a task, and give it once it waits for a lock.

    `statement`: the one that has to wait, if it is not the first.
    """
    traced = threading.Event()
    await db.set_trace_callback(lambda sql: sql.startswith(statement) and traced.set())
    task = asyncio.ensure_future(awaitable_of(db))
    await wait(traced)
    return task


@asynccontextmanager
async def two_connections(path, isolation_level):
    """Give two connections to a table `t` of one row; the second waits an hour for a lock."""
    async with csqlite.connect(path, isolation_level=None) as holder:
        await holder.execute("create table t (a)")
        await holder.execute("insert into t values (1)")
        async with csqlite.connect(path, timeout=3600, isolation_level=isolation_level) as db:
            yield holder, db


WAITING = {
    "read": ("begin exclusive", None, lambda db: db.execute_fetchall("select * from t")),
    "write": ("begin immediate", None, lambda db: db.execute("insert into t values (2)")),
    "implicit begin": (
        "begin immediate",
        "IMMEDIATE",
        lambda db: db.execute("insert into t values (2)"),
    ),
    "begin": ("begin immediate", None, lambda db: db.execute("begin immediate")),
    "write in a transaction": (
        "begin immediate",
        "",
        lambda db: db.execute("insert into t values (2)"),
    ),
    "executemany": (
        "begin immediate",
        "",
        lambda db: db.executemany("insert into t values (?)", [(2,), (3,)]),
    ),
    "executescript": (
        "begin immediate",
        None,
        lambda db: db.executescript("begin; insert into t values (2); commit"),
    ),
}


@pytest.mark.parametrize("case", sorted(WAITING))
async def test_waiting_for_a_lock_ends(path, case):
    lock, level, call = WAITING[case]
    async with two_connections(path, level) as (holder, db):
        await fetchall(db, "select a from t")
        await holder.execute(lock)
        await cancel(await begin_waiting(db, call))
        assert await answers(db)
        await holder.execute("commit")
        await db.rollback()
        assert await fetchall(db, "select a from t") == [(1,)]
        await db.execute("insert into t values (9)")
        await db.commit()


async def test_waiting_to_read_the_schema_ends(path):
    async with two_connections(path, None) as (holder, db):
        await holder.execute("begin exclusive")
        task = asyncio.ensure_future(db.execute("select a from t"))
        await turns()
        await cancel(task)
        # SQLite reads the schema for any statement, so this is about the worker alone.
        assert await asyncio.wait_for(db._execute(int), SECONDS) == 0


async def test_commit_that_waits_for_a_lock_ends_and_can_be_repeated(path):
    async with two_connections(path, "") as (holder, db):
        await db.execute("insert into t values (2)")
        await holder.execute("begin")
        await fetchall(holder, "select a from t")
        await cancel(await begin_waiting(db, lambda db: db.commit(), "COMMIT"))
        assert await answers(db)
        assert db.in_transaction
        await holder.execute("commit")
        await db.commit()
        assert await fetchall(holder, "select a from t") == [(1,), (2,)]


async def test_close_behind_a_cancelled_wait_does_not_wait(path):
    async with two_connections(path, None) as (holder, db):
        await holder.execute("begin immediate")
        task = await begin_waiting(db, lambda db: db.execute("delete from t"))
        closed = asyncio.ensure_future(db.close())
        await turns()
        await cancel(task)
        assert await asyncio.wait_for(closed, SECONDS) is None


# -- while it writes --------------------------------------------------------------


async def test_endless_autocommit_write_is_undone(path):
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values ('before')")
        sql = """
            insert into t
            with recursive n(i) as (select started() union all select i + 1 from n) select i from n
        """
        task = await begin(db, lambda db: db.execute(sql))
        await cancel(task)
        assert await fetchall(db, "select a from t") == [("before",)]
        assert not db.in_transaction
        async with csqlite.connect(path, timeout=0) as other:
            await other.execute("insert into t values ('after')")
            await other.commit()
        assert await scalar(db, "pragma integrity_check") == "ok"


def pausing(db, row):
    """Let SQL pause at `row`: create pause(), and give the events around the pause."""
    entered, release = threading.Event(), threading.Event()

    def pause(number):
        if number == row:
            entered.set()
            release.wait(SECONDS)
        return number

    return entered, release, db.create_function("pause", 1, pause)


@pytest.mark.parametrize("row", [1, 2, 1500, 2999, 3000])
async def test_autocommit_write_is_whole_or_undone(db, row):
    db.isolation_level = None
    await db.execute("create table t (a)")
    entered, release, created = pausing(db, row)
    await created
    task = asyncio.ensure_future(
        db.execute(f"insert into t select pause(i) from ({NUMBERS.format(3000)})")
    )
    await wait(entered)
    task.cancel()
    await turns()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await scalar(db, "select count(*) from t") in (0, 3000)
    assert not db.in_transaction


@pytest.mark.parametrize("level", ["", "IMMEDIATE"])
@pytest.mark.parametrize("row", [1, 1500, 3000])
async def test_cancelled_write_inside_a_transaction_leaves_the_transaction(path, level, row):
    async with csqlite.connect(path, isolation_level=level) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values (0)")
        entered, release, created = pausing(db, row)
        await created
        task = asyncio.ensure_future(
            db.execute(f"insert into t select pause(i) from ({NUMBERS.format(3000)})")
        )
        await wait(entered)
        task.cancel()
        await turns()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await answers(db)
        assert db.in_transaction
        assert await scalar(db, "select count(*) from t where a = 0") == 1
        await db.commit()
        async with csqlite.connect(path) as other:
            assert await scalar(other, "select count(*) from t") in (1, 3001)


async def test_cancelled_write_that_began_the_transaction_is_whole_or_undone(path):
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        entered, release, created = pausing(db, 1500)
        await created
        task = asyncio.ensure_future(
            db.execute(f"insert into t select pause(i) from ({NUMBERS.format(3000)})")
        )
        await wait(entered)
        task.cancel()
        await turns()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await scalar(db, "select count(*) from t") == (3000 if db.in_transaction else 0)


async def test_statement_of_a_script_that_is_cancelled_is_the_last(db):
    db.isolation_level = None
    await db.execute("create table t (a)")
    entered, release, created = pausing(db, 1)
    await created
    task = asyncio.ensure_future(
        db.executescript(
            "insert into t values (0); insert into t select pause(1); insert into t values (2)"
        )
    )
    await wait(entered)
    task.cancel()
    await turns()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await fetchall(db, "select a from t") in ([(0,)], [(0,), (1,)])


# -- executemany ------------------------------------------------------------------


class Endless:
    """A generator of rows for ever, and when 5,000 were taken and when it was closed."""

    def __init__(self):
        self.reached = asyncio.Event()
        self.closed = False

    def rows(self):
        number = 0
        try:
            while True:
                number += 1
                if number == 5000:
                    self.reached.set()
                yield (number,)
        finally:
            self.closed = True


async def test_cancelled_executemany_leaves_no_transaction_that_it_began(path):
    endless = Endless()
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        task = asyncio.ensure_future(db.executemany("insert into t values (?)", endless.rows()))
        await asyncio.wait_for(endless.reached.wait(), SECONDS)
        await cancel(task)
        assert await fetchall(db, "select a from t") == []
        assert not db.in_transaction
        async with csqlite.connect(path, timeout=0) as other:
            await other.execute("insert into t values (1)")
            await other.commit()


async def test_cancelled_executemany_lets_its_iterator_go(db):
    endless = Endless()
    await db.execute("create table t (a)")
    task = asyncio.ensure_future(db.executemany("insert into t values (?)", endless.rows()))
    await asyncio.wait_for(endless.reached.wait(), SECONDS)
    await cancel(task)
    assert await answers(db)
    del task
    while not endless.closed:
        gc.collect()
        await asyncio.sleep(0.001)


async def test_cancelled_executemany_inside_a_transaction_keeps_what_was_before(path):
    endless = Endless()
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values ('before')")
        task = asyncio.ensure_future(db.executemany("insert into t values (?)", endless.rows()))
        await asyncio.wait_for(endless.reached.wait(), SECONDS)
        await cancel(task)
        assert await answers(db)
        assert db.in_transaction
        await db.commit()
        assert await scalar(db, "select count(*) from t where a = 'before'") == 1
        # Rows are taken in their order, so what is there is a beginning.
        count, last = (
            await fetchall(db, "select count(*), coalesce(max(a), 0) from t where a <> 'before'")
        )[0]
        assert count == last


async def test_cancelled_executemany_in_autocommit_keeps_whole_rows(db):
    endless = Endless()
    db.isolation_level = None
    await db.execute("create table t (a, b)")
    rows = ((number, number) for (number,) in endless.rows())
    task = asyncio.ensure_future(db.executemany("insert into t values (?, ?)", rows))
    await asyncio.wait_for(endless.reached.wait(), SECONDS)
    await cancel(task)
    assert not db.in_transaction
    assert await fetchall(db, "select count(*) - max(a), sum(a <> b) from t") == [(0, 0)]


async def test_cancelled_executemany_of_a_list_leaves_no_transaction(db):
    await db.execute("create table t (a)")
    entered, release, created = pausing(db, 2)
    await created
    task = asyncio.ensure_future(
        db.executemany("insert into t values (pause(?))", [(n,) for n in range(10)])
    )
    await wait(entered)
    task.cancel()
    await turns()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await fetchall(db, "select a from t") == []
    assert not db.in_transaction


# -- opening and closing ----------------------------------------------------------


@pytest.mark.parametrize("count", range(4))
async def test_cancelled_connect_leaves_no_thread(path, count):
    db = csqlite.connect(path)
    task = asyncio.ensure_future(opened(db))
    await turns(count)
    if not task.done():
        await cancel(task)
        assert db._connection is None
    await db.close()
    if db._thread.ident is not None:
        await asyncio.to_thread(db._thread.join, SECONDS)
    assert not db._thread.is_alive()


async def opened(db):
    return await db


@pytest.mark.parametrize("count", range(1, 4))
async def test_connect_cancelled_without_a_close_leaves_no_thread_and_no_warning(path, count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        db = csqlite.connect(path)
        task = asyncio.ensure_future(opened(db))
        await turns(count)
        if task.done():
            await db.close()
        else:
            await cancel(task)
        thread = db._thread
        del db, task
        gc.collect()
        await asyncio.to_thread(thread.join, SECONDS)
    assert not thread.is_alive()


@pytest.mark.parametrize("entering", [False, True])
async def test_connect_cancelled_while_its_connector_runs_closes_what_it_opened(path, entering):
    entered, release = threading.Event(), threading.Event()
    made = []

    class Opened(sqlite3.Connection):
        closed = False

        def close(self):
            self.closed = True
            super().close()

    def connector():
        entered.set()
        release.wait(SECONDS)
        made.append(sqlite3.connect(str(path), factory=Opened, check_same_thread=False))
        return made[0]

    db = csqlite.Connection(connector, 64)
    task = asyncio.ensure_future(db.__aenter__() if entering else opened(db))
    await wait(entered)
    await cancel(task)
    release.set()
    await asyncio.to_thread(db._thread.join, SECONDS)
    assert not db._thread.is_alive()
    assert db._connection is None
    assert made[0].closed


async def test_cancelled_connect_cannot_be_repeated(path):
    db = csqlite.connect(path)
    task = asyncio.ensure_future(opened(db))
    await turns(1)
    if task.done():
        pytest.skip("opened too quickly to be cancelled")
    await cancel(task)
    assert await outcome(opened(db)) == (RuntimeError, "threads can only be started once")


async def test_cancelled_close_still_closes(path):
    db = await csqlite.connect(path)
    thread = db._thread
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with busy(db):
            task = asyncio.ensure_future(db.close())
            await turns()
            await cancel(task)
        await asyncio.to_thread(thread.join, SECONDS)
        assert not thread.is_alive()
        assert db._connection is None
        assert await asyncio.wait_for(db.close(), SECONDS) is None
        del db, task
        gc.collect()


async def test_cancelled_exit_of_a_with_block_still_closes(path):
    leaving = asyncio.Event()
    db = csqlite.connect(path)

    async def use():
        async with db:
            await block.__aenter__()
            leaving.set()

    block = busy(db)
    task = asyncio.ensure_future(use())
    await asyncio.wait_for(leaving.wait(), SECONDS)
    await turns()
    await cancel(task)
    await block.__aexit__(None, None, None)
    await asyncio.to_thread(db._thread.join, SECONDS)
    assert not db._thread.is_alive()


async def test_work_before_a_cancelled_close_is_done(path):
    db = await csqlite.connect(path, isolation_level=None)
    await db.execute("create table t (a)")
    async with busy(db):
        inserts = [
            asyncio.ensure_future(db.execute("insert into t values (?)", (n,))) for n in range(10)
        ]
        await turns()
        task = asyncio.ensure_future(db.close())
        await turns()
        await cancel(task)
    await asyncio.wait_for(asyncio.gather(*inserts), SECONDS)
    async with csqlite.connect(path) as db:
        assert await scalar(db, "select count(*) from t") == 10


# -- backup -----------------------------------------------------------------------


async def begin_backup(source, target):
    """Back up page by page, and give the task once the first page is copied."""
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def progress(status, remaining, total):
        loop.call_soon_threadsafe(reached.set)

    await source.execute("create table t (a)")
    await source.execute(f"insert into t select zeroblob(1000) from ({NUMBERS.format(2000)})")
    await source.commit()
    task = asyncio.ensure_future(source.backup(target, pages=1, sleep=0.001, progress=progress))
    await asyncio.wait_for(reached.wait(), SECONDS)
    return task


async def test_cancelled_backup_leaves_the_target_as_it_was_and_both_free(tmp_path):
    async with csqlite.connect(tmp_path / "source.db") as source:
        async with csqlite.connect(tmp_path / "target.db") as target:
            await target.execute("create table old (a)")
            await target.commit()
            await cancel(await begin_backup(source, target))
            await source.execute("insert into t values (1)")
            await source.commit()
            assert await answers(target)
            await target.execute("insert into old values (1)")
            await target.commit()
            assert await fetchall(target, "select name from sqlite_master") == [("old",)]


async def test_cancelled_backup_into_sqlite3_is_whole_or_nothing_and_leaves_no_file(
    tmp_path, monkeypatch
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    target = sqlite3.connect(":memory:", check_same_thread=False)
    target.execute("create table old (a)")
    async with csqlite.connect(tmp_path / "source.db") as source:
        await cancel(await begin_backup(source, target))
        assert await answers(source)
    assert target.execute("select name from sqlite_master").fetchall() in ([("old",)], [("t",)])
    target.close()
    assert list(temporary.iterdir()) == []


async def test_cancelled_backup_in_one_step_is_whole_or_nothing(tmp_path):
    async with (
        csqlite.connect(":memory:") as source,
        csqlite.connect(tmp_path / "target.db") as target,
    ):
        await source.execute("create table t (a)")
        await source.execute(f"insert into t {NUMBERS.format(50000)}")
        await source.commit()
        for count in range(8):
            task = asyncio.ensure_future(source.backup(target))
            await turns(count)
            task.cancel()
            await asyncio.wait([task], timeout=SECONDS)
            assert task.done()
            assert await scalar(target, "select count(*) from sqlite_master") in (0, 1)
            if await scalar(target, "select count(*) from sqlite_master") == 1:
                assert await scalar(target, "select count(*) from t") == 50000
            assert await scalar(source, "select count(*) from t") == 50000


# -- asyncio's own ways -----------------------------------------------------------


async def test_wait_for(db):
    await db.create_function("started", 0, lambda: 0)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(db.execute(ENDLESS), 0.01)
    assert await answers(db)
    assert await asyncio.wait_for(db.execute_fetchall("select 1"), SECONDS) == [(1,)]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is new in Python 3.11")
async def test_timeout(db):
    await db.create_function("started", 0, lambda: 0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            async with db.execute(ENDLESS) as cursor:
                await cursor.fetchall()
    assert await answers(db)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.TaskGroup is new in Python 3.11")
async def test_task_group_ends_the_queries_of_its_other_tasks(db):
    started = threading.Event()
    await db.create_function("started", 0, lambda: started.set() or 0)

    async def fail():
        await wait(started)
        raise LookupError

    with pytest.raises(BaseException) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(db.execute_fetchall(ENDLESS))
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    assert await answers(db)


async def test_gather_that_is_cancelled_ends_all_of_its_queries(db):
    async with csqlite.connect(":memory:") as other:
        started = threading.Barrier(3, timeout=SECONDS)
        for connection in (db, other):
            await connection.create_function("started", 0, lambda: started.wait() * 0)
        task = asyncio.gather(db.execute(ENDLESS), other.execute(ENDLESS))
        await asyncio.to_thread(started.wait)
        await cancel(task)
        assert await answers(db)
        assert await answers(other)


async def test_shielded_query_goes_on(db):
    entered, release, created = pausing(db, 1)
    await created
    inner = asyncio.ensure_future(db.execute_fetchall("select pause(1)"))
    outer = asyncio.ensure_future(shielded(inner))
    await wait(entered)
    await cancel(outer)
    release.set()
    assert await asyncio.wait_for(inner, SECONDS) == [(1,)]


async def shielded(inner):
    return await asyncio.shield(inner)


async def test_cancelling_in_the_turn_in_which_the_answer_comes_loses_no_write(db):
    db.isolation_level = None
    await db.execute("create table t (a)")
    for number in range(50):
        task = asyncio.ensure_future(db.execute("insert into t values (?)", (number,)))
        await turns(1)
        # Behind this answer stands the other: it has come, and its task has not run yet.
        await asyncio.wait([asyncio.ensure_future(db.execute_fetchall("select 1"))])
        task.cancel()
        await asyncio.wait([task])
    assert await scalar(db, "select count(*) from t") == 50


async def test_tasks_cancelled_at_any_moment_disturb_no_other(db):
    chance = random.Random(1)

    async def query(number):
        size = chance.choice([1, 10, 100, 3000])
        rows = await db.execute_fetchall(f"select ?, i from ({NUMBERS.format(size)})", (number,))
        assert rows == [(number, i) for i in range(1, size + 1)]
        return number

    tasks = []
    for number in range(400):
        tasks.append(asyncio.ensure_future(query(number)))
        await turns(chance.randrange(3))
        chance.choice(tasks[-20:]).cancel()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SECONDS)
    cancelled = [r for r in results if isinstance(r, asyncio.CancelledError)]
    assert [r for r in results if not isinstance(r, BaseException)] == [
        n for n, r in enumerate(results) if not isinstance(r, BaseException)
    ]
    assert 0 < len(cancelled) < 400
    assert not [
        r
        for r in results
        if isinstance(r, BaseException) and not isinstance(r, asyncio.CancelledError)
    ]
    assert await answers(db)


async def test_cancelled_writes_at_any_moment_are_whole_or_undone(db):
    chance = random.Random(2)
    db.isolation_level = None
    await db.execute("create table t (batch, i)")
    tasks = []
    for number in range(150):
        sql = f"insert into t select ?, i from ({NUMBERS.format(2000)})"
        tasks.append(asyncio.ensure_future(db.execute(sql, (number,))))
        await turns(chance.randrange(4))
        chance.choice(tasks[-5:]).cancel()
    await asyncio.wait(tasks)
    done = {n for n, task in enumerate(tasks) if not task.cancelled()}
    counts = dict(await fetchall(db, "select batch, count(*) from t group by batch"))
    assert set(counts.values()) == {2000}
    assert done <= set(counts)
