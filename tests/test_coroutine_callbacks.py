"""Coroutine functions where SQLite calls back: awaited on the loop of who awaits the statement."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import itertools
import sqlite3
import sys
import threading
import types
import weakref

import pytest
from labels import shown
from parity.outcomes import fetchall, outcome, scalar
from processes import run_program

import csqlite

SECONDS = 20
RAISED = "user-defined function raised exception"
OWN = "A callback cannot await its own connection, which waits for the callback."
NO_LOOP = (
    "A callback that is a coroutine needs an event loop: the statement that calls it has to be "
    "awaited."
)

variable = contextvars.ContextVar("variable", default="nobody")


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


@pytest.fixture(autouse=True)
def warnings_are_errors(recwarn):
    """A coroutine that is dropped without being awaited says so in a warning."""
    yield
    gc.collect()
    assert [str(item.message) for item in recwarn] == []


# -- every kind of callback ---------------------------------------------------------

# How to register one, and what then calls it: `body` is a coroutine function without arguments.


async def function(db, body):
    async def f(number):
        await body()
        return number * 2

    await db.create_function("f", 1, f)
    return lambda: fetchall(db, "select f(21)"), [(42,)]


async def aggregate(db, body):
    class Total:
        def __init__(self):
            self.total = 0

        async def step(self, number):
            await body()
            self.total += number

        async def finalize(self):
            await body()
            return self.total

    await db.create_aggregate("f", 1, Total)
    return lambda: fetchall(db, "select f(column1) from (values (1), (2), (3))"), [(6,)]


async def window(db, body):
    class Total:
        def __init__(self):
            self.total = 0

        async def step(self, number):
            await body()
            self.total += number

        async def inverse(self, number):
            await body()
            self.total -= number

        async def value(self):
            await body()
            return self.total

        finalize = value

    await db.create_window_function("f", 1, Total)
    sql = (
        "select f(column1) over (order by column1 rows between 1 preceding and current row) "
        "from (values (1), (2), (3))"
    )
    return lambda: fetchall(db, sql), [(1,), (3,), (5,)]


async def collation(db, body):
    async def compare(a, b):
        await body()
        return (a < b) - (a > b)

    await db.create_collation("f", compare)
    sql = "select column1 from (values ('a'), ('c'), ('b')) order by 1 collate f"
    return lambda: fetchall(db, sql), [("c",), ("b",), ("a",)]


async def authorizer(db, body):
    async def authorize(action, *names):
        await body()
        return sqlite3.SQLITE_OK

    await db.set_authorizer(authorize)
    # It is asked when a statement is prepared, so each has to be another one.
    numbers = itertools.count()
    return lambda: fetchall(db, f"select 1 -- {next(numbers)}"), [(1,)]


async def progress(db, body):
    async def handler():
        await body()
        return 0

    await db.set_progress_handler(handler, 1)
    return lambda: fetchall(db, "select 1"), [(1,)]


async def trace(db, body):
    async def handler(sql):
        await body()

    await db.set_trace_callback(handler)
    return lambda: fetchall(db, "select 1"), [(1,)]


KINDS = [function, aggregate, window, collation, authorizer, progress, trace]

# What an exception in one of them makes the statement raise; None: it is ignored.
FAILURES = {
    function: (sqlite3.OperationalError, RAISED),
    aggregate: (
        sqlite3.OperationalError,
        "user-defined aggregate's 'step' method raised error",
    ),
    window: (
        sqlite3.OperationalError,
        "user-defined aggregate's 'step' method raised error",
    ),
    authorizer: (sqlite3.DatabaseError, "not authorized"),
    progress: (sqlite3.OperationalError, "interrupted"),
    trace: None,
}

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
failing_kind = pytest.mark.parametrize("kind", FAILURES, ids=lambda kind: kind.__name__)


@every_kind
async def test_coroutine_is_awaited_on_the_loop_of_the_task(db, kind):
    seen = set()

    async def body():
        await asyncio.sleep(0)
        seen.add((threading.get_ident(), asyncio.get_running_loop()))
        assert asyncio.current_task() is not awaiting

    awaiting = asyncio.current_task()
    call, expected = await kind(db, body)
    assert await call() == expected
    assert seen == {(threading.get_ident(), asyncio.get_running_loop())}


@every_kind
async def test_coroutine_sees_the_context_variables_of_the_task(db, kind):
    seen = []

    async def body():
        seen.append(variable.get())
        await asyncio.sleep(0)
        seen.append(variable.get())

    async def ask(name):
        variable.set(name)
        del seen[:]
        await call()
        return set(seen)

    call, _ = await kind(db, body)
    assert await asyncio.create_task(ask("first")) == {"first"}
    assert await asyncio.create_task(ask("second")) == {"second"}


@every_kind
async def test_loop_goes_on_while_the_worker_waits(db, kind):
    other = asyncio.Event()

    async def body():
        await other.wait()

    call, expected = await kind(db, body)
    async with csqlite.connect(":memory:") as another:
        task = asyncio.ensure_future(call())
        await asyncio.sleep(0)
        assert await scalar(another, "select 7") == 7
        assert not task.done()
        other.set()
        assert await task == expected


@failing_kind
async def test_exception_is_the_cause_of_what_the_statement_raises(db, kind):
    error = LookupError("inside")

    async def body():
        await asyncio.sleep(0)
        raise error

    call, expected = await kind(db, body)
    if FAILURES[kind] is None:
        assert await call() == expected
        return
    with pytest.raises(sqlite3.Error) as caught:
        await call()
    assert (type(caught.value), str(caught.value)) == FAILURES[kind]
    assert caught.value.__cause__ is error


async def test_exception_in_a_collation_is_raised_as_it_is(db):
    error = LookupError("inside")

    async def body():
        await asyncio.sleep(0)
        raise error

    call, _ = await collation(db, body)
    with pytest.raises(LookupError) as caught:
        await call()
    assert caught.value is error
    assert caught.value.__cause__ is None


@failing_kind
async def test_awaiting_its_own_connection_is_an_error(db, kind):
    causes = []

    async def body():
        try:
            await db.execute("select 1")
        except sqlite3.ProgrammingError as error:
            causes.append(error)
            raise

    call, expected = await kind(db, body)
    if FAILURES[kind] is None:
        assert await call() == expected
    else:
        with pytest.raises(sqlite3.Error) as caught:
            await call()
        assert (type(caught.value), str(caught.value)) == FAILURES[kind]
        assert caught.value.__cause__ is causes[0]
    assert str(causes[0]) == OWN


# -- what can be awaited ------------------------------------------------------------


class Awaitable:
    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return self.value


class AsyncCall:
    async def __call__(self, value):
        await asyncio.sleep(0)
        return value


async def give(value):
    await asyncio.sleep(0)
    return value


def plainly(value):
    return give(value)


@types.coroutine
def generator(value):
    yield from asyncio.sleep(0).__await__()
    return value


CALLABLES = {
    "coroutine function": give,
    "partial": functools.partial(give),
    "plain function": plainly,
    "asynchronous __call__": AsyncCall(),
    "object with __await__": Awaitable,
    "coroutine of a generator": generator,
    "method": types.MethodType(lambda self, value: give(value), object()),
}


@pytest.mark.parametrize("name", sorted(CALLABLES))
@pytest.mark.parametrize("value", [None, 7, 1.5, "naïve", b"\0x"], ids=ascii)
async def test_whatever_can_be_awaited_is(db, name, value):
    await db.create_function("f", 1, CALLABLES[name])
    assert await scalar(db, "select f(?)", (value,)) == value


async def test_future_and_task_are_awaited(db):
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    task = loop.create_task(give("of the task"))
    await db.create_function("future", 0, lambda: future)
    await db.create_function("task", 0, lambda: task)
    loop.call_later(0.01, future.set_result, "of the future")
    assert await fetchall(db, "select future(), task(), future()") == [
        ("of the future", "of the task", "of the future")
    ]


async def test_request_of_another_connection_is_awaited(db):
    async with csqlite.connect(":memory:") as other:
        await db.create_function("f", 1, lambda value: other.execute_insert("select ?", (value,)))
        await db.create_function("g", 1, lambda value: other.commit())
        assert await scalar(db, "select g(1)") is None
        # A row is no value of SQLite's.
        with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
            await db.execute("select f(1)")
    assert str(caught.value.__cause__) == (
        "User-defined functions cannot return 'tuple' values to SQLite"
    )


async def test_request_of_its_own_connection_is_refused(db):
    await db.create_function("f", 0, db.commit)
    with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
        await db.execute("select f()")
    assert (type(caught.value.__cause__), str(caught.value.__cause__)) == (
        sqlite3.ProgrammingError,
        OWN,
    )


@pytest.mark.parametrize("result", [object(), (1,), 2**63, "\ud800", give], ids=shown)
async def test_result_that_sqlite_cannot_hold_is_as_from_a_plain_function(db, result):
    async def f():
        return result

    await db.create_function("f", 0, lambda: result)
    plain = await outcome(fetchall(db, "select f()"))
    assert issubclass(plain[0], sqlite3.Error)
    await db.create_function("f", 0, f)
    assert await outcome(fetchall(db, "select f()")) == plain


async def test_what_cannot_be_awaited_is_no_result(db):
    async def asynchronous_generator():
        yield 1

    def plain_generator():
        yield 1

    for callable in (asynchronous_generator, plain_generator):
        await db.create_function("f", 0, callable)
        assert await outcome(fetchall(db, "select f()")) == (sqlite3.OperationalError, RAISED)


async def test_aggregate_that_is_made_by_a_coroutine_function(db):
    class Total:
        total = 0

        def step(self, number):
            self.total += number

        def finalize(self):
            return self.total

    async def make():
        await asyncio.sleep(0)
        return Total()

    await db.create_aggregate("f", 1, make)
    assert await scalar(db, "select f(column1) from (values (1), (2))") == 3


async def test_plain_and_coroutine_callbacks_in_one_statement(db):
    await db.create_function("plain", 1, lambda number: number + 1)
    await db.create_function("coroutine", 1, give)
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n limit 300)"
    rows = await db.execute_fetchall(f"{numbers} select plain(coroutine(plain(i))) from n")
    assert rows == [(number + 2,) for number in range(1, 301)]


async def test_authorizer_that_denies_and_handler_that_interrupts(db):
    async def deny(action, *names):
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK

    await db.set_authorizer(deny)
    assert await outcome(db.execute("pragma user_version")) == (
        sqlite3.DatabaseError,
        "not authorized",
    )
    await db.set_authorizer(None)
    await db.set_progress_handler(lambda: give(True), 1)
    assert await outcome(db.execute("select 1")) == (sqlite3.OperationalError, "interrupted")


async def test_trace_callback_is_done_before_the_statement_goes_on(db):
    seen = []

    async def note(sql):
        await asyncio.sleep(0)
        seen.append(sql)

    await db.create_function("seen", 0, lambda: len(seen))
    await db.set_trace_callback(note)
    assert await scalar(db, "select seen()") == 1


# -- the connection that waits ------------------------------------------------------

AWAITING = {
    "execute": lambda db, cursor: db.execute("select 1"),
    "execute_fetchall": lambda db, cursor: db.execute_fetchall("select 1"),
    "execute_insert": lambda db, cursor: db.execute_insert("insert into t values (1)"),
    "executemany": lambda db, cursor: db.executemany("insert into t values (?)", [(1,)]),
    "executescript": lambda db, cursor: db.executescript("select 1"),
    "commit": lambda db, cursor: db.commit(),
    "rollback": lambda db, cursor: db.rollback(),
    "create_function": lambda db, cursor: db.create_function("g", 0, int),
    "backup": lambda db, cursor: db.backup(csqlite.connect(":memory:")),
    "_execute": lambda db, cursor: db._execute(int),
    "close": lambda db, cursor: db.close(),
    "fetchall": lambda db, cursor: cursor.fetchall(),
    "cursor.close": lambda db, cursor: cursor.close(),
    "cursor.execute": lambda db, cursor: cursor.execute("select 1"),
}


@pytest.mark.parametrize("name", sorted(set(AWAITING) - {"backup"}))
async def test_whatever_crosses_to_the_worker_is_refused(db, name):
    async def f():
        await AWAITING[name](db, cursor)

    await db.execute("create table t (a)")
    await db.create_function("f", 0, f)
    # More rows than are fetched ahead.
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n limit 1000)"
    cursor = await db.execute(f"{numbers} select i from n")
    with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
        await db.execute("select f()")
    assert (type(caught.value.__cause__), str(caught.value.__cause__)) == (
        sqlite3.ProgrammingError,
        OWN,
    )
    # Nothing of it has happened, but that a closed cursor is closed.
    assert await scalar(db, "select count(*) from t") == 0
    if name == "cursor.close":
        with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
            await cursor.fetchone()
    else:
        assert len(await cursor.fetchall()) == 1000
    await db.execute("insert into t values (1)")
    await db.commit()


async def test_backup_of_its_own_connection_is_refused(db, path):
    async def f():
        async with csqlite.connect(path) as target:
            await db.backup(target)

    await db.create_function("f", 0, f)
    with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
        await db.execute("select f()")
    assert str(caught.value.__cause__) == OWN


async def test_what_does_not_cross_to_the_worker_is_not_refused(db):
    async def f():
        seen.append(await cursor.fetchone())
        async with db.cursor():
            pass
        seen.append(db.in_transaction)
        return db.total_changes

    seen = []
    cursor = await db.execute("select 1 union select 2")
    await db.create_function("f", 0, f)
    assert await scalar(db, "select f()") == 0
    assert seen == [(1,), False]
    assert await cursor.fetchone() == (2,)


async def indirectly_by_a_task(awaitable):
    await asyncio.ensure_future(awaitable)


async def indirectly_by_wait_for(awaitable):
    await asyncio.wait_for(awaitable, SECONDS)


async def indirectly_by_gather(awaitable):
    await asyncio.gather(asyncio.sleep(0), awaitable)


async def indirectly_by_shield(awaitable):
    await asyncio.shield(awaitable)


async def indirectly_by_wait(awaitable):
    (task,), _ = await asyncio.wait([asyncio.ensure_future(awaitable)])
    task.result()


async def indirectly_by_a_task_that_began_before(awaitable):
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    await task


async def indirectly_by_a_task_of_a_task(awaitable):
    async def inner():
        await asyncio.ensure_future(awaitable)

    await asyncio.ensure_future(inner())


async def indirectly_by_another_loop(awaitable):
    loop = asyncio.get_running_loop()

    async def inner():
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(awaited(), loop))

    async def awaited():
        return await awaitable

    await asyncio.to_thread(asyncio.run, inner())


INDIRECTLY = [value for name, value in sorted(globals().items()) if name.startswith("indirectly")]


@pytest.mark.parametrize("way", INDIRECTLY, ids=lambda way: way.__name__)
async def test_awaiting_its_own_connection_through_others_is_an_error(db, way):
    async def f():
        await way(db.execute("select 1"))

    await db.create_function("f", 0, f)
    with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
        await db.execute("select f()")
    assert (type(caught.value.__cause__), str(caught.value.__cause__)) == (
        sqlite3.ProgrammingError,
        OWN,
    )
    assert await scalar(db, "select 1") == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="task groups are new in Python 3.11")
async def test_awaiting_its_own_connection_in_a_task_group_is_an_error(db):
    async def f():
        async with asyncio.TaskGroup() as group:
            group.create_task(fetchall(db, "select 1"))

    await db.create_function("f", 0, f)
    with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
        await db.execute("select f()")
    assert [str(error) for error in caught.value.__cause__.exceptions] == [OWN]


async def test_awaiting_its_own_connection_through_that_of_another_is_an_error(db):
    async with csqlite.connect(":memory:") as other:
        await db.create_function("f", 0, lambda: scalar(other, "select g()"))
        await other.create_function("g", 0, lambda: scalar(db, "select 1"))
        with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
            await db.execute("select f()")
        inner = caught.value.__cause__
        assert (type(inner), str(inner)) == (sqlite3.OperationalError, RAISED)
        assert (type(inner.__cause__), str(inner.__cause__)) == (sqlite3.ProgrammingError, OWN)
        assert await scalar(other, "select 1") == 1
    assert await scalar(db, "select 1") == 1


async def test_callback_of_another_connection_may_be_awaited(db):
    async with csqlite.connect(":memory:") as other:
        await db.create_function("f", 1, lambda value: scalar(other, "select g(?)", (value,)))
        await other.create_function("g", 1, give)
        assert await scalar(db, "select f('deep')") == "deep"


async def test_task_that_outlives_its_callback_may_use_the_connection(db):
    tasks = []

    async def f():
        tasks.append(asyncio.ensure_future(scalar(db, "select 7")))
        return 1

    await db.create_function("f", 0, f)
    assert await fetchall(db, "select f(), f()") == [(1, 1)]
    assert await asyncio.gather(*tasks) == [7, 7]


async def test_task_in_an_empty_context_waits_for_its_turn(db):
    tasks = []

    async def f():
        context = contextvars.Context()
        tasks.append(context.run(asyncio.ensure_future, scalar(db, "select 7")))
        await asyncio.sleep(0.01)
        return 1

    await db.create_function("f", 0, f)
    assert await scalar(db, "select f()") == 1
    assert await tasks[0] == 7


async def test_other_tasks_wait_for_their_turn_meanwhile(db):
    release = asyncio.Event()
    await db.create_function("f", 0, release.wait)
    first = asyncio.ensure_future(scalar(db, "select f()"))
    second = asyncio.ensure_future(scalar(db, "select 7"))
    await asyncio.sleep(0.01)
    assert not first.done() and not second.done()
    release.set()
    assert (await first, await second) == (1, 7)


async def test_refused_close_leaves_the_connection_open_and_a_later_one_closes_it(path):
    async with csqlite.connect(path) as db:
        await db.create_function("f", 0, db.close)
        assert await outcome(db.execute("select f()")) == (sqlite3.OperationalError, RAISED)
        await db.execute("create table t (a)")
    await asyncio.to_thread(db._thread.join, SECONDS)
    assert not db._thread.is_alive()


async def test_close_while_a_callback_runs_waits_for_it(db):
    begun, release = asyncio.Event(), asyncio.Event()

    async def f():
        begun.set()
        await release.wait()
        return 7

    await db.create_function("f", 0, f)
    query = asyncio.ensure_future(db.execute_fetchall("select f()"))
    await begun.wait()
    closing = asyncio.ensure_future(db.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    release.set()
    assert await query == [(7,)]
    await closing


async def test_stop_in_a_callback_closes_the_connection_afterwards(path):
    async def f():
        stopped.append(db.stop())
        await asyncio.sleep(0)
        return 7

    stopped = []
    db = await csqlite.connect(path)
    await db.create_function("f", 0, f)
    assert await db.execute_fetchall("select f()") == [(7,)]
    await stopped[0]
    assert await outcome(db.execute("select 1")) == (ValueError, "no active connection")


# -- cancelling ---------------------------------------------------------------------


class Held:
    """A coroutine function that notes how far it has come, and waits to be cancelled."""

    def __init__(self):
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.error = None

    async def __call__(self, *arguments):
        self.begun.set()
        try:
            await asyncio.sleep(SECONDS)
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()


async def cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


STATEMENTS = {
    "execute": lambda db: db.execute("select f()"),
    "fetchall": lambda db: db.execute_fetchall("select f()"),
    "insert": lambda db: db.execute_insert("insert into t values (f())"),
    "many": lambda db: db.executemany("insert into t values (f() + ?)", [(1,), (2,)]),
    "script": lambda db: db.executescript("insert into t values (1); select f(); select f()"),
}


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_cancelling_the_query_cancels_the_coroutine(db, name):
    held = Held()
    await db.execute("create table t (a)")
    await db.create_function("f", 0, held)
    task = asyncio.ensure_future(STATEMENTS[name](db))
    await held.begun.wait()
    await cancelled(task)
    await held.ended.wait()
    assert type(held.error) is asyncio.CancelledError
    assert await scalar(db, "select count(*) from t") == (1 if name == "script" else 0)


async def test_timeout_cancels_the_coroutine(db):
    held = Held()
    await db.create_function("f", 0, held)
    for seconds in (0.01, 0.1, 1, SECONDS):  # Until it has begun by then.
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(db.execute("select f()"), seconds)
        if held.begun.is_set():
            break
    await held.ended.wait()
    assert await scalar(db, "select 1") == 1


async def test_statement_that_is_cancelled_is_undone_and_the_transaction_stays(db):
    held = Held()
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    await db.create_function("f", 0, held)
    task = asyncio.ensure_future(db.execute("update t set a = f()"))
    await held.begun.wait()
    await cancelled(task)
    assert await fetchall(db, "select a from t") == [(1,)]
    assert db.in_transaction


async def test_no_further_coroutine_begins_once_the_query_is_cancelled(db):
    held = Held()
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(1,), (2,), (3,)])
    await db.create_function("f", 0, held)
    calls = []
    await db.create_function("g", 0, lambda: calls.append(1) or give(1))
    task = asyncio.ensure_future(db.execute("update t set a = coalesce(f(), 0) + g()"))
    await held.begun.wait()
    await cancelled(task)
    assert await fetchall(db, "select a from t") == [(1,), (2,), (3,)]
    assert calls == []


async def test_coroutine_that_is_not_impressed_goes_on(db):
    begun, release = asyncio.Event(), asyncio.Event()

    async def stubborn():
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(SECONDS)
        await release.wait()
        return 7

    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    await db.create_function("f", 0, stubborn)
    task = asyncio.ensure_future(db.execute("update t set a = f()"))
    await begun.wait()
    await cancelled(task)
    release.set()
    # In a transaction, a write runs to its end.
    assert await fetchall(db, "select a from t") == [(7,)]


async def test_coroutine_that_cancels_itself_fails(db):
    async def f():
        raise asyncio.CancelledError("by itself")

    await db.create_function("f", 0, f)
    with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
        await db.execute("select f()")
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_cleaning_up_is_not_cancelled_a_second_time(db):
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def f():
        begun.set()
        try:
            await asyncio.sleep(SECONDS)
        finally:
            await asyncio.sleep(0.01)
            cleaned.set()

    await db.create_function("f", 0, f)
    task = asyncio.ensure_future(db.execute("select f()"))
    await begun.wait()
    await cancelled(task)
    await asyncio.wait_for(cleaned.wait(), SECONDS)


def test_asyncio_run_that_ends_lets_the_coroutine_clean_up():
    cleaned = []

    async def main():
        begun = asyncio.Event()

        async def f():
            begun.set()
            try:
                await asyncio.sleep(SECONDS)
            finally:
                await asyncio.sleep(0)
                cleaned.append(True)

        db = await csqlite.connect(":memory:")
        await db.create_function("f", 0, f)
        task = asyncio.ensure_future(db.execute("select f()"))
        await begun.wait()
        return db, task

    db, task = asyncio.run(main())
    assert task.cancelled()
    assert cleaned == [True]
    asyncio.run(db.close())


# -- loops --------------------------------------------------------------------------


def begin_in(loop, held_of):
    """Open a connection in `loop` and begin a statement that waits for a coroutine of it."""

    async def begin():
        held = held_of()
        db = await csqlite.connect(":memory:")
        await db.create_function("f", 0, held)
        request = db.execute("select f()")
        request.send(None)
        await held.begun.wait()
        return db, request

    return loop.run_until_complete(begin())


def quiet(loop):
    """Let `loop` say nothing of tasks that are pending when it is closed."""
    loop.set_exception_handler(lambda loop, context: None)
    return loop


def test_loop_that_is_closed_releases_the_worker():
    loop = quiet(asyncio.new_event_loop())
    db, request = begin_in(loop, Held)
    loop.close()

    async def use():
        assert await asyncio.wait_for(scalar(db, "select 'here'"), SECONDS) == "here"
        await db.close()

    asyncio.run(use())
    request.close()


def test_loop_that_stops_and_runs_again_goes_on_with_the_coroutine():
    loop = asyncio.new_event_loop()
    release = []

    class Later(Held):
        async def __call__(self):
            self.begun.set()
            while not release:
                await asyncio.sleep(0.001)
            return 7

    async def finish():
        release.append(True)
        # Queued behind the statement that waits.
        assert await asyncio.wait_for(scalar(db, "select 'behind'"), SECONDS) == "behind"
        await db.close()

    db, request = begin_in(loop, Later)
    loop.run_until_complete(finish())
    request.close()
    loop.close()


async def test_each_loop_of_many_threads_awaits_what_its_own_tasks_caused(path):
    count, calls = 4, 25

    async def where():
        await asyncio.sleep(0)
        return threading.get_ident()

    async def work():
        for _ in range(calls):
            assert await scalar(db, "select f()") == threading.get_ident()
        return threading.get_ident()

    async with csqlite.connect(path) as db:
        await db.create_function("f", 0, where)
        threads = await asyncio.gather(
            *[asyncio.to_thread(asyncio.run, work()) for _ in range(count)], work()
        )
    assert len(set(threads)) > 1


async def test_rows_that_another_task_fetches_are_its_own_business(db):
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n limit 300)"

    async def who():
        await asyncio.sleep(0)
        return variable.get()

    async def fetch():
        variable.set("second")
        return await cursor.fetchall()

    await db.create_function("who", 0, who)
    variable.set("first")
    cursor = await db.execute(f"{numbers} select who() from n")
    rows = await asyncio.create_task(fetch())
    assert len(rows) == 300
    assert (rows[0], rows[-1]) == (("first",), ("second",))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
async def test_eager_tasks(db):
    async def ends_at_once(value):
        return value

    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    await db.create_function("f", 1, give)
    await db.create_function("g", 1, ends_at_once)
    await db.create_function("h", 0, lambda: scalar(db, "select 1"))
    assert await fetchall(db, "select f(1), g(2)") == [(1, 2)]
    with pytest.raises(sqlite3.OperationalError) as caught:
        await db.execute("select h()")
    assert str(caught.value.__cause__) == OWN


def test_uvloop(path):
    uvloop = pytest.importorskip("uvloop")

    async def main():
        async with csqlite.connect(path) as db:
            held = Held()
            await db.create_function("f", 1, give)
            await db.create_function("held", 0, held)
            assert await scalar(db, "select f(7)") == 7
            task = asyncio.ensure_future(db.execute("select held()"))
            await held.begun.wait()
            await cancelled(task)
            await held.ended.wait()
            assert await scalar(db, "select f(8)") == 8

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), SECONDS))
    finally:
        loop.close()


def test_uvloop_that_is_closed_releases_the_worker():
    uvloop = pytest.importorskip("uvloop")
    loop = quiet(uvloop.new_event_loop())
    db, request = begin_in(loop, Held)
    loop.close()
    asyncio.run(asyncio.wait_for(db.close(), SECONDS))
    request.close()


# -- without a task that awaits the statement ---------------------------------------


async def test_synchronous_view_on_the_worker_uses_the_loop_of_the_task(db):
    async def f():
        await asyncio.sleep(0)
        return variable.get()

    def work(connection):
        connection.create_function("f", 0, f)
        return connection.execute("select f()").fetchone()

    variable.set("mine")
    assert await db._execute(work, db._conn) == ("mine",)


async def test_plain_callback_that_runs_a_statement_with_a_coroutine(db):
    def outer():
        return db._conn.execute("select low(1)").fetchone()[0]

    await db.create_function("low", 1, give)
    await db.create_function("high", 0, outer)
    assert await scalar(db, "select high()") == 1


async def test_cancelling_reaches_the_coroutine_of_a_nested_statement(db):
    held = Held()
    await db.create_function("low", 0, held)
    await db.create_function("high", 0, lambda: db._conn.execute("select low()").fetchone()[0])
    task = asyncio.ensure_future(db.execute("select high()"))
    await held.begun.wait()
    await cancelled(task)
    await held.ended.wait()
    assert type(held.error) is asyncio.CancelledError
    assert await scalar(db, "select 1") == 1


@pytest.mark.parametrize("where", ["the thread of the loop", "another thread"])
async def test_synchronous_view_elsewhere_is_an_error(where):
    async with csqlite.connect(":memory:", check_same_thread=False) as db:
        await db.create_function("f", 1, give)
        call = functools.partial(db._conn.execute, "select f(1)")
        with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
            if where == "another thread":
                await asyncio.to_thread(call)
            else:
                call()
        assert (type(caught.value.__cause__), str(caught.value.__cause__)) == (
            sqlite3.ProgrammingError,
            NO_LOOP,
        )
        assert await scalar(db, "select f(1)") == 1


async def test_synchronous_view_in_a_coroutine_callback_is_refused_at_once():
    async with csqlite.connect(":memory:", check_same_thread=False, timeout=SECONDS) as db:
        await db.create_function("f", 0, lambda: give_up(db))

        async def give_up(db):
            db._conn.execute("select 1")

        async with csqlite.connect(":memory:"):
            with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
                await asyncio.wait_for(db.execute("select f()"), SECONDS / 2)
        assert str(caught.value.__cause__) == OWN


async def test_what_nobody_awaits_has_no_loop(db):
    future = asyncio.get_running_loop().create_future()
    await db.create_function("f", 1, give)
    db._tx.put_nowait((future, lambda: db._conn.execute("select f(1)")))
    with pytest.raises(sqlite3.OperationalError, match=RAISED) as caught:
        await future
    assert str(caught.value.__cause__) == NO_LOOP


# -- the end of things --------------------------------------------------------------


async def test_nothing_is_kept_of_a_callback_that_has_ended(db):
    class Value:
        pass

    references = []

    async def f():
        value = Value()
        references.append(weakref.ref(value))
        variable.set(value)
        await asyncio.sleep(0)
        raise LookupError

    await db.create_function("f", 0, f)
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError):
            await db.execute("select f()")
    await asyncio.sleep(0)
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


PROGRAM = """
import asyncio, sys, threading
import csqlite

