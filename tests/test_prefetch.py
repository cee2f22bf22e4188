"""Rows are stepped ahead of whoever reads them: where could one see that, and what is seen.

Where sqlite3, which steps a row at a time, has a defined answer, csqlite has to give it. Where
SQLite leaves the answer open (a table that is changed under an open cursor), the answer has to
be one that it allows.
"""

import asyncio
import gc
import sqlite3
import sys
import time
from contextlib import closing

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"
ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"

# Fewer than a chunk, one, one and a row, and many.
SIZES = [2, 10, 63, 64, 65, 128, 129, 1000]


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def fill(db, count):
    """Make a table `t (a)` of the numbers 1 to `count`, all committed."""
    await db.execute("create table t (a integer primary key, b)")
    await db.execute(f"insert into t (a) {NUMBERS.format(count)}")
    await db.commit()


def filled_stdlib(count, **options):
    connection = sqlite3.connect(":memory:", **options)
    connection.execute("create table t (a integer primary key, b)")
    connection.execute(f"insert into t (a) {NUMBERS.format(count)}")
    connection.commit()
    return connection


# -- writing while reading --------------------------------------------------------


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("commit", [False, True])
async def test_updating_the_row_just_read(db, count, commit):
    await fill(db, count)
    seen = []
    async for (number,) in await db.execute("select a from t"):
        seen.append(number)
        await db.execute("update t set b = ? where a = ?", (number * 2, number))
        if commit:
            await db.commit()
    assert seen == list(range(1, count + 1))
    assert await fetchall(db, "select count(*), sum(b) from t") == [(count, count * (count + 1))]


@pytest.mark.parametrize("count", SIZES)
async def test_deleting_the_row_just_read(db, count):
    await fill(db, count)
    seen = []
    async for (number,) in await db.execute("select a from t"):
        seen.append(number)
        await db.execute("delete from t where a = ?", (number,))
    assert seen == list(range(1, count + 1))
    assert await scalar(db, "select count(*) from t") == 0


@pytest.mark.parametrize("count", SIZES)
async def test_copying_into_another_table_row_by_row(db, count):
    await fill(db, count)
    await db.execute("create table copy (a)")
    async with db.execute("select a from t order by a desc") as cursor:
        async for row in cursor:
            await db.execute("insert into copy values (?)", row)
    await db.commit()
    assert await fetchall(db, "select a from copy order by rowid") == [
        (n,) for n in range(count, 0, -1)
    ]


@pytest.mark.parametrize("count", SIZES)
async def test_rows_changed_ahead_are_each_seen_once_old_or_new(db, count):
    await fill(db, count)
    await db.execute("update t set b = 'old'")
    cursor = await db.execute("select a, b from t")
    first = await cursor.fetchone()
    await db.execute("update t set b = 'new'")
    rest = await cursor.fetchall()
    assert [a for a, _ in [first, *rest]] == list(range(1, count + 1))
    assert {b for _, b in rest} <= {"old", "new"}
    # What was stepped before the change is old, what was stepped after it is new.
    assert rest == sorted(rest, key=lambda row: (row[1] == "new", row[0]))


@pytest.mark.parametrize("count", SIZES)
async def test_rows_deleted_ahead_are_seen_or_not(db, count):
    await fill(db, count)
    cursor = await db.execute("select a from t")
    assert await cursor.fetchone() == (1,)
    await db.execute("delete from t where a % 2 = 0")
    rest = [a for (a,) in await cursor.fetchall()]
    assert rest == sorted(set(rest))
    assert set(range(3, count + 1, 2)) <= set(rest) <= set(range(2, count + 1))


@pytest.mark.parametrize("count", SIZES)
async def test_rows_inserted_behind_are_seen_or_not(db, count):
    await fill(db, count)
    cursor = await db.execute("select a from t")
    assert await cursor.fetchone() == (1,)
    await db.execute(f"insert into t (a) select i + {count} from ({NUMBERS.format(50)})")
    rest = [a for (a,) in await cursor.fetchall()]
    assert rest == list(range(2, len(rest) + 2))
    assert count - 1 <= len(rest) <= count + 49


