"""A typed program over csqlite's own types: rows with a type of their own, transactions, subclasses.

It is never run: the type checkers read it, and each `assert_type` says what they must have
understood.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Optional, TypeVar

from typing_extensions import assert_type

import csqlite
from csqlite import Connection, Cursor
from csqlite.context import Result, contextmanager

T = TypeVar("T")

SELECT_ONE = "SELECT sensor, value FROM reading WHERE sensor = :sensor"


class Reading(NamedTuple):
    """One row of the table `reading`."""

    sensor: str
    value: float


def as_reading(cursor: Cursor, row: tuple[Any, ...]) -> Reading:
    return Reading(*row)


def as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row)}


# The row type of a connection: by default, by annotation, by parameter.


async def rows_by_default() -> None:
    async with csqlite.connect("readings.db", untrusted=True) as db:
        assert_type(db, Connection[sqlite3.Row])
        db.row_factory = csqlite.Row
        cursor = await db.execute("SELECT sensor, value FROM reading")
        assert_type(cursor, Cursor[sqlite3.Row])
        assert_type(await cursor.fetchone(), Optional[sqlite3.Row])
        assert_type(await cursor.fetchmany(size=10), list[sqlite3.Row])
        async for row in cursor:
            assert_type(row, sqlite3.Row)
            print(row["sensor"])


async def rows_as_tuples() -> None:
    db: Connection[tuple[str, float]] = csqlite.connect(Path("readings.db"))
    async with db:
        assert_type(db.row_factory, Optional[Callable[[Any, tuple[Any, ...]], tuple[str, float]]])
        async with db.execute(
            "SELECT sensor, value FROM reading WHERE value > ?", (20.5,)
        ) as cursor:
            async for sensor, value in cursor:
                assert_type(sensor, str)
                assert_type(value, float)
        for sensor, value in await db.execute_fetchall("SELECT sensor, value FROM reading"):
            print(sensor.upper(), value / 2)
        db.row_factory = None


async def rows_as_dicts() -> list[dict[str, Any]]:
    pending: Connection[dict[str, Any]] = csqlite.connect("readings.db", autocommit=True)
    db = await pending
    assert_type(db, Connection[dict[str, Any]])
    db.row_factory = as_dict
    try:
        return await db.execute_fetchall("SELECT * FROM reading")
    finally:
        await db.close()


# A repository, as a web service has one for each request.


class Readings:
    def __init__(self, db: Connection[Reading]) -> None:
        self._db = db
        self._db.row_factory = as_reading

    async def latest(self, sensor: str) -> Reading:
        async with self._db.execute(SELECT_ONE, {"sensor": sensor}) as cur:
            assert_type(cur, Cursor[Reading])
            reading = await cur.fetchone()
        if reading is None:
            raise LookupError(sensor)
        return reading

    async def above(self, limit: float) -> AsyncIterator[Reading]:
        async with self._db.cursor() as cursor:
            await cursor.execute("SELECT sensor, value FROM reading WHERE value > ?", [limit])
            async for reading in cursor:
                yield reading

    async def add(self, *readings: Reading) -> int:
        async with transaction(self._db) as db:
            cursor = await db.executemany(
                "INSERT INTO reading VALUES (?, ?)", (tuple(reading) for reading in readings)
            )
            return cursor.rowcount


@asynccontextmanager
async def transaction(db: Connection[T]) -> AsyncIterator[Connection[T]]:
    await db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        await db.rollback()
        raise
    await db.commit()


async def readings() -> AsyncIterator[Readings]:
    """A dependency as FastAPI takes it."""
    db: Connection[Reading] = csqlite.connect(
        "readings.db", isolation_level=None, cached_statements=256
    )
    async with db:
        yield Readings(db)


async def report(repository: Readings) -> None:
    values = [reading.value async for reading in repository.above(0)]
    assert_type(values, list[float])
    first, second = await asyncio.gather(repository.latest("attic"), repository.latest("cellar"))
    assert_type(first, Reading)
    print(max(values), first.value - second.value)


# Subclasses keep their own type and may fix the row type or leave it open.


class Journal(Connection[sqlite3.Row]):
    async def note(self, text: str) -> None:
        await self.execute("INSERT INTO journal VALUES (?)", (text,))


class Counting(Connection[T]):
    statements = 0

    @contextmanager
    async def counted(self, sql: str) -> Cursor[T]:
        self.statements += 1
        return await self.execute(sql)


class FirstColumn(Cursor[T]):
    async def column(self) -> list[T]:
        return [row async for row in self]


async def subclasses() -> None:
    async with Journal(lambda: sqlite3.connect("journal.db"), iter_chunk_size=64) as journal:
        assert_type(journal, Journal)
        await journal.note("opened")
    assert_type(await Journal(lambda: sqlite3.connect("journal.db"), 64), Journal)

    counting: Counting[Reading] = Counting(lambda: sqlite3.connect("journal.db"), 64)
    assert_type(counting.counted("SELECT 1"), Result[Cursor[Reading]])
    async with counting.counted("SELECT sensor, value FROM reading") as cursor:
        assert_type(await cursor.fetchall(), list[Reading])

    column = FirstColumn(counting, await counting._execute(counting._conn.cursor))
    assert_type(await column.column(), list[Reading])


# What an async method returns is a coroutine, an awaitable and, where it gives a cursor or rows, a context manager.


async def results(db: Connection[Reading]) -> None:
    result = db.execute("SELECT 1")
    coroutine: Coroutine[Any, Any, Cursor[Reading]] = result
    manager: AbstractAsyncContextManager[Cursor[Reading]] = result
    awaitable: Awaitable[object] = result
    print(coroutine, manager, awaitable)

    task = asyncio.create_task(db.execute_fetchall("SELECT 1"))
    assert_type(await task, list[Reading])
    async with db.execute_fetchall("SELECT 1") as rows:
        assert_type(rows, list[Reading])
    assert_type(
        await db.execute_insert("INSERT INTO reading VALUES (?, ?)", Reading("attic", 1)),
        Optional[Reading],
    )
    assert_type(await asyncio.wait_for(db._execute(len, "text"), 1), int)


# Everything else a connection and a cursor have.


class Median:
    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, value: float) -> None:
        self.values.append(value)

    def finalize(self) -> float | None:
        return sorted(self.values)[len(self.values) // 2] if self.values else None


class Sum:
    def __init__(self) -> None:
        self.total = 0

    async def step(self, value: int) -> None:
        self.total += value

    def inverse(self, value: int) -> None:
        self.total -= value

    async def value(self) -> int:
        return self.total

    def finalize(self) -> int:
        return self.total


async def half(value: float) -> float:
    return value / 2


async def compare(a: str, b: str) -> int:
    return (a < b) - (a > b)


async def allow(*arguments: Any) -> int:
    return csqlite.SQLITE_OK


def authorize(
    action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
) -> int:
    return csqlite.SQLITE_DENY if action == csqlite.SQLITE_ATTACH else csqlite.SQLITE_OK


async def everything(db: Connection[Any], cursor: Cursor[Any]) -> None:
    await db.create_function("half", 1, lambda value: value / 2)
    await db.create_function("half", 1, None)
    await db.create_function("half", 1, half, deterministic=True, directonly=True, innocuous=False)
    await db.create_aggregate("median", 1, Median)
    await db.create_window_function("sum_of", 1, Sum)
    await db.create_window_function("sum_of", 1, None)
    await db.create_collation("reverse", lambda a, b: (a < b) - (a > b))
    await db.create_collation("reverse", compare)
    await db.create_collation("reverse", None)
    await db.set_authorizer(authorize)
    await db.set_authorizer(allow)
    await db.set_authorizer(None)
    await db.set_progress_handler(allow, 100)
    await db.set_trace_callback(allow)
    csqlite.enable_callback_tracebacks(True)
    await db.set_progress_handler(None, 0)
    await db.set_trace_callback(None)
    await db.enable_load_extension(True)
    await db.load_extension("./spellfix")
    await db.interrupt()
    await db.backup(await csqlite.connect(":memory:"), name="main", sleep=0.1)
    async for line in db.iterdump():
        assert_type(line, str)
    level = db.isolation_level
    db.isolation_level = "IMMEDIATE"
    db.isolation_level = level
    db.autocommit = csqlite.LEGACY_TRANSACTION_CONTROL
    db.text_factory = bytes
    db.text_factory = lambda data: data.decode("latin-1")
    assert_type(db.in_transaction, bool)
    assert_type(db.total_changes, int)

    cursor.arraysize = cursor.iter_chunk_size = 100
    assert_type(cursor.rowcount, int)
    assert_type(cursor.lastrowid, Optional[int])
    await cursor.executemany(
        "INSERT INTO reading VALUES (?, ?)", [("attic", 1.5), ("cellar", None)]
    )
    await cursor.executescript("DELETE FROM reading")
    async with cursor:
        print(len(cursor.description))


class Ruler(csqlite.Cursor[tuple[str, Optional[float]]]):
    """A cursor of the program's own."""


