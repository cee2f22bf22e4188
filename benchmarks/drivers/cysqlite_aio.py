"""Adapt cysqlite's asyncio part."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, Callable

from .base import Driver, Row, sum_by_name


class CysqliteAio(Driver):
    """``cysqlite.aio``: a Python thread a connection that calls a binding written in Cython.

    It speaks autocommit, as SQLite does: a transaction is an ``async with db.atomic()`` block,
    and an INSERT outside of one commits by itself in the same call. It caches 100 statements a
    connection and its wheels carry their own, recent SQLite. Connections are opened on the loop's
    thread. For one row it has ``execute_one``, which crosses threads once. ``async for`` fetches
    100 rows at a time. It has no ``sqlite3.Row`` but its own ``Row``; that, and functions, are
    set on the connection inside, which is its public attribute ``conn``.
    """

    name = "cysqlite.aio"
    module = "cysqlite"

    def load(self) -> Any:
        self.aio = importlib.import_module("cysqlite.aio")
        return super().load()

    def versions(self) -> tuple[str, str]:
        return str(self.api.__version__), str(self.api.sqlite_version)

    async def open(self, path: str) -> Any:
        return self.aio.connect(path)

    async def close(self, connection: Any) -> None:
        await connection.close()

    async def execute(self, connection: Any, sql: str) -> None:
        await (await connection.execute(sql)).close()

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            cursor = await connection.execute(sql, (key,))
            total += (await cursor.fetchone())[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            total += (await connection.execute_one(sql, (key,)))[0]
        return total

    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        rows: list[Row] = await (await connection.execute(sql)).fetchall()
        return rows

    async def iterate(self, connection: Any, sql: str) -> int:
        total = 0
        async for row in await connection.execute(sql):
            total += row[0]
        return total

    async def fetchone_loop(self, connection: Any, sql: str) -> int:
        total = 0
        cursor = await connection.execute(sql)
        while True:
            row = await cursor.fetchone()
            if row is None:
                return total
            total += row[0]

    async def rows_by_name(self, connection: Any, sql: str) -> int:
        connection.conn.row_factory = self.api.Row
        return sum_by_name(await self.fetchall(connection, sql))

    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        if commit_each:
            for row in rows:
                await connection.execute(sql, row)
            return
        async with connection.atomic():
            for row in rows:
                await connection.execute(sql, row)

    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        async with connection.atomic():
            await connection.executemany(sql, rows)

    async def create_function(
        self, connection: Any, name: str, function: Callable[[Any], Any]
    ) -> None:
        connection.conn.create_function(function, name, 1)
