"""What the running sqlite3 has, csqlite has: every name but those that are listed here, with a reason."""

import sqlite3
import sys
from collections import abc

import pytest
from parity.outcomes import outcome

import csqlite
from csqlite.raw import RawBlob, RawCursor

# Each name that csqlite lacks on purpose.
MODULE = {
    "collections": "a module that dbapi2 imports",
    "datetime": "a module that dbapi2 imports",
    "time": "a module that dbapi2 imports",
    "dbapi2": "a module of sqlite3",
    "dump": "a module of sqlite3",
    "version": "of pysqlite; gone since Python 3.14",
    "version_info": "of pysqlite; gone since Python 3.14",
    "OptimizedUnicode": "an old name of str; gone since Python 3.12",
    "enable_shared_cache": "SQLite advises against it, and '?cache=shared' in a URI does it",
}

# What a connection that is awaited has in another form.
CONNECTION = {
    "__enter__": "async with",
    "__exit__": "async with",
}
CURSOR = {"__iter__": "async for", "__next__": "async for"}
BLOB = {"__enter__": "async with", "__exit__": "async with", "__setitem__": "await blob.set()"}

RAW_CONNECTION = {
    "__call__": "prepares a statement, for sqlite3's own use",
    "__del__": "the connection that is viewed has it",
    "__text_signature__": "of the class",
}


def lacking(ours, theirs, exceptions):
    return sorted(
        name
        for name in dir(theirs)
        if not hasattr(ours, name) and name not in exceptions and not name.startswith("_deprecated")
    )


