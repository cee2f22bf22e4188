"""The line of a cursor: many requests of one cursor under way at once, answered in order.

Whatever is asked at once has to be answered as if it had been asked one after the other, in the
order in which the tasks began. tests/cursor_model.py says what that is.
"""

import asyncio
import contextlib
import gc
import itertools
import random
import sqlite3
import threading
import time
import weakref

import pytest
from cursor_model import RECURSIVE, Result, State, possible
from doses import PATIENCE, dose
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import csqlite

SECONDS = 30 * PATIENCE
NUMBERS = "with recursive n(i) as (select 0 union all select i + 1 from n limit {}) select i from n"

results = st.builds(
    Result,
    tag=st.integers(0, 9),
    rows=st.sampled_from([0, 1, 2, 63, 64, 65, 127, 128, 129, 500, 3000]),
    width=st.integers(1, 3),
)
sizes = st.sampled_from([1, 2, 63, 64, 65, 200, 1000, 10000])


async def answer(awaitable):
    """Return what awaiting it comes to, in the model's words."""
    try:
        value = await awaitable
    except StopAsyncIteration:
        return "end"
    except sqlite3.ProgrammingError as error:
        return str(error)
    return "executed" if hasattr(value, "execute") else value


def shortened(value):
    """Return an answer as a message shows it."""
    if isinstance(value, list) and len(value) > 2:
        return f"{len(value)} rows, {value[0]} to {value[-1]}"
    return value


class CursorMachine(RuleBasedStateMachine):
    """Requests of one cursor, begun one after the other, answered whenever it suits."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.dawdling = False
        self.pending = []
        self.story = []
        self.states = {State()}
        self.db = self.run(self.connect())
        self.cursor = self.run(self.db.cursor())

    def run(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, SECONDS))

    async def connect(self):
        db = await csqlite.connect(":memory:")
        await db.execute("create table t (a)")
        return db

    def begin(self, operation, argument, make):
        async def run():
            return await answer(make())

        # Each task begins before the next one is made, so the order is that of the calls.
        async def start():
            task = asyncio.ensure_future(run())
            await asyncio.sleep(0)
            return task

        self.pending.append((operation, argument, self.run(start())))

    @initialize(pause=st.sampled_from(["none", "none", "gil", "long"]))
    def dawdle(self, pause):
        """Let the row factory take its time, and let other threads run meanwhile."""
        seconds = {"gil": 0, "long": 0.0005}.get(pause)
        self.dawdling = seconds is not None
        if self.dawdling:
            count = itertools.count()

            def factory(cursor, row):
                if next(count) % 50 == 0:
                    time.sleep(seconds)
                return row

            self.cursor.row_factory = factory

    @rule(result=results)
    def execute(self, result):
        self.begin("execute", result, lambda: self.cursor.execute(result.sql()))

    @rule(rows=st.integers(0, 300), lazily=st.booleans())
    def executemany(self, rows, lazily):
        values = ((number,) for number in range(rows)) if lazily else [(0,)] * rows
        sql = "insert into t values (?)"
        self.begin("executemany", None, lambda: self.cursor.executemany(sql, values))

    @rule()
    def executescript(self):
        script = "delete from t; select 1;"
        self.begin("executescript", None, lambda: self.cursor.executescript(script))

    @rule(count=st.integers(1, 4))
    def fetchone(self, count):
        for _ in range(count):
            self.begin("fetchone", None, self.cursor.fetchone)

    @rule()
    def anext(self):
        self.begin("anext", None, self.cursor.__anext__)

    @rule(size=sizes)
    def fetchmany(self, size):
        self.begin("fetchmany", size, lambda: self.cursor.fetchmany(size))

    @rule()
    def fetchall(self):
        self.begin("fetchall", None, self.cursor.fetchall)

    @rule(result=results)
    def raw_execute(self, result):
        raw = self.cursor._cursor
        self.begin(
            "raw execute", result, lambda: self.db._execute(lambda: raw.execute(result.sql()))
        )

    @rule()
    def raw_fetchone(self):
        raw = self.cursor._cursor
        self.begin("raw fetchone", None, lambda: self.db._execute(raw.fetchone))

    @rule(place=st.floats(0, 1, exclude_max=True))
    def cancel(self, place):
        if self.pending:
            operation, _, task = self.pending[int(place * len(self.pending))]
            if not operation.startswith("raw "):
                task.cancel()

    @rule()
    def turn(self):
        self.run(asyncio.sleep(0))

    @rule()
    def close(self):
        self.begin("close", None, self.cursor.close)
        self.settle()
        self.cursor = self.run(self.db.cursor())
        self.states = {State()}

    @rule()
    def settle(self):
        """Wait for all answers, and look whether the model can give them, in order."""
        for operation, argument, task in self.pending:
            with contextlib.suppress(asyncio.CancelledError):
                self.run(asyncio.wait([task]))
            found = "cancelled" if task.cancelled() else task.result()
            after = {
                state
                for before in self.states
                for state in possible(before, operation, argument, found, self.dawdling)
            }
            self.story.append((operation, argument, shortened(found), task.cancelled()))
            # What happens depends on threads, too: Hypothesis may not see it a second time.
            assert after, f"{self.states} before the last of {self.story}"
            self.states = after
        self.pending.clear()

    def teardown(self):
        self.settle()
        self.run(self.db.close())
        self.loop.close()


CursorMachine.TestCase.settings = settings(
    max_examples=dose(60, 3000),
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.generate],
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


class TestCursor(CursorMachine.TestCase):
    pass


# -- the order, said by hand -------------------------------------------------------


async def began(*awaitables):
    """Give tasks of the awaitables, begun in this order."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    await asyncio.sleep(0)
    return tasks


