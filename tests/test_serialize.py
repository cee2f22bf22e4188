"""serialize() and deserialize(): a database as bytes, and back."""

import asyncio
import sqlite3
import time

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

ORACLE_NEEDS = ["serialize"]

BUSY = (sqlite3.OperationalError, "database is locked")


async def fill(db, rows=3):
    await db.execute("create table t (a, b)")
    await db.executemany("insert into t values (?, ?)", [(n, f"row {n}") for n in range(rows)])
    await db.commit()


def overwrites(twin):
    """With a system's SQLite a database in memory is overwritten, which reads what comes."""
    return twin is csqlite.connect and csqlite.build.source == "system"


async def rows_of(db):
    return await db.execute_fetchall("select * from t")


# -- as sqlite3 does it


async def test_what_is_serialized_comes_back(twin):
    async with twin(":memory:") as db, twin(":memory:") as copy:
        await fill(db)
        data = await db.serialize()
        assert type(data) is bytes
        assert data.startswith(b"SQLite format 3\0")
        assert len(data) % 4096 == 0
        assert await copy.deserialize(data) is None
        assert await rows_of(copy) == await rows_of(db)
        assert await copy.serialize() == data


async def test_serialized_file_is_the_file(twin, path):
    async with twin(path) as db:
        await fill(db)
        assert await db.serialize() == path.read_bytes()


async def test_serialize_shows_what_is_not_committed(twin):
    async with twin(":memory:") as db, twin(":memory:") as copy:
        await fill(db)
        await db.execute("delete from t")
        data = await db.serialize()
        assert db.in_transaction
        await db.rollback()
        await copy.deserialize(data)
        assert await rows_of(copy) == []


async def test_deserialized_database_grows(twin):
    async with twin(":memory:") as db, twin(":memory:") as copy:
        await fill(db)
        await copy.deserialize(await db.serialize())
        await copy.executemany("insert into t values (?, ?)", [(n, "x" * 1000) for n in range(999)])
        await copy.commit()
        assert len(await rows_of(copy)) == 1002
        assert len(await rows_of(db)) == 3


async def test_deserialize_replaces_what_was_there(twin):
    async with twin(":memory:") as db, twin(":memory:") as copy:
        await fill(db)
        await copy.execute("create table old (a)")
        await copy.deserialize(await db.serialize())
        names = await copy.execute_fetchall("select name from sqlite_master")
        assert names == [("t",)]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_deserialize_takes_anything_that_holds_bytes(twin, kind):
    async with twin(":memory:") as db, twin(":memory:") as copy:
        await fill(db)
        await copy.deserialize(kind(await db.serialize()))
        assert len(await rows_of(copy)) == 3


async def test_name_of_an_attached_database(twin):
    async with twin(":memory:") as db, twin(":memory:") as copy:
        await fill(db)
        await db.execute("attach ':memory:' as other")
        await db.execute("create table other.only_there (a)")
        data = await db.serialize(name="other")
        await copy.execute("attach ':memory:' as third")
        await copy.deserialize(data, name="third")
        assert await copy.execute_fetchall("select name from third.sqlite_master") == [
            ("only_there",)
        ]
        assert await copy.execute_fetchall("select name from main.sqlite_master") == []


@pytest.mark.parametrize("name", ["nowhere", "", "MAIN "])
async def test_serialize_of_no_schema(twin, name):
    async with twin(":memory:") as db:
        assert await outcome(db.serialize(name=name)) == (
            sqlite3.OperationalError,
            f"unable to serialize '{name}'",
        )


@pytest.mark.parametrize("data", [b"\0\1\3", b"x" * 5000, "text"], ids=repr)
async def test_what_is_no_database_shows_when_it_is_used(twin, data):
    async with twin(":memory:") as db:
        if overwrites(twin):
            with pytest.raises(sqlite3.DatabaseError, match=r"(?m)^file is not a database$"):
                await db.deserialize(data)
            return
        await db.deserialize(data)
        for _ in range(2):
            with pytest.raises(sqlite3.DatabaseError, match=r"(?m)^file is not a database$"):
                await db.execute("create table t (a)")


async def test_truncated_database(twin):
    async with twin(":memory:") as db, twin(":memory:") as copy:
        await fill(db)
        with pytest.raises(sqlite3.DatabaseError):
            await copy.deserialize((await db.serialize())[:100])
            assert not overwrites(twin)
            await rows_of(copy)


