"""Adapters on the way down, converters on the way up: both come from the registries of sqlite3."""

import sqlite3
import warnings

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

DECLTYPES = sqlite3.PARSE_DECLTYPES
COLNAMES = sqlite3.PARSE_COLNAMES


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y


class SubPoint(Point):
    pass


class Conforming:
    def __conform__(self, protocol):
        if protocol is sqlite3.PrepareProtocol:
            return "conformed"
        return None


class Refusing:
    def __conform__(self, protocol):
        return None


class Failing:
    def __conform__(self, protocol):
        raise ZeroDivisionError


class ToUnsupported:
    def __conform__(self, protocol):
        return object()


@pytest.fixture(autouse=True)
def registries():
    """Leave the process-wide registries as they were."""
    adapters, converters = dict(sqlite3.adapters), dict(sqlite3.converters)
    yield
    sqlite3.adapters.clear()
    sqlite3.adapters.update(adapters)
    sqlite3.converters.clear()
    sqlite3.converters.update(converters)


def raw(value):
    """Show a converter's argument, and that it is bytes."""
    assert type(value) is bytes
    return ("raw", value)


@pytest.mark.parametrize("module", ["aiosqlite", "sqlite3"])
async def test_registered_adapter_is_used(aiosqlite, db, module):
    register = sqlite3.register_adapter if module == "sqlite3" else aiosqlite.register_adapter
    register(Point, lambda point: f"{point.x};{point.y}")
    assert await scalar(db, "select ?", (Point(1, 2),)) == "1;2"
    assert await scalar(db, "select :p", {"p": Point(3, 4)}) == "3;4"


async def test_adapter_is_for_the_exact_class(db):
    sqlite3.register_adapter(Point, lambda point: "adapted")
    expected = stdlib_outcome(lambda connection: connection.execute("select ?", (SubPoint(1, 2),)))
    assert await outcome(db.execute("select ?", (SubPoint(1, 2),))) == expected


async def test_adapter_of_a_subclass_of_a_plain_type(db):
    class Shout(str):
        pass

    sqlite3.register_adapter(Shout, lambda text: text.upper() + "!")
    assert await scalar(db, "select ?", (Shout("hey"),)) == "HEY!"
    assert await scalar(db, "select ?", ("hey",)) == "hey"


async def test_adapter_of_bool(db):
    sqlite3.register_adapter(bool, lambda value: "yes" if value else "no")
    assert await fetchall(db, "select ?, ?, ?", (True, False, 1)) == [("yes", "no", 1)]


@pytest.mark.parametrize(
    "value", [1, 1.5, "a", b"a", bytearray(b"a")], ids=lambda value: type(value).__name__
)
async def test_adapter_of_a_plain_type(db, value):
    sqlite3.register_adapter(type(value), lambda value: "adapted " + type(value).__name__)
    assert await scalar(db, "select ?", (value,)) == "adapted " + type(value).__name__
    assert await scalar(db, "select ?", (None,)) is None


async def test_adapter_in_executemany(db):
    sqlite3.register_adapter(Point, lambda point: point.x)
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", ((Point(n, 0),) for n in range(3)))
    assert await fetchall(db, "select a from t") == [(0,), (1,), (2,)]


async def test_conform_is_asked(db):
    assert await scalar(db, "select ?", (Conforming(),)) == "conformed"


@pytest.mark.parametrize("kind", [Refusing, Failing, ToUnsupported])
async def test_conform_that_gives_nothing_to_bind(db, kind):
    expected = stdlib_outcome(lambda connection: connection.execute("select ?", (kind(),)))
    assert await outcome(db.execute("select ?", (kind(),))) == expected


async def test_error_of_an_adapter(db):
    def adapt(point):
        raise ZeroDivisionError("adapter")

    sqlite3.register_adapter(Point, adapt)
    expected = stdlib_outcome(lambda connection: connection.execute("select ?", (Point(1, 2),)))
    assert await outcome(db.execute("select ?", (Point(1, 2),))) == expected


@pytest.mark.parametrize("module", ["aiosqlite", "sqlite3"])
async def test_converter_by_declared_type(aiosqlite, module):
    register = sqlite3.register_converter if module == "sqlite3" else aiosqlite.register_converter
    register("odd", raw)
    async with aiosqlite.connect(":memory:", detect_types=DECLTYPES) as db:
        await db.execute("create table t (a odd, b text)")
        await db.execute("insert into t values ('x', 'y')")
        assert await fetchall(db, "select a, b from t") == [(("raw", b"x"), "y")]


@pytest.mark.parametrize(
    "declared", ["odd", "ODD", "Odd", "odd(10)", "odd unsigned", "odd(5) not null"]
)
async def test_declared_type_is_its_first_word_in_any_case(aiosqlite, declared):
    sqlite3.register_converter("odd", raw)
    async with aiosqlite.connect(":memory:", detect_types=DECLTYPES) as db:
        await db.execute(f"create table t (a {declared})")
        await db.execute("insert into t values ('x')")
        assert await fetchall(db, "select a from t") == [(("raw", b"x"),)]


@pytest.mark.parametrize(
    "value, seen",
    [
        (12, b"12"),
        (-(2**63), b"-9223372036854775808"),
        (1.5, b"1.5"),
        (3.0, b"3.0"),
        ("é\0", b"\xc3\xa9\0"),
        (b"\xff\0", b"\xff\0"),
    ],
)
async def test_converter_sees_bytes_whatever_is_stored(aiosqlite, value, seen):
    sqlite3.register_converter("blobby", raw)
    async with aiosqlite.connect(":memory:", detect_types=COLNAMES) as db:
        assert await scalar(db, 'select ? as "a [blobby]"', (value,)) == ("raw", seen)


