# The extension as it is. `csqlite.Connection` (core.pyi) is a subclass of the Connection here;
# programs import names from `csqlite`, not from this module.
#
# The row type. Every Connection and Cursor is generic over the type of its rows, and row_factory
# is tied to it: a Connection[Point] only takes a factory that returns Point. The default is
# sqlite3.Row, as in aiosqlite's annotations, so that a program which assigns
# `db.row_factory = csqlite.Row` and reads row["name"] checks without a word. It is the one
# promise these stubs cannot keep alone: a connection without any row_factory gives tuples. A
# program that says what it wants, connect(path, row_factory=None) or another factory, gets the
# type of just that.

import sys
from asyncio import AbstractEventLoop, Future
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from contextvars import ContextVar
from sqlite3 import Row
from types import GenericAlias, TracebackType
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    Protocol,
    SupportsIndex,
    final,
    overload,
    type_check_only,
)

from _typeshed import MaybeNone, ReadableBuffer, StrOrBytesPath, structseq
from typing_extensions import ParamSpec, Self, TypeAlias, TypeVar, disjoint_base

from .context import Result
from .core import AuthorizerCallback
from .hooks import PreUpdate

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_RowT = TypeVar("_RowT", default=Row)
_MadeT = TypeVar("_MadeT", default=tuple[Any, ...])
_CursorT = TypeVar("_CursorT", bound=Cursor[Any])

# What a user's SQL function may return.
_SqliteData: TypeAlias = str | ReadableBuffer | float | None

# A sequence for `?`, a mapping for `:name`. Values are Any, since an adapter may be registered
# for every type. Looser than the run time, which refuses an iterable that is neither (a set, a
# generator): aiosqlite's annotation is Iterable[Any], and wrappers written against it pass such
# a value on.
_Parameters: TypeAlias = Iterable[Any]

# A factory gets the cursor and the row as a tuple. The cursor is Any because factories annotate
# it as sqlite3.Cursor or as csqlite.Cursor; both are fine for one that reads `description`, and
# sqlite3.Row itself insists on the former.
_RowFactory: TypeAlias = Callable[[Any, tuple[Any, ...]], _RowT] | None

# "" is what sqlite3 reports when nothing was chosen: a plain BEGIN, which is DEFERRED.
_IsolationLevel: TypeAlias = Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None

# Each may be a coroutine function.
@type_check_only
class _Aggregate(Protocol):
    def step(self, *args: Any, **kwargs: Any) -> object: ...
    def finalize(self) -> _SqliteData | Awaitable[_SqliteData]: ...

@type_check_only
class _WindowAggregate(_Aggregate, Protocol):
    def inverse(self, *args: Any, **kwargs: Any) -> object: ...
    def value(self) -> _SqliteData | Awaitable[_SqliteData]: ...

# A change as an update hook is told of it: operation, database, table, rowid.
_Change: TypeAlias = tuple[int, str, str, int | None]

# What a batched update hook is called with.
@final
class Changes:
    @property
    def tables(self) -> tuple[tuple[str, str], ...]: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> _Change: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[_Change]: ...
    def __iter__(self) -> Iterator[_Change]: ...

