import asyncio
import logging
import sqlite3 as sqlite3
from collections.abc import Callable, Generator
from threading import Thread
from types import TracebackType
from typing import Any, Literal, Protocol, type_check_only

from _typeshed import StrOrBytesPath
from typing_extensions import ParamSpec, Self, TypeAlias, TypeVar

from . import _csqlite
from .cursor import Cursor as Cursor

__all__ = ["Connection", "Cursor", "connect"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_RowT = TypeVar("_RowT", default=sqlite3.Row)

# Names of tables, columns, databases and triggers may be None at run time. They are str here, as
# in aiosqlite: a callback that declares `str | None` fits this type, and so does one that
# declares `str`.
AuthorizerCallback: TypeAlias = Callable[[int, str, str, str, str], int]

IsolationLevel: TypeAlias = Literal["DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None

LOG: logging.Logger

_STOP_RUNNING_SENTINEL: object

@type_check_only
class _TxQueue(Protocol):
    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]], /) -> None: ...

def set_result(fut: asyncio.Future[_T], result: _T) -> None: ...
def set_exception(fut: asyncio.Future[Any], e: BaseException) -> None: ...
def _connection_worker_thread(tx: Any) -> None: ...

class Connection(_csqlite.Connection[_RowT]):
    # The connector's result is Any: a connection of sqlite3, or of any driver made like it.
    def __init__(
        self,
        connector: Callable[[], Any],
        iter_chunk_size: int,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None: ...
    def __await__(self) -> Generator[Any, None, Self]: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None: ...
    def stop(self) -> asyncio.Future[Any] | None: ...
    # Private in name, used by ORMs and pools.
    _running: bool
    _iter_chunk_size: int
    _thread: Thread
    _tx: _TxQueue
    # Which object is below depends on how the connection was made: csqlite's own handle, which
    # looks like a sqlite3.Connection, or what the connector returned.
    @property
    def _connection(self) -> Any | None: ...
    @property
    def _conn(self) -> Any: ...
    @property
    def _connector(self) -> Callable[[], Any]: ...
    async def _connect(self) -> Self: ...
    async def _execute(self, fn: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T: ...
    # These two run on the connection's thread, through _execute.
    def _execute_insert(self, sql: str, parameters: Any) -> _RowT | None: ...
    def _execute_fetchall(self, sql: str, parameters: Any) -> list[_RowT]: ...

# Returns what is asked for: Connection[T] where an annotation names it, Connection[sqlite3.Row]
# where nothing does. (Pyright sees the annotation in `db: Connection[T] = connect(...)`, but not
# through `await connect(...)` or `async with connect(...) as db`; mypy sees through the await.)
def connect(
    database: StrOrBytesPath,
    *,
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None = "DEFERRED",
    check_same_thread: bool = True,
    factory: type[sqlite3.Connection] | None = None,
    cached_statements: int = 128,
    uri: bool = False,
    autocommit: bool | Literal[-1] = -1,
    iter_chunk_size: int = 64,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Connection[_RowT]: ...
