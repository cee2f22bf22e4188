import sqlite3
from collections.abc import AsyncGenerator, Coroutine, Iterable
from typing import Any, NamedTuple

from typing_extensions import TypeVar

from .. import _csqlite
from ..fetching import _Parameters

_RowT = TypeVar("_RowT", default=sqlite3.Row)

class Executed(NamedTuple):
    rowcount: int
    lastrowid: int | None

# What csqlite itself uses: the statements of a Pool.
class Calls(_csqlite.Pool[_RowT]):
    def execute(
        self, sql: str, parameters: _Parameters | None = None, *, deadline: float | None = None
    ) -> Coroutine[Any, Any, Executed]: ...
    def executemany(
        self, sql: str, parameters: Iterable[_Parameters], *, deadline: float | None = None
    ) -> Coroutine[Any, Any, Executed]: ...
    def stream(
        self,
        sql: str,
        parameters: _Parameters | None = None,
        *,
        chunk: int = 64,
        deadline: float | None = None,
    ) -> AsyncGenerator[_RowT]: ...
