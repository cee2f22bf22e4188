"""The names without promise that programs use all the same, each used as they use it."""

import asyncio
import functools
import inspect
import logging
import re
import sqlite3
import sys
import threading
from contextlib import closing

import pytest

ROWS = [(1, "one"), (2, "two"), (3, "three")]


async def submit(db, function):
    """Run `function` on the connection's worker as SQLAlchemy does, past every public method."""
    future = asyncio.get_running_loop().create_future()
    db._tx.put_nowait((future, function))
    return await future


# The queue of the worker


async def test_tx_runs_a_callable_on_the_worker_and_delivers_its_result(db):
    assert await submit(db, threading.get_ident) == db._thread.ident
    assert await submit(db, lambda: [1, 2]) == [1, 2]


async def test_tx_delivers_an_exception(db):
    with pytest.raises(ZeroDivisionError):
        await submit(db, lambda: 1 // 0)
    async with db.execute("select 1") as cursor:
        assert await cursor.fetchone() == (1,)


async def test_tx_accepts_no_future(db):
    ran = threading.Event()
    db._tx.put_nowait((None, ran.set))
    assert await asyncio.to_thread(ran.wait, 20)


async def test_tx_keeps_the_order_with_ordinary_calls(db):
    order = []
    await db.create_function("note", 1, order.append)
    first = asyncio.ensure_future(db.execute_fetchall("select note(1)"))
    await asyncio.sleep(0)
    db._tx.put_nowait((None, lambda: order.append(2)))
    last = asyncio.ensure_future(db.execute_fetchall("select note(3)"))
    await asyncio.gather(first, last)
    assert order == [1, 2, 3]


async def test_tx_future_that_was_cancelled_is_left_alone(db):
    release = threading.Event()
    future = asyncio.get_running_loop().create_future()
    db._tx.put_nowait((future, lambda: release.wait(20)))
    future.cancel()
    release.set()
    assert await submit(db, lambda: "next") == "next"
    assert future.cancelled()


async def test_tx_is_empty_once_all_work_is_done(db):
    await db.execute("select 1")
    assert db._tx.empty()


async def test_tx_sets_the_isolation_level_for_the_statements_behind_it(db):
    def set_level(level):
        db._conn.isolation_level = level

    await db.execute("create table t (a)")
    await submit(db, functools.partial(set_level, None))
    assert db.isolation_level is None
    await db.execute("insert into t values (1)")
    assert not db.in_transaction
    await submit(db, functools.partial(set_level, ""))
    await db.execute("insert into t values (2)")
    assert db.in_transaction


# The raw connection


async def test_conn_is_one_object_while_the_connection_is_open(db):
    assert db._conn is not None
    assert db._connection
    assert db._conn.total_changes == db.total_changes == 0


async def test_conn_runs_statements_on_the_worker(db):
    def program():
        raw = db._conn
        raw.execute("create table t (a, b)")
        raw.executemany("insert into t values (?, ?)", ROWS)
        assert raw.in_transaction
        raw.commit()
        raw.execute("insert into t values (9, 'nine')")
        raw.rollback()
        cursor = raw.execute("select * from t where a > ?", (1,))
        names = [column[0] for column in cursor.description]
        return names, cursor.fetchone(), cursor.fetchall(), cursor.fetchone()

    result = await db._execute(program)
    assert result == (["a", "b"], (2, "two"), [(3, "three")], None)


async def test_conn_methods_are_passed_to_execute(db):
    await db._execute(db._conn.executescript, "create table t (a); insert into t values (1);")
    cursor = await db._execute(db._conn.execute, "select a from t where a = ?", (1,))
    assert await db._execute(cursor.fetchall) == [(1,)]
    await db._execute(db._conn.commit)
    await db._execute(db._conn.rollback)


async def test_conn_cursor_is_a_raw_cursor(db):
    def program():
        cursor = db._conn.cursor()
        cursor.execute("create table t (a integer primary key)")
        cursor.execute("insert into t values (5)")
        return cursor.lastrowid, cursor.rowcount, cursor.description

    assert await db._execute(program) == (5, 1, None)


async def test_conn_cursor_is_iterable_and_has_fetchmany(db):
    def program():
        cursor = db._conn.execute("select 1 union all select 2 union all select 3")
        return cursor.fetchmany(2), list(cursor)

    assert await db._execute(program) == ([(1,), (2,)], [(3,)])


async def test_conn_factories_are_those_of_the_connection(db):
    db._conn.row_factory = sqlite3.Row
    assert db.row_factory is sqlite3.Row
    db._conn.text_factory = bytes
    assert db.text_factory is bytes
    async with db.execute("select 'x' as a") as cursor:
        assert dict(await cursor.fetchone()) == {"a": b"x"}


async def test_conn_isolation_level_is_that_of_the_connection(db):
    db._conn.isolation_level = "IMMEDIATE"
    assert db.isolation_level == "IMMEDIATE"
    db.isolation_level = "EXCLUSIVE"
    assert db._conn.isolation_level == "EXCLUSIVE"


async def test_conn_creates_collations(db):
    def reverse(one, two):
        return (one < two) - (one > two)

    await db._execute(db._conn.create_collation, "reverse", reverse)
    async with db.execute("select 'a' as c union select 'b' order by c collate reverse") as cursor:
        assert await cursor.fetchall() == [("b",), ("a",)]


async def test_conn_creates_aggregates(db):
    class Product:
        def __init__(self):
            self.value = 1

        def step(self, factor):
            self.value *= factor

        def finalize(self):
            return self.value

    await db._execute(db._conn.create_aggregate, "product", 1, Product)
    async with db.execute(
        "select product(a) from (select 2 as a union select 3 union select 7)"
    ) as cursor:
        assert await cursor.fetchone() == (42,)


async def test_conn_creates_functions_with_keywords(db):
    await db._execute(
        db._conn.create_function, "twice", 1, lambda number: number * 2, deterministic=True
    )
    async with db.execute("select twice(4)") as cursor:
        assert await cursor.fetchone() == (8,)


async def test_conn_interrupts_from_the_loop(db):
    db._conn.interrupt()
    async with db.execute("select 1") as cursor:
        assert await cursor.fetchone() == (1,)


async def test_conn_when_it_is_not_open(aiosqlite):
    db = aiosqlite.connect(":memory:")
    with pytest.raises(ValueError, match=r"(?m)^no active connection$"):
        _ = db._conn
    async with db:
        pass
    with pytest.raises(ValueError, match=r"(?m)^no active connection$"):
        _ = db._conn


async def test_conn_errors_are_those_of_sqlite3(db):
    with pytest.raises(sqlite3.OperationalError, match=r"(?m)^no such table: nowhere$"):
        await db._execute(db._conn.execute, "select * from nowhere")


async def test_execute_passes_arguments_and_keywords(db):
    def function(*args, **kwargs):
        return args, kwargs, threading.get_ident()

    assert await db._execute(function, 1, 2, key="word") == (
        (1, 2),
        {"key": "word"},
        db._thread.ident,
    )


async def test_execute_is_a_coroutine_function_that_starts_when_awaited(db):
    ran = []
    pending = db._execute(ran.append, 1)
    assert asyncio.iscoroutine(pending)
    assert await submit(db, lambda: list(ran)) == []
    await pending
    assert ran == [1]


async def test_execute_on_a_connection_that_is_not_open(aiosqlite):
    db = aiosqlite.connect(":memory:")
    with pytest.raises(ValueError, match=r"(?m)^Connection closed$"):
        await db._execute(int)
    async with db:
        pass
    with pytest.raises(ValueError, match=r"(?m)^Connection closed$"):
        await db._execute(int)


async def test_execute_insert_and_fetchall_have_private_forms(db):
    await db.execute("create table t (a integer primary key)")
    assert await db._execute(db._execute_insert, "insert into t values (?)", (7,)) == (7,)
    assert await db._execute(db._execute_fetchall, "select a from t where a = ?", (7,)) == [(7,)]


# The thread


async def test_thread_can_be_made_a_daemon_before_the_await(aiosqlite):
    db = aiosqlite.connect(":memory:")
    db._thread.daemon = True
    assert not db._thread.is_alive()
    async with db:
        assert db._thread.daemon is True
        assert db._thread.is_alive()


async def test_thread_is_a_thread(db):
    assert isinstance(db._thread, threading.Thread)
    assert db._thread is db._thread


@pytest.mark.skipif(sys.version_info < (3, 10), reason="threads are not named by their target yet")
async def test_thread_has_the_name_that_test_suites_look_for(db):
    assert re.fullmatch(r"Thread-\d+ \(_connection_worker_thread\)", db._thread.name)


async def test_thread_can_be_joined_after_the_close(aiosqlite):
    db = await aiosqlite.connect(":memory:")
    await db.close()
    await asyncio.get_running_loop().run_in_executor(None, db._thread.join)
    assert not db._thread.is_alive()
    assert db._thread.join() is None


async def test_thread_that_never_started_cannot_be_joined(aiosqlite):
    db = aiosqlite.connect(":memory:")
    with pytest.raises(RuntimeError, match=r"(?m)^cannot join thread before it is started$"):
        db._thread.join()


async def test_thread_ident_is_that_of_the_worker(db):
    idents = []
    await db.create_function("f", 0, lambda: idents.append(threading.get_ident()))
    await db.execute("select f()")
    assert idents == [db._thread.ident]


async def test_join_with_a_timeout_returns_while_the_connection_is_open(db):
    assert db._thread.join(0.001) is None
    assert db._thread.is_alive()


# Subclasses


async def test_cursor_is_built_from_a_connection_and_a_raw_cursor(aiosqlite, db):
    cursor = aiosqlite.Cursor(db, await db._execute(db._conn.cursor))
    assert cursor._conn is db
    assert cursor.iter_chunk_size == db._iter_chunk_size
    assert await cursor.execute("select 1 union select 2") is cursor
    assert await cursor.fetchone() == (1,)
    assert [row async for row in cursor] == [(2,)]
    await cursor.close()


async def test_subclass_of_cursor(aiosqlite, db):
    class Counting(aiosqlite.Cursor):
        def __init__(self, connection, raw):
            super().__init__(connection, raw)
            self.count = 0

        async def execute(self, sql, parameters=None):
            self.count += 1
            return await super().execute(sql, parameters)

    async with Counting(db, await db._execute(db._conn.cursor)) as cursor:
        await cursor.execute("select ?", (1,))
        assert (cursor.count, await cursor.fetchall()) == (1, [(1,)])


async def test_cursor_runs_functions_by_itself(db):
    cursor = await db.execute("select 1 union select 2")
    assert await cursor._execute(int, "5") == 5
    assert await cursor._execute(cursor._cursor.fetchone) == (1,)
    assert await cursor.fetchone() == (2,)


async def test_cursor_fetches_in_chunks_of_its_own_size(db):
    cursor = await db.execute("select 1 union select 2 union select 3")
    cursor.iter_chunk_size = 2
    rows = cursor._fetch_chunked()
    assert [row async for row in rows] == [(1,), (2,), (3,)]


async def test_subclass_of_cursor_may_override_fetchmany_for_async_for(aiosqlite, db):
    sizes = []

    class Noting(aiosqlite.Cursor):
        async def fetchmany(self, size=None):
            sizes.append(size)
            return await super().fetchmany(size)

    cursor = Noting(db, await db._execute(db._conn.cursor))
    cursor.iter_chunk_size = 2
    await cursor.execute("select 1 union select 2 union select 3")
    assert [row async for row in cursor] == [(1,), (2,), (3,)]
    assert sizes == [2, 2, 2]


async def test_subclass_of_connection(aiosqlite):
    class Prepared(aiosqlite.Connection):
        def __init__(self, path):
            super().__init__(lambda: sqlite3.connect(path), 16)
            self.opened = 0

        async def _connect(self):
            await super()._connect()
            self.opened += 1
            await self.execute("pragma foreign_keys = on")
            return self

        async def one(self, sql, parameters=None):
            async with self.execute(sql, parameters) as cursor:
                return await cursor.fetchone()

    async with Prepared(":memory:") as db:
        assert isinstance(db, Prepared)
        assert db.opened == 1
        assert await db.one("pragma foreign_keys") == (1,)


async def test_method_replaced_on_an_instance(db):
    calls = []
    original = db.commit

    async def commit():
        calls.append("commit")
        await original()

    db.commit = commit
    await db.commit()
    assert calls == ["commit"]


# context


async def test_contextmanager_for_a_coroutine_function_of_ones_own(aiosqlite, db):
    class Repository:
        @aiosqlite.context.contextmanager
        async def query(self, sql, *, first=None):
            """Run a query."""
            return await db.execute(sql, (first,))

    assert Repository.query.__name__ == "query"
    assert Repository.query.__doc__ == "Run a query."
    async with Repository().query("select ?", first=5) as cursor:
        assert await cursor.fetchone() == (5,)
    with pytest.raises(
        sqlite3.ProgrammingError, match=r"(?m)^Cannot operate on a closed cursor\.$"
    ):
        await cursor.fetchone()
    cursor = await Repository().query("select ?", first=6)
    assert await cursor.fetchone() == (6,)


async def test_contextmanager_for_a_plain_function_that_gives_an_awaitable(aiosqlite, db):
    @aiosqlite.context.contextmanager
    def query(connection, sql):
        return connection.execute(sql)

    async with query(db, "select 1") as cursor:
        assert await cursor.fetchone() == (1,)
    cursor = await query(db, "select 2")
    assert await cursor.fetchone() == (2,)


async def test_contextmanager_closes_nothing_but_cursors(aiosqlite):
    class Resource:
        async def close(self):
            raise AssertionError("a resource that is no cursor was closed")

    resource = Resource()

    @aiosqlite.context.contextmanager
    async def acquire(owner):
        return resource

    async with acquire(None) as acquired:
        assert acquired is resource


async def test_result_of_every_decorated_method(aiosqlite, db):
    results = [
        db.cursor(),
        db.execute("select 1"),
        db.execute_fetchall("select 1"),
        db.executescript("select 1"),
    ]
    for result in results:
        assert isinstance(result, aiosqlite.context.Result)
        assert asyncio.iscoroutine(result)
        assert inspect.isawaitable(result)
        await result


async def test_result_is_built_from_a_coroutine(aiosqlite):
    async def answer():
        return 42

    assert await aiosqlite.context.Result(answer()) == 42
    async with aiosqlite.context.Result(answer()) as value:
        assert value == 42


async def test_result_is_driven_by_hand(aiosqlite):
    async def answer():
        return 42

    result = aiosqlite.context.Result(answer())
    with pytest.raises(StopIteration) as stopped:
        result.send(None)
    assert stopped.value.value == 42


async def test_result_of_a_statement_is_driven_by_hand(db):
    def drive(result):
        while True:
            try:
                future = result.send(None)
            except StopIteration as stopped:
                return stopped.value
            yield future

    class Driven:
        def __await__(self):
            return (yield from drive(db.execute_fetchall("select 5")))

    assert await Driven() == [(5,)]


async def test_result_takes_exceptions_thrown_into_it(db):
    result = db.execute("select 1")
    with pytest.raises(LookupError, match=r"(?m)^thrown$"):
        result.throw(LookupError("thrown"))
    result = db.execute("select 1")
    with pytest.raises(LookupError):
        result.throw(LookupError)


async def test_result_that_is_closed_runs_nothing(db):
    await db.execute("create table t (a)")
    result = db.execute("insert into t values (1)")
    result.close()
    with pytest.raises(RuntimeError, match=r"(?m)^cannot reuse already awaited coroutine$"):
        await result
    assert db.total_changes == 0


async def test_result_is_generic_in_annotations(aiosqlite):
    def annotated() -> "aiosqlite.context.Result[aiosqlite.Cursor]":
        raise NotImplementedError

    assert aiosqlite.context.Result[int]
    assert annotated.__annotations__["return"]


# core


CORE_NAMES = [
    "AuthorizerCallback",
    "Connection",
    "Cursor",
    "IsolationLevel",
    "LOG",
    "_STOP_RUNNING_SENTINEL",
    "_connection_worker_thread",
    "connect",
    "set_exception",
    "set_result",
    "sqlite3",
]


@pytest.mark.parametrize("name", CORE_NAMES)
def test_core_has_the_name(aiosqlite, name):
    assert hasattr(aiosqlite.core, name)


def test_core_log_is_the_logger_named_aiosqlite(aiosqlite):
    assert aiosqlite.core.LOG is logging.getLogger("aiosqlite")


async def test_core_settles_futures_that_are_not_done(aiosqlite):
    loop = asyncio.get_running_loop()
    future, failing, cancelled = loop.create_future(), loop.create_future(), loop.create_future()
    aiosqlite.core.set_result(future, 1)
    aiosqlite.core.set_result(future, 2)
    aiosqlite.core.set_exception(failing, LookupError())
    aiosqlite.core.set_exception(failing, ValueError())
    cancelled.cancel()
    aiosqlite.core.set_result(cancelled, 1)
    assert await future == 1
    with pytest.raises(LookupError):
        await failing
    assert cancelled.cancelled()


async def test_core_connect_takes_the_module_that_replaced_sqlite3(aiosqlite, monkeypatch):
    class Driver:
        def __init__(self):
            self.calls = []

        def connect(self, location, **options):
            self.calls.append((location, options))
            return sqlite3.connect(":memory:")

    driver = Driver()
    connection = aiosqlite.connect("encrypted.db", timeout=3)
    monkeypatch.setattr(aiosqlite.core, "sqlite3", driver)
    async with connection as db:
        async with db.execute("select 1") as cursor:
            assert await cursor.fetchone() == (1,)
    assert driver.calls == [("encrypted.db", {"timeout": 3})]


# Foreign connections


class Subclass(sqlite3.Connection):
    """A connection class of a user's own."""


FOREIGN = {
    "connector": lambda aiosqlite: aiosqlite.Connection(lambda: sqlite3.connect(":memory:"), 64),
    "partial": lambda aiosqlite: aiosqlite.Connection(
        functools.partial(sqlite3.connect, ":memory:"), 64
    ),
    "factory": lambda aiosqlite: aiosqlite.connect(":memory:", factory=Subclass),
    "own": lambda aiosqlite: aiosqlite.connect(":memory:"),
}


@pytest.fixture(params=sorted(FOREIGN))
def connection(aiosqlite, request):
    """An unopened connection: csqlite's own, and one over each kind of foreign object."""
    return FOREIGN[request.param](aiosqlite)


async def test_factory_gives_an_object_of_the_class_asked_for(aiosqlite):
    async with aiosqlite.connect(":memory:", factory=Subclass) as db:
        assert isinstance(db._conn, Subclass)
        assert isinstance(db._connection, sqlite3.Connection)


async def test_connector_gives_the_object_that_is_used(aiosqlite):
    made = []

    def connector():
        made.append((sqlite3.connect(":memory:"), threading.get_ident()))
        return made[0][0]

    async with aiosqlite.Connection(connector, 64) as db:
        assert db._conn is made[0][0]
        assert made[0][1] == db._thread.ident != threading.get_ident()
        assert db._connector is connector


async def test_connector_that_raises(aiosqlite):
    def connector():
        raise LookupError("no database today")

    db = aiosqlite.Connection(connector, 64)
    with pytest.raises(LookupError, match=r"no database today"):
        await db
    assert db._running is False
    assert db._connection is None
    await asyncio.to_thread(db._thread.join)


async def test_connection_executes_and_fetches(connection):
    async with connection as db:
        cursor = await db.execute("create table t (a integer primary key, b)")
        assert await cursor.executemany("insert into t values (?, ?)", ROWS) is cursor
        assert cursor.rowcount == 3
        await cursor.execute("insert into t values (:a, :b)", {"a": 4, "b": "four"})
        assert cursor.lastrowid == 4
        assert db.in_transaction
        await db.commit()
        async with db.execute("select a, b from t where a < ?", (4,)) as cursor:
            assert [column[0] for column in cursor.description] == ["a", "b"]
            assert await cursor.fetchone() == ROWS[0]
            assert await cursor.fetchmany(size=1) == [ROWS[1]]
            assert await cursor.fetchall() == [ROWS[2]]
        with pytest.raises(
            sqlite3.ProgrammingError, match=r"(?m)^Cannot operate on a closed cursor\.$"
        ):
            await cursor.fetchone()
        async with db.execute("select a from t") as cursor:
            assert [row async for row in cursor] == [(1,), (2,), (3,), (4,)]
        assert db.total_changes == 4


async def test_connection_shortcuts(connection):
    async with connection as db:
        await db.executescript("create table t (a integer primary key); insert into t values (1);")
        assert await db.execute_insert("insert into t values (?)", (7,)) == (7,)
        assert await db.execute_fetchall("select a from t") == [(1,), (7,)]
        await db.rollback()
        assert await db.execute_fetchall("select a from t") == [(1,)]


async def test_connection_properties(connection):
    async with connection as db:
        assert (db.row_factory, db.text_factory, db.isolation_level) == (None, str, "")
        db.row_factory = sqlite3.Row
        db.text_factory = bytes
        db.isolation_level = "IMMEDIATE"
        assert (db.row_factory, db.text_factory) == (sqlite3.Row, bytes)
        assert db.isolation_level == "IMMEDIATE"
        row = (await db.execute_fetchall("select 'x' as a"))[0]
        assert dict(row) == {"a": b"x"}


async def test_cursor_properties(connection):
    async with connection as db, db.cursor() as cursor:
        cursor.arraysize = 2
        cursor.row_factory = lambda raw, row: [raw.description[0][0], *row]
        await cursor.execute("select 1 as a union select 2 union select 3")
        assert await cursor.fetchmany() == [["a", 1], ["a", 2]]
        assert cursor.rowcount == -1
        assert cursor.connection is not None


async def test_connection_callbacks(connection):
    async with connection as db:
        seen = []
        await db.create_function("twice", 1, lambda number: number * 2, deterministic=True)
        await db.set_trace_callback(seen.append)
        assert await db.execute_fetchall("select twice(4)") == [(8,)]
        assert seen == ["select twice(4)"]
        await db.set_trace_callback(None)
        await db.set_progress_handler(lambda: 1, 1)
        with pytest.raises(sqlite3.OperationalError, match=r"(?m)^interrupted$"):
            await db.execute_fetchall("select twice(4)")
        await db.set_progress_handler(None, 1)
        await db.set_authorizer(lambda *arguments: sqlite3.SQLITE_DENY)
        with pytest.raises(sqlite3.DatabaseError, match=r"(?m)^not authorized$"):
            await db.execute("select 1")


async def test_connection_dump_and_backup(aiosqlite, connection):
    async with connection as db, aiosqlite.connect(":memory:") as target:
        await db.executescript("create table t (a); insert into t values (1);")
        assert [line async for line in db.iterdump()] == [
            "BEGIN TRANSACTION;",
            "CREATE TABLE t (a);",
            'INSERT INTO "t" VALUES(1);',
            "COMMIT;",
        ]
        with closing(sqlite3.connect(":memory:", check_same_thread=False)) as stdlib:
            await db.backup(stdlib)
            assert stdlib.execute("select a from t").fetchall() == [(1,)]
        await db.backup(target)
        assert await target.execute_fetchall("select a from t") == [(1,)]


async def test_connection_is_a_target_of_a_backup(aiosqlite, connection):
    async with connection as target, aiosqlite.connect(":memory:") as db:
        await db.executescript("create table t (a); insert into t values (1);")
        await db.backup(target)
        assert await target.execute_fetchall("select a from t") == [(1,)]


async def test_connection_errors(connection):
    async with connection as db:
        with pytest.raises(sqlite3.OperationalError, match=r"(?m)^no such table: nowhere$"):
            await db.execute("select * from nowhere")
        await db.execute("create table t (a unique)")
        await db.execute("insert into t values (1)")
        with pytest.raises(sqlite3.IntegrityError, match=r"(?m)^UNIQUE constraint failed: t\.a$"):
            await db.execute("insert into t values (1)")
        with pytest.raises(sqlite3.ProgrammingError, match=r"uses 1, and there are 0 supplied"):
            await db.execute("select ?")


async def test_connection_interrupts(connection):
    async with connection as db:
        started = threading.Event()
        await db.create_function("started", 0, lambda: started.set() or 1)
        task = asyncio.ensure_future(
            db.execute_fetchall(
                "with recursive n(i) as (select started() union all select i + 1 from n where i < 30000000)"
                " select count(*) from n"
            )
        )
        await asyncio.to_thread(started.wait, 20)
        await db.interrupt()
        with pytest.raises(sqlite3.OperationalError, match=r"(?m)^interrupted$"):
            await task


async def test_connection_stops(connection):
    db = await connection
    await db.stop()
    assert db._connection is None
    await asyncio.to_thread(db._thread.join)


async def test_connection_concurrent_tasks(connection):
    async with connection as db:
        await db.execute("create table t (a)")
        await asyncio.gather(
            *[db.execute_fetchall("insert into t values (?)", (n,)) for n in range(100)]
        )
        assert await db.execute_fetchall("select a from t") == [(n,) for n in range(100)]


async def test_connection_after_close(connection):
    async with connection as db:
        cursor = await db.execute("select 1")
    with pytest.raises(ValueError, match=r"(?m)^no active connection$"):
        await db.execute("select 1")
    with pytest.raises(ValueError, match=r"(?m)^Connection closed$"):
        await cursor.fetchone()
    assert db._thread.join(20) is None