async def forever():
    begun.set()
    await asyncio.sleep(1000)

async def begin():
    db = await csqlite.connect({path!r})
    await db.execute("create table if not exists t (a)")
    await db.create_function("f", 0, forever)
    await db.execute("insert into t values (1)")
    await db.commit()
    request = db.execute({sql!r})
    request.send(None)
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if begun.is_set():
            break
    return db, request

begun = threading.Event()
loop = asyncio.new_event_loop()
{rest}
print("end", flush=True)
"""

ENDS = {
    "a loop that does not run any more": "kept = loop.run_until_complete(begin())",
    "a loop that is closed": "kept = loop.run_until_complete(begin()); loop.close()",
    "a loop of a daemon thread": (
        "kept = []; loop.create_task(begin()).add_done_callback(kept.append);"
        "threading.Thread(target=loop.run_forever, daemon=True).start(); begun.wait(20)"
    ),
    "sys.exit in the coroutine": (
        "forever = exits = None\n"
        "async def forever():\n"
        "    begun.set()\n"
        "    sys.exit(0)\n"
        "try:\n"
        "    loop.run_until_complete(begin())\n"
        "except SystemExit:\n"
        "    pass"
    ),
}


@pytest.mark.parametrize("sql", ["select f()", "insert into t values (f())"])
@pytest.mark.parametrize("end", sorted(ENDS))
def test_process_ends_while_a_worker_waits(path, tmp_path, sql, end):
    program = PROGRAM.format(path=str(path), sql=sql, rest=ENDS[end])
    done = run_program(program, tmp_path, options=("-W", "ignore"))
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    # asyncio itself may complain of the task that is left pending.
    assert not {"Traceback", "Fatal"} & set(done.stderr.split()), done.stderr
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select * from t").fetchall() == [(1,)]


# -- callbacks that await each other's connection -------------------------------------------

CIRCLE = "callback awaits its own"


@contextlib.asynccontextmanager
async def ring(count):
    """Open connections; the function `ask(n)` of each awaits the next one's, n times in all."""
    async with contextlib.AsyncExitStack() as stack:
        dbs = [await stack.enter_async_context(csqlite.connect(":memory:")) for _ in range(count)]

        def asking(following):
            async def ask(times):
                if times == 0:
                    return 0
                return 1 + await scalar(following, "select ask(?)", (times - 1,))

            return ask

        for place, db in enumerate(dbs):
            await db.create_function("ask", 1, asking(dbs[(place + 1) % count]))
        yield dbs


