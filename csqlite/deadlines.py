"""Deadlines: by when a call has to end. csqlite.timeout() for all calls inside, deadline= for one.

The extension reads what stands in the context variable when a call is awaited, and raises
DeadlineExceeded. Nothing looks at it before the first deadline is set.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Optional

from . import _csqlite

if TYPE_CHECKING:
    from types import TracebackType

_variable: "ContextVar[int]" = _csqlite._deadline

# Before Python 3.11 asyncio has a TimeoutError of its own.
_TIMEOUTS: tuple[Any, ...] = tuple({TimeoutError: None, asyncio.TimeoutError: None})


class DeadlineExceeded(sqlite3.OperationalError, *_TIMEOUTS):  # type: ignore[misc]
    """What a call raises when its deadline came first; caught as TimeoutError, too.

    The message says what ran, for how long, and what has become of it.
    """

    sqlite_errorcode = _csqlite.SQLITE_INTERRUPT
    sqlite_errorname = "SQLITE_INTERRUPT"
    sqlite_error_offset = -1


class timeout:
    """Let every csqlite call inside end within so many seconds, or raise DeadlineExceeded.

        async with csqlite.timeout(0.5):        # or: with
            rows = await db.execute_fetchall(sql)

    seconds: a number, 0 or less: nothing is begun any more; None: no limit of its own. Of
    nested ones the earliest counts, and of a call's own `deadline=` and this, too. Tasks that
    are started inside keep the limit when the block has ended.

    Unlike asyncio.timeout() it cancels no task and limits nothing but csqlite: it is looked
    at by each call, which raises it. What ends something (close(), rollback()) is done although the
    time is over. Raises TypeError, or ValueError for NaN; RuntimeError when entered twice.
    """

    def __init__(self, seconds: Optional[float]) -> None:
        if seconds is not None:
            _csqlite._deadline_after(seconds)  # Refuses what is no number.
        self._seconds = seconds
        self._token: Optional[Token[int]] = None
        self._entered = False

    def __enter__(self) -> "timeout":
        if self._entered:
            raise RuntimeError("a timeout is entered once")
        self._entered = True
        if self._seconds is not None:
            when = _csqlite._deadline_after(self._seconds)
            outer = _variable.get(0)
            self._token = _variable.set(min(when, outer) if outer else when)
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> None:
        if self._token is not None:
            _variable.reset(self._token)
            self._token = None

    async def __aenter__(self) -> "timeout":
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> None:
        self.__exit__(exc_type, exc, tb)


def limited(seconds: Optional[float]) -> timeout:
    """Return the timeout of a call that is given `deadline=`, which cannot be negative."""
    limit = timeout(seconds)
    if seconds is not None and seconds < 0:
        raise ValueError("a deadline cannot be negative")
    return limit


def remaining() -> Optional[float]:
    """Return how many seconds are left in this context, 0.0 if none; None: there is no limit."""
    when = _variable.get(0)
    return max(0.0, _csqlite._deadline_left(when)) if when else None


@contextmanager
def lifted() -> Iterator[None]:
    """Let what ends something be begun inside, although the time is over."""
    if remaining() != 0.0:
        yield
        return
    token = _variable.set(0)
    try:
        yield
    finally:
        _variable.reset(token)
