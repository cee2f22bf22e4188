"""Adapt the standard library's ``sqlite3``, called directly: the loop stands still meanwhile.

It is the measure of what SQLite and the making of Python objects cost when nothing is handed to
another thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Callable

from .base import Driver, Row, sum_by_name


class Stdlib(Driver):
    """The ``sqlite3`` module, synchronous: implicit transactions, 128 cached statements."""

    name = module = "sqlite3"

    def versions(self) -> tuple[str, str]:
        return "", str(self.api.sqlite_version)

    async def open(self, path: str) -> Any:
        return self.api.connect(path)

    async def close(self, connection: Any) -> None:
        connection.close()

    async def execute(self, connection: Any, sql: str) -> None:
        connection.execute(sql).close()
        connection.commit()

    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            with closing(connection.execute(sql, (key,))) as cursor:
                total += cursor.fetchone()[0]
        return total

    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        total = 0
        for key in keys:
            total += connection.execute(sql, (key,)).fetchall()[0][0]
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
        connection.row_factory = self.api.Row
        return sum_by_name(connection.execute(sql).fetchall())

    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        for row in rows:
            connection.execute(sql, row)
            if commit_each:
                connection.commit()
        connection.commit()

    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        connection.executemany(sql, rows)
        connection.commit()

    async def create_function(
        self, connection: Any, name: str, function: Callable[[Any], Any]
    ) -> None:
        connection.create_function(name, 1, function)
