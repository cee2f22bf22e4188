"""Opening: what names a database, which options there are, and what a bad one raises."""

import asyncio
import sqlite3
import warnings
from contextlib import closing

import pytest
from labels import shown
from parity.outcomes import outcome, scalar

UNABLE = (sqlite3.OperationalError, "unable to open database file")


class Named:
    """Neither a string nor path-like: only `str()` tells its name."""

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name


async def failure_to_open(connection):
    """Return what opening raises, after the connection's thread has ended."""
    failure = await outcome(connection)
    await asyncio.to_thread(connection._thread.join)
    return failure


async def create(connection):
    async with connection as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values (42)")
        await db.commit()


def stored(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("select a from t").fetchall()


@pytest.mark.parametrize("kind", [str, lambda path: str(path).encode(), lambda path: path, Named])
async def test_database_is_named_by_str_bytes_path_or_str_of_anything(aiosqlite, path, kind):
    await create(aiosqlite.connect(kind(str(path))))
    assert stored(path) == [(42,)]


async def test_database_is_named_by_a_path_object(aiosqlite, path):
    await create(aiosqlite.connect(path))
    assert stored(path) == [(42,)]


async def test_database_is_a_keyword_too(aiosqlite, path):
    await create(aiosqlite.connect(database=path))
    assert stored(path) == [(42,)]


async def test_database_may_be_an_int_whose_str_is_a_relative_path(
    aiosqlite, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    await create(aiosqlite.connect(7))
    assert stored(tmp_path / "7") == [(42,)]


async def test_non_ascii_file_name(aiosqlite, tmp_path):
    path = tmp_path / "dätäbåse-数.db"
    await create(aiosqlite.connect(path))
    assert stored(path) == [(42,)]


async def test_empty_name_is_a_private_temporary_database(aiosqlite):
    async with aiosqlite.connect("") as db:
        await db.execute("create table t (a)")
        async with db.execute("pragma database_list") as cursor:
            assert [row[1:] for row in await cursor.fetchall()] == [("main", "")]


async def test_memory_databases_are_private(aiosqlite):
    async with aiosqlite.connect(":memory:") as one, aiosqlite.connect(":memory:") as two:
        await one.execute("create table t (a)")
        assert await scalar(two, "select count(*) from sqlite_master") == 0


async def test_database_is_required(aiosqlite):
    with pytest.raises(TypeError, match=r"database"):
        aiosqlite.connect()


async def test_options_are_keyword_only(aiosqlite):
    with pytest.raises(TypeError):
        aiosqlite.connect(":memory:", 5.0)


async def test_nothing_is_opened_before_the_await(aiosqlite, path):
    db = aiosqlite.connect(path)
    assert not path.exists()
    async with db:
        assert path.exists()


async def test_uri_names_a_mode(aiosqlite, path):
    await create(aiosqlite.connect(path))
    async with aiosqlite.connect(path.as_uri() + "?mode=ro", uri=True) as db:
        assert await scalar(db, "select a from t") == 42
        with pytest.raises(
            sqlite3.OperationalError, match=r"(?m)^attempt to write a readonly database$"
        ):
            await db.execute("insert into t values (1)")


async def test_uri_that_may_not_create_a_file(aiosqlite, path):
    db = aiosqlite.connect(path.as_uri() + "?mode=rw", uri=True)
    assert await failure_to_open(db) == UNABLE
    assert not path.exists()


async def test_uri_with_bytes(aiosqlite, path):
    await create(aiosqlite.connect(path.as_uri().encode(), uri=True))
    assert stored(path) == [(42,)]


async def test_shared_options_are_accepted_together(aiosqlite):
    options = {
        "timeout": 1,
        "detect_types": 0,
        "isolation_level": None,
        "check_same_thread": False,
        "cached_statements": 8,
    }
    async with aiosqlite.connect(":memory:", uri=False, **options) as db:
        assert await scalar(db, "select 1") == 1
        assert db.isolation_level is None


async def test_default_isolation_level_is_the_empty_string(aiosqlite):
    async with aiosqlite.connect(":memory:") as db:
        assert db.isolation_level == ""


@pytest.mark.parametrize("count", [0, 1, 128])
async def test_any_number_of_cached_statements(aiosqlite, count):
    async with aiosqlite.connect(":memory:", cached_statements=count) as db:
        for _ in range(2):
            for number in range(5):
                assert await scalar(db, f"select {number}") == number


async def test_iter_chunk_size_reaches_connection_and_cursors(aiosqlite):
    async with aiosqlite.connect(":memory:", iter_chunk_size=3) as db:
        assert db._iter_chunk_size == 3
        async with db.execute(
            "select 1 union all select 2 union all select 3 union all select 4"
        ) as cursor:
            assert cursor.iter_chunk_size == 3
            assert [row async for row in cursor] == [(1,), (2,), (3,), (4,)]


async def test_iter_chunk_size_is_64_by_default(aiosqlite, db):
    assert db._iter_chunk_size == 64
    assert (await db.cursor()).iter_chunk_size == 64


async def test_loop_is_deprecated(aiosqlite):
    loop = asyncio.get_running_loop()
    with pytest.warns(DeprecationWarning) as caught:
        connection = aiosqlite.connect(":memory:", loop=loop)
    assert [str(warning.message) for warning in caught] == [
        "aiosqlite.connect() no longer uses the `loop` parameter"
    ]
    async with connection as db:
        assert await scalar(db, "select 1") == 1


async def test_loop_of_a_connection_is_deprecated(aiosqlite):
    with pytest.warns(DeprecationWarning) as caught:
        aiosqlite.Connection(lambda: sqlite3.connect(":memory:"), 64, asyncio.get_running_loop())
    assert [str(warning.message) for warning in caught] == [
        "aiosqlite.Connection no longer uses the `loop` parameter"
    ]


async def test_loop_of_none_is_silent(aiosqlite):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aiosqlite.connect(":memory:", loop=None)


async def test_connecting_needs_no_loop_until_it_is_awaited(aiosqlite):
    loop = asyncio.get_running_loop()
    db = await loop.run_in_executor(None, aiosqlite.connect, ":memory:")
    async with db:
        assert await scalar(db, "select 1") == 1


async def test_unknown_keyword_is_a_type_error_when_awaited(aiosqlite):
    db = aiosqlite.connect(":memory:", bogus=1)
    error, message = await failure_to_open(db)
    assert error is TypeError
    assert "bogus" in message


async def test_missing_directory(aiosqlite, tmp_path):
    assert await failure_to_open(aiosqlite.connect(tmp_path / "missing" / "test.db")) == UNABLE


async def test_directory_instead_of_a_file(aiosqlite, tmp_path):
    assert await failure_to_open(aiosqlite.connect(tmp_path)) == UNABLE


async def test_failed_open_stops_the_connection(aiosqlite, tmp_path):
    db = aiosqlite.connect(tmp_path)
    assert await failure_to_open(db) == UNABLE
    assert db._running is False
    assert db._connection is None
    assert await outcome(db.execute("select 1")) == (ValueError, "no active connection")
    with pytest.raises(RuntimeError, match=r"(?m)^threads can only be started once$"):
        await db


async def test_failed_open_raises_from_async_with(aiosqlite, tmp_path):
    async def program(connection):
        async with connection:
            raise AssertionError("the body of a failed connect ran")

    db = aiosqlite.connect(tmp_path)
    assert await outcome(program(db)) == UNABLE
    await asyncio.to_thread(db._thread.join)


async def test_file_that_is_not_a_database_opens_and_fails_at_the_first_statement(aiosqlite, path):
    path.write_bytes(
        b"this is text, and it is long enough to be taken for a header of a database\n" * 20
    )
    async with aiosqlite.connect(path) as db:
        with pytest.raises(sqlite3.DatabaseError, match=r"(?m)^file is not a database$") as caught:
            await db.execute("select * from sqlite_master")
        assert type(caught.value) is sqlite3.DatabaseError


async def test_name_with_a_null_character(aiosqlite):
    error, message = await failure_to_open(aiosqlite.connect("a\0b"))
    assert error is ValueError
    assert message in ("embedded null character", "embedded null byte")


async def test_bytes_that_are_not_utf_8(aiosqlite):
    error, _ = await failure_to_open(aiosqlite.connect(b"\xff.db"))
    assert error is UnicodeDecodeError


@pytest.mark.parametrize(
    "option",
    [
        {"timeout": "long"},
        {"detect_types": "x"},
        {"isolation_level": 1},
        {"cached_statements": "x"},
    ],
    ids=lambda option: next(iter(option)),
)
async def test_option_of_a_wrong_type(aiosqlite, option):
    error, _ = await failure_to_open(aiosqlite.connect(":memory:", **option))
    assert error is TypeError


async def test_timeout_zero_does_not_wait_for_a_lock(aiosqlite, path):
    await create(aiosqlite.connect(path))
    async with aiosqlite.connect(path) as one, aiosqlite.connect(path, timeout=0) as two:
        await one.execute("begin exclusive")
        with pytest.raises(sqlite3.OperationalError, match=r"(?m)^database is locked$"):
            await two.execute("insert into t values (1)")
        await one.rollback()
        await two.execute("insert into t values (1)")


async def test_timeout_waits_for_a_lock(aiosqlite, path):
    await create(aiosqlite.connect(path))
    async with aiosqlite.connect(path) as one, aiosqlite.connect(path, timeout=20) as two:
        await one.execute("begin immediate")
        insert = asyncio.ensure_future(two.execute("insert into t values (1)"))
        # The release needs `one` alone, so it comes in time however late `two` starts to wait.
        await one.execute("insert into t values (2)")
        await one.commit()
        await insert
        await two.commit()
        assert await scalar(two, "select count(*) from t") == 3


async def test_connections_of_one_file_see_each_other(aiosqlite, path):
    await create(aiosqlite.connect(path))
    async with aiosqlite.connect(path) as one, aiosqlite.connect(path) as two:
        await one.execute("insert into t values (1)")
        assert await scalar(two, "select count(*) from t") == 1
        await one.commit()
        assert await scalar(two, "select count(*) from t") == 2


class Index:
    def __index__(self):
        return 1


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": Index()},
        {"timeout": "1"},
        {"isolation_level": "DEFERRED\0"},
        {"isolation_level": "\ud800"},
    ],
    ids=shown,
)
async def test_odd_options_are_taken_or_refused_as_sqlite3_does(aiosqlite, options):
    try:
        sqlite3.connect(":memory:", **options).close()
        expected = None
    except Exception as error:
        expected = type(error), str(error)
    connection = aiosqlite.connect(":memory:", **options)
    if expected is None:
        async with connection:
            assert await scalar(connection, "select 1") == 1
    else:
        assert await failure_to_open(connection) == expected
