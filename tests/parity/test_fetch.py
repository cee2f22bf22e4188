"""From execute() to the last row: how rows come, and what a cursor says about itself."""

import asyncio
import sqlite3
import sys

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

NUMBERS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n where i < {}) select i from n"
)

AS_SINCE_311 = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="csqlite does as Python 3.11's sqlite3"
)
CLOSED = (sqlite3.ProgrammingError, "Cannot operate on a closed cursor.")


async def test_fetchone_gives_tuples_then_none(db):
    cursor = await db.execute(NUMBERS.format(2))
    assert await cursor.fetchone() == (1,)
    assert await cursor.fetchone() == (2,)
    assert await cursor.fetchone() is None
    assert await cursor.fetchone() is None


async def test_rows_are_exactly_tuples(db):
    cursor = await db.execute("select 1, 'a'")
    assert type(await cursor.fetchone()) is tuple


async def test_fetchall_gives_a_list_of_what_is_left(db):
    cursor = await db.execute(NUMBERS.format(4))
    assert await cursor.fetchone() == (1,)
    rows = await cursor.fetchall()
    assert type(rows) is list
    assert rows == [(2,), (3,), (4,)]
    assert await cursor.fetchall() == []


async def test_fetchmany_takes_arraysize_rows_which_is_one(db):
    cursor = await db.execute(NUMBERS.format(3))
    assert cursor.arraysize == 1
    assert await cursor.fetchmany() == [(1,)]
    cursor.arraysize = 5
    assert await cursor.fetchmany() == [(2,), (3,)]
    assert await cursor.fetchmany() == []


async def test_fetchmany_size_is_positional_or_keyword(db):
    cursor = await db.execute(NUMBERS.format(5))
    assert await cursor.fetchmany(2) == [(1,), (2,)]
    assert await cursor.fetchmany(size=2) == [(3,), (4,)]
    assert await cursor.fetchmany(size=None) == [(5,)]


@pytest.mark.parametrize("size", [2**31, 2**40, 2**70, -(2**31) - 1, "x", 1.5])
async def test_fetchmany_refuses_what_is_no_c_int(db, size):
    cursor = await db.execute("select 1")
    failure = stdlib_outcome(lambda connection: connection.execute("select 1").fetchmany(size))
    with pytest.raises((OverflowError, TypeError)) as caught:
        await cursor.fetchmany(size)
    assert failure == (type(caught.value), str(caught.value))
    assert await cursor.fetchone() == (1,)


async def test_fetchmany_leaves_arraysize_alone(db):
    cursor = await db.execute(NUMBERS.format(5))
    await cursor.fetchmany(3)
    assert cursor.arraysize == 1


@pytest.mark.parametrize("size", [0, -1])
async def test_fetchmany_of_a_size_that_is_not_positive(db, size):
    expected = stdlib_outcome(
        lambda connection: connection.execute(NUMBERS.format(3)).fetchmany(size)
    )
    cursor = await db.execute(NUMBERS.format(3))
    assert await outcome(cursor.fetchmany(size)) == expected


async def test_fetchmany_of_a_size_that_is_no_int(db):
    cursor = await db.execute(NUMBERS.format(3))
    with pytest.raises(TypeError):
        await cursor.fetchmany("two")


async def test_arraysize_must_be_an_int(db):
    cursor = await db.cursor()
    with pytest.raises(TypeError):
        cursor.arraysize = "many"


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1000])
async def test_async_for_whatever_the_chunk_size(aiosqlite, chunk):
    async with aiosqlite.connect(":memory:", iter_chunk_size=chunk) as db:
        cursor = await db.execute(NUMBERS.format(200))
        assert [row[0] async for row in cursor] == list(range(1, 201))


async def test_async_for_through_async_with(db):
    async with db.execute(NUMBERS.format(3)) as cursor:
        assert [row async for row in cursor] == [(1,), (2,), (3,)]


async def test_async_for_over_a_cursor_that_never_executed(db):
    cursor = await db.cursor()
    assert [row async for row in cursor] == []


