"""The end of the interpreter: what still works, what is said, how long it takes."""

import contextlib
import os
import signal
import subprocess
import sys
import zipfile
from textwrap import dedent

import pytest
from doses import dose
from processes import many, run_program, sound, stored, unexpected

PRELUDE = """
import asyncio, atexit, contextlib, gc, os, sys, threading, time, weakref
import csqlite

async def open_table(path="test.db", **options):
    db = await csqlite.connect(path, isolation_level=None, **options)
    await db.execute("pragma synchronous = off")
    await db.execute("create table if not exists t (a)")
    return db

async def start_endless(db):
    started = threading.Event()
    await db.create_function("started", 0, lambda: started.set() or 0)
    request = db.execute_fetchall('''
        with recursive n(i) as (select started() union all select i + 1 from n)
        select count(*) from n
    ''')
    request.send(None)
    assert started.wait(20)
    return request
"""


def ends_well(program, directory, *, output="", code=0, **options):
    """Run a program that must end so and say nothing but ResourceWarnings."""
    done = run_program(PRELUDE + dedent(program), directory, **options)
    assert (done.returncode, done.stdout, unexpected(done.stderr)) == (code, output, [])
    return done


# -- what still runs while the interpreter ends -----------------------------------

LATE = {
    "__del__ of a module's object stops a connection": """
        class Holder:
            def __init__(self):
                self.db = asyncio.run(open_table())
            def __del__(self):
                self.db.stop()
                repr(self.db), self.db._thread.is_alive(), self.db._tx.empty()
        holder = Holder()
    """,
    "__del__ in a cycle uses everything": """
        class Holder:
            def __init__(self, db, cursor):
                self.db, self.cursor, self.me = db, cursor, self
                self.request = db.execute("select 1")
            def __del__(self):
                for use in (lambda: self.request.send(None), lambda: self.request.close(),
                            lambda: self.db.cursor().send(None), lambda: self.db.total_changes,
                            lambda: self.cursor.description, lambda: self.cursor.fetchone(),
                            lambda: self.cursor.close().send(None), lambda: self.db.stop(),
                            lambda: repr(self.cursor), lambda: self.db._conn.execute("select 1")):
                    try:
                        result = use()
                        if hasattr(result, "close"):
                            result.close()
                    except BaseException:
                        pass
        async def main():
            db = await open_table(check_same_thread=False)
            return Holder(db, await db.execute("values (1), (2)"))
        holder = asyncio.run(main())
    """,
    "weakref callbacks": """
        db = asyncio.run(open_table())
        cursor = asyncio.run(db.execute("values (1), (2)"))
        def gone(reference):
            try:
                db.stop()
                db.cursor().close()
            except BaseException:
                pass
        class Item:
            pass
        item = Item()
        kept = [weakref.ref(item, gone), weakref.ref(cursor, gone), weakref.finalize(item, gone, 1)]
    """,
    "a generator is closed": """
        async def rows(db):
            try:
                async for row in await db.execute("values (1), (2)"):
                    yield row
            finally:
                await db.close()
        async def main():
            global generator
            generator = rows(await open_table())
            await generator.__anext__()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
    """,
    "sys.modules is cleared": """
        db = asyncio.run(open_table())
        cursor = asyncio.run(db.execute("values (1), (2)"))
        for name in [name for name in sys.modules if name.startswith("csqlite")]:
            del sys.modules[name]
        del csqlite
    """,
    "the module is imported twice": """
        import importlib
        db = asyncio.run(open_table())
        for name in [name for name in sys.modules if name.startswith("csqlite")]:
            del sys.modules[name]
        import csqlite
        other = asyncio.run(open_table())
        asyncio.run(db.execute("insert into t values (1)"))
        asyncio.run(other.execute("insert into t values (2)"))
        assert type(db) is not type(other)
        del db
        gc.collect()
    """,
    "the module is reloaded": """
        import importlib
        db = asyncio.run(open_table())
        for name in ("csqlite._csqlite", "csqlite.core", "csqlite"):
            importlib.reload(sys.modules[name])
        asyncio.run(db.execute("insert into t values (1)"))
        other = asyncio.run(open_table())
        asyncio.run(other.execute("insert into t values (2)"))
    """,
    "gc is disabled": """
        gc.disable()
        async def main():
            for _ in range(20):
                db = await open_table()
                db.me = db
                await db.set_trace_callback(lambda sql, db=db: None)
                await db.execute("insert into t values (1)")
        asyncio.run(main())
    """,
    "gc is frozen": """
        db = asyncio.run(open_table())
        cursor = asyncio.run(db.execute("values (1), (2)"))
        gc.freeze()
    """,
    "a task, a callback and a connection hold each other": """
        async def main():
            db = await open_table()
            async def work():
                await db.set_progress_handler(lambda: task is None, 1000)
                await db.execute("insert into t values (1)")
                await asyncio.sleep(3600)
            task = asyncio.ensure_future(work())
            db.task = task
            await asyncio.sleep(0.05)
        asyncio.run(main())
    """,
    "a coroutine of a callback never ends": """
        async def main():
            db = await open_table()
            entered = asyncio.Event()
            async def wait():
                entered.set()
                await asyncio.sleep(3600)
            await db.create_function("wait", 0, wait)
            db.task = asyncio.ensure_future(db.execute_fetchall("select wait()"))
            await entered.wait()
            return db
        loop = asyncio.new_event_loop()
        db = loop.run_until_complete(main())
        db.loop = loop
        task = db.task
        task._log_destroy_pending = False
    """,
    "an exit handler that csqlite's own came before": """
        async def main():
            async with csqlite.connect("late.db", isolation_level=None) as db:
                await db.execute("create table t (a)")
                await db.execute("insert into t values (1)")
        from atexit import register
        register(lambda: asyncio.run(main()))
    """,
    "a thread that outlives the main one": """
        async def main():
            db = await open_table()
            await asyncio.sleep(0.3)
            await db.execute("insert into t values (1)")
            await db.close()
        threading.Thread(target=lambda: asyncio.run(main())).start()
    """,
    "threads whose loops are gone": """
        kept = []
        def work(number):
            kept.append(asyncio.run(open_table(f"{number}.db")))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """,
    "blobs, sessions, dumps and backups are open": """
        async def main():
            global kept
            db = await open_table()
            target = await csqlite.connect(":memory:")
            await db.execute("insert into t values (zeroblob(1000))")
            kept = [db, target, await db.blobopen("t", "a", 1), await db.execute("values (1), (2)")]
            dump = db.iterdump()
            await dump.__anext__()
            kept.append(dump)
            async def progress():
                pass
            kept.append(db._backup(target, "main"))
            try:
                kept.append(await db.session())
            except csqlite.NotSupportedError:
                pass
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    """,
}


