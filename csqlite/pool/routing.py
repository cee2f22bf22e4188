"""Which connection a statement needs: found by what SQLite's authorizer says of it, once.

No SQL is parsed here. sqlite3_stmt_readonly() alone does not tell: it is true of BEGIN,
SAVEPOINT, ATTACH and of pragmas that set something of one connection.
"""

import contextvars
import sqlite3
from typing import Any, Optional

from .. import _csqlite
from ..core import Connection

READ = "read"
WRITE = "write"

# Pragmas whose value says what to look at, and sets nothing.
_ASKING = frozenset(
    {
        *("foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo"),
        *("integrity_check", "quick_check", "table_info", "table_list", "table_xinfo"),
    }
)

_TEMPORARY = frozenset(
    {
        *(sqlite3.SQLITE_CREATE_TEMP_INDEX, sqlite3.SQLITE_CREATE_TEMP_TABLE),
        *(sqlite3.SQLITE_CREATE_TEMP_TRIGGER, sqlite3.SQLITE_CREATE_TEMP_VIEW),
        *(sqlite3.SQLITE_DROP_TEMP_INDEX, sqlite3.SQLITE_DROP_TEMP_TABLE),
        *(sqlite3.SQLITE_DROP_TEMP_TRIGGER, sqlite3.SQLITE_DROP_TEMP_VIEW),
    }
)


def _objection(actions: "list[tuple[Any, ...]]", readonly: bool) -> Optional[str]:
    """Return why a statement cannot be handed to whichever connection is free, or None."""
    for code, first, second, database in actions:
        if code in (sqlite3.SQLITE_TRANSACTION, _csqlite.SQLITE_SAVEPOINT):
            return "begins or ends a transaction: use pool.transaction()"
        if code in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
            return "changes what one connection is attached to: use init= for all of them"
        if code in _TEMPORARY or database == "temp":
            return "uses a temporary table, which lives on one connection: use pool.write()"
        setting = code == sqlite3.SQLITE_PRAGMA and readonly and second is not None
        if setting and str(first).lower() not in _ASKING:
            return "sets something of one connection: use pragmas= for all of them"
    return None


# What the statement that is being looked at does. Callbacks run in the context of the task that awaits
# their statement, so nothing of others is noted, who use the same connection at the same time.
_noted: "contextvars.ContextVar[Optional[list[tuple[Any, ...]]]]" = contextvars.ContextVar(
    "noted", default=None
)


class Router:
    """Says of each SQL text where it belongs. `db`: the connection that prepares it."""

    async def attach(self, db: Connection) -> None:
        """Listen to what a connection prepares."""
        await db.set_authorizer(self._note)

    def _note(self, code: int, first: Any, second: Any, database: Any, trigger: Any) -> int:
        actions = _noted.get()
        if actions is not None:
            actions.append((code, first, second, database))
        return sqlite3.SQLITE_OK

    async def find(self, db: Connection, sql: str) -> str:
        """Return READ or WRITE. One at a time.

        Raises ProgrammingError for what belongs to one connection, and what preparing raises.
        """
        actions: list[tuple[Any, ...]] = []
        token = _noted.set(actions)
        try:
            info = await db.statement_info(sql)
        finally:
            _noted.reset(token)
        objection = _objection(actions, info.readonly)
        if objection is not None and not info.is_explain:
            raise sqlite3.ProgrammingError(f"this statement {objection}")
        return READ if info.readonly else WRITE
