"""No descriptor, no thread, no disk left to have: a clear exception, and all goes on afterwards."""

import sys
from textwrap import dedent

import pytest
from processes import run_program, sound, stored, unexpected

pytest.importorskip("resource")

PRELUDE = """
import asyncio, os, resource, sys, threading
import csqlite

async def open_table(path="test.db"):
    db = await csqlite.connect(path, isolation_level=None)
    await db.execute("pragma synchronous = off")
    await db.execute("create table if not exists t (a)")
    return db

def take_descriptors(left=0):
    # Open files until no more than `left` can be had.
    taken = []
    while True:
        try:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            for _ in range(left):
                os.close(taken.pop())
            return taken

resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


def ends_well(program, directory, output="", **options):
    done = run_program(PRELUDE + dedent(program), directory, **options)
    assert (done.returncode, done.stdout, unexpected(done.stderr)) == (0, output, [])


def test_no_descriptor_for_the_database(tmp_path):
    program = """
    async def main():
        db = await open_table()
        for left in range(4):
            taken = take_descriptors(left)
            for _ in range(20):
                try:
                    async with csqlite.connect("other.db") as other:
                        await other.execute("create table if not exists t (a)")
                except csqlite.OperationalError as error:
                    if str(error) != "unable to open database file":
                        print(error)
            for descriptor in taken:
                os.close(descriptor)
            await db.execute("insert into t values (?)", (left,))
        async with csqlite.connect("other.db") as other:
            await other.execute("create table if not exists t (a)")
        await db.close()
    asyncio.run(main())
    """
    ends_well(program, tmp_path)
    assert stored(tmp_path / "test.db") == [0, 1, 2, 3]


def test_no_descriptor_to_wake_the_loop(tmp_path):
    program = """
    async def fail(make):
        taken = take_descriptors()
        try:
            await make()
        except OSError as error:
            assert not isinstance(error, csqlite.Error)
            print(type(error).__name__, error.errno)
        finally:
            for descriptor in taken:
                os.close(descriptor)
    async def connect():
        await csqlite.connect(":memory:")
    async def main():
        await fail(connect)
        async with csqlite.connect("test.db", isolation_level=None) as db:
            await db.execute("create table t (a)")
            await db.execute("insert into t values (1)")
            # Another loop needs one of its own.
            def work():
                async def elsewhere():
                    await fail(lambda: db.execute("insert into t values (2)"))
                    await db.execute("insert into t values (3)")
                asyncio.run(elsewhere())
            await asyncio.get_running_loop().run_in_executor(None, work)
            await db.execute("insert into t values (4)")
    asyncio.run(main())
    """
    ends_well(program, tmp_path, "OSError 24\nOSError 24\n")
    assert stored(tmp_path / "test.db") == [1, 3, 4]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_no_thread_for_the_worker(tmp_path):
    # RLIMIT_NPROC does not bind root; a stack for which there is no room fails for anyone.
    program = """
    async def main():
        db = await open_table()
        before = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm") as statm:
            size = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + 4 * 1024 * 1024, before[1]))
        try:
            for _ in range(3):
                try:
                    await csqlite.connect("other.db")
                except RuntimeError as error:
                    print(error)
                await db.execute("insert into t values (1)")
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        async with csqlite.connect("other.db") as other:
            await other.execute("create table t (a)")
        await db.close()
    asyncio.run(main())
    """
    ends_well(program, tmp_path, "can't start new thread\n" * 3)
    assert stored(tmp_path / "test.db") == [1, 1, 1]
    assert stored(tmp_path / "other.db") == []


def test_all_descriptors_closed_under_a_running_program(tmp_path):
    # Its loop is beyond help, and so are its connections. Nothing may crash.
    program = """
    started = threading.Event()
    async def main():
        db = await open_table()
        await db.create_function("started", 0, lambda: started.set() or 0)
        request = db.execute_fetchall("with recursive n(i) as (select started() union all"
                                      " select i + 1 from n limit 3000000) select count(*) from n")
        request.send(None)
        assert started.wait(20)
        os.closerange(3, 64)
        await asyncio.sleep(20)
    try:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
    except OSError as error:
        print(error.errno)
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False
    """
    ends_well(program, tmp_path, "9\n")
    assert sound(tmp_path / "test.db") == []
