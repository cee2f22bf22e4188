"""A file system that refuses: exceptions as sqlite3's, and a connection that goes on.

Each story is told twice, to sqlite3 and to csqlite, with a file of its own for each.
"""

import asyncio
import os
import sqlite3
import sys

import pytest
from processes import run_program

import csqlite

FILL = "insert into t(x) values (zeroblob(200000))"


def seen(error):
    """What a program can tell an error by; sqlite3 has the codes since Python 3.11."""
    code = None
    if sys.version_info >= (3, 11):
        code = (error.sqlite_errorcode, error.sqlite_errorname)
    return type(error), str(error), code


class Sync:
    """sqlite3, in the words that a story uses."""

    def __init__(self, path, **options):
        self.db = sqlite3.connect(path, **options)

    async def run(self, sql):
        try:
            return self.db.execute(sql).fetchall()
        except sqlite3.Error as error:
            return seen(error)

    async def commit(self):
        try:
            return self.db.commit()
        except sqlite3.Error as error:
            return seen(error)

    async def close(self):
        self.db.close()


class Async:
    """csqlite, in the same words."""

    def __init__(self, path, **options):
        self.db = csqlite.connect(path, **options)
        self.begun = False

    async def run(self, sql):
        try:
            if not self.begun:
                self.begun = True
                await self.db
            return await self.db.execute_fetchall(sql)
        except csqlite.Error as error:
            return seen(error)

    async def commit(self):
        try:
            return await self.db.commit()
        except csqlite.Error as error:
            return seen(error)

    async def close(self):
        await self.db.close()


async def tell(story, directory, **options):
    """Tell a story to both and return what sqlite3 and csqlite have said."""
    told = []
    for kind in (Sync, Async):
        place = directory / kind.__name__
        place.mkdir()
        told.append(await story(place, lambda path, kind=kind: kind(path, **options)))
    return told


async def make(connect, path):
    db = connect(path)
    await db.run("create table t(x)")
    await db.run("insert into t values (1)")
    await db.commit()
    return db


async def answers(db):
    return await db.run("select 1") == [(1,)]


async def full_by_page_count(place, connect):
    db = await make(connect, place / "db")
    said = [await db.run("pragma max_page_count = 5"), await db.run(FILL)]
    said += [await db.commit(), await db.run("insert into t values (2)"), await db.commit()]
    said += [await db.run("select x from t"), await answers(db)]
    await db.close()
    return said


async def removed_file(place, connect):
    db = await make(connect, place / "db")
    (place / "db").unlink()
    said = [await db.run("select count(*) from t"), await db.run("insert into t values (2)")]
    said += [await db.commit(), await answers(db)]
    await db.close()
    return said


async def truncated_file(place, connect):
    db = await make(connect, place / "db")
    os.truncate(place / "db", 0)
    said = [await db.run("select count(*) from t"), await answers(db)]
    await db.close()
    return said


async def cut_file(place, connect):
    db = await make(connect, place / "db")
    await db.run(FILL)
    await db.commit()
    os.truncate(place / "db", 8192)
    said = [await db.run("select sum(length(x)) from t"), await answers(db)]
    await db.close()
    return said


async def overwritten_file(place, connect):
    db = await make(connect, place / "db")
    await db.close()
    (place / "db").write_bytes(b"no database " * 1000)
    db = connect(place / "db")
    # Whether `select 1` reads the file depends on how SQLite was compiled.
    said = [await db.run("select count(*) from t"), await db.run("pragma user_version = 3")]
    await db.close()
    return said


async def removed_directory(place, connect):
    inner = place / "inner"
    inner.mkdir()
    db = await make(connect, inner / "db")
    for file in inner.iterdir():
        file.unlink()
    inner.rmdir()
    said = [await db.run("insert into t values (2)"), await db.commit(), await answers(db)]
    await db.close()
    return said


async def journal_that_is_a_directory(place, connect):
    db = await make(connect, place / "db")
    (place / "db-journal").mkdir()
    said = [await db.run("insert into t values (2)"), await db.commit(), await answers(db)]
    (place / "db-journal").rmdir()
    said += [await db.run("insert into t values (3)"), await db.commit()]
    said.append(await db.run("select x from t"))
    await db.close()
    return said


async def read_only_file(place, connect):
    db = await make(connect, place / "db")
    await db.close()
    db = connect(f"file:{place / 'db'}?mode=ro")
    said = [await db.run("insert into t values (2)"), await db.commit()]
    said += [await db.run("select x from t"), await answers(db)]
    await db.close()
    return said


