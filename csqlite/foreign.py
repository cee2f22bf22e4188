"""Connections that are not csqlite's own: what Connection(connector, ...) does with the
connection that some other connector returns (sqlite3, SQLCipher, a subclass of either).

The extension calls these functions in place of its own methods, with the Connection or the
Cursor first. Each runs a method of the connection below on the worker, in its turn.
"""

import sqlite3
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any, Callable

from .context import Result, contextmanager
from .cursor import Cursor
from .deadlines import lifted, limited

if TYPE_CHECKING:
    from . import _csqlite
    from ._csqlite import Connection

# -- connections


@contextmanager
async def cursor(db: "Connection", factory: Any = None, *, row_factory: Any = ...) -> Cursor:
    """See Connection.cursor(); `factory` makes the cursor below, on the worker."""
    arguments = () if factory is None else (factory,)
    made: Cursor = Cursor(db, await db._execute(db._conn.cursor, *arguments))
    if row_factory is not ...:
        made.row_factory = row_factory
    return made


@contextmanager
async def execute(
    db: "Connection", sql: str, parameters: Any = None, *, deadline: Any = None
) -> Cursor:
    """See Connection.execute()."""
    parameters = [] if parameters is None else parameters
    with limited(deadline):
        return Cursor(db, await db._execute(db._conn.execute, sql, parameters))


@contextmanager
async def executemany(
    db: "Connection", sql: str, parameters: Any, *, deadline: Any = None
) -> Cursor:
    """See Connection.executemany()."""
    with limited(deadline):
        return Cursor(db, await db._execute(db._conn.executemany, sql, parameters))


@contextmanager
async def executescript(db: "Connection", sql_script: str, *, deadline: Any = None) -> Cursor:
    """See Connection.executescript()."""
    with limited(deadline):
        return Cursor(db, await db._execute(db._conn.executescript, sql_script))


@contextmanager
async def execute_insert(db: Any, sql: str, parameters: Any = None, *, deadline: Any = None) -> Any:
    """See Connection.execute_insert()."""
    parameters = [] if parameters is None else parameters
    with limited(deadline):
        return await db._execute(db._execute_insert, sql, parameters)


@contextmanager
async def execute_fetchall(
    db: Any, sql: str, parameters: Any = None, *, deadline: Any = None
) -> Any:
    """See Connection.execute_fetchall()."""
    parameters = [] if parameters is None else parameters
    with limited(deadline):
        return await db._execute(db._execute_fetchall, sql, parameters)


async def commit(db: "Connection", *, deadline: Any = None) -> None:
    """See Connection.commit()."""
    with limited(deadline):
        await db._execute(db._conn.commit)


async def rollback(db: "Connection") -> None:
    """See Connection.rollback()."""
    with lifted():
        await db._execute(db._conn.rollback)


async def interrupt(db: "Connection") -> None:
    """See Connection.interrupt()."""
    db._conn.interrupt()


async def create_function(
    db: "Connection",
    name: str,
    num_params: int,
    func: Any,
    deterministic: bool = False,
    **flags: Any,
) -> None:
    """See Connection.create_function(). sqlite3 knows no other flag than `deterministic`."""
    await db._execute(
        db._conn.create_function, name, num_params, func, deterministic=deterministic, **flags
    )


async def create_aggregate(db: "Connection", name: str, n_arg: int, aggregate_class: Any) -> None:
    """See Connection.create_aggregate()."""
    await db._execute(db._conn.create_aggregate, name, n_arg, aggregate_class)


async def create_window_function(
    db: "Connection", name: str, num_params: int, aggregate_class: Any, /
) -> None:
    """See Connection.create_window_function()."""
    await db._execute(db._conn.create_window_function, name, num_params, aggregate_class)


async def create_collation(db: "Connection", name: str, callback: Any) -> None:
    """See Connection.create_collation()."""
    await db._execute(db._conn.create_collation, name, callback)


async def set_authorizer(db: "Connection", authorizer_callback: Any) -> None:
    """See Connection.set_authorizer()."""
    await db._execute(db._conn.set_authorizer, authorizer_callback)


async def set_progress_handler(db: "Connection", handler: Any, n: int, **kwargs: Any) -> None:
    """See Connection.set_progress_handler()."""
    await db._execute(db._conn.set_progress_handler, handler, n, **kwargs)


