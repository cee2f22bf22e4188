"""connect() and Connection, where aiosqlite has them: `csqlite.core`.

The work is done by the extension. Here is what needs no C: reading the arguments of
connect(), and the names without promise that programs written for aiosqlite touch.
"""

import asyncio
import contextlib
import inspect
import logging
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, Callable, Literal as _Literal, Optional, Union
from warnings import warn

from . import (
    _csqlite,
    backup,
    copies,
    foreign,
    groups,
    notes,
    pragmas,
    readers,
    statement,
    tables,
    transactions,
    values,
    worker,
)
from .callers import coroutine_function, noted
from .cursor import Cursor
from .deadlines import DeadlineExceeded, limited
from .fetching import Fetching
from .observing import Observing
from .worker import _connection_worker_thread, set_exception, set_result  # noqa: F401

if TYPE_CHECKING:
    from types import FrameType

    from _typeshed import StrOrBytesPath

__all__ = ["Connection", "Cursor", "connect"]

AuthorizerCallback = Callable[[int, str, str, str, str], int]

IsolationLevel = Optional[_Literal["DEFERRED", "IMMEDIATE", "EXCLUSIVE"]]

LOG = logging.getLogger("aiosqlite")

_STOP_RUNNING_SENTINEL = object()

# The standard module's own, to notice when somebody has put another in their place.
_STDLIB = sqlite3
_STDLIB_CONNECT = sqlite3.connect

_GUARD = copies.Guard()
_HABITS = copies.Habits()

# The options of sqlite3.connect() in the order of its positional parameters.
_DEFAULTS = {
    "timeout": 5.0,
    "detect_types": 0,
    "isolation_level": "",
    "check_same_thread": True,
    "factory": None,
    "cached_statements": 128,
    "uri": False,
    "autocommit": -1,
    "vfs": None,
    "untrusted": False,
    "reader_warning": readers.DEFAULT,
    "pragmas": None,
    "init": None,
    "read_only": False,
    "group_commit": False,
    "max_batch": groups.MAX_BATCH,
    "max_delay": groups.MAX_DELAY,
}

# Those of them that only csqlite has.
_OWN = (
    "untrusted",
    "reader_warning",
    "pragmas",
    "init",
    "read_only",
    "group_commit",
    "max_batch",
    "max_delay",
)

# Those of these that need csqlite's own connection.
_NATIVE = {
    "untrusted": "untrusted=True",
    "reader_warning": "reader_warning",
    "read_only": "read_only=True",
    "group_commit": "group_commit=True",
}


class _Connector:
    """What connect() was asked for.

    Calling it opens the database with the sqlite3 module, as calling aiosqlite's connector
    does. csqlite itself asks for `native_options()` instead.
    """

    def __init__(
        self,
        database: "StrOrBytesPath",
        options: dict[str, Any],
        row_factory: Any,
        frame: "Optional[FrameType]",
    ) -> None:
        self.database = database
        self.row_factory = row_factory
        self.options = options
        # Where connect() was called, as far as that costs nothing: the line is found later.
        self.code = None if frame is None else frame.f_code
        self.instruction = -1 if frame is None else frame.f_lasti

    def __repr__(self) -> str:
        database = self.database
        if isinstance(database, bytes):
            return repr(os.fsdecode(database))
        return repr(str(database) if isinstance(database, os.PathLike) else database)

    def opened_at(self) -> str:
        """Return words that tell where connect() was called, "" where nobody knows."""
        if self.code is None:
            return ""
        line = notes.line_of(self.code, self.instruction)
        return f", made by connect() at {self.code.co_filename}:{line},"

    def location(self) -> str:
        """Return the database as a path, the way aiosqlite reads it."""
        if isinstance(self.database, bytes):
            return self.database.decode("utf-8")
        return str(self.database)

    def __call__(self) -> Any:
        options = {name: value for name, value in self.options.items() if name not in _OWN}
        for name, shown in _NATIVE.items():
            if self.options.get(name) not in (None, False):
                raise _STDLIB.NotSupportedError(
                    f"{shown} needs csqlite's own connection, not one of another module"
                )
        named = pragmas.settings(self.options.get("pragmas"))
        setup = [pragmas.scripts({name: named[name]})[0] for name in named]
        try:
            connection = sqlite3.connect(self.location(), **options)
        except Exception as error:
            notes.name_file(error, self.location())
            raise
        for sql in filter(None, setup):
            connection.execute(sql)
        if self.row_factory is not None:
            connection.row_factory = self.row_factory
        return connection

    def native_options(self) -> Optional[tuple[Any, ...]]:
        """Return what the extension needs to open the database itself.

        None says that the sqlite3 module, or what stands in its place, has to open it: a
        factory is asked for, or core.sqlite3 or its connect() was replaced.
        """
        if sqlite3 is not _STDLIB or sqlite3.connect is not _STDLIB_CONNECT:
            return None
        path = os.fsencode(self.location())
        if b"\0" in path:
            raise ValueError("embedded null byte")
        settings = _settings(self.options) if self.options else _DEFAULT_SETTINGS
        if settings is None:
            return None
        habitual, sql = _HABITS.ask()
        flags = settings[0] | habitual
        if _GUARD.needed:
            _GUARD.opening(self.location(), bool(flags & _csqlite.SQLITE_OPEN_URI))
        setup = (sql or "") + settings[-2] or None
        return (path, flags, *settings[1:-2], setup, settings[-1], self.row_factory)