async def test_sorted_rows_are_those_from_before_the_change(db):
    # The sorter is full before the first row comes: what is changed later is not seen.
    await fill(db, 1000)
    cursor = await db.execute("select b, a from t order by b, a desc")
    assert await cursor.fetchone() == (None, 1000)
    await db.execute("update t set b = a")
    await db.execute("delete from t where a < 500")
    assert await cursor.fetchall() == [(None, n) for n in range(999, 0, -1)]


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_another_connections_changes_are_not_seen_in_the_middle(path, mode):
    async with csqlite.connect(path) as db, csqlite.connect(path, timeout=0) as other:
        await db.execute(f"pragma journal_mode = {mode}")
        await fill(db, 1000)
        cursor = await db.execute("select a, b from t")
        assert await cursor.fetchone() == (1, None)
        if mode == "wal":
            await other.execute("update t set b = 'new'")
            await other.execute("delete from t where a > 900")
            await other.commit()
        else:
            locked = await outcome(other.execute("drop table t"))
            assert locked == (sqlite3.OperationalError, "database is locked")
            await other.rollback()
        assert await cursor.fetchall() == [(n, None) for n in range(2, 1001)]
        assert await scalar(db, "select count(*) from t") == (900 if mode == "wal" else 1000)


# -- transactions that end in the middle ------------------------------------------


@pytest.mark.parametrize("method", ["commit", "rollback"])
@pytest.mark.parametrize("count", SIZES)
async def test_transaction_that_ends_under_a_half_read_cursor(db, method, count):
    await fill(db, count)
    await db.execute("create table u (a)")
    await db.execute("insert into u values (1)")
    cursor = await db.execute("select a from t")
    assert await cursor.fetchone() == (1,)
    await getattr(db, method)()
    assert not db.in_transaction
    assert await cursor.fetchall() == [(n,) for n in range(2, count + 1)]
    assert await scalar(db, "select count(*) from u") == (1 if method == "commit" else 0)


@pytest.mark.parametrize("count", SIZES)
async def test_rolling_back_the_rows_that_a_cursor_reads(db, count):
    await fill(db, 1)
    await db.execute(f"insert into t (a) select i + 1 from ({NUMBERS.format(count)})")
    cursor = await db.execute("select a from t")
    assert await cursor.fetchone() == (1,)
    await db.rollback()
    found = await outcome(cursor.fetchall())
    if isinstance(found, tuple):
        assert found[0] is sqlite3.OperationalError  # query aborted
    else:
        assert found == [(n,) for n in range(2, len(found) + 2)]
    assert await fetchall(db, "select a from t") == [(1,)]


def half_read_returning(count):
    with closing(filled_stdlib(1)) as connection:
        cursor = connection.execute(
            f"insert into t (a) select i + 1 from ({NUMBERS.format(count)}) returning a"
        )
        cursor.fetchone()
        try:
            connection.commit()
        except sqlite3.Error as error:
            return type(error), str(error)
        return None


@pytest.mark.parametrize("count", SIZES)
async def test_committing_under_a_half_read_returning(db, count):
    await fill(db, 1)
    cursor = await db.execute(
        f"insert into t (a) select i + 1 from ({NUMBERS.format(count)}) returning a"
    )
    assert await cursor.fetchone() == (2,)
    found = await outcome(db.commit())
    # All rows of a short one have been stepped, so that nothing is in the way of the commit.
    assert found in (None, half_read_returning(count))
    assert await cursor.fetchall() == [(n,) for n in range(3, count + 2)]
    await db.commit()
    await db.rollback()
    assert await scalar(db, "select count(*) from t") == count + 1


IN_THE_WAY = ["drop table t", "vacuum", "pragma journal_mode = memory", "alter table t rename to u"]


@pytest.mark.parametrize("sql", IN_THE_WAY)
async def test_what_a_long_half_read_cursor_is_in_the_way_of(db, sql):
    await fill(db, 1000)
    with closing(filled_stdlib(1000)) as connection:
        cursor = connection.execute("select a from t")
        cursor.fetchone()
        try:
            expected = connection.execute(sql).fetchall()
        except sqlite3.Error as error:
            expected = type(error)
    cursor = await db.execute("select a from t")
    await cursor.fetchone()
    found = await outcome(db.execute_fetchall(sql))
    assert (found[0] if isinstance(found, tuple) else found) == expected
    await cursor.close()
    if expected is sqlite3.OperationalError:
        assert isinstance(await outcome(db.execute_fetchall(sql)), list)


@pytest.mark.parametrize("sql", IN_THE_WAY)
async def test_cursor_that_was_stepped_to_its_end_is_in_the_way_of_nothing(db, sql):
    await fill(db, 10)
    cursor = await db.execute("select a from t")
    assert await cursor.fetchone() == (1,)
    await db.execute_fetchall(sql)
    assert await cursor.fetchall() == [(n,) for n in range(2, 11)]


# -- the last row -------------------------------------------------------------------


