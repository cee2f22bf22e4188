"""How a task waits: it sleeps unless nothing else is to be done, and wakes in the loop's turn."""

import asyncio
import contextvars
import functools
import gc
import inspect
import statistics
import threading
import weakref

import pytest
from parity.outcomes import fetchall, scalar

import csqlite

SECONDS = 20

# Long enough that nobody waits for it awake.
SLOW = "with recursive n(i) as (select 1 union all select i + 1 from n limit 300000) select sum(i) from n"
SLOW_SUM = 300000 * 300001 // 2

variable = contextvars.ContextVar("variable")


def with_db(test):
    """Let a test have an open connection as `db`."""

    @functools.wraps(test)
    async def run(**arguments):
        async with csqlite.connect(":memory:") as db:
            await test(db, **arguments)

    signature = inspect.signature(test)
    others = [p for name, p in signature.parameters.items() if name != "db"]
    run.__signature__ = signature.replace(parameters=others)
    return run


async def waiter_of(db):
    """Give a request that is under way, and what it yielded to its task."""
    request = db.execute_fetchall(SLOW)
    return request, request.send(None)


async def end(request, waiter):
    """Await what is left of a request that was sent by hand."""
    await asyncio.wait_for(_wait(waiter), SECONDS)
    with pytest.raises(StopIteration) as stop:
        request.send(None)
    return stop.value.value


async def _wait(waiter):
    return await waiter


# -- others are not kept waiting ------------------------------------------------


@with_db
async def test_a_callback_that_is_due_runs_before_long(db):
    for _ in range(50):
        called = []
        asyncio.get_running_loop().call_soon(called.append, 1)
        for _ in range(10_000):
            assert await scalar(db, "select 1") == 1
            if called:
                break
        assert called == [1]


@with_db
async def test_a_task_that_keeps_the_loop_busy_does_not_keep_the_others(db):
    turns = 0

    async def burn():
        nonlocal turns
        while True:
            turns += 1
            sum(range(100_000))
            await asyncio.sleep(0)

    burner = asyncio.ensure_future(burn())
    await asyncio.sleep(0)
    needed = []
    for i in range(200):
        before = turns
        assert await scalar(db, f"select {i}") == i
        needed.append(turns - before)
    burner.cancel()
    # Most of the time: where the machine is busy, the worker may have to wait for a CPU.
    assert turns > 0
    assert statistics.median(needed) <= 2


@with_db
async def test_a_task_that_never_stops_asking_lets_others_run(db):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1
            await asyncio.sleep(0.001)

    ticker = asyncio.ensure_future(tick())
    end = asyncio.get_running_loop().time() + SECONDS
    while ticks < 10 and asyncio.get_running_loop().time() < end:
        await scalar(db, "select 1")
    ticker.cancel()
    assert ticks >= 10


@with_db
async def test_tasks_that_ask_at_the_same_time_get_their_own_answers(db):
    async def ask(number):
        return [await scalar(db, f"select {number} + {i}") for i in range(20)]

    answers = await asyncio.gather(*[ask(1000 * n) for n in range(50)])
    assert answers == [[1000 * n + i for i in range(20)] for n in range(50)]


@with_db
async def test_small_questions_between_slow_answers(db):
    slow = [asyncio.ensure_future(scalar(db, SLOW)) for _ in range(3)]
    for _ in range(20):
        assert await scalar(db, "select 7") == 7
    assert await asyncio.gather(*slow) == [SLOW_SUM] * 3


@with_db
async def test_an_error_is_raised_whether_or_not_the_task_slept(db):
    for _ in range(20):
        with pytest.raises(csqlite.OperationalError, match="no such table: missing"):
            await db.execute("select * from missing")
        asyncio.get_running_loop().call_soon(int)
        with pytest.raises(csqlite.OperationalError, match="no such table: missing"):
            await db.execute("select * from missing")


async def test_two_connections_answer_one_task_in_turn():
    async with csqlite.connect(":memory:") as one, csqlite.connect(":memory:") as two:
        for i in range(200):
            assert await scalar(one, f"select {i}") == i
            assert await scalar(two, f"select -{i}") == -i


@with_db
async def test_a_callback_of_the_worker_is_not_waited_for_with_the_gil_held(db):
    await db.create_function("answer", 0, lambda: 42)
    for _ in range(20):
        assert await asyncio.wait_for(scalar(db, "select answer()"), SECONDS) == 42


def test_threads_with_loops_of_their_own_share_a_connection():
    db = asyncio.run(_connected())
    failures = []

    def work(base):
        async def ask():
            for i in range(200):
                if await scalar(db, f"select {base + i}") != base + i:
                    failures.append(base + i)

        asyncio.run(ask())

    threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert failures == []
    asyncio.run(db.close())


async def _connected():
    return await csqlite.connect(":memory:")


# -- waking ------------------------------------------------------------------------


@with_db
async def test_a_task_wakes_in_its_own_context(db):
    async def ask(value):
        variable.set(value)
        await scalar(db, SLOW)
        assert variable.get() == value
        variable.set(-value)
        await scalar(db, "select 1")
        return variable.get()

    variable.set("outside")
    assert await asyncio.gather(*[ask(n) for n in range(1, 6)]) == [-1, -2, -3, -4, -5]
    assert variable.get() == "outside"


