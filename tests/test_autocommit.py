"""connect(autocommit=...) and Connection.autocommit, on every Python version.

A program below is a list of steps, and what it answers is spelled out. Where the running
Python's sqlite3 knows autocommit (3.12), it has to answer the same.
"""

import asyncio
import contextlib
import sqlite3
import sys
import threading

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

LEGACY = csqlite.LEGACY_TRANSACTION_CONTROL

INSERT = "insert into t values (1)"

# mode, steps, what each step leaves: in_transaction, or the exception's class.
PROGRAMS = {
    "true": (True, [INSERT, "commit()", INSERT, "rollback()"], [False] * 4, 2),
    "true, by hand": (
        True,
        ["begin", INSERT, "commit()", "rollback()", "commit", "rollback()"],
        [True, True, True, True, False, False],
        1,
    ),
    "false": (False, [INSERT, "commit()", INSERT, "rollback()"], [True] * 4, 1),
    "false, by hand": (
        False,
        [INSERT, "commit", INSERT, "commit()", "rollback()", "begin", "commit()"],
        [
            *(True, False, False),
            *(sqlite3.OperationalError, sqlite3.OperationalError),
            *(True, True),
        ],
        2,
    ),
    "false, begin": (False, ["begin"], [sqlite3.OperationalError], 0),
    "false, reading": (False, ["select * from t", "commit()", "select * from t"], [True] * 3, 0),
    "legacy": (LEGACY, ["select 1", INSERT, "commit()", INSERT, "rollback()"],
               [False, True, False, True, False], 1),
    "true to false": (
        True,
        [INSERT, False, INSERT, "rollback()", INSERT, "commit()"],
        [False, True, True, True, True, True],
        2,
    ),
    "true to false in a transaction": (
        True,
        ["begin", INSERT, False, "rollback()"],
        [True, True, True, True],
        0,
    ),
    "false to true commits": (False, [INSERT, True, "rollback()"], [True, False, False], 1),
    "false to legacy leaves it open": (
        False,
        [INSERT, LEGACY, "rollback()", INSERT, "commit()", "commit()"],
        [True, True, False, True, False, False],
        1,
    ),
    "legacy to true commits": (LEGACY, [INSERT, True, INSERT], [True, False, False], 2),
    "legacy to false in a transaction": (
        LEGACY,
        [INSERT, False, "commit()", INSERT, "rollback()"],
        [True, True, True, True, True],
        1,
    ),
    "legacy to false": (LEGACY, [False, INSERT, "rollback()"], [True, True, True], 0),
    "true to legacy": (True, [LEGACY, INSERT, "rollback()"], [False, True, False], 0),
    "the same again": (False, [INSERT, False, False, "rollback()"], [True] * 4, 0),
    "to true and back": (False, [INSERT, True, False, "rollback()"], [True, False, True, True], 1),
    "all of them": (
        LEGACY,
        [True, False, LEGACY, True, LEGACY, False, INSERT, "commit()"],
        [False, True, True, False, False, True, True, True],
        1,
    ),
}  # fmt: skip


def stdlib_program(mode, steps):
    seen = []
    with contextlib.closing(sqlite3.connect(":memory:", autocommit=True)) as db:
        db.execute("create table t (a)")
        db.autocommit = mode
        for step in steps:
            try:
                if not isinstance(step, str):
                    db.autocommit = step
                elif step.endswith("()"):
                    getattr(db, step[:-2])()
                else:
                    db.execute(step).fetchall()
                seen.append(db.in_transaction)
            except sqlite3.Error as error:
                seen.append(type(error))
        return seen, db.execute("select count(*) from t").fetchone()[0]


async def csqlite_program(mode, steps):
    seen = []
    async with csqlite.connect(":memory:", autocommit=True) as db:
        await db.execute("create table t (a)")
        db.autocommit = mode
        for step in steps:
            try:
                if not isinstance(step, str):
                    db.autocommit = step
                    assert db.autocommit == step
                    await db._execute(int)  # It is set for the next in the queue.
                elif step.endswith("()"):
                    await getattr(db, step[:-2])()
                else:
                    await fetchall(db, step)
                seen.append(db.in_transaction)
            except sqlite3.Error as error:
                seen.append(type(error))
        return seen, await scalar(db, "select count(*) from t")


@pytest.mark.parametrize("name", sorted(PROGRAMS))
async def test_program(name):
    mode, steps, states, count = PROGRAMS[name]
    assert await csqlite_program(mode, steps) == (states, count)
    if sys.version_info >= (3, 12):
        assert stdlib_program(mode, steps) == (states, count)


@pytest.mark.parametrize("mode", [True, False, LEGACY])
async def test_mode_given_to_connect_is_what_the_attribute_says(mode):
    async with csqlite.connect(":memory:", autocommit=mode) as db:
        assert db.autocommit is mode if isinstance(mode, bool) else db.autocommit == mode
        assert db.in_transaction is (mode is False)


