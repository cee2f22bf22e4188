"""What a pool raises of its own."""

import asyncio
import sqlite3
import sys

if sys.version_info >= (3, 11):

    class PoolTimeout(sqlite3.OperationalError, TimeoutError):
        """No connection came free in time. The message says who holds them, and for how long."""

else:

    class PoolTimeout(sqlite3.OperationalError, TimeoutError, asyncio.TimeoutError):
        """No connection came free in time. The message says who holds them, and for how long."""


class TooManyRequests(sqlite3.OperationalError):
    """As many wait for a connection as `max_waiting` lets wait. psycopg_pool's name."""


class PoolClosed(sqlite3.ProgrammingError):
    """The pool is closed, is being closed, or was never opened. psycopg_pool's name."""
