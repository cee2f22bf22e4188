"""Functions, aggregates, collations and handlers: what sqlite3 has, and what is csqlite's own.

test_coroutine_callbacks.py has coroutine functions, test_window_functions.py window functions,
and parity/test_functions.py what aiosqlite does.
"""

import asyncio
import contextvars
import gc
import itertools
import sqlite3
import sys
import weakref

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

import csqlite

RAISED = "user-defined function raised exception"
SEALED = "The connection cannot be used in a callback of this kind."
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {})"

oracle = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="csqlite does as sqlite3 since Python 3.11"
)

variable = contextvars.ContextVar("variable", default="nobody")


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


def fill(connection):
    connection.execute("create table t (a)")
    connection.executemany("insert into t values (?)", [("b",), ("a",), ("c",)])
    connection.commit()


async def both(db, program):
    """Run `program(connection)` with sqlite3 and on the worker; the outcomes must be the same."""

    def filled(connection):
        fill(connection)
        return program(connection)

    expected = stdlib_outcome(filled)
    assert await outcome(db._execute(filled, db._conn)) == expected
    return expected


async def error_of(awaitable):
    with pytest.raises(Exception) as caught:
        await awaitable
    return caught.value


def raising(error):
    def callback(*arguments):
        raise error

    return callback


# -- aggregates ---------------------------------------------------------------------


class Longest:
    def __init__(self):
        self.longest = ""

    def step(self, text):
        self.longest = max(self.longest, text, key=len)

    def finalize(self):
        return self.longest


async def test_aggregate(db):
    await db.create_aggregate("longest", 1, Longest)
    rows = "(values (1, 'a'), (1, 'bcd'), (2, 'ef'))"
    assert await fetchall(db, f"select column1, longest(column2) from {rows} group by column1") == [
        (1, "bcd"),
        (2, "ef"),
    ]
    assert await scalar(db, f"select longest(column2) from {rows} where 0") is None


@oracle
@pytest.mark.parametrize("method", ["__init__", "step", "finalize"])
@pytest.mark.parametrize(
    "bad",
    [
        raising(LookupError("inside")),
        raising(AttributeError("inside")),
        raising(MemoryError()),
        lambda *arguments: object(),
        lambda *arguments: 2**70,
        None,
    ],
    ids=["raises", "AttributeError", "MemoryError", "object", "large", "missing"],
)
async def test_aggregate_that_misbehaves(db, method, bad):
    members = {name: value for name, value in vars(Longest).items() if callable(value)}
    members[method] = bad
    if bad is None:
        del members[method]

    def program(connection):
        connection.create_aggregate("f", 1, type("Misbehaving", (), members))
        return connection.execute("select f(a) from t").fetchall()

    await both(db, program)


@oracle
@pytest.mark.parametrize("count", [-2, 5000])
async def test_aggregate_with_a_number_of_arguments_that_cannot_be(db, count):
    def program(connection):
        connection.create_aggregate("f", count, Longest)

    assert await both(db, program) == (sqlite3.OperationalError, "Error creating aggregate")


# -- collations ---------------------------------------------------------------------


def backwards(a, b):
    return (a < b) - (a > b)


@oracle
@pytest.mark.parametrize("name", ["backwards", "BackWards", "naïve 数"])
async def test_collation(db, name):
    def program(connection):
        connection.create_collation(name, backwards)
        return connection.execute(f'select a from t order by a collate "{name}"').fetchall()

    assert await both(db, program) == [("c",), ("b",), ("a",)]


@oracle
@pytest.mark.parametrize(
    "compare",
    [
        lambda a, b: "x",
        lambda a, b: None,
        lambda a, b: 2**70,
        lambda a, b: -(2**70),
        lambda a, b: True,
        lambda a: 0,
        raising(LookupError("inside")),
        raising(KeyboardInterrupt("inside")),
    ],
)
@pytest.mark.parametrize(
    "sql",
    [
        "select a from t order by a collate c",
        "select max(a collate c) from t",
        "create index i on t (a collate c)",
        "insert into t select a from t order by a collate c",
    ],
)
async def test_collation_that_misbehaves(db, compare, sql):
    def program(connection):
        connection.create_collation("c", compare)
        try:
            outcome = connection.execute(sql).fetchall()
        except BaseException as error:
            outcome = type(error), str(error)
        connection.create_collation("c", backwards)
        return (
            outcome,
            connection.in_transaction,
            connection.execute("select name from sqlite_master order by 1").fetchall(),
            connection.execute("select count(*) from t").fetchall(),
        )

    await both(db, program)


async def test_collation_is_not_called_again_once_it_has_raised(db):
    calls = []

    def compare(a, b):
        calls.append((a, b))
        raise LookupError("inside")

    await db._execute(fill, db._conn)
    await db.create_collation("c", compare)
    error = await error_of(db.execute("select a from t order by a collate c"))
    assert (type(error), error.__cause__) == (LookupError, None)
    assert len(calls) == 1
    assert await scalar(db, "select count(*) from t") == 3


async def test_collation_that_raises_in_each_way_of_executing(db):
    await db._execute(fill, db._conn)
    await db.create_collation("c", raising(LookupError("inside")))
    select = "select a from t order by a collate c"
    for awaitable in (
        db.execute(select),
        db.execute_fetchall(select),
        db.execute_insert(f"insert into t {select}"),
        db.executemany(f"insert into t {select} limit ?", [(1,), (2,)]),
        db.executescript(f"select 1; {select}; insert into t values ('never')"),
    ):
        assert isinstance(await error_of(awaitable), LookupError)
    assert await scalar(db, "select count(*) from t where a = 'never'") == 0


