"""Group commit: writes that wait together are committed together, and nobody can tell but by the time.

The oracle is the same connection without it: each statement by itself, one after the other.
"""

import asyncio
import random
import sqlite3
import threading
from contextlib import closing

import pytest
from doses import FULL
from grouping import held, insert, new_file, opened, rows

import csqlite

SCHEMA = """
CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE, c NOT NULL DEFAULT 0, d CHECK (d < 100));
CREATE TABLE parent(id INTEGER PRIMARY KEY);
CREATE TABLE child(id INTEGER PRIMARY KEY,
                   parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE strictly(n REFERENCES parent);
CREATE TABLE picky(a UNIQUE ON CONFLICT FAIL);
CREATE TABLE gone(a UNIQUE ON CONFLICT ROLLBACK);
CREATE TABLE raising(a);
CREATE TABLE log(what);
CREATE TRIGGER rolls BEFORE INSERT ON raising WHEN new.a = 0
    BEGIN INSERT INTO log VALUES('r'); SELECT RAISE(ROLLBACK, 'rolled'); END;
CREATE TRIGGER fails BEFORE INSERT ON raising WHEN new.a = 1
    BEGIN INSERT INTO log VALUES('f'); SELECT RAISE(FAIL, 'failed'); END;
CREATE TRIGGER aborts BEFORE INSERT ON raising WHEN new.a = 2
    BEGIN INSERT INTO log VALUES('a'); SELECT RAISE(ABORT, 'aborted'); END;
CREATE TRIGGER ignores BEFORE INSERT ON raising WHEN new.a = 3
    BEGIN INSERT INTO log VALUES('i'); SELECT RAISE(IGNORE); END;
CREATE TEMP TABLE mine(a UNIQUE);
"""
TABLES = ("t", "parent", "child", "strictly", "picky", "gone", "raising", "log", "mine")

THREE = "SELECT ? UNION ALL SELECT ? UNION ALL SELECT ?"


def _small(chance):
    return chance.choice([0, 1, 2, 3, 4, 5, None, 101, "x"])


def _statement(chance):
    """Return SQL and its parameters, or a list of rows of them."""
    verb = chance.choice(["", "OR ABORT", "OR FAIL", "OR ROLLBACK", "OR IGNORE", "OR REPLACE"])
    n = lambda: _small(chance)  # noqa: E731
    return chance.choice(
        [
            lambda: (f"INSERT {verb} INTO t(b, d) VALUES (?, ?)", (n(), n())),
            lambda: (
                f"INSERT {verb} INTO t(b, c) {THREE.replace('?', '?, ?')}",
                (n(), n(), n(), n(), n(), n()),
            ),
            lambda: (f"UPDATE {verb} t SET b = ? WHERE a < ?", (n(), n())),
            lambda: ("DELETE FROM t WHERE a = ?", (n(),)),
            lambda: ("DELETE FROM t", ()),
            lambda: ("INSERT INTO t(b) VALUES (?) RETURNING a, b", (n(),)),
            lambda: (f"INSERT INTO t(b) {THREE} RETURNING b", (n(), n(), n())),
            lambda: (f"INSERT {verb} INTO parent VALUES (?)", (n(),)),
            lambda: ("DELETE FROM parent WHERE id = ?", (n(),)),
            lambda: (f"INSERT {verb} INTO child(parent) VALUES (?)", (n(),)),
            lambda: (f"INSERT INTO child(parent) {THREE}", (n(), n(), n())),
            lambda: ("INSERT INTO strictly VALUES (?)", (n(),)),
            lambda: (f"INSERT INTO picky {THREE}", (n(), n(), n())),
            lambda: (f"INSERT INTO gone {THREE}", (n(), n(), n())),
            lambda: (f"INSERT INTO raising {THREE}", (n(), n(), n())),
            lambda: (f"INSERT {verb} INTO mine VALUES (?)", (n(),)),
            lambda: ("INSERT INTO log VALUES (boom(?))", (n(),)),
            lambda: (
                f"INSERT INTO log SELECT boom(b) FROM ({THREE.replace('?', '? AS b', 1)})",
                (n(), n(), n()),
            ),
            lambda: ("INSERT INTO log VALUES (last_insert_rowid() || ' ' || changes())", ()),
            lambda: ("INSERT INTO nowhere VALUES (?)", (n(),)),
            lambda: ("INSERT INTO t(b) VALUES (?)", (n(), n())),
            lambda: ("INSERT INTO t(b) VALUES (?)", (object(),)),
            lambda: ("INSERT INTO t(b) VALUES (?); SELECT 1", (n(),)),
            lambda: ("SELECT count(*), max(a) FROM t", ()),
            lambda: ("CREATE TABLE IF NOT EXISTS later(a)", ()),
            lambda: (f"INSERT {verb} INTO t(b, d) VALUES (?, ?)", [(n(), n()) for _ in range(4)]),
            lambda: ("INSERT INTO child(parent) VALUES (?)", [(n(),) for _ in range(4)]),
            lambda: ("INSERT INTO raising VALUES (?)", [(n(),) for _ in range(4)]),
            lambda: ("INSERT INTO log VALUES (boom(?))", [(n(),) for _ in range(4)]),
            lambda: ("INSERT INTO t(b) VALUES (?)", [(n(),), (object(),), (n(),)]),
        ]
    )()


