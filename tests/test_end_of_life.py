"""Ends: of the interpreter, of a loop, of a process's child, of an object."""

import asyncio
import contextlib
import gc
import itertools
import os
import sqlite3
import sys
import threading
import time
import warnings
import weakref

import pytest
from parity.outcomes import fetchall, outcome, scalar
from processes import comes_to, descriptors, least, run_program, threads, unexpected

import csqlite

SECONDS = 20

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts through /proc")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"

# What the programs below have in common.
PRELUDE = """
import asyncio, os, sys, threading
import csqlite

ENDLESS = '''
    with recursive n(i) as (select started() union all select i + 1 from n) select count(*) from n
'''

async def open_table(**options):
    db = await csqlite.connect("test.db", isolation_level=None, **options)
    await db.execute("create table if not exists t (a)")
    return db

async def start_endless(db):
    started = threading.Event()
    await db.create_function("started", 0, lambda: started.set() or 0)
    request = db.execute_fetchall(ENDLESS)
    request.send(None)
    assert started.wait(20)
    return request
"""


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


def run(program, directory, **options):
    return run_program(PRELUDE + program, directory, **options)


def ends_well(program, directory, code=0, **options):
    """Run a program that must end with this code and say nothing but ResourceWarnings."""
    done = run(program, directory, **options)
    assert (done.returncode, unexpected(done.stderr)) == (code, [])
    return done


def stored(directory):
    """Return what the table holds that a program has left behind."""
    connection = sqlite3.connect(str(directory / "test.db"))
    try:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in connection.execute("select a from t order by rowid")]
    finally:
        connection.close()


async def finished(thread):
    await asyncio.to_thread(thread.join, SECONDS)
    return not thread.is_alive()


# -- the interpreter --------------------------------------------------------------

LEFT_OPEN = {
    "global": """
        db = asyncio.run(open_table())
    """,
    "local": """
        async def main():
            db = await open_table()
            await db.execute("insert into t values (1)")
        asyncio.run(main())
    """,
    "loop still open": """
        loop = asyncio.new_event_loop()
        db = loop.run_until_complete(open_table())
        loop.run_until_complete(db.execute("insert into t values (1)"))
        loop.close()
    """,
    "half-read cursor": """
        async def main():
            global db, cursor
            db = await open_table()
            cursor = await db.execute("values (1), (2), (3)")
            assert await cursor.fetchone() == (1,)
        asyncio.run(main())
    """,
    "open transaction": """
        async def main():
            global db
            db = await open_table()
            await db.execute("begin")
            await db.execute("insert into t values (1)")
        asyncio.run(main())
    """,
    "fifty connections": """
        async def main():
            global dbs
            dbs = [await open_table() for _ in range(50)]
        asyncio.run(main())
    """,
    "never awaited": """
        db = csqlite.connect("test.db")
    """,
    "in a cycle": """
        async def main():
            db = await open_table()
            db.row_factory = lambda cursor, row: (db, row)
            await db.create_function("f", 0, lambda: db is None)
            await db.set_trace_callback(lambda sql: db)
        asyncio.run(main())
    """,
    "opened in another thread": """
        def work():
            global db
            db = asyncio.run(open_table())
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    """,
    "foreign": """
        import sqlite3
        async def main():
            global db
            db = await csqlite.connect("test.db", factory=sqlite3.Connection)
            await db.execute("create table t (a)")
            other = csqlite.Connection(lambda: sqlite3.connect("test.db"), 64)
            globals()["other"] = await other
            await other.execute("insert into t values (1)")
        asyncio.run(main())
    """,
    "in a module that lives on": """
        sys.db = asyncio.run(open_table())
    """,
    "stopped without a loop": """
        db = asyncio.run(open_table())
        assert db.stop() is None
    """,
}


@pytest.mark.parametrize("case", sorted(LEFT_OPEN))
def test_exit_with_an_open_connection(tmp_path, case):
    ends_well(dedent(LEFT_OPEN[case]), tmp_path)


def dedent(program):
    """Take off the indentation that the programs have in this file."""
    lines = program.strip("\n").split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n" + "\n".join(line[indent:] for line in lines) + "\n"


def test_exit_says_nothing_at_all_when_warnings_are_off(tmp_path):
    program = dedent(LEFT_OPEN["global"] + LEFT_OPEN["half-read cursor"])
    done = ends_well(program, tmp_path, options=("-W", "ignore"))
    assert (done.stdout, done.stderr) == ("", "")


