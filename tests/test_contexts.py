"""User code on the loop runs in the context in which its request was awaited, and in no other."""

import asyncio
import contextvars
import gc
import sqlite3
import sys
import threading
import weakref

import pytest

import csqlite

SECONDS = 20

tenant = contextvars.ContextVar("tenant", default="nobody")
left = contextvars.ContextVar("left", default=None)

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {})"

try:
    import uvloop
except ImportError:
    uvloop = None

LOOPS = [asyncio.SelectorEventLoop] + ([uvloop.new_event_loop] if uvloop else [])


def run(main, new_loop=asyncio.SelectorEventLoop):
    loop = new_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(main, SECONDS))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class Value:
    """What an adapter is asked for."""


sqlite3.register_adapter(Value, lambda value: tenant.get())
sqlite3.register_converter("tenant", lambda blob: tenant.get())

# Every piece of user code that csqlite calls on the loop: what opens the connection, and a
# function from a connection to the tenants that were seen.


async def row_factory(db):
    db.row_factory = lambda cursor, row: tenant.get()
    return await db.execute_fetchall(NUMBERS.format(3000) + " select i from n")


async def row_factory_of_a_cursor(db):
    async with db.cursor() as cursor:
        cursor.row_factory = lambda cursor, row: tenant.get()
        await cursor.execute(NUMBERS.format(3000) + " select i from n")
        return await cursor.fetchall()


async def row_factory_one_by_one(db):
    db.row_factory = lambda cursor, row: tenant.get()
    async with db.execute(NUMBERS.format(1500) + " select i from n") as cursor:
        return [row async for row in cursor]


async def text_factory(db):
    db.text_factory = lambda text: tenant.get()
    rows = await db.execute_fetchall(NUMBERS.format(3000) + " select 'x' || i from n")
    return [name for (name,) in rows]


async def converter(db):
    await db.execute("create table c (a tenant)")
    await db.execute("insert into c " + NUMBERS.format(2000) + " select 'x' from n")
    return [name for (name,) in await db.execute_fetchall("select a from c")]


async def adapter(db):
    rows = [await db.execute_fetchall("select ?", (Value(),)) for _ in range(20)]
    return [row[0][0] for row in rows]


async def iterator(db):
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", ((tenant.get(),) for _ in range(3000)))
    return [name for (name,) in await db.execute_fetchall("select a from t")]


async def adapter_in_an_iterator(db):
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", ((Value(),) for _ in range(3000)))
    return [name for (name,) in await db.execute_fetchall("select a from t")]


async def function_on_the_worker(db):
    await db.create_function("tenant", 0, tenant.get)
    return [
        name
        for (name,) in await db.execute_fetchall(NUMBERS.format(50) + " select tenant() from n")
    ]


async def with_a_deadline(db):
    db.row_factory = lambda cursor, row: tenant.get()
    async with csqlite.timeout(SECONDS):
        return await db.execute_fetchall(NUMBERS.format(3000) + " select i from n")


CALLS = [
    row_factory,
    row_factory_of_a_cursor,
    row_factory_one_by_one,
    text_factory,
    converter,
    adapter,
    iterator,
    adapter_in_an_iterator,
    function_on_the_worker,
    with_a_deadline,
]


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_it_sees_the_variables_of_the_task_that_awaits(call, new_loop):
    async def user(name):
        tenant.set(name)
        async with csqlite.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES) as db:
            return set(await call(db))

    async def main():
        names = ["alice", "bob", "carol"]
        assert await asyncio.gather(*map(user, names)) == [{name} for name in names]

    run(main(), new_loop)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_it_sees_them_on_one_connection_too(new_loop):
    async def user(db, name):
        tenant.set(name)
        seen = set()
        for _ in range(5):
            seen.update(await db.execute_fetchall(NUMBERS.format(2000) + " select i from n"))
        return seen

    async def main():
        async with csqlite.connect(":memory:") as db:
            db.row_factory = lambda cursor, row: tenant.get()
            names = [f"user {i}" for i in range(10)]
            assert await asyncio.gather(*(user(db, name) for name in names)) == [
                {name} for name in names
            ]

    run(main(), new_loop)


def test_what_it_sets_is_set_for_that_task_and_for_no_other():
    async def user(db, name):
        tenant.set(name)
        await db.execute_fetchall(NUMBERS.format(3000) + " select i from n")
        return left.get()

    async def bystander():
        for _ in range(200):
            await asyncio.sleep(0)
        return left.get()

    async def main():
        def factory(cursor, row):
            left.set(tenant.get())

        async with csqlite.connect(":memory:") as db:
            db.row_factory = factory
            found = await asyncio.gather(user(db, "alice"), bystander(), user(db, "bob"))
            assert found == ["alice", None, "bob"]
            assert left.get() is None
            # Who comes later, in a context of its own, sees nothing of it either.
            assert await asyncio.ensure_future(bystander()) is None

    run(main())


