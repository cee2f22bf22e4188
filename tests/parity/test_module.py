"""The names a program imports, and that the classes among them are those of `sqlite3`."""

import inspect
import sqlite3

import pytest

SHARED = [
    "DatabaseError",
    "Error",
    "IntegrityError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Row",
    "Warning",
    "paramstyle",
    "register_adapter",
    "register_converter",
]


@pytest.mark.parametrize("name", SHARED)
def test_name_is_the_one_of_sqlite3(aiosqlite, name):
    assert getattr(aiosqlite, name) is getattr(sqlite3, name)


def test_sqlite_version_is_a_text_and_a_tuple_of_the_same_numbers(aiosqlite):
    assert isinstance(aiosqlite.sqlite_version, str)
    assert (
        tuple(int(part) for part in aiosqlite.sqlite_version.split("."))
        == aiosqlite.sqlite_version_info
    )


async def test_sqlite_version_is_the_one_in_use(aiosqlite, db):
    async with db.execute("select sqlite_version()") as cursor:
        assert await cursor.fetchone() == (aiosqlite.sqlite_version,)


def test_module_version_starts_with_numbers(aiosqlite):
    assert all(part.isdigit() for part in aiosqlite.__version__.split(".")[:2])


def test_star_import_gives_what_aiosqlite_gives(aiosqlite):
    expected = {
        "connect",
        "Connection",
        "Cursor",
        "__version__",
        "sqlite_version",
        "sqlite_version_info",
        *SHARED,
    }
    assert expected <= set(aiosqlite.__all__)


def test_submodules_are_attributes(aiosqlite):
    assert aiosqlite.core.Connection is aiosqlite.Connection
    assert aiosqlite.core.connect is aiosqlite.connect
    assert aiosqlite.cursor.Cursor is aiosqlite.Cursor
    assert aiosqlite.core.Cursor is aiosqlite.Cursor
    assert callable(aiosqlite.context.contextmanager)
    assert inspect.isclass(aiosqlite.context.Result)


CONNECTION_METHODS = {
    "backup": ["target", "pages", "progress", "name", "sleep"],
    "close": [],
    "commit": [],
    "create_function": ["name", "num_params", "func", "deterministic"],
    "cursor": [],
    "enable_load_extension": ["value"],
    "execute": ["sql", "parameters"],
    "execute_fetchall": ["sql", "parameters"],
    "execute_insert": ["sql", "parameters"],
    "executemany": ["sql", "parameters"],
    "executescript": ["sql_script"],
    "interrupt": [],
    "iterdump": [],
    "load_extension": ["path"],
    "rollback": [],
    "set_authorizer": ["authorizer_callback"],
    "set_progress_handler": ["handler", "n"],
    "set_trace_callback": ["handler"],
    "stop": [],
}

CURSOR_METHODS = {
    "close": [],
    "execute": ["sql", "parameters"],
    "executemany": ["sql", "parameters"],
    "executescript": ["sql_script"],
    "fetchall": [],
    "fetchmany": ["size"],
    "fetchone": [],
}


@pytest.mark.parametrize("name", sorted(CONNECTION_METHODS))
def test_connection_method_takes_these_arguments_first(aiosqlite, name):
    names = list(inspect.signature(getattr(aiosqlite.Connection, name)).parameters)
    expected = ["self", *CONNECTION_METHODS[name]]
    assert names[: len(expected)] == expected


@pytest.mark.parametrize("name", sorted(CURSOR_METHODS))
def test_cursor_method_takes_these_arguments_first(aiosqlite, name):
    names = list(inspect.signature(getattr(aiosqlite.Cursor, name)).parameters)
    expected = ["self", *CURSOR_METHODS[name]]
    assert names[: len(expected)] == expected


async def test_sql_and_parameters_are_keywords_too(db):
    await db.executescript(sql_script="create table t (a)")
    await db.executemany(sql="insert into t values (?)", parameters=[(1,), (2,)])
    cursor = await db.execute(sql="select a from t where a > ?", parameters=(1,))
    assert await cursor.fetchall() == [(2,)]
    await cursor.execute(sql="select a from t where a < ?", parameters=(2,))
    assert await cursor.fetchall() == [(1,)]
    assert await db.execute_fetchall(sql="select :a", parameters={"a": 5}) == [(5,)]
    assert await db.execute_insert(sql="insert into t values (?)", parameters=[3]) == (3,)


@pytest.mark.parametrize("method", ["execute", "execute_insert", "execute_fetchall"])
async def test_parameters_of_none_mean_no_parameters(db, method):
    await db.execute("create table t (a)")
    await getattr(db, method)("insert into t values (1)", None)
    assert db.total_changes == 1
