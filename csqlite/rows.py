"""The cursor that row factories are given.

`sqlite3.Row` accepts only a real `sqlite3.Cursor`, and reads nothing of it but the
description. So csqlite keeps one such cursor for each set of column names.
"""

import sqlite3
from typing import Any


class RowCursor(sqlite3.Cursor):
    """A cursor that has a description and can do nothing else."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: a row factory is called in the middle of a cursor's work."""
        raise sqlite3.ProgrammingError("Recursive use of cursors not allowed.")

    @property
    def connection(self) -> Any:
        """Refuse: it belongs to none. Without, it would be one that is closed."""
        raise AttributeError(
            "the cursor that a row factory is given has no connection: use the csqlite.Connection "
            "or csqlite.Cursor whose row_factory it is"
        )

    executemany = executescript = fetchone = fetchmany = fetchall = execute

    def close(self) -> None:
        """Refuse, as execute() does."""
        raise sqlite3.ProgrammingError("Recursive use of cursors not allowed.")


def row_cursor(names: tuple[str, ...]) -> RowCursor:
    """Return a cursor whose description has these column names."""
    connection = sqlite3.connect(":memory:")
    columns = ", ".join('NULL AS "{}"'.format(name.replace('"', '""')) for name in names)
    cursor = connection.cursor(RowCursor)
    sqlite3.Cursor.execute(cursor, f"SELECT {columns}")
    # The description stays, and nothing else of the cursor is asked for.
    connection.close()
    return cursor
