"""create_module(): rows that Python gives, read (and written) by SQL."""

import asyncio
import collections
import contextvars
import gc
import itertools
import threading
import weakref

import pytest

import csqlite


@pytest.fixture
def aiosqlite():
    return csqlite


async def all_rows(db, sql, *parameters):
    return await db.execute_fetchall(sql, parameters)


def series(start, stop, step=1):
    yield from range(start, stop, step)


# -- sources


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        ([(1, "a"), (2, "b")], ["n", "t"]),
        (((1, "a"), [2, "b"]), ["n", "t"]),
        ({1: "a", 2: "b"}.items(), ["n", "t"]),
        ([{"n": 1, "t": "a"}, {"t": "b", "n": 2, "x": 3}], ["n", "t"]),
        ([(1, "a"), (2, "b")], (name for name in "nt")),
        ([(1, "a"), (2, "b")], {"n": "INTEGER", "t": "TEXT"}),
        ([(1, "a"), (2, "b")], [("n", "INTEGER PRIMARY KEY"), "t"]),
        (lambda: [(1, "a"), (2, "b")], ["n", "t"]),
        (lambda: zip((1, 2), "ab"), ["n", "t"]),
    ],
    ids=range(9),
)
async def test_rows_come_from_iterables_and_callables(db, source, columns):
    await db.create_module("m", source, columns)
    for _ in range(2):
        assert await all_rows(db, "SELECT n, t FROM m") == [(1, "a"), (2, "b")]
    assert await all_rows(db, "SELECT * FROM m WHERE t = 'b'") == [(2, "b")]
    assert await all_rows(db, "SELECT rowid, n FROM m ORDER BY n DESC") == [(2, 2), (1, 1)]


async def test_every_type_of_value(db):
    values = [None, 0, -(2**63), 2**63 - 1, True, 1.5, float("inf"), "", "é☃\0x", b"", b"\0\xff"]
    values += [bytearray(b"ab"), memoryview(b"cd")]
    await db.create_module("m", values, ["a"])
    rows = [value for (value,) in await all_rows(db, "SELECT a FROM m")]
    assert rows == [bytes(v) if isinstance(v, (bytearray, memoryview)) else v for v in values]
    assert await all_rows(db, "SELECT DISTINCT typeof(a) FROM m ORDER BY 1") == [
        ("blob",),
        ("integer",),
        ("null",),
        ("real",),
        ("text",),
    ]


async def test_a_dict_without_a_column_has_null_there(db):
    await db.create_module("m", [{"a": 1}, {}], ["a", "b"])
    assert await all_rows(db, "SELECT * FROM m") == [(1, None), (None, None)]


async def test_named_tuples_and_rows_of_a_query_are_rows(db):
    Point = collections.namedtuple("Point", "x y")
    db.row_factory = csqlite.Row
    rows = await all_rows(db, "SELECT 1 AS x, 2 AS y")
    db.row_factory = None
    await db.create_module("m", [Point(3, 4), *rows], ["x", "y"])
    assert await all_rows(db, "SELECT * FROM m") == [(3, 4), (1, 2)]


async def test_columns_may_be_those_of_the_source(db):
    def source():
        yield 1, 2

    source.columns = ["a", "b"]
    await db.create_module("m", source)
    assert await all_rows(db, "SELECT b, a FROM m") == [(2, 1)]


async def test_names_are_quoted(db):
    await db.create_module('my "module', lambda select: [(select, 1)], ['a "b', "from"])
    assert await all_rows(db, 'SELECT "a ""b", "from", "select" FROM "my ""module"(5)') == [
        (5, 1, 5)
    ]


async def test_a_list_is_read_as_it_is_now(db):
    rows = [1]
    await db.create_module("m", rows, ["a"])
    assert await all_rows(db, "SELECT * FROM m") == [(1,)]
    rows.append(2)
    assert await all_rows(db, "SELECT * FROM m") == [(1,), (2,)]


async def test_many_rows_and_large_ones(db):
    await db.create_module("m", lambda n: ((i, "x" * (i % 5000)) for i in range(n)), ["i", "t"])
    found = await all_rows(db, "SELECT count(*), sum(i), sum(length(t)) FROM m(20000)")
    assert found == [(20000, 19999 * 10000, 4 * sum(range(5000)))]
    cursor = await db.execute("SELECT i, t FROM m(7000)")
    assert [row async for row in cursor] == [(i, "x" * (i % 5000)) for i in range(7000)]