async def set_trace_callback(db: "Connection", handler: Any) -> None:
    """See Connection.set_trace_callback()."""
    await db._execute(db._conn.set_trace_callback, handler)


async def enable_load_extension(db: "Connection", value: bool, *, allow: Any = None) -> None:
    """See Connection.enable_load_extension()."""
    if allow is not None:
        raise sqlite3.NotSupportedError(
            "another module's connection has no list of allowed extensions"
        )
    await db._execute(db._conn.enable_load_extension, value)


async def load_extension(db: "Connection", path: str, **kwargs: Any) -> None:
    """See Connection.load_extension()."""
    await db._execute(db._conn.load_extension, path, **kwargs)


async def serialize(db: "Connection", *, name: str = "main") -> bytes:
    """See Connection.serialize()."""
    return await db._execute(db._conn.serialize, name=name)


async def deserialize(db: "Connection", data: Any, /, *, name: str = "main") -> None:
    """See Connection.deserialize()."""
    await db._execute(db._conn.deserialize, data, name=name)


async def setlimit(db: "Connection", category: int, limit: int, /) -> int:
    """See Connection.setlimit()."""
    return await db._execute(db._conn.setlimit, category, limit)


async def getlimit(db: "Connection", category: int, /) -> int:
    """See Connection.getlimit()."""
    return await db._execute(db._conn.getlimit, category)


async def setconfig(db: "Connection", op: int, enable: bool = True, /) -> None:
    """See Connection.setconfig()."""
    await db._execute(db._conn.setconfig, op, enable)


async def getconfig(db: "Connection", op: int, /) -> bool:
    """See Connection.getconfig()."""
    return await db._execute(db._conn.getconfig, op)


def refuse(db: "_csqlite.Connection", name: str) -> None:
    """Raise NotSupportedError for a method that only csqlite's own connections have."""
    if db._foreign is not None:
        kind = type(db._foreign)
        raise sqlite3.NotSupportedError(
            f"{name}() needs csqlite's own connection, not {kind.__module__}.{kind.__qualname__}"
        )


def _if_there(name: str) -> Callable[..., Awaitable[Any]]:
    """Return a function that runs the method of that name, where the connection has one."""

    async def method(db: "Connection", *args: Any, **kwargs: Any) -> Any:
        function: Any = getattr(db._conn, name, None)
        if function is None:
            refuse(db, name)
        return await db._execute(function, *args, **kwargs)

    return method


# What the sqlite3 module does not have, and another one may.
cache_stats = _if_there("cache_stats")
cacheflush = _if_there("cacheflush")
db_filename = _if_there("db_filename")
db_status = _if_there("db_status")
file_control = _if_there("file_control")
limits = _if_there("limits")
readonly = _if_there("readonly")
release_memory = _if_there("release_memory")
reset = _if_there("reset")
set_commit_hook = _if_there("set_commit_hook")
set_preupdate_hook = _if_there("set_preupdate_hook")
set_profile = _if_there("set_profile")
set_rollback_hook = _if_there("set_rollback_hook")
set_update_hook = _if_there("set_update_hook")
set_wal_hook = _if_there("set_wal_hook")
trace_v2 = _if_there("trace_v2")
txn_state = _if_there("txn_state")
wal_autocheckpoint = _if_there("wal_autocheckpoint")
wal_checkpoint = _if_there("wal_checkpoint")


def dump(connection: Any, filter: Any) -> list[str]:
    """On the worker: give all lines of a dump."""
    return list(connection.iterdump() if filter is None else connection.iterdump(filter=filter))


# -- blobs


def blobopen(db: "Connection", *args: Any, **kwargs: Any) -> "Result[Blob]":
    """See Connection.blobopen()."""

    async def open_blob() -> "Blob":
        return Blob(db, await db._execute(db._conn.blobopen, *args, **kwargs))

    return _Opening(open_blob())


class _Opening(Result["Blob"]):
    """What opens a blob, and closes it when it was entered."""

    async def __aenter__(self) -> "Blob":
        self.blob = await self
        return self.blob

    async def __aexit__(self, exc_type: Any, exc: Any, tb: Any) -> None:
        await self.blob.close()