def _settings(options: dict[str, Any]) -> Optional[tuple[Any, ...]]:
    """Return what native_options() gives behind the path, None if sqlite3 has to open it."""
    for name in options:
        if name not in _DEFAULTS:
            raise TypeError(f"{name!r} is an invalid keyword argument for Connection()")
    options = {**_DEFAULTS, **options}
    if options["factory"] not in (None, sqlite3.Connection):
        return None
    read_only = bool(options["read_only"])
    flags = _csqlite.SQLITE_OPEN_READWRITE | _csqlite.SQLITE_OPEN_CREATE
    if read_only:
        flags = _csqlite.SQLITE_OPEN_READONLY
    if options["uri"]:
        flags |= _csqlite.SQLITE_OPEN_URI
    return (
        flags,
        _number(options["timeout"]),
        options["detect_types"],
        _level(options["isolation_level"]),
        bool(options["check_same_thread"]),
        options["cached_statements"],
        _control(options["autocommit"]),
        _vfs(options["vfs"]),
        bool(options["untrusted"]),
        readers.seconds(options["reader_warning"]),
        *groups.limits(options),
        *pragmas.scripts(pragmas.settings(options["pragmas"], read_only)),
    )


def _number(value: Any) -> float:
    """Return a number of seconds, or raise what sqlite3 raises for anything else."""
    if hasattr(value, "__float__") or hasattr(value, "__index__"):
        return max(0.0, float(value))
    raise TypeError(f"must be real number, not {type(value).__name__}")


def _level(value: Any) -> Optional[str]:
    """Return an isolation level in SQLite's spelling, or raise what sqlite3 raises."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("isolation_level must be str or None")
    if b"\0" in value.encode():
        raise ValueError("embedded null character")
    if value.upper() not in ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"):
        raise ValueError(
            "isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'"
        )
    return value.upper()


def _control(value: Any) -> int:
    """Return how transactions are controlled, or raise what sqlite3 raises."""
    if value is True or value is False or (isinstance(value, int) and value == -1):
        return int(value)
    raise ValueError("autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL")


def _vfs(value: Any) -> Optional[str]:
    """Return the name of a VFS, or None for SQLite's default."""
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"vfs must be str or None, not {type(value).__name__}")


_DEFAULT_SETTINGS = _settings({})