@pytest.mark.parametrize("callback", [5, "text"])
async def test_collation_that_is_not_callable(db, callback):
    expected = stdlib_outcome(lambda connection: connection.create_collation("c", callback))
    with pytest.raises(TypeError) as caught:
        db.create_collation("c", callback)
    assert expected == (TypeError, str(caught.value))


@oracle
async def test_collation_is_removed(db):
    def program(connection):
        connection.create_collation("never", None)
        connection.create_collation("c", backwards)
        connection.create_collation("c", None)
        return connection.execute("select a from t order by a collate c").fetchall()

    assert await both(db, program) == (
        sqlite3.OperationalError,
        "no such collation sequence: c",
    )


# -- the flags of a function --------------------------------------------------------


async def test_directonly_function_is_refused_in_the_schema(db):
    await db.create_function("f", 0, lambda: 1, directonly=True)
    await db.create_function("g", 0, lambda: 1)
    await db.execute("create view v as select f()")
    await db.execute("create view w as select g()")
    assert await scalar(db, "select f()") == 1
    assert await scalar(db, "select * from w") == 1
    assert await outcome(fetchall(db, "select * from v")) == (
        sqlite3.OperationalError,
        "unsafe use of f()",
    )


async def test_innocuous_function_may_be_used_by_a_schema_that_is_not_trusted(db):
    await db.create_function("f", 0, lambda: 1, innocuous=True)
    await db.create_function("g", 0, lambda: 1)
    await db.execute("create view v as select f()")
    await db.execute("create view w as select g()")
    await db.execute("pragma trusted_schema = off")
    assert await scalar(db, "select * from v") == 1
    assert await outcome(fetchall(db, "select * from w")) == (
        sqlite3.OperationalError,
        "unsafe use of g()",
    )


async def test_flags_come_together(db):
    await db.create_function("f", 1, abs, deterministic=True, innocuous=True, directonly=False)
    await db.execute("pragma trusted_schema = off")
    await db.execute("create table t (a)")
    await db.execute("create index i on t (f(a))")


async def test_flags_of_a_function_can_be_changed(db):
    await db.create_function("f", 1, abs)
    await db.execute("create table t (a)")
    assert "non-deterministic" in str(await error_of(db.execute("create index i on t (f(a))")))
    await db.create_function("f", 1, abs, deterministic=True)
    await db.execute("create index i on t (f(a))")


async def test_newer_flags_have_to_be_named(db):
    with pytest.raises(TypeError, match="takes at most 4 positional arguments"):
        db.create_function("f", 1, abs, True, True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'flags'"):
        db.create_function("f", 1, abs, flags=1)


class NoBool:
    def __bool__(self):
        raise LookupError("no truth")


@pytest.mark.parametrize("flag", ["deterministic", "directonly", "innocuous"])
async def test_flag_without_a_truth(db, flag):
    with pytest.raises(LookupError, match="no truth"):
        db.create_function("f", 1, abs, **{flag: NoBool()})


# -- names --------------------------------------------------------------------------


@oracle
@pytest.mark.parametrize("method", ["create_function", "create_aggregate", "create_collation"])
@pytest.mark.parametrize("name", ["a\0b", "\ud800", 5, b"f", None], ids=ascii)
async def test_name_that_cannot_be(db, method, name):
    count = () if method == "create_collation" else (1,)
    expected = stdlib_outcome(lambda connection: getattr(connection, method)(name, *count, abs))
    with pytest.raises(Exception) as caught:
        getattr(db, method)(name, *count, abs)
    assert (type(caught.value), str(caught.value)) == expected


async def test_name_that_is_too_long(db):
    def program(connection):
        connection.create_function("f" * 256, 1, abs)

    expected = (sqlite3.OperationalError, "Error creating function")
    assert await both(db, program) == expected


async def test_function_is_known_by_its_name_in_any_case_and_its_arguments(db):
    await db.create_function("F", 0, lambda: "none")
    await db.create_function("f", 1, lambda a: "one")
    await db.create_function("f", -1, lambda *a: "any")
    assert await fetchall(db, "select f(), F(1), f(1, 2)") == [("none", "one", "any")]
    await db.create_function("f", 0, lambda: "replaced")
    assert await fetchall(db, "select f(), F(1), f(1, 2)") == [("replaced", "one", "any")]
    await db.create_function("F", 1, None)
    assert await fetchall(db, "select f(), f(1, 2)") == [("replaced", "any")]
    assert await outcome(fetchall(db, "select f(1)")) == (
        sqlite3.OperationalError,
        "wrong number of arguments to function f()",
    )


# -- the cause of an error ----------------------------------------------------------


async def test_exception_of_a_function_is_the_cause(db):
    original = LookupError("inside")
    await db.create_function("f", 0, raising(original))
    error = await error_of(db.execute("select f()"))
    assert (type(error), str(error)) == (sqlite3.OperationalError, RAISED)
    assert (error.sqlite_errorcode, error.sqlite_errorname) == (1, "SQLITE_ERROR")
    assert error.__cause__ is original
    assert error.__suppress_context__


@pytest.mark.parametrize(
    "original",
    [KeyboardInterrupt("stop"), SystemExit(1), asyncio.CancelledError(), StopIteration(1)],
    ids=lambda error: type(error).__name__,
)
async def test_any_exception_is_a_cause(db, original):
    await db.create_function("f", 0, raising(original))
    error = await error_of(db.execute("select f()"))
    assert (type(error), error.__cause__) == (sqlite3.OperationalError, original)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        (MemoryError("inside"), MemoryError),
        (OverflowError("inside"), sqlite3.DataError),
    ],
)
async def test_exceptions_that_sqlite_has_codes_for_are_causes_too(db, original, expected):
    await db.create_function("f", 0, raising(original))
    error = await error_of(db.execute("select f()"))
    assert (type(error), error.__cause__) == (expected, original)


