import sys
from sqlite3 import (
    PARSE_COLNAMES as PARSE_COLNAMES,
)
from sqlite3 import (
    PARSE_DECLTYPES as PARSE_DECLTYPES,
)
from sqlite3 import (
    SQLITE_ALTER_TABLE as SQLITE_ALTER_TABLE,
)
from sqlite3 import (
    SQLITE_ANALYZE as SQLITE_ANALYZE,
)
from sqlite3 import (
    SQLITE_ATTACH as SQLITE_ATTACH,
)
from sqlite3 import (
    SQLITE_CREATE_INDEX as SQLITE_CREATE_INDEX,
)
from sqlite3 import (
    SQLITE_CREATE_TABLE as SQLITE_CREATE_TABLE,
)
from sqlite3 import (
    SQLITE_CREATE_TEMP_INDEX as SQLITE_CREATE_TEMP_INDEX,
)
from sqlite3 import (
    SQLITE_CREATE_TEMP_TABLE as SQLITE_CREATE_TEMP_TABLE,
)
from sqlite3 import (
    SQLITE_CREATE_TEMP_TRIGGER as SQLITE_CREATE_TEMP_TRIGGER,
)
from sqlite3 import (
    SQLITE_CREATE_TEMP_VIEW as SQLITE_CREATE_TEMP_VIEW,
)
from sqlite3 import (
    SQLITE_CREATE_TRIGGER as SQLITE_CREATE_TRIGGER,
)
from sqlite3 import (
    SQLITE_CREATE_VIEW as SQLITE_CREATE_VIEW,
)
from sqlite3 import (
    SQLITE_CREATE_VTABLE as SQLITE_CREATE_VTABLE,
)
from sqlite3 import (
    SQLITE_DELETE as SQLITE_DELETE,
)
from sqlite3 import (
    SQLITE_DENY as SQLITE_DENY,
)
from sqlite3 import (
    SQLITE_DETACH as SQLITE_DETACH,
)
from sqlite3 import (
    SQLITE_DONE as SQLITE_DONE,
)
from sqlite3 import (
    SQLITE_DROP_INDEX as SQLITE_DROP_INDEX,
)
from sqlite3 import (
    SQLITE_DROP_TABLE as SQLITE_DROP_TABLE,
)
from sqlite3 import (
    SQLITE_DROP_TEMP_INDEX as SQLITE_DROP_TEMP_INDEX,
)
from sqlite3 import (
    SQLITE_DROP_TEMP_TABLE as SQLITE_DROP_TEMP_TABLE,
)
from sqlite3 import (
    SQLITE_DROP_TEMP_TRIGGER as SQLITE_DROP_TEMP_TRIGGER,
)
from sqlite3 import (
    SQLITE_DROP_TEMP_VIEW as SQLITE_DROP_TEMP_VIEW,
)
from sqlite3 import (
    SQLITE_DROP_TRIGGER as SQLITE_DROP_TRIGGER,
)
from sqlite3 import (
    SQLITE_DROP_VIEW as SQLITE_DROP_VIEW,
)
from sqlite3 import (
    SQLITE_DROP_VTABLE as SQLITE_DROP_VTABLE,
)
from sqlite3 import (
    SQLITE_FUNCTION as SQLITE_FUNCTION,
)
from sqlite3 import (
    SQLITE_IGNORE as SQLITE_IGNORE,
)
from sqlite3 import (
    SQLITE_INSERT as SQLITE_INSERT,
)
from sqlite3 import (
    SQLITE_OK as SQLITE_OK,
)
from sqlite3 import (
    SQLITE_PRAGMA as SQLITE_PRAGMA,
)
from sqlite3 import (
    SQLITE_READ as SQLITE_READ,
)
from sqlite3 import (
    SQLITE_RECURSIVE as SQLITE_RECURSIVE,
)
from sqlite3 import (
    SQLITE_REINDEX as SQLITE_REINDEX,
)
from sqlite3 import (
    SQLITE_SAVEPOINT as SQLITE_SAVEPOINT,
)
from sqlite3 import (
    SQLITE_SELECT as SQLITE_SELECT,
)
from sqlite3 import (
    SQLITE_TRANSACTION as SQLITE_TRANSACTION,
)
from sqlite3 import (
    SQLITE_UPDATE as SQLITE_UPDATE,
)
from sqlite3 import (
    Binary as Binary,
)
from sqlite3 import (
    DatabaseError as DatabaseError,
)
from sqlite3 import (
    DataError as DataError,
)
from sqlite3 import (
    Date as Date,
)
from sqlite3 import (
    DateFromTicks as DateFromTicks,
)
from sqlite3 import (
    Error as Error,
)
from sqlite3 import (
    IntegrityError as IntegrityError,
)
from sqlite3 import (
    InterfaceError as InterfaceError,
)
from sqlite3 import (
    InternalError as InternalError,
)
from sqlite3 import (
    NotSupportedError as NotSupportedError,
)
from sqlite3 import (
    OperationalError as OperationalError,
)
from sqlite3 import (
    ProgrammingError as ProgrammingError,
)
from sqlite3 import (
    Row as Row,
)
from sqlite3 import (
    Time as Time,
)
from sqlite3 import (
    TimeFromTicks as TimeFromTicks,
)
from sqlite3 import (
    TimestampFromTicks as TimestampFromTicks,
)
from sqlite3 import (
    Warning as Warning,
)
from sqlite3 import (
    adapt as adapt,
)
from sqlite3 import (
    adapters as adapters,
)
from sqlite3 import (
    apilevel as apilevel,
)
from sqlite3 import (
    complete_statement as complete_statement,
)
from sqlite3 import (
    converters as converters,
)
from sqlite3 import (
    enable_callback_tracebacks as enable_callback_tracebacks,
)
from sqlite3 import (
    paramstyle as paramstyle,
)
from sqlite3 import (
    register_adapter as register_adapter,
)
from sqlite3 import (
    register_converter as register_converter,
)
from sqlite3 import (
    threadsafety as threadsafety,
)
from sqlite3.dbapi2 import Timestamp as Timestamp
from typing import Final

