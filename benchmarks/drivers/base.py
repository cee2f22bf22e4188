"""Say what a driver must be able to do to be measured."""

from __future__ import annotations

import abc
import importlib
from collections.abc import Iterable, Sequence
from typing import Any

Row = tuple[Any, ...]


class Unsupported(Exception):
    """Raised by an adapter for an operation that its driver does not have."""


class Driver(abc.ABC):
    """One way of using SQLite, with each operation in the form that its own users would write.

    The loops are inside the operations, so that what is timed is the driver and not this
    interface. A connection is whatever ``open`` returns. Every operation that reads returns
    something made of what it has read, which must be the same for all drivers. Transactions are
    the driver's default: an insert opens one where the driver does that by itself, else the
    adapter does.
    """

    name: str
    module: str

    def load(self) -> Any:
        """Import the driver's module and return it; called before any other method."""
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
        """Run ``sql`` for each key, one after another, each in the shortest call for all rows.

        Return the sum of the first columns of the first rows.
        """

    @abc.abstractmethod
    async def select_gathered(self, connection: Any, sql: str, keys: Sequence[int]) -> int:
        """Do what ``select_each`` does, as one task a key, all at the same time."""

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
    async def insert_each(
        self, connection: Any, sql: str, rows: Sequence[Row], *, commit_each: bool
    ) -> None:
        """Insert the rows in a statement each; commit after each of them or once at the end."""

    @abc.abstractmethod
    async def executemany(self, connection: Any, sql: str, rows: Iterable[Row]) -> None:
        """Insert the rows in one call and commit."""

    @abc.abstractmethod
    async def open_close(self, path: str, count: int) -> None:
        """Open and close a connection ``count`` times."""