class Connection(_csqlite.Connection, Fetching, Observing):
    """An SQLite connection whose work is done by a thread of its own.

    Made by connect(). Await it, or enter it with `async with`, to open it. Its methods are
    the extension's but for those below.
    """

    # As PEP 249 suggests, for programs that are given a connection and not the module.
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

    @noted
    async def backup(
        self,
        target: "Union[_csqlite.Connection, sqlite3.Connection, StrOrBytesPath]",
        *,
        pages: int = -1,
        progress: Optional[Callable[[int, int, int], object]] = None,
        name: str = "main",
        sleep: float = 0.250,
        deadline: Optional[float] = None,
    ) -> None:
        """Copy the database into another one, which it replaces.

        target: a csqlite Connection, a sqlite3.Connection, or the path of a file, which is
        opened for it and closed afterwards. pages: how many are copied at a time; 0 or less:
        all. progress: called as progress(status, remaining, total) after each step; a
        coroutine function is awaited. name: the schema to copy. sleep: seconds between two
        steps, when the connection is free for other work. deadline: seconds, as of execute();
        looked at between two steps.

        Raises ValueError when the target is this connection or the file that it has open,
        sqlite3.Error when the copy fails. As sqlite3's Connection.backup(), which takes no
        path and no coroutine function; a plain `progress` runs on a worker.
        """
        with limited(deadline):
            plan = backup.Plan(pages, progress, name, sleep)
            await backup.run(self, target, plan, connect)

    @noted
    async def iterdump(self, *, filter: Optional[str] = None) -> AsyncIterator[str]:
        """Give the lines of an SQL script that rebuilds the database.

        filter: a LIKE pattern for the names of objects (sqlite3 has it since Python 3.13).
        Raises ValueError when the connection is not open.
        """
        if self._foreign is not None:
            for line in await self._execute(foreign.dump, self._foreign, filter):
                yield line
            return
        cursor = await self._dump(values.name_like(filter))
        cursor.iter_chunk_size = 512
        try:
            async for (line,) in cursor:
                yield line
        finally:
            # Who left the dump half-read may have closed the connection since. A close that is late
            # goes on, and nobody may be left to be told.
            with contextlib.suppress(ValueError, sqlite3.ProgrammingError, DeadlineExceeded):
                await cursor.close()

    @noted
    async def create_module(
        self,
        name: str,
        source: Any,
        columns: Optional["tables.Columns"] = None,
        *,
        parameters: Optional[Iterable[str]] = None,
        directonly: bool = False,
    ) -> None:
        """Let SQL read rows from Python: SELECT * FROM name, or FROM name(1, 2).

        source: a callable that is given SQL's arguments and returns an iterable or an
        asynchronous iterable of rows (so a generator function of either kind, or a coroutine
        function that returns a list), or such an iterable itself; a class with a method rows()
        and, if it can be written to, insert(), update() and delete(), of which CREATE VIRTUAL
        TABLE t USING name(...) makes more tables; None removes the module.
        columns: their names, or (name, type), or a dict of types; by default `source.columns`.
        parameters: names of SQL's arguments, by default those of the callable's.
        directonly: not in views and triggers, SQLITE_VTAB_DIRECTONLY.

        A row is a sequence of values, a dict by names, or the value itself of a table with one
        column. Values are those that a user function may return. What is synchronous runs on
        the worker, what is asynchronous on the loop of the awaiting task; an exception makes
        the statement fail with OperationalError and its text. Some rows more than SQL reads may
        be asked for.

        Raises TypeError or ValueError for a source or columns that make no table,
        NotSupportedError for a foreign connection. sqlite3_create_module_v2(); simpler than
        apsw's create_module(), and as its make_virtual_module().
        """
        foreign.refuse(self, "create_module()")
        if source is None:
            await self._create_module(name, None, tables.EPONYMOUS)
        else:
            connect, kind = tables.connector(source, columns, parameters, directonly)
            await self._create_module(name, connect, kind)

    @noted
    async def statement_info(self, sql: str) -> statement.StatementInfo:
        """Return what SQLite knows of the first statement of `sql`, without running it.

        Raises what preparing it raises: OperationalError for a syntax error or a missing
        table. For SQL without a statement all is empty. As apsw.ext.query_info().
        """
        return await statement.describe(self, sql)

    @noted
    async def script_info(self, sql_script: str) -> list[statement.StatementInfo]:
        """Return the same for each statement of a script.

        Nothing is run: a statement that uses a table which an earlier one would create
        raises OperationalError.
        """
        return await statement.describe_script(self, sql_script)

    def transaction(
        self,
        mode: str = "immediate",
        *,
        read_only: bool = False,
        deadline: Optional[float] = None,
    ) -> "transactions.Block":
        """Return a block that commits at its end, and rolls back when it is left by an exception.

            async with db.transaction() as tx:
                await tx.execute(sql)

        While it is open, what other tasks call on the connection waits, in order. What is called on `tx` runs
        inside, from any task, and so does what the task that has entered the block calls on the
        connection. Within another one of the same task it is a savepoint.

        mode: "deferred", "immediate", "exclusive", or "concurrent", where this SQLite has that.
        read_only: deferred, and nothing can be written. deadline: seconds from when it is entered, for waiting and for
        BEGIN. Entering raises OperationalError when the database is locked, ProgrammingError when the task has a
        transaction open that a statement has begun. See docs/transactions.md.
        """
        foreign.refuse(self, "transaction")
        return transactions.block(self, mode, read_only, deadline)

    def savepoint(
        self, name: Optional[str] = None, *, deadline: Optional[float] = None
    ) -> "transactions.Block":
        """Return the block of a savepoint in the task's transaction; without one, of a deferred transaction.

        It is released at its end, and rolled back to when the block is left by an exception. name: as in
        SQL, by default one of its own.
        """
        foreign.refuse(self, "savepoint")
        return transactions.Block(self, None, name=name, deadline=deadline)

    @noted
    async def begin(
        self,
        mode: str = "immediate",
        *,
        read_only: bool = False,
        deadline: Optional[float] = None,
    ) -> "transactions.Transaction":
        """Begin a transaction by hand; its commit() or rollback() ends it.

        As transaction() in everything else. One that is forgotten is rolled back, with a ResourceWarning.
        """
        foreign.refuse(self, "begin")
        return await transactions.begin(self, mode, read_only, deadline)

    @coroutine_function
    def run_transaction(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        mode: str = "immediate",
        retries: int = 5,
    ) -> Coroutine[Any, Any, Any]:
        """Call `await function(tx, *arguments)` in a transaction, and give its result.

        On SQLITE_BUSY (and SQLITE_BUSY_SNAPSHOT) it is rolled back and called again, up to `retries` times, each
        time after a longer pause; not within another transaction. A COMMIT that is busy is
        tried again by itself. So the function may run several times, but only once is it committed.
        """
        foreign.refuse(self, "run_transaction")
        make = transactions.maker(self, mode, retries)
        return transactions.run(make, retries, function, arguments)

    def attempts(
        self, retries: int = 5, *, mode: str = "immediate"
    ) -> AsyncIterator["transactions.Attempt"]:
        """Give attempts at a transaction until one is committed, as run_transaction().

        async for attempt in db.attempts():
            async with attempt as tx:
                await tx.execute(sql)
        """
        foreign.refuse(self, "attempts")
        return transactions.attempts(transactions.maker(self, mode, retries), retries)

    @property
    def _timeout(self) -> float:
        """How long locks are waited for, in seconds."""
        options = getattr(self._connector, "options", {})
        return float(options.get("timeout", _DEFAULTS["timeout"]))

    # What follows is private in name and used all the same; see docs/compat.md.

    @property
    def _thread(self) -> "worker.WorkerThread":
        """The worker, as far as a threading.Thread can show it."""
        thread = self.__dict__.get("_worker_thread")
        if thread is None:
            thread = self.__dict__["_worker_thread"] = worker.WorkerThread(self)
        return thread

    @property
    def _tx(self) -> "worker.Transactions":
        """The worker's queue, as far as aiosqlite's users put things into it."""
        return worker.Transactions(self)

    def _execute_insert(self, sql: str, parameters: Any) -> Any:
        """On the worker: execute an INSERT and give a row with last_insert_rowid()."""
        cursor = self._conn.execute(sql, parameters)
        cursor.execute("SELECT last_insert_rowid()")
        return cursor.fetchone()

    def _execute_fetchall(self, sql: str, parameters: Any) -> Any:
        """On the worker: execute a query and give all its rows."""
        return self._conn.execute(sql, parameters).fetchall()


