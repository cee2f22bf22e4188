"""csqlite.timeout() where a block does not begin and end like brackets: generators, other tasks."""

import asyncio
import contextlib
import gc
import weakref

import pytest

import csqlite
from csqlite.deadlines import remaining

ROWS = "select 1 union all select 2 union all select 3"


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


def watch():
    """Return what the loop is told from now on that nobody catches."""
    found = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: found.append(context.get("exception") or context["message"])
    )
    return found


async def limited(db, seconds, seen=None):
    """Give the rows of a query under a limit, and note what is left of it before each."""
    async with csqlite.timeout(seconds), db.execute(ROWS) as cursor:
        async for (row,) in cursor:
            if seen is not None:
                seen.append(remaining())
            yield row


async def test_who_iterates_is_not_limited(db):
    seen = []
    async for _ in limited(db, 60, seen):
        assert remaining() is None
        assert await db.execute_fetchall("select 1") == [(1,)]
    assert remaining() is None
    assert len(seen) == 3
    assert all(0 < left <= 60 for left in seen)


async def test_generator_goes_on_with_its_limit(db):
    async def late():
        with csqlite.timeout(0):
            yield 1
            await db.execute("select 1")

    generator = late()
    assert await generator.__anext__() == 1
    await db.execute("select 1")
    with pytest.raises(csqlite.DeadlineExceeded):
        await generator.__anext__()
    assert remaining() is None


def test_generator_that_is_not_asynchronous():
    def steps():
        with csqlite.timeout(60):
            yield remaining()
            yield remaining()

    made = steps()
    assert next(made) > 0
    assert remaining() is None
    assert next(made) > 0
    assert list(made) == []
    assert remaining() is None


async def test_block_in_what_the_generator_awaits(db):
    inner = csqlite.timeout(60)

    async def begin():
        await inner.__aenter__()

    async def generator():
        await begin()
        yield remaining()
        yield remaining()
        await inner.__aexit__(None, None, None)
        yield remaining()

    seen = []
    async for left in generator():
        seen.append(left)
        assert remaining() is None
    assert [left is None for left in seen] == [False, False, True]


@contextlib.asynccontextmanager
async def by_contextlib(seconds):
    async with csqlite.timeout(seconds):
        yield


@contextlib.contextmanager
def by_contextlib_plainly(seconds):
    with csqlite.timeout(seconds):
        yield


class ByClass:
    """A context manager of one's own."""

    def __init__(self, seconds):
        self.limit = csqlite.timeout(seconds)

    async def __aenter__(self):
        await self.limit.__aenter__()

    async def __aexit__(self, *error):
        await self.limit.__aexit__(*error)


@contextlib.asynccontextmanager
async def nested(seconds):
    with by_contextlib_plainly(seconds):
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(by_contextlib(seconds))
            yield


@contextlib.asynccontextmanager
async def plainly(seconds):
    with by_contextlib_plainly(seconds):
        yield


MANAGERS = [by_contextlib, plainly, nested, ByClass, csqlite.timeout]


@pytest.mark.parametrize("manager", MANAGERS)
async def test_context_manager_limits_the_block_it_is_used_for(db, manager):
    async with manager(0):
        with pytest.raises(csqlite.DeadlineExceeded):
            await db.execute("select 1")
    assert remaining() is None
    await db.execute("select 1")


@pytest.mark.parametrize("manager", MANAGERS)
async def test_context_manager_in_a_generator(db, manager):
    async def generator():
        async with manager(60):
            yield remaining()
            yield remaining()

    async for left in generator():
        assert left > 0
        assert remaining() is None


async def test_limits_of_both(db):
    async def generator():
        with csqlite.timeout(60):
            yield remaining()
            yield remaining()

    made = generator()
    assert 30 < await made.__anext__() <= 60
    with csqlite.timeout(20):
        assert remaining() <= 20
        assert await made.__anext__() <= 20
        assert [left async for left in made] == []
        assert 0 < remaining() <= 20
    assert remaining() is None


async def test_generator_that_is_closed_inside_a_later_block(db):
    made = limited(db, 30)
    await made.__anext__()
    with csqlite.timeout(60):
        await made.aclose()
        assert 30 < remaining() <= 60
    assert remaining() is None


async def test_blocks_that_end_in_the_order_in_which_they_began():
    first, second, third = (csqlite.timeout(seconds) for seconds in (20, 40, 60))
    for limit in (first, second, third):
        limit.__enter__()
    first.__exit__(None, None, None)
    assert 20 < remaining() <= 40
    second.__exit__(None, None, None)
    assert 40 < remaining() <= 60
    third.__exit__(None, None, None)
    assert remaining() is None


async def test_generators_that_take_turns(db):
    made = [limited(db, seconds) for seconds in (20, 40, 60)]
    for generator in made:
        await generator.__anext__()
        assert remaining() is None
    for generator in (made[1], made[0], made[2]):
        await generator.aclose()
        assert remaining() is None


# -- other tasks


async def in_task(awaitable):
    """Await in a task of its own."""

    async def run():
        return await awaitable

    return await asyncio.ensure_future(run())


async def test_generator_closed_by_another_task(db):
    complaints = watch()
    made = limited(db, 60)
    await made.__anext__()
    await in_task(made.aclose())
    assert remaining() is None
    await db.execute("select 1")
    assert complaints == []


