"""csqlite's SQLite beside the sqlite3 module's, on one file in one process (docs/two-sqlites.md)."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from doses import FULL, dose

import csqlite
from csqlite import _csqlite, copies, core

STATE = _csqlite._vfs_state()

guarded = pytest.mark.skipif(STATE != "guarded", reason="this build or system guards nothing")

LOAD = Path(__file__).with_name("two_sqlites.py")
MODES = ("delete", "wal", "truncate", "persist")

# Asks from another process whether the file can be written to.
TRY = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("begin immediate")
except sqlite3.OperationalError as error:
    print(error)
else:
    print("free")
"""


def tried_elsewhere(path):
    """Return "free", or what another process is told that wants to write."""
    done = subprocess.run(
        [sys.executable, "-c", TRY, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def make(path, mode):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"pragma journal_mode = {mode}")
    connection.execute("create table t (x)")
    connection.close()


def open_descriptors(path):
    """Return how many descriptors of the database and its companions this process has."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith(os.path.realpath(path))
    return count


# -- the whole ---------------------------------------------------------------------


@guarded
@pytest.mark.parametrize("other", ["sqlite3", "apsw"])
@pytest.mark.parametrize("mode", MODES if FULL else MODES[:2])
def test_both_copies_in_threads_and_processes(path, mode, other):
    pytest.importorskip(other)
    seconds = dose(1.2, 60 if mode in ("delete", "wal") else 10)
    command = [sys.executable, str(LOAD), str(path), mode, str(seconds), str(dose(2, 3)), other]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["errors"] == {}
    assert result["integrity"] == ["ok"]
    assert result["commits"] > 20
    assert result["descriptors"] <= 6


# -- one at a time -----------------------------------------------------------------


@guarded
@pytest.mark.parametrize("mode", MODES)
async def test_sqlite3_does_not_see_a_database_that_is_being_written(path, mode):
    make(path, mode)
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    async with csqlite.connect(path, isolation_level=None, timeout=0) as db:
        await db.execute("begin immediate")
        await db.execute("insert into t values (1)")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            other.execute("begin immediate")
        assert other.execute("select count(*) from t").fetchone() == (0,)
        await db.execute("commit")
        other.execute("begin immediate")
        assert other.execute("select count(*) from t").fetchone() == (1,)
        with pytest.raises(csqlite.OperationalError, match="database is locked"):
            await db.execute("begin immediate")
        other.execute("rollback")
    other.close()


@guarded
@pytest.mark.parametrize("mode", MODES)
async def test_opening_and_closing_sqlite3_leaves_csqlites_lock(path, mode):
    make(path, mode)
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("begin immediate")
        other = sqlite3.connect(path)
        other.execute("select * from t").fetchall()
        other.close()
        assert tried_elsewhere(path) == "database is locked"
        await db.execute("insert into t values (1)")
        await db.execute("commit")
    assert sqlite3.connect(path).execute("select x from t").fetchall() == [(1,)]


@guarded
@pytest.mark.parametrize("use", ["nothing", "read", "write", "readonly", "immutable"])
@pytest.mark.parametrize("mode", MODES)
async def test_opening_and_closing_csqlite_leaves_sqlite3s_lock(path, mode, use):
    make(path, mode)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    other.execute("insert into t values (1)")
    suffix = {"readonly": "?mode=ro", "immutable": "?immutable=1"}.get(use, "")
    db = await csqlite.connect(f"file:{path}{suffix}", uri=True, isolation_level=None, timeout=0)
    if use == "write":
        with pytest.raises(csqlite.OperationalError, match="database is locked"):
            await db.execute("insert into t values (2)")
    elif use != "nothing":
        assert await db.execute_fetchall("select count(*) from t") == [(0,)]
    await db.close()
    assert tried_elsewhere(path) == "database is locked"
    other.execute("commit")
    other.close()
    assert tried_elsewhere(path) == "free"


@guarded
@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_connections_that_come_and_go_do_not_use_up_descriptors(path, mode):
    make(path, mode)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin")
    other.execute("select * from t").fetchall()
    before = open_descriptors(path)
    for number in range(dose(100, 5000)):
        async with csqlite.connect(path) as one, csqlite.connect(path) as two:
            await one.execute_fetchall("select * from t")
            await two.execute_fetchall("select * from t")
            if number == 0:
                most = open_descriptors(path) - before
    assert open_descriptors(path) - before <= min(most, 4)
    other.close()
    async with csqlite.connect(path) as db:
        await db.execute_fetchall("select * from t")
    assert open_descriptors(path) == 0


@guarded
async def test_nothing_stays_open_of_a_file_that_nobody_else_uses(path):
    async with csqlite.connect(path) as db:
        await db.execute("pragma journal_mode = wal")
        await db.execute("create table t (x)")
        assert open_descriptors(path) == 3
    assert open_descriptors(path) == 0
    path.unlink()
    assert os.listdir(path.parent) == []


@guarded
async def test_many_connections_share_their_descriptors(path):
    make(path, "delete")
    connections = [await csqlite.connect(path) for _ in range(20)]
    for db in connections:
        assert await db.execute_fetchall("select * from t") == []
    assert open_descriptors(path) == 1
    for db in connections:
        await db.close()
    assert open_descriptors(path) == 0


@guarded
async def test_read_only_and_writing_connections_of_both(path):
    make(path, "delete")
    uri = f"file:{path}?mode=ro"
    other = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0)
    async with csqlite.connect(uri, uri=True) as reader, csqlite.connect(path, timeout=0) as db:
        other.execute("begin")
        assert other.execute("select count(*) from t").fetchone() == (0,)
        await db.execute("insert into t values (1)")
        with pytest.raises(csqlite.OperationalError, match="database is locked"):
            await db.commit()
        other.execute("commit")
        await db.commit()
        assert await reader.execute_fetchall("select count(*) from t") == [(1,)]
        with pytest.raises(csqlite.OperationalError, match="readonly"):
            await reader.execute("insert into t values (2)")
    assert other.execute("select count(*) from t").fetchone() == (1,)
    other.close()


@guarded
@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_code_that_opens_and_closes_the_file_takes_no_lock(path, mode):
    make(path, mode)
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("begin immediate")
        path.read_bytes()
        assert tried_elsewhere(path) == "database is locked"


@guarded
async def test_file_that_is_replaced_is_opened_as_the_new_one(path, tmp_path):
    make(path, "delete")
    fresh = tmp_path / "fresh.db"
    with sqlite3.connect(fresh) as connection:
        connection.execute("create table renewed (x)")
    connection.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    async with csqlite.connect(path) as db:
        await db.execute_fetchall("select * from t")
    os.replace(fresh, path)
    async with csqlite.connect(path) as db:
        assert await db.execute_fetchall("select * from renewed") == []
    other.close()
    assert open_descriptors(path) == 0


# -- forks -------------------------------------------------------------------------

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")

WRITES = dose(12, 100)


async def write(path, name, count):
    async with csqlite.connect(path, timeout=20) as db:
        for number in range(count):
            await db.execute("insert into t values (?)", (f"{name}{number}",))
            await db.commit()


def write_in_child(path, name):
    asyncio.run(write(path, name, WRITES))


@guarded
@forks
@pytest.mark.parametrize("way", ["fork", "multiprocessing"])
@pytest.mark.parametrize("state", ["idle", "reading", "writing"])
@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_child_that_opens_the_parents_file_has_locks_of_its_own(path, mode, state, way):
    make(path, mode)

    async def parent():
        db = await csqlite.connect(path, timeout=20, isolation_level=None)
        await db.execute("insert into t values ('first')")
        cursor = None
        if state == "writing":
            await db.execute("begin immediate")
            await db.execute("insert into t values ('parent')")
        elif state == "reading":
            await db.execute("begin")
            cursor = await db.execute("select * from t")
            await cursor.fetchone()
        start, stop = os.pipe()
        asked, answer = os.pipe()
        if way == "fork":
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = child_of(path, state, start, answer)
                finally:
                    os._exit(code)
            join = lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])  # noqa: E731
        else:
            process = multiprocessing.get_context("fork").Process(
                target=lambda: sys.exit(child_of(path, state, start, answer))
            )
            process.start()
            join = lambda: (process.join(), process.exitcode)[1]  # noqa: E731
        if state == "idle":
            os.write(stop, b"x")
            await write(path, "p", WRITES)
        else:
            # The child has found the file locked, if it is to find it so.
            await asyncio.get_running_loop().run_in_executor(None, os.read, asked, 1)
            await db.execute("commit")
            os.write(stop, b"x")
        code = await asyncio.get_running_loop().run_in_executor(None, join)
        await db.close()
        for descriptor in (start, stop, asked, answer):
            os.close(descriptor)
        return code

    assert asyncio.run(parent()) == 0
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    values = {row[0] for row in connection.execute("select x from t")}
    wanted = {"first", *(f"c{number}" for number in range(WRITES))}
    if state == "idle":
        wanted |= {f"p{number}" for number in range(WRITES)}
    elif state == "writing":
        wanted.add("parent")
    assert values == wanted
    connection.close()


def child_of(path, state, start, answer):
    """Write what the parent is to find, once it has let go of its transaction."""

    async def is_locked():
        async with csqlite.connect(path, timeout=0, isolation_level=None) as db:
            try:
                await db.execute("begin immediate")
            except csqlite.OperationalError as error:
                return "locked" in str(error)
            return False

    if state == "writing" and not asyncio.run(is_locked()):
        return 3
    os.write(answer, b"x")
    os.read(start, 1)
    write_in_child(path, "c")
    return 0


@guarded
@forks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_child_does_not_keep_the_parents_locks(path):
    make(path, "delete")
    db = await csqlite.connect(path, isolation_level=None)
    await db.execute("begin immediate")
    start, stop = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(stop)
        os.read(start, 1)
        os._exit(0)
    assert tried_elsewhere(path) == "database is locked"
    await db.close()
    assert tried_elsewhere(path) == "free"
    os.close(stop)
    os.close(start)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- the warning -------------------------------------------------------------------


@guarded
async def test_nothing_is_warned_of_where_nothing_can_happen(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with csqlite.connect(path) as db:
            await db.execute("create table t (x)")
        async with csqlite.connect(":memory:") as db:
            await db.execute("create table t (x)")


def test_state_is_that_of_the_build():
    assert STATE in ("guarded", "exposed", "shared")
    # Only a bundled SQLite has this limit everywhere; a system's is never guarded.
    if sys.platform != "linux":
        assert STATE != "guarded"
    assert _csqlite._source_id()[:4].isdigit()


@pytest.mark.parametrize(
    ("state", "source", "expected"),
    [
        ("guarded", None, False),
        ("exposed", None, True),
        ("shared", "another one", True),
        ("shared", None, False),
    ],
)
async def test_warning_comes_once_with_the_first_file(monkeypatch, path, state, source, expected):
    ours = source or copies._source_id_of_sqlite3()
    monkeypatch.setattr(copies._csqlite, "_vfs_state", lambda: state)
    monkeypatch.setattr(copies._csqlite, "_source_id", lambda: ours)
    monkeypatch.setattr(core, "_GUARD", copies.Guard())
    seen = []
    for place in (":memory:", "", path, path):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async with csqlite.connect(place) as db:
                await db.execute("create table if not exists t (x)")
        seen.append([str(warning.message) for warning in caught])
        assert all(warning.category is RuntimeWarning for warning in caught)
    assert [len(messages) for messages in seen] == [0, 0, int(expected), 0]
    if expected:
        assert sqlite3.sqlite_version in seen[2][0]
        assert "docs/two-sqlites.md" in seen[2][0]


async def test_warning_that_is_an_error_is_raised_by_connect(monkeypatch, path):
    monkeypatch.setattr(copies._csqlite, "_vfs_state", lambda: "exposed")
    monkeypatch.setattr(core, "_GUARD", copies.Guard())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            await csqlite.connect(path)
        async with csqlite.connect(path) as db:
            await db.execute("create table t (x)")


async def test_database_in_memory_by_uri_is_no_file(monkeypatch):
    monkeypatch.setattr(copies._csqlite, "_vfs_state", lambda: "exposed")
    monkeypatch.setattr(core, "_GUARD", copies.Guard())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with csqlite.connect("file:x?mode=memory", uri=True) as db:
            await db.execute("create table t (x)")
