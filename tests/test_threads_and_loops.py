"""Loops, threads, tasks and interpreters that share what can be shared."""

import asyncio
import contextlib
import contextvars
import random
import sqlite3
import sys
import threading

import pytest
from parity.outcomes import fetchall, outcome, scalar
from processes import run_program, unexpected

import csqlite

SECONDS = 20
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


def in_threads(count, awaitable_of):
    """Run `awaitable_of(number)` in loops of `count` threads, all at once; give an awaitable."""
    barrier = threading.Barrier(count, timeout=SECONDS)

    async def run(number):
        barrier.wait()
        return await asyncio.wait_for(awaitable_of(number), SECONDS)

    return asyncio.gather(*[asyncio.to_thread(asyncio.run, run(number)) for number in range(count)])


# -- one connection, many loops ---------------------------------------------------


async def test_answers_to_many_loops_are_never_crossed(db):
    async def work(thread):
        for number in range(200):
            key = thread * 1000 + number
            rows, cursor, inserted = await asyncio.gather(
                db.execute_fetchall("select ?, ?", (key, str(key))),
                db.execute("select ? union all select ?", (key, key + 1)),
                db.execute_insert("insert into t values (?, ?)", (key, thread)),
            )
            assert rows == [(key, str(key))]
            assert await cursor.fetchall() == [(key,), (key + 1,)]
            assert await scalar(db, "select a from t where rowid = ?", inserted) == key
        return thread

    await db.execute("create table t (a, thread)")
    assert await in_threads(4, work) == list(range(4))
    assert await fetchall(db, "select thread, count(*) from t group by thread") == [
        (thread, 200) for thread in range(4)
    ]


async def test_large_results_to_many_loops_are_never_crossed(db):
    async def work(thread):
        for _ in range(3):
            rows = await db.execute_fetchall(
                f"select ?, i from ({NUMBERS.format(20000)})", (thread,)
            )
            assert rows == [(thread, i) for i in range(1, 20001)]
        return thread

    assert await in_threads(4, work) == list(range(4))


async def test_slices_from_many_loops_are_never_crossed(db):
    async def work(thread):
        for _ in range(3):
            await db.executemany(
                "insert into t values (?, ?)", ((thread, number) for number in range(10000))
            )

    await db.execute("create table t (thread, number)")
    await in_threads(4, work)
    assert await fetchall(
        db, "select thread, count(*), count(distinct number), sum(number) from t group by thread"
    ) == [(thread, 30000, 10000, 3 * sum(range(10000))) for thread in range(4)]


async def test_iterations_in_many_loops_of_many_cursors(db):
    async def work(thread):
        seen = []
        async with db.execute(f"select ? + i from ({NUMBERS.format(3000)})", (thread,)) as cursor:
            async for (number,) in cursor:
                seen.append(number)
        return seen

    assert await in_threads(4, work) == [
        list(range(thread + 1, thread + 3001)) for thread in range(4)
    ]


async def test_errors_go_to_the_loop_that_made_them(db):
    async def work(thread):
        for number in range(100):
            found = await outcome(db.execute(f"select * from missing_{thread}_{number}"))
            assert found == (sqlite3.OperationalError, f"no such table: missing_{thread}_{number}")
        return thread

    assert await in_threads(4, work) == list(range(4))


async def test_order_within_each_thread_is_kept(db):
    seen = []
    await db.create_function("note", 2, lambda thread, number: seen.append((thread, number)))

    async def work(thread):
        await asyncio.gather(*[db.execute("select note(?, ?)", (thread, n)) for n in range(100)])

    await in_threads(4, work)
    for thread in range(4):
        assert [n for t, n in seen if t == thread] == list(range(100))


async def test_cancellations_in_one_loop_do_not_reach_another(db):
    stop = threading.Event()

    async def work(thread):
        if thread == 0:
            for _ in range(100):
                task = asyncio.ensure_future(db.execute_fetchall(NUMBERS.format(100000)))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            stop.set()
            return
        count = 0
        while not stop.is_set() or count == 0:
            rows = await db.execute_fetchall(NUMBERS.format(300))
            assert rows == [(i,) for i in range(1, 301)]
            count += 1

    await in_threads(3, work)