def test_module():
    exceptions = {**MODULE, "__getattr__": "for what is deprecated"}
    assert lacking(csqlite, sqlite3, exceptions) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "exceptions"),
    [
        (csqlite.Connection, "Connection", CONNECTION),
        (csqlite.Cursor, "Cursor", CURSOR),
        (csqlite.Blob, "Blob", BLOB),
        (csqlite.Row, "Row", {}),
        (RawCursor, "Cursor", {}),
        (RawBlob, "Blob", {"__delitem__": "which only raises"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_class(ours, theirs, exceptions):
    if not hasattr(sqlite3, theirs):
        pytest.skip(f"this Python's sqlite3 has no {theirs}")
    assert lacking(ours, getattr(sqlite3, theirs), exceptions) == []


async def test_synchronous_view_of_a_connection():
    async with csqlite.connect(":memory:") as db:
        assert lacking(db._conn, sqlite3.Connection, RAW_CONNECTION) == []


@pytest.mark.parametrize(
    "name", sorted(name for name in vars(sqlite3) if name.startswith("SQLITE_"))
)
def test_constant_has_the_same_value(name):
    value = getattr(csqlite, name)
    if name == "SQLITE_KEYWORDS":
        assert {"SELECT", "FROM"} <= set(value)
    else:
        assert value == getattr(sqlite3, name)
        assert getattr(csqlite._csqlite, name) == value


SINCE_3_12 = [
    *("SQLITE_BUSY_SNAPSHOT", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_LIMIT_LENGTH"),
    *("SQLITE_DBCONFIG_DEFENSIVE", "SQLITE_DBCONFIG_TRUSTED_SCHEMA", "SQLITE_RECURSIVE"),
    *("SQLITE_DENY", "SQLITE_IGNORE", "SQLITE_IOERR_CORRUPTFS", "SQLITE_OK_SYMLINK"),
]


@pytest.mark.parametrize("name", SINCE_3_12)
def test_constants_of_later_versions_are_there_on_every_python(name):
    assert type(getattr(csqlite, name)) is int


def test_keywords_are_those_of_the_sqlite_in_use():
    keywords = csqlite.SQLITE_KEYWORDS
    assert type(keywords) is tuple
    assert len(set(keywords)) == len(keywords) > 100
    assert all(type(word) is str and word == word.upper() for word in keywords)
    assert {"SELECT", "RETURNING", "MATERIALIZED", "ABORT"} <= set(keywords)
    if hasattr(sqlite3, "SQLITE_KEYWORDS") and sqlite3.sqlite_version == csqlite.sqlite_version:
        assert keywords == sqlite3.SQLITE_KEYWORDS


EXCEPTIONS = [
    *("Warning", "Error", "InterfaceError", "DatabaseError", "DataError", "OperationalError"),
    *("IntegrityError", "InternalError", "ProgrammingError", "NotSupportedError"),
]


@pytest.mark.parametrize("name", EXCEPTIONS)
async def test_exceptions_are_attributes_of_connections(name):
    async with csqlite.connect(":memory:") as db:
        assert getattr(db, name) is getattr(sqlite3, name)
        assert getattr(db._conn, name) is getattr(sqlite3, name)


# -- complete_statement()


@pytest.mark.parametrize(
    "sql",
    [
        *("", ";", "select 1", "select 1;", "select 1; -- x", "select 1 -- ;", "select ';", "'x';"),
        *("/* ;", "/* x */;", "create trigger t begin select 1;"),
        *("create trigger t begin select 1; end;", "explain create temp trigger t begin; end;"),
        *("select 'é數';", " ; ", "select 1;;", "select 1; select"),
    ],
)
def test_complete_statement(sql):
    assert csqlite.complete_statement(sql) is sqlite3.complete_statement(sql)
    assert csqlite.complete_statement(statement=sql) is sqlite3.complete_statement(sql)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((1,), (TypeError, "complete_statement() argument 'statement' must be str, not int")),
        ((None,), (TypeError, "complete_statement() argument 'statement' must be str, not None")),
        ((), (TypeError, "complete_statement() missing required argument 'statement' (pos 1)")),
        (("a\0",), (ValueError, "embedded null character")),
    ],
)
def test_complete_statement_with_wrong_arguments(arguments, expected):
    for module in (sqlite3, csqlite):
        with pytest.raises(expected[0]) as caught:
            module.complete_statement(*arguments)
        # Python 3.9 words it in another way.
        if module is csqlite or sys.version_info >= (3, 11):
            assert str(caught.value) == expected[1]


# -- cursor(factory=)


class Counting(csqlite.Cursor):
    """A cursor that knows how often it was executed."""

    def __init__(self, connection):
        super().__init__(connection)
        self.count = 0
        self.first_factory = self.row_factory

    async def execute(self, *args, **kwargs):
        self.count += 1
        return await super().execute(*args, **kwargs)


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def test_factory_makes_the_cursor(db):
    cursor = await db.cursor(Counting)
    assert type(cursor) is Counting
    await cursor.execute("select 1")
    await cursor.execute("select 2")
    assert (cursor.count, await cursor.fetchall()) == (2, [(2,)])
    async with db.cursor(factory=Counting) as cursor:
        await cursor.execute("select 3")
        assert [row async for row in cursor] == [(3,)]
    assert await outcome(cursor.execute("select 1")) == (
        sqlite3.ProgrammingError,
        "Cannot operate on a closed cursor.",
    )


async def test_factory_is_called_with_the_connection_when_it_is_awaited(db):
    calls = []

    def factory(connection):
        calls.append(connection)
        return csqlite.Cursor(connection)

    request = db.cursor(factory)
    assert calls == []
    assert type(await request) is csqlite.Cursor
    assert calls == [db]


async def test_factory_of_none_is_the_default(db):
    assert type(await db.cursor(None)) is csqlite.Cursor
    assert type(await db.cursor()) is csqlite.Cursor


@pytest.mark.parametrize("made", [5, None, "cursor"])
async def test_factory_that_gives_no_cursor(db, made):
    expected = (TypeError, f"factory must return a cursor, not {type(made).__name__}")
    other = sqlite3.connect(":memory:")
    with pytest.raises(TypeError) as caught:
        other.cursor(lambda connection: made)
    other.close()
    assert str(caught.value) == expected[1]
    assert await outcome(db.cursor(lambda connection: made)) == expected


async def test_factory_that_gives_a_cursor_of_sqlite3(db):
    other = sqlite3.connect(":memory:")
    assert await outcome(db.cursor(lambda connection: other.cursor())) == (
        TypeError,
        "factory must return a cursor, not sqlite3.Cursor",
    )
    other.close()


async def test_factory_that_raises(db):
    def factory(connection):
        raise LookupError("no cursor")

    assert await outcome(db.cursor(factory)) == (LookupError, "no cursor")


async def test_factory_that_is_not_callable(db):
    assert await outcome(db.cursor(5)) == (TypeError, "'int' object is not callable")


async def test_cursor_of_a_factory_has_the_connections_row_factory(db):
    class Own(csqlite.Cursor):
        def __init__(self, connection):
            super().__init__(connection)
            self.row_factory = dict

    assert (await db.cursor(Own)).row_factory is dict
    db.row_factory = sqlite3.Row
    assert (await db.cursor(Own)).row_factory is sqlite3.Row


async def test_factory_and_a_connection_that_is_not_open():
    db = csqlite.connect(":memory:")
    assert await outcome(db.cursor(Counting)) == (ValueError, "no active connection")


async def test_factory_of_the_synchronous_view(db):
    class Own(RawCursor):
        def __init__(self, connection):
            super().__init__(csqlite.Cursor(connection._owner))

    def use():
        cursor = db._conn.cursor(Own)
        return type(cursor), cursor.execute("select 1").fetchall()

    assert await db._execute(use) == (Own, [(1,)])


async def test_factory_of_a_foreign_connection():
    class Own(sqlite3.Cursor):
        pass

    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        cursor = await db.cursor(Own)
        assert type(cursor._cursor) is Own
        await cursor.execute("select 1")
        assert await cursor.fetchall() == [(1,)]


# -- what PEP 249 lets do nothing


async def test_setinputsizes_and_setoutputsize(db):
    cursor = await db.cursor()
    for call in (cursor.setinputsizes([5]), cursor.setoutputsize(5), cursor.setoutputsize(5, 1)):
        assert isinstance(call, abc.Awaitable)
        assert await call is None
    cursor.setinputsizes([5])  # Awaiting it is not needed.
    with pytest.raises(TypeError):
        cursor.setinputsizes()
