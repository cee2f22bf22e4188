"""Signals: Ctrl-C at any moment, handlers that raise, storms of them."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from textwrap import dedent

import pytest
from doses import dose
from processes import many, run_program, sound, unexpected

import csqlite

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

VICTIM = """
import asyncio, signal, sys
import csqlite

# What a shell has put into the background ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"
which, path = sys.argv[1:]

async def main():
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("pragma synchronous = off")
        await db.execute("create table if not exists t (a integer primary key, b)")
        await db.create_function("f", 1, lambda n: n + 1)

        async def write():
            while True:
                async with csqlite.connect(path, timeout=30) as own:
                    await own.execute("insert into t (b) values (0)")
                    await own.executemany("insert into t (b) values (?)", ((n,) for n in range(20)))
                    await own.commit()

        async def read():
            while True:
                async with db.execute("select a, f(b) from t limit 500") as cursor:
                    async for row in cursor:
                        pass
                db.row_factory = lambda cursor, row: tuple(row)
                await db.execute_fetchall("select a, b from t limit 3000")

        async def read_much():
            while True:
                await db.execute_fetchall(NUMBERS.format(50000))

        async def copy():
            while True:
                async for line in db.iterdump():
                    pass
                async with csqlite.connect(":memory:") as target:
                    await db.backup(target)

        tasks = {"write": write, "read": read, "read much": read_much, "copy": copy}
        print("ready", flush=True)
        await asyncio.gather(*[task() for name, task in tasks.items() if which in (name, "all")])

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_interrupt_at_a_random_moment(tmp_path):
    (tmp_path / "victim.py").write_text(VICTIM)

    def once(number):
        chance = random.Random(number)
        which = chance.choice(["write", "read", "read much", "copy", "all"])
        path = tmp_path / f"{number}.db"
        with subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "victim.py", which, str(path)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(chance.random() * 0.3)
            process.send_signal(signal.SIGINT)
            try:
                output, errors = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                return number, which, "hangs"
        # A signal may also come while asyncio.run() or the interpreter ends.
        allowed = (output == "interrupted\n" and process.returncode == 0) or (
            process.returncode in (1, -signal.SIGINT) and "KeyboardInterrupt" in errors
        )
        # Before 3.11 asyncio.run() does not cancel: the exception is raised wherever it may be.
        noisy = sys.version_info >= (3, 11) and "never" in errors
        wrong = noisy or "Fatal" in errors or sound(path)
        return number, which, "fine" if allowed and not wrong else (output, errors, wrong)

    found = many(once, dose(10, 300))
    assert [result for result in found if result[2] != "fine"] == []


def test_second_interrupt_at_a_random_moment_neither_crashes_nor_harms(tmp_path):
    # The second one raises KeyboardInterrupt between any two bytecodes, also asyncio's own,
    # which then may lose a callback: a program of asyncio alone can hang so. Of csqlite it is
    # asked that it hears what comes later, that nothing crashes, and that the file is sound.
    (tmp_path / "victim.py").write_text(VICTIM)

    def once(number):
        chance = random.Random(number)
        which = chance.choice(["write", "read", "read much", "copy"])
        path = tmp_path / f"{number}.db"
        with subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "victim.py", which, str(path)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "ready\n"
            hung = False
            for pause in (chance.random() * 0.2, chance.random() * 0.02, 10, 10):
                try:
                    process.wait(pause)
                except subprocess.TimeoutExpired:
                    hung = pause == 10
                    process.send_signal(signal.SIGINT)
            try:
                _, errors = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                return number, which, "hangs in spite of a fourth interrupt", hung
        fine = process.returncode in (0, 1, -signal.SIGINT) and "Fatal" not in errors
        wrong = sound(path)
        return number, which, "fine" if fine and not wrong else (process.returncode, errors), hung

    found = many(once, dose(8, 300))
    assert [result for result in found if result[2] != "fine"] == []


class Refusing(asyncio.SelectorEventLoop):
    """A loop whose call_soon() fails once, as where a signal handler has raised in it."""

    refuse = None  # a text that the callback's repr() has

    def call_soon(self, callback, *args, context=None):
        if self.refuse is not None and self.refuse in repr(callback):
            self.refuse = None
            raise LookupError("refused")
        return super().call_soon(callback, *args, context=context)


def run_refusing(main):
    loop = Refusing()
    errors = []
    loop.set_exception_handler(lambda loop, context: errors.append(context["exception"]))
    try:
        loop.run_until_complete(asyncio.wait_for(main(loop), 60))
    finally:
        loop.close()
    return [str(error) for error in errors]


def test_rest_of_a_result_needs_no_call_that_could_fail():
    numbers = (
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 100000)"
        " select i, 'text ' || i from n"
    )

    async def main(loop):
        async with csqlite.connect(":memory:") as db:
            loop.refuse = "Waker"
            for _ in range(5):
                assert len(await db.execute_fetchall(numbers)) == 100000

    assert run_refusing(main) == []


