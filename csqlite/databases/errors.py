"""What Databases raises of its own."""

import sqlite3

from ..pool import PoolTimeout


class DatabaseExists(sqlite3.OperationalError, FileExistsError):
    """There is a database, or a file, of that name already."""


class DatabaseNotFound(sqlite3.OperationalError, FileNotFoundError):
    """There is no database of that name, or its file is gone."""


class DatabaseInUse(PoolTimeout):
    """A database was not free in time. The message says who uses it."""