@with_db
async def test_a_task_that_wakes_is_the_current_one(db):
    async def ask():
        await scalar(db, SLOW)
        return asyncio.current_task()

    task = asyncio.ensure_future(ask())
    assert await task is task


@with_db
async def test_what_a_task_forgets_when_it_wakes_is_gone(db):
    connection = await csqlite.connect(":memory:")
    reference = weakref.ref(connection)
    await scalar(connection, SLOW)
    await connection.close()
    del connection
    gc.collect()
    assert reference() is None


def test_a_task_that_exits_the_loop_does_not_take_the_others_answers():
    loop = asyncio.new_event_loop()
    db = loop.run_until_complete(_connected())
    release = threading.Event()
    loop.run_until_complete(db.create_function("block", 0, lambda: release.wait(SECONDS) and 1))

    async def leave():
        await scalar(db, "select block()")
        raise SystemExit(3)

    async def stay():
        return await scalar(db, "select 'here'")

    leaving = loop.create_task(leave())
    staying = [loop.create_task(stay()) for _ in range(5)]
    loop.call_later(0.05, release.set)
    with pytest.raises(SystemExit):
        loop.run_until_complete(leaving)
    assert loop.run_until_complete(asyncio.gather(*staying)) == ["here"] * 5
    loop.run_until_complete(db.close())
    loop.close()


@with_db
async def test_python_s_own_task_waits_as_well(db):
    task = asyncio.tasks._PyTask(scalar(db, SLOW), loop=asyncio.get_running_loop())
    assert await asyncio.wait_for(task, SECONDS) == SLOW_SUM
    task = asyncio.tasks._PyTask(fetchall(db, SLOW), loop=asyncio.get_running_loop())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await scalar(db, "select 1") == 1


# -- the waiter is a future to whoever knows futures ------------------------------------


@with_db
async def test_a_waiter_passes_for_a_future(db):
    request, waiter = await waiter_of(db)
    assert asyncio.isfuture(waiter)
    assert waiter.get_loop() is asyncio.get_running_loop()
    assert not waiter.done() and not waiter.cancelled()
    with pytest.raises(asyncio.InvalidStateError):
        waiter.result()
    assert await end(request, waiter) == [(SLOW_SUM,)]
    assert waiter.done() and not waiter.cancelled()
    assert waiter.result() is None
    assert waiter.cancel() is False


@with_db
async def test_every_callback_of_a_waiter_is_called_once_in_its_context(db):
    request, waiter = await waiter_of(db)
    seen = []
    contexts = []
    for number in range(3):
        context = contextvars.copy_context()
        context.run(variable.set, number)
        contexts.append(context)
        waiter.add_done_callback(
            lambda fut, number=number: seen.append((number, variable.get(), fut is waiter)),
            context=context,
        )
    await end(request, waiter)
    await asyncio.sleep(0)
    assert sorted(seen) == [(0, 0, True), (1, 1, True), (2, 2, True)]
    late = asyncio.get_running_loop().create_future()
    waiter.add_done_callback(late.set_result)
    assert await late is waiter


@with_db
async def test_callbacks_of_a_waiter_can_be_removed(db):
    request, waiter = await waiter_of(db)
    seen = []

    def first(_):
        seen.append("first")

    def second(_):
        seen.append("second")

    for callback in (first, second, second, first):
        waiter.add_done_callback(callback)
    assert waiter.remove_done_callback(first) == 2
    assert waiter.remove_done_callback(first) == 0
    await end(request, waiter)
    await asyncio.sleep(0)
    assert seen == ["second", "second"]


@with_db
async def test_a_cancelled_waiter_tells_its_task_so(db):
    request, waiter = await waiter_of(db)
    assert waiter.cancel("enough") is True
    assert waiter.cancel() is False
    assert waiter.done() and waiter.cancelled()
    with pytest.raises(asyncio.CancelledError, match="enough"):
        waiter.result()
    request.close()
    assert await scalar(db, "select 1") == 1


@pytest.mark.parametrize("args", [(), (1, 2)])
@with_db
async def test_add_done_callback_takes_one_callback(db, args):
    request, waiter = await waiter_of(db)
    with pytest.raises(TypeError):
        waiter.add_done_callback(*args)
    with pytest.raises(TypeError):
        waiter.add_done_callback(print, contest=None)
    request.close()


RESULTS = {
    "nothing": (lambda db: db.commit(), None),
    "nothing, at once": (lambda db: db.set_authorizer(None), None),
    "a value": (lambda db: db.execute_fetchall("select 1"), [(1,)]),
    "a tuple": (lambda db: db._execute(tuple, (1, 2)), (1, 2)),
}


@pytest.mark.parametrize("name", list(RESULTS))
@with_db
async def test_what_is_iterated_by_hand_gives_what_await_gives(db, name):
    # As await does itself since Python 3.12.
    request, result = RESULTS[name]
    iterator = request(db).__await__()
    with pytest.raises(StopIteration) as stop:
        while True:
            waiter = next(iterator)
            if waiter is None:
                await asyncio.sleep(0)
            else:
                await asyncio.wait_for(_wait(waiter), SECONDS)
    assert stop.value.value == result
    assert await request(db) == result