async def test_what_is_wrong_with_the_call_or_the_result_is_a_cause(db):
    await db.create_function("call", 0, lambda argument: 1)
    await db.create_function("result", 0, object)
    await db.create_function("large", 0, lambda: 2**63)
    await db.create_function("surrogate", 0, lambda: "\ud800")
    await db.create_function("text", 1, lambda text: text)
    causes = [
        ("call()", TypeError),
        ("result()", sqlite3.ProgrammingError),
        ("large()", OverflowError),
        ("surrogate()", UnicodeEncodeError),
        ("text(cast(x'ff' as text))", UnicodeDecodeError),
    ]
    for sql, cause in causes:
        assert type((await error_of(db.execute(f"select {sql}"))).__cause__) is cause


async def test_the_first_of_several_exceptions_is_the_cause(db):
    class Aggregate:
        def step(self, value):
            raise LookupError("step")

        def finalize(self):
            raise LookupError("finalize")

    await db.create_aggregate("f", 1, Aggregate)
    error = await error_of(db.execute("select f(1)"))
    assert str(error) == "user-defined aggregate's 'step' method raised error"
    assert str(error.__cause__) == "step"


async def test_authorizer_and_progress_handler_give_causes(db):
    original = LookupError("inside")
    await db.set_authorizer(raising(original))
    error = await error_of(db.execute("select 1"))
    assert (type(error), str(error)) == (sqlite3.DatabaseError, "not authorized")
    assert error.__cause__ is original
    await db.set_authorizer(None)
    await db.set_progress_handler(raising(original), 1)
    error = await error_of(db.execute("select 1"))
    assert (type(error), str(error)) == (sqlite3.OperationalError, "interrupted")
    assert error.__cause__ is original


EXECUTING = {
    "execute": lambda db: db.execute("insert into t values (f())"),
    "execute_fetchall": lambda db: db.execute_fetchall("select f()"),
    "execute_insert": lambda db: db.execute_insert("insert into t values (f())"),
    "executemany": lambda db: db.executemany("insert into t values (f() + ?)", [(1,)]),
    "executescript": lambda db: db.executescript("select 1; select f(); select 2"),
    "sync": lambda db: db._execute(lambda: db._conn.execute("select f()")),
}


@pytest.mark.parametrize("name", sorted(EXECUTING))
async def test_each_way_of_executing_gives_the_cause(db, name):
    original = LookupError("inside")
    await db.execute("create table t (a)")
    await db.create_function("f", 0, raising(original))
    error = await error_of(EXECUTING[name](db))
    assert (type(error), str(error)) == (sqlite3.OperationalError, RAISED)
    assert error.__cause__ is original


async def read_one_by_one(cursor):
    while await cursor.fetchone():
        pass


async def read_with_async_for(cursor):
    async for _ in cursor:
        pass


async def read_many(cursor):
    while await cursor.fetchmany(7):
        pass


async def read_all(cursor):
    await cursor.fetchall()


@pytest.mark.parametrize("read", [read_one_by_one, read_with_async_for, read_many, read_all])
@pytest.mark.parametrize("row", [2, 64, 65, 200])
async def test_error_at_a_later_row_has_its_cause(db, read, row):
    originals = []

    def f(number):
        if number == row:
            originals.append(LookupError(number))
            raise originals[0]
        return number

    await db.create_function("f", 1, f)
    cursor = await db.execute(f"{NUMBERS.format(300)} select f(i) from n")
    error = await error_of(read(cursor))
    assert (type(error), str(error)) == (sqlite3.OperationalError, RAISED)
    assert error.__cause__ is originals[0]


async def test_error_of_a_later_row_that_nobody_reads_is_let_go(db):
    references = []

    class Error(Exception):
        pass

    def f(number):
        if number == 5:
            error = Error()
            references.append(weakref.ref(error))
            raise error
        return number

    await db.create_function("f", 1, f)
    cursor = await db.execute(f"{NUMBERS.format(300)} select f(i) from n")
    assert await cursor.fetchone() == (1,)
    assert references[0]() is not None
    await cursor.execute("select 1")
    gc.collect()
    assert references[0]() is None


async def test_error_in_a_nested_statement_has_both_causes(db):
    original = LookupError("inside")
    await db.create_function("low", 0, raising(original))
    await db.create_function("high", 0, lambda: db._conn.execute("select low()"))
    error = await error_of(db.execute("select high()"))
    nested = error.__cause__
    assert (type(nested), str(nested)) == (sqlite3.OperationalError, RAISED)
    assert nested is not error
    assert nested.__cause__ is original