@pytest.mark.parametrize("case", sorted(LATE))
def test_what_still_runs_at_the_end(tmp_path, case):
    # In development mode asyncio itself warns of a loop that is not closed.
    options = () if case == "a generator is closed" else ("-X", "dev")
    done = ends_well(LATE[case], tmp_path, options=(*options, "-W", "default"))
    allowed = ("was deleted before being closed", "unclosed event loop", "ResourceWarning: ")
    for line in done.stderr.splitlines():
        assert line.startswith("  ") or any(text in line for text in allowed), line
    for file in tmp_path.glob("*.db"):
        assert sound(file) == []


def test_exception_in_a_callback_at_the_end_is_not_heard_of(tmp_path):
    program = """
    async def main():
        db = await open_table()
        started = threading.Event()
        def fail():
            started.set()
            time.sleep(0.2)
            raise ValueError("nobody asked")
        await db.create_function("fail", 0, fail)
        await db.set_trace_callback(lambda sql: 1 / 0)
        request = db.execute("insert into t values (fail())")
        request.send(None)
        assert started.wait(20)
        db.execute("insert into t values (1)").send(None)
        return db, request
    kept = asyncio.run(main())
    """
    ends_well(program, tmp_path)
    assert stored(tmp_path / "test.db") == [1]


def test_read_that_runs_at_the_end_does_not_hold_it_up(tmp_path):
    program = """
    async def main():
        db = await open_table()
        request = await start_endless(db)
        for number in range(100):
            db.execute("insert into t values (?)", (number,)).send(None)
        return db, request
    kept = asyncio.run(main())
    began = time.monotonic()
    sys.modules["csqlite._csqlite"]._at_exit()
    print(time.monotonic() - began < %f)
    """
    # 100 ms are promised for the read, which has no end; a busy machine may want more for the rest.
    ends_well(program % 25, tmp_path, output="True\n", seconds=60)
    assert stored(tmp_path / "test.db") == list(range(100))


