"""The synchronous view: what `Connection._conn` and `Cursor._cursor` give.

aiosqlite's users hand methods of the sqlite3 connection below to the worker, as in
`await db._execute(db._conn.create_collation, ...)`. These two classes look like that
connection and its cursor. Every method makes the request that the asynchronous method
makes, and runs it where it is called: on the worker, or, with check_same_thread=False, in
any thread.
"""

import sqlite3
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from . import backup
from .cursor import Cursor
from .deadlines import DeadlineExceeded
from .values import name_like

if TYPE_CHECKING:
    from ._csqlite import Blob
    from .core import Connection

_T = TypeVar("_T")


def _owners(name: str, doc: str) -> property:
    """Return a property that is the owner's of that name, which may refuse to be set."""
    return property(
        lambda self: getattr(self._owner, name),
        lambda self, value: setattr(self._owner, name, value),
        doc=doc,
    )


class RawCursor:
    """A cursor as sqlite3's, over one of csqlite's."""

    def __init__(self, owner: "Cursor[Any]", factory: Any = None) -> None:
        self._owner = owner

    def _run(self, request: Awaitable[_T]) -> _T:
        return self._owner._conn._run(request)

    def execute(self, sql: str, parameters: Any = ()) -> "RawCursor":
        """As sqlite3's Cursor.execute()."""
        self._run(self._owner.execute(sql, parameters))
        return self

    def executemany(self, sql: str, parameters: Any) -> "RawCursor":
        """As sqlite3's Cursor.executemany()."""
        self._run(self._owner.executemany(sql, parameters))
        return self

    def executescript(self, sql_script: str) -> "RawCursor":
        """As sqlite3's Cursor.executescript()."""
        self._run(self._owner.executescript(sql_script))
        return self

    def fetchone(self) -> Any:
        """As sqlite3's Cursor.fetchone()."""
        return self._run(self._owner.fetchone())

    def fetchmany(self, size: Optional[int] = None) -> list[Any]:
        """As sqlite3's Cursor.fetchmany()."""
        return self._run(self._owner.fetchmany(size))

    def fetchall(self) -> list[Any]:
        """As sqlite3's Cursor.fetchall()."""
        return self._run(self._owner.fetchall())

    def close(self) -> None:
        """As sqlite3's Cursor.close()."""
        self._run(self._owner.close())

    def setinputsizes(self, sizes: Any, /) -> None:
        """Do nothing, as PEP 249 allows."""

    def setoutputsize(self, size: Any, column: Any = None, /) -> None:
        """Do nothing, as PEP 249 allows."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    @property
    def connection(self) -> Any:
        """The connection it belongs to, a synchronous one as well."""
        return self._owner._conn._conn

    description = _owners("description", "One 7-tuple a column, or None.")
    rowcount = _owners("rowcount", "Rows changed by DML, else -1.")
    lastrowid = _owners("lastrowid", "last_insert_rowid() after the last execute().")
    arraysize = _owners("arraysize", "How many rows fetchmany() gives by default.")
    row_factory = _owners("row_factory", "What makes rows of tuples, or None.")


class RawBlob:
    """A blob as sqlite3's, over one of csqlite's."""

    def __init__(self, owner: "Connection", blob: "Blob") -> None:
        self._owner = owner
        self._blob = blob

    def read(self, length: int = -1, /) -> bytes:
        """As sqlite3's Blob.read()."""
        return self._owner._run(self._blob.read(length))

    def write(self, data: Any, /) -> None:
        """As sqlite3's Blob.write()."""
        self._owner._run(self._blob.write(data))

    def seek(self, offset: int, origin: int = 0, /) -> None:
        """As sqlite3's Blob.seek()."""
        self._owner._run(self._blob.seek(offset, origin))

    def tell(self) -> int:
        """As sqlite3's Blob.tell()."""
        return self._owner._run(self._blob.tell())

    def reopen(self, rowid: int, /) -> None:
        """As apsw's Blob.reopen()."""
        self._owner._run(self._blob.reopen(rowid))

    def close(self) -> None:
        """As sqlite3's Blob.close()."""
        self._owner._run(self._blob.close())

    def __len__(self) -> int:
        return len(self._blob)

    def __getitem__(self, key: Any) -> Any:
        return self._owner._run(self._blob[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._owner._run(self._blob.set(key, value))

    def __enter__(self) -> "RawBlob":
        len(self)  # Raises ProgrammingError when it is closed.
        return self

    def __exit__(self, exc_type: Any, exc: Any, tb: Any) -> None:
        self._owner._run(self._blob.__aexit__(exc_type, exc, tb))


class RawConnection:
    """A connection as sqlite3's, over one of csqlite's."""

    Warning = sqlite3.Warning
    Error = sqlite3.Error
    InterfaceError = sqlite3.InterfaceError
    DatabaseError = sqlite3.DatabaseError
    DataError = sqlite3.DataError
    OperationalError = sqlite3.OperationalError
    IntegrityError = sqlite3.IntegrityError
    InternalError = sqlite3.InternalError
    ProgrammingError = sqlite3.ProgrammingError
    NotSupportedError = sqlite3.NotSupportedError
    DeadlineExceeded = DeadlineExceeded

    def __init__(self, owner: "Connection") -> None:
        self._owner = owner

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RawConnection) and other._owner is self._owner

    def __hash__(self) -> int:
        return hash(id(self._owner))

    def cursor(self, factory: Any = None) -> Any:
        """As sqlite3's Connection.cursor()."""
        cursor = RawCursor(Cursor(self._owner))
        return cursor if factory is None else factory(self)

    def execute(self, sql: str, parameters: Any = ()) -> RawCursor:
        """As sqlite3's Connection.execute()."""
        return RawCursor(self._owner._run(self._owner.execute(sql, parameters)))

    def executemany(self, sql: str, parameters: Any) -> RawCursor:
        """As sqlite3's Connection.executemany()."""
        return RawCursor(self._owner._run(self._owner.executemany(sql, parameters)))

    def executescript(self, sql_script: str) -> RawCursor:
        """As sqlite3's Connection.executescript()."""
        return RawCursor(self._owner._run(self._owner.executescript(sql_script)))

    def iterdump(self, *, filter: Optional[str] = None) -> Iterator[str]:
        """As sqlite3's Connection.iterdump()."""
        lines = RawCursor(self._owner._run(self._owner._dump(name_like(filter))))
        return (line for (line,) in lines)

    def blobopen(
        self,
        table: str,
        column: str,
        rowid: int,
        /,
        *,
        readonly: bool = False,
        name: str = "main",
    ) -> RawBlob:
        """As sqlite3's Connection.blobopen()."""
        request = self._owner.blobopen(table, column, rowid, readonly=readonly, name=name)
        return RawBlob(self._owner, self._owner._run(request))

    def backup(
        self,
        target: Any,
        *,
        pages: int = -1,
        progress: Optional[Callable[[int, int, int], object]] = None,
        name: str = "main",
        sleep: float = 0.250,
    ) -> None:
        """As sqlite3's Connection.backup(), to a view like this one or a sqlite3.Connection.

        In a transaction of its own that has written it raises OperationalError, where sqlite3
        waits for ever.
        """
        plan = backup.Plan(pages, progress, name, sleep)
        backup.run_blocking(self._owner, target, plan)

    def interrupt(self) -> None:
        """As sqlite3's Connection.interrupt(): from any thread."""
        self._owner._interrupt()

    def __getattr__(self, name: str) -> Any:
        # commit, rollback, close, create_function …: the same name and arguments there.
        if name not in _SAME_NAME:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        method = getattr(self._owner, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            return self._owner._run(method(*args, **kwargs))

        return run

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, exc_type: Any, exc: Any, tb: Any) -> None:
        if exc_type is None:
            self.commit()
        else:
            self.rollback()

    in_transaction = _owners("in_transaction", "Whether a transaction is open.")
    total_changes = _owners("total_changes", "Rows changed since it was opened.")
    autocommit = _owners("autocommit", "How transactions are controlled: see connect().")
    isolation_level = _owners("isolation_level", "How the implicit BEGIN is qualified, or None.")
    row_factory = _owners("row_factory", "What makes rows of tuples, or None.")
    text_factory = _owners("text_factory", "What makes TEXT values of bytes.")


# Methods whose request gives what sqlite3's method of that name returns.
_SAME_NAME = frozenset(
    {
        "close",
        "commit",
        "create_aggregate",
        "create_collation",
        "create_function",
        "create_window_function",
        "deserialize",
        "enable_load_extension",
        "getconfig",
        "getlimit",
        "load_extension",
        "rollback",
        "serialize",
        "set_authorizer",
        "set_progress_handler",
        "set_trace_callback",
        "setconfig",
        "setlimit",
    }
)