async def test_error_in_a_nested_statement_that_is_caught_is_nobodys_cause(db):
    def outer():
        with pytest.raises(sqlite3.OperationalError):
            db._conn.execute("select low()")
        return 1

    await db.create_function("low", 0, raising(LookupError("inside")))
    await db.create_function("high", 0, outer)
    assert await scalar(db, "select high()") == 1
    error = await error_of(db.execute("select high(), no_such_function()"))
    assert error.__cause__ is None


async def test_exception_is_not_kept_for_another_statement(db):
    await db.execute("create table t (a unique)")
    await db.execute("insert into t values (1)")
    await db.create_function("f", 0, raising(LookupError("inside")))
    assert (await error_of(db.execute("select f()"))).__cause__ is not None
    for sql in ("nonsense", "insert into t values (1)", "select no_such_function()"):
        error = await error_of(db.execute(sql))
        assert isinstance(error, sqlite3.Error)
        assert error.__cause__ is None


async def test_exception_that_is_ignored_is_nobodys_cause(db):
    await db.execute("create table t (a unique)")
    await db.execute("insert into t values (1)")
    await db.set_trace_callback(raising(LookupError("inside")))
    error = await error_of(db.execute("insert into t values (1)"))
    assert isinstance(error, sqlite3.IntegrityError)
    assert error.__cause__ is None


async def test_the_same_exception_may_be_raised_again_and_again(db):
    original = LookupError("inside")
    await db.create_function("f", 0, raising(original))
    errors = [await error_of(db.execute("select f()")) for _ in range(3)]
    assert len({id(error) for error in errors}) == 3
    assert [error.__cause__ for error in errors] == [original] * 3
    assert original.__cause__ is None and original.__context__ is None


async def test_causes_make_no_reference_cycles(db):
    class Value:
        pass

    references = []

    def f():
        value = Value()
        references.append(weakref.ref(value))
        raise LookupError

    async def ask():
        try:
            await db.execute("select f()")
        except sqlite3.OperationalError as error:
            assert isinstance(error.__cause__, LookupError)

    await db.create_function("f", 0, f)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await ask()
        assert [reference() for reference in references] == [None] * 3
    finally:
        gc.enable()


# -- tracebacks ---------------------------------------------------------------------


class Failing:
    def __init__(self):
        self.error = LookupError("made")

    def step(self, value):
        raise LookupError("step")

    def finalize(self):
        raise LookupError("finalize")


class NoTruth:
    def __bool__(self):
        raise LookupError("no truth")


def show_everything(connection):
    """Let every kind of callback fail, one after the other."""
    fail = raising(LookupError("inside"))
    connection.execute("create table t (a)")
    connection.execute("insert into t values ('a'), ('b')")
    connection.create_function("f", 0, fail)
    connection.create_function("g", 0, object)
    connection.create_aggregate("h", 1, Failing)
    for sql in ("select f()", "select g()", "select h(1)"):
        with pytest.raises(sqlite3.OperationalError):
            connection.execute(sql)
    connection.set_trace_callback(fail)
    connection.execute("select 1").fetchall()
    connection.set_trace_callback(None)
    for handler in (fail, NoTruth):
        connection.set_progress_handler(handler, 1)
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("select 2").fetchall()
    connection.set_progress_handler(None, 1)
    for authorizer in (fail, lambda *arguments: 2**70, lambda *arguments: "no number"):
        connection.set_authorizer(authorizer)
        with pytest.raises(sqlite3.DatabaseError):
            connection.execute("select 3")
    connection.set_authorizer(None)
    connection.create_collation("c", fail)
    with pytest.raises(LookupError):
        connection.execute("select a from t order by a collate c")


@pytest.fixture
def shown(monkeypatch):
    """Return the list of what sys.unraisablehook is called with."""
    calls = []

    def hook(unraisable):
        calls.append(
            (
                unraisable.exc_type,
                str(unraisable.exc_value),
                getattr(unraisable.object, "__name__", unraisable.object),
                unraisable.exc_traceback is not None,
            )
        )

    monkeypatch.setattr(sys, "unraisablehook", hook)
    yield calls
    csqlite.enable_callback_tracebacks(False)


@oracle
async def test_tracebacks_are_shown_as_by_sqlite3(db, shown):
    csqlite.enable_callback_tracebacks(True)
    stdlib_outcome(show_everything)
    expected = shown[:]
    del shown[:]
    await db._execute(show_everything, db._conn)
    assert shown == expected
    assert len(shown) == 9


async def test_tracebacks_are_not_shown_at_first_nor_when_switched_off(db, shown):
    await db.create_function("f", 0, raising(LookupError("inside")))
    for _ in range(2):
        await error_of(db.execute("select f()"))
        csqlite.enable_callback_tracebacks(True)
        csqlite.enable_callback_tracebacks(False)
    assert shown == []


async def test_exception_that_is_shown_is_the_cause_all_the_same(db, shown):
    original = LookupError("inside")
    csqlite.enable_callback_tracebacks(True)
    await db.create_function("f", 0, raising(original))
    assert (await error_of(db.execute("select f()"))).__cause__ is original
    assert [call[:2] for call in shown] == [(LookupError, "inside")]


async def test_tracebacks_are_switched_on_for_sqlite3_too(shown):
    csqlite.enable_callback_tracebacks(True)

    def program(connection):
        connection.create_function("f", 0, raising(LookupError("inside")))
        connection.execute("select f()")

    if sys.version_info >= (3, 11):
        assert stdlib_outcome(program) == (sqlite3.OperationalError, RAISED)
        assert len(shown) == 1