class _Initialized(Connection):
    """A connection that is handed out when `init` is through with it."""

    _init: Callable[["Connection"], Any]

    def __await__(self) -> Generator[Any, None, "_Initialized"]:
        return self._initialized().__await__()

    async def __aenter__(self) -> "_Initialized":
        return await self._initialized()

    async def _initialized(self) -> "_Initialized":
        await self._connect()
        try:
            coming = self._init(self)
            if inspect.isawaitable(coming):
                await coming
        except BaseException:
            await self.close()
            raise
        return self


# Nobody is to see the difference.
_Initialized.__name__ = _Initialized.__qualname__ = "Connection"


def connect(
    database: "StrOrBytesPath",
    *,
    iter_chunk_size: int = 64,
    loop: Optional[asyncio.AbstractEventLoop] = None,
    row_factory: Any = None,
    **kwargs: Any,
) -> Connection:
    """Return a connection to an SQLite database; await it, or `async with` it, to open it.

    database: a path (str, bytes, os.PathLike), ":memory:", or a URI with uri=True (without it,
    too, where the running sqlite3 takes one without).
    iter_chunk_size: how many rows are fetched ahead. loop: ignored, with a DeprecationWarning.
    row_factory: what makes rows of tuples, as the property; None: nothing does.
    The others are those of sqlite3.connect(): timeout (seconds), detect_types,
    isolation_level, check_same_thread, factory, cached_statements, uri, and, on every Python
    version, autocommit. vfs: the name of an SQLite VFS, one of vfs_list(); with uri=True, a
    "vfs=" in the URI comes first. untrusted: the file is a stranger's; its schema may run no
    function that was not declared innocuous, what is large or deep in it is an error, and
    no extension can be loaded. docs/security.md says what that is good for. reader_warning: after
    how many seconds a cursor that is still half-read is told of, in a ResourceWarning that
    names its SQL and where it was executed; None: never, the default but in Python's
    development mode, where it is 60. See docs/reader-warning.md. pragmas: what to set first, a
    mapping of names to str, int, float or bool, or "server", docs/pragmas.md; they come in
    their order. read_only: the file is opened for reading alone (SQLITE_OPEN_READONLY), and has
    to be there. group_commit: autocommit writes of many tasks that wait together are committed at
    once, docs/group-commit.md; it needs isolation_level=None or autocommit=True. max_batch: how many
    at most. max_delay: seconds that one write waits for others.
    init: called with the connection when it is open, before anybody else has it;
    what it gives is awaited, if it can be; when it raises, the connection is closed and opening
    raises that.

    Opening raises sqlite3.OperationalError when the file cannot be opened or there is no such
    VFS, TypeError or ValueError for options that make no sense, NotSupportedError for
    `untrusted`, `reader_warning`, `read_only` or `group_commit` where another module opens the
    database. With `factory`, the sqlite3 module opens the database and csqlite only awaits it.
    """
    if loop is not None:
        warn(
            "aiosqlite.connect() no longer uses the `loop` parameter",
            DeprecationWarning,
            stacklevel=2,
        )
    if "group_commit" in kwargs:
        groups.limits(kwargs)
    connector = _Connector(database, kwargs, row_factory, sys._getframe(1))
    init = kwargs.get("init")
    if init is None:
        return Connection(connector, iter_chunk_size)
    if not callable(init):
        raise TypeError(f"init must be callable, not {type(init).__name__}")
    connection = _Initialized(connector, iter_chunk_size)
    connection._init = init
    return connection


def _signature() -> inspect.Signature:
    """Return connect()'s signature with every option, for those who complete what they type.

    A wrong name is refused when the connection is opened, as by sqlite3: so they are one
    parameter of the function.
    """
    kind = inspect.Parameter.KEYWORD_ONLY
    own = inspect.signature(connect)
    named = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
    options = [inspect.Parameter(name, kind, default=value) for name, value in _DEFAULTS.items()]
    return own.replace(parameters=[named[0], *options, *named[1:]])


connect.__signature__ = _signature()  # type: ignore[attr-defined]
