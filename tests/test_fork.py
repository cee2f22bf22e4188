"""Children of os.fork(): what they may open, what they must leave alone, how they may end."""

import os
import sys
from textwrap import dedent

import pytest
from doses import dose
from processes import run_program, stored, unexpected

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")

PRELUDE = """
import asyncio, contextlib, os, subprocess, sys, threading, time, traceback, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later warn of forking with threads.
# It registers what takes its lock around a fork. Imported by one thread, for run_in_executor(), while
# another forks, it would give back a lock there that it had not taken.
import concurrent.futures.thread
import csqlite

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"

async def open_table(path="test.db", **options):
    db = await csqlite.connect(path, isolation_level=None, **options)
    await db.execute("pragma synchronous = off")
    await db.execute("create table if not exists t (a)")
    return db

@contextlib.asynccontextmanager
async def table(path="test.db", **options):
    async with csqlite.connect(path, isolation_level=None, **options) as db:
        await db.execute("pragma synchronous = off")
        await db.execute("create table if not exists t (a)")
        yield db

def child(function, leave=os._exit):
    # Fork; the child leaves with what `function` gives.
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = function() or 0
        except SystemExit:
            raise
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        leave(code)
    return pid

def code_of(pid, seconds=20):
    for _ in range(100 * seconds):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return "hangs"
"""


def ends_well(program, directory, output="", **options):
    """Run a program that must end with 0, print `output` and say nothing but ResourceWarnings."""
    done = run_program(PRELUDE + dedent(program), directory, **options)
    assert (done.returncode, done.stdout, unexpected(done.stderr)) == (0, output, [])
    return done


# -- a child with connections of its own ------------------------------------------

BUSY = """
stop = False

def work(number):
    async def main():
        while not stop:
            async with table(f"busy{number}.db") as db:
                await db.execute("insert into t values (1)")
                await db.execute("create temp table x (a)")
                await db.execute_fetchall(f"select randomblob(2000), i from ({NUMBERS.format(300)})"
                                          " order by 1")
    asyncio.run(main())

workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in workers:
    thread.start()

async def use(path):
    async with table(path) as db:
        await db.execute("create temp table x (a)")
        await db.execute("insert into t values (1)")
        await db.execute_fetchall(f"select randomblob(2000), i from ({NUMBERS.format(300)})"
                                  " order by 1")
"""


def test_child_opens_a_file_whatever_other_threads_do_in_sqlite_meanwhile(tmp_path):
    # A mutex of SQLite's that another thread holds while the process forks stays locked in
    # the child. Without csqlite's care one child in fifty hung.
    program = """
    codes = [code_of(child(lambda: asyncio.run(use("child.db")))) for _ in range(%d)]
    stop = True
    for thread in workers:
        thread.join()
    print(set(codes))
    """
    ends_well(BUSY + dedent(program) % dose(40, 1000), tmp_path, "{0}\n", seconds=dose(150, 900))
    assert set(stored(tmp_path / "child.db")) == {1}


def test_parent_goes_on_while_it_forks_and_starts_programs(tmp_path):
    program = """
    async def main():
        async with table() as db:
            async def load():
                for number in range(60):
                    await db.execute("insert into t values (?)", (number,))
                    await db.execute_fetchall(NUMBERS.format(2000))
            async def start():
                while not loading.done():
                    assert await asyncio.to_thread(code_of, child(lambda: 0)) == 0
                    await asyncio.to_thread(subprocess.run, [sys.executable, "-S", "-c", ""],
                                            check=True)
            if not hasattr(asyncio, "to_thread"):
                async def to_thread(function, *args, **kwargs):
                    return function(*args, **kwargs)
                asyncio.to_thread = to_thread
            loading = asyncio.ensure_future(load())
            await asyncio.gather(loading, start())
    asyncio.run(main())
    """
    ends_well(program, tmp_path)
    assert stored(tmp_path / "test.db") == list(range(60))


