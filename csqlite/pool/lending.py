"""Blocks in which a connection of a pool is somebody's: what `async with pool.read()` enters."""

import asyncio
import sqlite3
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ..core import Connection
from ..settling import settle
from .member import Member
from .shelf import Shelf

if TYPE_CHECKING:
    from types import TracebackType


async def to_its_end(work: "Coroutine[Any, Any, None]") -> None:
    """Await what must not be left half done, then raise the cancellation that came meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled = await settle(task)
    task.result()
    if cancelled is not None:
        raise cancelled


class Terms(NamedTuple):
    """What a block does with the connection that it lends."""

    shelf: Shelf
    timeout: float
    priority: int
    begin: Sequence[str] = ()  # executed on entry
    end: Sequence[str] = ()  # executed behind everything, as far as that goes
    commits: bool = False
    within: "Optional[set[Any]]" = None  # where the task stands as long as it is inside


class Lending:
    """An asynchronous context manager that gives a connection and takes it back as it was."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._member: Optional[Member] = None
        self._task: Any = None

    async def __aenter__(self) -> Connection:
        terms = self._terms
        if self._member is not None:
            raise RuntimeError("such a block is entered once at a time")
        member = terms.shelf.take_now()
        if member is None:
            member = await terms.shelf.take(terms.timeout, terms.priority)
        self._member = member
        try:
            for sql in terms.begin:
                await member.db.execute_fetchall(sql)
        except BaseException:
            await to_its_end(self._take_back())
            raise
        if terms.within is not None:
            self._task = asyncio.current_task()
            terms.within.add(self._task)
        return member.db

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> None:
        if self._terms.within is not None:
            self._terms.within.discard(self._task)
        try:
            if self._terms.commits and exc_type is None:
                await to_its_end(self._commit())
        finally:
            await to_its_end(self._take_back())

    async def _commit(self) -> None:
        assert self._member is not None
        db = self._member.db
        if not db.in_transaction:
            raise sqlite3.OperationalError(
                "the transaction has ended within its block: nothing is left to commit"
            )
        await db.commit()

    async def _take_back(self) -> None:
        """Leave nothing half-read or open behind, and let the next have it."""
        member, self._member = self._member, None
        assert member is not None
        try:
            if member.is_open():
                await member.db.reset()
                for sql in self._terms.end:
                    await member.db.execute_fetchall(sql)
        except Exception:
            member.broken = True
        finally:
            self._terms.shelf.give_back(member)
