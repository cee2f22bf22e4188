"""Gaps between readers, in which the write-ahead log begins anew.

SQLite copies what is committed from the log into the database by itself, but writes on at the
log's end as long as anybody reads from it. With readers that overlap somebody always does, so the log grows
without end. When it has grown beyond a limit, new reads wait until those under way have ended, for a
while at most, and the log is emptied.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from typing import Optional

from .errors import PoolClosed
from .member import Member
from .shelf import Shelf
from .statistics import Statistics
from .wal import Wal

LOG = logging.getLogger("csqlite.pool")

# After a gap that was in vain, readers have so many times its length until the next.
_PAUSE = 10.0


class Gaps:
    """Looks behind each write how large the log is, and makes a gap when it is too large.

    limit: in bytes; None: never. longest: for how many seconds reads wait at most.
    """

    def __init__(
        self,
        shelves: tuple[Shelf, Shelf],
        wal: Wal,
        limits: tuple[Optional[int], float],
        statistics: Statistics,
    ) -> None:
        self._readers, self._writers = shelves
        self._wal = wal
        self._limit, self._longest = limits
        self._statistics = statistics
        self._task: Optional[asyncio.Task[None]] = None
        self._next = 0.0  # No gap is made before.

    def look(self) -> None:
        """Begin to make a gap, if one is needed and none is being made."""
        if self._limit is None or self._task is not None or self._wal.bytes() <= self._limit:
            return
        if time.monotonic() >= self._next and not self._writers.closing:
            self._task = asyncio.ensure_future(self._make())
            self._task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, PoolClosed):
            LOG.warning("the write-ahead log was not emptied: %s", error)

    async def stop(self) -> None:
        """Make no gap any more."""
        self._limit = None
        task = self._task
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await asyncio.wait([task])

    async def _make(self) -> None:
        # The writer is taken first: it may be long until it is free, and readers go on meanwhile.
        writer = await self._writers.take_first()
        try:
            if self._wal.bytes() > (self._limit or 0):
                # Most of it is copied while readers go on.
                await writer.db.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
                await self._with(writer)
        finally:
            self._writers.give_back(writer)

    async def _with(self, writer: Member) -> None:
        """Empty the log while nobody reads."""
        began = time.monotonic()
        ends = began + self._longest
        self._readers.pause()
        try:
            empty = await self._readers.returned(ends) and await self._empty(writer, ends)
        finally:
            self._readers.resume()
        self._statistics.add("gaps_num")
        self._statistics.add("gaps_ms", (time.monotonic() - began) * 1e3)
        if not empty:
            self._statistics.add("gaps_errors")
            self._next = time.monotonic() + _PAUSE * self._longest
            LOG.warning("%s", self._complaint())

    async def _empty(self, writer: Member, ends: float) -> bool:
        """Copy all of the log and cut it. False: another process, or another pool, reads from it."""
        with contextlib.suppress(sqlite3.OperationalError):
            left = max(0.05, ends - time.monotonic())
            sql = "PRAGMA wal_checkpoint(TRUNCATE)"
            ((busy, _, _),) = await writer.db.execute_fetchall(sql, deadline=left)
            return not busy
        return False

    def _complaint(self) -> str:
        held = [member.describe() for member in self._readers.held]
        oldest = max(held, key=lambda holder: holder.seconds, default=None)
        who = "another process or pool reads" if oldest is None else f"the oldest reader: {oldest}"
        return (
            f"the write-ahead log has {self._wal.bytes()} bytes and cannot be emptied, "
            f"as it is still read: {who}"
        )