def test_task_whose_cancellation_failed_still_hears_of_its_answer():
    async def main(loop):
        entered, release = threading.Event(), threading.Event()
        async with csqlite.connect(":memory:") as db:
            await db.create_function("wait", 0, lambda: entered.set() or release.wait(20))

            async def fetch():
                return await db.execute_fetchall("select wait()")

            task = asyncio.ensure_future(fetch())
            await loop.run_in_executor(None, entered.wait, 20)
            loop.refuse = "_tell"
            with pytest.raises(LookupError):
                task.cancel()
            release.set()
            assert await task == [(1,)]

    assert run_refusing(main) == []


def test_call_that_asyncios_loop_has_lost_is_made_up_for(tmp_path):
    # A handler that raises between popleft() and the call makes the loop forget it. The
    # descriptor is readable still, so the loop comes again.
    async def main():
        loop = asyncio.get_running_loop()
        async with csqlite.connect(":memory:") as db:
            rows = db.execute_fetchall(
                "with recursive n(i) as (select 1 union all select i + 1 from n limit 300000)"
                " select i, 'text ' || i from n"
            )
            task = asyncio.ensure_future(rows)
            lost = 0
            while lost < 3:
                await asyncio.sleep(0)
                for place, handle in enumerate(loop._ready):
                    if "Waker" in repr(handle):
                        loop._ready[place] = asyncio.Handle(int, (), loop)
                        lost += 1
                        break
            assert len(await asyncio.wait_for(db.execute_fetchall("select 1"), 20)) == 1
            assert len(await asyncio.wait_for(task, 20)) == 300000

    asyncio.run(main())


def test_storm_of_signals_during_queries_and_the_end(tmp_path):
    # At its very end Python takes its handlers away; until then the signals come. How many come
    # meanwhile is the machine's affair, so the queries go on until they were enough.
    program = """
    import asyncio, atexit, signal, threading
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
    import csqlite
    count = 0
    def count_up(signum, frame):
        global count
        count += 1
    signal.signal(signal.SIGALRM, count_up)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    async def main():
        global kept
        async with csqlite.connect("test.db", isolation_level=None) as db:
            await db.execute("pragma synchronous = off")
            await db.execute("pragma journal_mode = wal")
            await db.execute("create table t (a)")
            number = 0
            while number < 20 or count < 20:
                await db.executemany("insert into t values (?)", [(number,)] * 10)
                rows = await db.execute_fetchall("select a from t")
                number += 1
                assert len(rows) == 10 * number
            async with csqlite.connect("copy.db") as copy:
                await db.backup(copy)
            await db.execute("vacuum")
        kept = await csqlite.connect("test.db", isolation_level=None)
        for _ in range(10):
            kept.execute("insert into t values (-1)").send(None)
    asyncio.run(main())
    print("done")
    """
    done = run_program(dedent(program), tmp_path, options=("-W", "ignore"))
    assert (done.returncode, done.stdout, unexpected(done.stderr)) == (0, "done\n", [])
    assert sound(tmp_path / "test.db") == []
    assert sound(tmp_path / "copy.db") == []


def test_handler_that_stops_the_program_in_order(tmp_path):
    program = """
    import asyncio, os, signal
    import csqlite
    async def main():
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        async with csqlite.connect("test.db", isolation_level=None) as db:
            await db.execute("create table t (a)")
            number = 0
            while not stopping.is_set():
                await db.execute("insert into t values (?)", (number,))
                number += 1
                if number == 100:
                    os.kill(os.getpid(), signal.SIGTERM)
        print("stopped")
    asyncio.run(main())
    """
    done = run_program(dedent(program), tmp_path, options=("-W", "error"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")
    assert sound(tmp_path / "test.db") == []


def test_handler_that_exits_in_the_middle_of_a_query(tmp_path):
    program = """
    import asyncio, os, signal, sys, threading
    import csqlite
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(4))
    async def main():
        db = await csqlite.connect("test.db", isolation_level=None)
        await db.execute("create table t (a)")
        await db.execute("insert into t values (1)")
        await db.create_function("kill", 0, lambda: os.kill(os.getpid(), signal.SIGTERM) or 0)
        waking = asyncio.ensure_future(awake())
        await db.execute("with recursive n(i) as (select kill() union all select i + 1 from n)"
                         " select count(*) from n")
    async def awake():
        while True:
            await asyncio.sleep(0.01)
    asyncio.run(main())
    """
    done = run_program(dedent(program), tmp_path)
    assert (done.returncode, unexpected(done.stderr)) == (4, [])
    assert sound(tmp_path / "test.db") == []
