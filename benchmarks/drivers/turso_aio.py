"""Adapt turso, which is in the package pyturso."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, Callable

from .base import Driver, Row, Unsupported, sum_by_name


class TursoAio(Driver):
    """``turso.aio``: a Python thread a connection that calls a database engine written in Rust.

    It is not SQLite but another program that reads and writes its files, so that a difference may
    be the engine's as well as the driver's. Transactions are those of ``sqlite3``: an INSERT opens
    one and ``commit()`` ends it. The Python part has no statement cache, and no call for
    one row that is shorter than execute and fetch. It has neither ``async for`` nor functions in
    Python, and no ``sqlite3.Row`` but its own ``Row``.
    """

    name = "turso.aio"
    module = "turso"

    def load(self) -> Any:
        self.aio = importlib.import_module("turso.aio")
        return super().load()

    def versions(self) -> tuple[str, str]:
        from importlib.metadata import version  # It takes longer than most workloads' start.

        return version("pyturso"), f"{self.api.sqlite_version} as the version it is compatible with"

    async def open(self, path: str) -> Any:
        return await self.aio.connect(path)

    async def close(self, connection: Any) -> None:
        await connection.close()

    async def execute(self, connection: Any, sql: str) -> None:
        async with await connection.execute(sql) as cursor:
            await cursor.fetchall()
        await connection.commit()

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            async with await connection.execute(sql, (key,)) as cursor:
                total += (await cursor.fetchone())[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            total += (await (await connection.execute(sql, (key,))).fetchall())[0][0]
        return total

    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        async with await connection.execute(sql) as cursor:
            rows: list[Row] = await cursor.fetchall()
            return rows

    async def iterate(self, connection: Any, sql: str) -> int:
        raise Unsupported("turso's cursors are not asynchronous iterators")

    async def fetchone_loop(self, connection: Any, sql: str) -> int:
        total = 0
        async with await connection.execute(sql) as cursor:
            while True:
                row = await cursor.fetchone()
                if row is None:
                    return total
                total += row[0]

    async def rows_by_name(self, connection: Any, sql: str) -> int:
        connection.row_factory = self.api.Row
        return sum_by_name(await self.fetchall(connection, sql))

    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        for row in rows:
            await connection.execute(sql, row)
            if commit_each:
                await connection.commit()
        await connection.commit()

    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        await connection.executemany(sql, rows)
        await connection.commit()

    async def create_function(
        self, connection: Any, name: str, function: Callable[[Any], Any]
    ) -> None:
        raise Unsupported("turso has no create_function()")
