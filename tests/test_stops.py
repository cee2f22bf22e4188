"""StopIteration and StopAsyncIteration of what users give: errors, never an end or an answer.

To who awaits, the one would be a result and the other the end of a loop. As in a generator, both
become RuntimeError, or the cause of what SQLite makes of an exception of a callback.
"""

import asyncio
import contextlib
import itertools
import sqlite3

import pytest
from unraisable import unraisables

import csqlite

STOPS = [StopIteration, StopAsyncIteration]
NUMBERS = "with recursive n(i) as (select 0 union all select i + 1 from n limit {}) select i from n"


@pytest.fixture
def db():
    return csqlite.connect(":memory:", detect_types=sqlite3.PARSE_COLNAMES)


def stopping(exception, after=1):
    """Return a callable that gives its last argument `after` times and raises from then on."""
    count = itertools.count()

    def call(*args):
        if next(count) >= after:
            raise exception("its value")
        return args[-1]

    return call


def raising(exception):
    """Return a callable that raises it, whatever it is given."""

    def call(*args, **options):
        raise exception("its value")

    return call


def awaited(exception):
    """The same, raised when what the call gives is awaited, not by a coroutine of its own."""

    class Awaitable:
        __await__ = raising(exception)

    return lambda *args: Awaitable()


def with_method(name, exception, **others):
    """Return an instance of a class in which the method of that name raises."""
    return type("Raises", (), {name: raising(exception), **others})()


def causes(error):
    while error is not None:
        yield error
        error = error.__cause__


# -- rows ---------------------------------------------------------------------------


FETCHES = {
    "fetchone": lambda cursor: cursor.fetchone(),
    "fetchmany": lambda cursor: cursor.fetchmany(5),
    "fetchall": lambda cursor: cursor.fetchall(),
    "anext": lambda cursor: cursor.__anext__(),
}


@pytest.mark.parametrize("exception", STOPS)
@pytest.mark.parametrize("rows", [3, 500])
@pytest.mark.parametrize("fetch", FETCHES)
@pytest.mark.parametrize("where", ["row_factory", "text_factory", "converter"])
async def test_for_a_row(db, exception, rows, fetch, where):
    if where == "converter":
        csqlite.register_converter("stopping", stopping(exception))
    else:
        setattr(db, where, stopping(exception))
    cursor = await db.execute(f"select 'a' || i as \"x [stopping]\" from ({NUMBERS.format(rows)})")
    with pytest.raises(RuntimeError, match=exception.__name__) as caught:
        for _ in range(3):
            await FETCHES[fetch](cursor)
    assert isinstance(caught.value.__cause__, exception)
    with pytest.raises(RuntimeError):
        async for _ in cursor:
            pass
    with pytest.raises(RuntimeError):
        await db.execute_fetchall("select 'b' as \"x [stopping]\"")
    assert not db.in_transaction


@pytest.mark.parametrize("exception", STOPS)
async def test_for_the_row_of_execute_insert(db, exception):
    await db.execute("create table t (a)")
    db.row_factory = raising(exception)
    with pytest.raises(RuntimeError, match=f"a row raised {exception.__name__}"):
        await db.execute_insert("insert into t values (1)")


@pytest.mark.parametrize("exception", STOPS)
def test_for_a_row_of_the_synchronous_view(exception):
    async def use():
        async with csqlite.connect(":memory:", check_same_thread=False) as db:
            db.row_factory = stopping(exception)
            with pytest.raises(RuntimeError, match="a row raised"):
                list(db._conn.execute("select 1 union select 2 union select 3"))

    asyncio.run(use())


# -- parameters ---------------------------------------------------------------------


class Adapted:
    """A class for which adapters are registered."""


def many(rows):
    return lambda db: db.executemany("insert into t values (?)", rows)


def one(parameters):
    return lambda db: db.execute("insert into t values (?)", parameters)


def adapted(exception):
    csqlite.register_adapter(Adapted, raising(exception))
    return one((Adapted(),))