@pytest.mark.parametrize("flag", [None, "yes", 1.5])
def test_flag_of_tracebacks_of_a_wrong_type(flag):
    with pytest.raises(TypeError) as caught:
        sqlite3.enable_callback_tracebacks(flag)
    with pytest.raises(TypeError) as same:
        csqlite.enable_callback_tracebacks(flag)
    assert str(same.value) == str(caught.value)


# -- replacing and removing what is in use ------------------------------------------


async def half_read(db, select):
    """Give a cursor that has read one row of `select` from 300, and knows one more."""
    cursor = await db.cursor()
    cursor.iter_chunk_size = 1
    await cursor.execute(f"{NUMBERS.format(300)} select {select} from n")
    await cursor.fetchone()
    return cursor


async def test_function_is_replaced_while_a_statement_uses_it(db):
    await db.create_function("f", 1, lambda number: ("old", number)[0])
    cursor = await half_read(db, "f(i)")
    await db.create_function("f", 1, lambda number: "new")
    assert await scalar(db, "select f(1)") == "new"
    assert await cursor.fetchall() == [("old",), *[("new",)] * 298]


async def test_function_is_removed_while_a_statement_uses_it(db):
    none = (sqlite3.OperationalError, "no such function: f")
    await db.create_function("f", 1, lambda number: number)
    cursor = await half_read(db, "f(i)")
    await db.create_function("f", 1, None)
    assert await outcome(fetchall(db, "select f(1)")) == none
    assert await outcome(cursor.fetchall()) == none
    assert await outcome(fetchall(db, "select f(1)")) == none
    await db.create_function("f", 1, lambda number: "again")
    assert await scalar(db, "select f(1)") == "again"


async def test_function_that_is_removed_while_in_use_is_soon_unknown_to_sqlite(db):
    await db.create_function("f", 1, abs, deterministic=True)
    await db.execute("create table t (a)")
    cursor = await half_read(db, "f(1)")
    await db.create_function("f", 1, None)
    await cursor.close()
    # An index on an empty table does not call it.
    assert await outcome(db.execute("create index i on t (f(a))")) == (
        sqlite3.OperationalError,
        "no such function: f",
    )


async def test_function_that_is_removed_while_in_use_may_come_back(db):
    await db.create_function("f", 0, lambda: "old")
    cursor = await half_read(db, "f()")
    await db.create_function("f", 0, None)
    await db.create_function("f", 0, lambda: "new")
    assert await cursor.fetchall() == [("old",), *[("new",)] * 298]
    assert await scalar(db, "select f()") == "new"


async def test_aggregate_is_replaced_and_removed_while_a_statement_uses_it(db):
    class Shortest(Longest):
        def finalize(self):
            return "shortest"

    rows = "(values (1, 'a'), (2, 'b'), (3, 'c'))"
    await db.create_aggregate("f", 1, Longest)
    async with db.execute(f"select f(column2) from {rows} group by column1") as cursor:
        await db.create_aggregate("f", 1, Shortest)
        await cursor.fetchall()
    assert await scalar(db, "select f('a')") == "shortest"
    cursor = await half_read(db, "(select f('a') where i > 0)")
    await db.create_aggregate("f", 1, None)
    none = (sqlite3.OperationalError, "no such function: f")
    assert await outcome(cursor.fetchall()) == none
    assert await outcome(fetchall(db, "select f(1)")) == none


async def test_collation_is_replaced_and_removed_while_a_statement_uses_it(db):
    await db._execute(fill, db._conn)
    select = "select a from t order by a collate c"
    await db.create_collation("c", backwards)
    cursor = await half_read(db, "('a' < 'b' collate c)")
    await db.create_collation("c", lambda a, b: -backwards(a, b))
    assert await fetchall(db, select) == [("a",), ("b",), ("c",)]
    assert (await cursor.fetchone()) == (0,)
    assert (await cursor.fetchone()) == (1,)
    await db.create_collation("c", None)
    none = (sqlite3.OperationalError, "no such collation sequence: c")
    assert await outcome(fetchall(db, select)) == none
    assert await outcome(cursor.fetchall()) == none
    assert await outcome(fetchall(db, select)) == none
    await db.create_collation("c", backwards)
    assert await fetchall(db, select) == [("c",), ("b",), ("a",)]


async def test_another_kind_or_other_flags_are_refused_while_a_statement_runs(db):
    await db.create_function("f", 1, lambda number: number)
    await db.create_aggregate("g", 1, Longest)
    cursor = await half_read(db, "f(i)")
    refused = (sqlite3.OperationalError, "Error creating function")
    assert await outcome(db.create_function("f", 1, abs, deterministic=True)) == refused
    assert await outcome(db.create_function("g", 1, abs)) == refused
    assert await outcome(db.create_aggregate("f", 1, Longest)) == (
        sqlite3.OperationalError,
        "Error creating aggregate",
    )
    assert len(await cursor.fetchall()) == 299
    await db.create_aggregate("f", 1, Longest)
    assert await scalar(db, "select f('a')") == "a"


async def test_handlers_are_replaced_and_removed_while_a_statement_runs(db):
    calls = []
    for name in ("old", "new", None):
        callback = name and (lambda *arguments, name=name: calls.append(name) or 0)
        cursor = await half_read(db, "i")
        await db.set_progress_handler(callback, 1)
        await db.set_trace_callback(callback)
        await db.set_authorizer(callback)
        del calls[:]
        assert len(await cursor.fetchall()) == 299
        await fetchall(db, f"select 1 -- {name}")
        assert set(calls) == ({name} if name else set())


