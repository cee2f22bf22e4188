"""A program that reads and writes damaged files: python damaged_reader.py MODULE BASES SEED FIRST COUNT

MODULE is csqlite or sqlite3. BASES is a directory with the base files. A line of JSON on standard
output for each case, [case, [[operation, outcome], ...]], so that a reader knows where a
crash was. tests/test_corruption.py starts it.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from damage import BASES, damage

import csqlite

SECONDS = 3

# Asked of both modules, and compared.
QUERIES = [
    "select * from sqlite_schema",
    "select * from t",
    "select count(*) from t",
    "select id, b from t order by b, a desc",
    "select id, c from t where c > 10 order by c",
    "select id from t where length(d) > 1000",
    "select max(id), min(id) from t",
    "select * from t where id = 17",
    "select * from auto",
    "select a from auto where a = 'name 7'",
    "select * from pairs",
    "select * from pairs where a = 3 and b > 'key 4'",
    "select * from made",
    "select a from made where b = 20",
    "select * from child",
    "select * from v",
    "select * from log",
    "select * from sqlite_sequence",
    "select * from sqlite_stat1",
    "select * from f",
    "select a from f where f match 'alpha and word7'",
    "select * from r",
    "select id from r where x1 > 5 and x2 < 20",
    "pragma table_info(t)",
    "pragma foreign_key_check",
]

# What differs from version to version.
CHECKS = ["pragma integrity_check", "pragma quick_check", "pragma page_count"]

WRITES = [
    "update t set b = b || '!' where id % 3 = 0",
    "update t set a = a + 1, d = zeroblob(2500)",
    "insert into t (a, b, c, d) select a, b, c, d from t limit 20",
    "insert into auto (a) values ('new')",
    "insert or replace into pairs select a, b || 'x', c from pairs",
    "update made set a = a + 100",
    "insert into f values ('new alpha', 'words')",
    "delete from f where a match 'word7'",
    "insert into r values (100, 1, 2)",
    "delete from t where id % 2 = 0",
    "delete from child",
    "reindex",
    "analyze",
    "create table fresh as select * from t",
    "drop table auto",
    "alter table made rename column a to z",
    "pragma incremental_vacuum",
    "pragma wal_checkpoint(truncate)",
    "vacuum",
    "select count(*) from log",
]


def digest(rows):
    """Return what two lists of rows are compared by."""
    return f"{len(rows)} rows {hashlib.sha1(repr(rows).encode()).hexdigest()[:16]}"


def failure(error):
    """Return an exception as a value."""
    return [type(error).__name__, str(error)[:200]]


class Damaged:
    """One case: the files, and what comes of each operation."""

    def __init__(self, directory, bases, seed, case):
        dice = random.Random(f"{seed} {case}")
        base = list(BASES)[case % len(BASES)]
        files = {
            path.name[len(base) :]: path.read_bytes()
            for path in sorted(Path(bases).iterdir())
            if path.name == base or path.name.startswith(f"{base}-")
        }
        self.files, self.done = damage(files, BASES[base][0], dice)
        self.path = Path(directory) / "damaged.db"
        for suffix, data in self.files.items():
            Path(f"{self.path}{suffix}").write_bytes(data)
        self.outcomes = []

    async def note(self, operation, work):
        """Run an operation within its time, and note its outcome."""
        try:
            outcome = await asyncio.wait_for(work, SECONDS)
        except asyncio.TimeoutError:
            outcome = "slow"
        except Exception as error:
            outcome = failure(error)
        self.outcomes.append([operation, outcome])


# -- csqlite


async def rows_of(db, sql):
    """Fetch the rows, in one of two ways."""
    if len(sql) % 2:
        return digest(await db.execute_fetchall(sql))
    rows = []
    async with db.execute(sql) as cursor:
        async for row in cursor:
            rows.append(row)
    return digest(rows)


async def dump(db):
    return f"{len([line async for line in db.iterdump()])} lines"


async def blob(db):
    total = 0
    for rowid in (2, 17, 59):
        async with db.blobopen("t", "d", rowid, readonly=rowid == 2) as value:
            total += len(await value.read())
            if rowid != 2 and len(value) > 10:
                await value.seek(5)
                await value.write(b"12345")
    return total


async def is_small(db):
    """Whether the database claims no more than a few megabytes, which a copy would take."""
    [(pages,)] = await db.execute_fetchall("pragma page_count")
    [(size,)] = await db.execute_fetchall("pragma page_size")
    return pages * size < 50_000_000


async def copies(db):
    if not await is_small(db):
        return "too large"
    async with csqlite.connect(":memory:") as copy:
        await db.backup(copy)
        return await rows_of(copy, "select count(*) from t")


async def serialize(db):
    if not await is_small(db):
        return "too large"
    return len(await db.serialize())


async def session(db):
    async with db.create_session() as recorded:
        await recorded.attach()
        await db.execute("update t set a = 1 where id < 5")
        await db.execute("delete from pairs where a = 1")
        changes = await recorded.changeset()
    return len(bytes(changes))


async def deserialize(data):
    """Read the damaged bytes as a database in memory."""
    async with csqlite.connect(":memory:", untrusted=True) as db:
        await db.deserialize(data)
        for sql in QUERIES[:6]:
            await outcome_of(rows_of(db, sql))
        await outcome_of(rows_of(db, "pragma integrity_check"))
        await outcome_of(rows_of(db, "update t set a = a + 1"))
        await outcome_of(rows_of(db, "vacuum"))


async def outcome_of(work):
    try:
        return await work
    except sqlite3.DatabaseError as error:
        return failure(error)


async def try_csqlite(case):
    """Do all operations, and close the connection."""
    async with csqlite.connect(case.path, isolation_level=None, timeout=1) as db:
        # A damaged file is no reason to wait for the disk.
        with contextlib.suppress(sqlite3.DatabaseError):
            await db.execute("pragma synchronous = off")
        for sql in QUERIES + CHECKS:
            await case.note(sql, rows_of(db, sql))
        await case.note("iterdump", dump(db))
        await case.note("copies", copies(db))
        await case.note("serialize", serialize(db))
        await case.note("blob", blob(db))
        if hasattr(db, "create_session"):
            await case.note("session", session(db))
        for sql in WRITES:
            await case.note(sql, rows_of(db, sql))
        await case.note("half read", half_read(db))
        case.outcomes.append(["close", None])
    await case.note("deserialize", deserialize(bytes(case.files[""])))


async def half_read(db):
    """Leave a cursor half read for close() to end."""
    cursor = await db.execute("select * from child, log")
    await cursor.fetchone()


# -- sqlite3


async def try_sqlite3(case):
    """Ask the same of the standard module."""
    connection = sqlite3.connect(str(case.path), isolation_level=None, timeout=1)
    until = time.monotonic()
    connection.set_progress_handler(lambda: time.monotonic() > until, 10000)
    try:
        # It cannot raise what SQLite says of a name that is no UTF-8.
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeDecodeError):
            connection.execute("pragma synchronous = off")
        for sql in QUERIES:
            until = time.monotonic() + SECONDS
            try:
                outcome = digest(connection.execute(sql).fetchall())
            except Exception as error:
                outcome = failure(error)
            case.outcomes.append([sql, "slow" if outcome[-1] == "interrupted" else outcome])
    finally:
        connection.close()


def main(module, bases, seed, first, count):
    """Go through the cases."""
    work = {"csqlite": try_csqlite, "sqlite3": try_sqlite3}[module]
    for number in range(int(first), int(first) + int(count)):
        directory = tempfile.mkdtemp(prefix="damaged-")
        case = Damaged(directory, bases, seed, number)
        asyncio.run(work(case))
        os.write(1, json.dumps([number, case.outcomes, case.done]).encode() + b"\n")
        shutil.rmtree(directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
