"""Python called by SQLite: functions, progress handler, trace callback and authorizer."""

import asyncio
import sqlite3
import sys
import threading

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

RAISED = (sqlite3.OperationalError, "user-defined function raised exception")


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        2**63 - 1,
        -(2**63),
        1.5,
        "",
        "naïve 数",
        "a\0b",
        "\U0001f600",
        b"",
        b"\0\xff",
        b"x" * 100_000,
    ],
    ids=lambda value: ascii(value)[:12],
)
async def test_value_passes_through_a_function_unchanged(db, value):
    seen = []

    def function(argument):
        seen.append((type(argument), argument))
        return argument

    await db.create_function("f", 1, function)
    result = await scalar(db, "select f(?)", (value,))
    assert seen == [(type(value), value)]
    assert (type(result), result) == (type(value), value)


@pytest.mark.parametrize(
    "value",
    [
        True,
        bytearray(b"ab"),
        memoryview(b"ab"),
        float("inf"),
        float("nan"),
        object(),
        (1,),
        2**63,
        "\ud800",
    ],
    ids=lambda value: type(value).__name__,
)
async def test_other_return_values_are_as_in_sqlite3(db, value):
    def program(connection):
        connection.create_function("f", 0, lambda: value)
        return connection.execute("select f()").fetchone()[0]

    await db.create_function("f", 0, lambda: value)
    assert await outcome(scalar(db, "select f()")) == stdlib_outcome(program)


async def test_number_of_arguments(db):
    for count in (0, 1, 2, 5):
        await db.create_function("f", count, lambda *arguments: len(arguments))
    assert await fetchall(db, "select f(), f(1), f(1, 2), f(1, 2, 3, 4, 5)") == [(0, 1, 2, 5)]
    with pytest.raises(
        sqlite3.OperationalError, match=r"(?m)^wrong number of arguments to function f\(\)$"
    ):
        await db.execute("select f(1, 2, 3)")


async def test_any_number_of_arguments(db):
    await db.create_function("f", -1, lambda *arguments: sum(arguments))
    assert await fetchall(db, "select f(), f(1), f(1, 2, 3)") == [(0, 1, 6)]


@pytest.mark.parametrize("count", [-2, 5000])
async def test_number_of_arguments_that_cannot_be(db, count):
    expected = stdlib_outcome(lambda connection: connection.create_function("f", count, int))
    assert issubclass(expected[0], sqlite3.Error)
    error, _ = await outcome(db.create_function("f", count, int))
    assert error is expected[0]


@pytest.mark.parametrize("arguments", [(5, 1, int), ("f", "one", int)])
async def test_create_function_of_wrong_types(db, arguments):
    with pytest.raises(TypeError):
        await db.create_function(*arguments)


async def test_function_that_raises(db):
    def function():
        raise LookupError("inside")

    await db.create_function("f", 0, function)
    assert await outcome(fetchall(db, "select f()")) == RAISED
    assert await scalar(db, "select 1") == 1


async def test_function_that_takes_other_arguments(db):
    await db.create_function("f", 2, lambda argument: argument)
    assert await outcome(fetchall(db, "select f(1, 2)")) == RAISED


async def test_function_that_raises_at_a_later_row(db):
    def function(number):
        return 10 // (3 - number)

    await db.create_function("f", 1, function)
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(1,), (2,), (3,), (4,)])
    cursor = await db.execute("select f(a) from t")
    assert await cursor.fetchone() == (5,)
    assert await outcome(cursor.fetchall()) == RAISED


async def test_failing_function_undoes_the_statement(db):
    await db.create_function("f", 1, lambda number: 10 // (2 - number))
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(0,), (1,), (2,)])
    await db.commit()
    assert await outcome(db.execute("update t set a = f(a)")) == RAISED
    assert await fetchall(db, "select a from t") == [(0,), (1,), (2,)]


async def test_function_is_replaced_and_made_unusable(db):
    await db.create_function("f", 0, lambda: "old")
    assert await scalar(db, "select f()") == "old"
    await db.create_function("f", 0, lambda: "new")
    assert await scalar(db, "select f()") == "new"
    # The documentation promises that None removes it; sqlite3 lets the call fail instead.
    await db.create_function("f", 0, None)
    with pytest.raises(sqlite3.OperationalError):
        await db.execute("select f()")


async def test_function_replaces_a_built_in_one(db):
    await db.create_function("upper", 1, lambda text: "mine")
    assert await scalar(db, "select upper('x')") == "mine"


