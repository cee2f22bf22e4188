"""Coroutines that are context managers too: `Result` and `contextmanager`, as in aiosqlite.

csqlite's own methods return the extension's `Request`, which is a `Result` by registration.
The two names here are for programs that wrap coroutine functions of their own.
"""

from collections.abc import Awaitable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import Any, Callable, Generic, TypeVar

from . import _csqlite

_T = TypeVar("_T")

Coroutine.register(_csqlite.Request)


class Result(AbstractAsyncContextManager, Coroutine, Generic[_T]):
    """A coroutine that can be awaited, or entered with `async with`.

    coro: a coroutine, or any other awaitable. Entering awaits it; leaving closes what it
    gave when that is a cursor, and does nothing else.
    """

    __slots__ = ("_coro", "_obj")

    def __init__(self, coro: Awaitable[_T]) -> None:
        self._coro = coro
        self._obj: Any = None

    def send(self, value: Any) -> Any:
        """Go on, as a coroutine does."""
        return self._coro.send(value)

    def throw(self, typ: Any, val: Any = None, tb: Any = None) -> Any:
        """Raise an exception where the coroutine waits."""
        if val is None and tb is None:
            return self._coro.throw(typ)
        return self._coro.throw(typ, val, tb)

    def close(self) -> None:
        """Give the coroutine up."""
        self._coro.close()

    def __await__(self) -> Generator[Any, None, _T]:
        return self._coro.__await__()

    async def __aenter__(self) -> _T:
        self._obj = await self._coro
        return self._obj

    async def __aexit__(self, exc_type: Any, exc: Any, tb: Any) -> None:
        if isinstance(self._obj, _csqlite.Cursor):
            await self._obj.close()


Result.register(_csqlite.Request)


def contextmanager(method: Callable[..., Awaitable[_T]]) -> Callable[..., Result[_T]]:
    """Let a coroutine function return a `Result`: a decorator for methods."""

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Result[_T]:
        return Result(method(self, *args, **kwargs))

    return wrapper