NO_NAME = "{}() argument 'name' must be str, not {}"
NO_BYTES = "a bytes-like object is required, not '{}'"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda db: db.serialize("main"),
            (TypeError, "serialize() takes no positional arguments"),
        ),
        (
            lambda db: db.serialize(name=None),
            (TypeError, NO_NAME.format("serialize", "None")),
        ),
        (lambda db: db.serialize(name=5), (TypeError, NO_NAME.format("serialize", "int"))),
        (lambda db: db.serialize(name="a\0"), (ValueError, "embedded null character")),
        (
            lambda db: db.deserialize(),
            (TypeError, "deserialize() takes exactly 1 positional argument (0 given)"),
        ),
        (
            lambda db: db.deserialize(data=b""),
            (TypeError, "deserialize() takes exactly 1 positional argument (0 given)"),
        ),
        (
            lambda db: db.deserialize(b"", "main"),
            (TypeError, "deserialize() takes exactly 1 positional argument (2 given)"),
        ),
        (lambda db: db.deserialize(5), (TypeError, NO_BYTES.format("int"))),
        (lambda db: db.deserialize(None), (TypeError, NO_BYTES.format("NoneType"))),
        (
            lambda db: db.deserialize(memoryview(b"abcd")[::2]),
            (BufferError, "memoryview: underlying buffer is not C-contiguous"),
        ),
        (
            lambda db: db.deserialize(b"x", name=None),
            (TypeError, NO_NAME.format("deserialize", "None")),
        ),
    ],
)
async def test_wrong_arguments(twin, call, expected):
    async with twin(":memory:") as db:

        async def run():
            return await call(db)

        assert await outcome(run()) == expected


# -- beyond sqlite3


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def test_what_sqlite3_writes_csqlite_reads_and_the_other_way_round(db):
    if not hasattr(sqlite3.Connection, "serialize"):
        pytest.skip("this Python's sqlite3 has no serialize()")
    other = sqlite3.connect(":memory:")
    other.executescript("create table t (a, b); insert into t values (1, 'x')")
    await db.deserialize(other.serialize())
    assert await rows_of(db) == [(1, "x")]
    await db.execute("insert into t values (2, 'y')")
    await db.commit()
    other.deserialize(await db.serialize())
    assert other.execute("select * from t").fetchall() == [(1, "x"), (2, "y")]
    other.close()


async def test_serialize_of_an_empty_database_comes_back(db):
    """Older versions of SQLite cannot serialize it."""
    if csqlite.sqlite_version_info < (3, 47):
        pytest.skip("this SQLite cannot serialize an empty database")
    data = await db.serialize()
    await fill(db)
    await db.deserialize(data)
    assert await scalar(db, "select count(*) from sqlite_master") == 0
    await fill(db)


async def test_no_bytes_are_an_empty_database(db):
    """sqlite3 raises MemoryError."""
    await fill(db)
    await db.deserialize(b"")
    assert await scalar(db, "select count(*) from sqlite_master") == 0
    await fill(db)
    assert len(await rows_of(db)) == 3


async def test_deserialize_into_no_schema(db):
    """sqlite3 raises SystemError."""
    assert await outcome(db.deserialize(b"x", name="nowhere")) == (
        sqlite3.OperationalError,
        "unknown database nowhere",
    )
    assert await outcome(db.deserialize(b"x", name="temp")) == (
        sqlite3.OperationalError,
        "unable to deserialize 'temp'",
    )


@pytest.mark.parametrize("use", ["write", "read", "blob", "begin immediate"])
async def test_database_in_use_is_not_replaced(db, use):
    """sqlite3 lets SQLite do it, and old versions crash."""
    await fill(db, 500)
    data = await db.serialize()
    opened = None
    if use == "write":
        await db.execute("delete from t")
    elif use == "read":
        opened = await db.execute("select * from t")
        await opened.fetchone()
    elif use == "blob":
        opened = await db.blobopen("t", "b", 1, readonly=True)
    else:
        await db.execute("begin immediate")
    assert await outcome(db.deserialize(data)) == BUSY
    if opened is not None:
        await opened.close()
    await db.rollback()
    await db.deserialize(data)
    assert len(await rows_of(db)) == 500