def test_interrupt_while_the_end_waits_for_writes(tmp_path):
    # An impatient user presses Ctrl-C a second time.
    program = """
    async def main():
        db = await open_table()
        started = threading.Event()
        def dawdle():
            started.set()
            time.sleep(40)
        await db.create_function("dawdle", 0, dawdle)
        await db.execute("insert into t values (1)")
        request = db.execute("insert into t values (dawdle())")
        request.send(None)
        assert started.wait(20)
        return db, request
    kept = asyncio.run(main())
    # The last that is called before csqlite's own function, without a bytecode in between.
    begun = threading.Lock()
    begun.acquire()
    atexit.register(begun.release)
    def press():
        begun.acquire()
        time.sleep(0.1)
        os.kill(os.getpid(), 2)
    threading.Thread(target=press, daemon=True).start()
    """
    done = run_program(PRELUDE + dedent(program), tmp_path, seconds=25)
    assert "KeyboardInterrupt" in done.stderr
    assert "Fatal" not in done.stderr
    assert stored(tmp_path / "test.db") == [1]


# -- where the interpreter runs ---------------------------------------------------

WORK = """
async def main():
    async with csqlite.connect("test.db", isolation_level=None) as db:
        await db.execute("create table if not exists t (a)")
        await db.executemany("insert into t values (?)", [(n,) for n in range(100)])
        async with db.execute("select a from t") as cursor:
            assert [row[0] async for row in cursor] == list(range(100))
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "options",
    [
        ("-X", "dev", "-W", "error"),
        ("-W", "error", "-X", "tracemalloc"),
        ("-I", "-S", "-W", "error"),
        ("-O",),
        ("-X", "faulthandler"),
    ],
)
def test_program_that_closes_everything_says_nothing(tmp_path, options):
    program = PRELUDE + WORK
    if "-S" in options:
        site = os.path.dirname(os.path.dirname(__import__("csqlite").__file__))
        program = f"import sys\nsys.path.append({site!r})\n" + program
    done = run_program(program, tmp_path, options=options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stored(tmp_path / "test.db") == list(range(100))


def test_asyncio_in_debug_mode(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    done = run_program(PRELUDE + WORK, tmp_path, options=("-X", "dev", "-W", "error"))
    assert (done.returncode, done.stdout) == (0, "")
    # On a busy machine asyncio complains of what was slow.
    assert [line for line in done.stderr.splitlines() if "took" not in line] == []


def test_program_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        archive.writestr("__main__.py", PRELUDE + WORK)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.zip"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stored(tmp_path / "test.db") == list(range(100))


@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
@pytest.mark.parametrize("left_open", [False, True])
def test_program_without_standard_descriptors(tmp_path, closed, left_open):
    program = PRELUDE + WORK
    if left_open:
        program += "kept = asyncio.run(open_table())\n"
    # Whatever is written to a standard descriptor must not end up in a database, nor
    # must what csqlite opens take the place of one.
    program += dedent("""
        async def check():
            async with csqlite.connect("test.db") as db:
                await db.execute("select 1")
                for descriptor in range(3):
                    try:
                        target = os.readlink(f"/proc/self/fd/{descriptor}")
                    except OSError:
                        continue
                    assert "test.db" not in target and "eventfd" not in target, target
        if sys.platform.startswith("linux"):
            asyncio.run(check())
        open("good", "x").close()
    """)
    (tmp_path / "program.py").write_text(program)
    redirections = " ".join(f"{n}{'<' if n == '0' else '>'}&-" for n in closed)
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -W ignore program.py {redirections}'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "good").exists()
    assert stored(tmp_path / "test.db") == list(range(100))


# -- sub-interpreters -------------------------------------------------------------

SUBINTERPRETER = """
import warnings
try:
    import _interpreters
    def create():
        return _interpreters.create("legacy")
    def run(interpreter, source):
        failure = _interpreters.run_string(interpreter, source)
        assert failure is None, failure
    destroy = _interpreters.destroy
except ImportError:
    import _xxsubinterpreters
    def create():
        return _xxsubinterpreters.create(isolated=False)
    run, destroy = _xxsubinterpreters.run_string, _xxsubinterpreters.destroy
"""


def has_subinterpreters():
    for name in ("_interpreters", "_xxsubinterpreters"):
        with contextlib.suppress(ImportError):
            return __import__(name) is not None
    return False


@pytest.mark.skipif(not has_subinterpreters(), reason="this Python has no sub-interpreters")
@pytest.mark.parametrize("state", ["half-read", "writing"])
def test_subinterpreter_that_ends_with_an_open_connection(tmp_path, state):
    alone = SUBINTERPRETER + "run(create(), 'import asyncio, sqlite3')\n"
    if run_program(alone, tmp_path).returncode != 0:
        pytest.skip("asyncio and sqlite3 alone do not survive a sub-interpreter here")
    inner = PRELUDE + dedent(f"""
        async def main():
            global db, cursor, requests
            db = await open_table()
            cursor = await db.execute("values (1), (2)")
            if {state!r} == "half-read":
                await cursor.fetchone()
            elif {state!r} == "writing":
                requests = [db.execute("insert into t values (1)") for _ in range(20)]
                asyncio.get_running_loop().call_soon(int)
                for request in requests:
                    with contextlib.suppress(StopIteration):  # Of a loop that is slow to come.
                        request.send(None)
        asyncio.run(main())
    """)
    inner = inner.replace("import csqlite\n", "import csqlite, warnings\n", 1)
    program = f"""{SUBINTERPRETER}