async def told(status: int, remaining: int, total: int) -> None:
    print(status, remaining, total)


async def whole_databases(db: csqlite.Connection[tuple[str, float | None]]) -> None:
    """Blobs, serialized databases, backups into files, limits and switches."""
    async with db.blobopen("reading", "place", 1, readonly=True, name="main") as blob:
        assert_type(blob, csqlite.Blob)
        assert_type(await blob.read(), bytes)
        assert_type(await blob[0], int)
        assert_type(await blob[1:3], bytes)
        assert_type(await blob.tell(), int)
        assert_type(len(blob) + await blob.length(), int)
    blob = await db.blobopen("reading", "place", 1)
    async with blob:
        await blob.write(bytearray(b"attic"))
        await blob.seek(-1, 2)
        await blob.set(0, 65)
        await blob.set(slice(1, 3), b"TT")
        await blob.reopen(2)
    image = await db.serialize(name="main")
    assert_type(image, bytes)
    await db.deserialize(memoryview(image))
    await db.backup(Path("copy.db"), progress=told)
    await db.backup("copy.db", pages=100, progress=lambda *numbers: print(numbers))
    before = await db.setlimit(csqlite.SQLITE_LIMIT_VARIABLE_NUMBER, 10)
    assert_type(before + await db.getlimit(csqlite.SQLITE_LIMIT_LENGTH), int)
    await db.setconfig(csqlite.SQLITE_DBCONFIG_DEFENSIVE)
    assert_type(await db.getconfig(csqlite.SQLITE_DBCONFIG_ENABLE_FKEY), bool)
    async with db.cursor(factory=Ruler) as ruler:
        assert_type(ruler, Ruler)
    async with db.cursor(Ruler, row_factory=None) as ruler:
        assert_type(ruler, Ruler)
    try:
        await db.execute("INSERT INTO reading VALUES (1)")
    except db.IntegrityError as error:
        print(error, "SELECT" in csqlite.SQLITE_KEYWORDS, csqlite.complete_statement("x;"))