def missing(exception):
    mapping = type("M", (dict,), {"__missing__": raising(exception)})()
    return lambda db: db.execute("insert into t values (:a)", mapping)


def own_mapping(exception):
    mapping = with_method("__getitem__", exception, keys=list, __len__=lambda self: 1)
    return lambda db: db.execute("insert into t values (:a)", mapping)


def iterator(exception):
    """Return an iterator in the middle of which something is raised that is no end of it."""

    class Rows:
        rows = 2

        def __iter__(self):
            return self

        def __next__(self):
            self.rows -= 1
            if self.rows < 0:
                raise exception("its value")
            return (self.rows,)

    return Rows()


async def generated(row):
    yield row


def conforming(exception):
    return with_method("__conform__", exception)


PARAMETERS = {
    "adapter": adapted,
    "__conform__": lambda e: one((conforming(e),)),
    "__conform__ of many": lambda e: many([(conforming(e),)]),
    "__conform__ of many, awaited": lambda e: many(generated((conforming(e),))),
    "__conform__, inserted": lambda e: (
        lambda db: db.execute_insert("insert into t values (?)", (conforming(e),))
    ),
    "__conform__, fetched": lambda e: lambda db: db.execute_fetchall("select ?", (conforming(e),)),
    "__getitem__": lambda e: one(with_method("__getitem__", e, __len__=lambda self: 1)),
    "__len__": lambda e: one(with_method("__len__", e, __getitem__=lambda self, key: 1)),
    "__len__ of many": lambda e: many([with_method("__len__", e, __getitem__=min)]),
    "__missing__": missing,
    "__getitem__ of a mapping": own_mapping,
    "__iter__": lambda e: many(with_method("__iter__", e)),
    "__aiter__": lambda e: many(with_method("__aiter__", e)),
    "cursor factory": lambda e: lambda db: db.cursor(raising(e)),
    "call on the worker": lambda e: lambda db: db._execute(raising(e)),
    "connector": lambda e: lambda db: csqlite.core.Connection(raising(e), 64),
}


@pytest.mark.parametrize("exception", STOPS)
@pytest.mark.parametrize("what", PARAMETERS)
async def test_for_what_a_call_is_given(db, what, exception):
    await db.execute("create table t (a)")
    for _ in range(2):
        with pytest.raises(RuntimeError, match=exception.__name__) as caught:
            await PARAMETERS[what](exception)(db)
        assert [type(error) for error in causes(caught.value)] == [RuntimeError, exception]
    await db.rollback()
    assert await db.execute_fetchall("select * from t") == []


async def test_for_the_iterator_of_executemany(db):
    await db.execute("create table t (a)")
    with pytest.raises(RuntimeError, match="raised StopAsyncIteration"):
        await db.executemany("insert into t values (?)", iterator(StopAsyncIteration))
    await db.executemany("insert into t values (?)", iterator(StopIteration))
    assert await db.execute_fetchall("select * from t") == [(1,), (0,), (1,), (0,)]


@pytest.mark.parametrize("exception", STOPS)
async def test_thrown_in(db, exception):
    request = db.execute("select 1")
    expected = RuntimeError if exception is StopIteration else exception  # As of any coroutine.
    with pytest.raises(expected):
        request.throw(exception(3))


@pytest.mark.parametrize("exception", STOPS)
async def test_for_the_progress_of_a_backup(db, exception):
    async with csqlite.connect(":memory:") as target:
        with pytest.raises(RuntimeError, match=exception.__name__):
            await db.backup(target, progress=raising(exception))


# -- what SQLite calls ----------------------------------------------------------------

WINDOW = "select f(a) over (order by a rows between 1 preceding and current row) from t"


def aggregate(name, **others):
    """Return how a class is registered whose method of that name raises."""
    methods = dict.fromkeys(["step", "inverse", "value", "finalize"], lambda self, *args: None)

    def register(db, raises):
        made = type("Aggregate", (), {**methods, name: lambda self, *args: raises()})
        if sqlite3.sqlite_version_info >= (3, 25):
            return db.create_window_function("f", 1, made)
        return db.create_aggregate("f", 1, made)

    return register