async def test_one_thread_closes_while_others_work(tmp_path):
    for round_number in range(5):
        db = await csqlite.connect(tmp_path / f"{round_number}.db", isolation_level=None)
        await db.execute("create table t (a)")
        working = threading.Barrier(4, timeout=SECONDS)

        async def work(thread, db=db, working=working):
            if thread == 0:
                working.wait()
                await db.close()
                return 0
            done = 0
            try:
                while True:
                    await db.execute("insert into t values (?)", (thread,))
                    done += 1
                    if done == 10:
                        working.wait()
            except (ValueError, sqlite3.ProgrammingError):
                return done

        counts = await in_threads(4, work)
        async with csqlite.connect(tmp_path / f"{round_number}.db") as db:
            assert await scalar(db, "select count(*) from t") == sum(counts)


async def test_run_coroutine_threadsafe(db):
    loop = asyncio.get_running_loop()

    async def query(number):
        return await scalar(db, "select ?", (number,))

    def work():
        futures = [asyncio.run_coroutine_threadsafe(query(n), loop) for n in range(50)]
        return [future.result(SECONDS) for future in futures]

    assert await asyncio.to_thread(work) == list(range(50))


# -- many connections -------------------------------------------------------------


async def test_many_connections_in_many_loops(tmp_path):
    async def use(thread, number):
        async with csqlite.connect(tmp_path / f"{thread}.db", timeout=SECONDS) as db:
            await db.execute("insert into t values (?)", (number,))
            await db.commit()
            return await scalar(db, "select ?", (number,))

    async def work(thread):
        async with csqlite.connect(tmp_path / f"{thread}.db") as db:
            await db.execute("create table t (a)")
        assert await asyncio.gather(*[use(thread, n) for n in range(8)]) == list(range(8))
        async with csqlite.connect(tmp_path / f"{thread}.db") as db:
            return await scalar(db, "select sum(a) from t")

    assert await in_threads(4, work) == [28] * 4


async def test_hundred_connections_at_once(path):
    async with contextlib.AsyncExitStack() as stack:
        dbs = [await stack.enter_async_context(csqlite.connect(":memory:")) for _ in range(100)]
        results = await asyncio.gather(*[scalar(db, "select ?", (n,)) for n, db in enumerate(dbs)])
        assert results == list(range(100))


# -- cursors shared by tasks ------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 64])
@pytest.mark.parametrize("method", ["fetchone", "fetchmany", "anext", "mixed"])
async def test_tasks_share_the_rows_of_a_cursor_each_once(chunk, method):
    async with csqlite.connect(":memory:", iter_chunk_size=chunk) as db:
        cursor = await db.execute(NUMBERS.format(2000))
        chance = random.Random(3)

        async def fetch():
            kind = (
                chance.choice(["fetchone", "fetchmany", "anext"]) if method == "mixed" else method
            )
            if kind == "fetchone":
                row = await cursor.fetchone()
                return [] if row is None else [row]
            if kind == "fetchmany":
                return await cursor.fetchmany(chance.randrange(1, 100))
            try:
                return [await cursor.__aiter__().__anext__()]
            except StopAsyncIteration:
                return []

        async def read():
            seen = []
            while True:
                rows = await fetch()
                if not rows:
                    return seen
                seen += rows
                if chance.random() < 0.1:
                    await asyncio.sleep(0)

        parts = await asyncio.gather(*[read() for _ in range(8)])
        assert sorted(row for part in parts for row in part) == [(n,) for n in range(1, 2001)]
        assert all(part == sorted(part) for part in parts)


async def test_large_fetches_of_one_cursor_at_once_share_its_rows(db):
    cursor = await db.execute(NUMBERS.format(30000))
    parts = await asyncio.gather(
        cursor.fetchmany(10000), cursor.fetchone(), cursor.fetchall(), cursor.fetchall()
    )
    assert parts[0] == [(n,) for n in range(1, 10001)]
    assert parts[1] == (10001,)
    assert parts[2] == [(n,) for n in range(10002, 30001)]
    assert parts[3] == []