def names() -> None:
    """The module speaks for sqlite3: same exceptions, same registries."""
    error: type[sqlite3.OperationalError] = csqlite.OperationalError
    csqlite.register_adapter(Path, str)
    csqlite.register_converter("path", lambda data: Path(data.decode()))
    print(error, csqlite.Binary(b"x"), csqlite.PARSE_DECLTYPES | csqlite.PARSE_COLNAMES)
    print(csqlite.sqlite_version_info >= (3, 35))
    assert_type(csqlite.sqlite_version, str)
    csqlite.core.LOG.setLevel("DEBUG")


# Hooks, and what SQLite tells.


def on_change(operation: int, database: str, table: str, rowid: int) -> None: ...


def on_changes(changes: csqlite.hooks.Changes) -> None:
    assert_type(changes[0], tuple[int, str, str, Optional[int]])
    assert_type(changes[1:], list[tuple[int, str, str, Optional[int]]])
    assert_type(changes.tables, tuple[tuple[str, str], ...])
    for operation, _, table, rowid in changes:
        if operation == csqlite.SQLITE_INSERT and rowid is not None:
            print(table, rowid + 1)


def before_change(change: csqlite.hooks.PreUpdate) -> None:
    if change.old is not None:
        print(change.op, change.old[0])


async def hooks(db: Connection) -> None:
    await db.set_update_hook(on_change)
    await db.set_update_hook(on_changes, batch=True)
    await db.set_update_hook(None)
    await db.set_commit_hook(lambda: False, id="audit")
    await db.set_rollback_hook(None, id="audit")
    await db.set_wal_hook(lambda name, pages: None)
    await db.set_preupdate_hook(before_change)
    await db.trace_v2(
        csqlite.SQLITE_TRACE_STMT | csqlite.SQLITE_TRACE_PROFILE,
        lambda event: print(event["sql"]),
    )
    await db.trace_v2(0)
    await db.set_progress_handler(lambda: None, 1000, id=1)