async def test_iterator_of_a_cursor_takes_one_row_at_a_time(db):
    cursor = await db.execute(NUMBERS.format(2))
    rows = cursor.__aiter__()
    assert await rows.__anext__() == (1,)
    assert await rows.__anext__() == (2,)
    with pytest.raises(StopAsyncIteration):
        await rows.__anext__()


async def test_many_rows_come_complete_and_in_order(db):
    rows = await fetchall(db, NUMBERS.format(20000))
    assert rows == [(number,) for number in range(1, 20001)]


async def test_fetching_before_executing(db):
    cursor = await db.cursor()
    assert await cursor.fetchone() is None
    assert await cursor.fetchmany(3) == []
    assert await cursor.fetchall() == []


async def test_fetching_after_a_statement_without_rows(db):
    cursor = await db.execute("create table t (a)")
    assert await cursor.fetchone() is None
    assert await cursor.fetchall() == []


async def test_executing_again_drops_the_rows_that_were_left(db):
    cursor = await db.execute(NUMBERS.format(100))
    assert await cursor.fetchone() == (1,)
    await cursor.execute("select 'x'")
    assert await cursor.fetchall() == [("x",)]


async def test_executing_the_same_text_again_starts_again(db):
    cursor = await db.execute(NUMBERS.format(3))
    assert await cursor.fetchone() == (1,)
    await cursor.execute(NUMBERS.format(3))
    assert await cursor.fetchall() == [(1,), (2,), (3,)]


async def test_failed_execute_drops_the_rows_that_were_left(db):
    cursor = await db.execute(NUMBERS.format(100))
    with pytest.raises(sqlite3.OperationalError):
        await cursor.execute("select nothing")
    assert await cursor.fetchall() == []


async def test_cursors_of_one_statement_are_independent(db):
    one = await db.execute(NUMBERS.format(3))
    two = await db.execute(NUMBERS.format(3))
    assert await one.fetchone() == (1,)
    assert await two.fetchmany(2) == [(1,), (2,)]
    assert await one.fetchall() == [(2,), (3,)]
    assert await two.fetchall() == [(3,)]


async def test_writing_while_another_cursor_reads(db):
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(n,) for n in range(300)])
    reader = await db.execute("select a from t")
    assert await reader.fetchone() == (0,)
    await db.execute("create table u (a)")
    await db.execute("insert into u values (1)")
    await db.commit()
    assert len(await reader.fetchall()) == 299


async def test_gathered_fetches_share_the_rows_in_order(db):
    cursor = await db.execute(NUMBERS.format(10))
    assert await asyncio.gather(*[cursor.fetchone() for _ in range(11)]) == [
        (n,) for n in range(1, 11)
    ] + [None]


async def test_awaited_result_is_a_cursor_of_the_connection(aiosqlite, db):
    cursor = await db.execute("select 1")
    assert type(cursor) is aiosqlite.Cursor
    assert cursor._conn is db


async def test_async_with_a_result_closes_the_cursor_but_an_await_does_not(db):
    async with db.execute("select 1") as closed:
        pass
    assert await outcome(closed.fetchone()) == CLOSED
    left_open = await db.execute("select 1")
    assert await left_open.fetchone() == (1,)


async def test_async_with_a_cursor_closes_it(db):
    async with db.cursor() as cursor:
        await cursor.execute("select 1")
    assert await outcome(cursor.fetchone()) == CLOSED


async def test_async_with_an_awaited_cursor_gives_it_and_closes_it(db):
    cursor = await db.cursor()
    async with cursor as same:
        assert same is cursor
    assert await outcome(cursor.fetchone()) == CLOSED


@pytest.mark.parametrize("method", ["execute_fetchall", "execute_insert"])
async def test_async_with_a_result_that_is_no_cursor_gives_it(db, method):
    await db.execute("create table t (a)")
    async with getattr(db, method)("insert into t values (5) ") as value:
        assert value == ([] if method == "execute_fetchall" else (1,))


async def test_async_with_a_failing_execute_raises_before_the_body(db):
    with pytest.raises(sqlite3.OperationalError, match=r"(?m)^no such table: t$"):
        async with db.execute("select * from t"):
            raise AssertionError("the body ran without a cursor")


