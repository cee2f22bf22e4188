"""Adapt the modules that have aiosqlite's API: csqlite and aiosqlite itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Callable

from .base import Driver, Row, sum_by_name


class AiosqliteApi(Driver):
    """A module with aiosqlite's API. The code is the same for all of them.

    Transactions are those of ``sqlite3``: an INSERT opens one and ``commit()`` ends it. Both keep
    a cache of 128 prepared statements a connection, as ``sqlite3`` does.
    """

    def __init__(self, module: str) -> None:
        self.name = self.module = module

    def versions(self) -> tuple[str, str]:
        return str(self.api.__version__), str(self.api.sqlite_version)

    async def open(self, path: str) -> Any:
        return await self.api.connect(path)

    async def close(self, connection: Any) -> None:
        await connection.close()

    async def execute(self, connection: Any, sql: str) -> None:
        async with connection.execute(sql):
            pass
        await connection.commit()

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            async with connection.execute(sql, (key,)) as cursor:
                total += (await cursor.fetchone())[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            total += (await connection.execute_fetchall(sql, (key,)))[0][0]
        return total

    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        async with connection.execute(sql) as cursor:
            rows: list[Row] = await cursor.fetchall()
            return rows

    async def iterate(self, connection: Any, sql: str) -> int:
        total = 0
        async with connection.execute(sql) as cursor:
            async for row in cursor:
                total += row[0]
        return total

    async def fetchone_loop(self, connection: Any, sql: str) -> int:
        total = 0
        async with connection.execute(sql) as cursor:
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
        await connection.create_function(name, 1, function)

    async def open_close(self, path: str, count: int) -> None:
        for _ in range(count):
            async with self.api.connect(path):
                pass


class CsqliteSystem(AiosqliteApi):
    """csqlite built on the system's SQLite, from a directory that ``make bench-system`` fills.

    Beside the bundled build it shows how much of a gain is the newer library's.
    """

    directory = Path(__file__).resolve().parents[2] / "build" / "bench-system"

    def __init__(self) -> None:
        super().__init__("csqlite")
        self.name = "csqlite-system"

    def load(self) -> Any:
        if not (self.directory / "csqlite").is_dir():
            raise ImportError("`make bench-system` has not built it")
        sys.path.insert(0, str(self.directory))
        super().load()
        if self.directory not in Path(str(self.api.__file__)).resolve().parents:
            raise ImportError(f"csqlite came from {self.api.__file__}")
        return self.api