from . import context as context
from . import core as core
from . import cursor as cursor
from .__version__ import __version__ as __version__
from .core import Connection as Connection
from .core import Cursor as Cursor
from .core import connect as connect

if sys.version_info >= (3, 11):
    from sqlite3 import (
        SQLITE_ABORT as SQLITE_ABORT,
    )
    from sqlite3 import (
        SQLITE_ABORT_ROLLBACK as SQLITE_ABORT_ROLLBACK,
    )
    from sqlite3 import (
        SQLITE_AUTH as SQLITE_AUTH,
    )
    from sqlite3 import (
        SQLITE_AUTH_USER as SQLITE_AUTH_USER,
    )
    from sqlite3 import (
        SQLITE_BUSY as SQLITE_BUSY,
    )
    from sqlite3 import (
        SQLITE_BUSY_RECOVERY as SQLITE_BUSY_RECOVERY,
    )
    from sqlite3 import (
        SQLITE_BUSY_SNAPSHOT as SQLITE_BUSY_SNAPSHOT,
    )
    from sqlite3 import (
        SQLITE_BUSY_TIMEOUT as SQLITE_BUSY_TIMEOUT,
    )
    from sqlite3 import (
        SQLITE_CANTOPEN as SQLITE_CANTOPEN,
    )
    from sqlite3 import (
        SQLITE_CANTOPEN_CONVPATH as SQLITE_CANTOPEN_CONVPATH,
    )
    from sqlite3 import (
        SQLITE_CANTOPEN_DIRTYWAL as SQLITE_CANTOPEN_DIRTYWAL,
    )
    from sqlite3 import (
        SQLITE_CANTOPEN_FULLPATH as SQLITE_CANTOPEN_FULLPATH,
    )
    from sqlite3 import (
        SQLITE_CANTOPEN_ISDIR as SQLITE_CANTOPEN_ISDIR,
    )
    from sqlite3 import (
        SQLITE_CANTOPEN_NOTEMPDIR as SQLITE_CANTOPEN_NOTEMPDIR,
    )
    from sqlite3 import (
        SQLITE_CANTOPEN_SYMLINK as SQLITE_CANTOPEN_SYMLINK,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT as SQLITE_CONSTRAINT,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_CHECK as SQLITE_CONSTRAINT_CHECK,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_COMMITHOOK as SQLITE_CONSTRAINT_COMMITHOOK,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_FOREIGNKEY as SQLITE_CONSTRAINT_FOREIGNKEY,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_FUNCTION as SQLITE_CONSTRAINT_FUNCTION,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_NOTNULL as SQLITE_CONSTRAINT_NOTNULL,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_PINNED as SQLITE_CONSTRAINT_PINNED,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_PRIMARYKEY as SQLITE_CONSTRAINT_PRIMARYKEY,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_ROWID as SQLITE_CONSTRAINT_ROWID,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_TRIGGER as SQLITE_CONSTRAINT_TRIGGER,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_UNIQUE as SQLITE_CONSTRAINT_UNIQUE,
    )
    from sqlite3 import (
        SQLITE_CONSTRAINT_VTAB as SQLITE_CONSTRAINT_VTAB,
    )
    from sqlite3 import (
        SQLITE_CORRUPT as SQLITE_CORRUPT,
    )
    from sqlite3 import (
        SQLITE_CORRUPT_INDEX as SQLITE_CORRUPT_INDEX,
    )
    from sqlite3 import (
        SQLITE_CORRUPT_SEQUENCE as SQLITE_CORRUPT_SEQUENCE,
    )
    from sqlite3 import (
        SQLITE_CORRUPT_VTAB as SQLITE_CORRUPT_VTAB,
    )
    from sqlite3 import (
        SQLITE_EMPTY as SQLITE_EMPTY,
    )
    from sqlite3 import (
        SQLITE_ERROR as SQLITE_ERROR,
    )
    from sqlite3 import (
        SQLITE_ERROR_MISSING_COLLSEQ as SQLITE_ERROR_MISSING_COLLSEQ,
    )
    from sqlite3 import (
        SQLITE_ERROR_RETRY as SQLITE_ERROR_RETRY,
    )
    from sqlite3 import (
        SQLITE_ERROR_SNAPSHOT as SQLITE_ERROR_SNAPSHOT,
    )
    from sqlite3 import (
        SQLITE_FORMAT as SQLITE_FORMAT,
    )
    from sqlite3 import (
        SQLITE_FULL as SQLITE_FULL,
    )
    from sqlite3 import (
        SQLITE_INTERNAL as SQLITE_INTERNAL,
    )
    from sqlite3 import (
        SQLITE_INTERRUPT as SQLITE_INTERRUPT,
    )
    from sqlite3 import (
        SQLITE_IOERR as SQLITE_IOERR,
    )
    from sqlite3 import (
        SQLITE_IOERR_ACCESS as SQLITE_IOERR_ACCESS,
    )
    from sqlite3 import (
        SQLITE_IOERR_AUTH as SQLITE_IOERR_AUTH,
    )
    from sqlite3 import (
        SQLITE_IOERR_BEGIN_ATOMIC as SQLITE_IOERR_BEGIN_ATOMIC,
    )
    from sqlite3 import (
        SQLITE_IOERR_BLOCKED as SQLITE_IOERR_BLOCKED,
    )
    from sqlite3 import (
        SQLITE_IOERR_CHECKRESERVEDLOCK as SQLITE_IOERR_CHECKRESERVEDLOCK,
    )
    from sqlite3 import (
        SQLITE_IOERR_CLOSE as SQLITE_IOERR_CLOSE,
    )
    from sqlite3 import (
        SQLITE_IOERR_COMMIT_ATOMIC as SQLITE_IOERR_COMMIT_ATOMIC,
    )
    from sqlite3 import (
        SQLITE_IOERR_CONVPATH as SQLITE_IOERR_CONVPATH,
    )
    from sqlite3 import (
        SQLITE_IOERR_CORRUPTFS as SQLITE_IOERR_CORRUPTFS,
    )
    from sqlite3 import (
        SQLITE_IOERR_DATA as SQLITE_IOERR_DATA,
    )
    from sqlite3 import (
        SQLITE_IOERR_DELETE as SQLITE_IOERR_DELETE,
    )
    from sqlite3 import (
        SQLITE_IOERR_DELETE_NOENT as SQLITE_IOERR_DELETE_NOENT,
    )
    from sqlite3 import (
        SQLITE_IOERR_DIR_CLOSE as SQLITE_IOERR_DIR_CLOSE,
    )
    from sqlite3 import (
        SQLITE_IOERR_DIR_FSYNC as SQLITE_IOERR_DIR_FSYNC,
    )
    from sqlite3 import (
        SQLITE_IOERR_FSTAT as SQLITE_IOERR_FSTAT,
    )
    from sqlite3 import (
        SQLITE_IOERR_FSYNC as SQLITE_IOERR_FSYNC,
    )
    from sqlite3 import (
        SQLITE_IOERR_GETTEMPPATH as SQLITE_IOERR_GETTEMPPATH,
    )
    from sqlite3 import (
        SQLITE_IOERR_LOCK as SQLITE_IOERR_LOCK,
    )
    from sqlite3 import (
        SQLITE_IOERR_MMAP as SQLITE_IOERR_MMAP,
    )
    from sqlite3 import (
        SQLITE_IOERR_NOMEM as SQLITE_IOERR_NOMEM,
    )
    from sqlite3 import (
        SQLITE_IOERR_RDLOCK as SQLITE_IOERR_RDLOCK,
    )
    from sqlite3 import (
        SQLITE_IOERR_READ as SQLITE_IOERR_READ,
    )
    from sqlite3 import (
        SQLITE_IOERR_ROLLBACK_ATOMIC as SQLITE_IOERR_ROLLBACK_ATOMIC,
    )
    from sqlite3 import (
        SQLITE_IOERR_SEEK as SQLITE_IOERR_SEEK,
    )
    from sqlite3 import (
        SQLITE_IOERR_SHMLOCK as SQLITE_IOERR_SHMLOCK,
    )
    from sqlite3 import (
        SQLITE_IOERR_SHMMAP as SQLITE_IOERR_SHMMAP,
    )
    from sqlite3 import (
        SQLITE_IOERR_SHMOPEN as SQLITE_IOERR_SHMOPEN,
    )
    from sqlite3 import (
        SQLITE_IOERR_SHMSIZE as SQLITE_IOERR_SHMSIZE,
    )
    from sqlite3 import (
        SQLITE_IOERR_SHORT_READ as SQLITE_IOERR_SHORT_READ,
    )
    from sqlite3 import (
        SQLITE_IOERR_TRUNCATE as SQLITE_IOERR_TRUNCATE,
    )
    from sqlite3 import (
        SQLITE_IOERR_UNLOCK as SQLITE_IOERR_UNLOCK,
    )
    from sqlite3 import (
        SQLITE_IOERR_VNODE as SQLITE_IOERR_VNODE,
    )
    from sqlite3 import (
        SQLITE_IOERR_WRITE as SQLITE_IOERR_WRITE,
    )
    from sqlite3 import (
        SQLITE_LIMIT_ATTACHED as SQLITE_LIMIT_ATTACHED,
    )
    from sqlite3 import (
        SQLITE_LIMIT_COLUMN as SQLITE_LIMIT_COLUMN,
    )
    from sqlite3 import (
        SQLITE_LIMIT_COMPOUND_SELECT as SQLITE_LIMIT_COMPOUND_SELECT,
    )
    from sqlite3 import (
        SQLITE_LIMIT_EXPR_DEPTH as SQLITE_LIMIT_EXPR_DEPTH,
    )
    from sqlite3 import (
        SQLITE_LIMIT_FUNCTION_ARG as SQLITE_LIMIT_FUNCTION_ARG,
    )
    from sqlite3 import (
        SQLITE_LIMIT_LENGTH as SQLITE_LIMIT_LENGTH,
    )
    from sqlite3 import (
        SQLITE_LIMIT_LIKE_PATTERN_LENGTH as SQLITE_LIMIT_LIKE_PATTERN_LENGTH,
    )
    from sqlite3 import (
        SQLITE_LIMIT_SQL_LENGTH as SQLITE_LIMIT_SQL_LENGTH,
    )
    from sqlite3 import (
        SQLITE_LIMIT_TRIGGER_DEPTH as SQLITE_LIMIT_TRIGGER_DEPTH,
    )
    from sqlite3 import (
        SQLITE_LIMIT_VARIABLE_NUMBER as SQLITE_LIMIT_VARIABLE_NUMBER,
    )
    from sqlite3 import (
        SQLITE_LIMIT_VDBE_OP as SQLITE_LIMIT_VDBE_OP,
    )
    from sqlite3 import (
        SQLITE_LIMIT_WORKER_THREADS as SQLITE_LIMIT_WORKER_THREADS,
    )
    from sqlite3 import (
        SQLITE_LOCKED as SQLITE_LOCKED,
    )
    from sqlite3 import (
        SQLITE_LOCKED_SHAREDCACHE as SQLITE_LOCKED_SHAREDCACHE,
    )
    from sqlite3 import (
        SQLITE_LOCKED_VTAB as SQLITE_LOCKED_VTAB,
    )
    from sqlite3 import (
        SQLITE_MISMATCH as SQLITE_MISMATCH,
    )
    from sqlite3 import (
        SQLITE_MISUSE as SQLITE_MISUSE,
    )
    from sqlite3 import (
        SQLITE_NOLFS as SQLITE_NOLFS,
    )
    from sqlite3 import (
        SQLITE_NOMEM as SQLITE_NOMEM,
    )
    from sqlite3 import (
        SQLITE_NOTADB as SQLITE_NOTADB,
    )
    from sqlite3 import (
        SQLITE_NOTFOUND as SQLITE_NOTFOUND,
    )
    from sqlite3 import (
        SQLITE_NOTICE as SQLITE_NOTICE,
    )
    from sqlite3 import (
        SQLITE_NOTICE_RECOVER_ROLLBACK as SQLITE_NOTICE_RECOVER_ROLLBACK,
    )
    from sqlite3 import (
        SQLITE_NOTICE_RECOVER_WAL as SQLITE_NOTICE_RECOVER_WAL,
    )
    from sqlite3 import (
        SQLITE_OK_LOAD_PERMANENTLY as SQLITE_OK_LOAD_PERMANENTLY,
    )
    from sqlite3 import (
        SQLITE_OK_SYMLINK as SQLITE_OK_SYMLINK,
    )
    from sqlite3 import (
        SQLITE_PERM as SQLITE_PERM,
    )
    from sqlite3 import (
        SQLITE_PROTOCOL as SQLITE_PROTOCOL,
    )
    from sqlite3 import (
        SQLITE_RANGE as SQLITE_RANGE,
    )
    from sqlite3 import (
        SQLITE_READONLY as SQLITE_READONLY,
    )
    from sqlite3 import (
        SQLITE_READONLY_CANTINIT as SQLITE_READONLY_CANTINIT,
    )
    from sqlite3 import (
        SQLITE_READONLY_CANTLOCK as SQLITE_READONLY_CANTLOCK,
    )
    from sqlite3 import (
        SQLITE_READONLY_DBMOVED as SQLITE_READONLY_DBMOVED,
    )
    from sqlite3 import (
        SQLITE_READONLY_DIRECTORY as SQLITE_READONLY_DIRECTORY,
    )
    from sqlite3 import (
        SQLITE_READONLY_RECOVERY as SQLITE_READONLY_RECOVERY,
    )
    from sqlite3 import (
        SQLITE_READONLY_ROLLBACK as SQLITE_READONLY_ROLLBACK,
    )
    from sqlite3 import (
        SQLITE_ROW as SQLITE_ROW,
    )
    from sqlite3 import (
        SQLITE_SCHEMA as SQLITE_SCHEMA,
    )
    from sqlite3 import (
        SQLITE_TOOBIG as SQLITE_TOOBIG,
    )
    from sqlite3 import (
        SQLITE_WARNING as SQLITE_WARNING,
    )
    from sqlite3 import (
        SQLITE_WARNING_AUTOINDEX as SQLITE_WARNING_AUTOINDEX,
    )

