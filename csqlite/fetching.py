"""Rows in one call: fetch_all(), fetch_one() and the others, of whatever executes SQL."""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable
from operator import index
from typing import Any, Optional

from .callers import noted


class RowCountError(sqlite3.DataError):
    """Raised by fetch_one() and fetch_optional(): not as many rows as were asked for.

    rows: how many there were. sql: the query.
    """

    def __init__(self, wanted: str, rows: int, sql: str) -> None:
        super().__init__(f"{wanted} expected, the query gave {rows}")
        self.rows = rows
        self.sql = sql


class Fetching:
    """The calls that give rows without a cursor, over execute() and execute_fetchall()."""

    # What there is below: a Connection's methods.
    execute: Any
    execute_fetchall: Any
    cursor: Any
    row_factory: Any

    def fetch_all(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> "Awaitable[list[Any]]":
        """Execute a query and return all its rows, a list.

        The same as execute_fetchall(). parameters: a sequence or a dict. deadline: seconds, as
        of execute().
        """
        rows: Awaitable[list[Any]] = self.execute_fetchall(sql, parameters, deadline=deadline)
        return rows

    @noted
    async def fetch_one(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> Any:
        """Execute a query and return its row, which must be the only one.

        Raises RowCountError, a DataError, where there is none or more than one; its `rows` says
        how many. Arguments as of fetch_all().
        """
        rows = await self.execute_fetchall(sql, parameters, deadline=deadline)
        if len(rows) != 1:
            raise RowCountError("one row", len(rows), sql)
        return rows[0]

    @noted
    async def fetch_optional(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> Any:
        """Execute a query and return its row, or None where there is none.

        Raises RowCountError, a DataError, where there is more than one. Arguments as of
        fetch_all().
        """
        rows = await self.execute_fetchall(sql, parameters, deadline=deadline)
        if len(rows) > 1:
            raise RowCountError("one row or none", len(rows), sql)
        return rows[0] if rows else None

    @noted
    async def fetch_scalar(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> Any:
        """Execute a query and return the first value of its first row, None where there is none.

        Whatever the row factory is: no row is made. Other rows are not read. Arguments as of
        fetch_all(); asyncpg's fetchval().
        """
        cursor = await self.cursor(row_factory=None)
        await cursor.execute(sql, parameters, deadline=deadline)
        try:
            row = await cursor.fetchone()
        finally:
            await cursor.close()
        return None if row is None else row[0]

    @noted
    async def stream(
        self,
        sql: str,
        parameters: Any = None,
        *,
        chunk: int = 64,
        deadline: Optional[float] = None,
    ) -> "AsyncGenerator[Any, None]":
        """Execute a query and go through its rows, of which few are in memory at a time.

        chunk: how many are fetched at once. Where the iteration is left before its end, close it
        (aclose(), or `async with contextlib.aclosing(...)`), or its cursor stays half-read until it is
        collected. Arguments as of fetch_all(). Raises ValueError for a chunk below 1.
        """
        size = index(chunk)
        if size < 1:
            raise ValueError("chunk must be 1 or more")
        cursor = await self.execute(sql, parameters, deadline=deadline)
        cursor.iter_chunk_size = size
        try:
            async for row in cursor:
                yield row
        finally:
            await cursor.close()
