import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from typing import Any, Generic

from typing_extensions import TypeAlias, TypeVar

_RowT = TypeVar("_RowT", default=sqlite3.Row)
_Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]

class RowCountError(sqlite3.DataError):
    rows: int
    sql: str
    def __init__(self, wanted: str, rows: int, sql: str) -> None: ...

class Fetching(Generic[_RowT]):
    def fetch_all(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Awaitable[list[_RowT]]: ...
    async def fetch_one(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> _RowT: ...
    async def fetch_optional(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> _RowT | None: ...
    async def fetch_scalar(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Any: ...
    def stream(
        self,
        sql: str,
        parameters: _Parameters | None = None,
        *,
        chunk: int = 64,
        deadline: float | None = None,
    ) -> AsyncGenerator[_RowT]: ...
