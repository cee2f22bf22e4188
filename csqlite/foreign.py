"""Connections that are not csqlite's own: what Connection(connector, ...) does with the
connection that some other connector returns (sqlite3, SQLCipher, a subclass of either).

The extension calls these functions in place of its own methods, with the Connection or the
Cursor first. Each returns what the worker is to call in its turn: the method of the connection
below, bound to its arguments. What that returns, the awaited call gives.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Optional

from .cursor import Cursor
from .deadlines import lifted
from .fetching import RowCountError
from .notes import explain

if TYPE_CHECKING:
    from . import _csqlite
    from ._csqlite import Connection

Work = Callable[[], Any]

# -- connections


def _below(db: "Connection") -> Any:
    """Return the connection of the other module."""
    return db._foreign


def _cursor(db: "Connection", function: Any, *arguments: Any) -> Cursor:
    """On the worker: return a cursor over the one that a function of the connection below gives."""
    return Cursor(db, function(*arguments))


class _Rows:
    """The rows of executemany(), counted as they are taken."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self.taken = 0
        self.own: Optional[BaseException] = None  # What the iterable itself has raised.

    def __iter__(self) -> Iterator[Any]:
        return self._counted(iter(self._rows))

    def _counted(self, rows: Iterator[Any]) -> Iterator[Any]:
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except BaseException as error:
                self.own = error
                raise
            self.taken += 1
            yield row


def _sql(function: Any, sql: str, *arguments: Any) -> Any:
    """On the worker: execute. An exception tells what, as those of csqlite's own connections do."""
    rows = arguments[0] if arguments and isinstance(arguments[0], _Rows) else None
    try:
        return function(sql, *arguments)
    except Exception as error:
        if rows is None:
            _explain(error, sql)
        elif error is not rows.own:
            _explain(error, sql, rows.taken - 1)
        raise


def _explain(error: Exception, sql: Any, row: int = -1) -> None:
    """Let an exception tell the SQL, and the place in it where the module below knows it."""
    offset = getattr(error, "sqlite_error_offset", getattr(error, "error_offset", -1))
    if not isinstance(error, MemoryError):
        explain(error, sql, offset if isinstance(offset, int) else -1, row=row)


def _executed(db: "Connection", function: Any, sql: str, *arguments: Any) -> Cursor:
    """On the worker: return the cursor of what is executed."""
    made = _cursor(db, _sql, function, sql, *arguments)
    made._sql = sql
    return made


def cursor(db: "Connection", factory: Any = None, *, row_factory: Any = ...) -> Work:
    """See Connection.cursor(); `factory` makes the cursor below, on the worker."""
    arguments = () if factory is None else (factory,)
    function = _below(db).cursor

    def make() -> Cursor:
        made = _cursor(db, function, *arguments)
        if row_factory is not ...:
            made.row_factory = row_factory
        return made

    return make


def execute(db: "Connection", sql: str, parameters: Any = None) -> Work:
    """See Connection.execute()."""
    return partial(_executed, db, _below(db).execute, sql, _given(parameters))


def executemany(db: "Connection", sql: str, parameters: Any) -> Work:
    """See Connection.executemany()."""
    return partial(_executed, db, _below(db).executemany, sql, _Rows(parameters))


def executescript(db: "Connection", sql_script: str) -> Work:
    """See Connection.executescript()."""
    return partial(_executed, db, _below(db).executescript, sql_script)


def execute_insert(db: Any, sql: str, parameters: Any = None) -> Work:
    """See Connection.execute_insert()."""
    return partial(_sql, db._execute_insert, sql, _given(parameters))


def execute_fetchall(db: Any, sql: str, parameters: Any = None) -> Work:
    """See Connection.execute_fetchall()."""
    return partial(_sql, db._execute_fetchall, sql, _given(parameters))


fetch_all = execute_fetchall