@pytest.mark.parametrize(
    "call",
    [
        lambda cursor: cursor.execute("select 1"),
        lambda cursor: cursor.executemany("insert into t values (?)", []),
        lambda cursor: cursor.executescript("select 1"),
        lambda cursor: cursor.fetchone(),
        lambda cursor: cursor.fetchmany(2),
        lambda cursor: cursor.fetchall(),
        lambda cursor: cursor.__aiter__().__anext__(),
    ],
    ids=[
        "execute",
        "executemany",
        "executescript",
        "fetchone",
        "fetchmany",
        "fetchall",
        "async_for",
    ],
)
async def test_using_a_closed_cursor(db, call):
    cursor = await db.execute("select 1")
    await cursor.close()
    assert await outcome(call(cursor)) == CLOSED


async def test_closing_a_cursor_twice(db):
    cursor = await db.execute("select 1")
    assert await cursor.close() is None
    assert await cursor.close() is None


async def test_cursor_attributes_survive_its_close(db):
    cursor = await db.execute("select 1 as a")
    await cursor.close()
    assert [column[0] for column in cursor.description] == ["a"]
    assert cursor.rowcount == -1


async def test_cursor_methods_give_the_cursor(db):
    cursor = await db.cursor()
    assert await cursor.execute("create table t (a)") is cursor
    assert await cursor.executemany("insert into t values (?)", [(1,)]) is cursor
    assert await cursor.executescript("select 1; select 2") is cursor


async def test_description_names_the_columns_and_nothing_else(db):
    cursor = await db.execute("select 1 as a, 2 as 'b c', 3, null as \"d\"")
    assert cursor.description == tuple((name,) + (None,) * 6 for name in ("a", "b c", "3", "d"))


async def test_description_is_none_without_a_result_set(db):
    cursor = await db.cursor()
    assert cursor.description is None
    await cursor.execute("create table t (a)")
    assert cursor.description is None
    await cursor.execute("insert into t values (1)")
    assert cursor.description is None
    await cursor.execute("update t set a = 2")
    assert cursor.description is None


async def test_description_of_an_empty_result_set(db):
    await db.execute("create table t (a, b)")
    cursor = await db.execute("select b, a from t")
    assert [column[0] for column in cursor.description] == ["b", "a"]
    assert await cursor.fetchall() == []
    assert [column[0] for column in cursor.description] == ["b", "a"]


async def test_description_follows_the_last_statement(db):
    cursor = await db.execute("select 1 as a")
    await cursor.execute("select 1 as b, 2 as c")
    assert [column[0] for column in cursor.description] == ["b", "c"]
    await cursor.execute("create table t (a)")
    assert cursor.description is None


async def test_description_keeps_equal_names(db):
    cursor = await db.execute("select 1 as a, 2 as a")
    assert [column[0] for column in cursor.description] == ["a", "a"]


async def test_description_of_a_name_with_brackets_without_colnames(db):
    cursor = await db.execute('select 1 as "a [int]"')
    assert [column[0] for column in cursor.description] == ["a [int]"]


