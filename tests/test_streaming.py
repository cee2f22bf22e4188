"""Large results and large batches: complete, in order, within bounded memory, beside a loop that turns."""

import asyncio
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

SECONDS = 25
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"

# Every type, several widths of text, and a few rows that are much larger than their neighbours.
MIXED = """
    with recursive n(i) as (select 1 union all select i + 1 from n limit {})
    select i, i / 7.0, 'text ' || i, case i % 3 when 0 then 'häß€𝄞' || i end,
        case i % 5 when 0 then cast('bytes' || i as blob) end,
        case i % 997 when 0 then zeroblob(i % 300000) end,
        i * 100000000000 from n
"""


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


def stdlib_rows(sql):
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute(sql).fetchall()


class Ticks:
    """Counts the turns of the loop while its body runs."""

    async def __aenter__(self):
        self.count = 0
        self._task = asyncio.ensure_future(self._run())
        await asyncio.sleep(0)
        return self

    async def _run(self):
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def __aexit__(self, *args):
        self._task.cancel()


class Stalls:
    """Counts what happens between two turns of the loop; `most` is the worst."""

    def __init__(self, ticks):
        self.ticks = ticks
        self.seen = -1
        self.now = 0
        self.most = 0

    def count(self):
        if self.seen != self.ticks.count:
            self.seen = self.ticks.count
            self.now = 0
        self.now += 1
        self.most = max(self.most, self.now)


# -- what comes is what there is --------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 255, 256, 257, 5000, 40000])
async def test_large_results_are_those_of_sqlite3(db, size):
    expected = stdlib_rows(MIXED.format(size)) if size else []
    sql = MIXED.format(size)
    assert await db.execute_fetchall(sql) == expected
    async with db.execute(sql) as cursor:
        assert await cursor.fetchall() == expected
    async with db.execute(sql) as cursor:
        assert [row async for row in cursor] == expected
    async with db.execute(sql) as cursor:
        first = await cursor.fetchone()
        assert ([] if first is None else [first]) + await cursor.fetchall() == expected


@pytest.mark.parametrize("chunk", [1, 2, 64, 10000])
async def test_chunk_size_changes_nothing_but_the_crossings(chunk):
    expected = stdlib_rows(MIXED.format(3000))
    async with csqlite.connect(":memory:", iter_chunk_size=chunk) as db:
        async with db.execute(MIXED.format(3000)) as cursor:
            assert [row async for row in cursor] == expected
        async with db.execute(MIXED.format(3000)) as cursor:
            rows = []
            while len(rows) < 3000:
                rows.append(await cursor.fetchone())
                rows += await cursor.fetchmany(17)
                rows += [await cursor.__anext__()] if len(rows) < 3000 else []
            assert rows == expected
            assert await cursor.fetchone() is None
        async with db.execute(MIXED.format(3000)) as cursor:
            rows = []
            async for row in cursor:
                rows.append(row)
                if len(rows) == 100:
                    break
            assert rows + await cursor.fetchall() == expected


@pytest.mark.parametrize("chunk", [1, 2, 64, 10000])
@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257, 999, 1000, 1001])
async def test_fetchmany_around_the_edges_of_chunks(chunk, size):
    async with csqlite.connect(":memory:", iter_chunk_size=chunk) as db:
        cursor = await db.execute(NUMBERS.format(1000))
        seen = []
        while True:
            rows = await cursor.fetchmany(size)
            assert len(rows) == min(size, 1000 - len(seen))
            if not rows:
                break
            seen += rows
        assert seen == [(n,) for n in range(1, 1001)]


@pytest.mark.parametrize("chunk", [1, 64])
async def test_chunk_size_can_be_changed_between_two_fetches(chunk):
    async with csqlite.connect(":memory:", iter_chunk_size=chunk) as db:
        cursor = await db.execute(NUMBERS.format(1000))
        seen = []
        for size in (1, 500, 2, 64, 100000):
            cursor.iter_chunk_size = size
            for _ in range(10):
                seen.append(await cursor.fetchone())
        assert seen == [(n,) for n in range(1, 51)]