async def test_function_in_a_where_clause_and_in_regexp(db):
    import re

    await db.create_function("regexp", 2, lambda pattern, text: bool(re.search(pattern, text)))
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [("apple",), ("banana",), ("cherry",)])
    assert await fetchall(db, "select a from t where a regexp '(an)+'") == [("banana",)]


async def test_deterministic_function_may_serve_an_index(db):
    await db.create_function("double", 1, lambda number: number * 2, deterministic=True)
    await db.create_function("random_one", 1, lambda number: number)
    await db.execute("create table t (a)")
    await db.execute("create index i on t (double(a))")
    with pytest.raises(
        sqlite3.OperationalError,
        match=r"(?m)^non-deterministic functions prohibited in index expressions$",
    ):
        await db.execute("create index j on t (random_one(a))")


async def test_deterministic_is_the_fourth_positional_argument(db):
    await db.create_function("double", 1, lambda number: number * 2, True)
    await db.execute("create table t (a)")
    await db.execute("create index i on t (double(a))")


async def test_arguments_of_create_function_by_name(db):
    await db.create_function(name="f", num_params=1, func=abs, deterministic=True)
    await db.create_function(deterministic=False, func=abs, num_params=1, name="g")
    assert await fetchall(db, "select f(-1), g(-2)") == [(1, 2)]


async def test_create_function_gives_none(db):
    assert await db.create_function("f", 0, int) is None
    assert await db.set_progress_handler(None, 1) is None
    assert await db.set_trace_callback(None) is None


async def test_callbacks_do_not_run_on_the_loop_thread(db):
    threads = set()

    def remember(*arguments):
        threads.add(threading.get_ident())
        return 0

    await db.create_function("f", 0, remember)
    await db.set_progress_handler(remember, 1)
    await db.set_trace_callback(remember)
    await db.set_authorizer(remember)
    await fetchall(db, "select f()")
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_loop_runs_while_a_function_waits(db):
    entered, release = threading.Event(), threading.Event()

    def wait():
        entered.set()
        return release.wait(20)

    await db.create_function("wait", 0, wait)
    task = asyncio.ensure_future(scalar(db, "select wait()"))
    await asyncio.to_thread(entered.wait, 20)
    assert not task.done()
    release.set()
    assert await task == 1


async def test_functions_of_two_connections_are_apart(aiosqlite, db):
    async with aiosqlite.connect(":memory:") as other:
        await db.create_function("f", 0, lambda: "db")
        await other.create_function("f", 0, lambda: "other")
        assert (await scalar(db, "select f()"), await scalar(other, "select f()")) == (
            "db",
            "other",
        )


async def test_function_keeps_its_closure_alive(db):
    async def register():
        word = "closure of {}".format("register")
        await db.create_function("f", 0, lambda: word)

    await register()
    assert await scalar(db, "select f()") == "closure of register"


SLOW = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) select count(*) from n"


async def test_progress_handler_is_called_and_can_be_removed(db):
    calls = []
    await db.set_progress_handler(lambda: calls.append(1), 100)
    assert await scalar(db, SLOW) == 5000
    seen = len(calls)
    assert seen > 10
    await db.set_progress_handler(None, 100)
    assert await scalar(db, SLOW) == 5000
    assert len(calls) == seen


async def test_progress_handler_of_fewer_steps_is_called_more_often(db):
    counts = []
    for steps in (1000, 10):
        calls = []
        await db.set_progress_handler(lambda calls=calls: calls.append(1), steps)
        await fetchall(db, SLOW)
        counts.append(len(calls))
    assert counts[1] > 50 * counts[0] > 0


@pytest.mark.parametrize("answer", [1, True, "yes", -1])
async def test_progress_handler_that_ends_the_statement(db, answer):
    await db.set_progress_handler(lambda: answer, 10)
    assert await outcome(fetchall(db, SLOW)) == (sqlite3.OperationalError, "interrupted")
    await db.set_progress_handler(None, 10)
    assert await scalar(db, SLOW) == 5000


async def test_progress_handler_that_raises_ends_the_statement(db):
    def handler():
        raise LookupError

    await db.set_progress_handler(handler, 10)
    assert await outcome(fetchall(db, SLOW)) == (sqlite3.OperationalError, "interrupted")


async def test_trace_callback_sees_statements_with_their_values(db):
    def program(connection):
        seen = []
        connection.execute("create table t (a, b)")
        connection.set_trace_callback(seen.append)
        connection.execute("insert into t values (?, ?)", (5, "it's"))
        connection.execute("select a from t where a = :a", {"a": 1.5}).fetchall()
        connection.commit()
        return [statement.strip() for statement in seen]

    seen = []
    await db.execute("create table t (a, b)")
    await db.set_trace_callback(seen.append)
    await db.execute("insert into t values (?, ?)", (5, "it's"))
    await fetchall(db, "select a from t where a = :a", {"a": 1.5})
    await db.commit()
    assert "insert into t values (5, 'it''s')" in seen
    assert [statement.strip() for statement in seen] == stdlib_outcome(program)


