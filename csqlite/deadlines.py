"""Deadlines: by when a call has to end. csqlite.timeout() for all calls inside, deadline= for one.

The extension reads what stands in the context variable when a call is awaited, and raises
DeadlineExceeded. Nothing looks at it before the first deadline is set.
"""

import asyncio
import inspect
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from operator import index
from typing import TYPE_CHECKING, Any, Optional, Union
from weakref import ref

from . import _csqlite

if TYPE_CHECKING:
    from types import FrameType, TracebackType

# What holds in a context: a limit, or a time. The extension reads either as an integer; 0: nothing.
_variable: "ContextVar[Any]" = _csqlite._deadline

# Before Python 3.11 asyncio has a TimeoutError of its own.
_TIMEOUTS: tuple[Any, ...] = tuple({TimeoutError: None, asyncio.TimeoutError: None})


class DeadlineExceeded(sqlite3.OperationalError, *_TIMEOUTS):  # type: ignore[misc]
    """What a call raises when its deadline came first; caught as TimeoutError, too.

    The message says what ran, for how long, and what has become of it.
    """

    sqlite_errorcode = _csqlite.SQLITE_INTERRUPT
    sqlite_errorname = "SQLITE_INTERRUPT"
    sqlite_error_offset = -1


class _Limit:
    """The limit of one timeout(), and what holds around it.

    A context variable is shared by a generator and whoever iterates it, so setting it is not enough: for
    the task that has entered the block a limit holds only while the block is open and, if that is in a generator,
    while the generator runs. For tasks that have got a copy of the context it holds for good, unless the block
    was left where it could not be taken out of the context: tasks that begin afterwards get a copy, too.
    """

    __slots__ = ("_task", "ended", "generator", "outer", "plain", "stuck", "when")

    def __init__(self, when: int) -> None:
        self.when = when
        self.ended = False
        self.stuck = False
        self.generator = _enclosing_generator()
        task = _current_task()
        self._task = None if task is None else ref(task)
        # Limits that are over, but could not be taken out of the context where they were set.
        outer = _variable.get(0)
        while isinstance(outer, _Limit) and outer.ended and (outer.stuck or outer.is_ours()):
            outer = outer.outer
        self.outer: Union[int, _Limit] = outer
        # Nothing but the time counts, as in most blocks: each call asks.
        self.plain = self.generator is None and not outer

    def __index__(self) -> int:
        """Return when the earliest of this and what is around comes, as far as they hold; 0: never."""
        if self.plain:
            return self.when
        here = self.when if self.holds() else 0
        around = index(self.outer)
        return min(here, around) if here and around else here or around

    def holds(self) -> bool:
        """Whether this limit holds for who asks."""
        if self.stuck:
            return False
        if not self.ended and self.generator is None:
            return True
        return not self.is_ours() or (not self.ended and _is_running(self.generator))

    def is_ours(self) -> bool:
        """Whether the task that asks is the one that has entered the block."""
        return _current_task() is (None if self._task is None else self._task())

    def end(self) -> None:
        """Note that the block was left, wherever that was."""
        self.ended = True
        self.plain = False
        self.generator = None


def _current_task() -> "Optional[asyncio.Task[Any]]":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # No loop runs here.


def _enclosing_generator() -> "Optional[FrameType]":
    """Return the frame of the generator whose block is being entered; None: it is in none.

    A generator that contextlib runs is no more than a way to write a block of the one who enters it.
    """
    frame: Optional[FrameType] = sys._getframe(1)
    direct = True
    while frame is not None and frame.f_globals is globals():
        frame = frame.f_back
    while frame is not None:
        flags = frame.f_code.co_flags
        # One that is no async generator may be how something is awaited, unless the block is its own.
        if flags & inspect.CO_ASYNC_GENERATOR or (direct and flags & inspect.CO_GENERATOR):
            caller = frame.f_back
            if caller is None or caller.f_globals.get("__name__") != "contextlib":
                return frame
            while caller is not None and caller.f_globals.get("__name__") == "contextlib":
                caller = caller.f_back
            frame = caller
            continue
        direct = False
        frame = frame.f_back
    return None


def _is_running(wanted: "Optional[FrameType]") -> bool:
    """Whether what asks was called, or is awaited, by this frame."""
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None and frame is not wanted:
        frame = frame.f_back
    return frame is not None


class timeout:
    """Let every csqlite call inside end within so many seconds, or raise DeadlineExceeded.

        async with csqlite.timeout(0.5):        # or: with
            rows = await db.execute_fetchall(sql)

    seconds: a number, 0 or less: nothing is begun any more; None: no limit of its own. Of
    nested ones the earliest counts, and of a call's own `deadline=` and this, too. Tasks that
    are started inside keep the limit when the block has ended. In a generator it limits what the
    generator does, not who iterates it; it may be left in another task.

    Unlike asyncio.timeout() it cancels no task and limits nothing but csqlite: it is looked
    at by each call, which raises it. What ends something (close(), rollback()) is done although the
    time is over. Raises TypeError, or ValueError for NaN; RuntimeError when entered twice.
    """

    def __init__(self, seconds: Optional[float]) -> None:
        if seconds is not None:
            _csqlite._deadline_after(seconds)  # Refuses what is no number.
        self._seconds = seconds
        self._token: Optional[Token[Any]] = None
        self._limit: Optional[_Limit] = None
        self._entered = False

    def __enter__(self) -> "timeout":
        if self._entered:
            raise RuntimeError("a timeout is entered once")
        self._entered = True
        if self._seconds is not None:
            self._limit = _Limit(_csqlite._deadline_after(self._seconds))
            self._token = _variable.set(self._limit)
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> None:
        token, limit = self._token, self._limit
        self._token = self._limit = None
        if token is None or limit is None:
            return
        limit.end()
        # Where blocks do not end in the order in which they began, another limit holds by now.
        if _variable.get(0) is limit:
            try:
                _variable.reset(token)
                return
            except ValueError:
                _variable.set(limit.outer)  # Another task leaves the block: it has a copy.
        limit.stuck = True

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
    when = index(_variable.get(0))
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