async def test_values_live_on_when_the_next_row_is_read(db):
    texts = [f"text {i}" for i in range(500)]
    await db.create_module("m", texts, ["a"])
    assert await all_rows(db, "SELECT max(a), min(a), group_concat(a) FROM m") == [
        (max(texts), min(texts), ",".join(texts))
    ]
    rows = await all_rows(db, "SELECT a, lag(a, 3) OVER () FROM m")
    assert rows == [(text, texts[i - 3] if i >= 3 else None) for i, text in enumerate(texts)]
    assert await all_rows(db, "SELECT a FROM m GROUP BY a") == [(text,) for text in sorted(texts)]


# -- parameters


async def test_arguments_are_the_callables_parameters(db):
    await db.create_module("series", series, ["value"])
    assert await all_rows(db, "SELECT value FROM series(1, 4)") == [(1,), (2,), (3,)]
    assert await all_rows(db, "SELECT * FROM series(?, ?, ?)", 0, 10, 5) == [(0,), (5,)]
    assert await all_rows(
        db, "SELECT value, start, stop, step FROM series WHERE stop = 3 AND start = 2"
    ) == [(2, 2, 3, None)]
    # A parameter that is compared otherwise is no argument.
    assert await all_rows(db, "SELECT value FROM series(0, 3) WHERE step IS NULL") == [
        (0,),
        (1,),
        (2,),
    ]


async def test_arguments_come_from_other_tables(db):
    await db.create_module("series", series, ["value"])
    await db.execute("CREATE TABLE t (n)")
    await db.execute("INSERT INTO t VALUES (1), (3)")
    for sql in (
        "SELECT n, value FROM t, series(0, n)",
        "SELECT n, value FROM series(0, n), t ORDER BY 1, 2",
        "SELECT n, value FROM t JOIN series ON stop = n WHERE start = 0",
        "SELECT n, value FROM t LEFT JOIN series(0, n)",
    ):
        assert await all_rows(db, sql) == [(1, 0), (3, 0), (3, 1), (3, 2)]
    assert await all_rows(db, "SELECT n, (SELECT max(value) FROM series(0, n)) FROM t") == [
        (1, 0),
        (3, 2),
    ]
    joined = "SELECT count(*) FROM series(0, 30) a JOIN series(0, 30) b ON a.value = b.value"
    assert await all_rows(db, joined) == [(30,)]


async def test_arguments_have_their_types(db):
    seen = []

    def source(a, *, b=None):
        seen.append((a, b))
        return [1]

    await db.create_module("m", source, ["x"])
    for values in [(None, 1), (1.5, "é"), (b"\0", "")]:
        await all_rows(db, "SELECT * FROM m(?, ?)", *values)
    assert seen == [(None, 1), (1.5, "é"), (b"\0", "")]


async def test_parameters_can_be_named(db):
    def source(**given):
        return sorted(given.items())

    await db.create_module("m", source, ["name", "value"], parameters=["p", "q r"])
    assert await all_rows(db, "SELECT * FROM m(1, 2)") == [("p", 1), ("q r", 2)]
    assert await all_rows(db, 'SELECT * FROM m WHERE "q r" = 7') == [("q r", 7)]
    await db.create_module("n", lambda: [1], ["x"], parameters=())
    with pytest.raises(csqlite.OperationalError, match="too many arguments on n"):
        await all_rows(db, "SELECT * FROM n(1)")


async def test_a_parameter_compared_twice(db):
    await db.create_module("series", series, ["value"])
    assert await all_rows(db, "SELECT value FROM series(0, 2) WHERE start = 0") == [(0,), (1,)]
    assert await all_rows(db, "SELECT value FROM series(0, 2) WHERE start = 5") == []


async def test_a_missing_argument(db):
    await db.create_module("series", series, ["value"])
    with pytest.raises(
        csqlite.OperationalError, match="TypeError: series\\(\\) missing 1 required .* 'stop'"
    ):
        await all_rows(db, "SELECT * FROM series(1)")