async def test_legacy_is_the_default_and_has_sqlite3s_number(path):
    assert getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", -1) == LEGACY
    async with csqlite.connect(path) as db:
        assert db.autocommit == LEGACY


@pytest.mark.parametrize("value", ["maybe", None, 2, -2, 1.5, []])
async def test_value_that_is_none_of_them(path, value):
    message = "autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL"
    async with csqlite.connect(path, autocommit=False) as db:
        with pytest.raises(ValueError, match=message):
            db.autocommit = value
        assert db.autocommit is False
        assert db.in_transaction
    refused = csqlite.connect(path, autocommit=value)
    assert await outcome(refused) == (ValueError, message)
    await asyncio.to_thread(refused._thread.join)


async def test_attribute_cannot_be_deleted(path):
    async with csqlite.connect(path) as db:
        with pytest.raises(AttributeError):
            del db.autocommit


async def test_attribute_of_a_connection_that_is_not_open(path):
    db = csqlite.connect(path)
    for _ in range(2):
        with pytest.raises(ValueError, match="no active connection"):
            assert db.autocommit == LEGACY
        with pytest.raises(ValueError, match="no active connection"):
            db.autocommit = True
        if db._thread.ident is None:
            async with db:
                pass


async def test_setting_it_holds_from_the_next_statement_on(path):
    async with csqlite.connect(path, autocommit=True) as db:
        await db.execute("create table t (a)")
        first = asyncio.ensure_future(db.execute(INSERT))
        await asyncio.sleep(0)
        db.autocommit = False
        second = asyncio.ensure_future(db.execute(INSERT))
        await asyncio.gather(first, second)
        await db.rollback()
        assert await scalar(db, "select count(*) from t") == 1


async def test_uncommitted_changes_are_seen_by_their_own_connection_only(path):
    async with csqlite.connect(path, autocommit=False) as db, csqlite.connect(path) as other:
        await db.execute("create table t (a)")
        await db.commit()
        await db.execute(INSERT)
        assert await scalar(other, "select count(*) from t") == 0
        await db.commit()
        assert await scalar(other, "select count(*) from t") == 1
        await db.execute(INSERT)
        db.autocommit = True
        await db._execute(int)
        assert await scalar(other, "select count(*) from t") == 2


@pytest.mark.parametrize("mode, count", [(True, 1), (False, 0), (LEGACY, 0)])
async def test_closing_commits_nothing(path, mode, count):
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
    async with csqlite.connect(path, autocommit=mode) as db:
        await db.execute(INSERT)
    async with csqlite.connect(path) as db:
        assert await scalar(db, "select count(*) from t") == count


@pytest.mark.parametrize("mode, in_transaction", [(True, False), (False, True), (LEGACY, False)])
async def test_executescript_commits_in_legacy_mode_only(path, mode, in_transaction):
    async with csqlite.connect(path, autocommit=mode) as db:
        await db.executescript("create table t (a); insert into t values (1)")
        assert db.in_transaction is in_transaction
        await db.rollback()
        tables = await scalar(db, "select count(*) from sqlite_master")
        assert tables == (0 if mode is False else 1)


@pytest.mark.parametrize("mode", [True, False])
async def test_isolation_level_is_kept_and_ignored(path, mode):
    async with csqlite.connect(path, autocommit=mode, isolation_level="EXCLUSIVE") as db:
        await db.execute("create table t (a)")
        await db.commit()
        assert db.isolation_level == "EXCLUSIVE"
        async with csqlite.connect(path, timeout=0) as other:
            assert await scalar(other, "select count(*) from t") == 0
        db.autocommit = LEGACY
        if mode is False:
            await db.rollback()
        await db.execute(INSERT)
        async with csqlite.connect(path, timeout=0) as other:
            locked = await outcome(other.execute("select count(*) from t"))
            assert locked == (sqlite3.OperationalError, "database is locked")


@pytest.mark.parametrize("mode", [True, False, LEGACY])
async def test_executemany(path, mode):
    async with csqlite.connect(path, autocommit=mode) as db:
        await db.execute("create table t (a unique)")
        await db.commit()
        await db.executemany("insert into t values (?)", [(1,), (2,)])
        assert db.in_transaction is (mode is not True)
        found = await outcome(db.executemany("insert into t values (?)", [(3,), (1,), (4,)]))
        assert found[0] is sqlite3.IntegrityError
        await db.rollback()
        assert await scalar(db, "select count(*) from t") == (3 if mode is True else 0)


async def test_commit_that_fails_leaves_the_transaction_of_autocommit_false(path):
    async with csqlite.connect(path, autocommit=False) as db:
        await db.executescript(
            "create table p (a primary key);"
            "create table c (a references p deferrable initially deferred)"
        )
        await db.commit()
        db.autocommit = True
        await db.execute("pragma foreign_keys = on")
        db.autocommit = False
        await db.execute("insert into c values (1)")
        found = await outcome(db.commit())
        assert found == (sqlite3.IntegrityError, "FOREIGN KEY constraint failed")
        assert db.in_transaction
        await db.rollback()
        assert db.in_transaction
        assert await scalar(db, "select count(*) from c") == 0


