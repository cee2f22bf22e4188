import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Generic, NamedTuple

from typing_extensions import TypeVar

from ..core import Connection
from ..transactions import Block, Transaction

_RowT = TypeVar("_RowT", default=sqlite3.Row)

# What csqlite itself uses.
async def to_its_end(work: Coroutine[Any, Any, None]) -> None: ...

class Terms(NamedTuple):
    shelf: Any
    timeout: float
    priority: int
    begin: Sequence[str] = ()
    end: Sequence[str] = ()
    within: set[Any] | None = None

class _Lending:
    def __init__(self, terms: Terms) -> None: ...

class Lending(_Lending, Generic[_RowT]):
    async def __aenter__(self) -> Connection[_RowT]: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

class Transacting(_Lending, Generic[_RowT]):
    outermost: bool
    def __init__(self, terms: Terms, make: Callable[[Connection[_RowT]], Block[_RowT]]) -> None: ...
    async def __aenter__(self) -> Transaction[_RowT]: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...