# -- asynchronous sources


async def test_an_async_generator_runs_on_the_loop_of_the_task(db):
    variable = contextvars.ContextVar("variable")
    seen = set()

    async def source(n):
        for i in range(n):
            await asyncio.sleep(0)
            seen.add((threading.current_thread(), variable.get(), asyncio.get_running_loop()))
            yield i, i * i

    await db.create_module("m", source, ["a", "b"])
    variable.set("mine")
    assert await all_rows(db, "SELECT * FROM m(200)") == [(i, i * i) for i in range(200)]
    assert seen == {(threading.main_thread(), "mine", asyncio.get_running_loop())}
    assert await all_rows(db, "SELECT sum(b) FROM m(3) UNION ALL SELECT count(*) FROM m(5)") == [
        (5,),
        (5,),
    ]


async def test_a_coroutine_function_that_gives_rows(db):
    async def source(n=2):
        await asyncio.sleep(0)
        return range(n)

    await db.create_module("m", source, ["a"])
    assert await all_rows(db, "SELECT * FROM m") == [(0,), (1,)]
    assert await all_rows(db, "SELECT count(*) FROM m(1000)") == [(1000,)]


async def test_an_async_iterable_of_ones_own(db):
    class Countdown:
        def __init__(self):
            self.left = 3

        def __aiter__(self):
            return Countdown()

        async def __anext__(self):
            if self.left == 0:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    await db.create_module("m", Countdown(), ["a"])
    for _ in range(2):
        assert await all_rows(db, "SELECT * FROM m") == [(2,), (1,), (0,)]


async def test_a_source_that_uses_another_connection(db):
    async with csqlite.connect(":memory:") as other:
        await other.execute("CREATE TABLE t (a)")
        await other.executemany("INSERT INTO t VALUES (?)", ((i,) for i in range(300)))

        async def source(least):
            async with other.execute("SELECT a FROM t WHERE a >= ?", (least,)) as cursor:
                async for row in cursor:
                    yield row

        await db.create_module("other_t", source, ["a"])
        assert await all_rows(db, "SELECT count(*), min(a) FROM other_t(100)") == [(200, 100)]


