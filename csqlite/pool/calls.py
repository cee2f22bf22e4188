"""Statements that a pool executes by itself, on the connection where they belong."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, Callable, NamedTuple, Optional

from ..core import Connection
from ..fetching import Fetching
from .base import Base
from .lending import Transacting
from .member import Member
from .routing import READ
from .shelf import Shelf

_MOST = 1000  # How many statements are remembered.


class Executed(NamedTuple):
    """What came of a statement."""

    rowcount: int
    """How many rows it has changed; -1 for one that changes none."""

    lastrowid: Optional[int]
    """The rowid of the last row that was inserted."""


class Calls(Base, Fetching):
    """Its methods are the extension's but for those below: what fetches rows takes an idle reader
    by itself, where it is known that the statement only reads, and calls _fetch() otherwise.
    """

    transaction: Callable[[], Transacting]

    async def _belongs(self, sql: str) -> Shelf:
        """Return the shelf whose connections can execute a statement."""
        shelf = self._known(sql)
        if shelf is not None:
            return shelf
        async with self._routing:
            self._check("a call of the pool", False)  # It may have been closed meanwhile.
            shelf = self._known(sql)  # Others may have asked for the same meanwhile.
            if shelf is None:
                reads = await self._find(sql) is READ
                shelf = self._readers if reads else self._writers
                known = self._routes if reads else self._writing
                if len(known) >= _MOST:
                    known.clear()
                known[sql] = shelf
        return shelf

    def _known(self, sql: str) -> Optional[Shelf]:
        return self._routes.get(sql) or self._writing.get(sql)

    async def _find(self, sql: str) -> str:
        if not self._alone:
            assert self._preparing is not None
            return await self._router.find(self._preparing, sql)
        member = await self._writers.take(self.timeout)
        try:
            return await self._router.find(member.db, sql)
        finally:
            self._writers.give_back(member)

    async def _take(
        self, sql: str, within: bool, *, alone: bool = False
    ) -> tuple[Member, Callable[[Member], None]]:
        """Take a connection for one statement, whose end leaves it as it was, and what gives it back.

        What writes shares the connection, which executes one after the other, unless `alone`.
        """
        self._check("a call of the pool", within)
        shelf = await self._belongs(sql)
        if sql in self._writing and not alone:
            return await shelf.share(self.timeout), shelf.unshare
        return shelf.take_now() or await shelf.take(self.timeout), shelf.give_back

    async def _fetch(
        self, name: str, sql: str, parameters: Any, deadline: Any, within: bool
    ) -> Any:
        """Do what the method `name` of a connection does, on the one where it belongs."""
        member, give_back = await self._take(sql, within)
        try:
            return await getattr(member.db, name)(sql, parameters, deadline=deadline)
        finally:
            give_back(member)

    def execute(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> "Coroutine[Any, Any, Executed]":
        """Execute a statement where it belongs, and commit what it writes.

        Rows that it gives are not kept. Raises ProgrammingError for what belongs to one connection: BEGIN, SAVEPOINT,
        ATTACH, temporary tables, pragmas that set something. Otherwise as Connection.execute().
        """
        return self._execute(sql, parameters, deadline, self._is_within())

    async def _execute(self, sql: str, parameters: Any, deadline: Any, within: bool) -> Executed:
        done = await self._fetch("_execute_through", sql, parameters, deadline, within)
        return Executed(*done)

    def executemany(
        self, sql: str, parameters: Any, *, deadline: Optional[float] = None
    ) -> "Coroutine[Any, Any, Executed]":
        """Execute a statement once for each of many parameters, in one transaction."""
        return self._executemany(sql, parameters, deadline, self._is_within())

    async def _executemany(
        self, sql: str, parameters: Any, deadline: Any, within: bool
    ) -> Executed:
        self._check("pool.executemany()", within)
        await self._belongs(sql)  # For what it refuses.
        async with self.transaction() as db:
            cursor = await db.executemany(sql, parameters, deadline=deadline)
            done = Executed(cursor.rowcount, cursor.lastrowid)
            await cursor.close()
        return done

    def stream(
        self,
        sql: str,
        parameters: Any = None,
        *,
        chunk: int = 64,
        deadline: Optional[float] = None,
    ) -> "AsyncGenerator[Any, None]":
        """Go through a query's rows, as Connection.stream(); a connection is held meanwhile."""
        return self._stream(sql, parameters, chunk, deadline, self._is_within())

    async def _stream(
        self, sql: str, parameters: Any, chunk: int, deadline: Any, within: bool
    ) -> "AsyncGenerator[Any, None]":
        async with self._given(sql, within) as db:
            rows = db.stream(sql, parameters, chunk=chunk, deadline=deadline)
            try:
                async for row in rows:
                    yield row
            finally:
                await rows.aclose()

    @contextlib.asynccontextmanager
    async def _given(self, sql: str, within: bool) -> AsyncIterator[Connection]:
        member, give_back = await self._take(sql, within, alone=True)
        try:
            yield member.db
        finally:
            give_back(member)
