from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
)
from sqlite3 import Row
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, overload

from typing_extensions import Concatenate, ParamSpec, TypeAlias, TypeVar

from . import _csqlite, core
from .context import Result
from .cursor import Cursor
from .fetching import Fetching

_P = ParamSpec("_P")
_T = TypeVar("_T")
_RowT = TypeVar("_RowT", default=Row)
_MadeT = TypeVar("_MadeT", default=tuple[Any, ...])
_SelfT = TypeVar("_SelfT")
_FirstT = TypeVar("_FirstT")  # the row, where no other type may have a default
_CursorT = TypeVar("_CursorT", bound=Cursor[Any])

_Parameters: TypeAlias = Iterable[Any]
_Outcome: TypeAlias = Literal["committed", "rolled back", "unknown"]

class Transaction(Fetching[_RowT]):
    outcome: _Outcome | None
    def __init__(
        self, connection: core.Connection[_RowT], hold: _csqlite.Hold, by_hand: bool = False
    ) -> None: ...
    @property
    def connection(self) -> core.Connection[_RowT]: ...
    @property
    def row_factory(self) -> Any: ...
    @property
    def is_open(self) -> bool: ...
    def execute(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Result[Cursor[_RowT]]: ...
    def executemany(
        self,
        sql: str,
        parameters: Iterable[_Parameters] | AsyncIterable[_Parameters],
        *,
        deadline: float | None = None,
    ) -> Result[Cursor[_RowT]]: ...
    def execute_insert(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Result[_RowT | None]: ...
    def execute_fetchall(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Result[list[_RowT]]: ...
    def executescript(self, sql_script: str, *, deadline: float | None = None) -> Any: ...
    @overload
    def cursor(self, factory: None = None) -> Result[Cursor[_RowT]]: ...
    @overload
    def cursor(
        self,
        factory: Callable[[core.Connection[_RowT]], _CursorT],
        *,
        row_factory: Any = ...,
    ) -> Result[_CursorT]: ...
    @overload
    def cursor(
        self, factory: None = None, *, row_factory: Callable[[Any, tuple[Any, ...]], _MadeT] | None
    ) -> Result[Cursor[_MadeT]]: ...
    def blobopen(
        self,
        table: str,
        column: str,
        rowid: int,
        /,
        *,
        readonly: bool = False,
        name: str = "main",
    ) -> Result[_csqlite.Blob]: ...
    def transaction(
        self, mode: str = "immediate", *, read_only: bool = False, deadline: float | None = None
    ) -> Block[_RowT]: ...
    def savepoint(
        self, name: str | None = None, *, deadline: float | None = None
    ) -> Block[_RowT]: ...
    async def commit(self) -> None: ...
    async def rollback(self) -> None: ...

class Block(Generic[_RowT]):
    outermost: bool
    def __init__(
        self,
        connection: core.Connection[_RowT],
        sql: str | None,
        *,
        name: str | None = None,
        read_only: bool = False,
        deadline: float | None = None,
        around: _csqlite.Hold | None = None,
        retries: int = 0,
    ) -> None: ...
    async def __aenter__(self) -> Transaction[_RowT]: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

class Attempt(Generic[_RowT]):
    number: int
    again: bool
    def __init__(self, make: Callable[[], Block[_RowT]], number: int, retries: int) -> None: ...
    async def __aenter__(self) -> Transaction[_RowT]: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> bool: ...

# What csqlite itself uses.
async def begin(
    connection: core.Connection[_RowT], mode: str, read_only: bool, deadline: float | None
) -> Transaction[_RowT]: ...
def block(
    connection: core.Connection[_RowT],
    mode: str,
    read_only: bool,
    deadline: float | None,
    retries: int = 0,
) -> Block[_RowT]: ...
def maker(
    connection: core.Connection[_RowT], mode: str, retries: int
) -> Callable[[], Block[_RowT]]: ...
def attempts(make: Callable[[], Block[_RowT]], retries: int) -> AsyncIterator[Attempt[_RowT]]: ...
async def run(
    make: Callable[[], Block[Any]],
    retries: int,
    function: Callable[..., Awaitable[_T]],
    arguments: tuple[Any, ...],
) -> _T: ...

# The first argument of the function, of a method the first behind self, is the transaction; of what is
# called in its place it is the connection, or a transaction.
class _Decorator(Protocol):
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[Transaction[_FirstT], _P], Awaitable[_T]], /
    ) -> Callable[
        Concatenate[core.Connection[_FirstT] | Transaction[_FirstT], _P], Coroutine[Any, Any, _T]
    ]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[_SelfT, Transaction[_FirstT], _P], Awaitable[_T]], /
    ) -> Callable[
        Concatenate[_SelfT, core.Connection[_FirstT] | Transaction[_FirstT], _P],
        Coroutine[Any, Any, _T],
    ]: ...

@overload
def transactional(  # type: ignore[overload-overlap]
    function: Callable[Concatenate[Transaction[_FirstT], _P], Awaitable[_T]],
    /,
    *,
    retries: int = 5,
    mode: str = "immediate",
) -> Callable[
    Concatenate[core.Connection[_FirstT] | Transaction[_FirstT], _P], Coroutine[Any, Any, _T]
]: ...
@overload
def transactional(
    function: Callable[Concatenate[_SelfT, Transaction[_FirstT], _P], Awaitable[_T]],
    /,
    *,
    retries: int = 5,
    mode: str = "immediate",
) -> Callable[
    Concatenate[_SelfT, core.Connection[_FirstT] | Transaction[_FirstT], _P],
    Coroutine[Any, Any, _T],
]: ...
@overload
def transactional(
    function: None = None, /, *, retries: int = 5, mode: str = "immediate"
) -> _Decorator: ...