STORIES = [
    full_by_page_count,
    removed_file,
    truncated_file,
    cut_file,
    overwritten_file,
    removed_directory,
    journal_that_is_a_directory,
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("isolation_level", ["", None], ids=["implicit", "autocommit"])
async def test_what_the_file_system_does_is_told_as_by_sqlite3(story, isolation_level, tmp_path):
    theirs, ours = await tell(story, tmp_path, isolation_level=isolation_level)
    assert ours == theirs
    assert True in ours or story is overwritten_file  # it answers


async def test_read_only_database_is_told_as_by_sqlite3(tmp_path):
    theirs, ours = await tell(read_only_file, tmp_path, uri=True)
    assert ours == theirs


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may do everything")
@pytest.mark.parametrize("what", ["file", "directory"])
async def test_lost_permission_is_told_as_by_sqlite3(what, tmp_path):
    async def story(place, connect):
        db = await make(connect, place / "db")
        await db.close()
        refused = place / "db" if what == "file" else place
        refused.chmod(0o500)
        try:
            db = connect(place / "db")
            said = [await db.run("insert into t values (2)"), await answers(db)]
            await db.close()
        finally:
            refused.chmod(0o700)
        return said

    theirs, ours = await tell(story, tmp_path)
    assert ours == theirs


@pytest.mark.parametrize("target", ["", "/", "/nowhere/db", "/proc/db"])
async def test_path_that_cannot_be_opened_is_told_as_by_sqlite3(target, tmp_path):
    path = f"{tmp_path}{target}" if target in ("", "/nowhere/db") else target
    said = []
    for connect in (lambda: sqlite3.connect(path).execute("select * from t"), None):
        try:
            if connect:
                connect()
            else:
                await csqlite.connect(path)
        except sqlite3.Error as error:
            said.append(seen(error))
    assert said[0] == said[1]


# A disk that is really full: the system refuses to let a file grow.
LIMITED = """
    import asyncio, os, resource, signal, sqlite3, sys
    import csqlite

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    journal, limit = sys.argv[1], int(sys.argv[2])

    async def main():
        async with csqlite.connect("limited.db") as db:
            await db.execute(f"pragma journal_mode = {journal}")
            await db.execute("pragma synchronous = off")  # a full disk, not a power cut
            await db.execute("create table t(k, x)")
            await db.commit()
            acknowledged = []
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            errors = set()
            for k in range(30):
                try:
                    await db.executemany(
                        "insert into t values (?, zeroblob(3000))", [(k,)] * 7
                    )
                    await db.commit()
                    acknowledged.append(k)
                except sqlite3.Error as error:
                    errors.add((type(error).__name__, str(error)))
                    await db.rollback()
                    assert await db.execute_fetchall("select 1") == [(1,)]
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            await db.execute("insert into t values (1000, 1)")
            await db.commit()
        # Another life of the file.
        async with csqlite.connect("limited.db") as db:
            assert await db.execute_fetchall("pragma integrity_check") == [("ok",)]
            rows = await db.execute_fetchall("select k, count(*) from t group by k order by k")
            assert [k for k, count in rows if count == 7] == acknowledged, (rows, acknowledged)
            assert rows[-1] == (1000, 1) and len(rows) == len(acknowledged) + 1
        assert acknowledged and errors, (acknowledged, errors)
        assert errors <= {
            ("OperationalError", "database or disk is full"),
            ("OperationalError", "disk I/O error"),
        }, errors

    asyncio.run(main())
    print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize("limit", [100000, 262144, 300001])
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_full_disk_keeps_what_was_acknowledged(journal, limit, tmp_path):
    source = LIMITED.replace("sys.argv[1]", repr(journal)).replace("sys.argv[2]", str(limit))
    done = run_program(source, tmp_path, seconds=100)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


async def test_backup_to_a_directory_that_is_gone(tmp_path):
    async with csqlite.connect(":memory:") as db:
        await db.execute("create table t(x)")
        with pytest.raises(csqlite.OperationalError, match="unable to open database file"):
            await db.backup(tmp_path / "gone" / "copy.db")
        assert await db.execute_fetchall("select count(*) from t") == [(0,)]


async def test_tasks_that_share_a_connection_all_hear_of_a_full_disk(tmp_path):
    async with csqlite.connect(tmp_path / "db", isolation_level=None) as db:
        await db.execute("create table t(x)")
        await db.execute("pragma max_page_count = 5")
        said = await asyncio.gather(*(db.execute(FILL) for _ in range(20)), return_exceptions=True)
        assert [str(error) for error in said] == ["database or disk is full"] * 20
        assert await db.execute_fetchall("select count(*) from t") == [(0,)]