async def status(db: Connection) -> None:
    info = await db.statement_info("SELECT sensor FROM reading WHERE value > ?")
    assert_type(info, csqlite.statement.StatementInfo)
    assert_type(info.parameter_names, tuple[Optional[str], ...])
    if info.origins is not None and info.origins[0] is not None:
        assert_type(info.origins[0].table, str)
    assert_type(await info.expanded_sql((5,)), str)
    assert_type(await db.script_info("SELECT 1"), list[csqlite.statement.StatementInfo])
    log, done = await db.wal_checkpoint(csqlite.SQLITE_CHECKPOINT_TRUNCATE)
    assert_type(log - done, int)
    assert_type(await db.limits(), dict[str, int])
    assert_type(await db.db_filename("main"), str)
    assert_type(await db.readonly(), bool)
    assert_type(csqlite.status(csqlite.SQLITE_STATUS_MEMORY_USED), tuple[int, int])
    assert_type(csqlite.vfs_list(), list[str])
    db.cached_statements += 10
    await db.reset()


# Row factories that are given to connect() and to cursor(): their rows, all the way.


class Point:
    def __init__(self, x: float, y: float) -> None:
        self.x = x
        self.y = y


def as_point(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> Point:
    return Point(*row)


def as_mapping(cursor: Cursor[Any], row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row)}


async def rows_of_a_factory() -> None:
    async with csqlite.connect(":memory:", row_factory=as_point) as db:
        assert_type(db, csqlite.Connection[Point])
        async with db.execute("SELECT 1, 2") as cursor:
            assert_type(await cursor.fetchone(), Optional[Point])
            assert_type(await cursor.fetchall(), list[Point])
            async for point in cursor:
                assert_type(point, Point)
        assert_type(await db.execute_fetchall("SELECT 1, 2"), list[Point])
        async with db.cursor(row_factory=as_mapping) as mappings:
            assert_type(await mappings.fetchone(), Optional[dict[str, Any]])
        async with db.cursor(row_factory=None) as tuples:
            assert_type(await tuples.fetchone(), Optional[tuple[Any, ...]])
        async with db.cursor() as same:
            assert_type(same, Cursor[Point])


async def rows_as_they_are() -> None:
    db = await csqlite.connect(":memory:", row_factory=None, timeout=1)
    cursor = await db.execute("SELECT 1")
    assert_type(await cursor.fetchone(), Optional[tuple[Any, ...]])
    async for row in cursor:
        assert_type(row, tuple[Any, ...])
    exact: csqlite.Connection[tuple[int, str]] = csqlite.connect(":memory:", row_factory=None)
    async with exact, exact.execute("SELECT 1, 'a'") as pairs:
        async for number, name in pairs:
            assert_type(number, int)
            assert_type(name, str)


@csqlite.transactional
async def add(tx: csqlite.Transaction[Point], left: int, *, right: str = "") -> bool:
    assert_type(await tx.fetch_one("SELECT 1, 2"), Point)
    return bool(left and right)


