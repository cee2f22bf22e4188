"""carray(): many values bound as one parameter; and placeholders(), the plain way to do it."""

import array
import asyncio
import gc
import itertools

import pytest
from labels import shown

import csqlite

carray = csqlite.carray


def has_carray():
    try:
        carray([])
    except csqlite.NotSupportedError:
        return False
    return True


needs_carray = pytest.mark.skipif(not has_carray(), reason="this SQLite has no carray()")


@pytest.fixture
def aiosqlite():
    return csqlite


async def values_of(db, values):
    rows = await db.execute_fetchall("SELECT value FROM carray(?)", (values,))
    return [value for (value,) in rows]


@needs_carray
@pytest.mark.parametrize(
    "values",
    [
        [],
        [1],
        [3, 1, 2, 1],
        [0, -1, 2**63 - 1, -(2**63)],
        [True, False],
        [1.5, -0.25, float("inf")],
        ["", "a", "naïve ☃ 😀", "x" * 100_000],
        [b"", b"\0\1\2", b"x" * 100_000],
        list(range(10_000)),
    ],
    ids=lambda values: repr(values)[:20],
)
async def test_the_values_arrive(db, values):
    assert await values_of(db, carray(values)) == values
    assert len(carray(values)) == len(values)


@needs_carray
@pytest.mark.parametrize(
    "values",
    [
        (1, 2),
        {1: "a", 2: "b"},
        range(1, 3),
        iter([1, 2]),
        array.array("i", [1, 2]),
        array.array("q", [1, 2]),
        array.array("l", [1, 2]),
        memoryview(array.array("q", [1, 2])),
        memoryview(array.array("q", [0, 1, 2, 3]))[1:3],
    ],
    ids=shown,
)
async def test_any_iterable_of_integers_and_any_buffer_of_them(db, values):
    assert await values_of(db, carray(values)) == [1, 2]


@needs_carray
async def test_a_buffer_of_doubles(db):
    assert await values_of(db, carray(array.array("d", [0.5, -1.5]))) == [0.5, -1.5]


@needs_carray
@pytest.mark.parametrize("dtype", ["int32", "int64", "float64"])
async def test_an_array_of_numpy(db, dtype):
    numpy = pytest.importorskip("numpy")
    values = numpy.arange(5, dtype=dtype)
    assert await values_of(db, carray(values)) == list(range(5))
    with pytest.raises(TypeError, match="one dimension, not of 2"):
        carray(values.reshape(1, 5))


@needs_carray
async def test_bytes_like_items_are_blobs(db):
    items = [b"a", bytearray(b"b"), memoryview(b"xcx")[1:2]]
    assert await values_of(db, carray(items)) == [b"a", b"b", b"c"]


@needs_carray
async def test_in_carray_finds_rows(db):
    await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    await db.executemany("INSERT INTO t VALUES (?, ?)", ((i, f"n{i}") for i in range(1000)))
    for sql in (
        "SELECT id FROM t WHERE id IN carray(?) ORDER BY id",
        "SELECT id FROM t WHERE id IN (SELECT value FROM carray(?)) ORDER BY id",
        "SELECT id FROM t JOIN carray(?) ON id = value ORDER BY id",
    ):
        rows = await db.execute_fetchall(sql, (carray([5, 998, 5000, 7]),))
        assert rows == [(5,), (7,), (998,)]
    rows = await db.execute_fetchall(
        "SELECT id FROM t WHERE name IN carray(:names)", {"names": carray(["n3", "N4"])}
    )
    assert rows == [(3,)]
    await db.execute("DELETE FROM t WHERE id IN carray(?)", (carray(range(10, 1000)),))
    assert await db.execute_fetchall("SELECT count(*) FROM t") == [(10,)]


@needs_carray
async def test_one_carray_bound_twice_and_used_again(db):
    ids = carray([1, 2])
    sql = "SELECT a.value, b.value FROM carray(?) a, carray(?) b ORDER BY 1, 2"
    expected = list(itertools.product([1, 2], repeat=2))
    assert await db.execute_fetchall(sql, (ids, ids)) == expected
    assert await db.execute_fetchall(sql, (ids, ids)) == expected
    assert await db.execute_fetchall(sql.replace("?", ":i"), {"i": ids}) == expected