async def test_description_after_the_table_has_grown(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    cursor = await db.execute("select * from t")
    assert await cursor.fetchall() == [(1,)]
    await db.execute("alter table t add column b default 'new'")
    await cursor.execute("select * from t")
    assert [column[0] for column in cursor.description] == ["a", "b"]
    assert await cursor.fetchall() == [(1, "new")]


async def test_description_of_returning(db):
    await db.execute("create table t (a, b)")
    cursor = await db.execute("insert into t values (1, 2) returning b as x, a")
    assert [column[0] for column in cursor.description] == ["x", "a"]
    assert await cursor.fetchall() == [(2, 1)]


async def test_rowcount_counts_what_a_statement_changed(db):
    cursor = await db.cursor()
    assert cursor.rowcount == -1
    await cursor.execute("create table t (a)")
    assert cursor.rowcount == -1
    await cursor.execute("insert into t values (1), (2), (3)")
    assert cursor.rowcount == 3
    await cursor.execute("update t set a = a + 1 where a > 1")
    assert cursor.rowcount == 2
    await cursor.execute("replace into t values (9)")
    assert cursor.rowcount == 1
    await cursor.execute("delete from t")
    assert cursor.rowcount == 4
    await cursor.execute("select 1")
    assert cursor.rowcount == -1
    await cursor.execute("delete from t")
    assert cursor.rowcount == 0


def returning_stdlib(connection):
    seen = []
    cursor = connection.execute("create table t (a)")
    cursor.execute("insert into t values (1), (2) returning a")
    seen.append(cursor.fetchall())
    seen.append(cursor.rowcount)
    cursor.execute("update t set a = a + 1 returning a")
    seen.append(cursor.fetchall())
    seen.append(cursor.rowcount)
    return seen


async def test_rowcount_of_returning_once_all_rows_are_read(db):
    seen = []
    cursor = await db.execute("create table t (a)")
    await cursor.execute("insert into t values (1), (2) returning a")
    seen.append(await cursor.fetchall())
    seen.append(cursor.rowcount)
    await cursor.execute("update t set a = a + 1 returning a")
    seen.append(await cursor.fetchall())
    seen.append(cursor.rowcount)
    assert seen == stdlib_outcome(returning_stdlib)


def deleted_stdlib(connection):
    connection.execute("create table t (a)")
    connection.execute("insert into t values (1), (2), (3)")
    cursor = connection.execute("delete from t where a > 1 returning a")
    return [cursor.rowcount, list(cursor), cursor.rowcount]


@pytest.mark.parametrize("size", [1, 2, 64])
async def test_rowcount_of_returning_once_it_was_iterated_to_its_end(aiosqlite, size):
    async with aiosqlite.connect(":memory:", iter_chunk_size=size) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values (1), (2), (3)")
        cursor = await db.execute("delete from t where a > 1 returning a")
        seen = [cursor.rowcount, [row async for row in cursor], cursor.rowcount]
    assert seen == stdlib_outcome(deleted_stdlib)


class Refusing:
    def __iter__(self):
        raise LookupError("no rows")


# What is wrong, and the call with which it is found.
UNPACKABLE = {
    "NUL": ("execute", "select 1\0"),
    "surrogate": ("execute", "select '\ud800'"),
    "no str": ("execute", 5),
    "NUL, many": ("executemany", "insert into t values (?)\0", [(1,)]),
    "surrogate, many": ("executemany", "insert into t values ('\ud800')", iter([()])),
    "no str, many": ("executemany", 5, [(1,)]),
    "failing iterable": ("executemany", "insert into t values (?)", Refusing()),
    "no iterable": ("executemany", "insert into t values (?)", 5),
    "NUL, no iterable": ("executemany", "\0", 5),
}
# Of SQL that is no str at a closed cursor, sqlite3 says another thing first.
CASES = [(mistake, False) for mistake in UNPACKABLE] + [
    (mistake, True) for mistake, (_, sql, *_) in UNPACKABLE.items() if isinstance(sql, str)
]
BEFORE = ["insert into t values (1), (2)", "select a from t", "delete from t returning a"]


def failed_stdlib(connection, before, closed, method, *args):
    connection.execute("create table t (a)")
    cursor = connection.execute("insert into t values (1), (2)")
    cursor.execute(before)
    if closed:
        cursor.close()
    try:
        getattr(cursor, method)(*args)
    except Exception as error:
        failure = type(error)
    seen = [failure, cursor.rowcount, cursor.description]
    return seen if closed else [*seen, cursor.fetchone()]


@AS_SINCE_311
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("mistake, closed", CASES)
async def test_what_a_cursor_tells_after_sql_that_never_reached_sqlite(db, mistake, before, closed):
    method, *args = UNPACKABLE[mistake]
    await db.execute("create table t (a)")
    cursor = await db.execute("insert into t values (1), (2)")
    await cursor.execute(before)
    if closed:
        await cursor.close()
    failure, _ = await outcome(getattr(cursor, method)(*args))
    seen = [failure, cursor.rowcount, cursor.description]
    if not closed:
        seen.append(await cursor.fetchone())
    assert seen == stdlib_outcome(
        lambda connection: failed_stdlib(connection, before, closed, method, *args)
    )


async def test_sql_that_never_reached_sqlite_ends_the_result_before(aiosqlite):
    async with aiosqlite.connect(":memory:", iter_chunk_size=1) as db:
        await db.execute("create table t (a)")
        await db.execute("insert into t values (1), (2), (3)")
        await db.commit()
        cursor = await db.execute("select a from t")
        assert (await outcome(db.execute("drop table t")))[1] == "database table is locked"
        await outcome(cursor.execute("\0"))
        await db.execute("drop table t")


async def test_returning_changes_the_table_even_if_no_row_is_read(db):
    await db.execute("create table t (a)")
    cursor = await db.execute("insert into t values (1), (2) returning a")
    await cursor.close()
    await db.commit()
    assert await fetchall(db, "select a from t") == [(1,), (2,)]


async def test_lastrowid_of_the_cursor_that_inserted(db):
    other = await db.cursor()
    assert other.lastrowid is None
    cursor = await db.execute("create table t (a integer primary key, b)")
    await cursor.execute("insert into t (b) values ('x')")
    assert cursor.lastrowid == 1
    await cursor.execute("insert into t values (70, 'y')")
    assert cursor.lastrowid == 70
    assert other.lastrowid is None


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "update t set b = 0",
        "delete from t where a = 99",
        "create table u (a)",
        "insert or ignore into t values (5, 6)",
    ],
)
async def test_lastrowid_stays_where_it_was(db, statement):
    cursor = await db.execute("create table t (a integer primary key, b)")
    await cursor.execute("insert into t values (5, 'x')")
    await cursor.execute(statement)
    assert cursor.lastrowid == 5


