"""Blocks in which a connection of a pool is somebody's: what `async with pool.read()` enters."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from ..core import Connection
from ..settling import settle
from ..transactions import Block, Transaction
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
    within: "Optional[set[Any]]" = None  # where the task stands as long as it is inside


class _Lending:
    """What blocks have in common: a connection is taken, and given back as it was."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._member: Optional[Member] = None
        self._task: Any = None

    async def _take(self) -> Connection:
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
        except BaseException as error:
            await self._give_back(type(error))
            raise
        if terms.within is not None:
            self._task = asyncio.current_task()
            terms.within.add(self._task)
        db: Connection = member.db
        return db

    async def _give_back(self, exc_type: Optional[type[BaseException]] = None) -> None:
        if self._terms.within is not None:
            self._terms.within.discard(self._task)
        member, self._member = self._member, None
        if member is None:
            raise RuntimeError("the block was not entered")
        work = self._clean(member)
        if exc_type is not None and issubclass(exc_type, GeneratorExit):
            task = asyncio.ensure_future(work)  # Nothing can be awaited.
            self._terms.shelf.cleaning.add(task)
            task.add_done_callback(self._terms.shelf.cleaning.discard)
            return
        await to_its_end(work)

    async def _clean(self, member: Member) -> None:
        """Leave nothing half-read or open behind, and let the next have it."""
        try:
            if member.is_open():
                await member.db.reset()
                for sql in self._terms.end:
                    await member.db.execute_fetchall(sql)
        except Exception:
            member.broken = True
        finally:
            self._terms.shelf.give_back(member)


class Lending(_Lending):
    """An asynchronous context manager that gives a connection and takes it back as it was."""

    async def __aenter__(self) -> Connection:
        return await self._take()

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> None:
        await self._give_back(exc_type)


class Transacting(_Lending):
    """The same for a transaction of it: the block of Connection.transaction() within.

    make: gives that block for a connection.
    """

    outermost = True  # So that what was busy can be tried again.

    def __init__(self, terms: Terms, make: "Callable[[Connection], Block]") -> None:
        super().__init__(terms)
        self._make = make
        self._block: Optional[Block] = None

    async def __aenter__(self) -> Transaction:
        db = await self._take()
        try:
            self._block = self._make(db)
            return await self._block.__aenter__()
        except BaseException as error:
            await self._give_back(type(error))
            raise

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> Optional[bool]:
        block, self._block = self._block, None
        try:
            return None if block is None else await block.__aexit__(exc_type, exc, tb)
        finally:
            await self._give_back(exc_type)
