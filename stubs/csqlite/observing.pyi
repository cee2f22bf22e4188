import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Generic

from typing_extensions import TypeVar

from .live import Observation, Subscription

_RowT = TypeVar("_RowT", default=sqlite3.Row)
_NameT = TypeVar("_NameT")

class Observing(Generic[_RowT]):
    def subscribe(
        self,
        tables: str | Iterable[str] | None = None,
        *,
        max_queue: int = 1000,
        poll: float | None = 1.0,
    ) -> Subscription: ...
    def observe(
        self,
        sql: str,
        parameters: Any | None = None,
        *,
        distinct: bool = True,
        poll: float | None = 1.0,
    ) -> Observation[list[_RowT]]: ...
    def observe_many(
        self,
        queries: Mapping[_NameT, str | tuple[str, Any]],
        *,
        distinct: bool = True,
        poll: float | None = 1.0,
    ) -> Observation[dict[_NameT, list[_RowT]]]: ...
