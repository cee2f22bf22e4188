"""A program annotated for aiosqlite, with only its imports changed.

No type arguments, rows are `aiosqlite.Row`, parameters are `Iterable[Any]`. It is never run: the
type checkers read it, and mypy also reads it with aiosqlite's own annotations.
"""

# Written as for Python 3.9.
# ruff: noqa: UP007, UP045

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Optional, Union

import csqlite as aiosqlite
from csqlite.context import Result, contextmanager

SCHEMA = "CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, author TEXT, body TEXT)"


class Storage:
    """What a bot keeps between its starts."""

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = path
        self.db: Optional[aiosqlite.Connection] = None

    async def open(self, **options: Any) -> None:
        self.db = await aiosqlite.connect(self.path, **options)
        self.db.row_factory = aiosqlite.Row
        await self.db.execute("PRAGMA journal_mode = WAL")
        await self.db.executescript(SCHEMA)
        await self.db.commit()

    async def close(self) -> None:
        if self.db is not None:
            await self.db.close()
            self.db = None

    @property
    def connection(self) -> aiosqlite.Connection:
        if self.db is None:
            raise RuntimeError("not open")
        return self.db

    async def query(self, sql: str, params: Iterable[Any] = ()) -> Iterable[aiosqlite.Row]:
        async with self.connection.execute(sql, params) as cursor:
            return await cursor.fetchall()

    async def query_named(self, sql: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.connection.execute_fetchall(sql, params)]

    async def get(self, note: int) -> aiosqlite.Row:
        cursor = await self.connection.execute("SELECT * FROM note WHERE id = ?", [note])
        row = await cursor.fetchone()
        await cursor.close()
        if row is None:
            raise KeyError(note)
        return row

    async def find(self, note: int) -> Optional[sqlite3.Row]:
        cursor: aiosqlite.Cursor
        async with self.connection.cursor() as cursor:
            await cursor.execute("SELECT * FROM note WHERE id = :id", {"id": note})
            return await cursor.fetchone()

    async def add(self, author: str, body: Optional[str]) -> int:
        try:
            cursor = await self.connection.execute(
                "INSERT INTO note (author, body) VALUES (?, ?)", (author, body)
            )
        except aiosqlite.IntegrityError:
            await self.connection.rollback()
            raise
        except aiosqlite.Error as error:
            raise RuntimeError("cannot add") from error
        await self.connection.commit()
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    async def add_many(self, notes: Iterable[tuple[str, str]]) -> None:
        await self.connection.executemany("INSERT INTO note (author, body) VALUES (?, ?)", notes)
        await self.connection.commit()

    async def authors(self) -> AsyncIterator[str]:
        async with self.connection.execute("SELECT DISTINCT author FROM note") as cursor:
            async for row in cursor:
                yield str(row["author"])

    async def columns(self) -> list[str]:
        cursor = await self.connection.execute("SELECT * FROM note")
        return [column[0] for column in cursor.description]


@asynccontextmanager
async def session(path: str) -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(
        path, timeout=10, detect_types=sqlite3.PARSE_DECLTYPES, isolation_level=None
    ) as db:
        db.text_factory = bytes
        yield db


class LoggedConnection(aiosqlite.Connection):
    """Overrides that hand on what they do not know."""

    async def __aenter__(self) -> LoggedConnection:
        await super().__aenter__()
        return self

    @contextmanager
    async def execute(
        self, sql: str, parameters: Optional[Iterable[Any]] = None, **options: Any
    ) -> aiosqlite.Cursor:
        print(sql)
        return await super().execute(sql, parameters, **options)

    async def commit(self, **options: Any) -> None:
        print("COMMIT")
        await super().commit(**options)

    async def rollback(self) -> None:
        print("ROLLBACK")
        await super().rollback()


class LoggedCursor(aiosqlite.Cursor):
    """A cursor that a connection does not make by itself."""

    async def execute(
        self, sql: str, parameters: Optional[Iterable[Any]] = None, **options: Any
    ) -> aiosqlite.Cursor:
        print(sql)
        return await super().execute(sql, parameters, **options)


def make(path: str) -> LoggedConnection:
    return LoggedConnection(lambda: sqlite3.connect(path), 64)


def start(db: aiosqlite.Connection) -> Result[aiosqlite.Cursor]:
    return db.execute("BEGIN")


def only_reads(action: int, first: str, second: str, database: str, trigger: str) -> int:
    return (
        sqlite3.SQLITE_OK
        if action in (sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT)
        else sqlite3.SQLITE_DENY
    )


async def main() -> None:
    pending = aiosqlite.connect("notes.db")
    pending._thread.daemon = True  # as SQLAlchemy does
    db: aiosqlite.core.Connection = await pending
    cursor = LoggedCursor(db, sqlite3.connect("notes.db").cursor())
    await cursor.execute("SELECT 1", [])
    async with aiosqlite.connect(":memory:") as copy:
        await db.backup(copy)
        await db.backup(
            sqlite3.connect("copy.db"), pages=100, progress=lambda status, left, total: None
        )
    await db.set_authorizer(only_reads)
    await db.set_trace_callback(print)
    await db.set_progress_handler(lambda: 0, 1000)
    await db.create_function("twice", 1, lambda value: value * 2, deterministic=True)
    await asyncio.gather(db.execute("SELECT 1"), db.commit())
    row = await db.execute_insert("INSERT INTO note (body) VALUES (?)", ("x",))
    if row is not None:
        print(row[0], db.total_changes, db.in_transaction, db.isolation_level)
    async for line in db.iterdump():
        print(line.upper())
    future = asyncio.get_running_loop().create_future()
    db._tx.put_nowait((future, lambda: None))
    await future
    if db._connection is not None:
        db.stop()


asyncio.run(main())