async def test_cancelled_executemany_of_autocommit_false_leaves_a_transaction(path):
    async with csqlite.connect(path, autocommit=False) as db:
        await db.execute("create table t (a)")
        await db.commit()
        reached = asyncio.Event()

        def rows():
            for number in range(10**9):
                if number == 5000:
                    reached.set()
                yield (number,)

        task = asyncio.ensure_future(db.executemany("insert into t values (?)", rows()))
        await asyncio.wait_for(reached.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await db._execute(int)
        assert db.in_transaction
        await db.rollback()
        assert db.in_transaction
        assert await scalar(db, "select count(*) from t") == 0


# -- a property whose statement fails ------------------------------------------------------


@contextlib.asynccontextmanager
async def broken_promise(path, **options):
    """Open a connection whose transaction cannot be committed: a child has no parent."""
    async with csqlite.connect(path, **options) as db:
        await db.executescript(
            "create table p (id integer primary key);"
            "create table c (p references p deferrable initially deferred);"
        )
        await db.commit()
        if options.get("autocommit") is False:
            await db.executescript("commit; pragma foreign_keys = on; begin")
        else:
            await db.execute("pragma foreign_keys = on")
        await db.execute("insert into c values (1)")
        yield db


PROPERTIES = {
    "autocommit": ({"autocommit": False}, "autocommit", True, False),
    "isolation_level": ({}, "isolation_level", None, ""),
}


@contextlib.asynccontextmanager
async def occupied(db):
    """Let the worker be busy meanwhile."""
    entered, release = threading.Event(), threading.Event()
    call = asyncio.ensure_future(db._execute(lambda: entered.set() or release.wait(20)))
    await asyncio.to_thread(entered.wait, 20)
    try:
        yield
    finally:
        release.set()
        await call


@pytest.mark.parametrize("what", PROPERTIES)
@pytest.mark.parametrize("same_thread", [True, False])
async def test_commit_that_fails_is_raised_and_changes_nothing(path, what, same_thread):
    options, name, value, before = PROPERTIES[what]
    async with broken_promise(path, check_same_thread=same_thread, **options) as db:
        for _ in range(2):
            with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
                setattr(db, name, value)
            assert getattr(db, name) == before and db.in_transaction
        await db.execute("insert into p values (1)")
        setattr(db, name, value)
        assert getattr(db, name) == value and not db.in_transaction
        assert stored(path, "select p from c") == [(1,)]


@pytest.mark.parametrize("what", PROPERTIES)
async def test_commit_that_fails_in_its_turn_is_owed_to_who_asks_next(path, what):
    options, name, value, _ = PROPERTIES[what]
    async with broken_promise(path, **options) as db:
        async with occupied(db):
            setattr(db, name, value)  # The worker is busy: it is queued.
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            await db.execute("insert into p values (7)")
        assert db.in_transaction
        if name == "autocommit":
            assert db.autocommit is False
        # It is told once.
        assert await (await db.execute("select * from p")).fetchall() == []
        await db.rollback()


@pytest.mark.parametrize("what", PROPERTIES)
async def test_statements_behind_a_property_find_it_set(path, what):
    options, name, value, _ = PROPERTIES[what]
    async with csqlite.connect(path, **options) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values (1)")
        async with occupied(db):
            setattr(db, name, value)
            later = asyncio.ensure_future(db.execute("insert into t values (2)"))
            await asyncio.sleep(0)
        await later
        assert getattr(db, name) == value and not db.in_transaction
    assert stored(path, "select a from t") == [(1,), (2,)]


@pytest.mark.parametrize("what", PROPERTIES)
def test_property_outside_a_loop(path, what):
    options, name, value, before = PROPERTIES[what]
    loop = asyncio.new_event_loop()

    async def start():
        db = await csqlite.connect(path, **options)
        await db.execute("create table t (a)")
        await db.commit()
        await db.execute("insert into t values (1)")
        return db

    db = loop.run_until_complete(start())
    setattr(db, name, value)
    assert getattr(db, name) == value and not db.in_transaction
    assert stored(path, "select a from t") == [(1,)]

    # While the worker is busy it would have to be queued, for which there is no loop.
    setattr(db, name, before)
    entered, release = threading.Event(), threading.Event()

    async def busy():
        call = asyncio.ensure_future(db._execute(lambda: entered.set() or release.wait(20)))
        await asyncio.to_thread(entered.wait, 20)
        return call

    call = loop.run_until_complete(busy())
    with pytest.raises(RuntimeError, match="no running event loop"):
        setattr(db, name, value)
    assert getattr(db, name) == before
    release.set()
    loop.run_until_complete(call)
    loop.run_until_complete(db.close())
    loop.close()


def stored(path, sql):
    """Return what another connection reads."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        return other.execute(sql).fetchall()