# What another process, with another SQLite, gets when it asks for `sql`.
ELSEWHERE = """
ELSEWHERE = '''
import sqlite3, sys
connection = sqlite3.connect("test.db", timeout=0, isolation_level=None)
try:
    connection.execute(sys.argv[1])
    print("done")
except sqlite3.OperationalError as error:
    print(error)
'''

def elsewhere(sql):
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, sql], capture_output=True, text=True)
    return done.stdout.strip()
"""


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("held", ["read", "write"])
def test_child_takes_locks_of_its_own_on_a_file_that_its_parent_has_open(tmp_path, mode, held):
    # SQLite keeps the locks of a process by file. The parent's are not the child's; taken for
    # its own, they kept the child from asking for any: others wrote what it was reading, and
    # the child itself could never write.
    program = f"""
    ready, go = os.pipe()

    async def in_child():
        os.read(ready, 1)
        async with csqlite.connect("test.db", isolation_level=None, timeout=5) as db:
            cursor = await db.execute("select a from t limit 5000")
            assert await cursor.fetchone() == (0,)
            print(elsewhere("begin exclusive" if {mode!r} == "delete"
                            else "pragma journal_mode = delete"))
            await cursor.close()
            await db.execute("insert into t values (-1)")
            await db.execute("begin immediate")
            print(elsewhere("insert into t values (-2)"))
            await db.execute("insert into t values (-3)")
            await db.commit()

    async def main():
        db = await open_table()
        await db.execute("pragma journal_mode = {mode}")
        await db.execute("insert into t values (0)")
        await db.execute(f"insert into t {{NUMBERS.format(9000)}}")
        cursor = await db.execute("select a from t")
        await cursor.fetchone()
        if {held!r} == "write":
            await cursor.close()
            await db.execute("begin immediate")
            await db.execute("insert into t values (-9)")
        pid = child(lambda: asyncio.run(in_child()))
        await cursor.close()
        if {held!r} == "write":
            await db.commit()
        await db.close()
        os.write(go, b"x")
        print(code_of(pid))
    asyncio.run(main())
    """
    ends_well(ELSEWHERE + dedent(program), tmp_path, "database is locked\n" * 2 + "0\n")
    assert stored(tmp_path / "test.db")[9001:] == [-9] * (held == "write") + [-1, -3]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_parent_child_and_grandchild_write_one_file_together(tmp_path, mode):
    program = f"""
    async def write(name):
        async with csqlite.connect("test.db", isolation_level=None, timeout=60) as db:
            for number in range(30):
                await db.execute("insert into t values (?)", (f"{{name}}{{number}}",))

    def in_child():
        asyncio.run(write("before"))
        async def main():
            kept = await open_table()
            pid = child(lambda: asyncio.run(write("grandchild")))
            await asyncio.gather(write("child"), write("also"))
            assert code_of(pid) == 0
            await kept.close()
        asyncio.run(main())

    async def main():
        async with table() as db:
            await db.execute("pragma journal_mode = {mode}")
            pid = child(in_child)
            await write("parent")
            print(code_of(pid, 60))
    asyncio.run(main())
    """
    ends_well(program, tmp_path, "0\n", seconds=90)
    names = ("before", "grandchild", "child", "also", "parent")
    assert sorted(stored(tmp_path / "test.db")) == sorted(
        f"{name}{number}" for name in names for number in range(30)
    )


# -- what is the parent's ---------------------------------------------------------

INHERITED = {
    "cursor": """
        cursor = await db.execute("select a from t")
        await cursor.fetchone()
        objects["iterator"] = cursor.__aiter__()
        objects["cursor"] = cursor
    """,
    "blob": """
        await db.execute("insert into t values (zeroblob(100))")
        objects["blob"] = await db.blobopen("t", "a", (await db.execute_fetchall(
            "select max(rowid) from t"))[0][0])
    """,
    "session": """
        with contextlib.suppress(csqlite.NotSupportedError):
            objects["session"] = await db.session()
    """,
    "dump": """
        dump = db.iterdump()
        await dump.__anext__()
        objects["dump"] = dump
    """,
    "requests in flight": """
        await db.create_function("unused", 0, int)  # Else an answer might be waited for.
        objects["requests"] = [db.execute_fetchall(NUMBERS.format(100000)) for _ in range(5)]
        for request in objects["requests"]:
            request.send(None)
    """,
    "tasks in flight": """
        objects["tasks"] = [asyncio.ensure_future(db.execute_fetchall(NUMBERS.format(100000)))
                            for _ in range(5)]
        await asyncio.sleep(0)
    """,
    "rows not yet written": """
        objects["request"] = db.executemany("insert into t values (?)",
                                            ((-1,) for _ in range(10**6)))
        objects["request"].send(None)
    """,
}