@pytest.mark.parametrize("megabytes", [1, 5, 60])
async def test_big_blobs_both_ways(db, megabytes):
    blob = bytes(range(256)) * (4096 * megabytes)
    await db.execute("create table t (a)")
    await db.execute("insert into t values (?)", (blob,))
    assert await scalar(db, "select a from t") == blob
    assert await db.execute_fetchall("select a, length(a) from t") == [(blob, len(blob))]


async def test_many_big_texts(db):
    texts = [chr(0x61 + n % 26) * 500_000 + ("é" if n % 2 else "") for n in range(40)]
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(text,) for text in texts])
    assert [text for (text,) in await db.execute_fetchall("select a from t")] == texts
    async with db.execute("select a from t") as cursor:
        assert [text async for (text,) in cursor] == texts


async def test_wide_rows(db):
    columns = ", ".join(f"i + {n}" for n in range(1900))
    rows = await db.execute_fetchall(f"select {columns} from ({NUMBERS.format(200)})")
    assert rows == [tuple(i + n for n in range(1900)) for i in range(1, 201)]


async def test_error_behind_many_rows(db):
    sql = f"select case i when 50000 then abs(-9223372036854775808) else i end from ({NUMBERS.format(60000)})"
    overflow = (sqlite3.OperationalError, "integer overflow")
    assert await outcome(db.execute_fetchall(sql)) == overflow
    cursor = await db.execute(sql)
    assert await outcome(cursor.fetchall()) == overflow
    seen = 0
    with pytest.raises(sqlite3.OperationalError, match="integer overflow"):
        async for _ in await db.execute(sql):
            seen += 1
    assert seen in (49998, 49999)  # In sqlite3 the error takes the place of the row before it.
    assert await scalar(db, "select 'here'") == "here"


async def test_value_that_cannot_be_decoded_behind_many_rows(db):
    sql = f"select case i when 50000 then cast(x'ff' as text) else 'a' end from ({NUMBERS.format(60000)})"
    assert (await outcome(db.execute_fetchall(sql)))[0] is sqlite3.OperationalError
    assert await scalar(db, "select 'here'") == "here"


# -- memory -----------------------------------------------------------------------


async def stand_still(counted):
    """Block the loop until the worker has stopped counting: it waits for the loop, or is done."""
    before = -1
    while before != counted[0]:
        before = counted[0]
        time.sleep(0.25)


@pytest.mark.parametrize("way", ["execute_fetchall", "cursor.fetchall"])
async def test_worker_waits_for_a_slow_loop(db, way):
    total, size = 2000, 100_000
    counted = [0]

    def count(number):
        counted[0] = number
        return number

    await db.create_function("count_row", 1, count)
    sql = f"select count_row(i), zeroblob({size}) from ({NUMBERS.format(total)})"
    if way == "execute_fetchall":
        task = asyncio.ensure_future(db.execute_fetchall(sql))
    else:
        task = asyncio.ensure_future((await db.execute(sql)).fetchall())
    while counted[0] < 2:
        await asyncio.sleep(0)
    taken = counted[0]
    await stand_still(counted)
    assert counted[0] - taken < 16_000_000 / size  # of 200 MB
    assert [number for number, _ in await task] == list(range(1, total + 1))


async def test_iteration_reads_no_more_than_is_asked_for(db):
    counted = [0]

    def count(number):
        counted[0] = number
        return number

    await db.create_function("count_row", 1, count)
    async with db.execute(f"select count_row(i) from ({NUMBERS.format(100000)})") as cursor:
        async for (number,) in cursor:
            # A chunk may be as large as all before it, and one chunk more.
            assert counted[0] <= 2 * number + 2 * 64
            if number == 1000:
                break
    await db.execute("select 1")
    assert counted[0] <= 2 * 1000 + 2 * 64


async def test_prefetched_bytes_are_bounded(db):
    counted = [0]

    def count(number):
        counted[0] = number
        return number

    await db.create_function("count_row", 1, count)
    async with db.execute(
        f"select count_row(i), zeroblob(1000000) from ({NUMBERS.format(64)})"
    ) as cursor:
        assert (await cursor.fetchone())[0] == 1
        await db._execute(int)
        assert counted[0] <= 8


