"""setlimit() and getlimit(): the limits of a connection."""

import sqlite3

import pytest
from parity.outcomes import outcome

import csqlite

ORACLE_NEEDS = ["setlimit", "getlimit"]

LIMITS = sorted(
    (name for name in vars(csqlite) if name.startswith("SQLITE_LIMIT_")),
    key=lambda name: getattr(csqlite, name),
)


def number(name):
    return getattr(csqlite, name)


@pytest.mark.parametrize("name", [name for name in LIMITS if name != "SQLITE_LIMIT_PARSER_DEPTH"])
async def test_limit_is_set_and_asked(twin, name):
    category = number(name)
    async with twin(":memory:") as db:
        before = await db.getlimit(category)
        assert type(before) is int
        assert await db.setlimit(category, -1) == before
        lower = before // 2
        assert await db.setlimit(category, lower) == before
        assert await db.getlimit(category) == lower


@pytest.mark.parametrize("category", [-1, 99, 2**31 - 1, -(2**31)])
async def test_category_that_does_not_exist(twin, category):
    expected = (sqlite3.ProgrammingError, "'category' is out of bounds")
    async with twin(":memory:") as db:
        assert await outcome(db.getlimit(category)) == expected
        assert await outcome(db.setlimit(category, 5)) == expected


async def test_limit_above_what_is_possible_counts_as_that(twin):
    async with twin(":memory:") as db:
        most = await db.getlimit(csqlite.SQLITE_LIMIT_LENGTH)
        assert await db.setlimit(csqlite.SQLITE_LIMIT_LENGTH, 1000) == most
        assert await db.setlimit(csqlite.SQLITE_LIMIT_LENGTH, 2**31 - 1) == 1000
        assert await db.getlimit(csqlite.SQLITE_LIMIT_LENGTH) == most


async def test_limits_hold(twin):
    too_large = (sqlite3.DataError, "query string is too large")
    too_big = (sqlite3.DataError, "string or blob too big")
    async with twin(":memory:") as db:
        await db.execute("create table t (a)")
        await db.setlimit(csqlite.SQLITE_LIMIT_VARIABLE_NUMBER, 2)
        assert await outcome(db.execute("select ?, ?, ?", (1, 2, 3))) == (
            sqlite3.OperationalError,
            "too many SQL variables",
        )
        await db.setlimit(csqlite.SQLITE_LIMIT_LENGTH, 100)
        for value in ("x" * 200, b"x" * 200):
            assert await outcome(db.execute("select ?", (value,))) == too_big
            assert await outcome(db.executemany("insert into t values (?)", [(value,)])) == too_big
        assert await outcome(db.execute("select zeroblob(200)")) == too_big
        await db.setlimit(csqlite.SQLITE_LIMIT_SQL_LENGTH, 10)
        for call in (db.execute, db.executescript):
            assert await outcome(call("select 1 + 1 + 1")) == too_large
        assert await outcome(db.executemany("delete from t where a = ?", [])) == too_large


NO_INT = "'{}' object cannot be interpreted as an integer"
TOO_LARGE = (OverflowError, "Python int too large to convert to C int")


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda db: db.setlimit(), (TypeError, "setlimit expected 2 arguments, got 0")),
        (lambda db: db.setlimit(0, 1, 2), (TypeError, "setlimit expected 2 arguments, got 3")),
        (lambda db: db.setlimit("x", 1), (TypeError, NO_INT.format("str"))),
        (lambda db: db.setlimit(0, None), (TypeError, NO_INT.format("NoneType"))),
        (lambda db: db.setlimit(0.0, 1), (TypeError, NO_INT.format("float"))),
        (lambda db: db.setlimit(2**40, 1), TOO_LARGE),
        (lambda db: db.setlimit(0, 2**40), TOO_LARGE),
        (lambda db: db.getlimit("x"), (TypeError, NO_INT.format("str"))),
        (lambda db: db.getlimit(-(2**40)), TOO_LARGE),
    ],
)
async def test_limits_with_wrong_arguments(twin, call, expected):
    async with twin(":memory:") as db:

        async def run():
            return await call(db)

        assert await outcome(run()) == expected


async def test_limit_queued_behind_a_statement_holds_from_then_on():
    async with csqlite.connect(":memory:") as db:
        before = db.execute("select ?, ?, ?", (1, 2, 3))
        limit = db.setlimit(csqlite.SQLITE_LIMIT_VARIABLE_NUMBER, 2)
        assert await (await before).fetchall() == [(1, 2, 3)]
        await limit
        with pytest.raises(sqlite3.OperationalError, match=r"too many SQL variables"):
            await db.execute("select ?, ?, ? as again", (1, 2, 3))


@pytest.mark.parametrize("call", [lambda db: db.setlimit(0, 1), lambda db: db.getlimit(0)])
async def test_connection_that_is_not_open(call):
    db = csqlite.connect(":memory:")
    assert await outcome(call(db)) == (ValueError, "no active connection")
    async with db:
        await call(db)
    assert await outcome(call(db)) == (ValueError, "no active connection")


async def test_synchronous_view():
    async with csqlite.connect(":memory:") as db:

        def use():
            db._conn.setlimit(csqlite.SQLITE_LIMIT_LENGTH, 1000)
            return db._conn.getlimit(csqlite.SQLITE_LIMIT_LENGTH)

        assert await db._execute(use) == 1000


@pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "setlimit"), reason="this sqlite3 has no setlimit()"
)
async def test_foreign_connection():
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        await db.setlimit(csqlite.SQLITE_LIMIT_LENGTH, 1000)
        assert await db.getlimit(csqlite.SQLITE_LIMIT_LENGTH) == 1000
