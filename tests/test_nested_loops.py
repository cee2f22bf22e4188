"""A loop that is run within a step of one of its own tasks, as notebooks do, and other hosts."""

import asyncio
import contextlib
import heapq
import importlib.util
import subprocess
import sys
import textwrap
import time

import pytest
from doses import PATIENCE

import csqlite

SECONDS = 20 * PATIENCE

SLOW = (
    "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select sum(i) from n"
)
MANY = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


def run_within(loop, awaitable):
    """Run the loop, within a step of a task of it, until that is done; give its result.

    That is what nest_asyncio does: the running task is set aside meanwhile.
    """
    task = asyncio.current_task(loop)
    counted = len(loop._ready)
    inner = asyncio.ensure_future(awaitable, loop=loop)
    asyncio.tasks._leave_task(loop, task)
    try:
        while not inner.done():
            loop._run_once()
    finally:
        asyncio.tasks._enter_task(loop, task)
        # The iteration around this one has counted what was ready, and takes as many.
        for _ in range(counted - len(loop._ready)):
            loop.call_soon(int)
    return inner.result()


class NestableLoop(asyncio.SelectorEventLoop):
    """A loop that counts nothing beforehand: asyncio's own calls as many as there were, though a
    loop within one of the calls may have made them.
    """

    def _run_once(self):
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
        timeout = 0 if self._ready or self._stopping else None
        if timeout is None and self._scheduled:
            timeout = max(0, self._scheduled[0]._when - self.time())
        self._process_events(self._selector.select(timeout))
        end = self.time() + self._clock_resolution
        while self._scheduled and self._scheduled[0]._when < end:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            self._ready.append(handle)
        for _ in range(len(self._ready)):
            if not self._ready:
                break
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()


def run(main):
    loop = NestableLoop()
    # An iteration that hangs would wait in the selector for ever; this lets the test fail.
    guard = loop.call_later(SECONDS, fail)
    try:
        return loop.run_until_complete(main)
    finally:
        guard.cancel()
        loop.close()


def fail():
    raise SystemExit("a loop within the loop hangs")


def turn(loop, awaitable):
    """Run the loop until that is done, where no task of it is in a step: in a row factory."""
    inner = asyncio.ensure_future(awaitable, loop=loop)
    while not inner.done():
        loop._run_once()


async def scalar(db, sql):
    return (await db.execute_fetchall(sql))[0][0]


@pytest.fixture(params=[10, 3000, 200000])
def size(request):
    """Of a query: so small that it is waited for awake, and so large that it is not."""
    return request.param


def test_the_same_connection(size):
    async def main():
        loop = asyncio.get_running_loop()
        async with csqlite.connect(":memory:") as db:
            for _ in range(5):
                await scalar(db, SLOW.format(size))  # The task is woken by csqlite.
                assert run_within(loop, scalar(db, SLOW.format(size))) == size * (size + 1) // 2

    run(main())


def test_another_connection(size):
    async def inner():
        async with csqlite.connect(":memory:") as db:
            return await scalar(db, SLOW.format(size))

    async def main():
        loop = asyncio.get_running_loop()
        async with csqlite.connect(":memory:") as db:
            for _ in range(3):
                await scalar(db, SLOW.format(size))
                assert run_within(loop, inner()) == size * (size + 1) // 2

    run(main())


def test_within_a_loop_within_a_loop():
    async def deeper(db, depth):
        await scalar(db, SLOW.format(3000))
        if depth == 0:
            return 0
        return 1 + run_within(asyncio.get_running_loop(), deeper(db, depth - 1))

    async def main():
        async with csqlite.connect(":memory:") as db:
            assert await deeper(db, 5) == 5

    run(main())


def test_answers_that_came_together_with_the_one_that_runs_the_loop():
    async def main():
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            dbs = [await stack.enter_async_context(csqlite.connect(":memory:")) for _ in range(4)]

            async def ask(db):
                return await scalar(db, SLOW.format(3000))

            async def ask_and_run(db, others):
                await ask(db)
                return run_within(loop, asyncio.wait(others))

            for _ in range(5):
                others = [asyncio.ensure_future(ask(db)) for db in dbs[1:]]
                runner = asyncio.ensure_future(ask_and_run(dbs[0], others))
                await asyncio.sleep(0)
                time.sleep(0.01)  # All have come by now, most likely: one turn takes them in.
                done, pending = await runner
                assert len(done) == 3 and not pending

    run(main())


def test_rows_that_are_half_taken_in():
    async def main():
        loop = asyncio.get_running_loop()
        async with csqlite.connect(":memory:") as large, csqlite.connect(":memory:") as small:
            rows = asyncio.ensure_future(large.execute_fetchall(MANY.format(200000)))
            await asyncio.sleep(0)
            while not rows.done():
                await scalar(small, SLOW.format(3000))
                if not rows.done():
                    run_within(loop, asyncio.wait([rows]))
            assert len(rows.result()) == 200000

    run(main())


