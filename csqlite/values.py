"""Text of SQL made from Python: placeholders for many values, a condition for names."""

from collections.abc import Sized
from typing import Optional, Union


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


def name_like(*patterns: Optional[str], escape: str = "") -> Optional[str]:
    """Return an expression of SQL that is true of a `name` that matches one of the patterns.

    A pattern that is None or empty matches every name, and so does none at all: then it is None.
    """
    if not all(patterns):
        return None
    ending = f" ESCAPE '{escape}'" if escape else ""
    return " OR ".join(f'"name" LIKE {_literal(pattern)}{ending}' for pattern in patterns) or None


def _literal(text: Optional[str]) -> str:
    """Return a text as a literal of SQL. TypeError: it is none; ValueError: there is none for it."""
    if not isinstance(text, str):
        raise TypeError(f"filter must be str or None, not {type(text).__name__}")
    if "\0" in text:
        raise ValueError("embedded null character")
    return "'" + text.replace("'", "''") + "'"