async def test_lastrowid_after_a_failed_insert(db):
    cursor = await db.execute("create table t (a integer primary key, b)")
    await cursor.execute("insert into t values (5, 'x')")
    with pytest.raises(sqlite3.IntegrityError):
        await cursor.execute("insert into t values (5, 'y')")
    assert cursor.lastrowid == 5


async def test_lastrowid_after_executemany(db):
    cursor = await db.execute("create table t (a integer primary key)")
    await cursor.execute("insert into t values (5)")
    await cursor.executemany("insert into t values (?)", [(6,), (7,)])
    assert cursor.lastrowid == 5


async def test_execute_insert_gives_a_row_of_the_rowid(db):
    await db.execute("create table t (a integer primary key, b)")
    assert await db.execute_insert("insert into t (b) values (?)", ("x",)) == (1,)
    assert await db.execute_insert("insert into t values (:a, 'y')", {"a": 9}) == (9,)
    assert await db.execute_insert("select 1") == (9,)


async def test_execute_insert_uses_the_row_factory(db):
    await db.execute("create table t (a)")
    db.row_factory = sqlite3.Row
    row = await db.execute_insert("insert into t values (1)")
    assert row.keys() == ["last_insert_rowid()"]
    assert row[0] == 1


async def test_execute_fetchall_gives_a_list(db):
    assert await db.execute_fetchall("select ? union all select 2", (1,)) == [(1,), (2,)]
    assert await db.execute_fetchall("create table t (a)") == []


@pytest.mark.parametrize(
    "sql", ["", ";", " ", "-- only a comment", "/* only\na comment */", "-- one\n/* two */ ;"]
)
async def test_empty_statement_does_nothing(db, sql):
    cursor = await db.execute(sql)
    assert await cursor.fetchall() == []
    assert cursor.description is None
    assert cursor.rowcount == stdlib_outcome(lambda connection: connection.execute(sql).rowcount)
    assert not db.in_transaction


@pytest.mark.parametrize(
    "sql",
    [
        "select 1;",
        "select 1 ; ",
        "select 1; -- comment",
        "select 1 -- ; select 2",
        "select 1 /* ; select 2 */",
        "-- before\nselect 1",
        "/* before */ select 1; /* after */",
        "\n\tselect 1\n;\n",
        "/**/select 1",
    ],
)
async def test_one_statement_among_comments_and_semicolons(db, sql):
    assert await fetchall(db, sql) == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; select 2",
        "select 1;;",
        "select 1; ; select 2",
        "create table t (a); insert into t values (1)",
        "; select 1",
    ],
)
async def test_second_statement_is_refused_as_sqlite3_refuses_it(db, sql):
    expected = stdlib_outcome(lambda connection: connection.execute(sql).fetchall())
    assert await outcome(fetchall(db, sql)) == expected
    assert await scalar(db, "select count(*) from sqlite_master") == 0