try:
    run(create(), "import csqlite")
except Exception:
    print("refused")
else:
    for _ in range(2):
        interpreter = create()
        run(interpreter, {"import warnings; warnings.simplefilter('ignore')" + inner!r})
        destroy(interpreter)
    print("fine")
"""
    done = run_program(program, tmp_path)
    assert (done.returncode, unexpected(done.stderr)) == (0, []), done.stderr
    if state == "writing" and done.stdout == "fine\n":
        assert stored(tmp_path / "test.db") == [1] * 40


# -- daemon threads ---------------------------------------------------------------


def test_daemon_threads_in_the_middle_of_everything(tmp_path):
    program = PRELUDE + dedent("""
        ready = threading.Barrier(4)
        def work(number):
            async def main():
                db = await open_table(f"{number}.db")
                await db.create_function("f", 1, lambda n: n)
                await asyncio.get_running_loop().run_in_executor(None, ready.wait)
                while True:
                    await db.executemany("insert into t values (?)", [(1,), (2,)])
                    await db.execute_fetchall("select f(a) from t limit 100")
                    async for line in db.iterdump():
                        break
            try:
                asyncio.run(main())
            except BaseException:
                time.sleep(60)
        for number in range(3):
            threading.Thread(target=work, args=(number,), daemon=True).start()
        ready.wait()
        time.sleep(float(sys.argv[1]))
    """)
    (tmp_path / "program.py").write_text(program)

    def once(number):
        directory = tmp_path / str(number)
        directory.mkdir()
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "../program.py", str(number % 10 / 100)],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        wrong = [sound(file) for file in directory.glob("*.db")]
        return number, done.returncode, unexpected(done.stderr), any(wrong)

    for number, code, lines, wrong in many(once, dose(5, 100)):
        assert (number, code, lines, wrong) == (number, 0, [], False)


def test_default_signal_ends_the_process_without_harm(tmp_path):
    # SIGTERM that nobody handles: no exit handler runs, so it is as with kill -9.
    program = PRELUDE + dedent("""
        async def main():
            db = await open_table()
            print("ready", flush=True)
            number = 0
            while True:
                await db.execute("insert into t values (?)", (number,))
                print(number, flush=True)
                number += 1
        asyncio.run(main())
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while process.stdout.readline() != "20\n":
            pass
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (-signal.SIGTERM, "")
    confirmed = [20, *[int(line) for line in rest.split("\n") if line]]
    kept = stored(tmp_path / "test.db")
    assert kept == list(range(len(kept)))
    assert len(kept) > confirmed[-1]


def test_daemon_threads_that_go_on_asking_say_nothing(tmp_path):
    # The handler that was registered first runs last: the threads go on behind csqlite's own.
    program = """
    import atexit, time
    atexit.register(time.sleep, 0.1)
    import asyncio, csqlite, threading

    async def ask(ready, what):
        async with csqlite.connect(":memory:") as db:
            cursor = await db.execute("select 1")
            ready.wait()
            while True:
                await what(db, cursor)

    async def execute(db, cursor):
        async with db.execute("select 1") as cursor:
            await cursor.fetchall()

    async def fetch(db, cursor):
        await db.execute_fetchall("select 1")
        await asyncio.sleep(0)

    async def use_cursor(db, cursor):
        await cursor.execute("select 1")
        await asyncio.gather(cursor.fetchone(), cursor.fetchall(), db.commit())

    async def reopen(db, cursor):
        async with csqlite.connect(":memory:"):
            pass

    async def many(db, cursor):
        await db.executescript("create table if not exists t (a)")
        await db.executemany("insert into t values (?)", ((n,) for n in range(100)))

    kinds = [execute, fetch, use_cursor, reopen, many]
    ready = threading.Barrier(len(kinds) + 1)
    for what in kinds:
        target = lambda what=what: asyncio.run(ask(ready, what))
        threading.Thread(target=target, daemon=True).start()
    ready.wait()
    """
    done = run_program(dedent(program), tmp_path)
    assert (done.returncode, done.stdout, unexpected(done.stderr)) == (0, "", [])
