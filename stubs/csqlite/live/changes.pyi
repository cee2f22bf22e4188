from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from typing_extensions import TypeAlias

UNKNOWN: int
SCHEMA: int

Row: TypeAlias = tuple[int, str, str, int | None]
Shadows: TypeAlias = Mapping[tuple[str, str], str]

@dataclass(frozen=True)
class Change:
    # "INSERT", "UPDATE", "DELETE", "SCHEMA" or "UNKNOWN".
    operation: str
    database: str | None
    table: str | None
    # None: any row of the table, or more than one.
    rowid: int | None

@dataclass(frozen=True)
class ChangeBatch:
    # None: any may have changed.
    tables: tuple[str, ...] | None
    changes: tuple[Change, ...]
    def __iter__(self) -> Iterator[Change]: ...
    def __len__(self) -> int: ...

def folded(name: str) -> str: ...
def batch_of(what: int, rows: Iterable[Row], shadows: Shadows) -> ChangeBatch: ...
