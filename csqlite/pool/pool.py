"""The pool itself: opening, handing out, routing, closing."""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from .. import _csqlite, transactions
from ..core import _DEFAULTS, Connection, connect
from ..fetching import Fetching
from ..pragmas import Pragmas
from .errors import PoolClosed
from .lending import Lending, Terms, Transacting
from .member import Holder, Member
from .routing import READ, Router
from .shelf import Limits, Shelf
from .statistics import Statistics
from .wal import Wal

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import StrOrBytesPath

# Options of connect() that a pool decides by itself.
_DECIDED = ("isolation_level", "autocommit", "factory", "init", "pragmas")


# How many connections read at most, where nobody says.
_READERS = 4


class Executed(NamedTuple):
    """What came of a statement."""

    rowcount: int
    """How many rows it has changed; -1 for one that changes none."""

    lastrowid: Optional[int]
    """The rowid of the last row that was inserted."""


def _is_memory(database: Any, options: "dict[str, Any]") -> bool:
    """Tell whether every connection would have a database of its own."""
    name = str(database)
    if name in ("", ":memory:"):
        return True
    named = name.startswith("file:") and bool(options.get("uri"))
    return named and (name.startswith("file::memory:") or "mode=memory" in name)


def _is_read_only(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == _csqlite.SQLITE_READONLY


class Pool(Fetching):
    """Connections to one database: one that writes, and several that only read.

    Made by create_pool(). Await it, or enter it with `async with`, to open it. For one event
    loop; pools of several loops, and other connections, may use one file.
    """

    def __init__(
        self,
        database: "StrOrBytesPath",
        options: "dict[str, Any]",
        limits: Limits,
        prepare: Sequence[str],
        timeout: float,
    ) -> None:
        self.timeout = timeout
        self.row_factory = options.get("row_factory")
        self._database = database
        self._options = options
        self._limits = limits
        self._prepare = tuple(prepare)
        self._alone = _is_memory(database, options)
        self._only_reads = bool(options["read_only"])
        self._begin()

    def _begin(self) -> None:
        """Be as if nothing was opened yet."""
        self._statistics = Statistics()
        one = self._limits._replace(most=1, least=1, max_idle=float("inf"))
        if self._alone:
            one = one._replace(max_lifetime=float("inf"))
        self._writers = Shelf("write", one, lambda: self._connect(False), self._statistics)
        self._readers = self._writers
        if not self._alone:
            self._readers = Shelf(
                "read", self._limits, lambda: self._connect(True), self._statistics
            )
        self._router = Router()
        self._wal = Wal()
        self._preparing: Optional[Connection] = None
        self._routing: Any = None  # A lock of the loop that opens it.
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._process = 0  # In which it was opened.
        # Tasks that hold the writer, and must use what they were given.
        self._within: set[Any] = set()

    # -- opening and closing --------------------------------------------------------

    def __await__(self) -> Generator[Any, None, "Pool"]:
        return self._open().__await__()

    async def __aenter__(self) -> "Pool":
        return await self._open()

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> None:
        await self._close(None, asyncio.current_task())

    async def _open(self) -> "Pool":
        if self._loop is not None:
            raise RuntimeError("a pool is opened once")
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._routing = asyncio.Lock()
        try:
            # The writer makes the file, and sets its journal mode, before anybody reads.
            await self._writers.grow()
            await self._attach()
            await self._readers.grow()
        except BaseException:
            await self.terminate()
            raise
        return self

    async def _attach(self) -> None:
        """Let a connection prepare what is to be routed."""
        member = self._writers.idle[0] if self._alone else await self._connect(True, prepare=False)
        before, self._preparing = self._preparing, member.db
        db = member.db
        await self._router.attach(db)
        await self._wal.find(db)
        if before is not None:
            await before.close()

    async def _connect(self, reads: bool, *, prepare: bool = True) -> Member:
        options = {**self._options, "isolation_level": None}
        options["read_only"] = self._only_reads or (reads and not self._alone)
        if not reads and "group_commit" in _DEFAULTS:
            options.setdefault("group_commit", True)
        try:
            db = await connect(self._database, **options)
        except sqlite3.OperationalError as error:
            if reads or self._only_reads or not _is_read_only(error):
                raise
            self._only_reads = True
            return await self._connect(reads, prepare=prepare)
        try:
            if reads and options["read_only"]:
                await db.execute_fetchall("PRAGMA query_only = ON")
            for sql in self._prepare if prepare else ():
                await db._warm(sql)
        except BaseException:
            await db.close()
            raise
        lifetime = self._readers.limits.max_lifetime if reads else float("inf")
        return Member(db, lifetime, not reads)

    def close(self, timeout: Optional[float] = None) -> "Coroutine[Any, Any, None]":
        """Wait for what is held to come back, then close everything.

        timeout: after how many seconds what is still held is cut off, readers first; None:
        never. Who waits for a connection gets PoolClosed at once. What the task that calls this
        holds itself is cut off, as it could not give it back. Closing again does nothing.
        """
        return self._close(timeout, asyncio.current_task())

    async def _close(self, timeout: Optional[float], task: Any) -> None:
        ends = None if timeout is None else time.monotonic() + timeout
        shelves = (self._readers, self._writers)
        for shelf in shelves:
            shelf.close(keep=shelf is not self._readers)
            await shelf.cut([member for member in shelf.held if member.holder is task])
        for shelf in shelves:
            await shelf.returned(ends)
        await self.terminate()

    async def terminate(self) -> None:
        """Close everything at once: what runs is interrupted, what is open is rolled back."""
        for shelf in (self._writers, self._readers):
            shelf.close(keep=shelf is not self._readers)
        await self._readers.cut([*self._readers.held])
        await self._readers.ended()
        preparing, self._preparing = self._preparing, None
        if preparing is not None:
            await preparing.close()
        # The last one to close a file is to be able to write: it does away with the log.
        self._writers.close()
        await self._writers.cut([*self._writers.held])
        await self._writers.ended()

    def expire_connections(self) -> None:
        """Replace every connection by a new one: at once, or when it comes back.

        The writer of a database in memory stays.
        """
        if not self._alone:
            self._readers.expire()
            self._writers.expire()

    async def reopen(self) -> None:
        """Open everything anew: in a process that was forked, or when the file was replaced.

        What is held meanwhile is replaced when it comes back. In a forked child, where the connections of its
        parent are of no use, the pool is then one of the loop that runs there. Raises NotSupportedError for a
        database in memory, which would be lost; in a child it begins empty.
        """
        if self._process != os.getpid() and self._loop is not None:
            self._begin()
            await self._open()
            return
        self._check("pool.reopen()")
        if self._alone:
            raise sqlite3.NotSupportedError("a database in memory cannot be opened again")
        self.expire_connections()
        await asyncio.gather(self._readers.ended(), self._writers.ended())
        async with self._routing:
            self._router.known.clear()
            await self._writers.grow()
            await self._attach()
        await self._readers.grow()

    # -- handing out ----------------------------------------------------------------

    def _check(self, use: str) -> None:
        if self._preparing is None or self._readers.closing:
            raise PoolClosed("the pool is not open" if self._loop is None else "the pool is closed")
        if asyncio.get_running_loop() is not self._loop:
            hint = ": reopen() it in this process" if self._process != os.getpid() else ""
            raise RuntimeError(f"a pool belongs to the event loop that has opened it{hint}")
        if self._within and asyncio.current_task() in self._within:
            raise sqlite3.ProgrammingError(
                f"{use} within a block that holds the writer would wait for it, or miss what "
                f"it has written: use what `async with pool.transaction() as tx` gives"
            )

    def _terms(self, shelf: Shelf, timeout: Optional[float], priority: int, **more: Any) -> Terms:
        return Terms(shelf, self.timeout if timeout is None else timeout, priority, **more)

    def read(self, *, timeout: Optional[float] = None, priority: int = 0) -> Lending:
        """Give, to `async with`, a connection that reads one state of the database: that of now.

        timeout: for how many seconds a connection is waited for, by default the pool's.
        priority: who has the lowest number gets one first. Entering raises PoolTimeout,
        TooManyRequests, PoolClosed. What is left half-read or open is ended behind it.
        """
        self._check("pool.read()")
        # BEGIN alone takes no snapshot: the first thing read does.
        begin = ("BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1")
        if not self._alone:
            return Lending(self._terms(self._readers, timeout, priority, begin=begin))
        return Lending(
            self._terms(
                self._writers,
                timeout,
                priority,
                begin=("PRAGMA query_only = ON", *begin),
                end=("PRAGMA query_only = OFF",),
                within=self._within,
            )
        )

    def write(self, *, timeout: Optional[float] = None, priority: int = 0) -> Lending:
        """Give, to `async with`, the connection that writes, for as long as the block lasts.

        It is in autocommit mode; a transaction that is left open is rolled back. Arguments and
        exceptions as of read().
        """
        self._check("pool.write()")
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
        self._check("pool.transaction()")
        # For what it refuses, before anybody waits.
        transactions.block(None, mode, read_only, deadline)
        shelf = self._readers if read_only else self._writers
        within = self._within if shelf is self._writers else None
        terms = self._terms(shelf, timeout, priority, within=within)
        return Transacting(
            terms, lambda db: transactions.block(db, mode, read_only, deadline, retries)
        )

    async def run_transaction(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        mode: str = "immediate",
        retries: int = 5,
    ) -> Any:
        """Call `await function(tx, *arguments)` in a transaction, and give its result.

        Again where that is busy: see Connection.run_transaction().
        """

        def make() -> Any:
            return self._transacting(mode, False, None, None, 0, retries)

        return await transactions.run(make, retries, function, arguments)

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
        async with contextlib.AsyncExitStack() as stack:
            async with contextlib.AsyncExitStack() as writing:
                lendings = [self.read(timeout=timeout) for _ in range(readers)]
                lock = self._terms(self._writers, timeout, 0, begin=("BEGIN IMMEDIATE",))
                await writing.enter_async_context(Lending(lock))
                given = [await stack.enter_async_context(one) for one in lendings]
            yield given

    # -- routing --------------------------------------------------------------------

    async def _route(self, sql: str) -> Shelf:
        """Return the shelf whose connections can execute a statement."""
        kind = self._router.known.get(sql)
        if kind is None:
            async with self._routing:
                kind = await self._find(sql)
        return self._readers if kind is READ else self._writers

    async def _find(self, sql: str) -> str:
        if not self._alone:
            assert self._preparing is not None
            return await self._router.find(self._preparing, sql)
        member = await self._writers.take(self.timeout)
        try:
            return await self._router.find(member.db, sql)
        finally:
            self._writers.give_back(member)

    async def _take(self, sql: str) -> tuple[Shelf, Member]:
        """Take a connection for one statement, whose end leaves it as it was."""
        self._check("a call of the pool")
        shelf = await self._route(sql)
        return shelf, shelf.take_now() or await shelf.take(self.timeout)

    @contextlib.asynccontextmanager
    async def _given(self, sql: str) -> AsyncIterator[Connection]:
        shelf, member = await self._take(sql)
        try:
            yield member.db
        finally:
            shelf.give_back(member)

    async def execute(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> Executed:
        """Execute a statement where it belongs, and commit what it writes.

        Raises ProgrammingError for what belongs to one connection: BEGIN, SAVEPOINT, ATTACH,
        temporary tables, pragmas that set something. Otherwise as Connection.execute().
        """
        async with self._given(sql) as db:
            cursor = await db.execute(sql, parameters, deadline=deadline)
            try:
                return Executed(cursor.rowcount, cursor.lastrowid)
            finally:
                await cursor.close()

    async def executemany(
        self, sql: str, parameters: Any, *, deadline: Optional[float] = None
    ) -> Executed:
        """Execute a statement once for each of many parameters, in one transaction."""
        self._check("pool.executemany()")
        await self._route(sql)  # For what it refuses.
        async with self.transaction() as db:
            cursor = await db.executemany(sql, parameters, deadline=deadline)
            done = Executed(cursor.rowcount, cursor.lastrowid)
            await cursor.close()
        return done

    async def execute_fetchall(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> "list[Any]":
        """Execute a statement where it belongs, and return all its rows, a list."""
        shelf, member = await self._take(sql)
        try:
            rows: list[Any] = await member.db.execute_fetchall(sql, parameters, deadline=deadline)
            return rows
        finally:
            shelf.give_back(member)

    async def fetch_scalar(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> Any:
        """Execute a query and return the first value of its first row, None where there is none."""
        async with self._given(sql) as db:
            return await db.fetch_scalar(sql, parameters, deadline=deadline)

    async def stream(
        self,
        sql: str,
        parameters: Any = None,
        *,
        chunk: int = 64,
        deadline: Optional[float] = None,
    ) -> "AsyncGenerator[Any, None]":
        """Go through a query's rows, as Connection.stream(); a connection is held meanwhile."""
        async with self._given(sql) as db:
            rows = db.stream(sql, parameters, chunk=chunk, deadline=deadline)
            try:
                async for row in rows:
                    yield row
            finally:
                await rows.aclose()

    # -- what is going on -----------------------------------------------------------

    def holders(self) -> list[Holder]:
        """Return who has which connection, the longest first."""
        members = [member for shelf in {self._readers, self._writers} for member in shelf.held]
        members.sort(key=lambda member: member.held_since)
        return [member.describe() for member in members]

    def get_stats(self) -> "dict[str, int]":
        """Return what is true now, and what was counted, by psycopg_pool's names.

        pool_size, pool_available: connections, and those that are idle; requests_waiting: who
        waits now; wal_pages: how many pages the write-ahead log has room for; oldest_read_ms:
        since when the reader that has read for longest does. The others count from the opening,
        or from the last pop_stats(). Times are in milliseconds.
        """
        shelves = {self._readers, self._writers}
        readers = [holder for holder in self.holders() if self._alone or not holder.writes]
        gauges = {
            "pool_min": sum(shelf.limits.least for shelf in shelves),
            "pool_max": sum(shelf.limits.most for shelf in shelves),
            "pool_size": sum(shelf.size for shelf in shelves),
            "pool_available": sum(len(shelf.idle) for shelf in shelves),
            "requests_waiting": sum(shelf.waiting for shelf in shelves),
            "wal_pages": self._wal.pages(),
            "oldest_read_ms": round(readers[0].seconds * 1e3) if readers else 0,
        }
        return self._statistics.read(gauges)

    def pop_stats(self) -> "dict[str, int]":
        """Return the same, and begin to count anew."""
        stats = self.get_stats()
        self._statistics.clear()
        return stats


def create_pool(
    database: "StrOrBytesPath",
    *,
    max_readers: Optional[int] = None,
    min_readers: int = 0,
    init: Optional[Callable[[Connection], Any]] = None,
    pragmas: Pragmas = "server",
    timeout: float = 30.0,
    max_lifetime: float = 3600.0,
    max_idle: float = 600.0,
    max_waiting: int = 0,
    check: Optional[Callable[[Connection], Any]] = None,
    prepare: Sequence[str] = (),
    busy_timeout: float = 5.0,
    **connect_options: Any,
) -> Pool:
    """Return a pool of connections to a database; await it, or `async with` it, to open it.

    One connection writes; up to `max_readers` others, which cannot write, are opened when they
    are wanted, and at least `min_readers` stay. A database in memory has one connection for both.

    init, pragmas: of every connection, as of connect(). timeout: for how many seconds a
    connection is waited for. max_lifetime: after how many seconds a reader is replaced, a
    tenth of it sooner or later, so that not all go at once. max_idle: after how many seconds
    without work one is closed. max_waiting: how many may wait; 0: any number. check: called with
    a connection before it is handed out, and awaited if need be; when it raises, that connection
    is closed and another one taken. prepare: SQL that every connection prepares when it is
    opened, which reads the schema. busy_timeout: seconds that locks of other processes are
    waited for, the `timeout` of connect(). The others are connect()'s.

    Raises TypeError and ValueError for what makes no sense, and on opening what connect()
    raises. docs/pool.md has the guarantees.
    """
    if max_readers is None:
        max_readers = max(_READERS, min_readers)
    for name in _DECIDED:
        if name in connect_options:
            raise TypeError(f"a pool decides about {name!r} by itself")
    if max_readers < 1 or not 0 <= min_readers <= max_readers:
        raise ValueError("max_readers must be 1 or more, and min_readers 0 to max_readers")
    if max_waiting < 0:
        raise ValueError("max_waiting must be 0 or more")
    for name, seconds in (
        *(("timeout", timeout), ("max_lifetime", max_lifetime), ("max_idle", max_idle)),
        ("busy_timeout", busy_timeout),
    ):
        if not seconds >= 0:
            raise ValueError(f"{name} must be a number of seconds, 0 or more")
    limits = Limits(max_readers, min_readers, max_waiting, max_idle, max_lifetime, check)
    options = {
        "read_only": False,
        **connect_options,
        "init": init,
        "pragmas": pragmas,
        "timeout": busy_timeout,
    }
    return Pool(database, options, limits, prepare, timeout)