async def test_two_tasks_read_at_once(db):
    async def source(n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    await db.create_module("m", source, ["a"])
    counts = await asyncio.gather(
        *(all_rows(db, "SELECT count(*) FROM m(?)", n) for n in range(10, 30))
    )
    assert counts == [[(n,)] for n in range(10, 30)]


async def test_cancelling_ends_the_wait_for_an_async_source(db):
    started = asyncio.Event()
    ended = asyncio.Event()

    async def source():
        yield 1
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    await db.create_module("m", source, ["a"])
    task = asyncio.create_task(all_rows(db, "SELECT * FROM m"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ended.wait()
    assert await all_rows(db, "SELECT 1") == [(1,)]


async def test_an_async_source_fails_where_no_task_awaits():
    async def source():
        yield 1

    async with csqlite.connect(":memory:", check_same_thread=False) as db:
        await db.create_module("m", source, ["a"])
        with pytest.raises(csqlite.OperationalError, match="needs an event loop"):
            db._conn.execute("SELECT * FROM m")


async def test_a_cursor_half_read_closes_the_generator(db):
    closed = []
    done = asyncio.Event()

    def plain():
        try:
            yield from itertools.count()
        finally:
            closed.append(threading.current_thread() is threading.main_thread())

    async def asynchronous():
        try:
            for i in itertools.count():
                yield i
        finally:
            done.set()

    await db.create_module("plain", plain, ["a"])
    await db.create_module("asynchronous", asynchronous, ["a"])
    for name in ("plain", "asynchronous"):
        async with db.execute(f"SELECT a FROM {name}") as cursor:
            assert await cursor.fetchmany(3) == [(0,), (1,), (2,)]
    gc.collect()
    await done.wait()
    assert closed == [False]


async def test_a_limit_leaves_the_rest_alone(db):
    given = []

    def source():
        for i in itertools.count():
            given.append(i)
            yield i

    await db.create_module("m", source, ["a"])
    assert await all_rows(db, "SELECT a FROM m LIMIT 1") == [(0,)]
    assert given == [0]
    assert len(await all_rows(db, "SELECT a FROM m LIMIT 100")) == 100
    assert len(given) < 1 + 2 * 100


# -- errors


def failing(at, error):
    def source():
        yield from range(at)
        raise error

    return source


def failing_async(at, error):
    async def source():
        for i in range(at):
            yield i
        raise error

    return source


@pytest.mark.parametrize("make", [failing, failing_async])
@pytest.mark.parametrize("at", [0, 1, 2, 5, 64, 1000])
async def test_an_error_comes_behind_the_rows_before_it(db, make, at):
    db.iter_chunk_size = 1
    await db.create_module("m", make(at, LookupError("lost ☃")), ["a"])
    cursor = await db.cursor()
    cursor.iter_chunk_size = 1
    rows = []
    with pytest.raises(csqlite.OperationalError, match="(?m)^LookupError: lost ☃$") as caught:
        await cursor.execute("SELECT a FROM m")
        while True:
            row = await cursor.fetchone()
            assert row is not None
            rows.append(row)
    assert caught.value.sqlite_errorname == "SQLITE_ERROR"
    # sqlite3 raises an error of the next row in place of the row before it.
    assert rows in ([(i,) for i in range(at)], [(i,) for i in range(at - 1)])
    if at:
        assert await all_rows(db, "SELECT a FROM m LIMIT ?", at) == [(i,) for i in range(at)]


async def raises(*_):
    raise LookupError("async")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (raises, "LookupError: async"),
        (lambda: None, "TypeError: 'NoneType' object is not iterable"),
        (lambda: 5, "TypeError: 'int' object is not iterable"),
        (lambda: [(1, 2, 3)], "ValueError: a row has 3 values, the table 2 columns"),
        (lambda: [(1,)], "ValueError: a row has 1 values, the table 2 columns"),
        (lambda: [5], "TypeError: a row is a sequence of values or a dict, not int"),
        (lambda: ["ab"], "TypeError: a row is a sequence of values or a dict, not str"),
        (lambda: [{1, 2}], "TypeError: a row is a sequence of values or a dict, not set"),
        (lambda: [(1, object())], "TypeError: a value of type 'object' is not supported"),
        (lambda: [(1, [])], "TypeError: a value of type 'list' is not supported"),
        (lambda: [(1, 2**63)], "OverflowError: Python int too large to convert to SQLite INTEGER"),
        (lambda: [(1, "\ud800")], "UnicodeEncodeError: .* surrogates not allowed"),
    ],
    ids=range(13),
)
async def test_what_a_source_does_wrong(db, source, complaint):
    await db.create_module("m", source, ["a", "b"])
    with pytest.raises(csqlite.OperationalError, match=complaint):
        await all_rows(db, "SELECT * FROM m")
    assert await all_rows(db, "SELECT 1") == [(1,)]


async def test_an_async_iterator_that_is_none(db):
    class Odd:
        def __aiter__(self):
            return 5

    await db.create_module("m", Odd(), ["a"])
    with pytest.raises(csqlite.OperationalError, match="'int' object is not an async iterator"):
        await all_rows(db, "SELECT * FROM m")


@pytest.mark.parametrize("make", [failing, failing_async])
async def test_an_error_undoes_a_statement_that_is_its_own_transaction(db, make):
    db.isolation_level = None
    await db.execute("CREATE TABLE t (a)")
    await db.create_module("m", make(100, LookupError("lost")), ["a"])
    with pytest.raises(csqlite.OperationalError, match="lost"):
        await db.execute("INSERT INTO t SELECT a FROM m")
    assert await all_rows(db, "SELECT * FROM t") == []


@pytest.mark.parametrize("make", [failing, failing_async])
async def test_an_error_leaves_a_transaction_open_that_can_be_rolled_back(db, make):
    await db.execute("CREATE TABLE t (a)")
    await db.create_module("m", make(100, LookupError("lost")), ["a"])
    await db.execute("INSERT INTO t VALUES ('before')")
    await db.execute("SAVEPOINT s")
    with pytest.raises(csqlite.OperationalError, match="lost"):
        await db.execute("INSERT INTO t SELECT a FROM m")
    await db.execute("ROLLBACK TO s")
    assert await all_rows(db, "SELECT * FROM t") == [("before",)]
    await db.rollback()
    assert await all_rows(db, "SELECT * FROM t") == []


@pytest.mark.parametrize(
    ("source", "columns", "options", "error", "complaint"),
    [
        ([1], None, {}, TypeError, "columns must be a list of names"),
        ([1], "ab", {}, TypeError, "columns must be a list of names"),
        ([1], [], {}, ValueError, "at least one column"),
        ([1], [5], {}, TypeError, None),
        ([1], [(5, "")], {}, TypeError, "must be str"),
        ([1], ["a", "A"], {}, ValueError, "different names"),
        (lambda a: [1], ["a"], {}, ValueError, "different names"),
        (lambda a: [1], ["x"], {"parameters": [1]}, TypeError, "must be str"),
        (lambda: 1, ["x"], {"parameters": [f"p{i}" for i in range(31)]}, ValueError, "at most 30"),
        (iter([1]), ["a"], {}, TypeError, "an iterator can be read only once"),
        (5, ["a"], {}, TypeError, "rows do not come from 'int'"),
        (max, ["a"], {}, TypeError, "does not tell its parameters"),
        ([1], {"a": "INTEGER, b"}, {}, ValueError, "'INTEGER, b' is no type of a column"),
        ([1], {"a": ") junk"}, {}, ValueError, "no type"),
        ([1], {"a": None}, {}, ValueError, "no type"),
        ([1], ["a\0b"], {}, ValueError, "embedded null character"),
    ],
    ids=range(16),
)
async def test_what_makes_no_table(db, source, columns, options, error, complaint):
    with pytest.raises(error, match=complaint) if complaint else pytest.raises(error):
        await db.create_module("m", source, columns, **options)
        await all_rows(db, "SELECT * FROM m")


async def test_thirty_parameters(db):
    names = [f"p{i}" for i in range(30)]
    await db.create_module("m", lambda **given: given.items(), ["k", "v"], parameters=names)
    sql = f"SELECT * FROM m({', '.join('?' * 30)})"
    assert await all_rows(db, sql, *range(30)) == list(zip(names, range(30)))


async def test_declared_types_are_those_of_the_columns(db):
    columns = [("a", "DECIMAL(10, 2) NOT NULL"), ("b", "TEXT COLLATE NOCASE"), "c"]
    await db.create_module("m", [("1", "x", 2)], columns)
    rows = await all_rows(db, "SELECT name, type FROM pragma_table_info('m')")
    assert rows == [("a", "DECIMAL(10, 2)"), ("b", "TEXT"), ("c", "")]
    assert await all_rows(db, "SELECT count(*) FROM m WHERE b = 'X'") == [(1,)]


# -- modules


async def test_a_module_is_replaced_and_removed(db):
    await db.create_module("m", [1], ["a"])
    assert await all_rows(db, "SELECT * FROM m") == [(1,)]
    await db.create_module("m", [2, 3], ["a"])
    assert await all_rows(db, "SELECT * FROM m") == [(2,), (3,)]
    await db.create_module("m", [(4, 5)], ["a", "b"])
    assert await all_rows(db, "SELECT * FROM m") == [(4, 5)]
    await db.create_module("m", None)
    with pytest.raises(csqlite.OperationalError, match="no such table: m"):
        await all_rows(db, "SELECT * FROM m")
    await db.create_module("m", None)


async def test_a_module_replaced_while_a_cursor_reads_it(db):
    await db.create_module("m", lambda: range(1000), ["a"])
    cursor = await db.execute("SELECT a FROM m")
    first = await cursor.fetchone()
    await db.create_module("m", ["new"], ["a"])
    assert await all_rows(db, "SELECT a FROM m") == [("new",)]
    assert [first, *await cursor.fetchall()] == [(i,) for i in range(1000)]
    assert await all_rows(db, "SELECT a FROM m") == [("new",)]
    await db.create_module("m", None)
    with pytest.raises(csqlite.OperationalError, match="no such table"):
        await all_rows(db, "SELECT a FROM m")


async def test_a_module_lets_go_of_its_source(db):
    class Source:
        def __call__(self):
            return [1]

    source = Source()
    gone = weakref.ref(source)
    await db.create_module("m", source, ["a"])
    del source
    assert await all_rows(db, "SELECT * FROM m") == [(1,)]
    gc.collect()
    assert gone() is not None
    await db.create_module("m", None)
    gc.collect()
    assert gone() is None


async def test_closing_the_connection_lets_go_of_sources_and_cursors():
    class Source:
        def __call__(self):
            return itertools.count()

    source = Source()
    gone = weakref.ref(source)
    db = await csqlite.connect(":memory:")
    await db.create_module("m", source, ["a"])
    cursor = await db.execute("SELECT a FROM m")
    await cursor.fetchone()
    del source
    await db.close()
    gc.collect()
    assert gone() is None
    with pytest.raises(ValueError, match="no active connection"):
        await db.create_module("m", [1], ["a"])


async def test_a_plain_module_makes_no_tables(db):
    await db.create_module("m", [1], ["a"])
    with pytest.raises(csqlite.OperationalError, match="no such module: m"):
        await db.execute("CREATE VIRTUAL TABLE t USING m")
    with pytest.raises(csqlite.OperationalError, match="may not be modified"):
        await db.execute("DELETE FROM m")


async def test_directonly_keeps_a_module_out_of_views(db):
    await db.create_module("m", [1], ["a"], directonly=True)
    await db.create_module("n", [1], ["a"])
    assert await all_rows(db, "SELECT * FROM m") == [(1,)]
    await db.execute("CREATE VIEW v AS SELECT * FROM m")
    with pytest.raises(csqlite.OperationalError, match='unsafe use of virtual table "m"'):
        await all_rows(db, "SELECT * FROM v")
    await db.execute("CREATE VIEW w AS SELECT * FROM n")
    assert await all_rows(db, "SELECT * FROM w") == [(1,)]


async def test_a_name_that_is_no_name(db):
    with pytest.raises(TypeError, match="must be str, not int"):
        await db.create_module(5, [1], ["a"])
    with pytest.raises(TypeError):
        await db.create_module("m")


# -- classes


class Lines:
    """A table of the words that CREATE VIRTUAL TABLE was given."""

    columns = ("number", "word")

    def __init__(self, *words):
        self.words = [word.strip("'") for word in words]

    def rows(self, least=0):
        return [(i, word) for i, word in enumerate(self.words) if i >= least]


async def test_a_class_makes_tables(db, tmp_path):
    await db.create_module("lines", Lines)
    await db.execute("CREATE VIRTUAL TABLE t USING lines('one', 'two', three)")
    await db.execute("CREATE VIRTUAL TABLE temp.u USING lines")
    assert await all_rows(db, "SELECT * FROM t") == [(0, "one"), (1, "two"), (2, "three")]
    assert await all_rows(db, "SELECT word FROM t(1)") == [("two",), ("three",)]
    assert await all_rows(db, "SELECT * FROM u") == []
    assert await all_rows(db, "SELECT * FROM lines") == []
    await db.execute("DROP TABLE t")
    with pytest.raises(csqlite.OperationalError, match="no such table: t"):
        await all_rows(db, "SELECT * FROM t")


async def test_a_table_of_a_class_is_there_for_who_opens_the_file(path):
    async with csqlite.connect(path) as db:
        await db.create_module("lines", Lines)
        await db.execute("CREATE VIRTUAL TABLE t USING lines(a, b)")
        await db.commit()
    async with csqlite.connect(path) as db:
        with pytest.raises(csqlite.OperationalError, match="no such module: lines"):
            await all_rows(db, "SELECT * FROM t")
        await db.create_module("lines", Lines)
        assert await all_rows(db, "SELECT word FROM t") == [("a",), ("b",)]


async def test_a_class_may_decide_its_columns_when_it_is_made(db):
    class Wide:
        def __init__(self, count="1"):
            self.columns = [f"c{i}" for i in range(int(count))]
            self.parameters = ["value"]

        async def rows(self, value=None):
            yield [value] * len(self.columns)

    await db.create_module("wide", Wide)
    await db.execute("CREATE VIRTUAL TABLE three USING wide(3)")
    assert await all_rows(db, "SELECT * FROM three(7)") == [(7, 7, 7)]
    assert await all_rows(db, "SELECT c0, value FROM wide('x')") == [("x", "x")]
    with pytest.raises(csqlite.OperationalError, match="ValueError: invalid literal for int"):
        await db.execute("CREATE VIRTUAL TABLE broken USING wide(x)")
    with pytest.raises(csqlite.OperationalError, match="takes from 1 to 2 positional arguments"):
        await db.execute("CREATE VIRTUAL TABLE broken USING wide(1, 2)")
    assert await all_rows(db, "SELECT name FROM sqlite_schema") == [("three",)]


async def test_a_class_whose_tables_are_not_as_they_should_be(db):
    class NoColumns:
        def rows(self):
            return []

    class NoRowid(NoColumns):
        columns = ("a",)

        def delete(self, rowid):
            pass

    class WrongRowid(NoRowid):
        rowid = "b"

    for class_, complaint in (
        (NoColumns, "TypeError: columns must be a list of names"),
        (NoRowid, "TypeError: a table that can be written to needs `rowid`"),
        (WrongRowid, "ValueError: rowid is 'b', which is no column"),
    ):
        await db.create_module("m", class_)
        with pytest.raises(csqlite.OperationalError, match=complaint):
            await db.execute("CREATE VIRTUAL TABLE t USING m")
        with pytest.raises(csqlite.OperationalError, match=complaint):
            await all_rows(db, "SELECT * FROM m")


class People:
    """A table of a dict, that can be written to."""

    columns = (("id", "INTEGER"), ("name", "TEXT"))
    rowid = "id"

    def __init__(self):
        self.people = {1: "Ada", 2: "Bob"}

    def rows(self):
        return list(self.people.items())

    def insert(self, rowid, values):
        number, name = values
        number = rowid or number or max(self.people, default=0) + 1
        if number in self.people:
            raise csqlite.IntegrityError(f"there is a {number}")
        self.people[number] = name
        return number

    def update(self, rowid, new_rowid, values):
        del self.people[rowid]
        self.people[new_rowid if new_rowid != rowid else values[0]] = values[1]

    def delete(self, rowid):
        del self.people[rowid]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_class_that_can_be_written_to(db, asynchronous):
    class Async(People):
        async def insert(self, *args):
            await asyncio.sleep(0)
            return super().insert(*args)

        async def update(self, *args):
            return super().update(*args)

        async def delete(self, *args):
            super().delete(*args)

        async def rows(self):
            for item in list(self.people.items()):
                yield item

    await db.create_module("people", Async if asynchronous else People)
    cursor = await db.execute("INSERT INTO people (name) VALUES ('Cyd')")
    assert cursor.lastrowid == 3
    cursor = await db.execute("INSERT INTO people (id, name) VALUES (7, 'Dee')")
    assert cursor.lastrowid == 7
    cursor = await db.execute("INSERT INTO people (rowid, name) VALUES (9, 'Eve')")
    assert cursor.lastrowid == 9
    assert (await db.execute("UPDATE people SET name = upper(name) WHERE id < 3")).rowcount == 2
    await db.execute("UPDATE people SET id = 20 WHERE id = 2")
    await db.execute("UPDATE people SET rowid = 70 WHERE id = 7")
    assert (await db.execute("DELETE FROM people WHERE name = 'Cyd'")).rowcount == 1
    assert sorted(await all_rows(db, "SELECT rowid, id, name FROM people")) == [
        (1, 1, "ADA"),
        (9, 9, "Eve"),
        (20, 20, "BOB"),
        (70, 70, "Dee"),
    ]
    with pytest.raises(csqlite.IntegrityError, match="IntegrityError: there is a 1"):
        await db.execute("INSERT INTO people VALUES (1, 'x')")
    await db.execute("DELETE FROM people")
    assert await all_rows(db, "SELECT * FROM people") == []


async def test_what_a_class_does_not_do(db):
    class OnlyInsert(People):
        update = None
        delete = None

        def insert(self, rowid, values):
            return None

    await db.create_module("m", OnlyInsert)
    with pytest.raises(csqlite.OperationalError, match="OnlyInsert has no method delete"):
        await db.execute("DELETE FROM m")
    with pytest.raises(csqlite.OperationalError, match="OnlyInsert has no method update"):
        await db.execute("UPDATE m SET name = 'x'")
    with pytest.raises(csqlite.OperationalError, match="insert\\(\\) must give the rowid"):
        await db.execute("INSERT INTO m (name) VALUES ('x')")
    assert (await db.execute("INSERT INTO m (rowid, name) VALUES (5, 'x')")).lastrowid == 5

    class WrongRowid(People):
        rowid = "name"

        def insert(self, rowid, values):
            return "x"

    await db.create_module("m", WrongRowid)
    with pytest.raises(csqlite.IntegrityError, match="the column that is the rowid holds no"):
        await db.execute("DELETE FROM m")
    with pytest.raises(csqlite.OperationalError, match="TypeError"):
        await db.execute("INSERT INTO m (name) VALUES ('x')")


# -- callbacks that reach back


async def test_a_source_may_read_its_own_connection_synchronously(db):
    await db.execute("CREATE TABLE t (a)")
    await db.executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (3,)])

    def doubled():
        for (a,) in db._conn.execute("SELECT a FROM t"):
            yield a * 2

    await db.create_module("doubled", doubled, ["a"])
    sql = "SELECT t.a, doubled.a FROM t JOIN doubled ON doubled.a > t.a * 2 ORDER BY 1, 2"
    assert await all_rows(db, sql) == [(1, 4), (1, 6), (2, 6)]