class Store:
    """Methods in transactions."""

    @csqlite.transactional(retries=2)
    async def add(self, tx: csqlite.Transaction[Point], left: int) -> str:
        return str(await add(tx, left))

    @csqlite.transactional
    async def add_again(self, tx: csqlite.Transaction[Point], left: int) -> str:
        return await self.add(tx, left)


async def body(tx: csqlite.Transaction[Point], left: int, right: str) -> float:
    return left + len(right)


async def in_transactions(db: csqlite.Connection[Point]) -> None:
    assert_type(await add(db, 1, right="b"), bool)
    assert_type(await Store().add(db, 1), str)
    assert_type(await Store().add_again(db, left=1), str)
    assert_type(await db.run_transaction(body, 1, "b", retries=2), float)
    async with db.transaction() as tx:
        assert_type(tx, csqlite.Transaction[Point])
        assert_type(await add(tx, 1), bool)
        async with tx.savepoint() as part:
            assert_type(await part.fetch_optional("SELECT 1, 2"), Optional[Point])
    async for attempt in db.attempts():
        async with attempt as tx:
            assert_type(await tx.execute_fetchall("SELECT 1, 2"), list[Point])


async def rows_by_name() -> None:
    async with csqlite.connect(":memory:", row_factory=sqlite3.Row) as db:
        assert_type(db, csqlite.Connection[sqlite3.Row])
        async with db.execute("SELECT 1 AS name") as cursor:
            async for row in cursor:
                print(row["name"])


async def pooled(path: Path) -> None:
    async with csqlite.create_pool(path, row_factory=as_reading, max_readers=2) as pool:
        assert_type(pool, csqlite.Pool[Reading])
        assert_type(await pool.fetch_all(SELECT_ONE, {"sensor": "x"}), list[Reading])
        assert_type(await pool.fetch_one(SELECT_ONE, {"sensor": "x"}), Reading)
        assert_type(await pool.fetch_optional(SELECT_ONE, deadline=1), Optional[Reading])
        assert_type((await pool.execute("DELETE FROM reading")).rowcount, int)
        assert_type((await pool.executemany("...", [(1,)])).lastrowid, Optional[int])
        async for row in pool.stream("SELECT * FROM reading", chunk=8):
            assert_type(row, Reading)
        async with pool.read(timeout=1) as db, pool.write(priority=-1) as writer:
            assert_type(db, csqlite.Connection[Reading])
            assert_type(await writer.fetch_one(SELECT_ONE), Reading)
        async with pool.transaction("exclusive", deadline=1) as tx:
            assert_type(tx, csqlite.Transaction[Reading])
        async for attempt in pool.attempts(3):
            async with attempt as tx:
                assert_type(await tx.fetch_all("SELECT * FROM reading"), list[Reading])
        async with pool.snapshot(2) as dbs:
            assert_type(dbs, list[csqlite.Connection[Reading]])
        assert_type(await pool.run_transaction(body, 1, "b"), float)
        assert_type(pool.holders()[0].sql, Optional[str])
        await asyncio.create_task(pool.fetch_one(SELECT_ONE))


async def many(folder: Path) -> None:
    async with csqlite.Databases(folder, max_open=3, row_factory=as_reading) as readings:
        assert_type(await readings.create("a", "CREATE TABLE reading (sensor, value)"), bool)
        async with readings.use("a", create=True) as pool:
            assert_type(await pool.fetch_one(SELECT_ONE, {"sensor": "x"}), Reading)
        async with readings.transaction("a", "b", atomic=True) as tx:
            assert_type(await tx.execute_fetchall("SELECT * FROM a.reading"), list[Reading])
        assert_type(await readings.list(), list[str])
        assert_type(await readings.exists("a"), bool)
        assert_type(readings.path("a"), Path)
        assert_type(await readings.drop("a", missing_ok=True), bool)
    databases: csqlite.Databases[Reading] = csqlite.Databases("data")
    async with databases, databases.use("a") as plain:
        assert_type(await plain.fetch_all("SELECT * FROM reading"), list[Reading])
