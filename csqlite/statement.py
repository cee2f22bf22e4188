"""Statements that have been prepared and not run: what `Connection.statement_info()` returns."""

from typing import Any, NamedTuple, Optional

from . import _csqlite, foreign

__all__ = ["Origin", "StatementInfo"]


class Origin(NamedTuple):
    """Where a column of a result comes from."""

    database: str
    """"main", "temp", or the name of an attached database."""

    table: str

    column: str


class _Fields(NamedTuple):
    sql: str
    """The statement alone, without what is around it."""

    tail: str
    """What stands behind it, without blanks at its ends."""

    parameter_count: int
    """How many values it takes: the largest number of a placeholder."""

    parameter_names: tuple[Optional[str], ...]
    """The names of the placeholders without their prefix, which a mapping is asked for; None
    for one without a name."""

    column_names: tuple[str, ...]
    """The names of the columns of its result; empty when it returns no rows."""

    decltypes: tuple[Optional[str], ...]
    """The declared type of each column; None for an expression."""

    origins: Optional[tuple[Optional[Origin], ...]]
    """Where each column comes from; None for an expression. None for all where SQLite was
    built without SQLITE_ENABLE_COLUMN_METADATA."""

    readonly: bool
    """Whether it leaves the database file alone, as sqlite3_stmt_readonly() says."""

    is_explain: int
    """1 for EXPLAIN, 2 for EXPLAIN QUERY PLAN, else 0."""

    normalized_sql: Optional[str]
    """The statement with its literals replaced by "?", to group statements by. None where
    SQLite was built without SQLITE_ENABLE_NORMALIZE."""


class StatementInfo(_Fields):
    """What SQLite knows of a statement without running it: a named tuple."""

    _connection: _csqlite.Connection

    async def expanded_sql(self, parameters: Any = ()) -> str:
        """Return the statement with its placeholders replaced by `parameters`, as SQL literals.

        parameters: as for execute(). Raises what execute() raises for parameters that do not
        fit, ValueError when the connection is not open. sqlite3_expanded_sql().
        """
        return await self._connection._expand(self.sql, parameters) or self.sql


# SQLite passes over empty statements in front of one.
_EMPTY = "; \t\n\f\r"


def _origin(names: tuple[Any, ...]) -> Optional[Origin]:
    """Return where a column comes from, of three names that are None for an expression."""
    return None if names[2] is None else Origin(*names)


def _make(db: _csqlite.Connection, sql: bytes, described: tuple[Any, ...]) -> StatementInfo:
    """Return what `described`, the extension's tuple, says of a statement in `sql`."""
    begin, end, readonly, explain, normalized, parameters, columns = described
    info = StatementInfo(
        sql=sql[begin:end].decode().strip().lstrip(_EMPTY),
        tail=sql[end:].decode().strip(),
        parameter_count=len(parameters),
        parameter_names=tuple(name and name[1:] for name in parameters),
        column_names=tuple(column[0] for column in columns),
        decltypes=tuple(column[1] for column in columns),
        origins=tuple(_origin(column[2:]) for column in columns) if _csqlite._origins else None,
        readonly=readonly,
        is_explain=explain,
        normalized_sql=normalized,
    )
    info._connection = db
    return info


# Of SQL without a statement.
_NOTHING = (0, 0, True, 0, None, (), ())


async def describe(db: _csqlite.Connection, sql: str) -> StatementInfo:
    """See Connection.statement_info()."""
    foreign.refuse(db, "statement_info()")
    described = await db._describe(sql, False)
    return _make(db, sql.encode(), described[0] if described else _NOTHING)


async def describe_script(db: _csqlite.Connection, sql_script: str) -> list[StatementInfo]:
    """See Connection.script_info()."""
    foreign.refuse(db, "script_info()")
    described = await db._describe(sql_script, True)
    return [_make(db, sql_script.encode(), one) for one in described]
