"""Adapt what people write who use no driver: ``sqlite3`` in a thread of ``concurrent.futures``."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

from .base import Driver, Row, sum_by_name

CHUNK = 1_000  # Rows that one call of fetchmany() brings.


class Connection:
    """A ``sqlite3`` connection and the one thread that uses it."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(1)
        self.loop = asyncio.get_running_loop()
        self.db: sqlite3.Connection

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Call a function in the thread, as ``asyncio.to_thread`` does in one of its own choice."""
        return self.loop.run_in_executor(self.executor, function, *arguments)

    def first(self, sql: str, key: int) -> Row:
        """Return the first row. Runs in the thread, as do the following."""
        row: Row = self.db.execute(sql, (key,)).fetchone()
        return row

    def all(self, sql: str) -> list[Row]:
        """Return all rows."""
        return self.db.execute(sql).fetchall()

    def write(self, sql: str, row: Row) -> None:
        """Execute a statement and commit."""
        self.db.execute(sql, row)
        self.db.commit()

    def write_many(self, sql: str, rows: Iterable[Row]) -> None:
        """Execute a statement with each row and commit."""
        self.db.executemany(sql, rows)
        self.db.commit()


class Executor(Driver):
    """The ``sqlite3`` module in a ``ThreadPoolExecutor`` of one thread a connection.

    Each operation is one function that runs in the thread, however many calls of ``sqlite3`` it
    makes: execute, fetch and commit cross threads once, not once each. Transactions and the
    statement cache are those of ``sqlite3``. Its ``async for`` is a loop over ``fetchmany()``.
    """

    name = "executor"
    module = "sqlite3"

    def versions(self) -> tuple[str, str]:
        return "", str(self.api.sqlite_version)

    async def open(self, path: str) -> Any:
        connection = Connection()
        connection.db = await connection.run(sqlite3.connect, path)
        return connection

    async def close(self, connection: Any) -> None:
        await connection.run(connection.db.close)
        connection.executor.shutdown(wait=False)

    async def execute(self, connection: Any, sql: str) -> None:
        await connection.run(connection.write, sql, ())

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            total += (await connection.run(connection.first, sql, key))[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        return await self.select_each(connection, sql, keys)

    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        rows: list[Row] = await connection.run(connection.all, sql)
        return rows

    async def iterate(self, connection: Any, sql: str) -> int:
        total = 0
        cursor = await connection.run(connection.db.execute, sql)
        while rows := await connection.run(cursor.fetchmany, CHUNK):
            for row in rows:
                total += row[0]
        return total

    async def fetchone_loop(self, connection: Any, sql: str) -> int:
        total = 0
        cursor = await connection.run(connection.db.execute, sql)
        while True:
            row = await connection.run(cursor.fetchone)
            if row is None:
                return total
            total += row[0]

    async def rows_by_name(self, connection: Any, sql: str) -> int:
        connection.db.row_factory = sqlite3.Row
        return sum_by_name(await connection.run(connection.all, sql))

    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        for row in rows:
            if commit_each:
                await connection.run(connection.write, sql, row)
            else:
                await connection.run(connection.db.execute, sql, row)
        await connection.run(connection.db.commit)

    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        await connection.run(connection.write_many, sql, rows)

    async def create_function(
        self, connection: Any, name: str, function: Callable[[Any], Any]
    ) -> None:
        await connection.run(connection.db.create_function, name, 1, function)
