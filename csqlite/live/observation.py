"""observe() and observe_many(): what they give is an `Observation`."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from typing import Any, Optional, Protocol

from .. import _csqlite, foreign
from . import polling
from .changes import SCHEMA, folded

# What is run, by name: SQL and parameters.
Queries = Mapping[Any, tuple[str, Any]]


class Source(Protocol):
    """Where an observation reads."""

    def watched(self) -> Any:
        """Return a connection that is open as long as there is something to observe."""

    def reading(self) -> "contextlib.AbstractAsyncContextManager[Any]":
        """Return what is entered to read one state of what is committed."""

    def is_open(self) -> bool:
        """Return whether it can be read."""


class ConnectionSource:
    """A connection: it is read between its transactions."""

    def __init__(self, connection: Any, use: str) -> None:
        foreign.refuse(connection, use)
        self._connection = connection
        self._use = use

    def watched(self) -> Any:
        """Return the connection."""
        return self._connection

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """Enter a transaction that reads, as soon as no other one is open."""
        connection = self._connection
        if connection._holder() is not None:
            raise sqlite3.ProgrammingError(
                f"{self._use} within the block of a transaction() would wait for its end:"
                " what is not committed is not observed"
            )
        async with contextlib.AsyncExitStack() as stack:
            while True:
                try:
                    await stack.enter_async_context(connection.transaction(read_only=True))
                    break
                except sqlite3.OperationalError as error:
                    if not getattr(error, "unended", False):
                        raise
            yield connection

    def is_open(self) -> bool:
        """Return whether the connection is open."""
        try:
            return self._connection.in_transaction is not None
        except ValueError:
            return False


class PoolSource:
    """A pool: its readers."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def watched(self) -> Any:
        """Return the connection that the pool keeps open."""
        return self._pool._watched()

    def reading(self) -> "contextlib.AbstractAsyncContextManager[Any]":
        """Enter a reader."""
        reading: contextlib.AbstractAsyncContextManager[Any] = self._pool.read()
        return reading

    def is_open(self) -> bool:
        """Return whether the pool is open."""
        try:
            return self._pool._watched() is not None
        except sqlite3.ProgrammingError:
            return False


def _query(asked: Any) -> "tuple[str, Any]":
    """Read SQL, or a pair of SQL and parameters."""
    if isinstance(asked, str):
        return asked, None
    sql, parameters = asked
    if not isinstance(sql, str):
        raise TypeError(f"expected SQL, a str, not {type(sql).__name__}")
    return sql, parameters