async def test_a_source_that_closes_the_connection():
    db = await csqlite.connect(":memory:")
    await db.create_module("m", lambda: [db._conn.close()], ["a"])
    with pytest.raises(csqlite.OperationalError, match="Recursive use of cursors not allowed"):
        await all_rows(db, "SELECT * FROM m")
    await db.close()


async def test_a_source_that_replaces_and_removes_its_module(db):
    def source():
        yield 1
        db._run(db._create_module("m", None, 0))
        yield 2
        gc.collect()
        yield 3

    await db.create_module("m", source, ["a"])
    assert await all_rows(db, "SELECT * FROM m") == [(1,), (2,), (3,)]
    with pytest.raises(csqlite.OperationalError, match="no such table: m"):
        await all_rows(db, "SELECT * FROM m")


async def test_a_write_into_what_is_read_from_a_source(db):
    await db.execute("CREATE TABLE t (a)")
    await db.create_module("series", series, ["value"])
    await db.execute("INSERT INTO t SELECT value FROM series(0, 1000)")
    await db.execute("DELETE FROM t WHERE a IN (SELECT value FROM series(0, 1000, 2))")
    assert await all_rows(db, "SELECT count(*), min(a) FROM t") == [(500, 1)]


async def test_an_endless_source_can_be_interrupted_and_cancelled(db):
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def source():
        loop.call_soon_threadsafe(started.set)
        return itertools.count()

    await db.create_module("m", source, ["a"])
    task = asyncio.create_task(all_rows(db, "SELECT count(*) FROM m"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    started.clear()
    task = asyncio.create_task(all_rows(db, "SELECT count(*) FROM m"))
    await started.wait()
    await db.interrupt()
    with pytest.raises(csqlite.OperationalError, match="interrupted"):
        await task


async def test_foreign_connections_have_no_modules():
    import sqlite3

    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        with pytest.raises(csqlite.NotSupportedError, match="create_module\\(\\) needs csqlite"):
            await db.create_module("m", [1], ["a"])


async def test_what_a_source_raises_is_the_cause_of_what_the_statement_raises(db):
    error = LookupError("lost")

    def source():
        yield 1
        raise error

    await db.create_module("m", source, ["a"])
    with pytest.raises(csqlite.OperationalError, match="LookupError: lost") as raised:
        await db.execute_fetchall("SELECT * FROM m")
    assert raised.value.__cause__ is error


async def test_an_async_source_that_awaits_its_own_connection_is_refused(db):
    async def source():
        async with db.execute("SELECT 1") as cursor:
            yield await cursor.fetchone()

    await db.create_module("m", source, ["a"])
    with pytest.raises(csqlite.OperationalError, match="cannot await its own connection"):
        await asyncio.wait_for(db.execute_fetchall("SELECT * FROM m"), 20)
