"""Values on their way down and up: what they become, which are refused and how."""

import array
import enum
import math
import sqlite3
import warnings
from decimal import Decimal

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome


class Text(str):
    pass


class Whole(int):
    pass


class Real(float):
    pass


class Blob(bytes):
    pass


class Colour(enum.IntEnum):
    RED = 3


class Flavour(str, enum.Enum):
    SWEET = "sweet"


ROUND_TRIPS = [
    None,
    0,
    1,
    -1,
    127,
    128,
    -(2**31),
    2**31,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    0.0,
    1.5,
    -1e300,
    5e-324,
    0.1,
    math.inf,
    -math.inf,
    "",
    "a",
    "naïve",
    "数据",
    "\U0001f600",
    "a\0b",
    "\0",
    "x" * 100_000,
    "é" * 70_000,
    b"",
    b"\0\xff",
    bytes(range(256)) * 500,
]


def stdlib_scalar(value):
    return stdlib_outcome(lambda connection: connection.execute("select ?", (value,)).fetchone()[0])


@pytest.mark.parametrize("value", ROUND_TRIPS, ids=lambda value: ascii(value)[:20])
async def test_value_comes_back_as_itself(db, value):
    result = await scalar(db, "select ?", (value,))
    assert type(result) is type(value)
    assert result == value


@pytest.mark.parametrize("value", ROUND_TRIPS, ids=lambda value: ascii(value)[:20])
async def test_value_comes_back_from_a_table(db, value):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (?)", (value,))
    assert await fetchall(db, "select a from t") == [(value,)]


async def test_types_as_sqlite_sees_them(db):
    values = (None, 1, 1.0, "1", b"1", True, bytearray(b"1"), memoryview(b"1"))
    sql = "select " + ", ".join(["typeof(?)"] * len(values))
    async with db.execute(sql, values) as cursor:
        assert await cursor.fetchone() == (
            "null",
            "integer",
            "real",
            "text",
            "blob",
            "integer",
            "blob",
            "blob",
        )


async def test_minus_zero_keeps_its_sign(db):
    assert math.copysign(1, await scalar(db, "select ?", (-0.0,))) == -1


async def test_nan_becomes_none(db):
    assert await scalar(db, "select ?", (math.nan,)) is None


async def test_infinity_from_sql(db):
    assert await scalar(db, "select 9e999") == math.inf
    assert await scalar(db, "select -9e999") == -math.inf


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**100])
async def test_integer_of_more_than_64_bits(db, value):
    with pytest.raises(
        OverflowError, match=r"(?m)^Python int too large to convert to SQLite INTEGER$"
    ):
        await db.execute("select ?", (value,))


@pytest.mark.parametrize(
    "value, plain",
    [
        (True, 1),
        (False, 0),
        (Whole(7), 7),
        (Colour.RED, 3),
        (Real(1.5), 1.5),
        (Text("t"), "t"),
        (Flavour.SWEET, "sweet"),
        (Blob(b"b"), b"b"),
        (bytearray(b"ab"), b"ab"),
        (bytearray(), b""),
        (memoryview(b"abc")[1:], b"bc"),
        (memoryview(b""), b""),
        (array.array("B", [1, 2, 3]), b"\x01\x02\x03"),
        (array.array("i", [1]), array.array("i", [1]).tobytes()),
        (sqlite3.Binary(b"binary"), b"binary"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_subclass_or_buffer_comes_back_as_the_plain_type(db, value, plain):
    result = await scalar(db, "select ?", (value,))
    assert type(result) is type(plain)
    assert result == plain


async def test_buffer_with_gaps_is_refused_as_sqlite3_refuses_it(db):
    gaps = memoryview(b"abcdef")[::2]
    assert await outcome(scalar(db, "select ?", (gaps,))) == stdlib_scalar(gaps)


async def test_lone_surrogate_cannot_be_stored(db):
    with pytest.raises(UnicodeEncodeError, match=r"surrogates not allowed"):
        await db.execute("select ?", ("\ud800",))


async def test_lone_surrogate_in_the_statement(db):
    expected = stdlib_outcome(lambda connection: connection.execute("select '\ud800'"))
    assert await outcome(db.execute("select '\ud800'")) == expected


@pytest.mark.parametrize(
    "value",
    [object(), [1], (1,), {1: 2}, {1}, 1j, Decimal("1.5"), int, range(3)],
    ids=lambda value: type(value).__name__,
)
async def test_value_of_an_unsupported_type_is_refused_as_sqlite3_refuses_it(db, value):
    expected = stdlib_scalar(value)
    assert issubclass(expected[0], sqlite3.Error)
    assert await outcome(scalar(db, "select ?", (value,))) == expected


async def test_unsupported_value_of_a_named_parameter(db):
    expected = stdlib_outcome(
        lambda connection: connection.execute("select :a, :b", {"a": 1, "b": [1]})
    )
    assert await outcome(db.execute("select :a, :b", {"a": 1, "b": [1]})) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "select cast(x'ff' as text) as bad",
        "select 1 as good, cast(x'61ff' as text) as bad",
        "select cast(x'c3' as text)",
    ],
)
async def test_text_that_is_not_utf_8(db, sql):
    expected = stdlib_outcome(lambda connection: connection.execute(sql).fetchall())
    assert expected[0] is sqlite3.OperationalError
    assert await outcome(fetchall(db, sql)) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "select cast(x'c3a9ff' as text) as a",
        "select cast(x'ff00ff41' as text) as a",
        "select cast(x'ff' || zeroblob(1000) as text) as a",
        "select cast(x'ff' || printf('%.*c', 1000, 'x') as text) as a",
        "select cast(x'ff' as text) as é",
        f"select cast(x'ff' as text) as {'a' * 300}",
    ],
)
async def test_how_text_that_is_not_utf_8_is_quoted(db, sql):
    expected = stdlib_outcome(lambda connection: connection.execute(sql).fetchall())
    assert expected[0] is sqlite3.OperationalError
    assert await outcome(fetchall(db, sql)) == expected


