"""What is dropped, closed twice, closed in the middle, or left to the generators' hooks."""

import asyncio
import contextlib
import gc
import os
import shutil
import threading
import warnings

import pytest
from parity.outcomes import scalar

import csqlite

SECONDS = 20
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


@pytest.fixture(autouse=True)
def silence(capfd):
    """Nothing of all this may print, nor warn but of a connection that was not closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
    assert capfd.readouterr() == ("", "")


async def open_table(path, **options):
    db = await csqlite.connect(path, isolation_level=None, **options)
    await db.execute("pragma synchronous = off")
    await db.execute("create table if not exists t (a)")
    return db


async def can_be_had_alone(path):
    """Say whether nothing is left that locks the file."""
    async with csqlite.connect(path, isolation_level=None, timeout=0) as other:
        await other.execute("begin exclusive")
        await other.execute("rollback")
        return True


async def everything_open(db, target):
    """Give what can be open on a connection, all of it in the middle of something."""
    await db.execute("insert into t values (zeroblob(100000))")
    await db.execute(f"insert into t {NUMBERS.format(2000)}")
    cursor = await db.execute("select a from t")
    await cursor.fetchone()
    dump = db.iterdump()
    await dump.__anext__()
    blob = await db.blobopen("t", "a", 1)
    await blob.read(10)
    backup = db._backup(target, "main")
    objects = [cursor, dump, blob, backup]
    with contextlib.suppress(csqlite.NotSupportedError):
        objects.append(await db.session())
    return objects


@pytest.mark.parametrize("how", ["close", "stop", "forgotten", "objects first"])
async def test_connection_with_everything_open_ends(path, how):
    target = await csqlite.connect(":memory:")
    db = await open_table(path)
    objects = await everything_open(db, target)
    thread = db._thread
    if how == "close":
        await db.close()
    elif how == "stop":
        await asyncio.wait_for(db.stop(), SECONDS)
    elif how == "objects first":
        objects.clear()
        gc.collect()
        await asyncio.sleep(0)
        await db.close()
    else:
        db = None
        objects.clear()
        for _ in range(200):
            gc.collect()
            if not thread.is_alive():
                break
            await asyncio.sleep(0.01)
    await asyncio.to_thread(thread.join, SECONDS)
    assert not thread.is_alive()
    await target.close()
    assert await can_be_had_alone(path)
    os.unlink(path)
    for item in objects:
        for method in ("close", "aclose"):
            if hasattr(item, method):
                with contextlib.suppress(ValueError, csqlite.Error):
                    await getattr(item, method)()
    objects.clear()
    shutil.rmtree(path.parent)
    os.mkdir(path.parent)


async def test_closing_while_every_kind_of_work_is_under_way(path):
    async with csqlite.connect(":memory:") as target:
        for turn in range(0, 8, 2):
            db = await open_table(path)
            await db.execute(f"insert into t {NUMBERS.format(1000)}")
            tasks = [
                asyncio.ensure_future(work)
                for work in (
                    db.execute_fetchall(NUMBERS.format(20000)),
                    db.executemany("insert into t values (?)", [(1,)] * 100),
                    db.executescript("insert into t values (1); select 1; delete from t"),
                    db.backup(target),
                    db.execute("insert into t values (1)"),
                )
            ]
            for _ in range(turn):
                await asyncio.sleep(0)
            closing = [asyncio.ensure_future(db.close()) for _ in range(3)]
            results = await asyncio.wait_for(
                asyncio.gather(*tasks, return_exceptions=True), SECONDS
            )
            assert await asyncio.gather(*closing) == [None] * 3
            for result in results:
                assert not isinstance(result, BaseException) or isinstance(
                    result, (ValueError, csqlite.Error)
                )
            assert await can_be_had_alone(path)


async def test_stopping_twice_from_other_threads_with_work_queued(path):
    db = await open_table(path)
    requests = [db.execute("insert into t values (?)", (number,)) for number in range(100)]
    await db.create_function("unused", 0, int)  # Else an answer might be waited for.
    for request in requests:
        request.send(None)
    stopping = [threading.Thread(target=db.stop) for _ in range(4)]
    for thread in stopping:
        thread.start()
    for thread in stopping:
        await asyncio.to_thread(thread.join)
    await asyncio.to_thread(db._thread.join, SECONDS)
    assert not db._thread.is_alive()
    assert db.stop() is not None  # A loop runs here: a future tells.
    async with csqlite.connect(path) as other:
        assert await scalar(other, "select count(*) from t") == 100


HALF_WAY = {
    "aclose": lambda items: items.aclose(),
    "athrow": lambda items: items.athrow(LookupError),
    "dropped": lambda items: asyncio.sleep(0.01),
}


@pytest.mark.parametrize("source", ["cursor", "dump", "own generator"])
@pytest.mark.parametrize("way", sorted(HALF_WAY))
async def test_iteration_that_is_left_half_way(path, source, way):
    async with opened_table(path) as db:
        await db.execute(f"insert into t {NUMBERS.format(5000)}")

        async def own():
            async with db.execute("select a from t") as cursor:
                async for row in cursor:
                    yield row

        async def rows():
            async for row in await db.execute("select a from t"):
                yield row

        items = {"cursor": rows, "dump": db.iterdump, "own generator": own}[source]()
        await items.__anext__()
        with contextlib.suppress(LookupError):
            await HALF_WAY[way](items if way != "dropped" else None)
        del items
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
        await db._execute(int)
        assert await can_be_had_alone(path)


@contextlib.asynccontextmanager
async def opened_table(path):
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("pragma synchronous = off")
        await db.execute("create table t (a)")
        yield db


@pytest.mark.parametrize("closed", [False, True])
def test_generators_that_the_loop_shuts_down(path, closed, caplog):
    async def main():
        db = await open_table(path)
        await db.execute(f"insert into t {NUMBERS.format(5000)}")

        async def rows():
            async with db.execute("select a from t") as cursor:
                async for row in cursor:
                    yield row

        kept = [rows(), db.iterdump(), db.iterdump()]
        for generator in kept:
            await generator.__anext__()
        if closed:
            del kept[0]  # Its `async with` says that the connection is closed, as it should.
            gc.collect()
            await asyncio.sleep(0.01)
            await db.close()
        return db, kept

    db, kept = asyncio.run(main())  # Shuts down what is half-way.
    assert caplog.records == []
    assert asyncio.run(can_be_had_alone(path))
    asyncio.run(db.close())
    del kept


def test_connection_that_two_runs_share(path):
    db = asyncio.run(open_table(path))
    cursor = asyncio.run(send(db.execute(NUMBERS.format(1000))))
    assert asyncio.run(send(cursor.fetchone())) == (1,)
    assert len(asyncio.run(send(cursor.fetchall()))) == 999
    asyncio.run(send(db.execute("insert into t values (1)")))
    asyncio.run(db.close())
    assert asyncio.run(can_be_had_alone(path))


async def send(request):
    return await request


def test_loop_that_is_stopped_in_the_middle_and_closed(path):
    loop = asyncio.new_event_loop()
    db = loop.run_until_complete(open_table(path))
    cursor = loop.run_until_complete(send(db.execute(NUMBERS.format(10**6))))
    task = loop.create_task(send(cursor.fetchall()))
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    task._log_destroy_pending = False
    loop.close()
    del task, loop
    gc.collect()
    assert asyncio.run(send(db.execute_fetchall("select 1"))) == [(1,)]
    asyncio.run(db.close())
    assert asyncio.run(can_be_had_alone(path))


def test_threads_whose_loops_die_with_a_connection_open(path):
    dead = []

    def work():
        loop = asyncio.new_event_loop()
        db = loop.run_until_complete(open_table(path, timeout=SECONDS))
        loop.run_until_complete(send(db.execute("insert into t values (1)")))
        dead.append(db._thread)
        loop.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    gc.collect()
    for thread in dead:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert len(dead) == 8
    assert asyncio.run(can_be_had_alone(path))


async def test_body_that_is_never_entered(path):
    csqlite.connect(path)
    manager = csqlite.connect(path)
    entering = manager.__aenter__()
    entering.close()
    del manager, entering
    gc.collect()
    assert not path.exists()


async def test_garbage_of_every_kind_at_once(path):
    for _ in range(3):
        db = await open_table(path, timeout=SECONDS)
        holder = [db]
        await db.create_function("f", 0, lambda: 1)
        await db.set_trace_callback(lambda sql: None)
        db.row_factory = lambda cursor, row, holder=holder: row
        holder.append(await db.execute("select f() from t"))
        holder.append(db.execute_fetchall("select 1"))
        holder[-1].close()
        holder.append(asyncio.ensure_future(db.execute_fetchall("select 1")))
        await holder[-1]
        holder[-1].add_done_callback(holder.append)
        thread = db._thread
        del db, holder
        await asyncio.sleep(0)  # The loop holds what it is about to call.
        gc.collect()
        await asyncio.to_thread(thread.join, SECONDS)
        assert not thread.is_alive()
    assert await can_be_had_alone(path)
