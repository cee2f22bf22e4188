"""Results and exceptions as values, so that two modules can be compared with `==`.

Where an answer depends on the Python version, a test compares csqlite with the `sqlite3` module of the running Python
instead of naming the answer.
"""

import sqlite3
from contextlib import closing


async def outcome(awaitable):
    """Return what `awaitable` gives, or the class and text of what it raises."""
    try:
        return await awaitable
    except Exception as error:
        return type(error), str(error)


def stdlib_outcome(function, **options):
    """Return what `function` does with a new in-memory connection of `sqlite3`, as `outcome` does."""
    with closing(sqlite3.connect(":memory:", **options)) as connection:
        try:
            return function(connection)
        except Exception as error:
            return type(error), str(error)


async def fetchall(db, sql, parameters=()):
    """Execute one statement and return all its rows."""
    async with db.execute(sql, parameters) as cursor:
        return await cursor.fetchall()


async def scalar(db, sql, parameters=()):
    """Execute one statement and return the first column of its first row."""
    async with db.execute(sql, parameters) as cursor:
        return (await cursor.fetchone())[0]