def _one(db: Any, sql: str, parameters: Any, wanted: str, least: int) -> Any:
    """On the worker: return the only row, None for none where there may be none."""
    rows = _sql(db._execute_fetchall, sql, parameters)
    if not least <= len(rows) <= 1:
        raise RowCountError(wanted, len(rows), sql)
    return rows[0] if rows else None


def fetch_one(db: Any, sql: str, parameters: Any = None) -> Work:
    """See Connection.fetch_one()."""
    return partial(_one, db, sql, _given(parameters), "one row", 1)


def fetch_optional(db: Any, sql: str, parameters: Any = None) -> Work:
    """See Connection.fetch_optional()."""
    return partial(_one, db, sql, _given(parameters), "one row or none", 0)


def _scalar(db: Any, sql: str, parameters: Any) -> Any:
    """On the worker: return the first value of the first row."""
    cursor = _below(db).cursor()
    try:
        cursor.row_factory = None
        _sql(cursor.execute, sql, parameters)
        row = cursor.fetchone()
    finally:
        cursor.close()
    return None if row is None else row[0]


def fetch_scalar(db: Any, sql: str, parameters: Any = None) -> Work:
    """See Connection.fetch_scalar()."""
    return partial(_scalar, db, sql, _given(parameters))


def _given(parameters: Any) -> Any:
    return [] if parameters is None else parameters


def commit(db: "Connection") -> Work:
    """See Connection.commit()."""
    return partial(_below(db).commit)


def rollback(db: "Connection") -> Work:
    """See Connection.rollback()."""
    return partial(_below(db).rollback)


def create_function(
    db: "Connection",
    name: str,
    num_params: int,
    func: Any,
    deterministic: bool = False,
    **flags: Any,
) -> Work:
    """See Connection.create_function(). sqlite3 knows no other flag than `deterministic`."""
    function = _below(db).create_function
    return partial(function, name, num_params, func, deterministic=deterministic, **flags)


def create_aggregate(db: "Connection", name: str, n_arg: int, aggregate_class: Any) -> Work:
    """See Connection.create_aggregate()."""
    return partial(_below(db).create_aggregate, name, n_arg, aggregate_class)


def create_window_function(
    db: "Connection", name: str, num_params: int, aggregate_class: Any, /
) -> Work:
    """See Connection.create_window_function()."""
    return partial(_below(db).create_window_function, name, num_params, aggregate_class)


def create_collation(db: "Connection", name: str, callback: Any) -> Work:
    """See Connection.create_collation()."""
    return partial(_below(db).create_collation, name, callback)


def set_authorizer(db: "Connection", authorizer_callback: Any) -> Work:
    """See Connection.set_authorizer()."""
    return partial(_below(db).set_authorizer, authorizer_callback)


def set_progress_handler(db: "Connection", handler: Any, n: int, **kwargs: Any) -> Work:
    """See Connection.set_progress_handler()."""
    return partial(_below(db).set_progress_handler, handler, n, **kwargs)


def set_trace_callback(db: "Connection", handler: Any) -> Work:
    """See Connection.set_trace_callback()."""
    return partial(_below(db).set_trace_callback, handler)


def enable_load_extension(db: "Connection", value: bool, *, allow: Any = None) -> Work:
    """See Connection.enable_load_extension()."""
    if allow is not None:
        raise sqlite3.NotSupportedError(
            "another module's connection has no list of allowed extensions"
        )
    return partial(_below(db).enable_load_extension, value)


def load_extension(db: "Connection", path: str, **kwargs: Any) -> Work:
    """See Connection.load_extension()."""
    return partial(_below(db).load_extension, path, **kwargs)


def serialize(db: "Connection", *, name: str = "main") -> Work:
    """See Connection.serialize()."""
    return partial(_below(db).serialize, name=name)


def deserialize(db: "Connection", data: Any, /, *, name: str = "main") -> Work:
    """See Connection.deserialize()."""
    return partial(_below(db).deserialize, data, name=name)


def setlimit(db: "Connection", category: int, limit: int, /) -> Work:
    """See Connection.setlimit()."""
    return partial(_below(db).setlimit, category, limit)