async def test_connection_works_on_after_text_that_is_not_utf_8(db):
    with pytest.raises(sqlite3.OperationalError):
        await fetchall(db, "select cast(x'ff' as text)")
    assert await scalar(db, "select 'fine'") == "fine"


async def test_surrogate_that_sqlite_holds_cannot_be_read_as_text(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (cast(x'eda080' as text))")
    with pytest.raises(
        sqlite3.OperationalError, match=r"^Could not decode to UTF-8 column 'a' with text"
    ):
        await fetchall(db, "select a from t")


async def test_text_is_cut_at_a_nul_only_by_sqlite_itself(db):
    async with db.execute("select ?1, length(?1), length(cast(?1 as blob))", ("a\0b",)) as cursor:
        assert await cursor.fetchone() == ("a\0b", 1, 3)


async def test_column_affinity_is_sqlites(db):
    await db.execute("create table t (i integer, r real, x text, b blob)")
    await db.execute("insert into t values ('12', 3, 4.5, 'x')")
    assert await fetchall(db, "select * from t") == [(12, 3.0, "4.5", "x")]


async def test_bytearray_is_copied_when_it_is_passed(db):
    value = bytearray(b"before")
    await db.execute("create table t (a)")
    await db.execute("insert into t values (?)", (value,))
    value[:] = b"after!"
    assert await scalar(db, "select a from t") == b"before"


async def test_large_blob(db):
    blob = bytes(range(256)) * 40_000
    await db.execute("create table t (a)")
    await db.execute("insert into t values (?)", (blob,))
    assert await scalar(db, "select a from t") == blob


async def test_blob_beyond_the_limit_of_sqlite(db):
    with pytest.raises(sqlite3.DataError, match=r"(?m)^string or blob too big$"):
        await db.execute("select zeroblob(2000000000)")


async def test_zeroblob_and_its_length(db):
    assert await scalar(db, "select zeroblob(3)") == b"\0\0\0"


async def test_wide_row(db):
    sql = "select " + ", ".join(f"? as c{n}" for n in range(500))
    async with db.execute(sql, list(range(500))) as cursor:
        assert await cursor.fetchone() == tuple(range(500))


async def test_mixed_types_in_one_column(db):
    rows = [(1,), (1.5,), ("one",), (b"one",), (None,)]
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", rows)
    assert await fetchall(db, "select a from t") == rows


async def test_date_and_datetime_go_through_the_default_adapters(db):
    import datetime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert await scalar(db, "select ?", (datetime.date(2024, 2, 29),)) == "2024-02-29"
        moment = datetime.datetime(2024, 2, 29, 12, 30, 1, 5)
        assert await scalar(db, "select ?", (moment,)) == "2024-02-29 12:30:01.000005"
