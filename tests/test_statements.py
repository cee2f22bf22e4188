"""Statements that are looked at and not run, and the cache of those that are."""

import sqlite3

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite
from csqlite.statement import Origin, StatementInfo

NOT_HERE = "needs csqlite's own connection, not sqlite3.Connection"


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


def supports(option):
    """Whether csqlite is built with an SQLite of its own that has the option."""
    return csqlite._csqlite._origins and option in csqlite.compile_options


origins = pytest.mark.skipif(
    not supports("ENABLE_COLUMN_METADATA"), reason="SQLite cannot tell where columns come from"
)


async def test_info_of_a_query(db):
    await db.execute("create table t (a integer not null, b varchar(10), c)")
    info = await db.statement_info("select a, b as bee, c, a + 1 from t where a = ? and b = :b")
    assert type(info) is StatementInfo
    assert info.sql == "select a, b as bee, c, a + 1 from t where a = ? and b = :b"
    assert info.tail == ""
    assert info.parameter_count == 2
    assert info.parameter_names == (None, "b")
    assert info.column_names == ("a", "bee", "c", "a + 1")
    assert info.decltypes == ("INTEGER", "varchar(10)", None, None)
    assert info.readonly is True
    assert info.is_explain == 0


@origins
async def test_origins_of_columns(db):
    await db.execute("attach ':memory:' as other")
    await db.execute("create table t (a)")
    await db.execute("create table other.u (b)")
    await db.execute("create view v as select a as x from t")
    info = await db.statement_info("select x, u.b, 1, rowid from v, u")
    assert info.origins == (
        Origin("main", "t", "a"),
        Origin("other", "u", "b"),
        None,
        info.origins[3],
    )
    assert info.origins[0].column == "a"


async def test_origins_where_sqlite_cannot_tell(db, monkeypatch):
    monkeypatch.setattr(csqlite._csqlite, "_origins", False)
    assert (await db.statement_info("select 1")).origins is None


@pytest.mark.skipif(not supports("ENABLE_NORMALIZE"), reason="SQLite does not normalize")
async def test_normalized_statements_are_equal(db):
    one = await db.statement_info("select 1, 'a' -- comment")
    two = await db.statement_info("SELECT  2,  'b'")
    assert one.normalized_sql == two.normalized_sql == "SELECT?,?;"


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select ?, ?", (None, None)),
        ("select ?3", (None, None, "3")),
        ("select :a, @b, $c, :a", ("a", "b", "c")),
        ("select 1", ()),
    ],
)
async def test_parameters(db, sql, names):
    info = await db.statement_info(sql)
    assert info.parameter_names == names
    assert info.parameter_count == len(names)


@pytest.mark.parametrize(
    ("sql", "readonly", "explain"),
    [
        ("select 1", True, 0),
        ("insert into t values (1)", False, 0),
        ("insert into t values (1) returning a", False, 0),
        ("begin", True, 0),
        ("begin immediate", False, 0),
        ("create table u (a)", False, 0),
        ("pragma user_version", True, 0),
        ("pragma user_version = 5", False, 0),
        ("explain select 1", True, 1),
        ("explain query plan insert into t values (1)", False, 2),
    ],
)
async def test_readonly_and_explain(db, sql, readonly, explain):
    await db.execute("create table t (a)")
    info = await db.statement_info(sql)
    assert (info.readonly, info.is_explain) == (readonly, explain)
    assert await fetchall(db, "select * from t") == []


async def test_columns_agree_with_the_description(db):
    await db.execute("create table t (a, b)")
    for sql in (
        "select *, 1 as one from t",
        "pragma table_info(t)",
        "insert into t values (1, 2) returning b",
    ):
        info = await db.statement_info(sql)
        cursor = await db.execute(sql)
        assert info.column_names == tuple(column[0] for column in cursor.description)
    assert (await db.statement_info("insert into t values (1, 2)")).column_names == ()


async def test_tail(db):
    info = await db.statement_info(" select 'a;b' ; select 2; -- end")
    assert info.sql == "select 'a;b' ;"
    assert info.tail == "select 2; -- end"
    rest = await db.statement_info(info.tail)
    assert (rest.sql, rest.tail) == ("select 2;", "-- end")