async def test_execute_on_a_cursor_that_other_tasks_still_read(db):
    cursor = await db.execute(NUMBERS.format(30000))
    before, _, after = await asyncio.gather(
        cursor.fetchall(), cursor.execute("select 'new'"), cursor.fetchall()
    )
    assert before == [(n,) for n in range(1, 30001)]
    assert after == [("new",)]


async def test_closing_a_cursor_that_other_tasks_still_read(db):
    cursor = await db.execute(NUMBERS.format(30000))
    fetched, closed, late = await asyncio.gather(
        cursor.fetchall(), cursor.close(), outcome(cursor.fetchall())
    )
    assert fetched == [(n,) for n in range(1, 30001)]
    assert closed is None
    assert late == (sqlite3.ProgrammingError, "Cannot operate on a closed cursor.")


# -- factories that call back -----------------------------------------------------


async def factory_outcome(db, factory, count=300):
    """Return what fetching gives when every row goes through `factory`."""
    cursor = await db.execute(NUMBERS.format(count))
    cursor.row_factory = factory(db, cursor)
    found = await outcome(asyncio.wait_for(cursor.fetchall(), SECONDS))
    assert await scalar(db, "select 'here'") == "here"
    return found


def poll(request):
    """Begin a request in the middle of something, and give it up."""
    try:
        request.send(None)
    except StopIteration:
        pass
    finally:
        request.close()


REENTERING = {
    "fetchone": lambda db, cursor: lambda c, row: (poll(cursor.fetchone()), row)[1],
    "fetchall": lambda db, cursor: lambda c, row: (poll(cursor.fetchall()), row)[1],
    "fetchmany": lambda db, cursor: lambda c, row: (poll(cursor.fetchmany(3)), row)[1],
    "execute": lambda db, cursor: lambda c, row: (poll(cursor.execute("select 1")), row)[1],
    "close": lambda db, cursor: lambda c, row: (poll(cursor.close()), row)[1],
    "other cursor": lambda db, cursor: lambda c, row: (poll(db.execute("select 1")), row)[1],
    "factory's cursor": lambda db, cursor: lambda c, row: (c.execute("select 1"), row)[1],
}


@pytest.mark.parametrize("case", sorted(REENTERING))
async def test_row_factory_that_uses_its_cursor_neither_crashes_nor_hangs(db, case):
    found = await factory_outcome(db, REENTERING[case])
    rows = [(n,) for n in range(1, 301)]
    if isinstance(found, tuple):
        assert issubclass(found[0], sqlite3.ProgrammingError)
    elif case == "other cursor":
        assert found == rows
    else:
        # What the inner calls took or ended is missing; nothing else is, and nothing is twice.
        assert found == [row for row in rows if row in set(found)]


async def test_row_factory_that_changes_the_factory_of_its_cursor(db):
    def factory(db, cursor):
        def make(c, row):
            if row[0] == 100:
                cursor.row_factory = None
            return row[0]

        return make

    found = await factory_outcome(db, factory)
    assert [row if isinstance(row, int) else row[0] for row in found] == list(range(1, 301))


async def test_row_factory_that_starts_tasks_on_its_connection(db):
    tasks = []

    def factory(db, cursor):
        def make(c, row):
            tasks.append(asyncio.ensure_future(scalar(db, "select ?", row)))
            return row

        return make

    assert await factory_outcome(db, factory) == [(n,) for n in range(1, 301)]
    assert await asyncio.gather(*tasks) == list(range(1, 301))


async def test_row_factory_that_raises_in_the_middle_of_a_large_fetch(db):
    def factory(db, cursor):
        def make(c, row):
            if row[0] == 15000:
                raise LookupError("row 15000")
            return row

        return make

    assert await factory_outcome(db, factory, 30000) == (LookupError, "row 15000")


async def test_row_factory_that_drops_the_last_reference_to_everything():
    async def use():
        holder = [await csqlite.connect(":memory:")]
        thread = holder[0]._thread
        cursor = await holder[0].execute(NUMBERS.format(300))

        def make(c, row):
            holder.clear()
            return row

        cursor.row_factory = make
        request = cursor.fetchall()
        del cursor
        assert await request == [(n,) for n in range(1, 301)]
        return thread

    with pytest.warns(ResourceWarning):
        thread = await use()
    await asyncio.to_thread(thread.join, SECONDS)
    assert not thread.is_alive()