def test_deadlines_go_on():
    endless = SLOW.format(10**12)

    async def main():
        loop = asyncio.get_running_loop()
        async with csqlite.connect(":memory:") as one, csqlite.connect(":memory:") as two:

            async def end(db):
                with pytest.raises(csqlite.DeadlineExceeded):
                    await db.execute_fetchall(endless, deadline=0.02)

            second = asyncio.ensure_future(end(two))
            await end(one)  # Woken by the timer, or by the worker.
            run_within(loop, asyncio.wait([second]))
            run_within(loop, end(one))
            assert second.done()

    run(main())


@pytest.mark.parametrize("how", ["cancelled", "late"])
@pytest.mark.parametrize("rows", [300, 30000])
def test_task_ends_though_its_row_factory_runs_the_loop(rows, how):
    # Its context is entered meanwhile, in which the loop would have it go on.
    async def main():
        loop = asyncio.get_running_loop()
        tasks = []

        def factory(cursor, row):
            if row == (1,):
                if how == "cancelled":
                    tasks[0].cancel()
                turn(loop, asyncio.sleep(0.05))
            return row

        async with csqlite.connect(":memory:") as db:
            db.row_factory = factory
            deadline = 0.03 if how == "late" else None
            tasks.append(
                asyncio.ensure_future(db.execute_fetchall(MANY.format(rows), deadline=deadline))
            )
            await asyncio.sleep(0)  # Something else is to be done, so nobody waits awake.
            await asyncio.wait(tasks)
            if how == "cancelled":
                assert tasks[0].cancelled()
            elif tasks[0].exception() is None:
                assert len(tasks[0].result()) == rows
            else:
                assert isinstance(tasks[0].exception(), csqlite.DeadlineExceeded)
            db.row_factory = None
            assert await scalar(db, "select 1") == 1

    run(main())


def test_cancelling_within():
    async def main():
        loop = asyncio.get_running_loop()
        async with csqlite.connect(":memory:") as db:
            await scalar(db, SLOW.format(3000))

            async def inner():
                task = asyncio.ensure_future(db.execute_fetchall(SLOW.format(10**12)))
                await asyncio.sleep(0.01)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                return await scalar(db, "select 1")

            assert run_within(loop, inner()) == 1

    run(main())


PROGRAM = """
import asyncio, faulthandler
import nest_asyncio
nest_asyncio.apply()
import csqlite
faulthandler.dump_traceback_later(20, exit=True)

NUMBERS = "with recursive c(i) as (select 1 union all select i + 1 from c where i < 3000) select i from c"

async def inner(db):
    return await db.execute_fetchall("select 1")

async def other():
    async with csqlite.connect(":memory:") as second:
        return await inner(second)

async def main():
    async with csqlite.connect(":memory:") as db:
        await db.execute("create table t (x)")
        for _ in range(20):
            await db.execute("insert into t " + NUMBERS)
            HOW
    print("done")

asyncio.run(main())
"""

HOWS = {
    "run_until_complete": "asyncio.get_event_loop().run_until_complete(inner(db))",
    "run": "asyncio.run(inner(db))",
    "other connection": "asyncio.get_event_loop().run_until_complete(other())",
    "sleep": "asyncio.get_event_loop().run_until_complete(asyncio.sleep(0.001))",
    "gather": "asyncio.run(asyncio.wait_for(asyncio.gather(inner(db), other(), inner(db)), 10))",
}


def need(package):
    """Skip where a package is not installed. It is not imported here: it patches asyncio."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def run_program(program):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize("how", HOWS)
def test_nest_asyncio(how):
    need("nest_asyncio")
    assert run_program(PROGRAM.replace("HOW", HOWS[how])) == ("done", "")


@pytest.mark.parametrize("imports", ["trio_asyncio, csqlite", "csqlite, trio_asyncio"])
def test_trio_asyncio_in_either_order(imports):
    need("trio_asyncio")
    program = f"""
        import asyncio
        import {imports}
        async def main():
            async with csqlite.connect(":memory:") as db:
                async with csqlite.timeout(10):
                    await db.execute("create table t (a)")
                    await db.executemany("insert into t values (?)", ((i,) for i in range(3000)))
                rows = await db.execute_fetchall("select a from t")
                cut = asyncio.ensure_future(db.execute_fetchall("{SLOW.format(10**12)}"))
                await asyncio.sleep(0.01)
                cut.cancel()
                await asyncio.wait([cut])
                return len(rows)
        print(trio_asyncio.run(trio_asyncio.aio_as_trio(main)))
    """
    assert run_program(program)[0] == "3000"


def test_who_tells_the_running_loop_may_be_replaced(monkeypatch):
    asked = []
    get_running_loop = asyncio.get_running_loop

    def ask():
        asked.append(1)
        return get_running_loop()

    async def main():
        monkeypatch.setattr(asyncio, "get_running_loop", ask)
        async with csqlite.connect(":memory:") as db:
            assert await scalar(db, "select 1") == 1

    run(main())
    assert asked
