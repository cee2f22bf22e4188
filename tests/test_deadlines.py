"""Deadlines: a call ends by then with an exception that says so, and the connection is as after
a cancelled one. What has begun is the worker's to end, what waits is the loop's.
"""

import asyncio
import contextlib
import gc
import math
import pickle
import sqlite3
import threading
import time
import warnings

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

SECONDS = 20
SHORT = 0.05
LONG = 3600

ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select {} from n"
ENDLESS_COUNT = ENDLESS.format("count(*)")
ENDLESS_ROWS = ENDLESS.format("i")
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def late(awaitable, match="exceeded its deadline"):
    """Await it, and see it raise DeadlineExceeded in time; give the exception."""
    with pytest.raises(csqlite.DeadlineExceeded, match=match) as raised:
        await asyncio.wait_for(awaitable, SECONDS)
    return raised.value


async def answers(db):
    return await asyncio.wait_for(scalar(db, "select 'here'"), SECONDS) == "here"


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def busy(db):
    """Keep the worker of `db` busy meanwhile; leaving waits until it is free."""
    entered, release = threading.Event(), threading.Event()

    def block():
        entered.set()
        release.wait(SECONDS)

    task = asyncio.ensure_future(db._execute(block))
    assert await asyncio.to_thread(entered.wait, SECONDS)
    try:
        yield
    finally:
        release.set()
        await task


# -- the exception ----------------------------------------------------------------


async def test_exception_is_both_a_timeout_and_sqlite3s_and_says_what_ran(db):
    error = await late(db.execute(ENDLESS_COUNT, deadline=SHORT))
    assert isinstance(error, (TimeoutError, asyncio.TimeoutError))
    assert isinstance(error, TimeoutError)
    assert isinstance(error, asyncio.TimeoutError)
    assert isinstance(error, sqlite3.OperationalError)
    assert (error.sqlite_errorcode, error.sqlite_errorname) == (9, "SQLITE_INTERRUPT")
    assert error.sqlite_error_offset == -1
    assert str(error).startswith("Connection.execute() exceeded its deadline after 0.")
    assert ENDLESS_COUNT in str(error)
    assert db.DeadlineExceeded is csqlite.DeadlineExceeded is db._conn.DeadlineExceeded


async def test_long_sql_is_cut_in_the_message(db):
    error = await late(db.execute("select 1 -- " + "x" * 10000, deadline=0))
    assert len(str(error)) < 300


async def test_exception_can_be_pickled(db):
    error = await late(db.execute("select 1", deadline=0))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is csqlite.DeadlineExceeded
    assert (str(again), again.sqlite_errorcode) == (str(error), 9)


