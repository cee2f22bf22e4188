"""Many loops in many threads on few connections, all of them busy: no answer goes astray."""

import asyncio
import itertools
import random
import sqlite3
import threading

import pytest
from doses import PATIENCE, dose
from parity.outcomes import outcome, scalar
from processes import comes_to, descriptors, least, threads

import csqlite

SECONDS = dose(60, 600) * PATIENCE
NUMBERS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select {} from n"
)

pytestmark = pytest.mark.seconds(dose(90, 1200))


@pytest.fixture
def db():
    return csqlite.connect(":memory:", isolation_level=None)


async def in_threads(count, awaitable_of):
    """Run `awaitable_of(number)` in loops of `count` threads, all at once; return the results."""
    barrier = threading.Barrier(count, timeout=SECONDS)

    async def run(number):
        barrier.wait()
        return await asyncio.wait_for(awaitable_of(number), SECONDS)

    return await asyncio.gather(
        *[asyncio.to_thread(asyncio.run, run(number)) for number in range(count)]
    )


class Asker:
    """One task: each question carries who asks and its number, and so does the answer."""

    def __init__(self, db, thread, task):
        self.db = db
        self.id = thread * 1000 + task
        self.random = random.Random(self.id)
        self.number = 0

    async def small(self):
        me = (self.id, self.number)
        assert await self.db.execute_fetchall("select ?, ?", me) == [me]

    async def named(self):
        me = {"who": self.id, "number": self.number}
        cursor = await self.db.execute("select :who, :number, 'é' || :who", me)
        assert await cursor.fetchone() == (self.id, self.number, f"é{self.id}")
        assert await cursor.fetchone() is None

    async def stream(self):
        count = self.random.choice([1, 65, 700, 9000])
        sql = NUMBERS.format(count, "?, ?, i")
        rows = await self.db.execute_fetchall(sql, (self.id, self.number))
        assert rows == [(self.id, self.number, i) for i in range(1, count + 1)]

    async def iterate(self):
        stop = self.random.choice([1, 70, 200])
        sql = NUMBERS.format(200, "?, i")
        async with self.db.execute(sql, (self.id,)) as cursor:
            expected = 1
            async for who, i in cursor:
                assert (who, i) == (self.id, expected)
                if i == stop:
                    break
                expected += 1

    async def write(self):
        me = (self.id, self.number)
        cursor = await self.db.execute("insert into t (who, number) values (?, ?)", me)
        assert cursor.rowcount == 1
        rows = await self.db.execute_fetchall(
            "select who, number from t where rowid = ?", (cursor.lastrowid,)
        )
        assert rows == [me]

    async def write_many(self):
        me = (self.id, self.number)
        rows = (me for _ in range(self.random.choice([1, 300])))
        await self.db.executemany("insert into many (who, number) values (?, ?)", rows)

    async def fail(self):
        found = await outcome(self.db.execute(f"select * from missing_{self.id}_{self.number}"))
        assert found == (
            sqlite3.OperationalError,
            f"no such table: missing_{self.id}_{self.number}",
        )

    async def call(self):
        assert await scalar(self.db, "select twice(?)", (self.id,)) == 2 * self.id

    async def raise_in_a_callback(self):
        found = await outcome(self.db.execute("select broken(?)", (self.id,)))
        assert found == (
            sqlite3.OperationalError,
            "user-defined function raised exception",
        )

    async def cancel(self):
        task = asyncio.ensure_future(
            self.db.execute_fetchall(NUMBERS.format(50000, "?, i"), (self.id,))
        )
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)
        task.cancel()
        try:
            rows = await task
        except asyncio.CancelledError:
            return
        assert rows[-1] == (self.id, 50000)

    async def forget(self):
        cursor = await self.db.execute(NUMBERS.format(300, "?"), (self.id,))
        assert await cursor.fetchone() == (self.id,)

    async def work(self, rounds):
        """Ask `rounds` questions of all kinds; return how many rows were inserted one by one."""
        kinds = [
            *(self.small, self.named, self.stream, self.iterate, self.write, self.write_many),
            *(self.fail, self.call, self.raise_in_a_callback, self.cancel, self.forget),
        ]
        written = 0
        for self.number in range(rounds):
            kind = self.random.choice(kinds)
            await kind()
            written += kind == self.write
        return written