def boom(value):
    if value == 0:
        raise ValueError("boom")
    return value


async def _open(path, **options):
    db = await csqlite.connect(path, isolation_level=None, **options)
    await db.execute("PRAGMA foreign_keys = ON")
    await db.executescript(SCHEMA)
    await db.create_function("boom", 1, boom)
    return db


async def _run(db, sql, parameters):
    """Return what comes of one statement, in words."""
    try:
        if isinstance(parameters, list):
            cursor = await db.executemany(sql, parameters)
        else:
            cursor = await db.execute(sql, parameters)
        return cursor.rowcount, cursor.lastrowid, await cursor.fetchall()
    except (sqlite3.Error, ValueError) as error:
        return type(error).__name__, str(error), getattr(error, "sqlite_errorname", None)


async def _contents(db):
    return {table: await db.execute_fetchall(f"SELECT rowid, * FROM {table}") for table in TABLES}


@pytest.mark.parametrize("seed", range(300 if FULL else 40))
async def test_as_each_by_itself(tmp_path, seed):
    chance = random.Random(seed)
    statements = [_statement(chance) for _ in range(chance.choice([2, 5, 30, 120]))]
    plain = await _open(tmp_path / "plain.db")
    alone = [await _run(plain, *each) for each in statements]
    grouped = await _open(
        tmp_path / "grouped.db", group_commit=True, max_batch=chance.choice([2, 10, 100])
    )
    together = await held(grouped, lambda: [_run(grouped, *each) for each in statements])
    for statement, one, other in zip(statements, alone, together):
        assert (statement, other) == (statement, one)
    assert await _contents(grouped) == await _contents(plain)
    assert grouped.total_changes == plain.total_changes
    assert not grouped.in_transaction
    await plain.close()
    await grouped.close()


@pytest.fixture(params=["wal", "delete"])
def path(request, tmp_path):
    return new_file(tmp_path / "a.db", request.param)


@opened
async def test_one_commit_for_many(db, path):
    await held(db, lambda: [insert(db, n) for n in range(50)])
    assert 1 <= db.group_commits <= 25  # A slow machine ends a batch by the clock.
    assert rows(path) == list(range(50))


@opened
async def test_answers_come_after_the_commit(db, path):
    async def told(n):
        await insert(db, n)
        return rows(path)

    for found in await held(db, lambda: [told(n) for n in range(20)]):
        assert found == list(range(20))


async def test_autocommit_is_enough(path):
    async with csqlite.connect(path, autocommit=True, group_commit=True) as db:
        await held(db, lambda: [insert(db, n) for n in range(5)])
        assert 1 <= db.group_commits <= 2


