"""executemany(): what it takes items from, what it counts, and what is left after an error."""

import sqlite3

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

import csqlite

INSERT = "insert into t values (?)"


async def create(db):
    await db.execute("create table t (a)")


def raising_after(count):
    for number in range(count):
        yield (number,)
    raise LookupError("the generator failed")


class Iterator:
    """An iterator that has nothing but `__next__`."""

    def __init__(self, count):
        self.left = count

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return (self.left,)


@pytest.mark.parametrize(
    "items",
    [
        lambda: [(0,), (1,), (2,)],
        lambda: ((0,), [1], range(2, 3)),
        lambda: ((number,) for number in range(3)),
        lambda: iter([(0,), (1,), (2,)]),
        lambda: Iterator(3),
        lambda: ([number] for number in range(3)),
        lambda: {(0,), (1,), (2,)},
        lambda: {(0,): "a", (1,): "b", (2,): "c"},
        lambda: zip(range(3)),
        lambda: "012",
    ],
    ids=["list", "tuple", "generator", "iterator", "class", "map", "set", "dict", "zip", "str"],
)
async def test_items_come_from_any_iterable(db, items):
    await create(db)
    await db.executemany(INSERT, items())
    assert await fetchall(db, "select cast(a as integer) from t order by 1") == [(0,), (1,), (2,)]


async def test_items_may_be_dicts(db):
    await create(db)
    await db.executemany("insert into t values (:a || :b)", ({"a": n, "b": n} for n in range(2)))
    assert await fetchall(db, "select a from t") == [("00",), ("11",)]


async def test_items_may_be_of_different_kinds(db):
    await create(db)
    await db.executemany(INSERT, [(1,), ["two"], (None,), (b"4",), (5.5,)])
    assert await fetchall(db, "select a from t") == [(1,), ("two",), (None,), (b"4",), (5.5,)]


async def test_rowcount_is_the_sum(db):
    await create(db)
    cursor = await db.executemany(INSERT, [(n,) for n in range(5)])
    assert cursor.rowcount == 5
    await cursor.executemany("update t set a = a + ? where a >= 3", [(1,), (1,)])
    assert cursor.rowcount == 4
    await cursor.executemany("delete from t where a = ?", [(0,), (77,)])
    assert cursor.rowcount == 1
    assert cursor.description is None


async def test_no_items(db):
    await create(db)
    cursor = await db.executemany(INSERT, [])
    assert cursor.rowcount == 0
    assert await scalar(db, "select count(*) from t") == 0


async def test_no_items_and_the_transaction(db):
    def program(connection):
        connection.execute("create table t (a)")
        connection.executemany(INSERT, [])
        return connection.in_transaction

    await create(db)
    await db.executemany(INSERT, [])
    assert db.in_transaction is stdlib_outcome(program)


async def test_one_transaction_for_all_items(db):
    await create(db)
    await db.executemany(INSERT, [(1,), (2,)])
    assert db.in_transaction
    await db.rollback()
    assert await scalar(db, "select count(*) from t") == 0


@pytest.mark.parametrize(
    "bad, error",
    [
        ((1, 2), sqlite3.ProgrammingError),
        ((), sqlite3.ProgrammingError),
        ((2**63,), OverflowError),
        (("\ud800",), UnicodeEncodeError),
        ((0,), sqlite3.IntegrityError),
        (5, Exception),
    ],
    ids=["too_many", "too_few", "overflow", "surrogate", "constraint", "no_sequence"],
)
async def test_error_in_the_middle_keeps_the_rows_before(db, bad, error):
    await db.execute("create table t (a primary key)")
    with pytest.raises(error):
        await db.executemany(INSERT, [(0,), (1,), bad, (3,)])
    assert db.in_transaction
    await db.commit()
    assert await fetchall(db, "select a from t") == [(0,), (1,)]


async def test_error_of_the_iterable_passes_through_and_keeps_the_rows_before(db):
    await create(db)
    with pytest.raises(LookupError, match=r"(?m)^'?the generator failed'?$"):
        await db.executemany(INSERT, raising_after(3))
    assert await fetchall(db, "select a from t") == [(0,), (1,), (2,)]
    assert db.in_transaction


