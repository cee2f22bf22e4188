from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from typing_extensions import ParamSpec, TypeVar

from ._csqlite import Request

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

# The type to annotate with: `await` gives a _T_co, and so does `async with`, which closes it if it
# is a Cursor.
class Result(Request[_T_co]):
    def __init__(self, coro: Coroutine[Any, Any, _T_co]) -> None: ...

def contextmanager(method: Callable[_P, Awaitable[_T]]) -> Callable[_P, Result[_T]]: ...