@needs_carray
async def test_each_row_of_executemany_has_its_own(db):
    await db.execute("CREATE TABLE t (n INTEGER, total INTEGER)")
    await db.executemany(
        "INSERT INTO t SELECT ?, sum(value) FROM carray(?)",
        ((n, carray(range(n))) for n in range(1, 3000)),
    )
    rows = await db.execute_fetchall("SELECT n, total FROM t")
    assert rows == [(n, n * (n - 1) // 2) for n in range(1, 3000)]


@needs_carray
async def test_a_cursor_half_read_keeps_the_values(db):
    values = list(range(5000))
    cursor = await db.execute("SELECT value FROM carray(?)", (carray(values),))
    first = await cursor.fetchmany(10)
    gc.collect()
    # What else is made meanwhile would lie where the values were.
    others = [carray([-1] * 5000) for _ in range(20)]
    assert first + await cursor.fetchall() == [(value,) for value in values]
    del others


@needs_carray
async def test_what_is_changed_later_is_not_seen(db):
    buffer = array.array("q", [1, 2, 3])
    items = [1, 2, 3]
    from_buffer, from_items = carray(buffer), carray(items)
    buffer[0] = 9
    buffer.append(4)
    items.clear()
    assert await values_of(db, from_buffer) == [1, 2, 3]
    assert await values_of(db, from_items) == [1, 2, 3]


@needs_carray
async def test_a_statement_taken_from_the_cache_has_no_old_values(db):
    sql = "SELECT count(*) FROM carray(?)"
    assert await db.execute_fetchall(sql, (carray([1, 2]),)) == [(2,)]
    assert await db.execute_fetchall(sql, (None,)) == [(0,)]
    assert await db.execute_fetchall(sql, (carray([1]),)) == [(1,)]


@needs_carray
async def test_it_is_null_where_its_value_is_asked_for(db):
    rows = await db.execute_fetchall("SELECT ?1, typeof(?1), ?1 IS NULL", (carray([1]),))
    assert rows == [(None, "null", 1)]
    await db.execute("CREATE TABLE t (a)")
    await db.execute("INSERT INTO t VALUES (?)", (carray([1]),))
    assert await db.execute_fetchall("SELECT a FROM t") == [(None,)]


@needs_carray
async def test_other_connections_use_the_same_one(db):
    ids = carray(range(20_000))
    async with csqlite.connect(":memory:") as other:
        counts = await asyncio.gather(
            *(
                each.execute_fetchall("SELECT sum(value) FROM carray(?)", (ids,))
                for each in [db, other] * 10
            )
        )
    assert counts == [[(19_999 * 10_000,)]] * 20


@needs_carray
async def test_closing_with_a_cursor_half_read():
    async with csqlite.connect(":memory:") as db:
        cursor = await db.execute("SELECT value FROM carray(?)", (carray(range(5000)),))
        await cursor.fetchone()
    with pytest.raises((csqlite.ProgrammingError, ValueError)):
        await cursor.fetchmany(1000)


@needs_carray
async def test_a_query_that_is_cancelled(db):
    loop = asyncio.get_running_loop()
    started = asyncio.Event()
    await db.create_function("started", 0, lambda: loop.call_soon_threadsafe(started.set) and 1)
    sql = "SELECT count(*) FROM carray(?1) a, carray(?1) b, carray(?1) c WHERE started()"
    task = asyncio.create_task(db.execute_fetchall(sql, (carray(range(5000)),)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await values_of(db, carray([1])) == [1]


@needs_carray
@pytest.mark.parametrize(
    ("values", "error", "complaint"),
    [
        ([1, "a"], TypeError, "the first is int, the one at index 1 is str"),
        ([1, 2.5], TypeError, "the first is int, the one at index 1 is float"),
        ([1.5, 2], TypeError, "the first is float, the one at index 1 is int"),
        (["a", b"a"], TypeError, "the first is str, the one at index 1 is bytes"),
        ([b"a", None], TypeError, "the first is bytes, the one at index 1 is NoneType"),
        ([None], TypeError, "takes int, float, str or bytes, not NoneType"),
        ([object()], TypeError, "takes int, float, str or bytes, not object"),
        ("abc", TypeError, "takes a list of values, not a str"),
        (b"abc", TypeError, "not of items with the format 'B'"),
        (array.array("f", [1]), TypeError, "not of items with the format 'f'"),
        (array.array("Q", [1]), TypeError, "not of items with the format 'Q'"),
        (memoryview(array.array("q", [1, 2, 3]))[::2], BufferError, "contiguous"),
        (5, TypeError, "not iterable"),
        ([2**63], OverflowError, "Python int too large to convert to SQLite INTEGER"),
        ([0, -(2**63) - 1], OverflowError, "too large"),
        (["a\0b"], ValueError, "embedded null character"),
        (["\ud800"], UnicodeEncodeError, "surrogates not allowed"),
    ],
    ids=shown,
)
def test_what_it_does_not_take(values, error, complaint):
    with pytest.raises(error, match=complaint):
        carray(values)


@needs_carray
def test_what_an_iterable_raises():
    def broken():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        carray(broken())
    with pytest.raises(TypeError, match="required argument"):
        carray()


@needs_carray
def test_its_text():
    assert repr(carray([1, 2])) == "<csqlite.carray of 2 int64>"
    assert repr(carray(["a"])) == "<csqlite.carray of 1 str>"


@needs_carray
async def test_a_list_itself_is_still_refused(db):
    with pytest.raises(csqlite.ProgrammingError, match="type 'list' is not supported"):
        await values_of(db, [1, 2])


@pytest.mark.skipif(has_carray(), reason="this SQLite has carray()")
def test_without_carray_there_is_a_clear_answer():
    with pytest.raises(csqlite.NotSupportedError, match="carray\\(\\) needs an SQLite"):
        carray([1])


async def test_placeholders_are_as_many_as_the_values(db):
    await db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    await db.executemany("INSERT INTO t VALUES (?)", ((i,) for i in range(10)))
    for ids in ([], [3], (5, 3, 77), {1, 2, 3}):
        sql = f"SELECT id FROM t WHERE id IN ({csqlite.placeholders(ids)}) ORDER BY id"
        expected = [(i,) for i in sorted(ids) if i < 10]
        assert await db.execute_fetchall(sql, list(ids)) == expected
    assert csqlite.placeholders(3) == "?, ?, ?"
    assert csqlite.placeholders(0) == ""


def test_placeholders_misused():
    with pytest.raises(ValueError, match="cannot be negative: -1"):
        csqlite.placeholders(-1)
    with pytest.raises(TypeError):
        csqlite.placeholders(None)
