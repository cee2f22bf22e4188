"""csqlite.locks(), and what an error at the end of a wait says of who has the lock."""

import asyncio
import dataclasses
import os
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
from writing import made, opened, states, waiting

import csqlite

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")


@pytest.fixture(params=["wal", "delete"])
def path(request, tmp_path):
    return made(tmp_path / "a.db", request.param)


HOLDERS = {
    "sqlite3": """
        import sqlite3, sys
        db = sqlite3.connect(sys.argv[1], isolation_level=None)
        for sql in sys.argv[2:]:
            db.execute(sql).fetchall()
        print("ready", flush=True)
        sys.stdin.readline()
    """,
    "csqlite": """
        import asyncio, csqlite, sys

        async def main():
            async with csqlite.connect(sys.argv[1], isolation_level=None) as db:
                for sql in sys.argv[2:]:
                    await db.execute_fetchall(sql)
                print("ready", flush=True)
                sys.stdin.readline()

        asyncio.run(main())
    """,
}


@contextmanager
def process_with(kind, path, *statements):
    """Another process that has run these statements, and keeps its connection."""
    from textwrap import dedent

    with subprocess.Popen(
        [sys.executable, "-c", dedent(HOLDERS[kind]), path, *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout.readline() == b"ready\n"
        yield child.pid
        child.communicate(b"\n")


async def refused(db, sql="insert into t values(2)"):
    with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
        await db.execute(sql)
    return caught.value, "\n".join(getattr(caught.value, "__notes__", []))


async def test_one_writes_and_others_wait(path):
    async with AsyncExitStack() as stack:
        first, second, third = await opened(stack, path, 3)
        assert csqlite.locks(path) == []
        await first.execute("begin immediate")
        await first.execute("insert into t values('ü')")
        tasks = [asyncio.create_task(second.execute("begin immediate"))]
        await waiting(path, 1)
        tasks.append(asyncio.create_task(third.execute("delete from t")))
        await waiting(path, 2)
        found = csqlite.locks(path)
        assert [(lock.state, lock.sql) for lock in found] == [
            ("writes", "insert into t values('ü')"),
            ("waits", "begin immediate"),
            ("waits", "delete from t"),
        ]
        assert {lock.process for lock in found} == {os.getpid()}
        assert found[0].seconds >= found[1].seconds >= found[2].seconds >= 0
        await first.commit()
        await tasks[0]
        assert states(path) == ["writes", "waits"]
        await second.commit()
        await tasks[1]
    assert csqlite.locks(path) == []


async def test_the_file_is_found_by_any_name_and_not_opened(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    os.link(path, tmp_path / "hard")
    async with AsyncExitStack() as stack:
        (first,) = await opened(stack, path)
        await first.execute("begin immediate")
        for name in (path, os.fsencode(path), Path(path), link, tmp_path / "hard"):
            assert states(name) == ["writes"]
        # Closing a descriptor of the file would drop the locks that sqlite3 has on it.
        await first.rollback()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("begin immediate")
        csqlite.locks(path)
        error, _ = await refused((await opened(stack, path, timeout=0))[0])
        assert error.sqlite_errorname == "SQLITE_BUSY"
        other.close()


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        csqlite.locks(tmp_path / "none.db")
    with pytest.raises(TypeError):
        csqlite.locks(None)
    with pytest.raises(ValueError, match="null"):
        csqlite.locks("a\0b")
    assert csqlite.locks(tmp_path) == []
    (tmp_path / "empty").touch()
    assert csqlite.locks(tmp_path / "empty") == []


def test_a_lock_is_a_value():
    lock = csqlite.Lock("writes", 1)
    assert lock == csqlite.Lock(state="writes", process=1, sql=None, seconds=None)
    assert [field.name for field in dataclasses.fields(lock)] == [
        "state",
        "process",
        "sql",
        "seconds",
    ]
    with pytest.raises(dataclasses.FrozenInstanceError):
        lock.state = "waits"


@linux
@pytest.mark.parametrize("kind", HOLDERS)
@pytest.mark.parametrize("beginning", ["begin immediate", "begin exclusive"])
async def test_another_process_is_named(path, kind, beginning):
    with process_with(kind, path, beginning) as process:
        assert csqlite.locks(path) == [csqlite.Lock("writes", process)]
        async with AsyncExitStack() as stack:
            for timeout in (0, 0.05):
                (db,) = await opened(stack, path, timeout=timeout)
                for sql in ("insert into t values(1)", "begin immediate", "vacuum"):
                    error, notes = await refused(db, sql)
                    assert error.lock_process == process
                    assert error.lock_sql is error.lock_seconds is None
                    assert f"process {process} has the lock" in notes
            task = asyncio.create_task((await opened(stack, path))[0].execute("begin immediate"))
            while states(path)[0] != "writes" or len(states(path)) < 2:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@linux
@pytest.mark.parametrize("kind", HOLDERS)
async def test_another_process_that_reads_is_named(tmp_path, kind):
    path = made(tmp_path / "a.db", "delete")
    with process_with(kind, path, "begin", "select * from t") as process:
        assert csqlite.locks(path) == [csqlite.Lock("reads", process)]
        async with AsyncExitStack() as stack:
            (db,) = await opened(stack, path, timeout=0.05)
            await db.execute("begin")
            await db.execute("insert into t values(1)")
            error, notes = await refused(db, "commit")
            assert error.lock_process == process
            assert f"process {process} reads" in notes
            await db.rollback()


@pytest.mark.parametrize("begun", [False, True])
async def test_a_reader_of_this_process_is_named(tmp_path, begun):
    path = made(tmp_path / "a.db", "delete")
    async with AsyncExitStack() as stack:
        (reader,) = await opened(stack, path, iter_chunk_size=1)
        (db,) = await opened(stack, path, timeout=0.05)
        await reader.executemany("insert into t values(?)", [(1,)] * 3)
        if begun:
            await reader.execute("begin")
        cursor = await reader.execute("select a from t order by a")
        await cursor.fetchone()
        await db.execute("begin")
        await db.execute("insert into t values(1)")
        error, notes = await refused(db, "commit")
        assert error.lock_process == os.getpid() and error.lock_seconds is None
        assert error.lock_sql == "select a from t order by a"
        assert "this process itself reads" in notes and "order by a" in notes
        await cursor.close()
        if begun:
            error, notes = await refused(db, "commit")
            assert error.lock_process == os.getpid() and error.lock_sql is None
            await reader.rollback()
        await db.commit()


@linux
async def test_the_other_sqlite_of_this_process_is_named(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    async with AsyncExitStack() as stack:
        (db,) = await opened(stack, path, timeout=0)
        error, notes = await refused(db)
        assert error.lock_process == os.getpid() and error.lock_sql is None
        assert "this process itself has the lock" in notes
        assert csqlite.locks(path) == [csqlite.Lock("writes", os.getpid())]
    other.close()


async def test_a_reader_that_is_refused_is_told_who_writes(tmp_path):
    path = made(tmp_path / "a.db", "delete")
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2, timeout=0.05)
        await first.execute("begin exclusive")
        error, notes = await refused(second, "select * from t")
        assert error.lock_sql == "begin exclusive" and "begin exclusive" in notes
        await first.rollback()
        assert await second.execute_fetchall("select * from t") == []