async def test_function_replaces_and_removes_itself(db):
    def first():
        db._conn.create_function("f", 0, second)
        return "first"

    def second():
        db._conn.create_function("f", 0, None)
        return "second"

    await db.create_function("f", 0, first)
    rows = await outcome(fetchall(db, f"{NUMBERS.format(3)} select f() from n"))
    assert rows == (sqlite3.OperationalError, "no such function: f")
    assert await outcome(fetchall(db, "select f()")) == rows
    await db.create_function("f", 0, first)
    assert await fetchall(db, "select f(), f()") == [("first", "second")]


async def test_aggregate_removes_itself(db):
    class Once:
        def step(self, number):
            db._conn.create_aggregate("f", 1, None)

        def finalize(self):
            return "done"

    await db.create_aggregate("f", 1, Once)
    assert await scalar(db, f"{NUMBERS.format(3)} select f(i) from n") == "done"
    assert await outcome(fetchall(db, "select f(1)")) == (
        sqlite3.OperationalError,
        "no such function: f",
    )


async def test_collation_replaces_itself_and_removes_itself(db):
    def first(a, b):
        db._conn.create_collation("c", backwards)
        return backwards(a, b)

    def last(a, b):
        db._conn.create_collation("c", None)
        return backwards(a, b)

    await db._execute(fill, db._conn)
    await db.create_collation("c", first)
    assert await fetchall(db, "select a from t order by a collate c") == [("c",), ("b",), ("a",)]
    await db.create_collation("c", last)
    none = (sqlite3.OperationalError, "no such collation sequence: c")
    assert await outcome(fetchall(db, "select a from t order by a collate c")) == none


SETTERS = {
    "set_authorizer": lambda connection, handler: connection.set_authorizer(handler),
    "set_trace_callback": lambda connection, handler: connection.set_trace_callback(handler),
    "set_progress_handler": lambda connection, handler: connection.set_progress_handler(handler, 1),
}


@pytest.mark.parametrize("name", sorted(SETTERS))
async def test_handler_replaces_and_removes_itself(db, name):
    calls = []

    def first(*arguments):
        calls.append("first")
        SETTERS[name](db._conn, second)
        return 0

    def second(*arguments):
        calls.append("second")
        SETTERS[name](db._conn, None)
        return 0

    await SETTERS[name](db, first)
    for number in range(3):
        await fetchall(db, f"select {number}")
    assert calls == ["first", "second"]


@pytest.mark.parametrize("name", sorted(SETTERS))
async def test_handler_removes_every_other(db, name):
    def clear(*arguments):
        for setter in SETTERS.values():
            setter(db._conn, None)
        db._conn.create_function("f", 0, None)
        db._conn.create_function("g", 0, lambda: "new")
        db._conn.create_function("h", 0, lambda: "another")
        db._conn.create_collation("c", None)
        return 0

    for setter in SETTERS.values():
        await setter(db, lambda *arguments: 0)
    await db.create_function("f", 0, lambda: "old")
    await db.create_function("g", 0, lambda: "old")
    await db.create_collation("c", backwards)
    await SETTERS[name](db, clear)
    await outcome(fetchall(db, "select f(), g() from (values ('a'), ('b')) order by 1 collate c"))
    assert await outcome(fetchall(db, "select f()")) == (
        sqlite3.OperationalError,
        "no such function: f",
    )
    assert await fetchall(db, "select g(), h()") == [("new", "another")]


async def at_each_step(db, change, act):
    """Await `act()` again and again, each time with change() called at one step later.

    SQLite puts handlers aside in some steps, and only there. Yields after each act().
    """
    for step in itertools.count():
        steps = itertools.count()

        def handler(step=step, steps=steps):
            if next(steps) == step:
                change()
            return 0

        await db.set_progress_handler(handler, 1)
        result = await outcome(act())
        await db.set_progress_handler(None, 1)
        yield result
        if next(steps) <= step:
            return


async def read_schema(db, other):
    await other.execute("drop table if exists u")
    await other.execute("create table u (a)")
    return await fetchall(db, "select * from t")


@pytest.fixture
def pair(path):
    options = {"isolation_level": None, "cached_statements": 0}
    return csqlite.connect(path, **options), csqlite.connect(path, **options)


@pytest.mark.parametrize("before", ["none", "another"])
async def test_authorizer_that_is_set_while_the_schema_is_read_holds(pair, before):
    denied = (sqlite3.DatabaseError, "not authorized")
    async with pair[0] as db, pair[1] as other:
        await db.execute("create table t (a)")
        changed = []

        def change():
            changed.append(True)
            db._conn.set_authorizer(lambda *arguments: sqlite3.SQLITE_DENY)

        async for _ in at_each_step(db, change, lambda: read_schema(db, other)):
            found = await outcome(fetchall(db, "select 1"))
            assert found == (denied if changed else [(1,)])
            del changed[:]
            await db.set_authorizer(None if before == "none" else lambda *arguments: 0)


