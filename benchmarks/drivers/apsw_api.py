"""Adapt apsw: its asyncio support, the same with functions run in its thread, and apsw itself.

All three speak autocommit, as SQLite does: a transaction is a ``with`` or ``async with`` block of
the connection, which is a savepoint, and an INSERT outside of one commits by itself in the same
call. apsw caches 100 statements a connection and carries its own, recent SQLite. It has no
``sqlite3.Row``: rows by name are those of ``apsw.ext.DataClassRowFactory``, with attributes.
Nobody closes apsw's cursors; a cursor that has been read to its end, or is dropped, is closed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, Callable

from .base import Driver, Row


def sum_by_attribute(rows: Iterable[Any]) -> int:
    """Do what ``sum_by_name`` does, for rows whose columns are attributes."""
    total = 0.0
    length = 0
    for row in rows:
        total += row.id + row.score + row.quantity
        length += len(row.name) + len(row.email) + len(row.note or "")
    return int(total * 8) + length


class Apsw(Driver):
    """apsw, synchronous: what its own SQLite and its C make of the work without a thread."""

    name = module = "apsw"

    def load(self) -> Any:
        self.ext = importlib.import_module("apsw.ext")
        return super().load()

    def versions(self) -> tuple[str, str]:
        return str(self.api.apsw_version()), str(self.api.sqlite_lib_version())

    async def open(self, path: str) -> Any:
        return self.api.Connection(path)

    async def close(self, connection: Any) -> None:
        connection.close()

    async def execute(self, connection: Any, sql: str) -> None:
        connection.execute(sql).fetchall()

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            total += connection.execute(sql, (key,)).fetchone()[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            total += connection.execute(sql, (key,)).get[0]
        return total

    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        rows: list[Row] = connection.execute(sql).fetchall()
        return rows

    async def iterate(self, connection: Any, sql: str) -> int:
        total = 0
        for row in connection.execute(sql):
            total += row[0]
        return total

    async def fetchone_loop(self, connection: Any, sql: str) -> int:
        total = 0
        cursor = connection.execute(sql)
        while True:
            row = cursor.fetchone()
            if row is None:
                return total
            total += row[0]

    async def rows_by_name(self, connection: Any, sql: str) -> int:
        connection.row_trace = self.ext.DataClassRowFactory()
        return sum_by_attribute(await self.fetchall(connection, sql))

    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        if commit_each:
            for row in rows:
                connection.execute(sql, row)
            return
        with connection:
            for row in rows:
                connection.execute(sql, row)

    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        with connection:
            connection.executemany(sql, rows)

    async def create_function(
        self, connection: Any, name: str, function: Callable[[Any], Any]
    ) -> None:
        connection.create_scalar_function(name, function, 1)


class ApswAio(Apsw):
    """apsw's asyncio support: ``Connection.as_async``, whose methods are awaited.

    A Python thread a connection runs the calls; ``async for`` prefetches 64 rows, its default.
    """

    name = "apsw.aio"

    def load(self) -> Any:
        importlib.import_module("apsw.aio")
        return super().load()

    async def open(self, path: str) -> Any:
        return await self.api.Connection.as_async(path)

    async def close(self, connection: Any) -> None:
        await connection.aclose()

    async def execute(self, connection: Any, sql: str) -> None:
        await (await connection.execute(sql)).fetchall()

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            cursor = await connection.execute(sql, (key,))
            total += (await cursor.fetchone())[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            cursor = await connection.execute(sql, (key,))
            total += (await cursor.get)[0]
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

    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        if commit_each:
            for row in rows:
                await connection.execute(sql, row)
            return
        async with connection:
            for row in rows:
                await connection.execute(sql, row)

    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        async with connection:
            await connection.executemany(sql, rows)

    async def create_function(
        self, connection: Any, name: str, function: Callable[[Any], Any]
    ) -> None:
        await connection.create_scalar_function(name, function, 1)


class ApswAsyncRun(ApswAio):
    """apsw's asyncio support with ``async_run``: execute and fetch cross threads together.

    In the thread that the function runs in, the connection's methods are synchronous. It is the
    shortest way that apsw has, for those who write a function for each thing that they ask for.
    """

    name = "apsw.async_run"

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        def first(sql: str, key: int) -> Any:
            return connection.execute(sql, (key,)).fetchone()

        total = 0
        for key in keys:
            total += (await connection.async_run(first, sql, key))[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        return await self.select_each(connection, sql, keys)

    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        def everything(sql: str) -> Any:
            return connection.execute(sql).fetchall()

        rows: list[Row] = await connection.async_run(everything, sql)
        return rows