async def applied(db, **options):
    """Apply a change to a row that is not there."""
    async with db.session() as session:
        await session.attach("k")
        await db.execute("update k set b = 5")
        changes = await session.changeset()
    await db.execute("update k set b = 6")
    return await db.apply_changeset(changes, **options)


async def with_filter(db, raises):
    async with db.session() as session:
        await session.attach(lambda table: raises())
        await db.execute("update k set b = 5")
        await session.changeset()


async def with_table(db, source, sql, **options):
    await db.create_module("v", source, **options)
    await db.execute_fetchall(sql)


def table(name, exception):
    """Return the class of a virtual table whose method of that name raises."""
    methods = {
        "__init__": lambda self, *args: None,
        "rows": lambda self: [(1, 2)],
        "insert": lambda self, rowid, values: 1,
    }
    members = {"columns": ["a", "b"], "rowid": "a"}
    return type("Source", (), {**members, **methods, name: raising(exception)})


async def created(db, name, exception, sql):
    await db.create_module("v", table(name, exception))
    await db.execute("create virtual table w using v")
    await db.execute_fetchall(sql)


def sorted_by(db):
    return db.execute_fetchall("select a from t order by a collate f")


# For each place: what registers the callable, what SQLite calls it in.
CALLBACKS = {
    "function": (lambda db, f: db.create_function("f", 1, f), "select f(a) from t"),
    "collation": (
        lambda db, f: db.create_collation("f", f),
        "select a from t order by a collate f",
    ),
    "step": (aggregate("step"), "select f(a) from t"),
    "finalize": (aggregate("finalize"), "select f(a) from t"),
    "__init__": (aggregate("__init__"), "select f(a) from t"),
    "value": (aggregate("value"), WINDOW),
    "inverse": (aggregate("inverse"), WINDOW),
    "authorizer": (lambda db, f: db.set_authorizer(f), "select a from t"),
    "progress": (lambda db, f: db.set_progress_handler(f, 1), NUMBERS.format(5000)),
    "commit hook": (lambda db, f: db.set_commit_hook(f), "commit"),
    "update hook": (lambda db, f: db.set_update_hook(f), "update t set a = a || 'x'"),
    "batched update hook": (lambda db, f: db.set_update_hook(f, batch=True), "update t set a = 1"),
    "rollback hook": (lambda db, f: db.set_rollback_hook(f), "rollback"),
    "pre-update hook": (lambda db, f: db.set_preupdate_hook(f), "update t set a = a || 'x'"),
    "trace": (lambda db, f: db.set_trace_callback(f), "select a from t"),
    "trace_v2": (lambda db, f: db.trace_v2(csqlite.SQLITE_TRACE_STMT, f), "select a from t"),
    "profile": (lambda db, f: db.set_profile(f), "select a from t"),
}
# The statement goes on, and the exception is printed.
UNHEARD = {"trace", "trace_v2", "profile", "batched update hook", "rollback hook"}
UNHEARD |= {"update hook", "pre-update hook"}


async def prepared(db):
    await db.executescript(
        "create table t (a); insert into t values ('b'), ('a'), ('c');"
        "create table k (a integer primary key, b); insert into k values (1, 2)"
    )
    await db.execute("insert into k values (2, 3)")


@pytest.mark.parametrize("exception", STOPS)
@pytest.mark.parametrize("way", [raising, awaited])
@pytest.mark.parametrize("what", CALLBACKS)
async def test_for_what_sqlite_calls(db, what, way, exception):
    register, sql = CALLBACKS[what]
    if what == "__init__" and way is awaited:
        pytest.skip("a class gives no awaitable")
    csqlite.enable_callback_tracebacks(True)
    await prepared(db)
    await register(db, way(exception))
    with unraisables() as seen:
        if what in UNHEARD:
            await db.execute_fetchall(sql)
            await db.commit()
        else:
            with pytest.raises((RuntimeError, sqlite3.Error)) as caught:
                await db.execute_fetchall(sql)
            seen.append((caught.value, None))
    csqlite.enable_callback_tracebacks(False)
    assert any(type(cause) is exception for error, _ in seen for cause in causes(error))


