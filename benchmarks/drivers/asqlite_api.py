"""Adapt asqlite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Callable

from .base import Driver, Row, Unsupported, sum_by_name


class Asqlite(Driver):
    """asqlite: the ``sqlite3`` module on a Python thread a connection.

    It opens a connection with WAL, foreign keys, ``isolation_level=None`` and ``sqlite3.Row``. So
    it speaks autocommit: a transaction is an ``async with db.transaction()`` block, and an INSERT
    outside of one commits by itself in the same call; and every row is a ``sqlite3.Row``, in all
    workloads. The statement cache is that of ``sqlite3``. For one row it has ``fetchone`` of the
    connection, which crosses threads three times all the same. It has no ``async for``. Functions are set on
    the connection inside, which ``get_connection()`` gives; for that alone it is opened with
    ``check_same_thread=False``.
    """

    name = module = "asqlite"

    def versions(self) -> tuple[str, str]:
        return str(self.api.__version__), str(self.api.sqlite3.sqlite_version)

    async def open(self, path: str) -> Any:
        return await self.api.connect(path, check_same_thread=False)

    async def close(self, connection: Any) -> None:
        await connection.close()

    async def execute(self, connection: Any, sql: str) -> None:
        async with connection.execute(sql):
            pass

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            async with connection.execute(sql, key) as cursor:
                total += (await cursor.fetchone())[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            total += (await connection.fetchone(sql, key))[0]
        return total

    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        rows: list[Row] = await connection.fetchall(sql)
        return rows

    async def iterate(self, connection: Any, sql: str) -> int:
        raise Unsupported("asqlite's cursors are not asynchronous iterators")

    async def fetchone_loop(self, connection: Any, sql: str) -> int:
        total = 0
        async with connection.execute(sql) as cursor:
            while True:
                row = await cursor.fetchone()
                if row is None:
                    return total
                total += row[0]

    async def rows_by_name(self, connection: Any, sql: str) -> int:
        return sum_by_name(await connection.fetchall(sql))

    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        if commit_each:
            for row in rows:
                await connection.execute(sql, row)
            return
        async with connection.transaction():
            for row in rows:
                await connection.execute(sql, row)

    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        async with connection.transaction():
            await connection.executemany(sql, rows)

    async def create_function(
        self, connection: Any, name: str, function: Callable[[Any], Any]
    ) -> None:
        connection.get_connection().create_function(name, 1, function)

    async def open_close(self, path: str, count: int) -> None:
        for _ in range(count):
            async with self.api.connect(path):
                pass