LAST_ROWS = {
    "one": (1, "select i from n"),
    "a chunk but one": (63, "select i from n"),
    "a chunk": (64, "select i from n"),
    "a chunk and one": (65, "select i from n"),
    "two chunks": (128, "select i from n"),
    "a chunk and a larger one": (192, "select i from n"),
    "a large one": (1, "select i, zeroblob(300000) from n"),
    "large ones": (3, "select i, zeroblob(300000) from n"),
    "a slow one": (1, "select slow(i) from n"),
    "slow ones": (3, "select slow(i) from n"),
}


async def by_one(cursor, count):
    for _ in range(count):
        assert await cursor.fetchone() is not None


async def by_iteration(cursor, count):
    rows = cursor.__aiter__()
    for _ in range(count):
        await rows.__anext__()


async def by_size(cursor, count):
    assert len(await cursor.fetchmany(count)) == count


async def by_two(cursor, count):
    await by_one(cursor, 1)
    if count > 1:
        assert len(await cursor.fetchmany(count - 1)) == count - 1


LAST_BY = {"fetchone": by_one, "iteration": by_iteration, "fetchmany": by_size, "both": by_two}


@pytest.mark.parametrize("chunk", [1, 2, 64])
@pytest.mark.parametrize("by", sorted(LAST_BY))
@pytest.mark.parametrize("rows", sorted(LAST_ROWS))
async def test_statement_is_over_with_its_last_row(rows, by, chunk):
    count, select = LAST_ROWS[rows]
    numbers = NUMBERS.format(count).removesuffix("select i from n")
    async with csqlite.connect(":memory:", iter_chunk_size=chunk) as db:
        await db.create_function("slow", 1, lambda value: time.sleep(0.002) or value)
        await db.execute("create table t (a, b)")
        for sql in (
            f"{numbers} {select}",
            f"insert into t (a) {numbers} select i from n returning "
            + select.removeprefix("select ").removesuffix(" from n").replace("i", "a", 1)
            if "slow" not in select
            else f"insert into t (a) {numbers} select i from n returning slow(a)",
        ):
            cursor = await db.execute(sql)
            await LAST_BY[by](cursor, count)
            await db.commit()
            if "returning" in sql:
                assert cursor.rowcount == count
            await db.execute("drop table t")
            await db.execute("create table t (a, b)")
            assert await cursor.fetchone() is None
            assert await cursor.fetchall() == []


@pytest.mark.parametrize("count", [1, 63, 64, 65])
async def test_last_line_of_a_dump_ends_it(count):
    async with csqlite.connect(":memory:", iter_chunk_size=1) as db:
        await fill(db, count)
        lines = count + 3
        dump = db.iterdump()
        for _ in range(lines):
            await dump.__anext__()
        await db.execute("drop table t")
        with pytest.raises(StopAsyncIteration):
            await dump.__anext__()


async def test_row_that_is_stood_on_is_given_once():
    for chunk in (1, 2, 10):
        async with csqlite.connect(":memory:", iter_chunk_size=chunk) as db:
            cursor = await db.execute(NUMBERS.format(40))
            seen = []
            for size in (1, 2, 1, 5, 3, 100):
                seen += [await cursor.fetchone()]
                seen += await cursor.fetchmany(size)
            assert seen == [*[(n,) for n in range(1, 41)], None][: len(seen)]


# -- errors in the middle ---------------------------------------------------------


def failing_at(row, count):
    """SQL whose step to this row fails."""
    return (
        f"select case i when {row} then abs(-9223372036854775807 - 1) else i end "
        f"from ({NUMBERS.format(count)})"
    )


def stdlib_by(fetch, sql):
    """Return the rows that come before the error, and the error."""
    rows = []
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            cursor = connection.execute(sql)
            while True:
                got = fetch(cursor)
                if not got:
                    return rows, None
                rows += got
        except sqlite3.Error as error:
            return rows, str(error)


async def csqlite_by(db, fetch, sql):
    rows = []
    try:
        cursor = await db.execute(sql)
        while True:
            got = await fetch(cursor)
            if not got:
                return rows, None
            rows += got
    except sqlite3.Error as error:
        return rows, str(error)


def some(row):
    return [] if row is None else [row]


async def fetch_one(cursor):
    return some(await cursor.fetchone())


async def fetch_next(cursor):
    async for row in cursor:
        return [row]
    return []


BY = {
    "fetchone": (lambda cursor: some(cursor.fetchone()), fetch_one),
    "iteration": (lambda cursor: some(next(cursor, None)), fetch_next),
    "fetchmany": (lambda cursor: cursor.fetchmany(7), lambda cursor: cursor.fetchmany(7)),
    "fetchall": (lambda cursor: cursor.fetchall(), lambda cursor: cursor.fetchall()),
}