@pytest.mark.parametrize("what", sorted(INHERITED))
def test_child_lets_go_of_what_it_inherits(tmp_path, what):
    program = f"""
    import gc
    async def main():
        db = await open_table()
        await db.execute(f"insert into t {{NUMBERS.format(3000)}}")
        objects = {{"db": db}}
{INHERITED[what]}
        def in_child():
            for item in objects.values():
                for one in item if isinstance(item, list) else [item]:
                    if hasattr(one, "send"):
                        one.close()
                    repr(one)
            del item, one
            objects.clear()
            gc.collect()
            async def again():
                async with table("child.db") as own:
                    await own.execute("insert into t values (1)")
            asyncio.run(again())
            gc.collect()

        codes = {{code_of(child(in_child)) for _ in range({dose(5, 200)})}}
        print(codes)
        for task in objects.get("tasks", ()):
            assert len(await task) == 100000
        if "request" in objects:
            objects["request"].close()
        objects.clear()
        await db.close()
    asyncio.run(main())
    """
    ends_well(program, tmp_path, "{0}\n", seconds=dose(30, 300))
    assert set(stored(tmp_path / "child.db")) == {1}
    assert stored(tmp_path / "test.db")[:3000] == list(range(1, 3001))


LEAVING = {
    "os._exit": "os._exit(3)",
    "sys.exit": "sys.exit(3)",
    "end of the loop": "code = 3",
}


@pytest.mark.parametrize("leave", sorted(LEAVING))
@pytest.mark.parametrize("waiting", [False, True])
def test_child_leaves_a_coroutine_of_the_parents_loop(tmp_path, leave, waiting):
    # The child shares the parent's descriptors. Who reads the wake-up there, wakes nobody.
    program = f"""
    code = None
    async def main():
        global code, pid
        db = await open_table()
        tasks = []
        if {waiting}:
            tasks = [asyncio.ensure_future(db.execute_fetchall(NUMBERS.format(50000)))
                     for _ in range(3)]
            await asyncio.sleep(0)
        pid = os.fork()
        if pid == 0:
            for task in tasks:
                task.cancel()
            {LEAVING[leave]}
            return
        for task in tasks:
            assert len(await task) == 50000
        await db.execute("insert into t values (1)")
        code = code_of(pid)
        await db.execute("insert into t values (2)")
        await db.close()

    asyncio.run(main())
    if pid == 0:
        sys.exit(code)
    print(code)
    """
    ends_well(program, tmp_path, "3\n")
    assert stored(tmp_path / "test.db") == [1, 2]


@pytest.mark.parametrize("ending", ["return 1", "raise SystemExit(7)", "os._exit(7)"])
def test_child_that_a_callback_forks_never_goes_on_with_the_statement(tmp_path, ending):
    program = f"""
    async def main():
        async with table() as db:
            def fork():
                global pid
                pid = os.fork()
                if pid == 0:
                    {ending}
                return code_of(pid)
            await db.create_function("fork", 0, fork)
            await db.execute("insert into t select fork() from (select 1 union all select 2)")
            await db.execute("insert into t values (0)")
    asyncio.run(main())
    """
    ends_well(program, tmp_path)
    code = 7 if "_exit" in ending else 1
    assert stored(tmp_path / "test.db") == [code, code, 0]


@pytest.mark.parametrize("where", ["callback", "_execute", "inline"])
def test_child_that_is_forked_in_the_middle_may_use_a_connection_of_its_own(tmp_path, where):
    program = f"""
    def fork():
        def in_child():
            async def own():
                async with table("child.db") as db:
                    await db.execute("insert into t values (1)")
            asyncio.run(own())
            try:
                asyncio.run(inherited.execute("select 1").__await__().__next__())
            except csqlite.ProgrammingError as error:
                assert "fork" in str(error)
                return 5
        return code_of(child(in_child))

    async def main():
        global inherited
        async with table(check_same_thread=False) as inherited:
            if {where!r} == "_execute":
                print(await inherited._execute(fork))
                return
            await inherited.create_function("fork", 0, fork)
            if {where!r} == "callback":
                print(*(await inherited.execute_fetchall("select fork()"))[0])
            else:
                print(*inherited._conn.execute("select fork()").fetchone())
    asyncio.run(main())
    """
    ends_well(program, tmp_path, "5\n")
    assert stored(tmp_path / "child.db") == [1]