@pytest.mark.parametrize("count", [2, 3, 5])
async def test_callbacks_in_a_circle_are_noticed(count):
    async with ring(count) as dbs:
        for db in dbs:
            # As far as the last connection that is still free, and no further.
            assert await scalar(db, "select ask(?)", (count - 1,)) == count - 1
            with pytest.raises(sqlite3.OperationalError) as caught:
                await asyncio.wait_for(scalar(db, "select ask(?)", (count,)), SECONDS)
            cause = caught.value
            while cause.__cause__ is not None:
                cause = cause.__cause__
            assert isinstance(cause, sqlite3.ProgrammingError)
            assert "own connection" in str(cause) or CIRCLE in str(cause)
            assert await scalar(db, "select ask(0)") == 0


@pytest.mark.parametrize("count", [2, 3])
async def test_callbacks_that_begin_at_once_and_await_each_other_are_noticed(count):
    async with contextlib.AsyncExitStack() as stack:
        dbs = [await stack.enter_async_context(csqlite.connect(":memory:")) for _ in range(count)]
        begun = 0
        all_begun = asyncio.Event()

        def asking(following):
            async def ask():
                nonlocal begun
                begun += 1
                if begun == count:
                    all_begun.set()
                await all_begun.wait()
                return await scalar(following, "select 7")

            return ask

        for place, db in enumerate(dbs):
            await db.create_function("ask", 0, asking(dbs[(place + 1) % count]))
        answers = await asyncio.wait_for(
            asyncio.gather(*[scalar(db, "select ask()") for db in dbs], return_exceptions=True),
            SECONDS,
        )
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert len(refused) == 1 and CIRCLE in str(refused[0].__cause__)
        assert [answer for answer in answers if answer not in refused] == [7] * (count - 1)


