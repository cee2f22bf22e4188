"""asyncio and SQLite: aiosqlite's API as a C extension.

    import csqlite as aiosqlite

    async with aiosqlite.connect("app.db") as db:
        async with db.execute("SELECT name FROM person WHERE id = ?", (1,)) as cursor:
            print(await cursor.fetchone())

Exceptions, adapters, converters and `Row` are those of the standard `sqlite3` module;
`sqlite_version` is that of the SQLite csqlite itself uses. See docs/compat.md for every
difference from aiosqlite and `sqlite3`.
"""

import sqlite3 as _sqlite3
from sqlite3 import (
    PARSE_COLNAMES as PARSE_COLNAMES,
    PARSE_DECLTYPES as PARSE_DECLTYPES,
    Binary as Binary,
    DatabaseError,
    DataError as DataError,
    Date as Date,
    DateFromTicks as DateFromTicks,
    Error,
    IntegrityError,
    InterfaceError as InterfaceError,
    InternalError as InternalError,
    NotSupportedError,
    OperationalError,
    PrepareProtocol as PrepareProtocol,
    ProgrammingError,
    Row,
    Time as Time,
    TimeFromTicks as TimeFromTicks,
    TimestampFromTicks as TimestampFromTicks,
    Warning,
    adapt as adapt,
    adapters as adapters,
    apilevel as apilevel,
    converters as converters,
    paramstyle,
    register_adapter,
    register_converter,
    threadsafety as threadsafety,
)
from sqlite3.dbapi2 import Timestamp as Timestamp

try:
    from . import _csqlite
except ImportError:
    from importlib.util import find_spec as _find_spec

    if _find_spec("csqlite._csqlite") is not None:
        raise
    raise ImportError(
        f"{__path__[0]} is csqlite's source, without its extension: run Python in another directory"
        " to get the installed csqlite, or build the extension here with `pip install -e .`",
        name="csqlite._csqlite",
        path=__file__,
    ) from None

from . import (
    context as context,
    core as core,
    cursor as cursor,
    deadlines as deadlines,
    hooks as hooks,
    statement as statement,
    transactions as transactions,
)
from .__version__ import __version__
from ._csqlite import (
    SQLITE_CHANGESET_ABORT as SQLITE_CHANGESET_ABORT,
    SQLITE_CHANGESET_CONFLICT as SQLITE_CHANGESET_CONFLICT,
    SQLITE_CHANGESET_CONSTRAINT as SQLITE_CHANGESET_CONSTRAINT,
    SQLITE_CHANGESET_DATA as SQLITE_CHANGESET_DATA,
    SQLITE_CHANGESET_FOREIGN_KEY as SQLITE_CHANGESET_FOREIGN_KEY,
    SQLITE_CHANGESET_NOTFOUND as SQLITE_CHANGESET_NOTFOUND,
    SQLITE_CHANGESET_OMIT as SQLITE_CHANGESET_OMIT,
    SQLITE_CHANGESET_REPLACE as SQLITE_CHANGESET_REPLACE,
    SQLITE_CHANGESETAPPLY_FKNOACTION as SQLITE_CHANGESETAPPLY_FKNOACTION,
    SQLITE_CHANGESETAPPLY_IGNORENOOP as SQLITE_CHANGESETAPPLY_IGNORENOOP,
    SQLITE_CHANGESETAPPLY_INVERT as SQLITE_CHANGESETAPPLY_INVERT,
    SQLITE_CHANGESETAPPLY_NOSAVEPOINT as SQLITE_CHANGESETAPPLY_NOSAVEPOINT,
    SQLITE_CHANGESETAPPLY_NOUPDATELOOP as SQLITE_CHANGESETAPPLY_NOUPDATELOOP,
    SQLITE_CHANGESETSTART_INVERT as SQLITE_CHANGESETSTART_INVERT,
    SQLITE_KEYWORDS as SQLITE_KEYWORDS,
    Blob as Blob,
    Change as Change,
    Changeset as Changeset,
    Rebaser as Rebaser,
    Session as Session,
    build as build,
    carray as carray,
    compile_options as compile_options,
    complete_statement as complete_statement,
    jsonb_decode as jsonb_decode,
    jsonb_encode as jsonb_encode,
    no_change as no_change,
    status as status,
    vfs_list as vfs_list,
)
from .core import Connection, Cursor, connect
from .deadlines import DeadlineExceeded as DeadlineExceeded, timeout as timeout
from .fetching import RowCountError as RowCountError
from .locking import Lock as Lock, locks as locks
from .notes import enable_error_notes as enable_error_notes
from .transactions import Transaction as Transaction, transactional as transactional
from .values import placeholders as placeholders

sqlite_version = _csqlite.sqlite_version
sqlite_version_info = tuple(int(part) for part in sqlite_version.split("."))


def enable_callback_tracebacks(flag: bool, /) -> None:
    """Show exceptions of callbacks through sys.unraisablehook (True), or do not (False, at first).

    They are not raised as they are: a function's is the __cause__ of what its statement raises,
    a trace callback's is ignored. As sqlite3.enable_callback_tracebacks(), which is called, too.
    """
    _sqlite3.enable_callback_tracebacks(flag)
    _csqlite._enable_callback_tracebacks(flag)


# What is imported when it is first used.
_LATER = {
    **dict.fromkeys(
        ("DatabaseExists", "DatabaseInUse", "DatabaseNotFound", "Databases"), "databases"
    ),
    **dict.fromkeys(
        ("Pool", "PoolClosed", "PoolTimeout", "TooManyRequests", "create_pool"), "pool"
    ),
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return value


# For connect(autocommit=...). The sqlite3 module has it since Python 3.12.
LEGACY_TRANSACTION_CONTROL = -1

# The names of SQLite's numbers: those that sqlite3 has in Python 3.14, on every version, those
# that it leaves out, and any that a later one has.
for _numbers in (_sqlite3, _csqlite):
    globals().update(
        {name: value for name, value in vars(_numbers).items() if name.startswith("SQLITE_")}
    )
del _numbers

__all__ = [
    "Connection",
    "Cursor",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Row",
    "Warning",
    "__version__",
    "connect",
    "paramstyle",
    "register_adapter",
    "register_converter",
    "sqlite_version",
    "sqlite_version_info",
]