def test_a_request_driven_by_hand_has_the_context_in_which_it_was_sent():
    async def main():
        async with csqlite.connect(":memory:") as db:
            db.row_factory = lambda cursor, row: tenant.get()
            request = db.execute_fetchall(NUMBERS.format(3000) + " select i from n")
            context = contextvars.copy_context()
            context.run(tenant.set, "by hand")
            try:
                waiter = context.run(request.send, None)
            except StopIteration as stop:
                rows = stop.value
            else:
                while not waiter.done():
                    await asyncio.sleep(0.001)
                with pytest.raises(StopIteration) as stop:
                    request.send(None)
                rows = stop.value.value
            assert set(rows) == {"by hand"}
            assert tenant.get() == "nobody"

    run(main())


def test_a_callback_without_a_context_gets_that_of_who_added_it():
    # As with a future: not the one in which it happens to be settled.
    async def main():
        seen = []
        async with csqlite.connect(":memory:") as db:
            request = db.execute_fetchall(NUMBERS.format(300000) + " select sum(i) from n")
            waiter = request.send(None)
            context = contextvars.copy_context()
            context.run(tenant.set, "adder")
            context.run(waiter.add_done_callback, lambda waiter: seen.append(tenant.get()))
            context.run(waiter.add_done_callback, lambda waiter: seen.append(tenant.get()))
            while len(seen) < 2:
                await asyncio.sleep(0.001)
            with pytest.raises(StopIteration):
                request.send(None)
        assert seen == ["adder", "adder"]

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task's context can be given since 3.11")
def test_two_tasks_in_one_context():
    async def user(db):
        return set(await db.execute_fetchall(NUMBERS.format(3000) + " select i from n"))

    async def main():
        context = contextvars.copy_context()
        context.run(tenant.set, "both")
        loop = asyncio.get_running_loop()
        async with csqlite.connect(":memory:") as db:
            db.row_factory = lambda cursor, row: tenant.get()
            tasks = [loop.create_task(user(db), context=context) for _ in range(5)]
            assert await asyncio.gather(*tasks) == [{"both"}] * 5

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_eager_tasks():
    async def user(name):
        tenant.set(name)
        async with csqlite.connect(":memory:") as db:
            db.row_factory = lambda cursor, row: tenant.get()
            return set(await db.execute_fetchall(NUMBERS.format(3000) + " select i from n"))

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        names = ["alice", "bob", "carol"]
        assert await asyncio.gather(*map(user, names)) == [{name} for name in names]

    run(main())


def test_two_loops_on_one_connection():
    async def user(db, name):
        tenant.set(name)
        seen = set()
        for _ in range(20):
            seen.update(await db.execute_fetchall(NUMBERS.format(500) + " select i from n"))
        return seen

    async def main():
        found = []
        async with csqlite.connect(":memory:") as db:
            db.row_factory = lambda cursor, row: tenant.get()
            thread = threading.Thread(target=lambda: found.append(run(user(db, "other"))))
            thread.start()
            assert await user(db, "here") == {"here"}
            await asyncio.get_running_loop().run_in_executor(None, thread.join)
            assert found == [{"other"}]

    run(main())


# -- what holds a context ---------------------------------------------------------


class Thing:
    """Something that a context holds, such as a web request."""


def in_a_context(loop, coroutine_function, *arguments):
    """Run a task in whose context alone there is a Thing. Give the task and a weak reference."""
    thing = Thing()
    context = contextvars.copy_context()
    context.run(left.set, thing)
    task = context.run(loop.create_task, coroutine_function(*arguments))
    return task, weakref.ref(thing)


async def is_gone(reference):
    # What the loop is just running is let go in its next iteration.
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    return reference() is None


async def query(db):
    await db.execute("create table if not exists t (a)")
    await db.executemany("insert into t values (?)", ((i,) for i in range(1000)))
    await db.execute_fetchall(NUMBERS.format(200000) + " select i from n")


async def query_with_a_deadline(db):
    async with csqlite.timeout(3600):
        await query(db)


async def query_with_a_coroutine(db):
    async def answer():
        await asyncio.sleep(0)
        return 1

    await db.create_function("answer", 0, answer)
    await db.execute_fetchall("select answer()")
    await db.create_function("answer", 0, None)


async def be_cancelled(db):
    task = asyncio.ensure_future(
        db.execute_fetchall(NUMBERS.format(10**9) + " select sum(i) from n")
    )
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    await db.execute_fetchall("select 1")  # The worker has done with the other.


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize(
    "use", [query, query_with_a_deadline, query_with_a_coroutine, be_cancelled]
)
def test_the_first_tasks_context_does_not_live_as_long_as_the_loop(use, new_loop):
    async def main():
        loop = asyncio.get_running_loop()

        async def first():
            db = await csqlite.connect(":memory:")
            await use(db)
            return db

        task, reference = in_a_context(loop, first)
        db = await task
        del task
        assert await is_gone(reference)
        task, reference = in_a_context(loop, use, db)
        await task
        del task
        assert await is_gone(reference)
        await db.close()

    run(main(), new_loop)


def test_a_request_that_is_kept_holds_no_context():
    async def main():
        loop = asyncio.get_running_loop()
        kept = []

        async def keep(db):
            kept.append(db.execute_fetchall(NUMBERS.format(300000) + " select sum(i) from n"))
            await kept[0]

        async with csqlite.connect(":memory:") as db:
            task, reference = in_a_context(loop, keep, db)
            await task
            del task
            assert await is_gone(reference)

    run(main())