def test_exit_after_closing_is_silent_even_where_warnings_are_errors(tmp_path):
    program = """
async def main():
    async with csqlite.connect("test.db") as db:
        await db.execute("create table t (a)")
        async with db.execute("select a from t") as cursor:
            assert [row async for row in cursor] == []
        await db.commit()
asyncio.run(main())
"""
    done = run(program, tmp_path, options=("-W", "error", "-X", "dev"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_forgotten_connection_warns_of_itself(tmp_path):
    program = """
async def main():
    db = await open_table()
asyncio.run(main())
"""
    done = ends_well(program, tmp_path)
    assert done.stderr.count("ResourceWarning") == 1
    assert "was deleted before being closed" in done.stderr


@pytest.mark.parametrize("busy", [False, True])
def test_writes_that_are_queued_at_the_exit_are_committed(tmp_path, busy):
    program = f"""
import time
async def main():
    db = await open_table()
    await db.create_function("dawdle", 0, lambda: time.sleep(0.2))
    requests = [db.execute("select dawdle()")] if {busy} else []
    requests += [db.execute("insert into t values (?)", (n,)) for n in range(500)]
    requests += [db.executemany("insert into t values (?)", [(n,) for n in range(500, 600)])]
    requests += [db.executescript("insert into t values (600); insert into t values (601)")]
    requests += [db.execute("begin"), db.execute("insert into t values (602)"), db.commit()]
    for request in requests:
        request.send(None)
    return db, requests
kept = asyncio.run(main())
"""
    ends_well(program, tmp_path)
    assert stored(tmp_path) == list(range(603))


def test_transaction_that_is_open_at_the_exit_is_rolled_back(tmp_path):
    program = """
async def main():
    db = await open_table()
    await db.execute("insert into t values (1)")
    await db.execute("begin")
    request = db.execute("insert into t values (2)")
    await db.create_function("unused", 0, int)  # Else the answer might be waited for.
    request.send(None)
    return db, request
kept = asyncio.run(main())
"""
    ends_well(program, tmp_path)
    assert stored(tmp_path) == [1]


def test_read_that_runs_at_the_exit_ends(tmp_path):
    program = """
async def main():
    db = await open_table()
    request = await start_endless(db)
    db.execute("insert into t values (1)").send(None)
    return db, request
kept = asyncio.run(main())
"""
    ends_well(program, tmp_path)
    assert stored(tmp_path) == [1]


def test_result_that_nobody_takes_at_the_exit_does_not_hold_it_up(tmp_path):
    program = """
async def main():
    db = await open_table()
    begun = threading.Event()
    await db.create_function("begun", 0, begun.set)
    request = db.execute_fetchall('''
        with recursive n(i) as (select 1 union all select i + 1 from n)
        select zeroblob(100000), case when i = 20 then begun() end from n
    ''')
    request.send(None)
    assert begun.wait(20)
    return db, request
kept = asyncio.run(main())
"""
    ends_well(program, tmp_path)


def test_read_that_waits_for_a_lock_at_the_exit_does_not_hold_it_up(tmp_path):
    program = """
async def main():
    holder = await open_table()
    db = await open_table(timeout=3600)
    await holder.execute("begin exclusive")
    traced = threading.Event()
    await db.set_trace_callback(lambda sql: traced.set())
    request = db.execute_fetchall("select a from t")
    request.send(None)
    assert traced.wait(20)
    return holder, db, request
kept = asyncio.run(main())
"""
    ends_well(program, tmp_path)


def test_executemany_whose_rows_stop_coming_at_the_exit_is_undone(tmp_path):
    program = """
async def main():
    db = await csqlite.connect("test.db")
    await db.execute("create table t (a)")
    await db.commit()
    reached = asyncio.Event()
    def rows():
        for number in range(10**9):
            if number == 5000:
                reached.set()
            yield (number,)
    request = db.executemany("insert into t values (?)", rows())
    request.send(None)
    await reached.wait()
    return db, request
kept = asyncio.run(main())
"""
    ends_well(program, tmp_path)
    assert stored(tmp_path) == []


def test_function_that_runs_at_the_exit_finishes(tmp_path):
    program = """
import time
async def main():
    db = await open_table()
    started = threading.Event()
    def work():
        started.set()
        time.sleep(0.3)
        return 7
    await db.create_function("work", 0, work)
    request = db.execute("insert into t values (work())")
    request.send(None)
    assert started.wait(20)
    return db, request
kept = asyncio.run(main())
"""
    ends_well(program, tmp_path)
    assert stored(tmp_path) == [7]


@pytest.mark.parametrize("state", ["idle", "busy", "fetching"])
def test_sys_exit_in_a_task(tmp_path, state):
    program = f"""
async def main():
    db = await open_table()
    await db.execute("insert into t values (1)")
    if {state!r} == "busy":
        started = threading.Event()
        await db.create_function("started", 0, lambda: started.set() or 0)
        task = asyncio.ensure_future(db.execute(ENDLESS))
        await asyncio.to_thread(started.wait, 20)
    elif {state!r} == "fetching":
        async for row in await db.execute("values (1), (2)"):
            sys.exit(3)
    sys.exit(3)
asyncio.run(main())
"""
    ends_well(program, tmp_path, code=3)
    assert stored(tmp_path) == [1]


def test_keyboard_interrupt_while_a_query_is_awaited(tmp_path):
    program = """
import signal
async def awake():
    # A signal that comes between the last bytecode and epoll_wait() is seen by the next one.
    while True:
        await asyncio.sleep(0.01)

async def main():
    waking = asyncio.ensure_future(awake())
    global db
    db = await open_table()
    await db.execute("insert into t values (1)")
    await db.create_function("started", 0, lambda: os.kill(os.getpid(), signal.SIGINT) or 0)
    try:
        await db.execute(ENDLESS)
    finally:
        print("left")
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
    async def after():
        print(await db.execute_fetchall("select a from t"))
    asyncio.run(after())
"""
    done = ends_well(program, tmp_path)
    assert done.stdout.split("\n") == ["left", "interrupted", "[(1,)]", ""]


def test_keyboard_interrupt_that_nobody_catches(tmp_path):
    program = """
import signal
async def awake():
    # A signal that comes between the last bytecode and epoll_wait() is seen by the next one.
    while True:
        await asyncio.sleep(0.01)

async def main():
    waking = asyncio.ensure_future(awake())
    global db
    db = await open_table()
    await db.create_function("started", 0, lambda: os.kill(os.getpid(), signal.SIGINT) or 0)
    await db.execute(ENDLESS)
asyncio.run(main())
"""
    done = run(program, tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("Traceback") <= 2  # asyncio shows the CancelledError behind it.
    assert "KeyboardInterrupt" in done.stderr
    assert "Fatal" not in done.stderr


def test_exception_that_ends_the_program(tmp_path):
    program = """
async def main():
    db = await open_table()
    request = await start_endless(db)
    raise LookupError("the end")
asyncio.run(main())
"""
    done = run(program, tmp_path)
    assert done.returncode == 1
    assert "LookupError: the end" in done.stderr
    assert done.stderr.count("Traceback") == 1


def test_daemon_thread_with_a_loop_at_the_exit(tmp_path):
    program = """
ready = threading.Event()
async def main():
    db = await open_table()
    while True:
        try:
            await db.execute("insert into t values (1)")
            async with db.execute("select count(*) from t") as cursor:
                await cursor.fetchall()
        except (ValueError, csqlite.Error):
            await asyncio.sleep(60)  # Closed, because the main thread has come to its end.
        ready.set()
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
assert ready.wait(20)
"""
    for _ in range(3):
        ends_well(program, tmp_path)
    assert stored(tmp_path)


def test_connection_opened_by_an_exit_handler_that_runs_after_csqlite(tmp_path):
    program = """
import atexit
async def late():
    global db
    db = await csqlite.connect("test.db", isolation_level=None)
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
"""
    # The handler is registered before csqlite is imported, so it runs after csqlite's own.
    first = "import atexit\natexit.register(lambda: asyncio.run(late()))\n"
    done = run_program(first + PRELUDE + program, tmp_path)
    assert (done.returncode, unexpected(done.stderr)) == (0, [])
    assert stored(tmp_path) == [1]


def test_connection_used_by_an_exit_handler_that_runs_before_csqlite(tmp_path):
    program = """
import atexit
db = asyncio.run(open_table())
async def last():
    await db.execute("insert into t values (1)")
    await db.close()
atexit.register(lambda: asyncio.run(last()))
"""
    ends_well(program, tmp_path)
    assert stored(tmp_path) == [1]


def test_connection_used_by_an_exit_handler_that_runs_after_csqlite(tmp_path):
    first = "import atexit\natexit.register(lambda: asyncio.run(last()))\n"
    program = """
db = asyncio.run(open_table())
async def last():
    try:
        await asyncio.wait_for(db.execute("insert into t values (1)"), 20)
    except (ValueError, csqlite.ProgrammingError) as error:
        print(type(error).__name__)
"""
    done = run_program(first + PRELUDE + program, tmp_path)
    assert (done.returncode, unexpected(done.stderr)) == (0, [])
    assert done.stdout in ("ValueError\n", "ProgrammingError\n")


# -- loops ------------------------------------------------------------------------


def in_loop(awaitable_of):
    """Run a coroutine function in a new loop; give the loop and the result."""
    loop = asyncio.new_event_loop()
    return loop, loop.run_until_complete(awaitable_of())


async def open_memory():
    return await csqlite.connect(":memory:")


async def send(requests):
    """Hand requests to the worker without waiting for them."""
    # Else an answer might be waited for; where the loop is slow to come, it is all the same.
    asyncio.get_running_loop().call_soon(int)
    for request in requests:
        with contextlib.suppress(StopIteration, sqlite3.Error):
            request.send(None)


IN_FLIGHT = {
    "execute": lambda db: [db.execute("insert into t values (1)") for _ in range(50)],
    "fetchall": lambda db: [db.execute_fetchall(NUMBERS.format(2000)) for _ in range(20)],
    "large fetchall": lambda db: [db.execute_fetchall(NUMBERS.format(500000))],
    "large blobs": lambda db: [
        db.execute_fetchall(f"select zeroblob(1000000) from ({NUMBERS.format(60)})")
    ],
    "executemany": lambda db: [
        db.executemany("insert into t values (?)", ((n,) for n in range(200000)))
    ],
    "commit": lambda db: [db.commit() for _ in range(20)],
    "failing": lambda db: [db.execute("nonsense") for _ in range(20)],
}


@pytest.mark.parametrize("case", sorted(IN_FLIGHT))
def test_loop_closed_with_jobs_in_flight(case, capfd):
    loop, db = in_loop(open_memory)
    loop.run_until_complete(db.execute("create table t (a)"))
    requests = IN_FLIGHT[case](db)
    loop.run_until_complete(send(requests))
    loop.close()
    del loop

    async def use():
        assert await asyncio.wait_for(scalar(db, "select 'here'"), SECONDS) == "here"
        assert await fetchall(db, NUMBERS.format(3000)) == [(n,) for n in range(1, 3001)]
        await db.close()

    asyncio.run(use())
    use = None  # It refers to the connection as well.
    reference = weakref.ref(db)
    db = None
    requests.clear()
    asyncio.run(use_another())  # A new loop lets go of what came back for the closed one.
    gc.collect()
    assert reference() is None
    assert capfd.readouterr() == ("", "")


@linux
def test_loops_closed_with_jobs_in_flight_leak_nothing():
    def once():
        loop, db = in_loop(open_memory)
        loop.run_until_complete(db.execute("create table t (a)"))
        requests = [request for case in IN_FLIGHT.values() for request in case(db)]
        loop.run_until_complete(send(requests))
        loop.close()
        asyncio.run(db.close())
        db._thread.join(SECONDS)
        asyncio.run(use_another())

    once()
    gc.collect()
    before = least(threads), descriptors()
    for _ in range(5):
        once()
    gc.collect()
    assert (comes_to(threads, before[0]), descriptors()) == before


def test_connection_whose_loop_is_closed_is_forgotten_like_any_other():
    loop, db = in_loop(open_memory)
    loop.run_until_complete(send([db.execute_fetchall(NUMBERS.format(1000)) for _ in range(10)]))
    loop.close()
    thread = db._thread
    with pytest.warns(ResourceWarning, match="was deleted before being closed"):
        del db, loop
        # What is in flight holds the connection; it is dropped when csqlite is next used.
        for _ in range(100):
            asyncio.run(use_another())
            gc.collect()
            if not thread.is_alive():
                break
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_connection_whose_loop_is_closed_is_forgotten_while_another_loop_lives_on():
    living = asyncio.new_event_loop()
    try:
        other = living.run_until_complete(open_memory())
        loop, db = in_loop(open_memory)
        release = threading.Event()
        loop.run_until_complete(db.create_function("block", 0, lambda: release.wait(SECONDS)))
        loop.run_until_complete(send([db.execute_fetchall("select block()")]))
        loop.close()
        release.set()
        thread = db._thread
        with pytest.warns(ResourceWarning, match="was deleted before being closed"):
            del db, loop
            for _ in range(100):
                living.run_until_complete(other.execute_fetchall("select 1"))
                gc.collect()
                if not thread.is_alive():
                    break
        thread.join(SECONDS)
        assert not thread.is_alive()
        living.run_until_complete(other.close())
    finally:
        living.close()
        asyncio.run(use_another())


async def use_another():
    async with csqlite.connect(":memory:") as db:
        assert await scalar(db, "select 1") == 1


def test_twenty_loops_share_one_connection_one_after_another():
    loop, db = in_loop(open_memory)
    loop.close()

    async def use(number):
        await send([db.execute_fetchall(NUMBERS.format(1000))])  # Nobody waits for this.
        return await scalar(db, "select ?", (number,))

    assert [asyncio.run(use(number)) for number in range(20)] == list(range(20))
    asyncio.run(db.close())


def test_task_of_a_loop_that_is_stopped_and_goes_on():
    loop, db = in_loop(open_memory)
    try:
        entered, release = threading.Event(), threading.Event()

        def work():
            entered.set()
            return release.wait(SECONDS)

        loop.run_until_complete(db.create_function("work", 0, work))
        task = loop.create_task(scalar(db, "select work()"))
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert entered.wait(SECONDS)
        release.set()
        assert loop.run_until_complete(asyncio.wait_for(task, SECONDS)) == 1
        loop.run_until_complete(db.close())
    finally:
        loop.close()


# -- loops that do not run, and others that do ------------------------------------------

# What a loop that is stopped leaves the worker waiting for, and what its task then hears.
WAITING = {
    "rows": (lambda db: db.execute_fetchall(NUMBERS.format(400000) + ", t"), None),
    "parameters": (
        lambda db: db.executemany("insert into t values (?)", ((n,) for n in itertools.count())),
        sqlite3.OperationalError,
    ),
    "a coroutine": (lambda db: db.execute("select forever()"), sqlite3.OperationalError),
}


async def open_waiting():
    db = await csqlite.connect(":memory:")
    await db.executescript("create table t (a); insert into t values (zeroblob(50));")
    await db.create_function("forever", 0, forever)
    return db


async def forever():
    await asyncio.sleep(3600)


def in_thread(coroutine):
    """Run a coroutine in a loop of its own in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(coroutine)))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("what", WAITING)
def test_loop_that_is_stopped_does_not_keep_the_connection(what, queued):
    make, error = WAITING[what]
    loop, db = in_loop(open_waiting)
    asked = threading.Event()
    found = []

    async def ask():
        request = asyncio.ensure_future(db.execute_fetchall("select 1"))
        await asyncio.sleep(0)
        asked.set()
        found.append(await asyncio.wait_for(request, SECONDS))

    other = threading.Thread(target=asyncio.run, args=(ask(),))

    async def start():
        task = asyncio.ensure_future(make(db))
        await asyncio.sleep(0.02)
        if queued:  # The other loop has asked already when this one stops.
            other.start()
            await asyncio.to_thread(asked.wait, SECONDS)
        return task

    try:
        task = loop.run_until_complete(start())
        if not queued:
            other.start()
        other.join()
        assert found == [[(1,)]]
        # Nothing of it is left, and when its loop runs again the task hears how it ended.
        assert in_thread(write(db)) == 1
        if error is None:
            assert len(loop.run_until_complete(asyncio.wait_for(task, SECONDS))) == 400000
        else:
            with pytest.raises(error):
                loop.run_until_complete(asyncio.wait_for(task, SECONDS))
        loop.run_until_complete(db.close())
    finally:
        loop.close()


async def write(db):
    assert not db.in_transaction
    await db.execute("delete from t")
    await db.commit()
    return (await db.execute_insert("insert into t values (1)"))[0]


def test_loop_that_is_stopped_is_waited_for_while_nobody_else_asks():
    loop, db = in_loop(open_waiting)

    async def start():
        rows = ((number,) for number in range(20000))
        task = asyncio.ensure_future(db.executemany("insert into t values (?)", rows))
        behind = asyncio.ensure_future(scalar(db, "select count(*) from t"))
        await asyncio.sleep(0.001)
        return task, behind

    try:
        task, behind = loop.run_until_complete(start())
        time.sleep(0.3)  # Three times as long as a worker waits before it asks.
        assert loop.run_until_complete(asyncio.wait_for(behind, SECONDS)) == 20001
        assert task.result().rowcount == 20000
        loop.run_until_complete(db.close())
    finally:
        loop.close()


def test_connection_whose_stopped_loop_waits_can_be_closed_from_another():
    loop, db = in_loop(open_waiting)
    try:
        task = loop.create_task(insert_for_ever(db))
        loop.run_until_complete(asyncio.sleep(0.02))
        in_thread(db.close())
        with pytest.raises(sqlite3.OperationalError):
            loop.run_until_complete(asyncio.wait_for(task, SECONDS))
    finally:
        loop.close()


async def insert_for_ever(db):
    return await WAITING["parameters"][0](db)


# -- forks ------------------------------------------------------------------------

FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later warn of forking with threads.

def in_child(function, leave):
    # Fork; the child calls `function` and leaves. Gives the child's exit code.
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = function()
        finally:
            leave(code)
    return wait_for(pid)

def wait_for(pid):
    import time
    for _ in range(2000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return "hangs"
"""

CHILD_CALLS = [
    'db.execute("select 1")',
    'db.execute_fetchall("select 1")',
    'db.execute_insert("insert into t values (1)")',
    'db.executemany("insert into t values (?)", [(1,)])',
    'db.executescript("select 1")',
    "db.cursor()",
    "db.commit()",
    "db.rollback()",
    "db.close()",
    "db.interrupt()",
    'db.create_function("f", 0, int)',
    "db._execute(int)",
    "cursor.fetchone()",
    "cursor.fetchall()",
    "cursor.fetchmany(2)",
    'cursor.execute("select 1")',
    "cursor.close()",
    "cursor.__aiter__().__anext__()",
]


@forks
def test_child_of_a_fork_is_refused_everything(tmp_path):
    program = f"""
async def main():
    db = await open_table()
    cursor = await db.execute("values (1), (2), (3)")
    assert await cursor.fetchone() == (1,)
    return db, cursor

loop = asyncio.new_event_loop()
db, cursor = loop.run_until_complete(main())

async def call(source):
    try:
        result = eval(source)
        return f"{{source}} gives {{await asyncio.wait_for(result, 10)!r}}"
    except csqlite.ProgrammingError as error:
        assert "fork" in str(error), error
    except Exception as error:
        return f"{{source}} raises {{error!r}}"

def child():
    wrong = [asyncio.run(call(source)) for source in {CHILD_CALLS!r}]
    print(*[text for text in wrong if text], sep="\\n", end="", flush=True)
    return 5

print(in_child(child, os._exit))

async def after():
    assert await cursor.fetchall() == [(2,), (3,)]
    await db.execute("insert into t values (1)")
    await db.close()
loop.run_until_complete(after())
loop.close()
"""
    done = ends_well(FORK + program, tmp_path)
    assert done.stdout == "5\n"
    assert stored(tmp_path) == [1]


STATES = {
    "idle": "requests = []",
    "reading": "requests = [await start_endless(db)]",
    "waiting for room": """
    begun = threading.Event()
    await db.create_function("begun", 0, begun.set)
    requests = [db.execute_fetchall('''
        with recursive n(i) as (select 1 union all select i + 1 from n limit 400)
        select zeroblob(100000), case when i = 20 then begun() end from n
    ''')]
    requests[0].send(None)
    assert begun.wait(20)
""",
    "answers not taken": """
    await db.create_function("unused", 0, int)  # Else an answer might be waited for.
    requests = [db.execute_fetchall("select 1") for _ in range(10)]
    for request in requests:
        request.send(None)
    await asyncio.to_thread(asyncio.run, elsewhere(db))
""",
}


@forks
@pytest.mark.parametrize("leave", ["sys.exit", "os._exit"])
@pytest.mark.parametrize("state", sorted(STATES))
def test_child_of_a_fork_exits_and_the_parent_goes_on(tmp_path, state, leave):
    program = f"""
async def elsewhere(db):
    await db._execute(int)

async def main():
    db = await open_table()
    {STATES[state]}
    return db, requests

async def own():
    async with csqlite.connect("test.db", isolation_level=None) as own:
        await own.execute("insert into t values ('child')")
        return len(await own.execute_fetchall("select * from t"))

loop = asyncio.new_event_loop()
db, requests = loop.run_until_complete(main())
print([in_child(lambda: asyncio.run(own()), {leave}) for _ in range(3)])

async def goes_on(request):
    # The rest of a coroutine that was begun with send().
    await asyncio.wait_for(finish(request), 20)

async def finish(request):
    while True:
        try:
            request.send(None)
        except StopIteration as stop:
            return stop.value
        except RuntimeError:
            await asyncio.sleep(0.001)

async def after():
    if {state!r} == "reading":
        requests[0].close()
    else:
        for request in requests:
            await goes_on(request)
    await asyncio.wait_for(db.execute("insert into t values ('parent')"), 20)
    await db.close()

loop.run_until_complete(after())
loop.close()
"""
    done = ends_well(FORK + program, tmp_path, options=("-W", "ignore"), seconds=40)
    assert done.stdout == "[1, 2, 3]\n"
    assert stored(tmp_path) == ["child"] * 3 + ["parent"]


@forks
def test_forking_again_and_again_while_answers_come(tmp_path):
    program = """
async def traffic(db, stop):
    count = 0
    while not stop.is_set():
        assert await db.execute_fetchall("select ?", (count,)) == [(count,)]
        count += 1
    return count

def work(stop):
    async def main():
        db = await open_table()
        count = await asyncio.gather(*[traffic(db, stop) for _ in range(5)])
        await db.close()
        return sum(count)
    counts.append(asyncio.run(main()))

counts = []
stop = threading.Event()
thread = threading.Thread(target=work, args=(stop,))
thread.start()
codes = {in_child(lambda: 0, sys.exit) for _ in range(15)}
stop.set()
thread.join()
print(codes, counts[0] > 0)
"""
    done = ends_well(FORK + program, tmp_path, options=("-W", "ignore"), seconds=60)
    assert done.stdout == "{0} True\n"


@forks
def test_child_of_multiprocessing(tmp_path):
    program = """
import multiprocessing

async def own(number):
    async with csqlite.connect("test.db", isolation_level=None, timeout=20) as own:
        await own.execute("insert into t values (?)", (number,))

async def inherited():
    try:
        await db.execute("insert into t values (99)")
    except csqlite.ProgrammingError:
        return
    raise AssertionError("the parent's connection worked in the child")

def child(number):
    asyncio.run(inherited())
    asyncio.run(own(number))

context = multiprocessing.get_context("fork")
db = asyncio.run(open_table())
children = [context.Process(target=child, args=(number,)) for number in range(4)]
for process in children:
    process.start()
for process in children:
    process.join(20)
print([process.exitcode for process in children])
with context.Pool(2) as pool:
    pool.map(child, range(4, 8))
asyncio.run(db.execute("insert into t values (8)"))
asyncio.run(db.close())
"""
    done = ends_well(program, tmp_path, options=("-W", "ignore"), seconds=60)
    assert done.stdout == "[0, 0, 0, 0]\n"
    assert sorted(stored(tmp_path)) == list(range(9))


@forks
def test_child_that_drops_its_parents_connection_does_not_close_it(tmp_path):
    program = """
import gc
db = asyncio.run(open_table())

def child():
    global db
    del db
    gc.collect()
    return 0

print(in_child(child, os._exit))

async def after():
    await db.execute("insert into t values (1)")
    await db.close()
asyncio.run(after())
"""
    done = ends_well(FORK + program, tmp_path)
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert stored(tmp_path) == [1]


# -- objects ----------------------------------------------------------------------


@linux
async def test_forgotten_connection_lets_thread_and_file_go(path):
    async def use():
        db = await csqlite.connect(path)
        await db.execute("create table if not exists t (a)")
        cursor = await db.execute("select 1 union select 2")
        assert await cursor.fetchone() == (1,)
        return db._thread

    assert await finished(await forget(use))
    before = least(threads), descriptors()
    for _ in range(5):
        assert await finished(await forget(use))
    assert (comes_to(threads, before[0]), descriptors()) == before


async def forget(use):
    with pytest.warns(ResourceWarning):
        thread = await use()
        gc.collect()
    return thread


async def test_work_queued_before_a_connection_is_forgotten_is_done(path):
    async def use():
        db = await csqlite.connect(path, isolation_level=None)
        await db.execute("create table t (a)")
        await db.create_function("unused", 0, int)  # Else an answer might be waited for.
        for number in range(100):
            db.execute("insert into t values (?)", (number,)).send(None)
        return db._thread

    thread = await use()
    with pytest.warns(ResourceWarning):
        # The requests hold the connection until the loop has taken their answers.
        while thread.is_alive():
            await asyncio.sleep(0)
            gc.collect()
    async with csqlite.connect(path) as db:
        assert await scalar(db, "select count(*) from t") == 100


async def test_cursor_keeps_its_connection(path):
    async def use():
        db = await csqlite.connect(path)
        return await db.execute(NUMBERS.format(1000))

    cursor = await use()
    gc.collect()
    assert len(await cursor.fetchall()) == 1000
    await cursor._conn.close()


async def test_closing_twice_at_once(path):
    db = await csqlite.connect(path)
    assert await asyncio.gather(*[db.close() for _ in range(10)]) == [None] * 10
    assert db._connection is None
    assert await finished(db._thread)


async def test_closing_from_many_threads_at_once(path):
    db = await csqlite.connect(path)
    barrier = threading.Barrier(4, timeout=SECONDS)

    async def close():
        barrier.wait()
        return await db.close()

    closed = [asyncio.to_thread(asyncio.run, close()) for _ in range(4)]
    assert await asyncio.gather(*closed) == [None] * 4
    assert await finished(db._thread)


async def test_stopping_and_closing_at_once(path):
    db = await csqlite.connect(path)
    closed = asyncio.ensure_future(db.close())
    await asyncio.sleep(0)
    stopped = db.stop()
    assert await asyncio.wait_for(closed, SECONDS) is None
    await asyncio.wait_for(stopped, SECONDS)
    assert await finished(db._thread)


async def test_file_can_be_deleted_and_made_again_afterwards(path):
    for mode in ("wal", "delete"):
        async with csqlite.connect(path, isolation_level=None) as db:
            assert await scalar(db, f"pragma journal_mode = {mode}") == mode
            await db.execute("create table t (a)")
            await db.execute("insert into t values (1)")
            cursor = await db.execute("select a from t union all select 2")
            assert await cursor.fetchone() == (1,)
        assert os.listdir(str(path.parent)) == [path.name]
        os.unlink(str(path))
        assert os.listdir(str(path.parent)) == []


@linux
async def test_close_gives_the_descriptor_back(path):
    async with csqlite.connect(path):
        pass
    before = descriptors()
    db = await csqlite.connect(path)
    await db.execute("create table t (a)")
    assert descriptors() > before
    await db.close()
    assert descriptors() == before


@pytest.mark.parametrize("rows", [2, 5000])
@pytest.mark.parametrize("how", ["dropped", "closed", "executed anew", "read to its end"])
async def test_half_read_cursor_holds_the_read_lock_until_it_is_left(path, how, rows):
    async with csqlite.connect(path, isolation_level=None, iter_chunk_size=1) as db:
        await db.execute("create table t (a)")
        await db.execute(f"insert into t {NUMBERS.format(rows)}")
        async with csqlite.connect(path, isolation_level=None, timeout=0) as other:
            cursor = await db.execute("select a from t")
            assert await cursor.fetchone() == (1,)
            locked = await outcome(other.execute("begin exclusive"))
            assert locked == (sqlite3.OperationalError, "database is locked")
            if how == "dropped":
                del cursor
                gc.collect()
            elif how == "closed":
                await cursor.close()
            elif how == "executed anew":
                await cursor.execute("pragma user_version")
                await cursor.fetchall()
            else:
                await cursor.fetchall()
            await db._execute(int)  # By now the worker knows.
            await other.execute("begin exclusive")
            await other.execute("rollback")


@pytest.mark.parametrize("way", ["break", "return", "exception"])
@pytest.mark.parametrize("entered", [True, False])
async def test_half_consumed_async_for_holds_no_lock_afterwards(path, way, entered):
    async def read(db):
        if entered:
            async with db.execute("select a from t") as cursor:
                await consume(cursor)
        else:
            await consume(await db.execute("select a from t"))

    async def consume(cursor):
        count = 0
        async for _ in cursor:
            count += 1
            if count == 100:
                if way == "break":
                    break
                if way == "return":
                    return
                raise LookupError

    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("create table t (a)")
        await db.execute(f"insert into t {NUMBERS.format(1000)}")
        async with csqlite.connect(path, isolation_level=None, timeout=0) as other:
            with contextlib.suppress(LookupError):
                await read(db)
            gc.collect()
            await db._execute(int)
            await other.execute("begin exclusive")


def test_stop_without_a_loop_finishes_what_is_queued(path):
    loop, db = in_loop(lambda: open_file(path))
    loop.run_until_complete(send([db.execute("insert into t values (1)") for _ in range(100)]))
    loop.close()
    assert db.stop() is None
    assert db.stop() is None
    db._thread.join(SECONDS)
    assert not db._thread.is_alive()
    assert asyncio.run(count_of(path)) == 100


async def open_file(path):
    db = await csqlite.connect(path, isolation_level=None)
    await db.execute("create table t (a)")
    return db


async def count_of(path):
    async with csqlite.connect(path) as db:
        return await scalar(db, "select count(*) from t")


CYCLES = {
    "row_factory": lambda db, holder: setattr(db, "row_factory", lambda c, r: (holder, r)),
    "text_factory": lambda db, holder: setattr(db, "text_factory", lambda b: (holder, b)),
    "attribute": lambda db, holder: setattr(db, "holder", holder),
}


@pytest.mark.parametrize("case", sorted(CYCLES))
async def test_connection_in_a_cycle_is_collected_and_warns(path, case):
    class Holder:
        pass

    async def use():
        holder = Holder()
        holder.db = await csqlite.connect(path)
        CYCLES[case](holder.db, holder)
        return weakref.ref(holder), holder.db._thread

    gc.collect()
    reference, thread = await use()
    with pytest.warns(ResourceWarning, match="was deleted before being closed"):
        gc.collect()
    assert reference() is None
    assert await finished(thread)


async def test_cursor_and_request_in_a_cycle_are_collected(db):
    class Holder:
        pass

    async def use():
        holder = Holder()
        holder.cursor = await db.execute("select 1")
        holder.cursor.row_factory = lambda cursor, row: holder
        holder.request = holder.cursor.execute("select ?", (holder,))
        holder.request.close()
        return weakref.ref(holder)

    reference = await use()
    gc.collect()
    assert reference() is None


async def test_callbacks_are_let_go_when_the_connection_is_closed(path):
    class Held:
        def __call__(self, *arguments):
            return 0

        step = finalize = __call__

    held = [Held() for _ in range(6)]
    references = [weakref.ref(item) for item in held]
    async with csqlite.connect(path) as db:
        await db.create_function("f", 0, held[0])
        await db.set_authorizer(held[1])
        await db.set_progress_handler(held[2], 1000)
        await db.set_trace_callback(held[3])
        db.row_factory = held[4]
        db.text_factory = held[5]
        held.clear()
        gc.collect()
        assert [type(reference()) for reference in references] == [Held] * 6
    del db
    gc.collect()
    assert [reference() for reference in references] == [None] * 6


async def test_function_that_is_replaced_is_let_go(db):
    def first():
        return 1

    reference = weakref.ref(first)
    await db.create_function("f", 0, first)
    del first
    assert await scalar(db, "select f()") == 1
    await db.create_function("f", 0, lambda: 2)
    gc.collect()
    assert reference() is None
    assert await scalar(db, "select f()") == 2


UNAWAITED = {
    "Connection.execute": lambda db, cursor: db.execute("delete from t"),
    "Connection.execute_fetchall": lambda db, cursor: db.execute_fetchall("delete from t"),
    "Connection.execute_insert": lambda db, cursor: db.execute_insert("delete from t"),
    "Connection.executemany": lambda db, cursor: db.executemany("delete from t", [()]),
    "Connection.executescript": lambda db, cursor: db.executescript("delete from t"),
    "Connection.cursor": lambda db, cursor: db.cursor(),
    "Connection.commit": lambda db, cursor: db.commit(),
    "Connection.rollback": lambda db, cursor: db.rollback(),
    "Connection.close": lambda db, cursor: db.close(),
    "Connection.interrupt": lambda db, cursor: db.interrupt(),
    "Connection.create_function": lambda db, cursor: db.create_function("f", 0, int),
    "Connection.backup": lambda db, cursor: db.backup(db),
    "Connection._execute": lambda db, cursor: db._execute(int),
    "Cursor.execute": lambda db, cursor: cursor.execute("delete from t"),
    "Cursor.executemany": lambda db, cursor: cursor.executemany("delete from t", [()]),
    "Cursor.executescript": lambda db, cursor: cursor.executescript("delete from t"),
    "Cursor.fetchone": lambda db, cursor: cursor.fetchone(),
    "Cursor.fetchmany": lambda db, cursor: cursor.fetchmany(2),
    "Cursor.fetchall": lambda db, cursor: cursor.fetchall(),
    "Cursor.close": lambda db, cursor: cursor.close(),
}


@pytest.mark.parametrize("name", sorted(UNAWAITED))
async def test_request_that_is_never_awaited_warns_with_its_name_and_does_nothing(db, name):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    cursor = await db.execute("select 1 union select 2")
    with pytest.warns(RuntimeWarning) as caught:
        UNAWAITED[name](db, cursor)
        gc.collect()
    assert [str(item.message) for item in caught] == [f"coroutine '{name}' was never awaited"]
    assert db.in_transaction
    assert await fetchall(db, "select a from t") == [(1,)]
    assert await cursor.fetchall() == [(1,), (2,)]


async def test_connection_that_is_never_awaited_does_not_warn(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        csqlite.connect(path)
        gc.collect()
    assert not path.exists()
