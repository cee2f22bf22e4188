"""setconfig() and getconfig(): the switches of a connection."""

import sqlite3

import pytest
from parity.outcomes import outcome

import csqlite

ORACLE_NEEDS = ["setconfig", "getconfig"]

CONFIGS = sorted(
    (name for name in vars(csqlite) if name.startswith("SQLITE_DBCONFIG_")),
    key=lambda name: getattr(csqlite, name),
)


def number(name):
    return getattr(csqlite, name)


@pytest.mark.parametrize(
    "name", [name for name in CONFIGS if number(name) <= csqlite.SQLITE_DBCONFIG_TRUSTED_SCHEMA]
)
async def test_switch_is_turned_and_asked(twin, name):
    op = number(name)
    async with twin(":memory:") as db:
        for enable in (True, False, True):
            assert await db.setconfig(op, enable) is None
            assert await db.getconfig(op) is enable
        await db.setconfig(op, 0)
        assert await db.getconfig(op) is False
        await db.setconfig(op)
        assert await db.getconfig(op) is True


async def test_switches_hold(twin):
    async with twin(":memory:") as db:
        await db.execute("create table t (a references t (missing))")
        await db.setconfig(csqlite.SQLITE_DBCONFIG_ENABLE_FKEY, True)
        assert await db.execute_fetchall("pragma foreign_keys") == [(1,)]
        await db.setconfig(csqlite.SQLITE_DBCONFIG_DQS_DML, False)
        with pytest.raises(sqlite3.OperationalError, match=r"no such column"):
            await db.execute('select "no such column"')


@pytest.mark.parametrize("op", [0, 1, 999, 1000, 1001, 5000, -1])
async def test_switch_that_does_not_exist(twin, op):
    expected = (ValueError, f"unknown config 'op': {op}")
    async with twin(":memory:") as db:

        async def run(method, *arguments):
            return await getattr(db, method)(*arguments)

        assert await outcome(run("getconfig", op)) == expected
        assert await outcome(run("setconfig", op, True)) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda db: db.getconfig("x"),
            (TypeError, "'str' object cannot be interpreted as an integer"),
        ),
        (
            lambda db: db.getconfig(2**40),
            (OverflowError, "Python int too large to convert to C int"),
        ),
        (lambda db: db.setconfig(), (TypeError, "setconfig expected at least 1 argument, got 0")),
        (
            lambda db: db.setconfig(1002, True, 1),
            (TypeError, "setconfig expected at most 2 arguments, got 3"),
        ),
        (
            lambda db: db.setconfig(1.5, True),
            (TypeError, "'float' object cannot be interpreted as an integer"),
        ),
    ],
)
async def test_switches_with_wrong_arguments(twin, call, expected):
    async with twin(":memory:") as db:

        async def run():
            return await call(db)

        assert await outcome(run()) == expected


@pytest.mark.parametrize("name", CONFIGS)
async def test_all_switches_that_sqlite_has(name):
    async with csqlite.connect(":memory:") as db:
        before = await outcome(db.getconfig(number(name)))
        if csqlite.sqlite_version_info >= (3, 49):
            assert type(before) is bool
        if type(before) is bool:
            await db.setconfig(number(name), not before)
            assert await db.getconfig(number(name)) is not before


@pytest.mark.parametrize("call", [lambda db: db.setconfig(1002), lambda db: db.getconfig(1002)])
async def test_connection_that_is_not_open(call):
    db = csqlite.connect(":memory:")
    assert await outcome(call(db)) == (ValueError, "no active connection")
    async with db:
        await call(db)
    assert await outcome(call(db)) == (ValueError, "no active connection")


async def test_synchronous_view():
    async with csqlite.connect(":memory:") as db:

        def use():
            db._conn.setconfig(csqlite.SQLITE_DBCONFIG_ENABLE_FKEY, True)
            return db._conn.getconfig(csqlite.SQLITE_DBCONFIG_ENABLE_FKEY)

        assert await db._execute(use) is True


@pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "setconfig"), reason="this sqlite3 has no setconfig()"
)
async def test_foreign_connection():
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        await db.setconfig(csqlite.SQLITE_DBCONFIG_ENABLE_FKEY)
        assert await db.getconfig(csqlite.SQLITE_DBCONFIG_ENABLE_FKEY) is True