async def test_every_step_in_a_task_of_its_own(db):
    made = limited(db, 60)
    assert [await in_task(made.__anext__()) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(StopAsyncIteration):
        await in_task(made.__anext__())
    assert remaining() is None


async def test_generator_left_to_the_collector(db):
    complaints = watch()
    for _ in range(20):
        made = limited(db, 60)
        await made.__anext__()
        del made
        gc.collect()
        assert remaining() is None
    await asyncio.sleep(0)
    await db.execute("select 1")
    assert complaints == []


@pytest.mark.parametrize("manager", MANAGERS)
async def test_block_that_another_task_leaves(db, manager):
    stack = contextlib.AsyncExitStack()
    await stack.enter_async_context(manager(0))
    with pytest.raises(csqlite.DeadlineExceeded):
        await db.execute("select 1")
    await in_task(stack.aclose())
    assert remaining() is None
    await db.execute("select 1")


async def test_task_that_leaves_the_block_is_free_of_it(db):
    stack = contextlib.AsyncExitStack()
    await stack.enter_async_context(csqlite.timeout(0))

    async def leave():
        assert remaining() == 0.0
        await stack.aclose()
        assert remaining() is None
        await db.execute("select 1")

    await asyncio.ensure_future(leave())


async def leave_a_generator(db):
    made = limited(db, 0)
    with contextlib.suppress(csqlite.DeadlineExceeded):
        await made.__anext__()
    await in_task(made.aclose())


async def leave_a_generator_to_the_collector(db):
    async def generator():
        with csqlite.timeout(0):
            yield 1

    made = generator()
    await made.__anext__()
    del made
    gc.collect()
    await asyncio.sleep(0)


async def leave_in_another_task(db):
    stack = contextlib.AsyncExitStack()
    await stack.enter_async_context(csqlite.timeout(0))
    await in_task(stack.aclose())


async def leave_out_of_order(db):
    first, second = csqlite.timeout(0), csqlite.timeout(60)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)


@pytest.mark.parametrize(
    "leave",
    [
        leave_a_generator,
        leave_a_generator_to_the_collector,
        leave_in_another_task,
        leave_out_of_order,
    ],
)
async def test_tasks_that_begin_behind_the_block_are_free_of_it(db, leave):
    await leave(db)
    await asyncio.gather(ask(db), in_task(ask(db)), asyncio.ensure_future(ask(db)))
    async with csqlite.timeout(60):
        await asyncio.gather(ask(db), in_task(ask(db)))
    await db.execute("select 1")


async def test_block_left_where_the_limit_never_was(db):
    stack = contextlib.AsyncExitStack()
    await in_task(stack.enter_async_context(csqlite.timeout(0)))
    assert remaining() is None
    await stack.aclose()
    assert remaining() is None


async def test_tasks_that_the_generator_starts_are_limited(db):
    async def generator():
        with csqlite.timeout(0):
            yield await asyncio.gather(in_task(ask(db)), ask(db), return_exceptions=True)

    async for found in generator():
        assert [type(error) for error in found] == [csqlite.DeadlineExceeded] * 2


async def ask(db):
    await db.execute("select 1")


async def test_task_started_inside_keeps_the_limit_when_the_block_has_ended(db):
    go = asyncio.Event()

    async def later():
        await go.wait()
        await db.execute("select 1")

    with csqlite.timeout(0):
        task = asyncio.ensure_future(later())
        await asyncio.sleep(0)
    go.set()
    with pytest.raises(csqlite.DeadlineExceeded):
        await task


async def test_blocks_left_elsewhere_do_not_pile_up():
    for _ in range(100):
        limit = csqlite.timeout(60)
        await limit.__aenter__()
        await in_task(limit.__aexit__(None, None, None))
    last = csqlite.timeout(60)
    with last:
        assert last._limit.outer == 0


async def test_limit_keeps_nothing_alive(db):
    class Large:
        pass

    async def generator():
        large = Large()
        seen.append(weakref.ref(large))
        with csqlite.timeout(60):
            yield 1

    seen = []
    made = generator()
    await made.__anext__()
    await made.aclose()
    del made
    gc.collect()
    assert seen[0]() is None


# -- dumps


@pytest.mark.parametrize("ending", ["aclose", "collected", "another task"])
async def test_half_read_dump_says_nothing_when_it_is_late(db, ending):
    complaints = watch()
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(i,) for i in range(5000)])
    await db.commit()
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def hold():
        await held.wait()
        return 1

    await db.create_function("hold", 0, hold)
    dump = db.iterdump()
    await dump.__anext__()
    holding = asyncio.ensure_future(db.execute("select hold()"))
    await asyncio.sleep(0)
    loop.call_later(0.2, held.set)
    with csqlite.timeout(0.05):
        if ending == "aclose":
            await dump.aclose()
        elif ending == "another task":
            await in_task(dump.aclose())
        else:
            del dump
            gc.collect()
            await asyncio.sleep(0)
    await holding
    await db.execute("select 1")
    assert complaints == []


@pytest.mark.parametrize("seconds", [-1e-300, -5e-324, -1e-10, -1])
@pytest.mark.parametrize("call", ["execute", "execute_fetchall", "commit", "fetchone"])
async def test_a_deadline_that_is_negative_by_a_little(db, call, seconds):
    cursor = await db.execute("select 1")
    owner = cursor if call.startswith("fetch") else db
    arguments = ("select 1",) if "execute" in call else ()
    with pytest.raises(ValueError, match="cannot be negative"):
        await getattr(owner, call)(*arguments, deadline=seconds)


@pytest.mark.parametrize("seconds", [-0.0, 0.0, 0])
async def test_a_deadline_of_nothing_is_not_negative(db, seconds):
    with pytest.raises(csqlite.DeadlineExceeded):
        await db.execute("select 1", deadline=seconds)


@pytest.mark.parametrize("seconds", [-1e-300, -1])
async def test_a_timeout_that_is_negative_begins_nothing(db, seconds):
    with csqlite.timeout(seconds), pytest.raises(csqlite.DeadlineExceeded):
        await db.execute("select 1")