async def test_trace_callback_can_be_removed(db):
    seen = []
    await db.set_trace_callback(seen.append)
    await db.execute("select 1")
    await db.set_trace_callback(None)
    await db.execute("select 2")
    assert seen == ["select 1"]


async def test_trace_callback_sees_every_statement_of_a_script(db):
    seen = []
    await db.set_trace_callback(seen.append)
    await db.executescript("create table t (a); insert into t values (1);")
    assert [statement.strip("; ") for statement in seen] == [
        "create table t (a)",
        "insert into t values (1)",
    ]


async def test_trace_callback_that_raises_is_ignored(db):
    def callback(statement):
        raise LookupError

    await db.set_trace_callback(callback)
    assert await scalar(db, "select 1") == 1


def denying(code, first=None):
    def authorizer(action, *names):
        if action == code and first in (None, names[0]):
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    return authorizer


async def test_authorizer_sees_action_and_names(db):
    await db.execute("create table t (a)")
    seen = []

    def authorizer(*arguments):
        seen.append(arguments)
        return sqlite3.SQLITE_OK

    await db.set_authorizer(authorizer)
    await fetchall(db, "select a from t")
    assert seen == [
        (sqlite3.SQLITE_SELECT, None, None, None, None),
        (sqlite3.SQLITE_READ, "t", "a", "main", None),
    ]


async def test_authorizer_sees_the_trigger(db):
    await db.executescript(
        "create table t (a); create table u (a);"
        "create trigger tr after insert on t begin insert into u values (new.a); end"
    )
    seen = []
    await db.set_authorizer(lambda *arguments: seen.append(arguments) or sqlite3.SQLITE_OK)
    await db.execute("insert into t values (1)")
    assert (sqlite3.SQLITE_INSERT, "u", None, "main", "tr") in seen


async def test_authorizer_denies(db):
    await db.execute("create table t (a)")
    await db.set_authorizer(denying(sqlite3.SQLITE_DROP_TABLE))
    assert await outcome(db.execute("drop table t")) == (sqlite3.DatabaseError, "not authorized")
    assert await scalar(db, "select count(*) from t") == 0


async def test_authorizer_denies_a_column(db):
    await db.execute("create table t (a, b)")
    await db.set_authorizer(denying(sqlite3.SQLITE_READ, "t"))
    denied = (sqlite3.DatabaseError, "access to t.b is prohibited")
    assert await outcome(db.execute("select b from t")) == denied


async def test_authorizer_hides_a_column(db):
    await db.execute("create table t (a, b)")
    await db.execute("insert into t values (1, 2)")

    def authorizer(action, table, column, *rest):
        return sqlite3.SQLITE_IGNORE if column == "b" else sqlite3.SQLITE_OK

    await db.set_authorizer(authorizer)
    assert await fetchall(db, "select a, b from t") == [(1, None)]


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="sqlite3 cannot remove it before Python 3.11"
)
async def test_authorizer_can_be_removed(db):
    await db.set_authorizer(lambda *arguments: sqlite3.SQLITE_DENY)
    assert await outcome(db.execute("select 1")) == (sqlite3.DatabaseError, "not authorized")
    await db.set_authorizer(None)
    assert await scalar(db, "select 1") == 1


@pytest.mark.parametrize("answer", [None, "yes", 1.5, 77, 2**32, 2**70], ids=str)
async def test_authorizer_that_gives_no_valid_answer(db, answer):
    def program(connection):
        connection.set_authorizer(lambda *arguments: answer)
        return connection.execute("select 1").fetchall()

    await db.set_authorizer(lambda *arguments: answer)
    expected = stdlib_outcome(program)
    assert issubclass(expected[0], sqlite3.DatabaseError)
    assert await outcome(fetchall(db, "select 1")) == expected


async def test_authorizer_that_raises_denies(db):
    def authorizer(*arguments):
        raise LookupError

    await db.set_authorizer(authorizer)
    assert await outcome(db.execute("select 1")) == (sqlite3.DatabaseError, "not authorized")


async def test_authorizer_reaches_statements_that_were_prepared_before(db):
    await db.execute("create table t (a)")
    await fetchall(db, "select a from t")
    await db.set_authorizer(denying(sqlite3.SQLITE_READ))
    denied = (sqlite3.DatabaseError, "access to t.a is prohibited")
    assert await outcome(fetchall(db, "select a from t")) == denied