async def test_connection_whose_callback_awaits_something_else_is_waited_for():
    async with csqlite.connect(":memory:") as first, csqlite.connect(":memory:") as second:
        go_on = asyncio.Event()
        begun = asyncio.Event()

        async def slow():
            begun.set()
            await go_on.wait()
            return 1

        async def ask():
            asyncio.get_running_loop().call_soon(go_on.set)
            return await scalar(second, "select 2")

        await second.create_function("slow", 0, slow)
        await first.create_function("ask", 0, ask)
        waiting = asyncio.ensure_future(scalar(second, "select slow()"))
        await begun.wait()
        assert await asyncio.wait_for(scalar(first, "select ask()"), SECONDS) == 2
        assert await waiting == 1


# What the statement does whose callback backs up.
BACKED_UP = {
    "a query": "select copy()",
    "a write": "insert into t select copy()",
    "a query in a transaction": "begin immediate; insert into t values (1); select copy()",
}


@pytest.mark.parametrize("statement", BACKED_UP)
@pytest.mark.parametrize("pages", [-1, 1])
@pytest.mark.parametrize("into", ["from its own", "into its own", "into its own, in a task"])
async def test_a_callback_cannot_back_up_what_waits_for_it(statement, pages, into):
    async with (
        csqlite.connect(":memory:", isolation_level=None) as db,
        csqlite.connect(":memory:") as other,
    ):
        await db.execute("create table t (a)")

        async def copy():
            if into == "from its own":
                await db.backup(other, pages=pages)
            elif into == "into its own":
                await other.backup(db, pages=pages)
            else:
                await asyncio.create_task(other.backup(db, pages=pages))

        await db.create_function("copy", 0, copy)
        *before, last = BACKED_UP[statement].split(";")
        for sql in before:
            await db.execute(sql)
        with pytest.raises(sqlite3.OperationalError) as caught:
            await asyncio.wait_for(db.execute_fetchall(last), SECONDS)
        assert isinstance(caught.value.__cause__, sqlite3.ProgrammingError)
        assert str(caught.value.__cause__) == OWN
        await db.rollback()
        await db.backup(other, pages=pages)
        assert await scalar(other, "select count(*) from t") == 0