async def prepare(db):
    await db.executescript(
        "create table t (who, number); create table many (who, number);"
        "create table log (at integer primary key, who, number);"
    )
    await db.create_function("twice", 1, lambda value: 2 * value)
    await db.create_function("broken", 1, lambda value: 1 / 0)


async def test_answers_of_every_kind_reach_who_asked(db):
    loops, tasks, rounds = 4, 6, dose(25, 2000)
    await prepare(db)

    async def work(thread):
        return await asyncio.gather(
            *[Asker(db, thread, task).work(rounds) for task in range(tasks)]
        )

    written = await in_threads(loops, work)
    rows = await db.execute_fetchall("select who, count(*) from t group by who")
    assert dict(rows) == {
        thread * 1000 + task: count
        for thread, counts in enumerate(written)
        for task, count in enumerate(counts)
        if count
    }
    assert await scalar(db, "select count(*) from t") == sum(map(sum, written))


async def test_each_tasks_order_is_kept_while_others_fill_the_queue(db):
    loops, tasks, rounds = 4, 5, dose(40, 2000)
    await prepare(db)

    async def ask(who):
        for number in range(0, rounds, 2):
            # Two at once: what was asked first is done first.
            await asyncio.gather(
                *[
                    db.execute("insert into log (who, number) values (?, ?)", (who, number + i))
                    for i in range(2)
                ]
            )
            if number % 10 == 0:
                await asyncio.sleep(0)

    async def work(thread):
        await asyncio.gather(*[ask(thread * 100 + task) for task in range(tasks)])

    await in_threads(loops, work)
    rows = await db.execute_fetchall("select who, number from log order by at")
    assert len(rows) == loops * tasks * rounds
    for thread, task in itertools.product(range(loops), range(tasks)):
        who = thread * 100 + task
        assert [number for asker, number in rows if asker == who] == list(range(rounds))


async def test_several_connections_serve_several_loops(tmp_path):
    loops, rounds = 4, dose(15, 1000)
    dbs = [
        await csqlite.connect(tmp_path / f"{n}.db", isolation_level=None, timeout=SECONDS)
        for n in range(3)
    ]
    for db in dbs:
        await db.execute("pragma synchronous = off")
        await prepare(db)

    async def work(thread):
        # Each task has the connections in another order.
        return await asyncio.gather(
            *[Asker(dbs[task % 3], thread, task).work(rounds) for task in range(6)]
        )

    written = await in_threads(loops, work)
    for number, db in enumerate(dbs):
        expected = sum(count for counts in written for count in counts[number::3])
        assert await scalar(db, "select count(*) from t") == expected
        await db.close()


async def test_loops_come_and_go_while_others_work(db):
    rounds = dose(40, 2000)
    await prepare(db)
    stop = threading.Event()

    async def steady():
        count = 0
        while not stop.is_set():
            await Asker(db, 90, count).work(5)
            count += 1
        return count

    async def abandoned(thread, number):
        """End the loop with requests under way: nobody takes their answers."""
        for request in [
            db.execute_fetchall(NUMBERS.format(20000, "i")),
            db.execute("select 1"),
        ]:
            request.send(None)
        return await scalar(db, "select ?", (thread * 1000 + number,))

    def come_and_go(thread):
        for number in range(rounds):
            loop = asyncio.new_event_loop()
            try:
                waiting = asyncio.wait_for(abandoned(thread, number), SECONDS)
                found = loop.run_until_complete(waiting)
            finally:
                loop.close()
            assert found == thread * 1000 + number

    counting = asyncio.ensure_future(asyncio.to_thread(asyncio.run, steady()))
    try:
        await asyncio.gather(*[asyncio.to_thread(come_and_go, thread) for thread in range(3)])
    finally:
        stop.set()
    assert await asyncio.wait_for(counting, SECONDS) > 0
    assert await scalar(db, "select 'here'") == "here"


async def test_loops_under_load_leave_no_thread_and_no_descriptor(db):
    await prepare(db)

    async def work(thread):
        return await Asker(db, thread, 0).work(dose(10, 100))

    await in_threads(4, work)
    before = least(threads), descriptors()
    for _ in range(dose(3, 50)):
        await in_threads(4, work)
    assert (comes_to(threads, before[0]), descriptors()) == before
