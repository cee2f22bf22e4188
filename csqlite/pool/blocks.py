"""Blocks that a pool gives a connection to: read(), write(), transaction(), snapshot()."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Callable, Optional

from .. import transactions
from ..core import Connection
from .base import Base
from .lending import Lending, Transacting

# BEGIN alone takes no snapshot: the first thing read does.
_READ = ("BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1")


class Blocks(Base):
    """What `async with` enters."""

    def read(self, *, timeout: Optional[float] = None, priority: int = 0) -> Lending:
        """Give, to `async with`, a connection that reads one state of the database: that of now.

        timeout: for how many seconds a connection is waited for, by default the pool's.
        priority: who has the lowest number gets one first. Entering raises PoolTimeout,
        TooManyRequests, PoolClosed. What is left half-read or open is ended behind it.
        """
        self._check("pool.read()", self._is_within())
        if not self._alone:
            return Lending(self._terms(self._readers, timeout, priority, begin=_READ))
        return Lending(
            self._terms(
                self._writers,
                timeout,
                priority,
                begin=("PRAGMA query_only = ON", *_READ),
                end=("PRAGMA query_only = OFF",),
                within=self._within,
            )
        )

    def write(self, *, timeout: Optional[float] = None, priority: int = 0) -> Lending:
        """Give, to `async with`, the connection that writes, for as long as the block lasts.

        It is in autocommit mode; a transaction that is left open is rolled back. Arguments and
        exceptions as of read().
        """
        self._check("pool.write()", self._is_within())
        return Lending(self._terms(self._writers, timeout, priority, within=self._within))

    def transaction(
        self,
        mode: str = "immediate",
        *,
        read_only: bool = False,
        deadline: Optional[float] = None,
        timeout: Optional[float] = None,
        priority: int = 0,
    ) -> Transacting:
        """Give, to `async with`, a transaction of the connection that writes.

        It is that of Connection.transaction(), with its arguments: committed at the end of the
        block, rolled back where the block raises or is cancelled. read_only: of a connection that
        reads. Within the block the task uses what it was given, not the pool. Other arguments and
        exceptions as of read().
        """
        return self._transacting(mode, read_only, deadline, timeout, priority, 0)

    def _transacting(
        self,
        mode: str,
        read_only: bool,
        deadline: Optional[float],
        timeout: Optional[float],
        priority: int,
        retries: int,
    ) -> Transacting:
        self._check("pool.transaction()", self._is_within())
        # For what it refuses, before anybody waits.
        nobody: Any = None
        transactions.block(nobody, mode, read_only, deadline)
        shelf = self._readers if read_only else self._writers
        within = self._within if shelf is self._writers else None
        terms = self._terms(shelf, timeout, priority, within=within)
        return Transacting(
            terms, lambda db: transactions.block(db, mode, read_only, deadline, retries)
        )

    def run_transaction(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        mode: str = "immediate",
        retries: int = 5,
    ) -> "Coroutine[Any, Any, Any]":
        """Call `await function(tx, *arguments)` in a transaction, and give its result.

        Again where that is busy: see Connection.run_transaction().
        """

        def make() -> Any:
            return self._transacting(mode, False, None, None, 0, retries)

        return self._run(self._is_within(), make, retries, function, arguments)

    async def _run(self, within: bool, *what: Any) -> Any:
        self._check("pool.run_transaction()", within)
        return await transactions.run(*what)

    def attempts(
        self, retries: int = 5, *, mode: str = "immediate"
    ) -> "AsyncIterator[transactions.Attempt]":
        """Give attempts at a transaction until one is committed: see Connection.attempts()."""

        def make() -> Any:
            return self._transacting(mode, False, None, None, 0, retries)

        return transactions.attempts(make, retries)

    @contextlib.asynccontextmanager
    async def snapshot(
        self, readers: int, *, timeout: Optional[float] = None
    ) -> AsyncIterator[list[Connection]]:
        """Give a list of so many connections that read, all of them one state of the database.

        Who writes waits until each of them has begun. timeout: for each, as of read(). Raises
        ValueError for more readers than the pool has, NotSupportedError for a database in
        memory, which has one connection.
        """
        if not 1 <= readers <= self._readers.limits.most:
            raise ValueError(f"readers must be 1 to {self._readers.limits.most}, not {readers}")
        if self._alone:
            raise sqlite3.NotSupportedError("a database in memory has one connection")
        self._check("pool.snapshot()", self._is_within())
        lock = Lending(self._terms(self._writers, timeout, 0, begin=("BEGIN IMMEDIATE",)))
        async with contextlib.AsyncExitStack() as stack:
            # The writer comes last: who reads may write within, and would wait for it. And one at a time
            # takes readers: two, each with some of them, would wait for each other.
            async with self._gathering:
                lendings = [Lending(self._terms(self._readers, timeout, 0)) for _ in range(readers)]
                given = [await stack.enter_async_context(one) for one in lendings]
            async with lock:
                for db in given:
                    for sql in _READ:
                        await db.execute_fetchall(sql)
            yield given