async def test_text_factory_that_uses_its_cursor(db):
    cursor = await db.execute(f"select 'é' || i from ({NUMBERS.format(300)})")

    def make(text):
        poll(cursor.fetchone())
        return text.decode()

    db.text_factory = make
    found = await outcome(asyncio.wait_for(cursor.fetchall(), SECONDS))
    if isinstance(found, tuple):
        assert issubclass(found[0], sqlite3.ProgrammingError)
    else:
        rows = [(f"é{n}",) for n in range(1, 301)]
        assert found == [row for row in rows if row in set(found)]
    db.text_factory = str
    assert await scalar(db, "select 'here'") == "here"


async def test_function_that_uses_its_connection_from_another_loop_is_answered_afterwards(db):
    # It cannot wait for its own worker, but it may queue work there.
    tasks = []
    loop = asyncio.get_running_loop()

    def later():
        tasks.append(asyncio.run_coroutine_threadsafe(scalar(db, "select 7"), loop))
        return 1

    await db.create_function("later", 0, later)
    assert await scalar(db, "select later()") == 1
    assert await asyncio.wrap_future(tasks[0]) == 7


async def test_function_sees_the_context_of_the_task_that_awaits(db):
    variable = contextvars.ContextVar("variable", default="nobody")
    await db.create_function("who", 0, variable.get)

    async def ask(name):
        variable.set(name)
        direct = await scalar(db, "select who()")
        await asyncio.sleep(0)
        return direct, await db.execute_fetchall("select who()")

    names = [f"task {n}" for n in range(10)]
    assert await asyncio.gather(*[ask(name) for name in names]) == [
        (name, [(name,)]) for name in names
    ]


# -- kinds of loops ---------------------------------------------------------------


