from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

from typing_extensions import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

# The type to annotate with: `await` gives a _T_co, and so does `async with`, which closes it if it
# is a Cursor or a Blob. Arguments are positional only, as those of a coroutine and of csqlite's own results.
class Result(Coroutine[Any, Any, _T_co], AbstractAsyncContextManager[_T_co, None]):
    __slots__ = ("_coro", "_obj")
    def __init__(self, coro: Awaitable[_T_co]) -> None: ...
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(
        self,
        typ: type[BaseException] | BaseException,
        val: object = None,
        tb: TracebackType | None = None,
        /,
    ) -> Any: ...
    def close(self) -> None: ...
    async def __aenter__(self) -> _T_co: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
        /,
    ) -> None: ...

def contextmanager(method: Callable[_P, Awaitable[_T]]) -> Callable[_P, Result[_T]]: ...
