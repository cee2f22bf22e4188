"""Mistakes that the type checkers must find: each line marked `rejected`, and no other.

It is never run.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import csqlite
from csqlite import Connection, Cursor


def as_dict(cursor: Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {}


async def opening() -> None:
    csqlite.connect()  # rejected: which database?
    csqlite.connect(1)  # rejected: a number is not a path
    csqlite.connect("x.db", 5.0)  # rejected: all but the database is by keyword
    csqlite.connect("x.db", time_out=5.0)  # rejected: no such keyword
    csqlite.connect("x.db", timeout="5")  # rejected: seconds are a number
    csqlite.connect("x.db", isolation_level="DEFERED")  # rejected: misspelt
    csqlite.connect("x.db", autocommit=2)  # rejected: True, False or -1
    csqlite.connect("x.db", vfs=1)  # rejected: a name
    csqlite.connect("x.db", untrusted="yes")  # rejected: True or False
    csqlite.connect("x.db", factory=csqlite.Connection)  # rejected: sqlite3's classes only
    with csqlite.connect("x.db") as db:  # rejected: async with
        print(db)
    csqlite.connect("x.db").execute("SELECT 1").fetchall()  # rejected: not awaited


async def parameters(db: Connection, cursor: Cursor) -> None:
    await db.execute()  # rejected: no SQL
    await db.execute(b"SELECT 1")  # rejected: SQL is text
    await db.execute("SELECT ?", 1)  # rejected: a number is not a sequence of parameters
    await db.execute("SELECT ?", 1, 2)  # rejected: parameters come as one sequence
    await db.executemany("INSERT INTO t VALUES (?)", [1, 2])  # rejected: these are not rows
    await db.executemany("INSERT INTO t VALUES (?)")  # rejected: nothing to insert
    await db.executescript("DELETE FROM t", ())  # rejected: a script has no parameters
    await cursor.execute("SELECT ?", 1)  # rejected: as on the connection
    await cursor.fetchmany("10")  # rejected: a count is a number


async def rows(db: Connection[tuple[int, str]], cursor: Cursor[tuple[int, str]]) -> None:
    row = await cursor.fetchone()
    print(row[0])  # rejected: there may be no row
    if row is not None:
        print(row["name"])  # rejected: a tuple has no names
        print(row[2])  # rejected: two columns
        print(row[0].upper())  # rejected: an int
    for number, name in await cursor.fetchall():
        print(number + name)  # rejected: int and str
    async for pair in cursor:
        print(pair + 1)  # rejected: a row is a tuple
    for left in cursor:  # rejected: async for
        print(left)
    wrong: list[sqlite3.Row] = await cursor.fetchall()  # rejected: these are tuples
    print(wrong)


async def factories(
    plain: Connection, tuples: Connection[tuple[int, str]], dicts: Connection[dict[str, Any]]
) -> None:
    dicts.row_factory = as_dict
    plain.row_factory = as_dict  # rejected: these rows are promised to be sqlite3.Row
    tuples.row_factory = sqlite3.Row  # rejected: these rows are promised to be tuples
    dicts.row_factory = lambda row: {}  # rejected: the cursor comes first
    plain.row_factory = "Row"  # rejected: not callable
    plain.text_factory = "utf-8"  # rejected: not callable
    other: Connection[sqlite3.Row] = dicts  # rejected: another row type
    print(other)


async def properties(db: Connection, cursor: Cursor) -> None:
    db.in_transaction = False  # rejected: read only
    db.total_changes = 0  # rejected: read only
    db.isolation_level = "immediately"  # rejected: no such level
    db.autocommit = "on"  # rejected: True, False or -1
    cursor.rowcount = 1  # rejected: read only
    cursor.arraysize = "many"  # rejected: a number
    print(db.cursor_factory)  # rejected: no such name
    print(cursor.lastrowid + 1)  # rejected: None before the first INSERT


async def callbacks(db: Connection, raw: sqlite3.Connection) -> None:
    await db.create_function("f", "1", len)  # rejected: a number of arguments
    await db.create_function("f", 1, "len")  # rejected: not callable
    await db.create_function("f", 1, lambda value: [value])  # rejected: SQLite has no lists
    await db.create_function("f", 1, len, True, True)  # rejected: flags are by keyword
    await db.create_window_function("f", 1, object)  # rejected: no inverse, no value
    await db.create_window_function(name="f", num_params=1, aggregate_class=None)  # rejected: names
    await db.create_collation("c", lambda a: 0)  # rejected: compares two
    await db.create_aggregate("a", 1, object)  # rejected: no step, no finalize
    await db.set_authorizer(lambda action: 0)  # rejected: five arguments
    await db.set_update_hook(lambda changes: None)  # rejected: four arguments
    await db.set_update_hook(lambda a, b, c, d: None, batch=True)  # rejected: one argument
    await db.set_commit_hook(lambda name: False)  # rejected: no arguments
    await db.set_wal_hook(lambda name, pages: "ok")  # rejected: a result code
    await db.trace_v2(print)  # rejected: the mask comes first
    await db.set_progress_handler(lambda: "stop", 100)  # rejected: an int, or None
    await db.backup(5)  # rejected: a connection or a path
    await db.backup(raw, 100)  # rejected: all but the target is by keyword
    async for line in db.iterdump():
        print(line.decode())  # rejected: text


async def blobs(db: Connection, blob: csqlite.Blob) -> None:
    await db.blobopen("t", "b", "1")  # rejected: a rowid is a number
    await db.blobopen("t", column="b", rowid=1)  # rejected: by position
    db.blobopen("t", "b", 1).read()  # rejected: not awaited
    await blob.write("text")  # rejected: bytes
    await blob.set(slice(0, 1), 5)  # rejected: a slice takes bytes
    await blob.set(0, b"x")  # rejected: an index takes a number
    blob[0] = 5  # rejected: cannot be awaited
    print(await blob[0] + b"")  # rejected: a byte is a number
    await db.deserialize(5)  # rejected: bytes
    await db.setlimit("length", 5)  # rejected: a number
    await db.cursor(csqlite.Row)  # rejected: no cursor


async def progress(status: int, remaining: int) -> None: ...


async def backups(db: Connection) -> None:
    await db.backup("copy.db", progress=progress)  # rejected: three arguments


async def looking(db: Connection) -> None:
    info = await db.statement_info(b"SELECT 1")  # rejected: SQL is text
    info.sql = "SELECT 2"  # rejected: it is a value
    await info.expanded_sql(1)  # rejected: a number is not a sequence of parameters
    await db.wal_checkpoint("FULL")  # rejected: a number
    await db.file_control(csqlite.SQLITE_FCNTL_PERSIST_WAL, 1, "main")  # rejected: by keyword
    db.cached_statements = "5"  # rejected: a number
    csqlite.hooks.Changes()[0] = (18, "main", "t", 1)  # rejected: it is read-only


class Narrow(Connection):
    async def commit(self) -> None: ...  # rejected: it takes no deadline


async def deadlines(db: Connection, cursor: Cursor) -> None:
    await db.execute("SELECT 1", deadline="1")  # rejected: seconds are a number
    await db.execute("SELECT 1", None, 1.0)  # rejected: by keyword
    await cursor.fetchall(1.0)  # rejected: by keyword
    csqlite.timeout()  # rejected: how long?
    db.reader_warning = "60"  # rejected: seconds are a number


async def rows_that_were_promised() -> None:
    async with csqlite.connect("x.db", row_factory=None) as db:
        async with db.execute("SELECT name FROM t") as cursor:
            async for row in cursor:
                print(row["name"])  # rejected: a tuple has no names
            last = await cursor.fetchone()
            if last is not None:
                print(last["name"])  # rejected: a tuple has no names
        async with db.cursor(row_factory=as_dict) as dicts:
            print((await dicts.fetchall())[0].name)  # rejected: a dict has no attributes
    async with csqlite.connect("x.db", row_factory=as_dict) as db_of_dicts:
        for found in await db_of_dicts.execute_fetchall("SELECT 1"):
            print(found[0])  # rejected: keys are names
        db_of_dicts.row_factory = sqlite3.Row  # rejected: rows are promised to be dicts
    csqlite.connect("x.db", row_factory=5)  # rejected: nothing that can be called


@csqlite.transactional
async def move(tx: csqlite.Transaction, amount: int) -> None: ...


@csqlite.transactional  # rejected: it is no coroutine function
def moved(tx: csqlite.Transaction, amount: int) -> None: ...


async def sized(tx: csqlite.Transaction, amount: int) -> int:
    return amount


async def transactions(db: Connection) -> None:
    await move(db, "1")  # rejected: the amount is an int
    await move(1, 1)  # rejected: on what?
    await db.run_transaction(sized, "1")  # rejected: the amount is an int


async def many(databases: csqlite.Databases) -> None:
    csqlite.Databases()  # rejected: which directory?
    csqlite.Databases("data", max_opened=1)
    csqlite.Databases("data", max_open="1")  # rejected: a number
    databases.use()  # rejected: which one?
    databases.use("a", True)  # rejected: by keyword
    databases.transaction("a", mode="later")  # rejected: no such mode
    await databases.create("a", b"CREATE TABLE t (a)")  # rejected: text
    await databases.rename("a")  # rejected: to what?
    with databases.use("a"):  # rejected: async with
        pass