class Observation:
    """The rows of queries, whenever they have changed: an asynchronous iterator.

    Made by observe() and observe_many(), of a connection or a pool. It begins with the first
    step of `async for`, and ends with what it reads from, or by aclose(), which `async with`
    calls at its end.
    """

    def __init__(
        self,
        source: Source,
        queries: Queries,
        *,
        distinct: bool,
        alone: bool,
        poll: Optional[float] = 1.0,
    ) -> None:
        self._poll = polling.check(poll)
        self._poller: Optional[polling.Poller] = None
        self._source = source
        self._queries = dict(queries)
        self._distinct = distinct
        self._alone = alone  # one query, whose rows are given as they are
        self._watch: Any = None
        self._begun = False
        self._due = True  # the queries are to be run
        self._known = False  # it is known which tables they read
        self._tables: set[tuple[str, str]] = set()  # those, by database ("": any) and name
        self._given: Optional[dict[Any, Any]] = None
        self._stepping = False
        self._closed = False

    def __repr__(self) -> str:
        queries = "; ".join(sql for sql, _ in self._queries.values())
        return f"<csqlite.live.Observation of {queries}>"

    async def __aenter__(self) -> "Observation":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End: whoever waits for the next rows is told that there are none."""
        self._closed = True
        self._poller = None
        if self._watch is not None:
            self._watch._end()

    def __aiter__(self) -> "Observation":
        return self

    async def __anext__(self) -> Any:
        """Wait for the next rows."""
        if self._stepping:
            raise RuntimeError("another task waits for this observation")
        self._stepping = True
        try:
            return await self._next()
        finally:
            self._stepping = False

    async def _next(self) -> Any:
        while not self._closed:
            if self._watch is None and not await self._begin():
                break
            self._look()
            if not self._due:
                await self._wait()
                continue
            try:
                rows = await self._read()
            except (ValueError, sqlite3.ProgrammingError):
                if self._source.is_open():
                    raise
                break
            self._due = False
            if self._given is None or not self._distinct or rows != self._given:
                self._given = rows
                return next(iter(rows.values())) if self._alone else rows
        raise StopAsyncIteration

    async def _begin(self) -> bool:
        """Watch all tables, until it is known which are read. Return whether there is a source."""
        try:
            connection = self._source.watched()
            watch = connection._watch(False, 1)
            await watch._begin(((None, None),))
        except (ValueError, sqlite3.ProgrammingError):
            if self._begun:
                return False  # it is closed by now
            raise
        self._watch = watch
        self._poller = polling.poller_of(connection, self._poll)
        self._known = False
        self._begun = self._due = True
        return True

    def _look(self) -> None:
        """See what was told."""
        told = self._watch._take()
        if told is not None:
            self._due = True
            if told[0] & SCHEMA:  # what a name stands for may be another table by now
                self._known = False
                self._tables.clear()

    async def _wait(self) -> None:
        if self._watch._over:
            self._watch = None  # maybe there is another one
        else:
            await self._watch._wait()

    # -- reading

    async def _read(self) -> "dict[Any, Any]":
        if not self._known:
            return await self._read_first()
        async with self._source.reading() as db:
            return await self._run(db)

    async def _read_first(self) -> "dict[Any, Any]":
        """Read, and watch from then on what was read.

        Everything is watched before: so what is committed meanwhile is told in any case.
        """
        self._watch._want(((None, None),))
        async with self._source.reading() as db:
            collector = db._watch(False, 1)
            await collector._collect(True)
            try:
                rows = await self._run(db)
            finally:
                await collector._collect(False)
        read = collector._reads()
        self._known = True
        if read is not None:
            self._tables.update((folded(database), folded(table)) for database, table in read)
            names = await self._watch._shadows()
            self._narrow([*zip(names[0::3], names[1::3], names[2::3])])
        return rows

    def _narrow(self, shadows: "list[tuple[str, str, str]]") -> None:
        """Watch what was read, and what belongs to it.

        An index of FTS whose texts are in a table of others reads that when it finds something. So
        it has to be seen each time what is read.
        """
        own = [
            (folded(database), folded(shadow), (folded(database), folded(virtual)))
            for database, shadow, virtual in shadows
            if {(folded(database), folded(virtual)), ("", folded(virtual))} & self._tables
        ]
        wanted = [*self._tables, *((database, shadow) for database, shadow, _ in own)]
        self._watch._want(tuple((database or None, table) for database, table in wanted))
        indexes = {virtual for _, name, virtual in own if name.endswith(("_data", "_segdir"))}
        self._known = indexes <= {virtual for _, name, virtual in own if name.endswith("_content")}

    async def _run(self, db: Any) -> "dict[Any, Any]":
        return {
            name: await db.execute_fetchall(sql, parameters)
            for name, (sql, parameters) in self._queries.items()
        }


def _source_of(observed: Any, use: str) -> Source:
    if isinstance(observed, _csqlite.Connection):
        return ConnectionSource(observed, use)
    return PoolSource(observed)


def observe(
    observed: Any, sql: str, parameters: Any, distinct: bool, poll: Optional[float]
) -> Observation:
    """Return the observation of one query, of a connection or a pool."""
    source = _source_of(observed, "observe()")
    queries = {None: _query((sql, parameters))}
    return Observation(source, queries, distinct=distinct, alone=True, poll=poll)


def observe_many(
    observed: Any, queries: Mapping[Any, Any], distinct: bool, poll: Optional[float]
) -> Observation:
    """Return the observation of several queries, of one moment."""
    source = _source_of(observed, "observe_many()")
    named = {name: _query(asked) for name, asked in queries.items()}
    return Observation(source, named, distinct=distinct, alone=False, poll=poll)
