"""backup(): names of files, whose file it is, and an end that is interrupted again and again."""

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from parity.outcomes import fetchall, outcome

import csqlite
from csqlite import deadlines

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


@pytest.mark.parametrize("linked", [False, True])
async def test_connection_to_the_same_file(path, linked):
    other = path.parent / "other.db" if linked else path
    async with csqlite.connect(path) as db:
        await fill(db)
        if linked:
            os.link(path, other)
        async with csqlite.connect(other) as target:
            expected = (ValueError, "target cannot be the file of the connection itself")
            assert await outcome(db.backup(target)) == expected
        assert await fetchall(db, "select * from t") == ROWS


NOT_UTF8 = os.fsdecode(b"n\xff\xfe.db")


@pytest.fixture
def odd_folder(tmp_path, monkeypatch):
    """A current directory whose name is not UTF-8."""
    folder = os.fsencode(tmp_path) + b"/d\xfe"
    try:
        os.mkdir(folder)
        with open(folder + b"/" + os.fsencode(NOT_UTF8), "w"):
            pass
    except (OSError, UnicodeError):
        pytest.skip("the file system takes no such names")
    monkeypatch.chdir(os.fsdecode(folder))
    return os.fsdecode(folder)


@pytest.mark.parametrize("kind", [str, os.fsencode, Path], ids=["str", "bytes", "Path"])
@pytest.mark.parametrize("name", ["plain.db", NOT_UTF8, os.path.join("..", NOT_UTF8)], ids=ascii)
@pytest.mark.parametrize("source", [":memory:", "source.db", "s" + NOT_UTF8], ids=ascii)
async def test_names_that_are_not_utf8(odd_folder, source, name, kind):
    async with csqlite.connect(source) as db:
        await fill(db)
        await db.backup(kind(name))
        await db.backup(kind(os.path.join(odd_folder, name)))
        if source != ":memory:":
            assert (await outcome(db.backup(kind(os.path.join(odd_folder, source)))))[
                0
            ] is ValueError
    async with csqlite.connect(name) as copy:
        assert await fetchall(copy, "select * from t") == ROWS


async def test_authorizer_is_not_asked(path):
    asked = []

    def refuse(*action):
        asked.append(action)
        return sqlite3.SQLITE_DENY

    async with csqlite.connect(path) as db:
        await fill(db)
        await db.set_authorizer(refuse)
        await db.backup(path.parent / "copy.db")
        assert (await outcome(db.backup(path)))[0] is ValueError
        async with csqlite.connect(":memory:") as target:
            await db.backup(target)
    assert asked == []
    assert rows_of_file(path.parent / "copy.db") == ROWS


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("kind", ["path", "csqlite"])
async def test_backup_cancelled_again_while_it_cleans_up(db, path, kind, times):
    """The target is as it was when the call has ended, however often it was cancelled."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("create table t (a); insert into t values ('old')")
    await fill(db)
    begun, held, go_on = asyncio.Event(), threading.Event(), threading.Event()

    def hold():
        held.set()
        go_on.wait()

    await db.create_function("hold", 0, hold)

    async def progress(*call):
        begun.set()
        await asyncio.sleep(3600)

    async with csqlite.connect(path) as target:
        into = path if kind == "path" else target
        task = asyncio.ensure_future(db.backup(into, pages=1, progress=progress))
        await begun.wait()
        holding = asyncio.ensure_future(db.execute("select hold()"))
        while not held.is_set():
            await asyncio.sleep(0)
        for _ in range(times):
            task.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await fetchall(target, "select * from t") == [("old",)]
        await holding
    assert rows_of_file(path) == [("old",)]


async def test_deadline_of_a_backup_that_comes_while_it_cleans_up(db, path):
    await fill(db)
    held, go_on = threading.Event(), threading.Event()

    def hold():
        held.set()
        go_on.wait()

    async def progress(status, remaining, total):
        if not held.is_set():
            tasks.append(asyncio.ensure_future(db.execute("select hold()")))
            while not held.is_set():
                await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(deadlines.remaining() + 0.01, go_on.set)
            raise KeyError("progress")

    tasks = []
    await db.create_function("hold", 0, hold)
    async with csqlite.connect(path) as target:
        with pytest.raises(KeyError):
            await db.backup(target, pages=1, progress=progress, deadline=1)
        assert await fetchall(target, "select * from sqlite_master") == []
    await asyncio.gather(*tasks, return_exceptions=True)