async def test_pragma_that_reads_and_one_that_writes(db):
    assert await scalar(db, "pragma user_version") == 0
    cursor = await db.execute("pragma user_version = 7")
    assert await cursor.fetchall() == []
    assert await scalar(db, "pragma user_version") == 7


async def test_pragma_with_many_columns(db):
    await db.execute("create table t (a integer primary key, b text not null default 'x')")
    cursor = await db.execute("pragma table_info(t)")
    assert [column[0] for column in cursor.description] == [
        "cid",
        "name",
        "type",
        "notnull",
        "dflt_value",
        "pk",
    ]
    assert await cursor.fetchall() == [
        (0, "a", "INTEGER", 0, None, 1),
        (1, "b", "TEXT", 1, "'x'", 0),
    ]


async def test_explain_gives_rows_and_runs_nothing(db):
    await db.execute("create table t (a)")
    cursor = await db.execute("explain insert into t values (1)")
    assert cursor.description[1][0] == "opcode"
    assert len(await cursor.fetchall()) > 2
    assert await scalar(db, "select count(*) from t") == 0


async def test_explain_query_plan(db):
    await db.execute("create table t (a)")
    plan = await fetchall(db, "explain query plan select * from t")
    assert [row[3] for row in plan] == ["SCAN t"]


async def test_values_and_with_are_queries(db):
    assert await fetchall(db, "values (1, 2), (3, 4)") == [(1, 2), (3, 4)]
    assert await fetchall(db, "with x as (select 5) select * from x") == [(5,)]


async def test_error_in_a_later_row_comes_after_the_earlier_rows(db):
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(3,), (2,), (-9223372036854775807 - 1,)])
    cursor = await db.execute("select abs(a) from t")
    assert await cursor.fetchone() == (3,)
    with pytest.raises(sqlite3.OperationalError, match=r"(?m)^integer overflow$"):
        await cursor.fetchall()


async def test_cursor_of_a_dropped_reference_stays_usable(db):
    async def rows():
        return await (await db.execute(NUMBERS.format(5))).fetchall()

    assert await rows() == [(n,) for n in range(1, 6)]


async def test_fetching_from_a_cursor_that_has_executed_nothing_leaves_rowcount(db):
    cursor = await db.cursor()
    for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall):
        assert not await fetch()
        assert cursor.rowcount == -1


@pytest.mark.parametrize("sql", ["", ";", "-- comment"])
async def test_lastrowid_after_nothing_was_executed(db, sql):
    def stdlib_program(connection):
        connection.execute("create table t (a)")
        connection.execute("insert into t values (1)")
        return connection.execute(sql).lastrowid

    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    assert (await db.execute(sql)).lastrowid == stdlib_outcome(stdlib_program)


@AS_SINCE_311
@pytest.mark.parametrize("size", [3, 10])
@pytest.mark.parametrize("fetch", ["fetchone", "fetchmany", "fetchall"])
async def test_row_that_could_not_be_made_is_tried_again(db, fetch, size):
    """Whether its text cannot be decoded, or a text factory raises, no row is lost."""
    sql = "values (1, 'a'), (2, cast(x'ff' as text)), (3, 'c')"

    async def stdlib_program():
        connection = sqlite3.connect(":memory:")
        cursor = connection.execute(sql)
        cursor.arraysize = size
        seen = [cursor.fetchone()]
        for _ in range(2):
            try:
                seen.append(getattr(cursor, fetch)())
            except sqlite3.OperationalError as error:
                seen.append((type(error), str(error)))
        connection.text_factory = bytes
        seen.append(cursor.fetchall())
        connection.close()
        return seen

    cursor = await db.execute(sql)
    cursor.arraysize = size
    seen = [await cursor.fetchone()]
    seen += [await outcome(getattr(cursor, fetch)()) for _ in range(2)]
    db.text_factory = bytes
    seen.append(await cursor.fetchall())
    assert seen == await stdlib_program()
    assert seen[-1] == [(2, b"\xff"), (3, b"c")]