def test_forking_in_threads_of_a_process_with_several_loops(tmp_path):
    program = """
    failures = []

    def work(number):
        async def use(name):
            async with table(f"{name}{number}.db") as db:
                await db.execute("insert into t values (1)")
                await db.execute_fetchall(NUMBERS.format(1000))
        async def main():
            async with table(f"kept{number}.db") as kept:
                for _ in range(%d):
                    task = asyncio.ensure_future(kept.execute_fetchall(NUMBERS.format(5000)))
                    await asyncio.sleep(0)
                    pid = child(lambda: asyncio.run(use("child")))
                    await kept.execute("insert into t values (1)")
                    await task
                    code = await asyncio.get_running_loop().run_in_executor(None, code_of, pid)
                    failures.extend([code] if code else [])
        asyncio.run(main())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(failures)
    """
    ends_well(program.replace("%d", str(dose(4, 100))), tmp_path, "[]\n", seconds=dose(60, 300))
    for number in range(3):
        assert stored(tmp_path / f"kept{number}.db") == [1] * dose(4, 100)


# -- multiprocessing and exec -----------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(tmp_path, method):
    module = PRELUDE + dedent("""
    import multiprocessing

    async def write(name):
        async with csqlite.connect("test.db", isolation_level=None, timeout=60) as db:
            for number in range(20):
                await db.execute("insert into t values (?)", (f"{name}{number}",))
        return name

    def work(name):
        return asyncio.run(write(name))

    async def main():
        async with table() as db:
            with multiprocessing.get_context(%r).Pool(2) as pool:
                results = pool.map_async(work, ["a", "b", "c"])
                await write("parent")
                print(await asyncio.get_running_loop().run_in_executor(None, results.get, 60))

    if __name__ == "__main__":
        asyncio.run(main())
    """)
    (tmp_path / "program.py").write_text(module % method)
    done = run_program(
        "import runpy, sys; sys.argv = ['program.py']; sys.path.insert(0, '.');"
        "runpy.run_path('program.py', run_name='__main__')"
        if method == "fork"
        else "import program, asyncio; asyncio.run(program.main())",
        tmp_path,
        seconds=90,
    )
    assert (done.returncode, done.stdout, unexpected(done.stderr)) == (0, "['a', 'b', 'c']\n", [])
    assert sorted(stored(tmp_path / "test.db")) == sorted(
        f"{name}{number}" for name in ("a", "b", "c", "parent") for number in range(20)
    )


def test_program_that_is_started_inherits_no_descriptor(tmp_path):
    program = """
    async def main():
        async with table() as db:
            await db.execute("pragma journal_mode = wal")
            await db.execute("insert into t values (1)")
            done = subprocess.run([sys.executable, "-c", "import os; print(sorted("
                "os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
                " if os.path.exists(f'/proc/self/fd/{n}')))"],
                close_fds=False, capture_output=True, text=True, check=True)
            print("test.db" in done.stdout, "eventfd" in done.stdout)
    asyncio.run(main())
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("looks through /proc")
    ends_well(program, tmp_path, "False False\n")


def test_daemon_that_closes_all_descriptors(tmp_path):
    program = """
    def daemonize():
        if os.fork():
            os._exit(0)
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(3, 1024)

    async def work():
        async with table("daemon.db") as db:
            for number in range(50):
                await db.execute("insert into t values (?)", (number,))

    async def main():
        global db
        db = await open_table()
        cursor = await db.execute(NUMBERS.format(1000))
        await cursor.fetchone()
        return cursor

    def in_child():
        daemonize()
        asyncio.run(work())
        open("done", "x").close()

    loop = asyncio.new_event_loop()
    cursor = loop.run_until_complete(main())
    print(code_of(child(in_child)))
    for _ in range(2000):
        if os.path.exists("done"):
            break
        time.sleep(0.01)
    loop.run_until_complete(db.execute("insert into t values (1)"))
    loop.run_until_complete(db.close())
    loop.close()
    """
    ends_well(program, tmp_path, "0\n")
    assert stored(tmp_path / "daemon.db") == list(range(50))
    assert stored(tmp_path / "test.db") == [1]