class Blob:
    """A blob of a foreign connection, with the methods of csqlite.Blob.

    len() asks the blob below, which answers in any thread only with check_same_thread=False.
    """

    def __init__(self, db: "Connection", blob: Any) -> None:
        self._db = db
        self._blob = blob

    async def read(self, length: int = -1, /) -> bytes:
        """See csqlite.Blob.read()."""
        return await self._db._execute(self._blob.read, length)

    async def write(self, data: Any, /) -> None:
        """See csqlite.Blob.write()."""
        await self._db._execute(self._blob.write, data)

    async def seek(self, offset: int, origin: int = 0, /) -> None:
        """See csqlite.Blob.seek()."""
        await self._db._execute(self._blob.seek, offset, origin)

    async def tell(self) -> int:
        """See csqlite.Blob.tell()."""
        return await self._db._execute(self._blob.tell)

    async def length(self) -> int:
        """See csqlite.Blob.length()."""
        return await self._db._execute(len, self._blob)

    async def reopen(self, rowid: int, /) -> None:
        """See csqlite.Blob.reopen(); AttributeError where the blob below cannot."""
        await self._db._execute(self._blob.reopen, rowid)

    async def set(self, key: Any, value: Any, /) -> None:
        """See csqlite.Blob.set()."""
        await self._db._execute(self._blob.__setitem__, key, value)

    async def close(self) -> None:
        """See csqlite.Blob.close()."""
        with lifted():
            await self._db._execute(self._blob.close)

    def __len__(self) -> int:
        return len(self._blob)

    async def __getitem__(self, key: Any) -> Any:
        return await self._db._execute(self._blob.__getitem__, key)

    async def __aenter__(self) -> "Blob":
        return self

    async def __aexit__(self, exc_type: Any, exc: Any, tb: Any) -> None:
        await self.close()


# -- cursors


async def cursor_execute(
    cursor: Cursor, sql: str, parameters: Any = None, *, deadline: Any = None
) -> Cursor:
    """See Cursor.execute()."""
    parameters = [] if parameters is None else parameters
    with limited(deadline):
        await cursor._execute(cursor._cursor.execute, sql, parameters)
        return cursor


async def cursor_executemany(
    cursor: Cursor, sql: str, parameters: Any, *, deadline: Any = None
) -> Cursor:
    """See Cursor.executemany()."""
    with limited(deadline):
        await cursor._execute(cursor._cursor.executemany, sql, parameters)
        return cursor


async def cursor_executescript(cursor: Cursor, sql_script: str, *, deadline: Any = None) -> Cursor:
    """See Cursor.executescript()."""
    with limited(deadline):
        await cursor._execute(cursor._cursor.executescript, sql_script)
        return cursor


async def cursor_fetchone(cursor: Cursor, *, deadline: Any = None) -> Any:
    """See Cursor.fetchone()."""
    with limited(deadline):
        return await cursor._execute(cursor._cursor.fetchone)


async def cursor_fetchmany(cursor: Cursor, size: Any = None, *, deadline: Any = None) -> Any:
    """See Cursor.fetchmany()."""
    with limited(deadline):
        if size is None:
            return await cursor._execute(cursor._cursor.fetchmany)
        return await cursor._execute(cursor._cursor.fetchmany, size)


async def cursor_fetchall(cursor: Cursor, *, deadline: Any = None) -> Any:
    """See Cursor.fetchall()."""
    with limited(deadline):
        return await cursor._execute(cursor._cursor.fetchall)


async def cursor_close(cursor: Cursor) -> None:
    """See Cursor.close()."""
    with lifted():
        await cursor._execute(cursor._cursor.close)


async def cursor___anext__(cursor: Cursor) -> Any:
    """See Cursor.__anext__()."""
    row = await cursor_fetchone(cursor)
    if row is None:
        raise StopAsyncIteration
    return row


async def fetch_chunked(cursor: Cursor) -> AsyncIterator[Any]:
    """Give the rows of any cursor, by its own fetchmany(), which a subclass may have replaced."""
    while True:
        rows = await cursor.fetchmany(cursor.iter_chunk_size)
        if not rows:
            return
        for row in rows:
            yield row
