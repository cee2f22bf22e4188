"""row_factory and text_factory: on a connection, on a cursor, and when a change takes effect."""

import sqlite3
import sys

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

THREE = "select 1 as a, 'x' as b union all select 2, 'y' union all select 3, 'z'"


class RowSubclass(sqlite3.Row):
    def total(self):
        return len(self)


def as_dict(cursor, row):
    return {column[0]: value for column, value in zip(cursor.description, row)}


def as_list(cursor, row):
    return list(row)


class Record:
    def __init__(self, cursor, row):
        self.names = [column[0] for column in cursor.description]
        self.row = row


async def test_no_factory_by_default(aiosqlite, db):
    assert db.row_factory is None
    assert (await db.cursor()).row_factory is None
    assert db.text_factory is str


async def test_row_gives_names_and_positions(aiosqlite, db):
    db.row_factory = aiosqlite.Row
    assert db.row_factory is sqlite3.Row
    row = (await fetchall(db, THREE))[0]
    assert type(row) is sqlite3.Row
    assert (row["a"], row["B"], row[0], row[-1]) == (1, "x", 1, "x")
    assert row.keys() == ["a", "b"]
    assert tuple(row) == (1, "x")
    assert row[0:2] == (1, "x")
    assert dict(row) == {"a": 1, "b": "x"}
    with pytest.raises(IndexError, match=r"(?m)^No item with that key$"):
        row["c"]


async def test_rows_compare_and_hash_as_rows_do(db):
    db.row_factory = sqlite3.Row
    one = await fetchall(db, "select 1 as a, 2 as b")
    two = await fetchall(db, "select 1 as a, 2 as b")
    other = await fetchall(db, "select 1 as a, 2 as c")
    assert one == two
    assert one != other
    assert hash(one[0]) == hash(two[0])


async def test_row_outlives_cursor_and_connection(aiosqlite):
    async with aiosqlite.connect(":memory:") as db:
        db.row_factory = sqlite3.Row
        rows = await fetchall(db, THREE)
    assert [row["b"] for row in rows] == ["x", "y", "z"]


async def test_row_of_odd_names(db):
    db.row_factory = sqlite3.Row
    row = (
        await fetchall(db, 'select 1 as "it\'s", 2 as "a""b", 3 as "", 4 as "é ?", 5 as "a;b--"')
    )[0]
    assert row.keys() == ["it's", 'a"b', "", "é ?", "a;b--"]
    assert row['a"b'] == 2


async def test_row_of_equal_names(db):
    db.row_factory = sqlite3.Row
    row = (await fetchall(db, "select 1 as a, 2 as a"))[0]
    assert row.keys() == ["a", "a"]
    assert row["a"] == 1
    assert tuple(row) == (1, 2)


async def test_rows_of_two_statements_keep_their_own_names(db):
    db.row_factory = sqlite3.Row
    one = await db.execute("select 1 as a")
    two = await db.execute("select 2 as b")
    assert (await two.fetchone()).keys() == ["b"]
    assert (await one.fetchone()).keys() == ["a"]


async def test_subclass_of_row(db):
    db.row_factory = RowSubclass
    row = (await fetchall(db, THREE))[0]
    assert type(row) is RowSubclass
    assert (row.total(), row["b"]) == (2, "x")


@pytest.mark.parametrize("factory, first", [(as_dict, {"a": 1, "b": "x"}), (as_list, [1, "x"])])
async def test_function_as_factory(db, factory, first):
    db.row_factory = factory
    assert db.row_factory is factory
    assert (await fetchall(db, THREE))[0] == first


async def test_class_as_factory(db):
    db.row_factory = Record
    record = (await fetchall(db, THREE))[2]
    assert (record.names, record.row) == (["a", "b"], (3, "z"))


async def test_function_that_builds_a_row_of_its_arguments(db):
    db.row_factory = lambda cursor, row: dict(sqlite3.Row(cursor, row))
    assert await fetchall(db, THREE) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]


async def test_factory_gets_a_cursor_with_a_description_and_a_plain_tuple(db):
    seen = []
    db.row_factory = lambda cursor, row: seen.append((cursor.description, type(row)))
    assert await fetchall(db, "select 1 as a") == [None]
    assert seen == [((("a", None, None, None, None, None, None),), tuple)]


@pytest.mark.parametrize("fetch", ["fetchone", "fetchmany", "fetchall", "async_for"])
async def test_factory_is_used_by_every_fetch(db, fetch):
    db.row_factory = as_list
    cursor = await db.execute("select 1")
    if fetch == "async_for":
        assert [row async for row in cursor] == [[1]]
    else:
        rows = await getattr(cursor, fetch)()
        assert rows == ([1] if fetch == "fetchone" else [[1]])


async def test_factory_that_returns_none_does_not_end_an_async_for(db):
    db.row_factory = lambda cursor, row: None
    cursor = await db.execute(THREE)
    assert [row async for row in cursor] == [None, None, None]


async def test_cursor_takes_the_factory_of_its_connection_when_it_is_made(db):
    before = await db.cursor()
    db.row_factory = as_list
    after = await db.cursor()
    db.row_factory = None
    await before.execute("select 1")
    await after.execute("select 1")
    assert await before.fetchone() == (1,)
    assert await after.fetchone() == [1]
    assert (before.row_factory, after.row_factory) == (None, as_list)