if sys.version_info >= (3, 12):
    from sqlite3 import (
        SQLITE_DBCONFIG_DEFENSIVE as SQLITE_DBCONFIG_DEFENSIVE,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_DQS_DDL as SQLITE_DBCONFIG_DQS_DDL,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_DQS_DML as SQLITE_DBCONFIG_DQS_DML,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_ENABLE_FKEY as SQLITE_DBCONFIG_ENABLE_FKEY,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER as SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION as SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_ENABLE_QPSG as SQLITE_DBCONFIG_ENABLE_QPSG,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_ENABLE_TRIGGER as SQLITE_DBCONFIG_ENABLE_TRIGGER,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_ENABLE_VIEW as SQLITE_DBCONFIG_ENABLE_VIEW,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_LEGACY_ALTER_TABLE as SQLITE_DBCONFIG_LEGACY_ALTER_TABLE,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_LEGACY_FILE_FORMAT as SQLITE_DBCONFIG_LEGACY_FILE_FORMAT,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE as SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_RESET_DATABASE as SQLITE_DBCONFIG_RESET_DATABASE,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_TRIGGER_EQP as SQLITE_DBCONFIG_TRIGGER_EQP,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_TRUSTED_SCHEMA as SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    )
    from sqlite3 import (
        SQLITE_DBCONFIG_WRITABLE_SCHEMA as SQLITE_DBCONFIG_WRITABLE_SCHEMA,
    )

# Of the SQLite that csqlite itself uses, which need not be the one of the sqlite3 module.
sqlite_version: Final[str]
sqlite_version_info: Final[tuple[int, int, int]]

# For connect(autocommit=...), on every Python version.
LEGACY_TRANSACTION_CONTROL: Final = -1
