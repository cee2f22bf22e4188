"""What helps to bind many values: the plain way, which works with every SQLite and driver."""

from collections.abc import Sized
from typing import Union


def placeholders(values: Union[int, Sized]) -> str:
    """Return as many `?` as there are values, for the parentheses of an IN:

        sql = f"SELECT * FROM t WHERE id IN ({csqlite.placeholders(ids)})"
        await db.execute(sql, ids)

    values: something with a length, or a number. None at all gives an empty string, which is
    an empty list in SQL. A statement takes as many parameters as the limit
    SQLITE_LIMIT_VARIABLE_NUMBER says (250,000 in a bundled build, 32,766 in others), and each
    number of them is another statement to prepare; `carray()` has neither drawback.

    Raises ValueError for a negative number.
    """
    count = values if isinstance(values, int) else len(values)
    if count < 0:
        raise ValueError(f"a number of placeholders cannot be negative: {count}")
    return ", ".join("?" * count)