@pytest.mark.parametrize(
    "wrong, error",
    [
        ("1", TypeError),
        (b"1", TypeError),
        ([], TypeError),
        (1j, TypeError),
        (math.nan, ValueError),
        (-1, ValueError),
        (-0.001, ValueError),
        (-math.inf, ValueError),
    ],
)
async def test_wrong_deadline_is_refused_by_the_call(db, wrong, error):
    cursor = await db.cursor()
    calls = (
        lambda: db.execute("select 1", deadline=wrong),
        lambda: db.executemany("select 1", [], deadline=wrong),
        lambda: db.executescript("", deadline=wrong),
        lambda: db.execute_insert("select 1", deadline=wrong),
        lambda: db.execute_fetchall("select 1", deadline=wrong),
        lambda: db.commit(deadline=wrong),
        lambda: cursor.execute("select 1", deadline=wrong),
        lambda: cursor.fetchone(deadline=wrong),
        lambda: cursor.fetchmany(deadline=wrong),
        lambda: cursor.fetchall(deadline=wrong),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in calls:
            with pytest.raises(error, match="a deadline"):
                call()
        gc.collect()
    with pytest.raises(error, match="a deadline"):
        await db.backup(":memory:", deadline=wrong)


@pytest.mark.parametrize("wrong, error", [("1", TypeError), (math.nan, ValueError)])
def test_wrong_timeout_is_refused(wrong, error):
    with pytest.raises(error, match="a deadline"):
        csqlite.timeout(wrong)


async def test_deadline_is_given_by_name_only(db):
    cursor = await db.cursor()
    for call in (
        lambda: db.execute("select 1", (), 1),
        lambda: db.commit(1),
        lambda: cursor.fetchone(1),
        lambda: cursor.fetchmany(1, 1),
        lambda: cursor.fetchall(1),
    ):
        with pytest.raises(TypeError, match="positional argument"):
            call()


@pytest.mark.parametrize("seconds", [None, math.inf, LONG, 10**400, 1e300])
async def test_limit_that_is_far_away_changes_nothing(db, seconds):
    assert await db.execute_fetchall("select 1", deadline=seconds) == [(1,)]
    async with csqlite.timeout(seconds):
        async with db.execute("select 1", deadline=seconds) as cursor:
            assert await cursor.fetchone(deadline=seconds) == (1,)
        await db.commit(deadline=seconds)


# -- never begun ------------------------------------------------------------------


CALLS = {
    "execute": lambda db, **how: db.execute("insert into t values (1)", **how),
    "execute_insert": lambda db, **how: db.execute_insert("insert into t values (1)", **how),
    "execute_fetchall": lambda db, **how: db.execute_fetchall(
        "insert into t values (1) returning a", **how
    ),
    "executemany": lambda db, **how: db.executemany("insert into t values (?)", [(1,)], **how),
    "executescript": lambda db, **how: db.executescript("insert into t values (1);", **how),
    "commit": lambda db, **how: db.commit(**how),
}


@pytest.mark.parametrize("call", sorted(CALLS))
@pytest.mark.parametrize("seconds", [0, 0.0, 1e-12])
async def test_call_with_no_time_left_does_nothing(db, call, seconds):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (0)")
    error = await late(CALLS[call](db, deadline=seconds), "it was not begun")
    assert str(error).startswith(f"Connection.{call}() exceeded its deadline after 0.000 s")
    assert await fetchall(db, "select a from t") == [(0,)]
    assert db.in_transaction


@pytest.mark.parametrize("seconds", [0, -1, -math.inf])
async def test_nothing_begins_in_a_timeout_of_nothing(db, seconds):
    async with csqlite.timeout(seconds):
        for call in CALLS.values():
            await late(call(db), "it was not begun")
        await late(db.cursor(), "it was not begun")
        await late(db._execute(int), "it was not begun")
    assert await fetchall(db, "select * from sqlite_master") == []


@pytest.mark.parametrize("call", sorted(CALLS))
@pytest.mark.parametrize("contextual", [False, True])
async def test_queued_call_ends_at_its_deadline_and_never_runs(db, call, contextual):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (0)")
    before = db.total_changes
    async with busy(db):
        if contextual:
            with csqlite.timeout(SHORT):
                await late(CALLS[call](db), "it was not begun")
        else:
            await late(CALLS[call](db, deadline=SHORT), "it was not begun")
    assert await fetchall(db, "select a from t") == [(0,)]
    assert db.total_changes == before
    assert db.in_transaction


async def test_calls_behind_each_other_end_each_at_its_own_deadline(db):
    ended = []

    async def call(seconds):
        await late(db.execute("select 1", deadline=seconds))
        ended.append(seconds)

    async with busy(db):
        order = [0.15, 0.05, 0.25, 0.1, 0.2]
        await asyncio.gather(*(call(seconds) for seconds in order))
    assert ended == sorted(order)


async def test_deadline_passed_while_the_loop_was_blocked_is_one_all_the_same(db):
    await db.execute("create table t (a)")
    async with busy(db):
        task = asyncio.ensure_future(db.execute("insert into t values (1)", deadline=SHORT))
        await turns()
        time.sleep(2 * SHORT)
    await late(task, "it was not begun")
    assert await fetchall(db, "select a from t") == []


async def test_half_read_cursor_goes_on_when_a_queued_fetch_was_late(db):
    cursor = await db.execute(NUMBERS.format(1000))
    async with busy(db):
        await late(cursor.fetchall(deadline=SHORT))
    assert await cursor.fetchall() == [(n,) for n in range(1, 1001)]


@pytest.mark.parametrize("wait", [True, False])
async def test_half_read_cursor_whose_call_was_not_run_can_be_forgotten(wait):
    async with csqlite.connect(":memory:", check_same_thread=False, timeout=SHORT) as db:
        cursors = [db._conn.execute(NUMBERS.format(1000)) for _ in range(3)]
        async with busy(db):
            for call in (
                cursors[0].fetchall,
                lambda: cursors[1].execute("select 1"),
                lambda: cursors[2].executemany("insert into t values (?)", []),
            ):
                with csqlite.timeout(LONG if wait else 0), pytest.raises(sqlite3.OperationalError):
                    call()
        assert cursors[0].fetchall() == [(n,) for n in range(1, 1001)]
        assert cursors[1].fetchone() == (1,)
        cursors.clear()
        del call
        gc.collect()
        assert await answers(db)


async def test_half_read_cursor_that_a_callback_may_not_use_goes_on(db):
    cursors = [await db.execute(NUMBERS.format(1000))]
    refused = []

    def authorize(*args):
        try:
            cursors[0]._cursor.execute("select 1")
        except sqlite3.ProgrammingError as error:
            refused.append(str(error))
        return 0

    await db.set_authorizer(authorize)
    await db.execute("select 2")
    await db.set_authorizer(None)
    assert refused
    assert await cursors[0].fetchall() == [(n,) for n in range(1, 1001)]
    cursors.clear()
    gc.collect()
    assert await answers(db)


# -- while it runs ----------------------------------------------------------------


async def iterate(db):
    async for _ in await db.execute(ENDLESS_ROWS):
        pass


async def dump(db):
    await db.execute("create view v as " + ENDLESS_ROWS)
    await db.execute("create table t (a)")
    await db.execute(f"insert into t {NUMBERS.format(50000)}")
    while True:
        async for _ in db.iterdump():
            pass


READS = {
    "execute": lambda db: db.execute(ENDLESS_COUNT),
    "execute_fetchall": lambda db: db.execute_fetchall(ENDLESS_COUNT),
    "execute_fetchall of rows": lambda db: db.execute_fetchall(ENDLESS_ROWS),
    "execute_insert": lambda db: db.execute_insert(ENDLESS_COUNT),
    "executescript": lambda db: db.executescript("select 1; " + ENDLESS_COUNT),
    "async for": iterate,
    "iterdump": dump,
    "behind a row": lambda db: db.execute(
        "select 1 union all select * from (" + ENDLESS_COUNT + ")"
    ),
}


@pytest.mark.parametrize("call", sorted(READS))
async def test_running_read_ends_and_the_connection_answers(db, call):
    async with csqlite.timeout(SHORT):
        await late(READS[call](db))
    assert await answers(db)
    await db.rollback()
    await db.execute("drop table if exists t")  # No statement is open on it.


BEHIND_A_ROW = "select 1 union all select * from (" + ENDLESS_COUNT + ")"


async def test_fetch_of_a_row_that_takes_for_ever_ends(db):
    db._iter_chunk_size = 1
    cursor = await db.execute(BEHIND_A_ROW)
    error = await late(cursor.fetchall(deadline=SHORT))
    assert str(error).startswith("Cursor.fetchall() exceeded")
    assert await cursor.fetchone() is None
    assert await answers(db)


async def iterate(cursor, deadline):
    with csqlite.timeout(deadline):
        return await cursor.__anext__()


@pytest.mark.parametrize("then", ["fetchone", "fetchmany", "fetchall", "__anext__"])
@pytest.mark.parametrize(
    ("fetch", "rows"),
    [
        (lambda cursor: cursor.fetchone(deadline=SHORT), (1,)),
        (lambda cursor: cursor.fetchmany(deadline=SHORT), [(1,)]),
        (lambda cursor: iterate(cursor, SHORT), (1,)),
    ],
    ids=["fetchone", "fetchmany", "iteration"],
)
async def test_row_that_is_here_is_given_though_the_step_behind_it_is_late(db, fetch, rows, then):
    db._iter_chunk_size = 1
    cursor = await db.execute(BEHIND_A_ROW)
    assert await fetch(cursor) == rows
    assert await answers(db)
    with pytest.raises(csqlite.DeadlineExceeded, match="finds its cursor ended"):
        await getattr(cursor, then)()
    assert await cursor.fetchone() is None
    await cursor.execute("select 2")
    assert await cursor.fetchall() == [(2,)]


async def test_late_read_gives_up_its_snapshot(path):
    async with (
        csqlite.connect(path, isolation_level=None) as db,
        csqlite.connect(path, isolation_level=None, timeout=0) as other,
    ):
        await db.execute("pragma journal_mode = wal")
        await db.execute("create table t (a)")
        await db.execute("insert into t values (1)")
        for what in ("count(*)", "i"):
            await late(
                db.execute_fetchall(ENDLESS.format(what) + ", t", deadline=SHORT),
            )
            await other.execute("insert into t values (2)")
            checkpoint = "pragma wal_checkpoint(truncate)"
            assert await fetchall(other, checkpoint) == [(0, 0, 0)]


async def test_iteration_past_the_deadline_ends_though_rows_are_here(db):
    cursor = await db.execute(NUMBERS.format(50))
    seen = []
    with csqlite.timeout(LONG):
        seen.append(await cursor.fetchone())
    with pytest.raises(csqlite.DeadlineExceeded):
        with csqlite.timeout(0):
            async for row in cursor:
                seen.append(row)
    seen += [row async for row in cursor]
    assert seen == [(n,) for n in range(1, 51)]


async def test_function_that_is_late_ends_its_read_when_it_returns(db):
    await db.create_function("slow", 0, lambda: time.sleep(2 * SHORT))
    await late(db.execute_fetchall("select slow()", deadline=SHORT))
    assert await answers(db)


async def test_write_that_is_done_is_reported_though_it_was_late(db):
    db.isolation_level = None
    await db.execute("create table t (a)")
    await db.create_function("slow", 0, lambda: time.sleep(2 * SHORT))
    await db.execute("insert into t values (slow())", deadline=SHORT)
    assert await fetchall(db, "select a from t") == [(None,)]


async def test_callable_on_the_worker_is_not_stopped(db):
    assert await asyncio.wait_for(limited_call(db), SECONDS) == "done"


async def limited_call(db):
    with csqlite.timeout(SHORT):
        return await db._execute(lambda: time.sleep(2 * SHORT) or "done")


async def test_coroutine_called_by_sql_is_cancelled(db):
    ended = []

    async def wait():
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    await db.create_function("wait", 0, wait)
    await late(db.execute("select wait()", deadline=SHORT))
    assert ended == ["cancelled"]
    assert await answers(db)


async def test_statement_within_a_callback_ends_at_the_deadline_of_the_outer_one(db):
    raised = []

    def inner():
        try:
            db._conn.execute(ENDLESS_COUNT).fetchone()
        except sqlite3.OperationalError as error:
            raised.append(error)
            raise

    await db.create_function("inner", 0, inner)
    with csqlite.timeout(SHORT):
        await late(db.execute("select inner()"))
    await late(db._execute(late_inline, db), "not begun")
    assert type(raised[0]) is csqlite.DeadlineExceeded
    raised.clear()
    await late(db.execute("select inner()", deadline=SHORT))
    assert len(raised) == 1
    assert await answers(db)


def late_inline(db):
    with csqlite.timeout(0):
        db._conn.execute("select 1")


async def test_synchronous_view_heeds_the_timeout_around_it():
    async with csqlite.connect(":memory:", check_same_thread=False) as db:
        with csqlite.timeout(SHORT), pytest.raises(csqlite.DeadlineExceeded):
            db._conn.execute(ENDLESS_COUNT)
        assert await answers(db)
        async with busy(db):
            with csqlite.timeout(SHORT), pytest.raises(csqlite.DeadlineExceeded, match="not begun"):
                db._conn.execute("select 1")


async def test_streamed_rows_that_nobody_takes_end(db):
    task = asyncio.ensure_future(
        db.execute_fetchall(ENDLESS.format("zeroblob(100000)"), deadline=4 * SHORT)
    )
    await turns()
    time.sleep(6 * SHORT)  # The worker has filled what there is room for, and waits.
    await late(task)
    assert await answers(db)


# -- writes -----------------------------------------------------------------------


async def test_autocommitted_write_is_undone(path):
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values ('before')")
        error = await late(db.execute("insert into t " + ENDLESS_ROWS, deadline=SHORT))
        assert "rolled back" not in str(error)
        assert await fetchall(db, "select a from t") == [("before",)]
        async with csqlite.connect(path, timeout=0) as other:
            await other.execute("insert into t values ('after')")
            await other.commit()


@pytest.mark.parametrize("call", ["execute", "execute_fetchall", "execute_insert", "executescript"])
@pytest.mark.parametrize("autocommit", [-1, False])
async def test_write_in_a_transaction_costs_the_transaction_and_says_so(path, call, autocommit):
    async with csqlite.connect(path, autocommit=autocommit) as db:
        await db.execute("create table t (a)")
        await db.commit()
        await db.execute("insert into t values ('lost')")
        sql = "insert into t " + ENDLESS_ROWS
        if call == "executescript":
            await db.commit()
            sql = "begin; insert into t values (1); " + sql if autocommit == -1 else sql
        error = await late(getattr(db, call)(sql, deadline=SHORT))
        if not (call == "executescript" and autocommit == -1):
            assert "(the transaction was rolled back)" in str(error)
        assert db.in_transaction is (autocommit is False)
        async with csqlite.connect(path, timeout=0) as other:
            await other.execute("insert into t values ('after')")
            await other.commit()
        assert ("after",) in await fetchall(db, "select a from t")
        await db.execute("insert into t values ('next')")
        await db.commit()


async def test_write_that_began_its_transaction_leaves_none(db):
    await db.execute("create table t (a)")
    error = await late(db.execute("insert into t " + ENDLESS_ROWS, deadline=SHORT))
    assert "rolled back" not in str(error)
    assert not db.in_transaction
    assert await fetchall(db, "select a from t") == []


@pytest.mark.parametrize("open_before", [False, True])
async def test_executemany_ends_between_two_rows(db, open_before):
    await db.execute("create table t (a)")
    if open_before:
        await db.execute("insert into t values (0)")
    closed = []

    def rows():
        try:
            while True:
                yield (1,)
        finally:
            closed.append(True)

    await late(db.executemany("insert into t values (?)", rows(), deadline=SHORT))
    assert await answers(db)
    assert db.in_transaction is open_before
    assert await scalar(db, "select count(*) from t where a = 0") == open_before
    gc.collect()
    assert closed == [True]


async def test_reading_in_a_transaction_does_not_cost_it(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    await late(db.execute(ENDLESS_COUNT, deadline=SHORT))
    assert db.in_transaction
    await db.commit()
    assert await fetchall(db, "select a from t") == [(1,)]


async def test_rollback_and_closing_are_done_though_the_time_is_over(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    cursor = await db.execute(NUMBERS.format(1000))
    with csqlite.timeout(0):
        await cursor.close()
        await db.rollback()
    assert not db.in_transaction
    assert (await outcome(cursor.fetchone()))[0] is sqlite3.ProgrammingError


async def test_rollback_whose_time_is_over_while_it_waits_is_done(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    async with busy(db):
        with csqlite.timeout(SHORT):
            await late(db.rollback(), "it goes on")
        assert db.in_transaction
    assert await answers(db)
    assert not db.in_transaction


# -- waiting for a lock -----------------------------------------------------------


async def test_the_earlier_of_lock_timeout_and_deadline_ends_the_wait(path):
    async with csqlite.connect(path, isolation_level=None) as holder:
        await holder.execute("create table t (a)")
        await holder.execute("begin immediate")
        async with csqlite.connect(path, timeout=SHORT, isolation_level=None) as db:
            with pytest.raises(sqlite3.OperationalError, match="database is locked") as raised:
                await db.execute("insert into t values (1)", deadline=LONG)
            assert type(raised.value) is sqlite3.OperationalError
            assert raised.value.sqlite_errorname == "SQLITE_BUSY"
        async with csqlite.connect(path, timeout=LONG) as db:
            await late(
                db.execute("insert into t values (1)", deadline=SHORT), "it waited for a lock"
            )
            assert not db.in_transaction
            assert await answers(db)
            with csqlite.timeout(SHORT):
                await late(db.executescript("insert into t values (1)"), "it waited for a lock")
        await holder.execute("commit")


async def test_commit_that_waits_for_a_lock_leaves_the_transaction_open(path):
    async with csqlite.connect(path, isolation_level=None) as holder:
        await holder.execute("create table t (a)")
        async with csqlite.connect(path, timeout=LONG) as db:
            await db.execute("insert into t values (2)")
            await holder.execute("begin")
            await fetchall(holder, "select a from t")
            await late(db.commit(deadline=SHORT), "it waited for a lock")
            assert db.in_transaction
            await holder.execute("commit")
            await db.commit()
            assert await fetchall(holder, "select a from t") == [(2,)]


@pytest.mark.parametrize("seconds", [0.2, 0.5])
async def test_lock_timeout_is_kept_by_the_clock(path, seconds):
    async with csqlite.connect(path, isolation_level=None) as holder:
        await holder.execute("create table t (a)")
        await holder.execute("begin immediate")
        async with csqlite.connect(path, timeout=seconds, isolation_level=None) as db:
            # Never less; more only where the machine is busy, which it is not all the time.
            for _ in range(20):
                began = time.monotonic()
                with pytest.raises(sqlite3.OperationalError, match="(?m)^database is locked$"):
                    await db.execute("insert into t values (1)")
                waited = time.monotonic() - began
                assert waited >= seconds
                if waited < 3 * seconds:
                    break
            assert waited < 3 * seconds


# -- the context ------------------------------------------------------------------


async def test_of_nested_timeouts_the_earliest_counts(db):
    async with csqlite.timeout(LONG), csqlite.timeout(0):
        with csqlite.timeout(LONG), csqlite.timeout(None):
            await late(db.execute("select 1", deadline=LONG))
    assert await answers(db)
    with csqlite.timeout(LONG):
        await late(db.execute("select 1", deadline=0))
        assert await answers(db)


async def test_timeout_that_is_over_limits_nothing_any_more(db):
    with csqlite.timeout(0):
        pass
    assert await answers(db)


async def test_task_started_inside_keeps_the_limit(db):
    with csqlite.timeout(SHORT):
        task = asyncio.ensure_future(db.execute(ENDLESS_COUNT))
    await late(task)


def test_timeout_is_entered_once():
    limit = csqlite.timeout(1)
    with limit:
        pass
    with pytest.raises(RuntimeError, match="entered once"):
        limit.__enter__()


async def test_request_made_before_the_timeout_is_limited_when_awaited_inside(db):
    request = db.execute("select 1")
    with csqlite.timeout(0):
        await late(request)


async def test_asyncio_and_csqlite_timeouts_nested(db):
    with pytest.raises(asyncio.TimeoutError) as raised:
        async with csqlite.timeout(LONG):
            await asyncio.wait_for(db.execute(ENDLESS_COUNT), SHORT)
    assert not isinstance(raised.value, csqlite.DeadlineExceeded)
    assert await answers(db)
    with csqlite.timeout(SHORT):
        await late(asyncio.wait_for(db.execute(ENDLESS_COUNT), LONG))
    assert await answers(db)


# -- races ------------------------------------------------------------------------


async def test_cancellation_and_deadline_in_one_moment(db):
    for offset in range(40):
        task = asyncio.ensure_future(db.execute_fetchall(ENDLESS_ROWS, deadline=0.005))
        await asyncio.sleep(0.003 + offset * 0.0001)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, csqlite.DeadlineExceeded)):
            await task
        assert await answers(db)


async def test_answer_and_deadline_in_one_moment(db):
    await db.execute("create table t (a)")
    await db.commit()
    sql = f"insert into t select count(*) from ({NUMBERS.format(20000)}) returning a"
    done = 0
    began = time.monotonic()
    await fetchall(db, sql)
    usual = time.monotonic() - began
    await db.rollback()
    for turn in range(60):
        try:
            rows = await db.execute_fetchall(sql, deadline=usual * (0.5 + turn / 40))
        except csqlite.DeadlineExceeded:
            assert not db.in_transaction
        else:
            assert rows == [(20000,)]
            await db.commit()
            done += 1
        assert await scalar(db, "select count(*) from t") == done


async def test_rows_are_all_there_or_it_is_late(db):
    for turn in range(60):
        try:
            cursor = await db.execute(NUMBERS.format(3000), deadline=0.0002 + turn * 0.00005)
            rows = await cursor.fetchall(deadline=0.0002 + turn * 0.00005)
        except csqlite.DeadlineExceeded:
            continue
        assert rows == [(n,) for n in range(1, 3001)]
    assert await answers(db)


async def test_many_at_once_each_end_and_nothing_stays(db):
    await db.execute("create table t (a)")
    calls = [db.execute_fetchall(ENDLESS_COUNT, deadline=SHORT) for _ in range(100)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {csqlite.DeadlineExceeded}
    assert await answers(db)
    await db.execute("drop table t")


# -- connecting, closing, backup --------------------------------------------------


async def test_connect_with_no_time_left_opens_nothing(path):
    db = csqlite.connect(path)
    with csqlite.timeout(0):
        await late(_awaited(db))
    assert not path.exists()
    await db
    await db.close()


async def _awaited(awaitable):
    return await awaitable


async def test_connection_of_a_timeout_is_closed_at_its_end(path):
    with pytest.raises(csqlite.DeadlineExceeded, match="Connection.execute"):
        async with csqlite.timeout(4 * SHORT), csqlite.connect(path) as db:
            await db.execute(ENDLESS_COUNT)
    assert (await outcome(db.execute("select 1")))[0] is ValueError
    await asyncio.to_thread(db._thread.join, SECONDS)
    assert not db._thread.is_alive()


async def test_close_that_is_late_closes_all_the_same(path):
    db = await csqlite.connect(path)
    async with busy(db):
        with csqlite.timeout(SHORT):
            await late(db.close(), "it goes on")
    await asyncio.to_thread(db._thread.join, SECONDS)
    assert not db._thread.is_alive()
    assert (await outcome(db.execute("select 1")))[0] is ValueError


async def test_backup_ends_and_leaves_both_usable(db, path):
    await db.execute("create table t (a)")
    await db.execute(f"insert into t {NUMBERS.format(20000)}")
    await db.commit()
    async with csqlite.connect(path) as target:
        await late(db.backup(target, pages=1, sleep=LONG, deadline=4 * SHORT))
        with csqlite.timeout(4 * SHORT):
            await late(db.backup(target, pages=1, sleep=LONG))
        assert await answers(db)
        assert await fetchall(target, "select name from sqlite_master") == []
        await target.execute("create table u (a)")
        await db.execute("drop table t")


async def test_loop_that_is_closed_with_a_deadline_to_come_leaves_nothing(path):
    def run():
        async def main():
            async with csqlite.connect(path) as db:
                with csqlite.timeout(LONG):
                    assert await answers(db)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            asyncio.run(main())

    for _ in range(3):
        await asyncio.to_thread(run)
    gc.collect()
    alarms = [item for item in gc.get_objects() if type(item).__name__ == "Alarm"]
    assert len(alarms) <= 1


# -- foreign connections ----------------------------------------------------------


async def test_foreign_connection_queued_ends_and_running_is_not_stopped():
    def connector():
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.create_function("slow", 0, lambda: time.sleep(2 * SHORT))
        return connection

    async with csqlite.Connection(connector, 64) as db:
        await db.execute("create table t (a)")
        await late(db.execute("insert into t values (1)", deadline=0), "it was not begun")
        async with busy(db):
            await late(db.execute("insert into t values (1)", deadline=SHORT), "it was not begun")
            cursor_of = db.execute_fetchall("select 1", deadline=SHORT)
            await late(cursor_of)
        assert await db.execute_fetchall("select a from t") == []
        await db.execute("insert into t values (slow())", deadline=SHORT)
        assert await db.execute_fetchall("select a from t", deadline=LONG) == [(None,)]
        cursor = await db.execute("select a from t", deadline=LONG)
        assert await cursor.fetchone(deadline=LONG) == (None,)
        with pytest.raises(ValueError, match="negative"):
            await cursor.fetchall(deadline=-1)
        with csqlite.timeout(0):
            await cursor.close()
            await db.rollback()
