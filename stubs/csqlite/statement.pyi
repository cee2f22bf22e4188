from collections.abc import Iterable
from typing import Any, NamedTuple

from typing_extensions import disjoint_base

from . import _csqlite

__all__ = ["Origin", "StatementInfo"]

# Where a column comes from.
class Origin(NamedTuple):
    database: str
    table: str
    column: str

class _Fields(NamedTuple):
    sql: str
    tail: str
    parameter_count: int
    parameter_names: tuple[str | None, ...]
    column_names: tuple[str, ...]
    decltypes: tuple[str | None, ...]
    # None where SQLite cannot tell.
    origins: tuple[Origin | None, ...] | None
    readonly: bool
    is_explain: int
    normalized_sql: str | None

# What SQLite knows of a statement without running it.
@disjoint_base
class StatementInfo(_Fields):
    _connection: _csqlite.Connection[Any]
    async def expanded_sql(self, parameters: Iterable[Any] = ()) -> str: ...

async def describe(db: _csqlite.Connection[Any], sql: str) -> StatementInfo: ...
async def describe_script(db: _csqlite.Connection[Any], sql_script: str) -> list[StatementInfo]: ...