async def test_without_it_each_is_committed_by_itself(path):
    async with csqlite.connect(path, isolation_level=None) as db:
        await held(db, lambda: [insert(db, n) for n in range(5)])
        assert db.group_commits == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"isolation_level": ""},
        {"isolation_level": "IMMEDIATE"},
        {"isolation_level": "", "autocommit": False},
        {"isolation_level": None, "max_batch": 0},
        {"isolation_level": None, "max_delay": -1},
        {"isolation_level": None, "max_delay": 2},
    ],
)
async def test_what_makes_no_sense(options):
    with pytest.raises(ValueError, match="group_commit|max_batch|max_delay"):
        await csqlite.connect(":memory:", group_commit=True, **options)


@pytest.mark.parametrize("options", [{"max_batch": "1"}, {"max_batch": True}, {"max_delay": "x"}])
async def test_what_is_of_another_type(options):
    with pytest.raises(TypeError, match="max_batch|max_delay"):
        await csqlite.connect(":memory:", isolation_level=None, group_commit=True, **options)


@opened
async def test_levels_set_later(db, path):
    db.isolation_level = ""
    await held(db, lambda: [insert(db, n) for n in range(5)])
    assert db.in_transaction and db.group_commits == 0
    await db.commit()
    db.isolation_level = None
    await held(db, lambda: [insert(db, n) for n in range(5)])
    assert not db.in_transaction and 1 <= db.group_commits <= 2


async def test_max_delay_lets_others_come(path):
    async with csqlite.connect(
        path, isolation_level=None, group_commit=True, max_delay=1, max_batch=3
    ) as db:
        # The third ends the wait. None could come so late that a second were over before.
        tasks = [asyncio.ensure_future(insert(db, 0))]
        for n in (1, 2):
            await asyncio.sleep(0.01)
            tasks.append(asyncio.ensure_future(insert(db, n)))
        await asyncio.gather(*tasks)
        assert rows(path) == [0, 1, 2]
        assert db.group_commits <= 1


async def test_who_asks_for_something_else_ends_the_delay(path):
    async with csqlite.connect(path, isolation_level=None, group_commit=True, max_delay=1) as db:
        one = asyncio.ensure_future(insert(db, 1))
        await asyncio.sleep(0.01)
        assert await db.execute_fetchall("SELECT a FROM t") == [(1,)]
        await one


@opened
async def test_nobody_sees_what_is_not_committed(db, path):
    async def look():
        [(seen,)] = await db.execute_fetchall("SELECT count(*) FROM t")
        return seen <= len(rows(path))

    made = lambda: [step for n in range(20) for step in (insert(db, n), look())]  # noqa: E731
    assert all((await held(db, made))[1::2])


@opened
async def test_hidden_statements_are_hidden(db):
    seen = []
    await db.set_trace_callback(seen.append)
    states = []
    await db.create_function("state", 0, lambda: states.append(db.in_transaction))
    await held(db, lambda: [db.execute("INSERT INTO t VALUES (state())") for _ in range(5)])
    await db.set_trace_callback(None)
    assert 1 <= db.group_commits <= 2
    assert seen == ["INSERT INTO t VALUES (state())"] * 5
    assert states == [False] * 5


@pytest.mark.parametrize(
    "listen",
    [
        lambda db: db.set_authorizer(lambda *_: sqlite3.SQLITE_OK),
        lambda db: db.set_commit_hook(lambda: None),
        lambda db: db.set_rollback_hook(lambda: None),
        lambda db: db.set_update_hook(lambda *_: None),
    ],
    ids=["authorizer", "commit_hook", "rollback_hook", "update_hook"],
)
@opened
async def test_who_would_hear_of_commits_keeps_them_single(db, path, listen):
    await listen(db)
    await held(db, lambda: [insert(db, n) for n in range(5)])
    assert db.group_commits == 0
    assert rows(path) == list(range(5))


@opened
async def test_a_commit_hook_that_refuses(db, path):
    answers = iter([False, True, False])
    await db.set_commit_hook(lambda: next(answers))
    came = await held(db, lambda: [insert(db, n) for n in range(3)])
    assert [type(one).__name__ for one in came] == ["Cursor", "IntegrityError", "Cursor"]
    assert rows(path) == [0, 2]


