"""The pool itself: opening and closing it, and what is going on in it."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Coroutine, Generator, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

from ..core import Connection
from ..observing import Observing
from ..pragmas import Pragmas
from .blocks import Blocks
from .calls import Calls
from .member import Holder
from .shelf import Limits

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import StrOrBytesPath

# Options of connect() that a pool decides by itself.
_DECIDED = ("isolation_level", "autocommit", "factory", "init", "pragmas")


# How many connections read at most, where nobody says.
_READERS = 4


class Pool(Blocks, Calls, Observing):
    """Connections to one database: one that writes, and several that only read.

    Made by create_pool(). Await it, or enter it with `async with`, to open it. For one event
    loop; pools of several loops, and other connections, may use one file.
    """

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
        self._gathering = asyncio.Lock()
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
        await self._gaps.stop()
        for shelf in shelves:
            shelf.close(keep=shelf is not self._readers)
            await shelf.cut([member for member in shelf.held if member.task() is task])
        for shelf in shelves:
            await shelf.returned(ends)
        await self.terminate()

    async def terminate(self) -> None:
        """Close everything at once: what runs is interrupted, what is open is rolled back."""
        await self._gaps.stop()
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
        self._check("pool.reopen()", self._is_within())
        if self._alone:
            raise sqlite3.NotSupportedError("a database in memory cannot be opened again")
        self.expire_connections()
        await asyncio.gather(self._readers.ended(), self._writers.ended())
        async with self._routing:
            self._routes.clear()
            self._writing.clear()
            await self._writers.grow()
            await self._attach()
        await self._readers.grow()

    def _watched(self) -> Connection:
        self._check("observing a pool", self._is_within())
        assert self._preparing is not None
        return self._preparing

    # -- what is going on -----------------------------------------------------------

    def holders(self) -> list[Holder]:
        """Return who has which connection, the longest first."""
        members = [member for shelf in {self._readers, self._writers} for member in shelf.held]
        members.sort(key=lambda member: member.held_since)
        return [member.describe() for member in members]

    def get_stats(self) -> "dict[str, Any]":
        """Return what is true now, and what was counted, by psycopg_pool's names.

        pool_size, pool_available: connections, and those that are idle; requests_waiting: who
        waits now; wal_pages: how many pages the write-ahead log has room for; oldest_read_ms,
        oldest_read_sql: since when the reader that has read for longest does, and what it has
        executed last. The others count from the opening, or from the last pop_stats(). Times are
        in milliseconds.
        """
        shelves = {self._readers, self._writers}
        for shelf in shelves:
            shelf.counted()
        readers = [holder for holder in self.holders() if self._alone or not holder.writes]
        gauges = {
            "pool_min": sum(shelf.limits.least for shelf in shelves),
            "pool_max": sum(shelf.limits.most for shelf in shelves),
            "pool_size": sum(shelf.size for shelf in shelves),
            "pool_available": sum(len(shelf.idle) for shelf in shelves),
            "requests_waiting": sum(shelf.waiting for shelf in shelves),
            "wal_pages": self._wal.pages(),
            "oldest_read_ms": round(readers[0].seconds * 1e3) if readers else 0,
            "oldest_read_sql": readers[0].sql or "" if readers else "",
        }
        return self._statistics.read(gauges)

    def pop_stats(self) -> "dict[str, Any]":
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
    max_wal: Optional[int] = 16 * 1024 * 1024,
    gap_timeout: float = 0.5,
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
    waited for, the `timeout` of connect(). max_wal: when the write-ahead log has more bytes, new
    reads wait until those under way have ended, for `gap_timeout` seconds at most, and it is
    emptied; None: never. The others are connect()'s.

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
        *(("busy_timeout", busy_timeout), ("gap_timeout", gap_timeout)),
    ):
        if not seconds >= 0:
            raise ValueError(f"{name} must be a number of seconds, 0 or more")
    if max_wal is not None and max_wal < 0:
        raise ValueError("max_wal must be a number of bytes, or None")
    limits = Limits(max_readers, min_readers, max_waiting, max_idle, max_lifetime, check)
    options = {
        "read_only": False,
        "group_commit": True,
        **connect_options,
        "init": init,
        "pragmas": pragmas,
        "timeout": busy_timeout,
    }
    return Pool(database, options, limits, prepare, timeout, (max_wal, gap_timeout))