async def everything(path):
    """A little of all: large and small, both ways, cancelled and not."""
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        await db.executemany("insert into t values (?)", ((n,) for n in range(50000)))
        await db.commit()
        rows = await db.execute_fetchall("select a from t")
        assert rows == [(n,) for n in range(50000)]
        async with db.execute("select a from t where a < 500") as cursor:
            assert [row async for row in cursor] == [(n,) for n in range(500)]
        async with db.execute("select a from t where a < 500") as cursor:
            assert await cursor.fetchone() == (0,)
            assert await cursor.fetchmany(400) == [(n,) for n in range(1, 401)]
            assert len(await cursor.fetchall()) == 99
        assert await asyncio.gather(*[scalar(db, "select ?", (n,)) for n in range(100)]) == list(
            range(100)
        )
        assert (await outcome(db.execute("nonsense")))[0] is sqlite3.OperationalError
        started = threading.Event()
        await db.create_function("started", 0, lambda: started.set() or 0)
        task = asyncio.ensure_future(
            db.execute(
                "with recursive n(i) as (select started() union all select i + 1 from n) "
                "select count(*) from n"
            )
        )
        assert await asyncio.to_thread(started.wait, SECONDS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.ensure_future(scalar(db, "select 'here'"))
        return await asyncio.wait_for(task, SECONDS)


def test_asyncios_loop_in_debug_mode(path, caplog):
    assert asyncio.run(everything(path), debug=True) == "here"
    assert [r.getMessage() for r in caplog.records if "never" in r.getMessage()] == []


def test_debug_mode_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    program = """
import asyncio, csqlite
async def main():
    async with csqlite.connect(":memory:") as db:
        async with db.execute("select 1") as cursor:
            print(await cursor.fetchall())
asyncio.run(main())
"""
    done = run_program(program, tmp_path, options=("-X", "dev"))
    assert (done.returncode, done.stdout, unexpected(done.stderr)) == (0, "[(1,)]\n", [])


def uvloops():
    return pytest.importorskip("uvloop", reason="uvloop is not installed")


def test_uvloop(path):
    loop = uvloops().new_event_loop()
    try:
        assert loop.run_until_complete(everything(path)) == "here"
    finally:
        loop.close()


def test_uvloop_in_debug_mode(path):
    loop = uvloops().new_event_loop()
    loop.set_debug(True)
    try:
        assert loop.run_until_complete(everything(path)) == "here"
    finally:
        loop.close()


def test_uvloop_closed_with_jobs_in_flight():
    uvloop = uvloops()

    async def send():
        db = await csqlite.connect(":memory:")
        for request in [db.execute_fetchall(NUMBERS.format(100000)), db.commit()]:
            request.send(None)
        return db

    async def use(db):
        assert await asyncio.wait_for(scalar(db, "select 'here'"), SECONDS) == "here"
        await db.close()

    for make in (uvloop.new_event_loop, asyncio.new_event_loop):
        loop = uvloop.new_event_loop()
        db = loop.run_until_complete(send())
        loop.close()
        loop = make()
        loop.run_until_complete(use(db))
        loop.close()


async def test_uvloop_and_asyncio_share_a_connection(db):
    uvloop = uvloops()

    async def work():
        return [await scalar(db, "select ?", (n,)) for n in range(200)]

    def run():
        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(work())
        finally:
            loop.close()

    assert await asyncio.gather(asyncio.to_thread(run), work()) == [list(range(200))] * 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_eager_tasks(path):
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        async with csqlite.connect(":memory:") as db:
            # A request is no coroutine of its own making, so it may be an eager task itself.
            assert await asyncio.create_task(db.execute_fetchall("select 1")) == [(1,)]
            cursor = await asyncio.create_task(db.execute(NUMBERS.format(10)))
            task = asyncio.create_task(cursor.fetchone())
            assert task.done()  # The row was here already.
            assert task.result() == (1,)
            assert await asyncio.gather(*[scalar(db, "select ?", (n,)) for n in range(50)]) == list(
                range(50)
            )
        return await everything(path)

    assert asyncio.run(main()) == "here"


async def test_loop_that_counts_its_readers_is_left_as_it_was():
    loop = asyncio.get_running_loop()
    if not hasattr(loop, "_selector"):
        pytest.skip("not a selector loop")
    async with csqlite.connect(":memory:") as db:
        await db.execute("select 1")
        once = len(loop._selector.get_map())
    for _ in range(20):
        async with csqlite.connect(":memory:") as db:
            await db.execute("select 1")
    assert len(loop._selector.get_map()) == once


# -- interpreters -----------------------------------------------------------------

SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

def run(code):
    for _ in range(3):
        interpreter = interpreters.create()
        failure = getattr(interpreters, "exec", interpreters.run_string)(interpreter, code)
        assert failure is None, failure
        interpreters.destroy(interpreter)
"""

# What csqlite needs of the standard library; with Python 3.12.1 this alone crashes.
WITHOUT = """
run('''
import asyncio, sqlite3
async def main(): pass
asyncio.run(main())
''')
import asyncio, sqlite3
"""

WITH = """
run('''
try:
    import csqlite
except ImportError as error:
    print("refused", flush=True)
else:
    import asyncio
    async def main():
        async with csqlite.connect(":memory:") as db:
            await db.create_function("twice", 1, lambda n: 2 * n)
            async with db.execute("select twice(21)") as cursor:
                print(await cursor.fetchone(), flush=True)
    asyncio.run(main())
''')
"""


def has_subinterpreters():
    for name in ("_interpreters", "_xxsubinterpreters"):
        with contextlib.suppress(ImportError):
            return __import__(name) is not None
    return False


@pytest.mark.skipif(not has_subinterpreters(), reason="this Python has no sub-interpreters")
@pytest.mark.parametrize("also", ["", "import csqlite", "use()"])
def test_subinterpreter_works_or_refuses_the_import(tmp_path, also):
    if run_program(SUBINTERPRETER + WITHOUT, tmp_path).returncode != 0:
        pytest.skip("asyncio and sqlite3 alone do not survive a sub-interpreter here")
    program = f"""{SUBINTERPRETER}
def use():
    import asyncio, csqlite
    async def main():
        async with csqlite.connect(":memory:") as db:
            await db.execute("select 1")
    asyncio.run(main())

{also}
{WITH}
use()
{also}
"""
    done = run_program(program, tmp_path)
    assert (done.returncode, unexpected(done.stderr)) == (0, [])
    assert done.stdout in ("(42,)\n" * 3, "refused\n" * 3)