@opened
async def test_an_open_blob_keeps_commits_single(db):
    await db.execute("INSERT INTO t VALUES (zeroblob(10))")
    async with db.blobopen("t", "a", 1):
        await held(db, lambda: [insert(db, n) for n in range(5)])
    assert db.group_commits == 0


class Slow:
    """An SQL function that stands until it is let go."""

    def __init__(self):
        self.come = threading.Event()
        self.go = threading.Event()
        self.calls = 0

    def __call__(self, value):
        self.calls += 1
        self.come.set()
        assert self.go.wait(30)
        return value

    async def reached(self):
        while not self.come.is_set():
            await asyncio.sleep(0)


@pytest.mark.parametrize("end", ["cancel", "deadline", "interrupt"])
@opened
async def test_one_is_stopped_in_the_middle(db, path, end):
    """Its statement goes on, so that it can be stopped, and nothing of it stays."""
    slow = Slow()
    await db.create_function("slow", 1, slow)
    endless = (
        "INSERT INTO t SELECT 100 + i FROM (WITH RECURSIVE n(i) AS "
        "(SELECT slow(1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)"
    )
    tasks = []

    def made():
        tasks.extend(asyncio.ensure_future(insert(db, n)) for n in range(5))
        tasks.append(
            asyncio.ensure_future(
                db.execute(endless, deadline=0.05) if end == "deadline" else db.execute(endless)
            )
        )
        tasks.extend(asyncio.ensure_future(insert(db, n)) for n in range(5, 10))
        return tasks

    running = asyncio.ensure_future(held(db, made))
    await slow.reached()
    if end == "cancel":
        tasks[5].cancel()
    slow.go.set()
    if end == "interrupt":
        while not tasks[5].done():
            await db.interrupt()
            await asyncio.sleep(0.001)
    came = await running
    kinds = {"cancel": "CancelledError", "deadline": "DeadlineExceeded"}
    assert type(came[5]).__name__ == kinds.get(end, "OperationalError")
    assert [type(one).__name__ for one in came[:5] + came[6:]] == ["Cursor"] * 10
    assert rows(path) == list(range(10))


@opened
async def test_a_cancelled_one_that_runs_to_its_end(db, path):
    slow = Slow()
    await db.create_function("slow", 1, slow)
    tasks = []

    def made():
        tasks.extend(asyncio.ensure_future(insert(db, n)) for n in range(3))
        tasks.append(asyncio.ensure_future(db.execute("INSERT INTO t VALUES (slow(100))")))
        tasks.extend(asyncio.ensure_future(insert(db, n)) for n in range(3, 6))
        return tasks

    running = asyncio.ensure_future(held(db, made))
    await slow.reached()
    tasks[3].cancel()
    await asyncio.wait([tasks[3]])
    slow.go.set()
    await running
    assert tasks[3].cancelled()
    assert rows(path) == list(range(6))


@pytest.mark.parametrize("seed", range(20 if FULL else 5))
async def test_cancelled_at_random(path, seed):
    chance = random.Random(seed)
    async with csqlite.connect(
        path, isolation_level=None, group_commit=True, max_batch=chance.choice([2, 7, 100])
    ) as db:
        tasks = {n: asyncio.ensure_future(insert(db, n)) for n in range(400)}
        while not all(task.done() for task in tasks.values()):
            await asyncio.sleep(0)
            for task in chance.sample(sorted(tasks), 3):
                tasks[task].cancel()
        await db.execute("SELECT 1")  # Behind what nobody waits for any more.
        there = rows(path)
        assert {n for n, task in tasks.items() if not task.cancelled()} <= set(there)
        assert len(there) == len(set(there))
        assert not db.in_transaction


@opened
async def test_one_cursor_many_times(db, path):
    cursor = await db.cursor()
    await held(db, lambda: [cursor.execute("INSERT INTO t VALUES (?)", (n,)) for n in range(10)])
    assert cursor.lastrowid == 10
    assert rows(path) == list(range(10))