async def test_handlers_that_are_removed_while_the_schema_is_read_are_gone(pair):
    seen = []

    def authorize(*arguments):
        seen.append(arguments)
        return sqlite3.SQLITE_OK

    def change():
        changed.append(True)
        db._conn.set_authorizer(None)
        db._conn.set_trace_callback(None)

    async with pair[0] as db, pair[1] as other:
        await db.execute("create table t (a)")
        await db.set_authorizer(authorize)
        await db.set_trace_callback(seen.append)
        changed = []
        async for result in at_each_step(db, change, lambda: read_schema(db, other)):
            assert result == []
            del seen[:]
            await db.execute("select 1")
            assert bool(seen) == (not changed)
            del changed[:]
            await db.set_authorizer(authorize)
            await db.set_trace_callback(seen.append)


async def test_trace_callback_that_is_changed_while_sqlite_vacuums(pair):
    seen = []

    def change():
        changed.append(True)
        db._conn.set_trace_callback(None)

    async with pair[0] as db, pair[1]:
        await db.executescript("create table t (a); insert into t values (1);")
        changed = []
        await db.set_trace_callback(seen.append)
        async for _ in at_each_step(db, change, lambda: db.execute("vacuum")):
            del seen[:]
            await db.execute("select 1")
            assert bool(seen) == (not changed)
            del changed[:]
            await db.set_trace_callback(seen.append)


async def test_another_kind_is_refused_while_a_statement_is_prepared(db):
    outcomes = []

    def authorize(*arguments):
        try:
            db._conn.create_aggregate("f", 1, Longest)
        except sqlite3.OperationalError as error:
            outcomes.append(str(error))
        return 0

    await db.create_function("f", 1, lambda text: text)
    await db.set_authorizer(authorize)
    assert await scalar(db, "select f('a')") == "a"
    assert set(outcomes) == {"Error creating aggregate"}


async def test_what_is_replaced_or_removed_while_in_use_is_let_go(db):
    class Function:
        def __call__(self, *arguments):
            return 0

    def make():
        function = Function()
        references.append(weakref.ref(function))
        return function

    references = []
    await db.create_function("f", 0, make())
    await db.create_collation("c", make())
    cursor = await half_read(db, "f(), 'a' < 'b' collate c")
    for _ in range(3):
        await db.create_function("f", 0, make())
        await db.create_collation("c", make())
    await db.create_function("f", 0, None)
    await db.create_collation("c", None)
    gc.collect()
    assert [reference() for reference in references] == [None] * 8
    await cursor.close()
    await db.execute("select 1")


async def test_connection_is_closed_while_removals_are_due(path):
    async with csqlite.connect(path) as db:
        await db.create_function("f", 0, lambda: 0)
        await db.create_collation("c", backwards)
        cursor = await half_read(db, "f(), 'a' < 'b' collate c")
        await db.create_function("f", 0, None)
        await db.create_collation("c", None)
    del cursor


async def test_letting_go_of_a_callback_may_run_anything(db):
    class Function:
        def __call__(self):
            return 1

        def __del__(self):
            outcomes.append(outcome_of(lambda: db._conn.execute("select 1")))

    def outcome_of(call):
        try:
            return call()
        except sqlite3.ProgrammingError as error:
            return str(error)

    outcomes = []
    await db.create_function("f", 0, Function())
    await db.create_function("f", 0, Function())
    await db.create_function("f", 0, None)
    await db.set_trace_callback(Function())
    await db.set_trace_callback(None)
    gc.collect()
    assert outcomes == [SEALED] * 3
    assert await scalar(db, "select 1") == 1


# -- callbacks in which the connection cannot be used -------------------------------

USES = {
    "execute": lambda connection: connection.execute("select 1"),
    "executescript": lambda connection: connection.executescript("drop table t"),
    "commit": lambda connection: connection.commit(),
    "rollback": lambda connection: connection.rollback(),
    "enable_load_extension": lambda connection: connection.enable_load_extension(True),
}


@pytest.mark.parametrize("use", sorted(USES))
@pytest.mark.parametrize("kind", ["authorizer", "progress", "collation"])
async def test_connection_is_refused_where_sqlite_could_not_bear_it(db, kind, use):
    outcomes = []

    def callback(*arguments):
        try:
            USES[use](db._conn)
        except sqlite3.ProgrammingError as error:
            outcomes.append(str(error))
        return 0

    await db._execute(fill, db._conn)
    if kind == "authorizer":
        await db.set_authorizer(callback)
    elif kind == "progress":
        await db.set_progress_handler(callback, 1)
    else:
        await db.create_collation("c", callback)
    assert len(await fetchall(db, "select a from t order by a collate nocase, a")) == 3
    if kind == "collation":
        assert len(await fetchall(db, "select a from t order by a collate c")) == 3
    assert set(outcomes) == {SEALED}


@pytest.mark.parametrize("kind", ["function", "trace", "authorizer"])
async def test_callback_that_closes_its_connection_is_refused(db, kind):
    outcomes = []

    def callback(*arguments):
        try:
            db._conn.close()
        except sqlite3.ProgrammingError as error:
            outcomes.append(str(error))
        return 0

    if kind == "function":
        await db.create_function("f", 0, callback)
    elif kind == "trace":
        await db.set_trace_callback(callback)
    else:
        await db.set_authorizer(callback)
    await db.create_function("g", 0, lambda: 0)
    assert await scalar(db, "select f()" if kind == "function" else "select g()") == 0
    assert set(outcomes) == {"Recursive use of cursors not allowed."}
    assert await scalar(db, "select 7") == 7


