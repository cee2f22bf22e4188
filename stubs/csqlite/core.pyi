import asyncio
import logging
import sqlite3 as sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from threading import Thread
from typing import Any, Literal, Protocol, overload, type_check_only

from _typeshed import StrOrBytesPath
from typing_extensions import TypeAlias, TypeVar, TypeVarTuple, Unpack

from . import _csqlite
from .cursor import Cursor as Cursor
from .deadlines import DeadlineExceeded as _DeadlineExceeded
from .fetching import Fetching
from .observing import Observing
from .pragmas import Pragmas
from .statement import StatementInfo
from .transactions import Attempt, Block, Transaction

__all__ = ["Connection", "Cursor", "connect"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_RowT = TypeVar("_RowT", default=sqlite3.Row)
_MadeT = TypeVar("_MadeT", default=tuple[Any, ...])

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

class Connection(_csqlite.Connection[_RowT], Fetching[_RowT], Observing[_RowT]):
    Warning = sqlite3.Warning
    Error = sqlite3.Error
    InterfaceError = sqlite3.InterfaceError
    DatabaseError = sqlite3.DatabaseError
    DataError = sqlite3.DataError
    OperationalError = sqlite3.OperationalError
    IntegrityError = sqlite3.IntegrityError
    InternalError = sqlite3.InternalError
    ProgrammingError = sqlite3.ProgrammingError
    NotSupportedError = sqlite3.NotSupportedError
    DeadlineExceeded = _DeadlineExceeded
    async def backup(
        self,
        target: _csqlite.Connection[Any] | sqlite3.Connection | StrOrBytesPath,
        *,
        pages: int = -1,
        progress: Callable[[int, int, int], object] | None = None,
        name: str = "main",
        sleep: float = 0.250,
        deadline: float | None = None,
    ) -> None: ...
    # `filter` is a LIKE pattern for the names of objects.
    def iterdump(self, *, filter: str | None = None) -> AsyncIterator[str]: ...
    # A source is anything that gives rows; what gives none is told so at run time.
    async def create_module(
        self,
        name: str,
        source: object,
        columns: Mapping[str, str] | Iterable[str | tuple[str, str]] | None = None,
        *,
        parameters: Iterable[str] | None = None,
        directonly: bool = False,
    ) -> None: ...
    async def statement_info(self, sql: str) -> StatementInfo: ...
    async def script_info(self, sql_script: str) -> list[StatementInfo]: ...
    def transaction(
        self, mode: str = "immediate", *, read_only: bool = False, deadline: float | None = None
    ) -> Block[_RowT]: ...
    def savepoint(
        self, name: str | None = None, *, deadline: float | None = None
    ) -> Block[_RowT]: ...
    async def begin(
        self, mode: str = "immediate", *, read_only: bool = False, deadline: float | None = None
    ) -> Transaction[_RowT]: ...
    # The function is called with the transaction and the arguments.
    async def run_transaction(
        self,
        function: Callable[[Transaction[_RowT], Unpack[_Ts]], Awaitable[_T]],
        *arguments: Unpack[_Ts],
        mode: str = "immediate",
        retries: int = 5,
    ) -> _T: ...
    def attempts(
        self, retries: int = 5, *, mode: str = "immediate"
    ) -> AsyncIterator[Attempt[_RowT]]: ...
    @property
    def _timeout(self) -> float: ...
    # Private in name, used by ORMs and pools; more of it is in _csqlite.pyi.
    @property
    def _thread(self) -> Thread: ...
    @property
    def _tx(self) -> _TxQueue: ...
    # These two run on the connection's thread, through _execute.
    def _execute_insert(self, sql: str, parameters: Any) -> _RowT | None: ...
    def _execute_fetchall(self, sql: str, parameters: Any) -> list[_RowT]: ...

# Without row_factory: what is asked for. Connection[T] where an annotation names it,
# Connection[sqlite3.Row] where nothing does, as aiosqlite's programs, which set row_factory later, expect.
# (Pyright sees the annotation in `db: Connection[T] = connect(...)`, but not through
# `await connect(...)` or `async with connect(...) as db`; mypy sees through the await.)
@overload
def connect(
    database: StrOrBytesPath,
    *,
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None = "",
    check_same_thread: bool = True,
    factory: type[sqlite3.Connection] | None = None,
    cached_statements: int = 128,
    uri: bool = False,
    autocommit: bool | Literal[-1] = -1,
    vfs: str | None = None,
    untrusted: bool = False,
    reader_warning: float | None = None,
    pragmas: Pragmas = None,
    init: Callable[[Connection[Any]], object] | None = None,
    read_only: bool = False,
    group_commit: bool = False,
    max_batch: int = 100,
    max_delay: float = 0.0,
    iter_chunk_size: int = 64,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Connection[_RowT]: ...

# Rows are what the factory makes; with None tuples, of what an annotation says.
@overload
def connect(
    database: StrOrBytesPath,
    *,
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None = "",
    check_same_thread: bool = True,
    factory: type[sqlite3.Connection] | None = None,
    cached_statements: int = 128,
    uri: bool = False,
    autocommit: bool | Literal[-1] = -1,
    vfs: str | None = None,
    untrusted: bool = False,
    reader_warning: float | None = None,
    pragmas: Pragmas = None,
    init: Callable[[Connection[Any]], object] | None = None,
    read_only: bool = False,
    group_commit: bool = False,
    max_batch: int = 100,
    max_delay: float = 0.0,
    iter_chunk_size: int = 64,
    loop: asyncio.AbstractEventLoop | None = None,
    row_factory: Callable[[Any, tuple[Any, ...]], _MadeT] | None,
) -> Connection[_MadeT]: ...