async def test_rows_of_a_generator_are_not_taken_far_ahead(db):
    entered, release = threading.Event(), threading.Event()
    taken = [0]

    def block(number):
        if number == 1:
            entered.set()
            release.wait(SECONDS)
        return number

    def rows():
        for number in range(1, 301):
            taken[0] = number
            yield (number, b"x" * 1_000_000)

    await db.create_function("block", 1, block)
    await db.execute("create table t (a, b)")
    task = asyncio.ensure_future(
        db.executemany("insert into t values (block(?), length(?))", rows())
    )
    assert await asyncio.to_thread(entered.wait, SECONDS)
    before = -1
    while before != taken[0]:
        before = taken[0]
        for _ in range(2000):
            await asyncio.sleep(0)
    release.set()
    assert before < 50  # megabytes, of 300
    await task
    assert await fetchall(db, "select count(*), sum(b) from t") == [(300, 300_000_000)]


# -- turns ------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["execute_fetchall", "cursor.fetchall", "cursor.fetchmany"])
async def test_loop_turns_while_a_large_result_comes(db, way):
    total = 400_000
    sql = f"select i, i, i from ({NUMBERS.format(total)})"
    if way == "execute_fetchall":
        async with Ticks() as ticks:
            rows = await db.execute_fetchall(sql)
    else:
        cursor = await db.execute(sql)
        async with Ticks() as ticks:
            rows = await (
                cursor.fetchall() if way == "cursor.fetchall" else cursor.fetchmany(total)
            )
    assert len(rows) == total
    assert ticks.count > 40


async def test_few_rows_are_made_between_two_turns(db):
    total = 200_000
    cursor = await db.execute(NUMBERS.format(total))
    async with Ticks() as ticks:
        stalls = Stalls(ticks)

        def factory(cursor, row):
            stalls.count()
            return row

        cursor.row_factory = factory
        rows = await cursor.fetchall()
    assert len(rows) == total
    assert stalls.most < total / 20


async def test_slow_row_factory_gives_the_loop_its_turns(db):
    cursor = await db.execute(NUMBERS.format(300))
    async with Ticks() as ticks:
        stalls = Stalls(ticks)

        def factory(cursor, row):
            stalls.count()
            time.sleep(0.001)
            return row

        cursor.row_factory = factory
        assert len(await cursor.fetchall()) == 300
    assert stalls.most <= 64


@pytest.mark.parametrize("rows", ["generator", "list"])
async def test_loop_turns_while_many_rows_go_down(db, rows):
    total = 300_000
    await db.execute("create table t (a, b)")
    items = ((n, "text") for n in range(total))
    if rows == "list":
        items = list(items)
    async with Ticks() as ticks:
        await db.executemany("insert into t values (?, ?)", items)
    assert ticks.count > 40
    assert await fetchall(db, "select count(*), sum(a) from t") == [(total, sum(range(total)))]


async def test_few_rows_are_taken_between_two_turns(db):
    total = 200_000
    await db.execute("create table t (a)")
    async with Ticks() as ticks:
        stalls = Stalls(ticks)

        def rows():
            for number in range(total):
                stalls.count()
                yield (number,)

        await db.executemany("insert into t values (?)", rows())
    assert stalls.most < total / 20
    assert await scalar(db, "select count(*) from t") == total


async def test_slow_generator_gives_the_loop_its_turns(db):
    await db.execute("create table t (a)")
    async with Ticks() as ticks:
        stalls = Stalls(ticks)

        def rows():
            for number in range(300):
                stalls.count()
                time.sleep(0.001)
                yield (number,)

        await db.executemany("insert into t values (?)", rows())
    assert stalls.most <= 32
    assert await scalar(db, "select count(*) from t") == 300


