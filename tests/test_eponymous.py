"""deserialize(), and the tables that modules have by their own names: none keeps the schema that is gone."""

import asyncio
import contextlib

import pytest

import csqlite


@pytest.fixture
def aiosqlite():
    return csqlite


# A system's SQLite cannot be told to let go of such a table: there a database in memory is
# overwritten, and none in a file replaced.
REPLACES = csqlite.build.source != "system"


class Numbers:
    columns = ("n",)
    rowid = "n"

    def rows(self):
        return [(1,), (2,)]

    def insert(self, rowid, values):
        return values[0]


TABLES = {
    "json_each": "json_each('[1, 2]')",
    "json_tree": "json_tree('[1, [2]]')",
    "pragma_table_info": "pragma_table_info('o')",
    "pragma_function_list": "pragma_function_list",
    "pragma_user_version": "pragma_user_version",
    "carray": "carray(?1)",
    "dbstat": "dbstat",
    "sqlite_stmt": "sqlite_stmt",
    "sqlite_dbpage": "sqlite_dbpage",
    "iterable": "iterable",
    "function": "function(3)",
    "writable": "writable",
    "gone": "gone",
}


BUILT_IN = ("sqlite_dbpage", "dbstat", "sqlite_stmt", "carray")


async def prepare(db):
    await db.execute("create table o (x)")
    await db.execute("insert into o values (1)")
    await db.commit()
    await db.create_module("iterable", [1, 2], ["n"])
    await db.create_module("gone", [1, 2], ["n"])
    await db.create_module("function", lambda count: list(range(count)), ["n"])
    await db.create_module("writable", Numbers)


async def use(db, name):
    source = TABLES[name]
    sql = f"select count(*) from {source} a, o"
    try:
        parameters = (csqlite.carray([1, 2]),) if "?1" in source else ()
        return await db.execute_fetchall(sql, parameters)
    except csqlite.NotSupportedError as error:
        pytest.skip(str(error))
    except csqlite.OperationalError as error:
        if "no such table" in str(error) and name in BUILT_IN:
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("name", TABLES)
async def test_it_is_used_before_and_after(db, name):
    await prepare(db)
    image = await db.serialize()
    await use(db, name)
    for _ in range(3):
        await db.deserialize(image)
        first = await use(db, name)
        assert first[0][0] >= 0
        assert await use(db, name) == first
        assert await db.execute_fetchall("select * from o") == [(1,)]


@pytest.mark.parametrize("name", ["main", "other"])
async def test_of_any_schema(db, name):
    await prepare(db)
    await db.execute("attach ':memory:' as other")
    image = await db.serialize()
    for _ in range(3):
        for table in ("json_each", "pragma_table_info", "iterable"):
            assert (await use(db, table))[0][0] > 0
        await db.deserialize(image, name=name)
        assert await db.execute_fetchall(f"select x from {name}.o") == [(1,)]


async def test_writing_to_a_table_of_ones_own(db):
    await prepare(db)
    image = await db.serialize()
    for _ in range(2):
        await db.execute("insert into writable (n) values (3)")
        await db.commit()
        await db.deserialize(image)
    assert await use(db, "writable") == [(2,)]


async def test_a_module_that_was_removed_or_replaced_since(db):
    await prepare(db)
    image = await db.serialize()
    await use(db, "gone")
    await use(db, "iterable")
    await db.deserialize(image)
    await db.create_module("gone", None)
    await db.create_module("iterable", [1, 2, 3], ["n"])
    await db.deserialize(image)
    with pytest.raises(csqlite.OperationalError, match="no such table: gone"):
        await use(db, "gone")
    assert await use(db, "iterable") == [(3,)]


async def test_views_triggers_and_cursors_that_are_used_again(db):
    await prepare(db)
    await db.execute("create view v as select value from json_each('[1, 2]')")
    image = await db.serialize()
    cursor = await db.execute("select * from v")
    for _ in range(3):
        assert await cursor.fetchall() == [(1,), (2,)]
        await db.deserialize(image)
        await cursor.execute("select * from v")
    assert await cursor.fetchall() == [(1,), (2,)]


async def test_what_is_no_database_does_not_matter(db):
    await prepare(db)
    image = await db.serialize()
    await use(db, "json_each")
    await db.deserialize(image)
    with pytest.raises(csqlite.DatabaseError):
        await db.deserialize(b"nothing of the kind" * 100)
        await use(db, "json_each")
    for name in ("json_each", "pragma_table_info", "iterable"):
        with pytest.raises(csqlite.DatabaseError) if REPLACES else contextlib.nullcontext():
            await use(db, name)


@pytest.mark.parametrize("kind", ["file", "shared", "vfs"])
async def test_what_is_not_of_the_connection_alone(path, kind):
    """It is replaced for this connection, or not at all; for the others it stays."""
    name = {
        "file": str(path),
        "shared": "file:eponymous?mode=memory&cache=shared",
        "vfs": "file:/eponymous?vfs=memdb",
    }[kind]
    async with csqlite.connect(name, uri=True) as db, csqlite.connect(name, uri=True) as other:
        await prepare(db)
        async with csqlite.connect(":memory:") as source:
            await source.execute("create table fresh (x)")
            image = await source.serialize()
        await use(db, "json_each")
        if REPLACES:
            await db.deserialize(image)
            assert await db.execute_fetchall("select * from fresh") == []
        else:
            with pytest.raises(
                csqlite.NotSupportedError, match="cannot replace a database that is"
            ):
                await db.deserialize(image)
        for table in ("json_each", "pragma_table_info", "iterable"):
            with pytest.raises(csqlite.OperationalError) if REPLACES else contextlib.nullcontext():
                await use(db, table)
        assert await other.execute_fetchall("select * from o") == [(1,)]


async def test_another_page_size(db):
    await prepare(db)
    async with csqlite.connect(":memory:") as source:
        await source.execute("pragma page_size = 1024")
        await source.execute("create table fresh (x)")
        image = await source.serialize()
    await use(db, "json_each")
    if REPLACES:
        await db.deserialize(image)
        assert await db.execute_fetchall("select * from fresh") == []
        assert await db.execute_fetchall("pragma page_size") == [(1024,)]
    else:
        with pytest.raises(csqlite.NotSupportedError, match="page size"):
            await db.deserialize(image)
        assert await use(db, "json_each") == [(2,)]
    async with csqlite.connect(":memory:") as empty:
        await empty.execute_fetchall("select * from json_each('[1]')")
        await empty.deserialize(image)
        assert await empty.execute_fetchall("select * from fresh") == []
        assert await empty.execute_fetchall("pragma page_size") == [(1024,)]
        assert await empty.serialize() == image
        assert await empty.execute_fetchall("select value from json_each('[1]')") == [(1,)]


async def test_between_other_tasks_that_use_it(db):
    await prepare(db)
    image = await db.serialize()

    async def read():
        for _ in range(20):
            assert await use(db, "json_each") == [(2,)]
            assert await use(db, "iterable") == [(2,)]

    async def replace():
        for _ in range(20):
            try:
                await db.deserialize(image)
            except csqlite.OperationalError as error:
                assert str(error) == "database is locked"

    await asyncio.gather(read(), replace(), read())