async def test_error_at_the_first_item(db):
    await create(db)
    with pytest.raises(LookupError):
        await db.executemany(INSERT, raising_after(0))
    assert await scalar(db, "select count(*) from t") == 0


async def test_something_that_is_not_iterable(db):
    await create(db)
    with pytest.raises(TypeError, match=r"'int' object is not iterable"):
        await db.executemany(INSERT, 5)
    with pytest.raises(TypeError, match=r"'NoneType' object is not iterable"):
        await db.executemany(INSERT, None)


@pytest.mark.parametrize(
    "sql", ["select ?", "create table u (a)", "pragma user_version", "values (?)"]
)
@pytest.mark.parametrize("items", [[], [(1,)]], ids=["empty", "one"])
async def test_what_changes_no_row_is_refused_as_sqlite3_refuses_it(db, sql, items):
    def program(connection):
        return connection.executemany(sql, items).fetchall()

    async def same():
        return await (await db.executemany(sql, items)).fetchall()

    assert await outcome(same()) == stdlib_outcome(program)


async def test_select_is_refused(db):
    with pytest.raises(
        sqlite3.ProgrammingError, match=r"(?m)^executemany\(\) can only execute DML statements\.$"
    ):
        await db.executemany("select ?", [(1,)])


async def test_rows_of_returning_are_discarded():
    # What sqlite3 documents; since Python 3.12 it raises InterfaceError instead.
    async with csqlite.connect(":memory:") as db:
        await create(db)
        cursor = await db.executemany("insert into t values (?) returning a", [(1,), (2,)])
        assert await cursor.fetchall() == []
        assert cursor.rowcount == 2


async def test_statement_that_does_not_compile_takes_no_item(db):
    items = iter([(1,), (2,)])
    with pytest.raises(sqlite3.OperationalError, match=r"(?m)^no such table: nowhere$"):
        await db.executemany("insert into nowhere values (?)", items)
    assert list(items) == [(1,), (2,)]


async def test_two_statements(db):
    sql = INSERT + "; " + INSERT

    def program(connection):
        connection.execute("create table t (a)")
        connection.executemany(sql, [(1,)])

    await create(db)
    assert await outcome(db.executemany(sql, [(1,)])) == stdlib_outcome(program)


async def test_hundred_thousand_rows_from_a_generator(db):
    await create(db)
    cursor = await db.executemany(INSERT, ((number,) for number in range(100_000)))
    assert cursor.rowcount == 100_000
    assert await fetchall(db, "select count(*), sum(a), count(distinct a) from t") == [
        (100_000, sum(range(100_000)), 100_000)
    ]


async def test_hundred_thousand_rows_from_a_list_keep_their_order(db):
    await create(db)
    await db.executemany(INSERT, [(f"row {number}",) for number in range(100_000)])
    assert await scalar(db, "select count(*) from t where a <> 'row ' || (rowid - 1)") == 0


async def test_statement_executed_again_after_an_error(db):
    await create(db)
    with pytest.raises(sqlite3.ProgrammingError):
        await db.executemany(INSERT, [(1,), (1, 2)])
    await db.executemany(INSERT, [(2,), (3,)])
    assert await fetchall(db, "select a from t") == [(1,), (2,), (3,)]


async def test_async_with(db):
    await create(db)
    async with db.executemany(INSERT, [(1,), (2,)]) as cursor:
        assert cursor.rowcount == 2
    assert await outcome(cursor.fetchone()) == (
        sqlite3.ProgrammingError,
        "Cannot operate on a closed cursor.",
    )


async def test_rows_left_from_a_select_are_dropped(db):
    await create(db)
    cursor = await db.execute("select 1 union select 2")
    assert await cursor.fetchone() == (1,)
    await cursor.executemany(INSERT, [(1,)])
    assert await cursor.fetchall() == []


async def test_rowcount_after_what_is_not_iterable(db):
    await create(db)
    cursor = await db.executemany(INSERT, [(1,), (2,)])
    assert cursor.rowcount == 2
    assert (await outcome(cursor.executemany(INSERT, 5)))[0] is TypeError
    assert cursor.rowcount == -1