@pytest.mark.parametrize("value", [None, "", b""])
async def test_converter_is_not_asked_for_null_or_an_empty_value(aiosqlite, value):
    # SQLite hands out a null pointer for no bytes, and sqlite3 takes it for a NULL.
    sqlite3.register_converter("odd", raw)
    async with aiosqlite.connect(":memory:", detect_types=COLNAMES) as db:
        assert await scalar(db, 'select ? as "a [odd]"', (value,)) is None


async def test_declared_type_is_lost_in_an_expression(aiosqlite):
    sqlite3.register_converter("odd", raw)
    async with aiosqlite.connect(":memory:", detect_types=DECLTYPES) as db:
        await db.execute("create table t (a odd)")
        await db.execute("insert into t values ('x')")
        assert await fetchall(db, "select a || '', (select a from t) from t") == [
            ("x", ("raw", b"x"))
        ]


async def test_converter_by_column_name(aiosqlite):
    sqlite3.register_converter("odd", raw)
    async with aiosqlite.connect(":memory:", detect_types=COLNAMES) as db:
        sql = 'select 1 as "a [odd]", 2 as "b[odd]", 3 as "c"'
        assert await fetchall(db, sql) == [(("raw", b"1"), ("raw", b"2"), 3)]


async def test_description_under_colnames_is_that_of_sqlite3(aiosqlite):
    sql = (
        'select 1 as "a [odd]", 2 as "b[odd]", 3 as "c [", 4 as "[odd]", 5 as " d", 6 as "e [f] g"'
    )
    expected = stdlib_outcome(
        lambda connection: connection.execute(sql).description, detect_types=COLNAMES
    )
    async with aiosqlite.connect(":memory:", detect_types=COLNAMES) as db:
        cursor = await db.execute(sql)
        assert cursor.description == expected


async def test_column_name_wins_over_declared_type(aiosqlite):
    sqlite3.register_converter("odd", lambda value: "by type")
    sqlite3.register_converter("even", lambda value: "by name")
    async with aiosqlite.connect(":memory:", detect_types=DECLTYPES | COLNAMES) as db:
        await db.execute("create table t (a odd)")
        await db.execute("insert into t values ('x')")
        assert await fetchall(db, 'select a, a as "a [even]", a as "a [none]" from t') == [
            ("by type", "by name", "by type")
        ]


@pytest.mark.parametrize("detect_types", [0, DECLTYPES, COLNAMES])
async def test_each_detection_is_chosen_apart(aiosqlite, detect_types):
    sqlite3.register_converter("odd", lambda value: "converted")
    async with aiosqlite.connect(":memory:", detect_types=detect_types) as db:
        await db.execute("create table t (a odd)")
        await db.execute("insert into t values ('x')")
        by_type, by_name = (await fetchall(db, "select a, 'y' as \"b [odd]\" from t"))[0]
        assert by_type == ("converted" if detect_types == DECLTYPES else "x")
        assert by_name == ("converted" if detect_types == COLNAMES else "y")


async def test_unknown_type_is_left_alone(aiosqlite):
    async with aiosqlite.connect(":memory:", detect_types=DECLTYPES | COLNAMES) as db:
        await db.execute("create table t (a nosuchtype)")
        await db.execute("insert into t values ('x')")
        assert await fetchall(db, 'select a, a as "a [nosuch]" from t') == [("x", "x")]


async def test_error_of_a_converter_passes_through(aiosqlite):
    def convert(value):
        raise LookupError("converter of " + value.decode())

    sqlite3.register_converter("odd", convert)
    async with aiosqlite.connect(":memory:", detect_types=COLNAMES) as db:
        with pytest.raises(LookupError, match=r"(?m)^'?converter of 5'?$"):
            await fetchall(db, 'select 5 as "a [odd]"')
        assert await scalar(db, "select 1") == 1


async def test_converter_runs_before_the_row_factory(aiosqlite):
    sqlite3.register_converter("odd", lambda value: "converted")
    async with aiosqlite.connect(":memory:", detect_types=COLNAMES) as db:
        db.row_factory = sqlite3.Row
        cursor = await db.execute('select 5 as "a [odd]"')
        assert dict(await cursor.fetchone()) == {"a": "converted"}


async def test_converter_wins_over_text_factory(aiosqlite):
    sqlite3.register_converter("odd", lambda value: ("converted", value))
    async with aiosqlite.connect(":memory:", detect_types=COLNAMES) as db:
        db.text_factory = bytes
        assert await fetchall(db, "select 'x' as \"a [odd]\", 'y'") == [(("converted", b"x"), b"y")]


async def test_default_converters_of_sqlite3(aiosqlite):
    import datetime

    async with aiosqlite.connect(":memory:", detect_types=DECLTYPES) as db:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            await db.execute("create table t (d date, ts timestamp)")
            values = (datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, 2, 3, 4))
            await db.execute("insert into t values (?, ?)", values)
            assert await fetchall(db, "select d, ts from t") == [values]


@pytest.mark.thread_unsafe(reason="converters belong to the process")
async def test_converter_registered_after_the_statement_was_prepared(aiosqlite):
    async with aiosqlite.connect(":memory:", detect_types=DECLTYPES) as db:
        await db.execute("create table t (a late)")
        await db.execute("insert into t values ('x')")
        assert await fetchall(db, "select a from t") == [("x",)]
        sqlite3.register_converter("late", lambda value: "converted")
        assert await fetchall(db, "select a from t") == [("converted",)]