@pytest.mark.parametrize("by", sorted(BY))
@pytest.mark.parametrize("row", [1, 2, 3, 7, 8, 63, 64, 65, 66, 128, 129, 200, 500, None])
async def test_error_at_a_row_comes_where_it_comes_in_sqlite3(db, row, by):
    sql = failing_at(row or 1000, 500)
    stdlib, ours = BY[by]
    rows, error = stdlib_by(stdlib, sql)
    assert await csqlite_by(db, ours, sql) == (rows, error)
    assert await scalar(db, "select 'here'") == "here"


@pytest.mark.parametrize("row", [2, 64, 65, 66, 200])
async def test_error_behind_the_rows_that_are_read_is_never_raised(db, row):
    async with db.execute(failing_at(row, 500)) as cursor:
        for number in range(1, row - 1):
            assert await cursor.fetchone() == (number,)
    async with db.execute(failing_at(row, 500)) as cursor:
        pass
    cursor = await db.execute(failing_at(row, 500))
    await cursor.execute("select 'new'")
    assert await cursor.fetchall() == [("new",)]


async def test_error_of_a_function_behind_the_rows_that_are_read(db):
    def fail(number):
        if number == 40:
            raise LookupError
        return number

    await db.create_function("fail", 1, fail)
    async with db.execute(f"select fail(i) from ({NUMBERS.format(100)})") as cursor:
        assert await cursor.fetchmany(30) == [(n,) for n in range(1, 31)]
    assert await scalar(db, "select 'here'") == "here"


# -- side effects -----------------------------------------------------------------


async def calls(chunk, read):
    """Return how often a function was called for a query of which `read` rows are read."""
    called = []
    async with csqlite.connect(":memory:", iter_chunk_size=chunk) as db:
        await db.create_function("note", 1, called.append)
        async with db.execute(f"select i, note(i) from ({ENDLESS})") as cursor:
            for number in range(1, read + 1):
                assert await cursor.fetchone() == (number, None)
        await db._execute(int)
    assert called == list(range(1, len(called) + 1))
    return len(called)


@pytest.mark.parametrize("read", [0, 1, 2, 10])
async def test_chunk_of_one_calls_functions_about_as_often_as_sqlite3(read):
    assert max(1, read) <= await calls(1, read) <= read + 2


@pytest.mark.parametrize("chunk", [2, 64, 1000])
@pytest.mark.parametrize("read", [0, 1, 64, 65, 500])
async def test_functions_are_called_ahead_for_two_chunks_and_what_was_read_before(chunk, read):
    # Each chunk may be twice as large as the one before.
    assert read <= await calls(chunk, read) <= 2 * read + 2 * chunk


async def test_chunks_grow_while_a_query_is_read_to_sixteen_times_the_first():
    crossings = []
    async with csqlite.connect(":memory:", iter_chunk_size=10) as db:
        await db.create_function("note", 1, crossings.append)
        async with db.execute(f"select i, note(i) from ({ENDLESS})") as cursor:
            before = 0
            sizes = []
            for number in range(1, 1001):
                assert (await cursor.fetchone())[0] == number
                if len(crossings) > before:
                    sizes.append(len(crossings) - before)
                    before = len(crossings)
    # A chunk that took longer than a millisecond ends earlier.
    assert sizes[0] <= 10
    assert max(sizes) <= 160
    assert all(after <= 2 * sum(sizes[:i]) + 10 for i, after in enumerate(sizes))


async def test_slow_function_is_not_called_ahead(db):
    # A chunk ends after about a millisecond, so a row that takes longer is a chunk of its own.
    called = []

    def slow(number):
        called.append(number)
        time.sleep(0.01)
        return number

    await db.create_function("slow", 1, slow)
    async with db.execute(f"select slow(i) from ({ENDLESS})") as cursor:
        assert await cursor.fetchone() == (1,)
    await db._execute(int)
    assert len(called) <= 4


async def test_writing_function_of_an_endless_query_left_early(db):
    written = []
    await db.create_function("note", 1, written.append)
    async for number, _ in await db.execute(f"select i, note(i) from ({ENDLESS})"):
        if number == 100:
            break
    gc.collect()
    await db._execute(int)
    count = len(written)
    assert 100 <= count <= 100 + 2 * 64
    await db.execute("select 1")
    assert len(written) == count  # Nobody goes on.


