import sqlite3
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, overload

from _typeshed import StrOrBytesPath
from typing_extensions import TypeVar

from ..core import Connection
from ..observing import Observing
from ..pragmas import Pragmas
from ..transactions import Attempt
from .calls import Calls
from .lending import Lending, Transacting
from .member import Holder

_T = TypeVar("_T")
_RowT = TypeVar("_RowT", default=sqlite3.Row)
_MadeT = TypeVar("_MadeT", default=tuple[Any, ...])

class Pool(Calls[_RowT], Observing[_RowT]):
    timeout: float
    row_factory: Any
    # Made by create_pool().
    def __init__(
        self,
        database: StrOrBytesPath,
        options: dict[str, Any],
        limits: Any,
        prepare: Sequence[str],
        timeout: float,
        gaps: tuple[int | None, float],
    ) -> None: ...
    def __await__(self) -> Generator[Any, None, Pool[_RowT]]: ...
    async def __aenter__(self) -> Pool[_RowT]: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...
    def close(self, timeout: float | None = None) -> Coroutine[Any, Any, None]: ...
    async def terminate(self) -> None: ...
    def expire_connections(self) -> None: ...
    async def reopen(self) -> None: ...
    def read(self, *, timeout: float | None = None, priority: int = 0) -> Lending[_RowT]: ...
    def write(self, *, timeout: float | None = None, priority: int = 0) -> Lending[_RowT]: ...
    def transaction(
        self,
        mode: str = "immediate",
        *,
        read_only: bool = False,
        deadline: float | None = None,
        timeout: float | None = None,
        priority: int = 0,
    ) -> Transacting[_RowT]: ...
    def run_transaction(
        self,
        function: Callable[..., Awaitable[_T]],
        *arguments: Any,
        mode: str = "immediate",
        retries: int = 5,
    ) -> Coroutine[Any, Any, _T]: ...
    def attempts(
        self, retries: int = 5, *, mode: str = "immediate"
    ) -> AsyncIterator[Attempt[_RowT]]: ...
    def snapshot(
        self, readers: int, *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[list[Connection[_RowT]]]: ...
    def holders(self) -> list[Holder]: ...
    def get_stats(self) -> dict[str, Any]: ...
    def pop_stats(self) -> dict[str, Any]: ...

# Rows are what row_factory makes; without it what an annotation says, Pool[T], as of connect().
@overload
def create_pool(
    database: StrOrBytesPath,
    *,
    max_readers: int | None = None,
    min_readers: int = 0,
    init: Callable[[Connection[Any]], object] | None = None,
    pragmas: Pragmas = "server",
    timeout: float = 30.0,
    max_lifetime: float = 3600.0,
    max_idle: float = 600.0,
    max_waiting: int = 0,
    check: Callable[[Connection[Any]], object] | None = None,
    prepare: Sequence[str] = (),
    busy_timeout: float = 5.0,
    max_wal: int | None = 16777216,
    gap_timeout: float = 0.5,
    row_factory: Callable[[Any, tuple[Any, ...]], _MadeT] | None,
    **connect_options: Any,
) -> Pool[_MadeT]: ...
@overload
def create_pool(
    database: StrOrBytesPath,
    *,
    max_readers: int | None = None,
    min_readers: int = 0,
    init: Callable[[Connection[Any]], object] | None = None,
    pragmas: Pragmas = "server",
    timeout: float = 30.0,
    max_lifetime: float = 3600.0,
    max_idle: float = 600.0,
    max_waiting: int = 0,
    check: Callable[[Connection[Any]], object] | None = None,
    prepare: Sequence[str] = (),
    busy_timeout: float = 5.0,
    max_wal: int | None = 16777216,
    gap_timeout: float = 0.5,
    row_factory: None = None,
    **connect_options: Any,
) -> Pool[_RowT]: ...
