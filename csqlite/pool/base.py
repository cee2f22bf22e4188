"""What all parts of a pool use: its shelves, opening a connection, and who may ask."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

from .. import _csqlite
from ..core import Connection, connect
from .errors import PoolClosed
from .gaps import Gaps
from .lending import Terms
from .member import Member
from .routing import Router
from .shelf import Limits, Shelf
from .statistics import Statistics
from .wal import Wal

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath


def _is_memory(database: Any, options: "dict[str, Any]") -> bool:
    """Tell whether every connection would have a database of its own."""
    name = str(database)
    if name in ("", ":memory:"):
        return True
    named = name.startswith("file:") and bool(options.get("uri"))
    return named and (name.startswith("file::memory:") or "mode=memory" in name)


def _is_read_only(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == _csqlite.SQLITE_READONLY


class Base(_csqlite.Pool):
    """One connection that writes, and several that only read."""

    def __init__(
        self,
        database: "StrOrBytesPath",
        options: "dict[str, Any]",
        limits: Limits,
        prepare: Sequence[str],
        timeout: float,
        gaps: "tuple[Optional[int], float]",
    ) -> None:
        super().__init__()
        self.timeout = timeout
        self.row_factory = options.get("row_factory")
        self._database = database
        self._options = options
        self._limits = limits
        self._gaps_wanted = gaps
        self._prepare = tuple(prepare)
        self._alone = _is_memory(database, options)
        self._only_reads = bool(options["read_only"])
        self._journal_mode: Any = None  # The writer's, which is opened first.
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
        bounds = (None if self._alone else self._gaps_wanted[0], self._gaps_wanted[1])
        shelves = (self._readers, self._writers)
        self._gaps = Gaps(shelves, self._wal, bounds, self._statistics)
        self._writers.after = self._gaps.look
        self._preparing: Optional[Connection] = None
        self._routing: Any = None  # A lock of the loop that opens it.
        self._gathering: Any = None  # Another one: of who takes readers one after the other.
        self._loop = None
        self._process = 0  # In which it was opened.
        self._routes.clear()
        self._writing: dict[str, Shelf] = {}
        self._within.clear()

    async def _connect(self, reads: bool, *, prepare: bool = True) -> Member:
        options = {**self._options, "isolation_level": None}
        # A connection that is read-only cannot roll back what a process that died has left in a
        # rollback journal: every reader would fail until somebody writes.
        closed = reads and not self._alone and self._journal_mode == "wal"
        options["read_only"] = self._only_reads or closed
        if reads:
            options["group_commit"] = False
        try:
            db = await connect(self._database, **options)
        except sqlite3.OperationalError as error:
            if reads or self._only_reads or not _is_read_only(error):
                raise
            self._only_reads = True
            return await self._connect(reads, prepare=prepare)
        try:
            if not reads:
                self._journal_mode = await db.fetch_scalar("PRAGMA journal_mode")
            elif not self._alone:
                await db.execute_fetchall("PRAGMA query_only = ON")
            for sql in self._prepare if prepare else ():
                await db._warm(sql)
        except BaseException:
            await db.close()
            raise
        lifetime = self._readers.limits.max_lifetime if reads else float("inf")
        return Member(db, lifetime, not reads)

    # -- who may ask ----------------------------------------------------------------

    def _is_within(self) -> bool:
        """Whether the running task holds the writer."""
        return bool(self._within) and asyncio.current_task() in self._within

    def _check(self, use: str, within: bool) -> None:
        if self._preparing is None or self._readers.closing:
            raise PoolClosed("the pool is not open" if self._loop is None else "the pool is closed")
        if asyncio.get_running_loop() is not self._loop:
            hint = ": reopen() it in this process" if self._process != os.getpid() else ""
            raise RuntimeError(f"a pool belongs to the event loop that has opened it{hint}")
        if within:
            raise sqlite3.ProgrammingError(
                f"{use} within a block that holds the writer would wait for it, or miss what "
                f"it has written: use what `async with pool.transaction() as tx` gives"
            )

    def _terms(self, shelf: Shelf, timeout: Optional[float], priority: int, **more: Any) -> Terms:
        return Terms(shelf, self.timeout if timeout is None else timeout, priority, **more)