# -- context variables --------------------------------------------------------------


def everywhere(note):
    """Give callbacks of every kind that call `note(kind)`."""

    class Aggregate:
        def __init__(self):
            note("__init__")

        def step(self, value):
            note("step")

        def inverse(self, value):
            note("inverse")

        def value(self):
            note("value")

        def finalize(self):
            note("finalize")

    def give(kind, result):
        def callback(*arguments):
            note(kind)
            return result

        return callback

    return Aggregate, give


async def test_context_variables_of_the_task_are_set_in_every_kind(db):
    seen = {}

    def note(kind):
        seen.setdefault(kind, set()).add(variable.get())

    aggregate, give = everywhere(note)
    await db.create_function("f", 0, give("function", 1))
    await db.create_window_function("w", 1, aggregate)
    await db.create_collation("c", give("collation", 0))
    await db.set_authorizer(give("authorizer", 0))
    await db.set_progress_handler(give("progress", 0), 1)
    await db.set_trace_callback(give("trace", None))
    numbers = itertools.count()

    async def ask(name):
        variable.set(name)
        seen.clear()
        await fetchall(
            db,
            f"select f(), w(column1) over (rows 1 preceding) from (values ('a'), ('b'), ('c'))"
            f"order by column1 collate c -- {next(numbers)}",
        )
        return dict(seen)

    kinds = {"function", "collation", "authorizer", "progress", "trace"}
    methods = {"__init__", "step", "inverse", "value", "finalize"}
    for name in ("first", "second"):
        assert await asyncio.create_task(ask(name)) == {kind: {name} for kind in kinds | methods}


async def test_context_variable_that_a_callback_sets_is_there_for_the_next_of_the_statement(db):
    def f():
        before = variable.get()
        variable.set("set in f")
        return before

    await db.create_function("f", 0, f)
    variable.set("mine")
    assert await fetchall(db, "select f(), f()") == [("mine", "set in f")]
    assert await fetchall(db, "select f(), f()") == [("mine", "set in f")]
    assert variable.get() == "mine"


async def test_nested_callbacks_share_the_context(db):
    await db.create_function("low", 0, variable.get)
    await db.create_function("high", 0, lambda: db._conn.execute("select low()").fetchone()[0])
    variable.set("mine")
    assert await fetchall(db, "select high(), low()") == [("mine", "mine")]


async def test_what_is_called_on_the_worker_has_the_context_in_its_callbacks(db):
    def work(connection):
        connection.create_function("who", 0, variable.get)
        return connection.execute("select who()").fetchone()

    variable.set("mine")
    assert await db._execute(work, db._conn) == ("mine",)


# -- misuse -------------------------------------------------------------------------

CALLS = {
    "create_function": lambda db: db.create_function("f", 0, int),
    "create_aggregate": lambda db: db.create_aggregate("f", 1, Longest),
    "create_collation": lambda db: db.create_collation("c", backwards),
    "set_authorizer": lambda db: db.set_authorizer(None),
    "set_progress_handler": lambda db: db.set_progress_handler(None, 1),
    "set_trace_callback": lambda db: db.set_trace_callback(None),
}


@pytest.mark.parametrize("name", sorted(CALLS))
async def test_closed_connection(path, name):
    async with csqlite.connect(path) as db:
        pass
    with pytest.raises(ValueError, match="no active connection"):
        await CALLS[name](db)


@pytest.mark.parametrize("answer", [2**32, -(2**32), 2**31, 2**70])
async def test_authorizer_whose_answer_is_no_int_of_c_denies(db, answer):
    await db.set_authorizer(lambda *arguments: answer)
    error = await error_of(db.execute("select 1"))
    assert (type(error), str(error)) == (sqlite3.DatabaseError, "not authorized")
    assert isinstance(error.__cause__, OverflowError)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
async def test_functions_of_many_arguments(db, count):
    await db.create_function("f", -1, lambda *arguments: ",".join(map(str, arguments)))
    await db.create_function("g", count, lambda *arguments: len(arguments))
    numbers = [str(number) for number in range(count)]
    values = ",".join(numbers)
    assert await fetchall(db, f"select f({values}), g({values})") == [(values, count)]


async def test_callbacks_in_the_midst_of_a_large_result(db):
    await db.create_function("f", 1, lambda number: number + 1)
    rows = await db.execute_fetchall(f"{NUMBERS.format(50000)} select f(i), f(f(i)) from n")
    assert len(rows) == 50000
    assert rows[0] == (2, 3) and rows[-1] == (50001, 50002)


@oracle
@pytest.mark.parametrize(
    "program",
    [
        lambda c: c.create_function("f", 2**31, len),
        lambda c: c.create_function("f", -(2**40), len),
        lambda c: c.create_function("a\0b", 2**31, len),
        lambda c: c.create_aggregate(5, "x", list),
        lambda c: c.create_aggregate("f", 2**31, list),
        lambda c: c.create_window_function(5, "x", list),
        lambda c: c.create_window_function(None, 1, list),
        lambda c: c.create_collation(b"f", 5),
        lambda c: c.create_collation("a\0b", 5),
        lambda c: c.create_collation("f", 5),
        lambda c: c.set_progress_handler(len, 2**31),
        lambda c: c.set_progress_handler(len, "x"),
    ],
)
async def test_arguments_are_refused_in_their_order(db, program):
    assert isinstance(await both(db, program), tuple)
