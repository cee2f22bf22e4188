"""Say what a driver must be able to do to be measured."""

from __future__ import annotations

import abc
import asyncio
import importlib
from collections.abc import Iterable, Sequence
from typing import Any, Callable

Row = tuple[Any, ...]


class Unsupported(Exception):
    """Raised by an adapter for an operation that its driver does not have."""


class Driver(abc.ABC):
    """One way of using SQLite, with each operation in the form that its own users would write.

    The loops are inside the operations, so that what is timed is the driver and not this
    interface. A connection is whatever ``open`` returns. Every operation that reads returns
    something made of what it has read, which must be the same for all drivers. Transactions are
    the driver's default: an insert opens one where the driver does that by itself, else the
    adapter does. A call that its documentation recommends for speed is used where the operation
    leaves the choice.
    """

    name: str
    module: str

    def load(self) -> Any:
        """Import the driver's module and return it; called before any other method.

        Raises ImportError where it is not installed.
        """
        self.api = importlib.import_module(self.module)
        return self.api

    @abc.abstractmethod
    def versions(self) -> tuple[str, str]:
        """Return the driver's own version and that of the SQLite library it uses."""

    @abc.abstractmethod
    async def open(self, path: str) -> Any:
        """Open a connection to a database file."""

    @abc.abstractmethod
    async def close(self, connection: Any) -> None:
        """Close a connection."""

    async def configure(self, connection: Any) -> None:
        """Put the database in WAL mode and the connection in synchronous=NORMAL."""
        await self.execute(connection, "PRAGMA journal_mode = WAL")
        await self.execute(connection, "PRAGMA synchronous = NORMAL")

    @abc.abstractmethod
    async def execute(self, connection: Any, sql: str) -> None:
        """Run one statement without parameters, ignore its rows, and commit."""

    @abc.abstractmethod
    async def select_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        """Run ``sql`` for each key, one after another: a cursor, ``fetchone``, the cursor closed.

        Return the sum of the first columns.
        """

    @abc.abstractmethod
    async def fetchall_each(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        """Run ``sql`` for each key, one after another, each in the shortest call for its one row.

        Return the sum of the first columns of the first rows.
        """

    async def select_gathered(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        """Do what ``select_each`` does, as one task a key, all at the same time."""
        return sum(await asyncio.gather(*[self.select_each(connection, sql, (k,)) for k in keys]))

    @abc.abstractmethod
    async def fetchall(self, connection: Any, sql: str) -> list[Row]:
        """Return all rows of ``sql`` as a list."""

    @abc.abstractmethod
    async def iterate(self, connection: Any, sql: str) -> int:
        """Go over the rows with ``async for``; return the sum of their first columns."""

    @abc.abstractmethod
    async def fetchone_loop(self, connection: Any, sql: str) -> int:
        """Go over the rows with ``fetchone``; return the sum of their first columns."""

    @abc.abstractmethod
    async def rows_by_name(self, connection: Any, sql: str) -> int:
        """Fetch all rows of the table item as ``sqlite3.Row`` and return ``sum_by_name`` of them.

        A driver that cannot make a ``sqlite3.Row`` makes what it has instead for rows whose
        columns have names.
        """

    @abc.abstractmethod
    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        """Insert the rows in a statement each; commit after each of them or once at the end."""

    @abc.abstractmethod
    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        """Insert the rows in one call and commit."""

    @abc.abstractmethod
    async def create_function(
        self, connection: Any, name: str, function: Callable[[Any], Any]
    ) -> None:
        """Make a Python function of one argument a function of SQL."""

    async def open_close(self, path: str, count: int) -> None:
        """Open and close a connection ``count`` times."""
        for _ in range(count):
            await self.close(await self.open(path))


def sum_by_name(rows: Iterable[Any]) -> int:
    """Read every column of rows of the table item by its name and return a number made of them."""
    total = 0.0
    length = 0
    for row in rows:
        total += row["id"] + row["score"] + row["quantity"]
        length += len(row["name"]) + len(row["email"]) + len(row["note"] or "")
    return int(total * 8) + length