async def test_small_queries_are_answered_before_a_large_one_of_another_connection_ends(db):
    done = []
    async with csqlite.connect(":memory:") as other:

        async def large():
            rows = await db.execute_fetchall(f"select i, i, i from ({NUMBERS.format(600_000)})")
            assert len(rows) == 600_000
            done.append("large")

        async def small():
            for number in range(20):
                assert await scalar(other, "select ?", (number,)) == number
                done.append(number)

        await asyncio.gather(large(), small())
    assert done == [*range(20), "large"]


async def test_two_large_results_take_turns(db):
    total = 300_000
    made = []
    async with csqlite.connect(":memory:") as other:

        async def large(name, connection):
            cursor = await connection.execute(NUMBERS.format(total))

            def factory(cursor, row):
                if row[0] % 1000 == 0:
                    made.append(name)
                return row

            cursor.row_factory = factory
            return await cursor.fetchall()

        one, two = await asyncio.gather(large("one", db), large("two", other))
    assert one == two == [(n,) for n in range(1, total + 1)]
    # Each has had a good part of its rows before the other had the last of its own.
    last = {name: len(made) - 1 - made[::-1].index(name) for name in ("one", "two")}
    assert made[: last["two"]].count("one") > 60
    assert made[: last["one"]].count("two") > 60


async def test_two_large_results_of_one_connection_come_one_after_the_other(db):
    one, small, two = await asyncio.gather(
        db.execute_fetchall(NUMBERS.format(200_000)),
        db.execute_fetchall("select 'small'"),
        db.execute_fetchall(NUMBERS.format(200_001)),
    )
    assert (len(one), small, len(two)) == (200_000, [("small",)], 200_001)


# -- executemany ------------------------------------------------------------------


class Untouched:
    """An iterator that must not be asked."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.taken += 1
        return (self.taken,)


@pytest.mark.parametrize(
    "sql",
    [
        "nonsense",
        "insert into missing values (?)",
        "insert into t values (?), (",
        "select ?",
        "insert into t values (?); select 1",
        "insert into t (missing) values (?)",
    ],
)
async def test_iterator_is_not_touched_for_a_statement_that_is_refused(db, sql):
    await db.execute("create table t (a)")
    rows = Untouched()
    found = await outcome(db.executemany(sql, rows))
    assert issubclass(found[0], (sqlite3.Error, sqlite3.Warning))
    assert rows.taken == 0
    assert not db.in_transaction


async def test_iterator_is_not_touched_for_a_cursor_or_connection_that_is_closed(path):
    rows = Untouched()
    async with csqlite.connect(path) as db:
        cursor = await db.cursor()
        await cursor.close()
        found = await outcome(cursor.executemany("insert into t values (?)", rows))
        assert found[0] is sqlite3.ProgrammingError
    assert (await outcome(db.executemany("insert into t values (?)", rows)))[0] is ValueError
    assert rows.taken == 0


async def test_iterator_that_raises_far_into_the_rows(db):
    def rows():
        for number in range(70_000):
            yield (number,)
        raise LookupError("no more")

    await db.execute("create table t (a)")
    assert await outcome(db.executemany("insert into t values (?)", rows())) == (
        LookupError,
        "no more",
    )
    assert await scalar(db, "select count(*) from t") == 70_000
    assert db.in_transaction


async def test_constraint_that_fails_far_into_the_rows_stops_the_iterator_soon(db):
    taken = [0]

    def rows():
        for number in range(1_000_000):
            taken[0] = number
            yield (number if number != 50_000 else 7,)

    await db.execute("create table t (a primary key)")
    found = await outcome(db.executemany("insert into t values (?)", rows()))
    assert found == (sqlite3.IntegrityError, "UNIQUE constraint failed: t.a")
    assert await scalar(db, "select count(*) from t") == 50_000
    assert taken[0] < 500_000


async def test_generator_that_uses_the_connection(db):
    # It runs on the loop, so it may start tasks; it cannot wait for them.
    tasks = []

    def rows():
        for number in range(5000):
            if number % 1000 == 0:
                tasks.append(asyncio.ensure_future(scalar(db, "select ?", (number,))))
            yield (number,)

    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", rows())
    assert await asyncio.gather(*tasks) == [0, 1000, 2000, 3000, 4000]
    assert await scalar(db, "select count(*) from t") == 5000
