"""backup(): into files and connections of sqlite3, awaited progress, the source free meanwhile."""

import asyncio
import contextvars
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

ROWS = [(number, "x" * 1000) for number in range(100)]


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def fill(db):
    await db.execute("create table t (a, b)")
    await db.executemany("insert into t values (?, ?)", ROWS)
    await db.commit()


def rows_of_file(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("select * from t").fetchall()


# -- into a file


@pytest.mark.parametrize("kind", [str, Path, os.fsencode], ids=["str", "Path", "bytes"])
async def test_path(db, path, kind):
    await fill(db)
    assert await db.backup(kind(str(path))) is None
    assert rows_of_file(path) == ROWS
    assert sorted(os.listdir(path.parent)) == [path.name]


async def test_file_that_exists_is_replaced(db, path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("create table old (a); create table t (other)")
    await fill(db)
    await db.backup(path)
    assert rows_of_file(path) == ROWS


async def test_path_step_by_step(db, path):
    calls = []
    await fill(db)
    total = await scalar(db, "pragma page_count")
    await db.backup(path, pages=7, progress=lambda *call: calls.append(call), sleep=0)
    assert [call[1] for call in calls] == [*range(total - 7, 0, -7), 0]
    assert {call[2] for call in calls} == {total}
    assert [call[0] for call in calls] == [0] * (len(calls) - 1) + [101]
    assert rows_of_file(path) == ROWS


async def test_name_of_an_attached_database_into_a_file(db, path):
    await db.executescript("attach ':memory:' as other; create table other.t (a)")
    await db.execute("insert into other.t values (1)")
    await db.commit()
    await db.backup(path, name="other")
    assert rows_of_file(path) == [(1,)]


async def test_path_that_cannot_be_opened(db, tmp_path):
    assert await outcome(db.backup(tmp_path / "nowhere" / "x.db")) == (
        sqlite3.OperationalError,
        "unable to open database file",
    )
    with pytest.raises(ValueError, match=r"embedded null"):
        await db.backup("a\0b")


async def test_path_of_a_file_that_is_no_database(db, path):
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    await fill(db)
    assert await outcome(db.backup(path)) in [
        (sqlite3.DatabaseError, "file is not a database"),
        None,
    ]


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("spelling", ["same", "relative", "bytes", "link", "hard link"])
async def test_path_of_the_connections_own_file(path, spelling, mode, monkeypatch):
    """It would wait for a lock that it holds itself, for ever."""
    monkeypatch.chdir(path.parent)
    async with csqlite.connect(path) as db:
        await db.execute(f"pragma journal_mode={mode}")
        await fill(db)
        target = path.parent / "link.db"
        if spelling == "link":
            target.symlink_to(path)
        elif spelling == "hard link":
            os.link(path, target)
        else:
            target = {"same": path, "relative": path.name, "bytes": os.fsencode(path)}[spelling]
        assert await outcome(db.backup(target)) == (
            ValueError,
            "target cannot be the file of the connection itself",
        )
        db.row_factory = dict
        db.text_factory = bytes
        assert (await outcome(db.backup(target)))[0] is ValueError


async def test_path_of_another_schemas_file(path):
    async with csqlite.connect(":memory:") as db:
        await fill(db)
        await db.execute("attach ? as other", (str(path),))
        await db.backup(path)
        assert await scalar(db, "select count(*) from other.t") == 100


async def test_path_into_which_another_connection_writes(db, path):
    """It is busy until that one commits; then it goes on."""
    await fill(db)
    statuses = []
    async with csqlite.connect(path, timeout=0) as writer:
        await writer.execute("create table old (a)")
        await writer.execute("begin immediate")

        async def progress(status, remaining, total):
            statuses.append(status)
            await writer.rollback()

        original = csqlite.core.connect
        csqlite.core.connect = lambda target: original(target, timeout=0)
        try:
            await db.backup(path, progress=progress, sleep=0)
        finally:
            csqlite.core.connect = original
    assert statuses == [csqlite.SQLITE_BUSY, csqlite.SQLITE_DONE]
    assert rows_of_file(path) == ROWS


async def test_cancelled_backup_into_a_file_leaves_it_as_it_was(db, path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("create table t (a); insert into t values ('old')")
    await fill(db)
    begun = asyncio.Event()

    async def progress(*call):
        begun.set()
        await asyncio.sleep(3600)

    task = asyncio.ensure_future(db.backup(path, pages=1, progress=progress))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rows_of_file(path) == [("old",)]
    assert sorted(os.listdir(path.parent)) == [path.name]


# -- progress that is awaited

variable = contextvars.ContextVar("variable")

TARGETS = ["csqlite", "sqlite3", "path"]


class Target:
    """Something to copy into: a connection of csqlite or sqlite3, or a path."""

    def __init__(self, kind, path):
        self.kind = kind
        self.path = path

    async def __aenter__(self):
        if self.kind == "path":
            return self.path
        if self.kind == "csqlite":
            self.connection = csqlite.connect(self.path)
            return await self.connection
        self.connection = sqlite3.connect(self.path)
        return self.connection

    async def __aexit__(self, *exc_info):
        if self.kind == "csqlite":
            await self.connection.close()
        elif self.kind == "sqlite3":
            self.connection.close()


@pytest.mark.parametrize("kind", TARGETS)
async def test_progress_that_is_a_coroutine_function(db, path, kind):
    await fill(db)
    loop = asyncio.get_running_loop()
    calls = []

    async def progress(status, remaining, total):
        assert asyncio.get_running_loop() is loop
        # The connection that is copied can be used in it.
        calls.append((status, remaining, await scalar(db, "select count(*) from t")))

    async with Target(kind, path) as target:
        await db.backup(target, pages=10, progress=progress, sleep=0)
    assert rows_of_file(path) == ROWS
    assert len(calls) > 2
    assert calls[-1] == (101, 0, 100)


async def test_awaited_progress_has_the_context_of_the_task(db, path):
    await fill(db)
    found = []

    async def progress(*call):
        found.append(variable.get(None))

    variable.set("here")
    await db.backup(path, progress=progress)
    assert found == ["here"]


@pytest.mark.parametrize("kind", TARGETS)
async def test_object_whose_call_gives_an_awaitable(db, path, kind):
    class Progress:
        count = 0

        def __call__(self, *call):
            return self.note()

        async def note(self):
            self.count += 1

    await fill(db)
    progress = Progress()
    async with Target(kind, path) as target:
        await db.backup(target, progress=progress)
    assert progress.count == 1


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
async def test_error_of_progress_ends_the_backup(db, path, kind, awaited):
    def plain(*call):
        raise LookupError("progress")

    async def coroutine(*call):
        raise LookupError("progress")

    await fill(db)
    async with Target(kind, path) as target:
        function = coroutine if awaited else plain
        expected = (LookupError, "progress")
        assert await outcome(db.backup(target, pages=1, progress=function)) == expected
        await db.backup(target)
    assert rows_of_file(path) == ROWS


# -- the source stays usable


@pytest.mark.parametrize("kind", TARGETS)
async def test_source_is_free_between_two_steps(db, path, kind):
    await fill(db)
    turn = asyncio.Event()

    async def progress(status, remaining, total):
        turn.set()
        while turn.is_set():
            await asyncio.sleep(0)

    async def use():
        for number in range(3):
            await turn.wait()
            assert await scalar(db, "select count(*) from t") == 100 + number
            await db.execute("insert into t values (?, 'new')", (1000 + number,))
            await db.commit()
            turn.clear()
        while True:
            await turn.wait()
            turn.clear()

    user = asyncio.ensure_future(use())
    async with Target(kind, path) as target:
        await db.backup(target, pages=5, progress=progress, sleep=0)
    user.cancel()
    assert await scalar(db, "select count(*) from t") == 103
    # What sqlite3 gets was copied before its first step.
    assert len(rows_of_file(path)) == (100 if kind == "sqlite3" else 103)


async def test_source_is_free_while_sqlite3_copies(db):
    """In a step that does not end."""
    await fill(db)
    stepped, go_on = threading.Event(), threading.Event()

    def progress(*call):
        stepped.set()
        go_on.wait()

    with closing(sqlite3.connect(":memory:")) as target:
        task = asyncio.ensure_future(db.backup(target, progress=progress))
        while not stepped.is_set():
            await asyncio.sleep(0)
        assert await scalar(db, "select count(*) from t") == 100
        await db.execute("delete from t")
        await db.commit()
        go_on.set()
        await task
        assert target.execute("select count(*) from t").fetchone() == (100,)


async def test_source_may_be_closed_while_sqlite3_copies():
    db = await csqlite.connect(":memory:")
    await fill(db)
    stepped, go_on = threading.Event(), threading.Event()

    def progress(*call):
        stepped.set()
        go_on.wait()

    with closing(sqlite3.connect(":memory:")) as target:
        task = asyncio.ensure_future(db.backup(target, progress=progress))
        while not stepped.is_set():
            await asyncio.sleep(0)
        await db.close()
        go_on.set()
        await task
        assert target.execute("select count(*) from t").fetchone() == (100,)


async def test_cancelled_backup_into_sqlite3_has_let_go_of_the_target(db):
    await fill(db)
    stepped, go_on = threading.Event(), threading.Event()
    calls = []

    def progress(*call):
        calls.append(call)
        stepped.set()
        go_on.wait()

    with closing(sqlite3.connect(":memory:")) as target:
        task = asyncio.ensure_future(db.backup(target, pages=1, progress=progress, sleep=0))
        while not stepped.is_set():
            await asyncio.sleep(0)
        for _ in range(3):
            task.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(calls) == 1
        assert target.execute("select count(*) from sqlite_master").fetchone() == (0,)


# -- misuse, as sqlite3 sees it

NO_INT = "'{}' object cannot be interpreted as an integer"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pages": "x"}, (TypeError, NO_INT.format("str"))),
        ({"pages": None}, (TypeError, NO_INT.format("NoneType"))),
        ({"pages": 2**40}, (OverflowError, "Python int too large to convert to C int")),
        ({"progress": 5}, (TypeError, "progress argument must be a callable")),
        ({"name": 5}, (TypeError, "backup() argument 'name' must be str, not int")),
        ({"name": None}, (TypeError, "backup() argument 'name' must be str, not None")),
        ({"name": "nowhere"}, (sqlite3.OperationalError, "unknown database nowhere")),
        ({"sleep": "x"}, (TypeError, "must be real number, not str")),
        ({"sleep": None}, (TypeError, "must be real number, not NoneType")),
        ({"sleep": -1}, None),
        ({"pages": -5}, None),
        ({"pages": True}, None),
        ({"progress": None, "name": "main"}, None),
    ],
    ids=str,
)
async def test_options(twin, options, expected):
    async with twin(":memory:") as db, twin(":memory:") as target:
        assert await outcome(db.backup(target, **options)) == expected


async def test_target_with_an_open_transaction(twin):
    async with twin(":memory:") as db, twin(":memory:") as target:
        await db.execute("create table t (a)")
        await target.execute("create table u (a)")
        await target.execute("begin")
        await target.execute("insert into u values (1)")
        assert await outcome(db.backup(target)) == (
            sqlite3.OperationalError,
            "destination database is in use",
        )


# -- the synchronous view


@pytest.mark.parametrize("pages", [-1, 7])
async def test_synchronous_view(db, pages):
    await fill(db)
    calls = []
    async with csqlite.connect(":memory:") as target:
        raw = target._conn
        await db._execute(
            db._conn.backup,
            raw,
            pages=pages,
            progress=lambda *call: calls.append(call),
            name="main",
            sleep=0,
        )
        assert await fetchall(target, "select * from t") == ROWS
    assert calls[-1][:2] == (101, 0)
    assert (len(calls) > 1) == (pages > 0)


async def test_synchronous_view_into_sqlite3(db):
    await fill(db)
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as target:
        await db._execute(db._conn.backup, target)
        assert target.execute("select * from t").fetchall() == ROWS


async def test_synchronous_view_with_wrong_targets(db):
    def run(target):
        return outcome(db._execute(db._conn.backup, target))

    assert await run(db._conn) == (ValueError, "target cannot be the same connection instance")
    for target in (5, None, "file.db"):
        assert (await run(target))[0] is TypeError
    async with csqlite.connect(":memory:") as other:
        closed = other._conn
    assert await run(closed) == (ValueError, "no active connection")
    assert await outcome(db._execute(db._conn.backup, closed, name="nowhere")) == (
        ValueError,
        "no active connection",
    )


async def test_synchronous_view_in_a_transaction_of_its_own(db):
    """sqlite3 waits for ever."""
    await fill(db)
    await db.execute("delete from t")
    async with csqlite.connect(":memory:") as target:
        assert await outcome(db._execute(db._conn.backup, target._conn)) == (
            sqlite3.OperationalError,
            "database is locked",
        )
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as target:
        assert await outcome(db._execute(db._conn.backup, target)) == (
            sqlite3.OperationalError,
            "database is locked",
        )
    await db.rollback()


# -- foreign connections


async def foreign():
    """Return an open connection of sqlite3 behind csqlite's face, filled."""
    db = await csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64)
    await fill(db)
    return db


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
async def test_foreign_source(path, kind, awaited):
    calls = []

    def plain(*call):
        calls.append(call)

    async def coroutine(*call):
        calls.append(call)

    async with Target(kind, path) as target:
        source = await foreign()
        await source.backup(target, pages=10, progress=coroutine if awaited else plain, sleep=0)
        await source.close()
    assert rows_of_file(path) == ROWS
    assert calls[-1][:2] == (101, 0)


async def test_foreign_target(db):
    await fill(db)
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as target:
        await db.backup(target)
        assert await fetchall(target, "select * from t") == ROWS


@pytest.mark.parametrize("target", [None, 5])
async def test_target_that_is_no_connection_is_refused_as_sqlite3_refuses_it(target):
    async with csqlite.connect(":memory:") as db:
        refused = await outcome(db.backup(target))
    kind = "None" if target is None else type(target).__name__
    assert refused == (
        TypeError,
        f"backup() argument 'target' must be sqlite3.Connection, not {kind}",
    )