async def test_cursor_may_have_a_factory_of_its_own(db):
    cursor = await db.execute(THREE)
    cursor.row_factory = as_dict
    assert cursor.row_factory is as_dict
    assert db.row_factory is None
    assert await cursor.fetchone() == {"a": 1, "b": "x"}
    cursor.row_factory = None
    assert await cursor.fetchone() == (2, "y")
    cursor.row_factory = sqlite3.Row
    assert (await cursor.fetchone())["b"] == "z"


async def test_factory_changed_on_the_connection_leaves_an_executed_cursor_alone(db):
    cursor = await db.execute(THREE)
    db.row_factory = as_list
    assert await cursor.fetchall() == [(1, "x"), (2, "y"), (3, "z")]


async def test_factory_set_before_the_await_holds_for_a_result_made_earlier(db):
    result = db.execute("select 1")
    db.row_factory = as_list
    cursor = await result
    assert await cursor.fetchall() == [[1]]


async def test_error_of_a_row_factory_passes_through(db):
    def factory(cursor, row):
        if row[0] == 2:
            raise LookupError("second")
        return row

    db.row_factory = factory
    cursor = await db.execute(THREE)
    with pytest.raises(LookupError, match=r"second"):
        await cursor.fetchall()
    db.row_factory = None
    assert await scalar(db, "select 1") == 1


async def test_rows_after_the_one_that_the_factory_refused(db):
    def factory(cursor, row):
        if row[0] == 2:
            raise LookupError("second")
        return row

    def stdlib_program(connection):
        connection.row_factory = factory
        cursor = connection.execute(THREE)
        seen = [cursor.fetchone()]
        with pytest.raises(LookupError):
            cursor.fetchone()
        return [*seen, *(stdlib_step(cursor) for _ in range(2))]

    db.row_factory = factory
    cursor = await db.execute(THREE)
    seen = [await cursor.fetchone()]
    with pytest.raises(LookupError):
        await cursor.fetchone()
    seen += [await outcome(cursor.fetchone()) for _ in range(2)]
    assert seen == stdlib_outcome(stdlib_program)


def stdlib_step(cursor):
    try:
        return cursor.fetchone()
    except LookupError as error:
        return type(error), str(error)


@pytest.mark.parametrize("factory", [42, lambda cursor: None])
async def test_row_factory_that_cannot_be_called_with_two_arguments(db, factory):
    db.row_factory = factory
    cursor = await db.execute("select 1")
    with pytest.raises(TypeError):
        await cursor.fetchall()


@pytest.mark.parametrize(
    "factory, expected",
    [
        (str, "naïve"),
        (bytes, "naïve".encode()),
        (bytearray, bytearray("naïve".encode())),
        (lambda raw: raw.decode("latin-1"), "naÃ¯ve"),
        (lambda raw: (type(raw), len(raw)), (bytes, 6)),
    ],
    ids=["str", "bytes", "bytearray", "function", "argument"],
)
async def test_text_factory(db, factory, expected):
    db.text_factory = factory
    assert db.text_factory is factory
    result = await scalar(db, "select 'naïve'")
    assert type(result) is type(expected)
    assert result == expected


async def test_text_factory_is_only_for_text(db):
    db.text_factory = lambda raw: "text"
    assert await fetchall(db, "select 1, 1.5, x'61', null, 'a'") == [(1, 1.5, b"a", None, "text")]


async def test_text_factory_gets_nul_characters_and_invalid_bytes(db):
    db.text_factory = bytes
    assert await fetchall(db, "select ?, cast(x'ff' as text)", ("a\0b",)) == [(b"a\0b", b"\xff")]


async def test_text_factory_that_repairs_invalid_text(db):
    db.text_factory = lambda raw: raw.decode(errors="replace")
    assert await scalar(db, "select cast(x'61ff' as text)") == "a\ufffd"


async def test_error_of_a_text_factory_passes_through(db):
    def factory(raw):
        raise LookupError("text factory")

    db.text_factory = factory
    assert await outcome(fetchall(db, "select 'a'")) == (LookupError, "text factory")


async def test_text_factory_that_is_not_callable(db):
    def program(connection):
        connection.text_factory = 42
        return connection.execute("select 'a'").fetchall()

    db.text_factory = 42
    assert await outcome(fetchall(db, "select 'a'")) == stdlib_outcome(program)


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="older sqlite3 decodes the first row in execute()"
)
async def test_text_factory_changed_before_the_fetch_holds_for_the_fetch(db):
    cursor = await db.execute(THREE)
    db.text_factory = bytes
    assert await cursor.fetchone() == (1, b"x")
    db.text_factory = str
    assert await cursor.fetchall() == [(2, "y"), (3, "z")]


async def test_text_factory_leaves_column_names_alone(db):
    db.text_factory = bytes
    db.row_factory = sqlite3.Row
    row = (await fetchall(db, "select 'x' as é"))[0]
    assert row.keys() == ["é"]
    assert row["é"] == b"x"


async def test_factories_of_two_connections_are_apart(aiosqlite, db):
    async with aiosqlite.connect(":memory:") as other:
        db.row_factory = as_list
        db.text_factory = bytes
        assert await fetchall(other, "select 'a'") == [("a",)]
        assert await fetchall(db, "select 'a'") == [[b"a"]]