@pytest.fixture
def db():
    return csqlite.connect(":memory:", check_same_thread=False)


@pytest.mark.seconds(120)
async def test_rows_fetched_ahead_are_not_lost_between_large_fetches(db):
    for _ in range(dose(20, 400)):
        cursor = await db.execute(NUMBERS.format(30000))
        many, one, rest, none = await asyncio.gather(
            cursor.fetchmany(10000), cursor.fetchone(), cursor.fetchall(), cursor.fetchall()
        )
        assert [*many, one, *rest, *none] == [(number,) for number in range(30000)]


async def test_call_on_the_worker_comes_where_it_was_made(db):
    # The cursor has rows here, and yet the call on the worker is the first to get one.
    cursor = await db.execute(NUMBERS.format(200))
    first, second, third = await asyncio.gather(
        db._execute(cursor._cursor.fetchone), cursor.fetchone(), cursor.fetchmany(2)
    )
    assert (first, second, third) == ((0,), (1,), [(2,), (3,)])


async def test_call_on_the_worker_is_answered_though_the_cursor_is_closed_behind_it(db):
    def fetch(raw):
        return raw.fetchone()

    def execute(raw):
        return raw.execute("select 0").fetchone()

    for call in (fetch, execute):
        cursor = await db.execute(NUMBERS.format(200))
        task, closing = await began(db._execute(call, cursor._cursor), cursor.close())
        assert await task == (0,)
        await closing
        with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
            await db._execute(cursor._cursor.fetchone)


async def test_statement_on_the_worker_is_what_those_behind_it_read(db):
    cursor = await db.execute(NUMBERS.format(200))
    _, one, rest = await asyncio.gather(
        db._execute(cursor._cursor.execute, "select 'a', 'b' union all select 'c', 'd'"),
        cursor.fetchone(),
        cursor.fetchall(),
    )
    assert (one, rest) == (("a", "b"), [("c", "d")])
    assert len(cursor.description) == 2


@pytest.mark.parametrize("given_up", ["execute", "fetchone", "fetchmany", "fetchall"])
async def test_statement_behind_one_that_was_given_up_keeps_its_rows(db, given_up):
    # The worker has done both when the first is cancelled: what it left is undone, no more.
    for _ in range(20):
        cursor = await db.execute(NUMBERS.format(1000))
        arguments = {"execute": ("select 'x'",), "fetchmany": (300,)}.get(given_up, ())
        tasks = await began(
            getattr(cursor, given_up)(*arguments), cursor.execute(NUMBERS.format(500))
        )
        await db.execute_fetchall("select 1")  # Its answer comes behind theirs.
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert await cursor.fetchall() == [(number,) for number in range(500)]


async def test_fetch_behind_one_that_was_given_up_does_not_skip_its_rows(db):
    for turns in range(4):
        cursor = await db.execute(NUMBERS.format(5000))
        await cursor.fetchmany(64)
        tasks = await began(cursor.fetchone(), cursor.fetchmany(10))
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        following = [(65 + number,) for number in range(10)]
        if tasks[0].cancelled():
            # Or both had been answered by then.
            assert tasks[1].result() in ([], following)
            assert await cursor.fetchall() == []
        else:
            assert tasks[1].result() == following