# What the async methods return: nothing runs until it is awaited or entered. It is not a subclass
# of Result but registered with it, so isinstance() and issubclass() answer as if it were. The
# methods promise a Result only: overrides may return one of their own.
@final
class Request(Result[_T_co]):
    __name__: str
    __qualname__: str
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(
        self,
        type: type[BaseException] | BaseException,
        value: object = None,
        traceback: TracebackType | None = None,
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

# A connection's worker, seen from worker.py.
@type_check_only
@final
class _Handle:
    def is_alive(self) -> bool: ...
    def ident(self) -> int: ...
    # Gives whether the worker has ended.
    def join(self, timeout: float | None, /) -> bool: ...

# An online backup under way, seen from backup.py.
@type_check_only
@final
class _Backup:
    # Gives a result code, the pages that remain, and all pages.
    def step(self, pages: int, /) -> Request[tuple[int, int, int]]: ...

# By when a call is to end: a time of the extension's own clock.
# What holds in a context, as an integer: a time, or 0.
_deadline: ContextVar[Any]

def _deadline_after(seconds: float, /) -> int: ...
def _deadline_left(when: int, /) -> float: ...

@disjoint_base
class Connection(Generic[_RowT]):
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    # The connector's result is Any: a connection of sqlite3, or of any driver made like it.
    def __init__(
        self,
        connector: Callable[[], Any],
        iter_chunk_size: int,
        loop: AbstractEventLoop | None = None,
    ) -> None: ...
    def __await__(self) -> Generator[Any, None, Self]: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
        /,
    ) -> None: ...
    @overload
    def cursor(self, factory: None = None) -> Result[Cursor[_RowT]]: ...
    @overload
    def cursor(
        self, factory: Callable[[Self], _CursorT], *, row_factory: Any = ...
    ) -> Result[_CursorT]: ...
    @overload
    def cursor(
        self, factory: None = None, *, row_factory: Callable[[Any, tuple[Any, ...]], _MadeT] | None
    ) -> Result[Cursor[_MadeT]]: ...
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
    def executescript(
        self, sql_script: str, *, deadline: float | None = None
    ) -> Result[Cursor[_RowT]]: ...
    def execute_insert(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Result[_RowT | None]: ...
    def execute_fetchall(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Result[list[_RowT]]: ...
    async def commit(self, *, deadline: float | None = None) -> None: ...
    async def rollback(self) -> None: ...
    async def close(self) -> None: ...
    async def interrupt(self) -> None: ...
    async def create_function(
        self,
        name: str,
        num_params: int,
        func: Callable[..., _SqliteData | Awaitable[_SqliteData]] | None,
        deterministic: bool = False,
        *,
        directonly: bool = False,
        innocuous: bool = False,
    ) -> None: ...
    async def create_aggregate(
        self, name: str, n_arg: int, aggregate_class: Callable[[], _Aggregate] | None
    ) -> None: ...
    async def create_window_function(
        self,
        name: str,
        num_params: int,
        aggregate_class: Callable[[], _WindowAggregate] | None,
        /,
    ) -> None: ...
    async def create_collation(
        self, name: str, callback: Callable[[str, str], int | Awaitable[int]] | None
    ) -> None: ...
    async def set_authorizer(
        self,
        authorizer_callback: AuthorizerCallback
        | Callable[[int, str, str, str, str], Awaitable[int]]
        | None,
    ) -> None: ...
    async def set_progress_handler(
        self,
        handler: Callable[[], int | Awaitable[int | None] | None] | None,
        n: int,
        *,
        id: object = None,
    ) -> None: ...
    async def set_trace_callback(self, handler: Callable[[str], object] | None) -> None: ...
    # `allow` is an iterable of paths; a str, which is one too, is refused.
    async def enable_load_extension(
        self, value: bool, *, allow: Iterable[StrOrBytesPath] | None = None
    ) -> None: ...
    async def load_extension(self, path: str, *, entrypoint: str | None = None) -> None: ...
    def blobopen(
        self,
        table: str,
        column: str,
        rowid: int,
        /,
        *,
        readonly: bool = False,
        name: str = "main",
    ) -> Result[Blob]: ...
    async def serialize(self, *, name: str = "main") -> bytes: ...
    async def deserialize(self, data: ReadableBuffer | str, /, *, name: str = "main") -> None: ...
    async def setlimit(self, category: int, limit: int, /) -> int: ...
    async def getlimit(self, category: int, /) -> int: ...
    async def setconfig(self, op: int, enable: bool = True, /) -> None: ...
    async def getconfig(self, op: int, /) -> bool: ...
    def session(self, name: str = "main", *, rowid: bool = False) -> Result[Session]: ...
    @overload
    async def apply_changeset(
        self,
        changeset: ReadableBuffer,
        *,
        filter: _TableFilter | None = None,
        conflict: _ConflictHandler | int | None = None,
        flags: int = 0,
        rebase: Literal[False] = False,
    ) -> None: ...
    @overload
    async def apply_changeset(
        self,
        changeset: ReadableBuffer,
        *,
        filter: _TableFilter | None = None,
        conflict: _ConflictHandler | int | None = None,
        flags: int = 0,
        rebase: Literal[True],
    ) -> bytes: ...
    # Hooks. What a hook returns is ignored unless it says otherwise.
    @overload
    async def set_update_hook(
        self,
        callback: Callable[[int, str, str, int], object] | None,
        *,
        batch: Literal[False] = False,
    ) -> None: ...
    @overload
    async def set_update_hook(
        self, callback: Callable[[Changes], object] | None, *, batch: Literal[True]
    ) -> None: ...
    # A true answer makes a rollback of the commit; bool() decides.
    async def set_commit_hook(
        self, callback: Callable[[], object] | None, *, id: object = None
    ) -> None: ...
    async def set_rollback_hook(
        self, callback: Callable[[], object] | None, *, id: object = None
    ) -> None: ...
    async def set_wal_hook(
        self, callback: Callable[[str, int], int | Awaitable[int | None] | None] | None
    ) -> None: ...
    async def wal_autocheckpoint(self, n: int) -> None: ...
    async def set_preupdate_hook(
        self, callback: Callable[[PreUpdate], object] | None, *, id: object = None
    ) -> None: ...
    async def trace_v2(
        self,
        mask: int,
        callback: Callable[[dict[str, Any]], object] | None = None,
        *,
        id: object = None,
    ) -> None: ...
    async def set_profile(self, callback: Callable[[str, int], object] | None) -> None: ...
    def _watch(self, rows: bool, most: int, /) -> Watch: ...
    # What SQLite tells, and can be told.
    async def db_status(self, op: int, reset: bool = False) -> tuple[int, int]: ...
    async def limits(self) -> dict[str, int]: ...
    async def wal_checkpoint(self, mode: int = 0, name: str | None = None) -> tuple[int, int]: ...
    async def cacheflush(self) -> None: ...
    async def release_memory(self) -> None: ...
    async def txn_state(self, schema: str | None = None) -> int: ...
    async def readonly(self, name: str = "main") -> bool: ...
    async def db_filename(self, name: str = "main") -> str: ...
    # Which of the three it is depends on the operation.
    async def file_control(
        self, op: int, value: int | None = None, *, name: str = "main"
    ) -> int | str | Any: ...
    async def reset(self) -> None: ...
    async def cache_stats(self) -> dict[str, int]: ...
    @property
    def cached_statements(self) -> int: ...
    @cached_statements.setter
    def cached_statements(self, value: int) -> None: ...
    @property
    def reader_warning(self) -> float | None: ...
    @reader_warning.setter
    def reader_warning(self, value: float | None) -> None: ...
    def stop(self) -> Future[Any] | None: ...
    @property
    def in_transaction(self) -> bool: ...
    @property
    def total_changes(self) -> int: ...
    @property
    def group_commits(self) -> int: ...
    @property
    def isolation_level(self) -> _IsolationLevel: ...
    @isolation_level.setter
    def isolation_level(self, value: _IsolationLevel) -> None: ...
    # -1 is LEGACY_TRANSACTION_CONTROL.
    @property
    def autocommit(self) -> bool | Literal[-1]: ...
    @autocommit.setter
    def autocommit(self, value: bool | Literal[-1]) -> None: ...
    @property
    def row_factory(self) -> _RowFactory[_RowT]: ...
    @row_factory.setter
    def row_factory(self, factory: _RowFactory[_RowT]) -> None: ...
    # What it returns stands in the rows, whose type the row factory decides: hence Any.
    @property
    def text_factory(self) -> Callable[[bytes], Any]: ...
    @text_factory.setter
    def text_factory(self, factory: Callable[[bytes], Any]) -> None: ...
    # Private in name, used by ORMs and pools.
    _iter_chunk_size: int
    @property
    def _running(self) -> bool: ...
    # Which object is below depends on how the connection was made: csqlite's own view of itself,
    # which looks like a sqlite3.Connection (raw.py), or what the connector returned.
    @property
    def _connection(self) -> Any | None: ...
    @property
    def _conn(self) -> Any: ...
    @property
    def _connector(self) -> Callable[[], Any]: ...
    async def _connect(self) -> Self: ...
    async def _execute(
        self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T: ...
    # For the modules of csqlite alone.
    @property
    def _foreign(self) -> Any | None: ...
    @property
    def _idle(self) -> bool: ...
    def _enqueue(self, callable: Callable[[], object], /) -> None: ...
    def _dump(self, condition: str | None, /) -> Request[Cursor[tuple[str]]]: ...
    def _backup(self, target: Connection[Any], name: str, /) -> _Backup: ...
    async def _save(self, path: bytes, name: str, /) -> None: ...
    async def _create_module(
        self, name: str, connect: Callable[..., object] | None, kind: int, /
    ) -> None: ...
    async def fetch_all(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> list[_RowT]: ...
    async def fetch_one(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> _RowT: ...
    async def fetch_optional(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> _RowT | None: ...
    async def fetch_scalar(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Any: ...
    async def _execute_through(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> tuple[int, int | None]: ...
    _last_sql: str | None
    async def _warm(self, sql: str) -> None: ...
    # For each statement where it begins and ends, whether it is read-only, what it explains, its
    # normalized SQL, the names of its parameters, and five texts for each of its columns.
    async def _describe(
        self, sql: str, all: bool
    ) -> list[
        tuple[
            int,
            int,
            bool,
            int,
            str | None,
            tuple[str | None, ...],
            tuple[tuple[str, str | None, str | None, str | None, str | None], ...],
        ]
    ]: ...
    async def _expand(self, sql: str, parameters: _Parameters) -> str | None: ...
    def _handle(self) -> _Handle | None: ...
    def _hold(self, name: str | None, watch: Callable[[Hold], object] | None, /) -> Hold: ...
    def _holder(self) -> Hold | None: ...
    def _interrupt(self) -> None: ...
    # It takes a Request only. The methods that make one promise no more than this.
    def _run(self, request: Awaitable[_T], /) -> _T: ...

# In whose name something is called now, where anybody has used a transaction; and acting for another.
def _caller() -> Any | None: ...
def _act(task: Any | None, /) -> Any | None: ...

# A transaction, or a savepoint in one: who has the connection.
@final
class Hold:
    @property
    def _stage(self) -> Literal["new", "opening", "open", "ending", "over"]: ...
    @property
    def _task(self) -> Any | None: ...
    @property
    def _outer(self) -> Hold | None: ...
    async def _begin(
        self, sql: str, read_only: bool = False, *, deadline: float | None = None
    ) -> bool: ...
    @property
    def _connection(self) -> Connection[Any]: ...
    def _began_here(self) -> bool: ...
    async def _end(self, commit: bool, /) -> BaseException | None: ...
    def _cancelled(self) -> BaseException | None: ...
    def _tire(self, exception: BaseException | None, /) -> None: ...
    def _drop(self) -> None: ...
    def _lend(self, request: _T, /) -> _T: ...
    def _waiters(self) -> list[Any]: ...
    def _refuse(self, task: Any, exception: BaseException, /) -> None: ...

@final
class Watch:
    @property
    def _over(self) -> bool: ...
    async def _begin(self, tables: tuple[tuple[str | None, str | None], ...], /) -> None: ...
    async def _collect(self, on: bool, /) -> None: ...
    async def _shadows(self) -> tuple[str, ...]: ...
    async def _wait(self) -> None: ...
    def _want(self, tables: tuple[tuple[str | None, str | None], ...], /) -> None: ...
    def _take(self) -> tuple[int, list[tuple[int, str, str, int | None]]] | None: ...
    def _look(self) -> Future[None]: ...
    def _reads(self) -> list[tuple[str, str]] | None: ...
    def _end(self) -> None: ...

# What `async for` goes through a cursor's rows with; it has no public name.
@type_check_only
class _RowIterator(AsyncIterator[_RowT]):
    async def __anext__(self) -> _RowT: ...
    async def aclose(self) -> None: ...

@disjoint_base
class Cursor(Generic[_RowT]):
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    iter_chunk_size: int
    arraysize: int
    # `cursor` is what the cursor() of the connection below gave: an object of sqlite3, of another
    # DB-API driver, or csqlite's. Without it the cursor is a new one of csqlite's own.
    def __init__(self, conn: Connection[_RowT], cursor: Any = None) -> None: ...
    # The cursor itself, or what _fetch_chunked() gives: a subclass may have its own fetchmany().
    def __aiter__(self) -> _RowIterator[_RowT]: ...
    async def __anext__(self) -> _RowT: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
        /,
    ) -> None: ...
    # These three return the cursor itself. Not Self, because subclasses override them with a
    # plain `-> Cursor`.
    async def execute(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Cursor[_RowT]: ...
    async def executemany(
        self,
        sql: str,
        parameters: Iterable[_Parameters] | AsyncIterable[_Parameters],
        *,
        deadline: float | None = None,
    ) -> Cursor[_RowT]: ...
    async def executescript(
        self, sql_script: str, *, deadline: float | None = None
    ) -> Cursor[_RowT]: ...
    async def fetchone(self, *, deadline: float | None = None) -> _RowT | None: ...
    async def fetchmany(
        self, size: int | None = None, *, deadline: float | None = None
    ) -> list[_RowT]: ...
    async def fetchall(self, *, deadline: float | None = None) -> list[_RowT]: ...
    async def close(self) -> None: ...
    @property
    def rowcount(self) -> int: ...
    @property
    def lastrowid(self) -> int | None: ...
    # None when the statement has no columns. `for column in cursor.description` right after a
    # SELECT is too common to demand a test for it.
    @property
    def description(
        self,
    ) -> tuple[tuple[str, None, None, None, None, None, None], ...] | MaybeNone: ...
    @property
    def row_factory(self) -> _RowFactory[_RowT]: ...
    @row_factory.setter
    def row_factory(self, factory: _RowFactory[_RowT]) -> None: ...
    @property
    def connection(self) -> Connection[_RowT]: ...
    # They do nothing, as PEP 249 allows; awaiting them is not needed.
    async def setinputsizes(self, sizes: Any, /) -> None: ...
    async def setoutputsize(self, size: Any, column: Any = None, /) -> None: ...
    # Private in name, used by subclasses and ORMs.
    @property
    def _conn(self) -> Connection[_RowT]: ...
    _sql: str | None
    @property
    def _cursor(self) -> Any: ...
    async def _execute(
        self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T: ...
    def _fetch_chunked(self) -> AsyncIterator[_RowT]: ...
    # For csqlite/readers.py alone, whose Watch it is.
    def _tell_if_open(self, watch: Any, /) -> None: ...

# One value, read and written in pieces.
@final
class Blob:
    async def read(self, length: int = -1, /) -> bytes: ...
    async def write(self, data: ReadableBuffer, /) -> None: ...
    async def seek(self, offset: int, origin: int = 0, /) -> None: ...
    async def tell(self) -> int: ...
    async def length(self) -> int: ...
    async def reopen(self, rowid: int, /) -> None: ...
    # What blob[key] = value is in sqlite3.
    @overload
    async def set(self, key: SupportsIndex, value: int, /) -> None: ...
    @overload
    async def set(self, key: slice, value: ReadableBuffer, /) -> None: ...
    async def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
        /,
    ) -> None: ...
    def __len__(self) -> int: ...
    # To be awaited.
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Request[int]: ...
    @overload
    def __getitem__(self, key: slice, /) -> Request[bytes]: ...

def complete_statement(statement: str) -> bool: ...

# What a session records, and applying it. A handler may be a coroutine function.
_TableFilter: TypeAlias = Callable[[str], object]
_ConflictHandler: TypeAlias = Callable[[int, Change], int | Awaitable[int]]

@final
class Session:
    async def attach(self, table: str | _TableFilter | None = None, /) -> None: ...
    async def enabled(self, value: bool | None = None, /) -> bool: ...
    async def indirect(self, value: bool | None = None, /) -> bool: ...
    async def is_empty(self) -> bool: ...
    async def memory_used(self) -> int: ...
    async def changeset(self) -> bytes: ...
    async def patchset(self) -> bytes: ...
    async def diff(self, from_schema: str, table: str, /) -> None: ...
    async def close(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
        /,
    ) -> None: ...

@final
class NoChange:
    def __bool__(self) -> Literal[False]: ...

no_change: Final[NoChange]

# A value is an int, a float, a str, bytes, None, or no_change.
@final
class Change(structseq[Any], tuple[Any, ...]):
    if sys.version_info >= (3, 10):
        __match_args__: Final = (
            "table",
            "op",
            "opcode",
            "old",
            "new",
            "primary_key",
            "indirect",
            "conflict",
            "fk_conflicts",
        )
    @property
    def table(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def opcode(self) -> int: ...
    @property
    def old(self) -> tuple[Any, ...] | None: ...
    @property
    def new(self) -> tuple[Any, ...] | None: ...
    @property
    def primary_key(self) -> tuple[bool, ...]: ...
    @property
    def indirect(self) -> bool: ...
    @property
    def conflict(self) -> tuple[Any, ...] | None: ...
    @property
    def fk_conflicts(self) -> int | None: ...

@final
class Changeset:
    @classmethod
    def iter(cls, changeset: ReadableBuffer, *, flags: int = 0) -> Iterator[Change]: ...
    @classmethod
    def invert(cls, changeset: ReadableBuffer, /) -> bytes: ...
    @classmethod
    def concat(cls, *changesets: ReadableBuffer) -> bytes: ...

@final
class Rebaser:
    def __new__(cls) -> Self: ...
    def configure(self, rebase: ReadableBuffer, /) -> None: ...
    def rebase(self, changeset: ReadableBuffer, /) -> bytes: ...

SQLITE_CHANGESET_DATA: Final = 1
SQLITE_CHANGESET_NOTFOUND: Final = 2
SQLITE_CHANGESET_CONFLICT: Final = 3
SQLITE_CHANGESET_CONSTRAINT: Final = 4
SQLITE_CHANGESET_FOREIGN_KEY: Final = 5
SQLITE_CHANGESET_OMIT: Final = 0
SQLITE_CHANGESET_REPLACE: Final = 1
SQLITE_CHANGESET_ABORT: Final = 2
SQLITE_CHANGESETSTART_INVERT: Final = 2
SQLITE_CHANGESETAPPLY_NOSAVEPOINT: Final = 1
SQLITE_CHANGESETAPPLY_INVERT: Final = 2
SQLITE_CHANGESETAPPLY_IGNORENOOP: Final = 4
SQLITE_CHANGESETAPPLY_FKNOACTION: Final = 8
SQLITE_CHANGESETAPPLY_NOUPDATELOOP: Final = 16

# Values of one type. A buffer is looked at first: its items are integers or doubles.
@final
class carray:
    def __new__(
        cls,
        values: Iterable[int] | Iterable[float] | Iterable[str] | Iterable[ReadableBuffer],
    ) -> Self: ...
    def __len__(self) -> int: ...

# JSON is Any both ways, as in the json module: what a hook or `default` makes of it is its own
# business.
def jsonb_encode(
    obj: Any,
    *,
    default: Callable[[Any], Any] | None = None,
    sort_keys: bool = False,
    skipkeys: bool = False,
    allow_nan: bool = True,
) -> bytes: ...
def jsonb_decode(
    data: ReadableBuffer,
    *,
    object_hook: Callable[[dict[str, Any]], Any] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
    parse_int: Callable[[str], Any] | None = None,
    parse_float: Callable[[str], Any] | None = None,
) -> Any: ...
def _at_exit() -> None: ...
def _enable_callback_tracebacks(flag: object, /) -> None: ...
def _after_fork() -> None: ...

# Of the SQLite that csqlite itself uses.
sqlite_version: Final[str]
compile_options: Final[tuple[str, ...]]

@final
@type_check_only
class _Build(structseq[Any], tuple[str, str, tuple[str, ...]]):
    if sys.version_info >= (3, 10):
        __match_args__: Final = ("version", "source", "options")
    @property
    def version(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def options(self) -> tuple[str, ...]: ...

build: Final[_Build]

# Of csqlite/pool/.
@disjoint_base
class Member:
    def __init__(self, db: Connection[Any]) -> None: ...
    @property
    def db(self) -> Any: ...
    @property
    def call(self) -> PoolCall[Any] | None: ...
    holder: Any
    held_since: float
    idle_since: float
    ends: float
    broken: bool

@disjoint_base
class Shelf:
    @property
    def idle(self) -> list[Any]: ...
    @property
    def held(self) -> set[Any]: ...
    taken: int
    used: float
    quick: bool

@disjoint_base
class Pool(Generic[_RowT]):
    _loop: Any
    @property
    def _routes(self) -> dict[str, Any]: ...
    @property
    def _within(self) -> set[Any]: ...
    def fetch_all(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> PoolCall[list[_RowT]]: ...
    def fetch_one(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> PoolCall[_RowT]: ...
    def fetch_optional(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> PoolCall[_RowT | None]: ...
    def fetch_scalar(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> PoolCall[Any]: ...
    def execute_fetchall(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> PoolCall[list[_RowT]]: ...

@final
class PoolCall(Coroutine[Any, Any, _T_co]):
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    __name__: str
    __qualname__: str
    @property
    def task(self) -> Any: ...
    def send(self, value: None, /) -> Any: ...
    def throw(
        self,
        type: type[BaseException] | BaseException,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
        /,
    ) -> Any: ...
    def close(self) -> None: ...
    def __await__(self) -> Generator[Any, Any, _T_co]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...

def status(op: int, reset: bool = False) -> tuple[int, int]: ...
def vfs_list() -> list[str]: ...
def _vfs_state() -> str: ...
def _source_id() -> str: ...
def _locks(path: bytes, /) -> list[tuple[Any, ...]]: ...

# Whether it can tell where the columns of a statement come from.
_origins: Final[bool]

# The words that its parser knows.
SQLITE_KEYWORDS: Final[tuple[str, ...]]

# What an authorizer is asked and answers.
SQLITE_DENY: Final = 1
SQLITE_IGNORE: Final = 2
SQLITE_CREATE_INDEX: Final = 1
SQLITE_CREATE_TABLE: Final = 2
SQLITE_CREATE_TEMP_INDEX: Final = 3
SQLITE_CREATE_TEMP_TABLE: Final = 4
SQLITE_CREATE_TEMP_TRIGGER: Final = 5
SQLITE_CREATE_TEMP_VIEW: Final = 6
SQLITE_CREATE_TRIGGER: Final = 7
SQLITE_CREATE_VIEW: Final = 8
SQLITE_DELETE: Final = 9
SQLITE_DROP_INDEX: Final = 10
SQLITE_DROP_TABLE: Final = 11
SQLITE_DROP_TEMP_INDEX: Final = 12
SQLITE_DROP_TEMP_TABLE: Final = 13
SQLITE_DROP_TEMP_TRIGGER: Final = 14
SQLITE_DROP_TEMP_VIEW: Final = 15
SQLITE_DROP_TRIGGER: Final = 16
SQLITE_DROP_VIEW: Final = 17
SQLITE_INSERT: Final = 18
SQLITE_PRAGMA: Final = 19
SQLITE_READ: Final = 20
SQLITE_SELECT: Final = 21
SQLITE_TRANSACTION: Final = 22
SQLITE_UPDATE: Final = 23
SQLITE_ATTACH: Final = 24
SQLITE_DETACH: Final = 25
SQLITE_ALTER_TABLE: Final = 26
SQLITE_REINDEX: Final = 27
SQLITE_ANALYZE: Final = 28
SQLITE_CREATE_VTABLE: Final = 29
SQLITE_DROP_VTABLE: Final = 30
SQLITE_FUNCTION: Final = 31
SQLITE_SAVEPOINT: Final = 32
SQLITE_RECURSIVE: Final = 33

# Limits, for setlimit() and getlimit().
SQLITE_LIMIT_LENGTH: Final = 0
SQLITE_LIMIT_SQL_LENGTH: Final = 1
SQLITE_LIMIT_COLUMN: Final = 2
SQLITE_LIMIT_EXPR_DEPTH: Final = 3
SQLITE_LIMIT_COMPOUND_SELECT: Final = 4
SQLITE_LIMIT_VDBE_OP: Final = 5
SQLITE_LIMIT_FUNCTION_ARG: Final = 6
SQLITE_LIMIT_ATTACHED: Final = 7
SQLITE_LIMIT_LIKE_PATTERN_LENGTH: Final = 8
SQLITE_LIMIT_VARIABLE_NUMBER: Final = 9
SQLITE_LIMIT_TRIGGER_DEPTH: Final = 10
SQLITE_LIMIT_WORKER_THREADS: Final = 11
SQLITE_LIMIT_PARSER_DEPTH: Final = 12

# Switches, for setconfig() and getconfig().
SQLITE_DBCONFIG_ENABLE_FKEY: Final = 1002
SQLITE_DBCONFIG_ENABLE_TRIGGER: Final = 1003
SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER: Final = 1004
SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION: Final = 1005
SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE: Final = 1006
SQLITE_DBCONFIG_ENABLE_QPSG: Final = 1007
SQLITE_DBCONFIG_TRIGGER_EQP: Final = 1008
SQLITE_DBCONFIG_RESET_DATABASE: Final = 1009
SQLITE_DBCONFIG_DEFENSIVE: Final = 1010
SQLITE_DBCONFIG_WRITABLE_SCHEMA: Final = 1011
SQLITE_DBCONFIG_LEGACY_ALTER_TABLE: Final = 1012
SQLITE_DBCONFIG_DQS_DML: Final = 1013
SQLITE_DBCONFIG_DQS_DDL: Final = 1014
SQLITE_DBCONFIG_ENABLE_VIEW: Final = 1015
SQLITE_DBCONFIG_LEGACY_FILE_FORMAT: Final = 1016
SQLITE_DBCONFIG_TRUSTED_SCHEMA: Final = 1017
SQLITE_DBCONFIG_STMT_SCANSTATUS: Final = 1018
SQLITE_DBCONFIG_REVERSE_SCANORDER: Final = 1019
SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE: Final = 1020
SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE: Final = 1021
SQLITE_DBCONFIG_ENABLE_COMMENTS: Final = 1022

# How connect() opens.
SQLITE_OPEN_READONLY: Final = 1
SQLITE_OPEN_READWRITE: Final = 2
SQLITE_OPEN_CREATE: Final = 4
SQLITE_OPEN_URI: Final = 64

# Every result code, also those that the running Python's sqlite3 module has no name for.
SQLITE_OK: Final = 0
SQLITE_OK_LOAD_PERMANENTLY: Final = 256
SQLITE_OK_SYMLINK: Final = 512
SQLITE_ERROR: Final = 1
SQLITE_ERROR_MISSING_COLLSEQ: Final = 257
SQLITE_ERROR_RETRY: Final = 513
SQLITE_ERROR_SNAPSHOT: Final = 769
SQLITE_ERROR_RESERVESIZE: Final = 1025
SQLITE_ERROR_KEY: Final = 1281
SQLITE_ERROR_UNABLE: Final = 1537
SQLITE_INTERNAL: Final = 2
SQLITE_PERM: Final = 3
SQLITE_ABORT: Final = 4
SQLITE_ABORT_ROLLBACK: Final = 516
SQLITE_BUSY: Final = 5
SQLITE_BUSY_RECOVERY: Final = 261
SQLITE_BUSY_SNAPSHOT: Final = 517
SQLITE_BUSY_TIMEOUT: Final = 773
SQLITE_LOCKED: Final = 6
SQLITE_LOCKED_SHAREDCACHE: Final = 262
SQLITE_LOCKED_VTAB: Final = 518
SQLITE_NOMEM: Final = 7
SQLITE_READONLY: Final = 8
SQLITE_READONLY_RECOVERY: Final = 264
SQLITE_READONLY_CANTLOCK: Final = 520
SQLITE_READONLY_ROLLBACK: Final = 776
SQLITE_READONLY_DBMOVED: Final = 1032
SQLITE_READONLY_CANTINIT: Final = 1288
SQLITE_READONLY_DIRECTORY: Final = 1544
SQLITE_INTERRUPT: Final = 9
SQLITE_IOERR: Final = 10
SQLITE_IOERR_READ: Final = 266
SQLITE_IOERR_SHORT_READ: Final = 522
SQLITE_IOERR_WRITE: Final = 778
SQLITE_IOERR_FSYNC: Final = 1034
SQLITE_IOERR_DIR_FSYNC: Final = 1290
SQLITE_IOERR_TRUNCATE: Final = 1546
SQLITE_IOERR_FSTAT: Final = 1802
SQLITE_IOERR_UNLOCK: Final = 2058
SQLITE_IOERR_RDLOCK: Final = 2314
SQLITE_IOERR_DELETE: Final = 2570
SQLITE_IOERR_BLOCKED: Final = 2826
SQLITE_IOERR_NOMEM: Final = 3082
SQLITE_IOERR_ACCESS: Final = 3338
SQLITE_IOERR_CHECKRESERVEDLOCK: Final = 3594
SQLITE_IOERR_LOCK: Final = 3850
SQLITE_IOERR_CLOSE: Final = 4106
SQLITE_IOERR_DIR_CLOSE: Final = 4362
SQLITE_IOERR_SHMOPEN: Final = 4618
SQLITE_IOERR_SHMSIZE: Final = 4874
SQLITE_IOERR_SHMLOCK: Final = 5130
SQLITE_IOERR_SHMMAP: Final = 5386
SQLITE_IOERR_SEEK: Final = 5642
SQLITE_IOERR_DELETE_NOENT: Final = 5898
SQLITE_IOERR_MMAP: Final = 6154
SQLITE_IOERR_GETTEMPPATH: Final = 6410
SQLITE_IOERR_CONVPATH: Final = 6666
SQLITE_IOERR_VNODE: Final = 6922
SQLITE_IOERR_AUTH: Final = 7178
SQLITE_IOERR_BEGIN_ATOMIC: Final = 7434
SQLITE_IOERR_COMMIT_ATOMIC: Final = 7690
SQLITE_IOERR_ROLLBACK_ATOMIC: Final = 7946
SQLITE_IOERR_DATA: Final = 8202
SQLITE_IOERR_CORRUPTFS: Final = 8458
SQLITE_IOERR_IN_PAGE: Final = 8714
SQLITE_IOERR_BADKEY: Final = 8970
SQLITE_IOERR_CODEC: Final = 9226
SQLITE_CORRUPT: Final = 11
SQLITE_CORRUPT_VTAB: Final = 267
SQLITE_CORRUPT_SEQUENCE: Final = 523
SQLITE_CORRUPT_INDEX: Final = 779
SQLITE_NOTFOUND: Final = 12
SQLITE_FULL: Final = 13
SQLITE_CANTOPEN: Final = 14
SQLITE_CANTOPEN_NOTEMPDIR: Final = 270
SQLITE_CANTOPEN_ISDIR: Final = 526
SQLITE_CANTOPEN_FULLPATH: Final = 782
SQLITE_CANTOPEN_CONVPATH: Final = 1038
SQLITE_CANTOPEN_DIRTYWAL: Final = 1294
SQLITE_CANTOPEN_SYMLINK: Final = 1550
SQLITE_PROTOCOL: Final = 15
SQLITE_EMPTY: Final = 16
SQLITE_SCHEMA: Final = 17
SQLITE_TOOBIG: Final = 18
SQLITE_CONSTRAINT: Final = 19
SQLITE_CONSTRAINT_CHECK: Final = 275
SQLITE_CONSTRAINT_COMMITHOOK: Final = 531
SQLITE_CONSTRAINT_FOREIGNKEY: Final = 787
SQLITE_CONSTRAINT_FUNCTION: Final = 1043
SQLITE_CONSTRAINT_NOTNULL: Final = 1299
SQLITE_CONSTRAINT_PRIMARYKEY: Final = 1555
SQLITE_CONSTRAINT_TRIGGER: Final = 1811
SQLITE_CONSTRAINT_UNIQUE: Final = 2067
SQLITE_CONSTRAINT_VTAB: Final = 2323
SQLITE_CONSTRAINT_ROWID: Final = 2579
SQLITE_CONSTRAINT_PINNED: Final = 2835
SQLITE_CONSTRAINT_DATATYPE: Final = 3091
SQLITE_MISMATCH: Final = 20
SQLITE_MISUSE: Final = 21
SQLITE_NOLFS: Final = 22
SQLITE_AUTH: Final = 23
SQLITE_AUTH_USER: Final = 279
SQLITE_FORMAT: Final = 24
SQLITE_RANGE: Final = 25
SQLITE_NOTADB: Final = 26
SQLITE_NOTICE: Final = 27
SQLITE_NOTICE_RECOVER_WAL: Final = 283
SQLITE_NOTICE_RECOVER_ROLLBACK: Final = 539
SQLITE_NOTICE_RBU: Final = 795
SQLITE_WARNING: Final = 28
SQLITE_WARNING_AUTOINDEX: Final = 284
SQLITE_ROW: Final = 100
SQLITE_DONE: Final = 101

# SQLite's other numbers, by family.
SQLITE_CHECKPOINT_NOOP: Final = -1
SQLITE_CHECKPOINT_PASSIVE: Final = 0
SQLITE_CHECKPOINT_FULL: Final = 1
SQLITE_CHECKPOINT_RESTART: Final = 2
SQLITE_CHECKPOINT_TRUNCATE: Final = 3
SQLITE_DBSTATUS_LOOKASIDE_USED: Final = 0
SQLITE_DBSTATUS_CACHE_USED: Final = 1
SQLITE_DBSTATUS_SCHEMA_USED: Final = 2
SQLITE_DBSTATUS_STMT_USED: Final = 3
SQLITE_DBSTATUS_LOOKASIDE_HIT: Final = 4
SQLITE_DBSTATUS_LOOKASIDE_MISS_SIZE: Final = 5
SQLITE_DBSTATUS_LOOKASIDE_MISS_FULL: Final = 6
SQLITE_DBSTATUS_CACHE_HIT: Final = 7
SQLITE_DBSTATUS_CACHE_MISS: Final = 8
SQLITE_DBSTATUS_CACHE_WRITE: Final = 9
SQLITE_DBSTATUS_DEFERRED_FKS: Final = 10
SQLITE_DBSTATUS_CACHE_USED_SHARED: Final = 11
SQLITE_DBSTATUS_CACHE_SPILL: Final = 12
SQLITE_DBSTATUS_TEMPBUF_SPILL: Final = 13
SQLITE_FCNTL_LOCKSTATE: Final = 1
SQLITE_FCNTL_GET_LOCKPROXYFILE: Final = 2
SQLITE_FCNTL_SET_LOCKPROXYFILE: Final = 3
SQLITE_FCNTL_LAST_ERRNO: Final = 4
SQLITE_FCNTL_SIZE_HINT: Final = 5
SQLITE_FCNTL_CHUNK_SIZE: Final = 6
SQLITE_FCNTL_FILE_POINTER: Final = 7
SQLITE_FCNTL_SYNC_OMITTED: Final = 8
SQLITE_FCNTL_WIN32_AV_RETRY: Final = 9
SQLITE_FCNTL_PERSIST_WAL: Final = 10
SQLITE_FCNTL_OVERWRITE: Final = 11
SQLITE_FCNTL_VFSNAME: Final = 12
SQLITE_FCNTL_POWERSAFE_OVERWRITE: Final = 13
SQLITE_FCNTL_PRAGMA: Final = 14
SQLITE_FCNTL_BUSYHANDLER: Final = 15
SQLITE_FCNTL_TEMPFILENAME: Final = 16
SQLITE_FCNTL_MMAP_SIZE: Final = 18
SQLITE_FCNTL_TRACE: Final = 19
SQLITE_FCNTL_HAS_MOVED: Final = 20
SQLITE_FCNTL_SYNC: Final = 21
SQLITE_FCNTL_COMMIT_PHASETWO: Final = 22
SQLITE_FCNTL_WIN32_SET_HANDLE: Final = 23
SQLITE_FCNTL_WAL_BLOCK: Final = 24
SQLITE_FCNTL_ZIPVFS: Final = 25
SQLITE_FCNTL_RBU: Final = 26
SQLITE_FCNTL_VFS_POINTER: Final = 27
SQLITE_FCNTL_JOURNAL_POINTER: Final = 28
SQLITE_FCNTL_WIN32_GET_HANDLE: Final = 29
SQLITE_FCNTL_PDB: Final = 30
SQLITE_FCNTL_BEGIN_ATOMIC_WRITE: Final = 31
SQLITE_FCNTL_COMMIT_ATOMIC_WRITE: Final = 32
SQLITE_FCNTL_ROLLBACK_ATOMIC_WRITE: Final = 33
SQLITE_FCNTL_LOCK_TIMEOUT: Final = 34
SQLITE_FCNTL_DATA_VERSION: Final = 35
SQLITE_FCNTL_SIZE_LIMIT: Final = 36
SQLITE_FCNTL_CKPT_DONE: Final = 37
SQLITE_FCNTL_RESERVE_BYTES: Final = 38
SQLITE_FCNTL_CKPT_START: Final = 39
SQLITE_FCNTL_EXTERNAL_READER: Final = 40
SQLITE_FCNTL_CKSM_FILE: Final = 41
SQLITE_FCNTL_RESET_CACHE: Final = 42
SQLITE_FCNTL_NULL_IO: Final = 43
SQLITE_FCNTL_BLOCK_ON_CONNECT: Final = 44
SQLITE_FCNTL_FILESTAT: Final = 45
SQLITE_STATUS_MEMORY_USED: Final = 0
SQLITE_STATUS_PAGECACHE_USED: Final = 1
SQLITE_STATUS_PAGECACHE_OVERFLOW: Final = 2
SQLITE_STATUS_MALLOC_SIZE: Final = 5
SQLITE_STATUS_PARSER_STACK: Final = 6
SQLITE_STATUS_PAGECACHE_SIZE: Final = 7
SQLITE_STATUS_MALLOC_COUNT: Final = 9
SQLITE_STMTSTATUS_FULLSCAN_STEP: Final = 1
SQLITE_STMTSTATUS_SORT: Final = 2
SQLITE_STMTSTATUS_AUTOINDEX: Final = 3
SQLITE_STMTSTATUS_VM_STEP: Final = 4
SQLITE_STMTSTATUS_REPREPARE: Final = 5
SQLITE_STMTSTATUS_RUN: Final = 6
SQLITE_STMTSTATUS_FILTER_MISS: Final = 7
SQLITE_STMTSTATUS_FILTER_HIT: Final = 8
SQLITE_STMTSTATUS_MEMUSED: Final = 99
SQLITE_TRACE_STMT: Final = 1
SQLITE_TRACE_PROFILE: Final = 2
SQLITE_TRACE_ROW: Final = 4
SQLITE_TRACE_CLOSE: Final = 8
SQLITE_TXN_NONE: Final = 0
SQLITE_TXN_READ: Final = 1
SQLITE_TXN_WRITE: Final = 2
