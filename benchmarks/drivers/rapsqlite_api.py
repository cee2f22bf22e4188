"""Adapt rapsqlite."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Callable

from .base import Driver, Row, sum_by_name

PRAGMAS = {"journal_mode": "WAL", "synchronous": "NORMAL"}


class Rapsqlite(Driver):
    """rapsqlite: sqlx on Tokio's threads, written in Rust.

    A connection is a handle to a pool of up to 25 SQLite connections, which all handles to one
    file share. ``session_affinity`` keeps one of them for the handle, which its guide recommends
    for sequential work; and a pragma has to be an argument of ``connect``, or only some of the
    pool would have it. An INSERT opens a transaction, which others do not see before ``commit()``.
    sqlx caches 100 statements a connection, and brings its own SQLite. For one row it has
    ``fetch_one``. Its ``async for`` and ``fetchone`` cross threads for each row. It has no
    ``sqlite3.Row`` but its own ``Row``. Version 0.5.1 crashes the interpreter on its way out now
    and then, when all is done and printed; ``run.py`` counts that.
    """

    name = module = "rapsqlite"

    def versions(self) -> tuple[str, str]:
        return str(self.api.__version__), asyncio.run(self.sqlite_version())

    async def sqlite_version(self) -> str:
        """Ask SQLite for its version, which the module does not tell."""
        async with self.api.connect(":memory:") as connection:
            return str((await connection.fetch_one("SELECT sqlite_version()"))[0])

    async def open(self, path: str) -> Any:
        connection = self.api.connect(
            path, pragmas=PRAGMAS, session_affinity=True, aiosqlite_compat=True
        )
        return await connection.__aenter__()

    async def close(self, connection: Any) -> None:
        await connection.close()

    async def configure(self, connection: Any) -> None:
        """Leave it to the pragmas of ``open``."""

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
            total += (await connection.fetch_one(sql, (key,)))[0]
        return total

    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        rows: list[Row] = await connection.fetch_all(sql)
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
        return sum_by_name(await connection.fetch_all(sql))

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