@opened
async def test_many_rows_of_many_tasks(db, path):
    await held(
        db,
        lambda: [
            db.executemany("INSERT INTO t VALUES (?)", [(n * 10 + k,) for k in range(10)])
            for n in range(10)
        ],
    )
    assert 1 <= db.group_commits <= 5
    assert rows(path) == list(range(100))


@opened
async def test_a_long_executemany_is_committed_in_parts(db, path):
    await db.executemany("INSERT INTO t VALUES (?)", ((n,) for n in range(50_000)))
    assert 1 < db.group_commits < 5_000
    assert rows(path, "SELECT count(*) FROM t") == [50_000]


@opened
async def test_an_executemany_that_fails_keeps_what_it_has_written(db, path):
    await db.execute("CREATE UNIQUE INDEX one ON t(a)")
    with pytest.raises(sqlite3.IntegrityError):
        await db.executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (1,), (3,)])
    assert rows(path) == [1, 2]


async def test_a_full_database(tmp_path):
    async def fill(**options):
        async with csqlite.connect(
            tmp_path / f"{len(options)}.db", isolation_level=None, **options
        ) as db:
            await db.execute("CREATE TABLE t(a)")
            await db.execute("PRAGMA max_page_count = 30")
            blobs = [40_000, 10, 80_000, 20, 70_000, 30, 200_000, 40]
            came = await held(
                db,
                lambda: [_run(db, "INSERT INTO t VALUES (zeroblob(?))", (size,)) for size in blobs],
            )
            return came, await db.execute_fetchall("SELECT rowid, length(a) FROM t")

    assert await fill(group_commit=True) == await fill()


async def test_who_is_locked_out_says_so(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with csqlite.connect(
            path, isolation_level=None, group_commit=True, timeout=0.02
        ) as db:
            other.execute("BEGIN IMMEDIATE")
            came = await held(db, lambda: [insert(db, n) for n in range(4)])
            assert [str(one) for one in came] == ["database is locked"] * 4
            other.execute("ROLLBACK")
            await held(db, lambda: [insert(db, n) for n in range(4)])
            assert rows(path) == list(range(4))


async def test_a_commit_that_readers_hold_up(tmp_path):
    path = str(tmp_path / "a.db")
    async with csqlite.connect(path, isolation_level=None, group_commit=True, timeout=0.02) as db:
        await db.execute("CREATE TABLE t(a)")
        await insert(db, -1)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM t").fetchall()
            came = await held(db, lambda: [insert(db, n) for n in range(3)])
            assert [str(one) for one in came] == ["database is locked"] * 3
            reader.execute("COMMIT")
        await held(db, lambda: [insert(db, n) for n in range(3)])
        assert rows(path) == [-1, 0, 1, 2]


@opened
async def test_callbacks_that_use_the_connection(db, path):
    """What a function writes belongs to its statement, and it may begin no transaction that lasts."""
    tries = []

    def nested(value):
        tries.append(value)
        db._conn.execute("INSERT INTO t VALUES (?)", (value + 1000,))
        return value

    await db.create_function("nested", 1, nested)
    await held(db, lambda: [db.execute("INSERT INTO t VALUES (nested(?))", (n,)) for n in range(4)])
    assert rows(path) == [0, 1, 2, 3, 1000, 1001, 1002, 1003]


async def test_closing_takes_everybody_along(path):
    db = await csqlite.connect(path, isolation_level=None, group_commit=True)
    tasks = [asyncio.ensure_future(insert(db, n)) for n in range(200)]
    await asyncio.sleep(0)
    await db.close()
    came = await asyncio.gather(*tasks, return_exceptions=True)
    done = [n for n, one in enumerate(came) if not isinstance(one, Exception)]
    assert rows(path) == done


async def test_another_module_has_no_such_thing(path):
    with pytest.raises(sqlite3.NotSupportedError, match="group_commit"):
        await csqlite.connect(
            path,
            isolation_level=None,
            group_commit=True,
            factory=type("Own", (sqlite3.Connection,), {}),
        )
