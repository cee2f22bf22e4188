import builtins
import pathlib
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager
from types import GenericAlias, TracebackType
from typing import Any, Generic, Literal, overload

from _typeshed import StrPath
from typing_extensions import TypeVar

from ..core import Connection
from ..pool import Pool
from ..pragmas import Pragmas
from ..transactions import Transaction

_RowT = TypeVar("_RowT", default=sqlite3.Row)
_MadeT = TypeVar("_MadeT", default=tuple[Any, ...])

class Databases(Generic[_RowT]):
    directory: str
    max_open: int
    timeout: float
    # Those behind `timeout` are create_pool()'s. Rows are what row_factory makes; without it what an
    # annotation says, Databases[T].
    @overload
    def __init__(
        self: Databases[_MadeT],
        directory: StrPath,
        *,
        max_open: int = 64,
        idle_timeout: float = 300.0,
        timeout: float = 30.0,
        max_readers: int = 4,
        min_readers: int = 0,
        init: Callable[[Connection[Any]], object] | None = None,
        pragmas: Pragmas = "server",
        max_lifetime: float = 3600.0,
        max_idle: float = 600.0,
        max_waiting: int = 0,
        check: Callable[[Connection[Any]], object] | None = None,
        prepare: Sequence[str] = (),
        busy_timeout: float = 5.0,
        row_factory: Callable[[Any, tuple[Any, ...]], _MadeT] | None,
        **connect_options: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        directory: StrPath,
        *,
        max_open: int = 64,
        idle_timeout: float = 300.0,
        timeout: float = 30.0,
        max_readers: int = 4,
        min_readers: int = 0,
        init: Callable[[Connection[Any]], object] | None = None,
        pragmas: Pragmas = "server",
        max_lifetime: float = 3600.0,
        max_idle: float = 600.0,
        max_waiting: int = 0,
        check: Callable[[Connection[Any]], object] | None = None,
        prepare: Sequence[str] = (),
        busy_timeout: float = 5.0,
        row_factory: None = None,
        **connect_options: Any,
    ) -> None: ...
    def __class_getitem__(cls, row: Any) -> GenericAlias: ...
    def __await__(self) -> Generator[Any, None, Databases[_RowT]]: ...
    async def __aenter__(self) -> Databases[_RowT]: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...
    async def close(self, timeout: float | None = None) -> None: ...
    def use(
        self, name: str, *, create: bool = False, timeout: float | None = None
    ) -> AbstractAsyncContextManager[Pool[_RowT], None]: ...
    def transaction(
        self,
        *databases: str,
        mode: Literal["deferred", "immediate", "exclusive", "concurrent"] = "immediate",
        atomic: bool = False,
        timeout: float | None = None,
    ) -> AbstractAsyncContextManager[Transaction[_RowT]]: ...
    async def list(self) -> builtins.list[str]: ...
    async def exists(self, name: str) -> bool: ...
    def path(self, name: str) -> pathlib.Path: ...
    def get_stats(self) -> dict[str, int]: ...
    async def create(
        self, name: str, script: str | None = None, *, exist_ok: bool = False
    ) -> bool: ...
    async def clone(self, source: str, target: str) -> None: ...
    async def drop(
        self, name: str, *, missing_ok: bool = False, timeout: float | None = None
    ) -> bool: ...
    async def rename(self, name: str, target: str, *, timeout: float | None = None) -> None: ...