def getlimit(db: "Connection", category: int, /) -> Work:
    """See Connection.getlimit()."""
    return partial(_below(db).getlimit, category)


def setconfig(db: "Connection", op: int, enable: bool = True, /) -> Work:
    """See Connection.setconfig()."""
    return partial(_below(db).setconfig, op, enable)


def getconfig(db: "Connection", op: int, /) -> Work:
    """See Connection.getconfig()."""
    return partial(_below(db).getconfig, op)


def refuse(db: "_csqlite.Connection", what: str) -> None:
    """Raise NotSupportedError for what only csqlite's own connections have."""
    if db._foreign is not None:
        kind = type(db._foreign)
        raise sqlite3.NotSupportedError(
            f"{what} needs csqlite's own connection, not {kind.__module__}.{kind.__qualname__}"
        )


def _if_there(name: str) -> Callable[..., Work]:
    """Return a function that calls the method of that name, where the connection has one."""

    def method(db: "Connection", *args: Any, **kwargs: Any) -> Work:
        function: Any = getattr(db._foreign, name, None)
        if function is None:
            refuse(db, f"{name}()")
        return partial(function, *args, **kwargs)

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


def blobopen(db: "Connection", *args: Any, **kwargs: Any) -> Work:
    """See Connection.blobopen()."""
    function = _below(db).blobopen
    return lambda: Blob(db, function(*args, **kwargs))


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


def _raw(cursor: Cursor) -> Any:
    """Return the cursor below."""
    raw = cursor._cursor
    if getattr(raw, "_owner", None) is cursor:
        raise sqlite3.ProgrammingError("the cursor has none of its connection's module")
    return raw


def cursor_execute(cursor: Cursor, sql: str, parameters: Any = None) -> Work:
    """See Cursor.execute()."""
    return partial(_itself, cursor, _raw(cursor).execute, sql, _given(parameters))


def cursor_executemany(cursor: Cursor, sql: str, parameters: Any) -> Work:
    """See Cursor.executemany()."""
    return partial(_itself, cursor, _raw(cursor).executemany, sql, _Rows(parameters))


def cursor_executescript(cursor: Cursor, sql_script: str) -> Work:
    """See Cursor.executescript()."""
    return partial(_itself, cursor, _raw(cursor).executescript, sql_script)


def _itself(cursor: Cursor, function: Any, sql: str, *arguments: Any) -> Cursor:
    """On the worker: execute with the cursor below."""
    cursor._sql = sql
    _sql(function, sql, *arguments)
    return cursor


def _fetched(cursor: Cursor, function: Any, *arguments: Any) -> Any:
    """On the worker: fetch with the cursor below."""
    try:
        return function(*arguments)
    except Exception as error:
        if any(kind.__name__ == "Error" for kind in type(error).__mro__):  # As PEP 249 names it.
            _explain(error, cursor._sql)
        raise


def cursor_fetchone(cursor: Cursor) -> Work:
    """See Cursor.fetchone()."""
    return partial(_fetched, cursor, _raw(cursor).fetchone)


# None says that there are no more.
cursor___anext__ = cursor_fetchone


def cursor_fetchmany(cursor: Cursor, size: Any = None) -> Work:
    """See Cursor.fetchmany()."""
    function = _raw(cursor).fetchmany
    return partial(_fetched, cursor, function, *(() if size is None else (size,)))


def cursor_fetchall(cursor: Cursor) -> Work:
    """See Cursor.fetchall()."""
    return partial(_fetched, cursor, _raw(cursor).fetchall)


def cursor_close(cursor: Cursor) -> Work:
    """See Cursor.close()."""
    return partial(_raw(cursor).close)


async def fetch_chunked(cursor: Cursor) -> AsyncIterator[Any]:
    """Give the rows of any cursor, by its own fetchmany(), which a subclass may have replaced."""
    while True:
        rows = await cursor.fetchmany(cursor.iter_chunk_size)
        if not rows:
            return
        for row in rows:
            yield row