@pytest.mark.parametrize("sql", ["", "  ", ";", "-- comment", "/* comment */ ; "])
async def test_nothing_to_describe(db, sql):
    info = await db.statement_info(sql)
    assert (info.parameter_count, info.column_names, info.readonly) == (0, (), True)
    assert (info.sql, info.tail) == ("", sql.strip())
    assert await info.expanded_sql() == ""
    assert await db.script_info(sql) == []


async def test_text_that_is_not_ascii(db):
    sql = "select 'ä' as \"Größe\" , :größe; select '數'"
    first, second = await db.script_info(sql)
    assert first.sql == "select 'ä' as \"Größe\" , :größe;"
    assert first.tail == second.sql == "select '數'"
    assert first.column_names[0] == "Größe"
    assert first.parameter_names == ("größe",)


async def test_script(db):
    await db.execute("create table t (a)")
    infos = await db.script_info(
        "insert into t values (?);; -- nothing\n select a from t; delete from t;"
    )
    assert [info.sql for info in infos] == [
        "insert into t values (?);",
        "-- nothing\n select a from t;",
        "delete from t;",
    ]
    assert [info.readonly for info in infos] == [False, True, False]
    assert [info.column_names for info in infos] == [(), ("a",), ()]
    assert not db.in_transaction


async def test_script_is_not_run(db):
    script = "create table t (a); insert into t values (1)"
    assert await outcome(db.script_info(script)) == (
        sqlite3.OperationalError,
        "no such table: t",
    )
    assert (await db.statement_info(script)).sql == "create table t (a);"
    assert await scalar(db, "select count(*) from sqlite_master") == 0


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("selekt 1", sqlite3.OperationalError, 'near "selekt": syntax error'),
        ("select * from nowhere", sqlite3.OperationalError, "no such table: nowhere"),
        ("select 1\0", sqlite3.ProgrammingError, "the query contains a null character"),
        ("select '\ud800'", UnicodeEncodeError, None),
        (b"select 1", TypeError, None),
        (None, TypeError, None),
    ],
)
@pytest.mark.parametrize("method", ["statement_info", "script_info"])
async def test_what_cannot_be_prepared(db, method, sql, error, message):
    kind, text = await outcome(getattr(db, method)(sql))
    assert kind is error
    assert message is None or text == message


async def test_names_of_the_methods_in_messages(db):
    with pytest.raises(
        TypeError, match=r"(?m)^statement_info\(\) argument 1 must be str, not int$"
    ):
        await db.statement_info(1)
    with pytest.raises(TypeError, match=r"(?m)^script_info\(\) argument 1 must be str, not int$"):
        await db.script_info(1)


async def test_authorizer_is_asked(db):
    await db.set_authorizer(lambda *arguments: sqlite3.SQLITE_DENY)
    with pytest.raises(sqlite3.DatabaseError, match="(?m)^not authorized$"):
        await db.statement_info("select 1")


# -- expanded_sql


@pytest.mark.parametrize(
    ("sql", "parameters", "expanded"),
    [
        ("select ?, ?", (1, "it's"), "select 1, 'it''s'"),
        ("select :a, :b", {"a": None, "b": b"\0\xff"}, "select NULL, x'00ff'"),
        ("select ?2, ?1", (1.5, 2), "select 2, 1.5"),
        ("select 1", (), "select 1"),
    ],
)
async def test_expanded_sql(db, sql, parameters, expanded):
    info = await db.statement_info(sql)
    assert await info.expanded_sql(parameters) == expanded


async def test_expanded_sql_does_not_run_nor_use_the_cache(db):
    await db.execute("create table t (a)")
    info = await db.statement_info("insert into t values (?)")
    before = await db.cache_stats()
    assert await info.expanded_sql((5,)) == "insert into t values (5)"
    assert await db.cache_stats() == before
    assert await scalar(db, "select count(*) from t") == 0


@pytest.mark.parametrize(
    "parameters", [(), (1,), (1, 2, 3), {"a": 1}, (1, object()), (1, 2**63), 5, {1, 2}, None]
)
async def test_parameters_that_do_not_fit_raise_what_execute_raises(db, parameters):
    sql = "select ?, ?"
    info = await db.statement_info(sql)
    if parameters is None:
        expected = await outcome(db.execute(sql, 5))
    else:
        expected = await outcome(db.execute(sql, parameters))
    assert issubclass(expected[0], Exception)
    assert await outcome(info.expanded_sql(parameters)) == expected