async def test_call_right_behind_a_cancelled_execute_sees_none_of_its_rows(db):
    # In another thread: nobody there can know what the worker has come to.
    cursor = await db.execute(NUMBERS.format(100))
    for _ in range(50):
        task = asyncio.ensure_future(cursor.execute("select 1, 2, 3 from (values (1), (2), (3))"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        try:
            row = cursor._cursor.fetchone()
        except sqlite3.ProgrammingError as error:
            assert str(error) == RECURSIVE
        else:
            assert row is None or not task.cancelled()


async def test_task_is_cancelled_while_the_worker_takes_in_its_rows(db):
    cursor = await db.execute(NUMBERS.format(3000))
    home = threading.get_ident()
    begun, told = threading.Event(), threading.Event()

    def factory(cursor, row):
        if threading.get_ident() != home:
            begun.set()
            told.wait(SECONDS)
        return row

    cursor.row_factory = factory
    fetching, calling = await began(cursor.fetchall(), db._execute(cursor._cursor.fetchone))
    assert begun.wait(SECONDS)
    fetching.cancel()
    await asyncio.wait([fetching], timeout=1)
    ended = fetching.cancelled()
    told.set()
    await calling
    assert ended


async def test_request_lives_no_longer_than_its_place_in_the_line(db):
    class Factory:
        def __call__(self, cursor, row):
            return row

    factory = Factory()
    cursor = await db.execute(NUMBERS.format(3000))
    cursor.row_factory = factory
    tasks = await began(cursor.fetchall(), cursor.fetchone(), cursor.execute("select 1"))
    tasks[1].cancel()
    await asyncio.wait(tasks)
    await cursor.close()
    lost = weakref.ref(factory)
    del cursor, factory, tasks
    gc.collect()
    assert lost() is None


# -- two loops ---------------------------------------------------------------------


def in_two_loops(work):
    """Run `work(number)` on two loops, in two threads, and return what both come to."""
    found = [None, None]
    errors = []
    barrier = threading.Barrier(2, timeout=SECONDS)

    async def guarded(number):
        barrier.wait()
        return await asyncio.wait_for(work(number), SECONDS)

    def run(number):
        try:
            found[number] = asyncio.run(guarded(number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return found


@pytest.mark.parametrize("dawdling", [False, True])
def test_rows_that_two_loops_fetch_are_all_there_once_and_in_order(dawdling):
    rows = 3000

    def factory(cursor, row):
        if row[0] % 100 == 0:
            time.sleep(0)
        return row

    async def use(loop):
        db = await csqlite.connect(":memory:")
        for _ in range(dose(5, 100)):
            cursor = await db.execute(NUMBERS.format(rows))
            cursor.row_factory = factory if dawdling else None
            chosen = random.Random(loop)

            async def work(number, cursor=cursor, chosen=chosen):
                taken = []
                while True:
                    size = chosen.choice([1, 7, 64, 300])
                    parts = await asyncio.gather(
                        cursor.fetchmany(size), cursor.fetchone(), cursor.fetchmany(3)
                    )
                    found = [*parts[0], *([parts[1]] if parts[1] else []), *parts[2]]
                    taken += found
                    if not found:
                        return taken

            taken = await asyncio.to_thread(in_two_loops, work)
            assert all(part == sorted(part) for part in taken)
            assert sorted(taken[0] + taken[1]) == [(number,) for number in range(rows)]
        await db.close()

    asyncio.run(use(0))


@pytest.mark.parametrize("dawdling", [False, True])
def test_statements_of_two_loops_never_share_columns(dawdling):
    def factory(cursor, row):
        if dawdling and row[0] % 50 == 0:
            time.sleep(0)
        return row

    async def use():
        db = await csqlite.connect(":memory:")
        cursor = await db.cursor()
        cursor.row_factory = factory

        async def work(number):
            columns = ", ".join(["i", *["'x'"] * (1 + number)])
            for _ in range(dose(40, 1000)):
                answers = await asyncio.gather(
                    cursor.execute(f"select {columns} from (%s)" % NUMBERS.format(200)),
                    cursor.fetchone(),
                    cursor.fetchmany(100),
                    cursor.fetchall(),
                )
                for row in [answers[1] or (), *answers[2], *answers[3]]:
                    assert row == () or row[1:] in {("x",), ("x", "x")}, row

        await asyncio.to_thread(in_two_loops, work)
        await db.close()

    asyncio.run(use())


# -- requests that are closed ----------------------------------------------------------


@pytest.mark.parametrize("method", ["close", "throw", "send"])
@pytest.mark.parametrize("rows", [3, 5000])
async def test_request_cannot_be_closed_by_what_it_calls(db, method, rows):
    arguments = {"close": (), "throw": (KeyError("thrown"),), "send": (None,)}[method]
    refused = []

    def factory(cursor, row):
        if row[0] == 2:
            try:
                getattr(request, method)(*arguments)
            except ValueError as error:
                refused.append(str(error))
        return row

    cursor = await db.execute(NUMBERS.format(rows))
    cursor.row_factory = factory
    request = cursor.fetchall()
    assert len(await asyncio.wait_for(request, SECONDS)) == rows
    assert refused == ["coroutine already executing"]


@pytest.mark.parametrize("row", [0, 1500])
async def test_executemany_cannot_be_closed_by_its_iterator(db, row):
    def rows():
        for number in range(3000):
            if number == row:
                request.close()
            yield (number,)

    await db.execute("create table t (a)")
    request = db.executemany("insert into t values (?)", rows())
    with pytest.raises(ValueError, match="already executing"):
        await asyncio.wait_for(request, SECONDS)


@pytest.mark.parametrize("inside", [False, True])
async def test_task_whose_request_is_closed_does_not_wait_for_ever(db, inside):
    reached, go_on = threading.Event(), threading.Event()
    await db.create_function("wait", 0, lambda: reached.set() or go_on.wait(SECONDS))
    request = db.execute("select wait()")

    async def outer():
        return await request

    task = asyncio.ensure_future(outer() if inside else request)
    await asyncio.to_thread(reached.wait, SECONDS)
    request.close()
    go_on.set()
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await asyncio.wait_for(task, SECONDS)
    assert await db.execute_fetchall("select 1") == [(1,)]