@pytest.mark.parametrize("role", ["source", "target"])
async def test_database_being_copied_is_not_replaced(db, role):
    await fill(db, 500)
    data = await db.serialize()
    outcomes = []

    async with csqlite.connect(":memory:") as copy:

        async def progress(status, remaining, total):
            if remaining and not outcomes:
                outcomes.append(await outcome((db if role == "source" else copy).deserialize(data)))

        await db.backup(copy, pages=1, progress=progress, sleep=0)
        assert outcomes == [BUSY]
        assert len(await rows_of(copy)) == 500
        await db.deserialize(data)
        await copy.deserialize(data)


async def test_function_cannot_replace_the_database_under_its_own_statement(db):
    await fill(db)
    data = await db.serialize()
    outcomes = []

    def replace():
        try:
            db._conn.deserialize(data)
        except sqlite3.OperationalError as error:
            outcomes.append((type(error), str(error)))

    await db.create_function("replace_it", 0, replace)
    await db.execute_fetchall("select replace_it()")
    assert outcomes == [BUSY]


async def test_prepared_statements_are_not_taken_for_those_of_the_new_database(db):
    """Both databases have the same schema cookie, by which SQLite tells them apart."""
    await db.executescript("create table a (x); create table t (x); insert into a values ('a')")
    await db.execute("insert into t values ('t')")
    await db.commit()
    assert await fetchall(db, "select x from t") == [("t",)]
    async with csqlite.connect(":memory:") as other:
        await other.executescript(
            "create table t (x); create table a (x); insert into a values ('other a')"
        )
        await other.execute("insert into t values ('other t')")
        await other.commit()
        await db.deserialize(await other.serialize())
    assert await fetchall(db, "select x from t") == [("other t",)]


async def test_database_with_a_write_ahead_log(path, db):
    """SQLite refuses it, unless two bytes of its header are changed."""
    async with csqlite.connect(path) as file:
        await file.execute("pragma journal_mode = wal")
        await fill(file)
        data = await file.serialize()
        # What is in the log alone is there, too.
        await file.execute("insert into t values (4, 'row 4')")
        await file.commit()
        await db.deserialize(await file.serialize())
        assert len(await rows_of(db)) == 4
    await db.deserialize(data)
    assert len(await rows_of(db)) == 3
    assert await scalar(db, "pragma journal_mode") == "memory"


async def test_loop_goes_on_while_a_large_database_is_copied(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (zeroblob(64000000))")
    await db.commit()
    longest = 0
    turns = 0
    task = asyncio.ensure_future(db.serialize())
    while not task.done():
        begun = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - begun)
        turns += 1
    data = await task
    assert len(data) > 64000000
    # As many slices as it takes, none of which is a tenth of the whole.
    assert turns > 100
    await db.deserialize(data)
    assert await scalar(db, "select length(a) from t") == 64000000


async def test_cancelled_serialize(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (zeroblob(10000000))")
    await db.commit()
    for turns in (1, 2, 5, 50):
        task = asyncio.ensure_future(db.serialize())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert len(await db.serialize()) > 10000000


async def test_serialize_on_a_connection_that_is_not_open():
    db = csqlite.connect(":memory:")
    for _ in range(2):
        assert await outcome(db.serialize()) == (ValueError, "no active connection")
        assert await outcome(db.deserialize(b"")) == (ValueError, "no active connection")
        await db.close()


async def test_buffer_cannot_be_resized_before_it_is_copied(db):
    await fill(db)
    data = bytearray(await db.serialize())
    request = db.deserialize(data)
    with pytest.raises(BufferError):
        data.append(0)
    await request
    data.append(0)


async def test_synchronous_view(db):
    await fill(db)

    def use():
        data = db._conn.serialize(name="main")
        db._conn.execute("drop table t")
        db._conn.commit()
        db._conn.deserialize(data)
        return db._conn.execute("select count(*) from t").fetchone()

    assert await db._execute(use) == (3,)


@pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "serialize"), reason="this sqlite3 has no serialize()"
)
async def test_foreign_connection():
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        await fill(db)
        data = await db.serialize(name="main")
        await db.execute("drop table t")
        await db.commit()
        await db.deserialize(data)
        assert len(await rows_of(db)) == 3