async def test_insert_returning_is_done_when_execute_returns(path):
    async with csqlite.connect(path, isolation_level=None) as db, csqlite.connect(path) as other:
        await fill(db, 1)
        async with db.execute(
            f"insert into t (a) select i + 1 from ({NUMBERS.format(500)}) returning a"
        ) as cursor:
            assert await cursor.fetchone() == (2,)
        assert await scalar(other, "select count(*) from t") == 501


# -- queries that are left early --------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 64])
async def test_endless_query_left_early(chunk):
    async with csqlite.connect(":memory:", iter_chunk_size=chunk) as db:
        for leave in (0, 1, 63, 64, 65, 1000):
            seen = []
            async with db.execute(ENDLESS) as cursor:
                while len(seen) < leave:
                    seen += await cursor.fetchone()
            assert seen == list(range(1, leave + 1))
        cursor = await db.execute(ENDLESS)
        assert len(await cursor.fetchmany(10_000)) == 10_000
        assert await cursor.fetchone() == (10_001,)
        await cursor.execute("select 'new'")
        assert await cursor.fetchall() == [("new",)]


async def test_many_endless_queries_at_once(db):
    cursors = [await db.execute(f"select ? + i from ({ENDLESS})", (n,)) for n in range(50)]
    for count in range(1, 201):
        row = count % 50
        expected = row + count // 50 + (1 if row else 0)
        assert await cursors[row].fetchone() == (expected,)
    await asyncio.gather(*[cursor.close() for cursor in cursors])
    await db.execute("create table t (a)")


async def test_prefetched_rows_are_gone_when_the_cursor_executes_again(db):
    cursor = await db.execute(NUMBERS.format(50))
    assert await cursor.fetchone() == (1,)
    await cursor.execute("select 'a' union all select 'b'")
    assert await cursor.fetchone() == ("a",)
    assert (await outcome(cursor.execute("nonsense")))[0] is sqlite3.OperationalError
    assert await cursor.fetchall() == []


async def test_prefetched_rows_outlive_what_they_came_from(db):
    await fill(db, 20)
    cursor = await db.execute("select a from t")
    await db.execute("drop table t")
    await db.commit()
    assert await cursor.fetchall() == [(n,) for n in range(1, 21)]


async def test_factories_that_are_set_between_two_fetches(db):
    cursor = await db.execute("select 'text' || i, i from (" + NUMBERS.format(100) + ")")
    assert await cursor.fetchone() == ("text1", 1)
    cursor.row_factory = sqlite3.Row
    assert (await cursor.fetchone()).keys() == ["'text' || i", "i"]
    cursor.row_factory = lambda cursor, row: row[1]
    assert await cursor.fetchmany(3) == [3, 4, 5]
    cursor.row_factory = None
    assert await cursor.fetchone() == ("text6", 6)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sqlite3 answered otherwise before")
async def test_rowcount_of_returning_while_it_is_read(db):
    await fill(db, 1)
    with closing(filled_stdlib(1)) as connection:
        sql = f"insert into t (a) select i + 1 from ({NUMBERS.format(100)}) returning a"
        stdlib = connection.execute(sql)
        ours = await db.execute(sql)
        for _ in range(5):
            assert await ours.fetchone() == stdlib.fetchone()
            assert ours.rowcount == stdlib.rowcount
        assert await ours.fetchall() == stdlib.fetchall()
        assert ours.rowcount == stdlib.rowcount


async def test_total_changes_and_in_transaction_while_a_cursor_is_half_read(db):
    await fill(db, 200)
    before = db.total_changes
    cursor = await db.execute("select a from t")
    assert (db.total_changes - before, db.in_transaction) == (0, False)
    await db.execute("delete from t where a = 200")
    assert (db.total_changes - before, db.in_transaction) == (1, True)
    await cursor.fetchall()
    await db.commit()
    assert (db.total_changes - before, db.in_transaction) == (1, False)


@pytest.mark.parametrize("call", ["execute", "execute_fetchall", "executescript"])
async def test_rows_without_columns(path, call):
    """PRAGMA incremental_vacuum gives one for each page that it has moved."""
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("pragma auto_vacuum = incremental")
        await db.execute("create table t (a)")
        await db.execute("insert into t values (zeroblob(200000))")
        await db.execute("delete from t")
        [(free,)] = await db.execute_fetchall("pragma freelist_count")
        assert free > 40
        answer = await getattr(db, call)("pragma incremental_vacuum(30)")
        if call == "execute_fetchall":
            assert answer == []
        else:
            assert (answer.description, await answer.fetchall()) == (None, [])
        assert await db.execute_fetchall("pragma freelist_count") == [(free - 30,)]
        assert await db.execute_fetchall("pragma integrity_check") == [("ok",)]
