"""Coroutines that are context managers too: `Result` and `contextmanager`, as in aiosqlite.

csqlite's own methods return the extension's `Request`, which is a `Result` by registration.
The two names here are for programs that wrap coroutine functions of their own.
"""

from collections.abc import Awaitable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any, Callable, Generic, Optional, TypeVar, Union, cast

from . import _csqlite

if TYPE_CHECKING:
    from types import TracebackType

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

Coroutine.register(_csqlite.Request)


class Result(AbstractAsyncContextManager[_T_co, None], Coroutine[Any, Any, _T_co], Generic[_T_co]):
    """A coroutine that can be awaited, or entered with `async with`.

    coro: a coroutine, or any other awaitable. Entering awaits it; leaving closes what it
    gave when that is a cursor or a blob, and does nothing else.
    """

    __slots__ = ("_coro", "_obj")

    def __init__(self, coro: Awaitable[_T_co]) -> None:
        # Any, because an awaitable that is no coroutine lacks half of what is called below.
        self._coro: Any = coro
        self._obj: Optional[_T_co] = None

    def send(self, value: Any) -> Any:
        """Go on, as a coroutine does."""
        return self._coro.send(value)

    def throw(
        self,
        typ: "Union[type[BaseException], BaseException]",
        val: object = None,
        tb: "Optional[TracebackType]" = None,
    ) -> Any:
        """Raise an exception where the coroutine waits."""
        if val is None and tb is None:
            return self._coro.throw(typ)
        return self._coro.throw(typ, val, tb)

    def close(self) -> None:
        """Give the coroutine up."""
        self._coro.close()

    def __await__(self) -> Generator[Any, None, _T_co]:
        return cast("Generator[Any, None, _T_co]", self._coro.__await__())

    async def __aenter__(self) -> _T_co:
        obj: _T_co = await self._coro
        self._obj = obj
        return obj

    async def __aexit__(self, exc_type: Any, exc: Any, tb: Any) -> None:
        if isinstance(self._obj, (_csqlite.Cursor, _csqlite.Blob)):
            await self._obj.close()


Result.register(_csqlite.Request)


def contextmanager(method: Callable[..., Awaitable[_T]]) -> Callable[..., Result[_T]]:
    """Let a coroutine function return a `Result`: a decorator for methods."""

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Result[_T]:
        return Result(method(self, *args, **kwargs))

    return wrapper
