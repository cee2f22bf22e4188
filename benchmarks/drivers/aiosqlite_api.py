"""Adapt the modules that have aiosqlite's API: csqlite and aiosqlite itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from .base import Driver, Row


class AiosqliteApi(Driver):
    """A module with aiosqlite's API. The code is the same for all of them."""

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

    async def select_gathered(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        async def select(key: int) -> int:
            async with connection.execute(sql, (key,)) as cursor:
                first: int = (await cursor.fetchone())[0]
                return first

        return sum(await asyncio.gather(*[select(key) for key in keys]))

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

    async def open_close(self, path: str, count: int) -> None:
        for _ in range(count):
            async with self.api.connect(path):
                pass