@pytest.mark.parametrize("exception", STOPS)
@pytest.mark.parametrize("fetch", FETCHES)
async def test_for_a_collation_behind_the_first_rows(db, fetch, exception):
    """It is the callable's own exception that is raised there."""
    await db.create_collation("f", stopping(exception, 700))
    cursor = await db.execute(
        f"select i, (select count(*) from (select 'a' as x union select 'b' || i)"
        f" where x < 'c' collate f) from ({NUMBERS.format(2000)})"
    )
    with pytest.raises(RuntimeError, match=f"callable raised {exception.__name__}"):
        for _ in range(2001):
            await FETCHES[fetch](cursor)


OTHERS = {
    "filter of a session": lambda db, e: with_filter(db, raising(e)),
    "filter of a changeset": lambda db, e: applied(db, filter=raising(e)),
    "conflict handler": lambda db, e: applied(db, conflict=raising(e)),
    "callable source": lambda db, e: with_table(db, raising(e), "select * from v", columns=["a"]),
    "__iter__ of a source": lambda db, e: with_table(
        db, lambda: with_method("__iter__", e), "select * from v", columns=["a"]
    ),
    "__aiter__ of a source": lambda db, e: with_table(
        db, lambda: with_method("__aiter__", e), "select * from v", columns=["a"]
    ),
    "__iter__ of a row": lambda db, e: with_table(
        db,
        lambda: [with_method("__iter__", e, __getitem__=min, __len__=lambda self: 1)],
        "select * from v",
        columns=["a", "b"],
    ),
    "__init__ of a source": lambda db, e: created(db, "__init__", e, "select * from w"),
    "rows() of a source": lambda db, e: created(db, "rows", e, "select * from w"),
    "insert() of a source": lambda db, e: created(db, "insert", e, "insert into w values (1, 2)"),
}


@pytest.mark.parametrize("exception", STOPS)
@pytest.mark.parametrize("what", OTHERS)
async def test_for_what_sessions_and_tables_call(db, what, exception):
    await prepared(db)
    if "session" in what or "changeset" in what or "conflict" in what:
        try:
            await (await db.session()).close()
        except csqlite.NotSupportedError:
            pytest.skip("this SQLite has no sessions")
    with pytest.raises((RuntimeError, sqlite3.Error)) as caught:
        await OTHERS[what](db, exception)
    assert any(isinstance(error, exception) for error in causes(caught.value))


# -- foreign connections --------------------------------------------------------------


def foreign():
    return csqlite.core.Connection(lambda: sqlite3.connect(":memory:"), 64)


@pytest.mark.parametrize("exception", STOPS)
@pytest.mark.parametrize("fetch", FETCHES)
async def test_for_a_row_of_a_foreign_connection(exception, fetch):
    async with foreign() as db:
        db.row_factory = raising(exception)
        cursor = await db.execute("select 1 union select 2")
        if exception is StopIteration and fetch in ("fetchmany", "fetchall", "anext"):
            # Within sqlite3 itself it ends a loop, or is the answer.
            with contextlib.suppress(RuntimeError, StopAsyncIteration):
                await FETCHES[fetch](cursor)
            return
        with pytest.raises(RuntimeError, match=exception.__name__):
            await FETCHES[fetch](cursor)


@pytest.mark.parametrize("exception", STOPS)
@pytest.mark.parametrize("what", ["__conform__", "__getitem__", "__iter__"])
async def test_for_what_a_call_of_a_foreign_connection_is_given(exception, what):
    async with foreign() as db:
        await db.execute("create table t (a)")
        with pytest.raises((RuntimeError, sqlite3.Error)):
            await PARAMETERS[what](exception)(db)
