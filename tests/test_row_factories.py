"""row_factory= in connect() and in cursor(), and what inspect says of connect()."""

import inspect
import sqlite3

import pytest

import csqlite


def as_dict(cursor, row):
    return {column[0]: value for column, value in zip(cursor.description, row)}


FACTORIES = [
    (None, (1,)),
    (sqlite3.Row, {"a": 1}),
    (as_dict, {"a": 1}),
    (lambda cursor, row: list(row), [1]),
]


def plain(row):
    return dict(row) if isinstance(row, sqlite3.Row) else row


@pytest.fixture(params=[None, type("Own", (sqlite3.Connection,), {})], ids=["native", "foreign"])
def options(request):
    return {} if request.param is None else {"factory": request.param}


@pytest.mark.parametrize(("factory", "row"), FACTORIES)
async def test_of_a_connection(options, factory, row):
    async with csqlite.connect(":memory:", row_factory=factory, **options) as db:
        assert db.row_factory is factory
        async with db.execute("SELECT 1 AS a") as cursor:
            assert plain(await cursor.fetchone()) == row
        async with db.execute("SELECT 1 AS a") as cursor:
            assert [plain(each) async for each in cursor] == [row]
        assert [plain(each) for each in await db.execute_fetchall("SELECT 1 AS a")] == [row]
        async with db.cursor() as cursor:
            assert cursor.row_factory is factory


@pytest.mark.parametrize("connections", [None, sqlite3.Row, as_dict])
@pytest.mark.parametrize(("factory", "row"), FACTORIES)
async def test_of_a_cursor(options, connections, factory, row):
    async with csqlite.connect(":memory:", row_factory=connections, **options) as db:
        async with db.cursor(row_factory=factory) as cursor:
            assert cursor.row_factory is factory
            await cursor.execute("SELECT 1 AS a")
            assert plain(await cursor.fetchone()) == row
        assert db.row_factory is connections


async def test_of_a_cursor_that_a_factory_makes():
    class Own(csqlite.Cursor):
        pass

    async with csqlite.connect(":memory:", row_factory=as_dict) as db:
        for arguments in ((Own,), ()):
            options = {} if arguments else {"factory": Own}
            async with db.cursor(*arguments, row_factory=None, **options) as cursor:
                assert type(cursor) is Own
                await cursor.execute("SELECT 1")
                assert await cursor.fetchone() == (1,)
        with pytest.raises(TypeError):
            await db.cursor(Own, None)


def test_the_signature_has_every_option():
    parameters = inspect.signature(csqlite.connect).parameters
    assert not [each for each in parameters.values() if each.kind is each.VAR_KEYWORD]
    assert next(iter(parameters)) == "database"
    assert parameters["database"].default is inspect.Parameter.empty
    defaults = {name: each.default for name, each in list(parameters.items())[1:]}
    for name, value in {"timeout": 5.0, "uri": False, "isolation_level": "", "vfs": None}.items():
        assert defaults[name] == value
    assert all(each.kind is each.KEYWORD_ONLY for each in list(parameters.values())[1:])


async def test_the_defaults_of_the_signature_are_what_happens():
    parameters = inspect.signature(csqlite.connect).parameters.values()
    options = {each.name: each.default for each in parameters if each.name != "database"}
    async with csqlite.connect(":memory:", **options) as db, csqlite.connect(":memory:") as other:
        for name in ("isolation_level", "autocommit", "row_factory", "cached_statements"):
            assert getattr(db, name) == getattr(other, name)


async def test_a_wrong_option_is_refused_when_it_is_opened():
    db = csqlite.connect(":memory:", time_out=5)
    with pytest.raises(TypeError, match="'time_out' is an invalid keyword argument"):
        await db
