"""Connection.subscribe(): what it gives is a `Subscription`."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable
from operator import index
from typing import Any, Optional, Union

from .. import foreign
from . import polling
from .changes import SCHEMA, ChangeBatch, Shadows, batch_of, folded


class Subscription:
    """Batches of what has been committed: an asynchronous iterator.

    Made by Connection.subscribe(). It begins when it is entered with `async with`, or with the
    first step of `async for`, and ends with the connection or by aclose().
    """

    def __init__(
        self,
        connection: Any,
        tables: Union[str, Iterable[str], None] = None,
        *,
        max_queue: int = 1000,
        poll: Optional[float] = 1.0,
    ) -> None:
        names = (tables,) if isinstance(tables, str) else tables
        self._tables = None if names is None else tuple(dict.fromkeys(folded(n) for n in names))
        self._max_queue = index(max_queue)
        if self._max_queue < 1:
            raise ValueError("max_queue must be 1 or more")
        self._poll = polling.check(poll)
        self._poller: Optional[polling.Poller] = None
        self._connection = connection
        foreign.refuse(connection, "subscribe()")
        self._watch = connection._watch(True, self._max_queue)
        self._shadows: Shadows = {}
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._stepping = False
        self._stale = False  # the schema has changed
        self._closed = False

    def __repr__(self) -> str:
        tables = "all tables" if self._tables is None else ", ".join(sorted(self._tables))
        return f"<csqlite.live.Subscription to {tables}>"

    async def __aenter__(self) -> "Subscription":
        """Begin: what is committed from now on is told."""
        await self._begin()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def _begin(self) -> None:
        if self._loop is not None:
            return
        names = [(None, None)] if self._tables is None else [(None, n) for n in self._tables]
        await self._watch._begin(tuple(names))
        await self._read_shadows()
        self._poller = polling.poller_of(self._connection, self._poll)
        self._loop = asyncio.get_running_loop()

    async def _read_shadows(self) -> None:
        """Find which tables virtual tables have, and watch what is to be watched."""
        names = await self._watch._shadows()
        triples = zip(names[0::3], names[1::3], names[2::3])
        self._shadows = {(folded(d), folded(s)): virtual for d, s, virtual in triples}
        tables = self._tables or ()
        more = [shadow for (_, shadow), v in self._shadows.items() if folded(v) in tables]
        if more:
            self._watch._want(tuple((None, name) for name in (*tables, *more)))

    async def _renew(self) -> None:
        """Find the tables anew, after the schema has changed."""
        if self._stale:
            # A connection that is closed has told all it will.
            with contextlib.suppress(ValueError, sqlite3.ProgrammingError):
                await self._read_shadows()
            self._stale = False

    async def aclose(self) -> None:
        """End: whoever waits for the next batch is told that there is none."""
        if not self._closed:
            self._closed = True
            self._poller = None
            self._watch._end()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> ChangeBatch:
        """Wait for the next batch."""
        if self._stepping:
            raise RuntimeError("another task waits for this subscription")
        self._stepping = True
        try:
            return await self._next()
        finally:
            self._stepping = False

    async def _next(self) -> ChangeBatch:
        if not self._closed:
            await self._begin()
        while not self._closed:
            await self._renew()
            told = self._watch._take()
            if told is not None:
                what, rows = told
                self._stale = bool(what & SCHEMA)
                return batch_of(what, rows, self._shadows)
            if self._watch._over:
                break
            await self._watch._wait()
        raise StopAsyncIteration