async def test_parameters_are_adapted(db):
    class Point:
        def __conform__(self, protocol):
            return "1;2"

    info = await db.statement_info("select ?")
    assert await info.expanded_sql((Point(),)) == "select '1;2'"


async def test_statement_whose_table_is_gone(db):
    await db.execute("create table t (a)")
    info = await db.statement_info("select a from t where a = ?")
    await db.execute("drop table t")
    assert await outcome(info.expanded_sql((1,))) == (
        sqlite3.OperationalError,
        "no such table: t",
    )


async def test_infos_are_values(db):
    one, two = await db.statement_info("select 1"), await db.statement_info("select 1")
    assert one == two
    assert one != await db.statement_info("select 2")
    assert "Connection" not in repr(one)
    with pytest.raises(AttributeError):
        one.sql = "select 2"


async def test_closed_connection():
    db = await csqlite.connect(":memory:")
    info = await db.statement_info("select 1")
    await db.close()
    for attempt in (db.statement_info("select 1"), db.script_info("select 1"), info.expanded_sql()):
        with pytest.raises(ValueError, match="(?m)^no active connection$"):
            await attempt


async def test_connection_of_another_module():
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        for name in ("statement_info", "script_info"):
            with pytest.raises(sqlite3.NotSupportedError, match=rf"(?m)^{name}\(\) {NOT_HERE}$"):
                await getattr(db, name)("select 1")


# -- the cache


async def test_what_the_cache_does(db):
    start = await db.cache_stats()
    assert start == {"hits": 0, "misses": 0, "evictions": 0, "size": 0, "max": 128}
    for _ in range(3):
        await fetchall(db, "select 1")
    await fetchall(db, "select 2")
    assert await db.cache_stats() == {
        "hits": 2,
        "misses": 2,
        "evictions": 0,
        "size": 2,
        "max": 128,
    }


async def test_statement_in_use_is_not_in_the_cache(db):
    cursor = await db.execute("select 1 from (select 1 union all select 2), sqlite_master")
    await cursor.fetchall()
    many = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
    cursor = await db.execute(many)
    assert (await db.cache_stats())["size"] == 1
    other = await db.execute(many)
    assert (await db.cache_stats())["misses"] == 3
    await cursor.close()
    await other.close()
    assert (await db.cache_stats())["size"] == 3


async def test_size_of_the_cache():
    async with csqlite.connect(":memory:", cached_statements=2) as db:
        assert db.cached_statements == 2
        for number in range(5):
            await fetchall(db, f"select {number}")
        stats = await db.cache_stats()
        assert (stats["size"], stats["evictions"], stats["max"]) == (2, 3, 2)
        db.cached_statements = 1
        assert db.cached_statements == 1
        stats = await db.cache_stats()
        assert (stats["size"], stats["evictions"], stats["max"]) == (1, 4, 1)
        db.cached_statements = 0
        await fetchall(db, "select 1")
        await fetchall(db, "select 1")
        stats = await db.cache_stats()
        assert (stats["size"], stats["max"]) == (0, 0)
        db.cached_statements = 100
        await fetchall(db, "select 1")
        assert (await db.cache_stats())["size"] == 1


@pytest.mark.parametrize(
    ("value", "error"), [(-1, ValueError), ("5", TypeError), (None, TypeError), (1.5, TypeError)]
)
async def test_sizes_that_cannot_be(db, value, error):
    with pytest.raises(error):
        db.cached_statements = value
    assert db.cached_statements == 128


async def test_size_of_the_cache_of_a_closed_connection():
    db = await csqlite.connect(":memory:")
    await db.close()
    with pytest.raises(ValueError, match="(?m)^no active connection$"):
        db.cached_statements  # noqa: B018
    with pytest.raises(ValueError, match="(?m)^no active connection$"):
        db.cached_statements = 5
    with pytest.raises(ValueError, match="(?m)^no active connection$"):
        await db.cache_stats()


async def test_size_of_the_cache_cannot_be_deleted(db):
    with pytest.raises(AttributeError):
        del db.cached_statements
