"""Hooks: update, in batches too, commit, rollback, WAL and pre-update."""

import asyncio
import collections.abc
import contextvars
import gc
import sqlite3
import threading
import weakref

import pytest
from parity.outcomes import fetchall, outcome, scalar
from unraisable import unraisables

import csqlite

INSERT, UPDATE, DELETE = csqlite.SQLITE_INSERT, csqlite.SQLITE_UPDATE, csqlite.SQLITE_DELETE
BARRED = (sqlite3.ProgrammingError, "The connection cannot be used in a callback of this kind.")
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"
LIMIT = 1024 * 1024


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def needs_preupdate():
    """Return why there are no pre-update hooks; None where there are."""
    async with csqlite.connect(":memory:") as db:
        try:
            await db.set_preupdate_hook(None)
        except sqlite3.NotSupportedError as error:
            return str(error)
    return None


MISSING = asyncio.run(needs_preupdate())


def needs(name):
    """Skip a test of pre-update hooks where SQLite has none."""
    if "preupdate" in name and MISSING:
        pytest.skip(MISSING)


@pytest.fixture
def preupdate():
    needs("preupdate")


async def make(db, columns="a integer primary key, b"):
    await db.execute(f"create table t ({columns})")
    await db.commit()


def collector():
    """Return a list, and a hook that appends its arguments to it as a tuple."""
    seen = []
    return seen, lambda *arguments: seen.append(arguments)


# -- arguments of all of them


SETTERS = {
    "set_update_hook": lambda db, hook: db.set_update_hook(hook),
    "set_commit_hook": lambda db, hook: db.set_commit_hook(hook),
    "set_rollback_hook": lambda db, hook: db.set_rollback_hook(hook),
    "set_wal_hook": lambda db, hook: db.set_wal_hook(hook),
    "set_preupdate_hook": lambda db, hook: db.set_preupdate_hook(hook),
    "set_profile": lambda db, hook: db.set_profile(hook),
    "trace_v2": lambda db, hook: db.trace_v2(csqlite.SQLITE_TRACE_STMT, hook),
    "set_progress_handler": lambda db, hook: db.set_progress_handler(hook, 10, id=1),
}


@pytest.fixture(params=["update", "preupdate", "commit", "rollback"])
def kind(request):
    """One of the hooks in which the connection cannot be used."""
    needs(request.param)
    return request.param


@pytest.fixture(params=SETTERS)
def setter(request):
    needs(request.param)
    return SETTERS[request.param]


async def test_setting_and_removing_give_none(db, setter):
    assert await setter(db, lambda *arguments: None) is None
    assert await setter(db, None) is None
    assert await setter(db, None) is None
    assert await scalar(db, "select 1") == 1


@pytest.mark.parametrize("wrong", [5, "hook", object()])
async def test_what_cannot_be_called_is_refused(db, setter, wrong):
    with pytest.raises(TypeError, match="(?m)^parameter must be callable$"):
        await setter(db, wrong)


@pytest.mark.parametrize("name", [name for name in SETTERS if name != "set_progress_handler"])
async def test_number_and_names_of_arguments(db, name):
    needs(name)
    method = getattr(db, name)
    with pytest.raises(TypeError):
        method()
    with pytest.raises(TypeError):
        method(print, print, print)
    with pytest.raises(TypeError):
        method(print, wrong=1)


async def test_closed_connection(setter):
    db = await csqlite.connect(":memory:")
    await db.close()
    with pytest.raises(ValueError, match="(?m)^no active connection$"):
        await setter(db, print)


@pytest.mark.parametrize("name", [*SETTERS, "wal_autocheckpoint"])
async def test_connection_of_another_module(name):
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        if name == "set_progress_handler":
            with pytest.raises(TypeError):
                await SETTERS[name](db, print)
            return
        with pytest.raises(
            sqlite3.NotSupportedError,
            match=rf"(?m)^{name}\(\) needs csqlite's own connection, not sqlite3\.Connection$",
        ):
            await getattr(db, name)(print)


async def test_method_that_the_other_module_has_is_called():
    class Other(sqlite3.Connection):
        def set_update_hook(self, callback):
            return ("hook", callback)

    async with csqlite.Connection(lambda: Other(":memory:"), 64) as db:
        assert await db.set_update_hook(print) == ("hook", print)


async def test_hooks_are_freed_when_they_are_replaced_and_when_the_connection_is_closed(setter):
    class Hook:
        def __call__(self, *arguments):
            pass

    async with csqlite.connect(":memory:") as db:
        first, second = Hook(), Hook()
        seen = [weakref.ref(first), weakref.ref(second)]
        await setter(db, first)
        del first
        gc.collect()
        assert seen[0]() is not None
        await setter(db, second)
        gc.collect()
        assert seen[0]() is None
        del second
    gc.collect()
    assert seen[1]() is None


REPLACED = {
    **SETTERS,
    "set_trace_callback": lambda db, hook: db.set_trace_callback(hook),
    "set_authorizer": lambda db, hook: db.set_authorizer(hook),
    "plain set_progress_handler": lambda db, hook: db.set_progress_handler(hook, 10),
}


@pytest.mark.parametrize("name", REPLACED)
async def test_end_of_a_hook_that_sets_another(db, name):
    needs(name)
    ends = []
    refused = []

    class Hook:
        def __call__(self, *arguments):
            return 0

        def __del__(self):
            ends.append(1)
            try:
                db._run(REPLACED[name](db, None))
            except sqlite3.ProgrammingError as error:
                refused.append(str(error))

    def work():
        db._run(REPLACED[name](db, Hook()))
        db._run(REPLACED[name](db, Hook()))
        db._run(REPLACED[name](db, None))

    await db._execute(work)
    assert len(ends) == 2
    # Setting a WAL hook asks the database.
    assert refused == ([BARRED[1]] * 2 if name == "set_wal_hook" else [])
    assert await scalar(db, "select 1") == 1


# -- update hooks


async def test_update_hook_hears_of_each_row(db):
    await make(db)
    seen, hook = collector()
    await db.set_update_hook(hook)
    await db.execute("insert into t values (5, 'a'), (-7, 'b')")
    await db.execute("update t set b = 'c' where a = 5")
    await db.execute("update t set a = 6 where a = 5")
    await db.execute("delete from t where a = 6")
    assert seen == [
        (INSERT, "main", "t", 5),
        (INSERT, "main", "t", -7),
        (UPDATE, "main", "t", 5),
        (UPDATE, "main", "t", 6),
        (DELETE, "main", "t", 6),
    ]


async def test_update_hook_knows_the_schema_and_odd_names(db):
    seen, hook = collector()
    await db.execute("attach ':memory:' as 'the other'")
    await db.execute("create table 'the other'.'tâble \"1\"' (a)")
    await db.execute("create temp table u (a)")
    await db.set_update_hook(hook)
    await db.execute('insert into "tâble ""1""" values (1)')
    await db.execute("insert into u values (1)")
    assert seen == [(INSERT, "the other", 'tâble "1"', 1), (INSERT, "temp", "u", 1)]


async def test_update_hook_hears_of_triggers(db):
    await db.executescript(
        "create table t (a); create table u (a);"
        "create trigger tr after insert on t begin insert into u values (new.a); end"
    )
    seen, hook = collector()
    await db.set_update_hook(hook)
    await db.execute("insert into t values (1)")
    assert seen == [(INSERT, "main", "t", 1), (INSERT, "main", "u", 1)]


async def test_what_sqlite_does_not_tell_an_update_hook(db):
    await make(db)
    await db.execute("create table w (a primary key) without rowid")
    await db.execute("insert into t values (1, 2), (2, 3)")
    seen, hook = collector()
    await db.set_update_hook(hook)
    await db.execute("insert into w values (1)")
    await db.execute("replace into t values (1, 5)")
    await db.execute("delete from t")
    assert seen == [(INSERT, "main", "t", 1)]


async def test_update_hook_is_replaced_and_removed(db):
    await make(db)
    first, hook = collector()
    second, other = collector()
    await db.set_update_hook(hook)
    await db.execute("insert into t values (1, 1)")
    await db.set_update_hook(other)
    await db.execute("insert into t values (2, 1)")
    await db.set_update_hook(None)
    await db.execute("insert into t values (3, 1)")
    assert (first, second) == ([(INSERT, "main", "t", 1)], [(INSERT, "main", "t", 2)])


async def test_update_hook_that_raises_changes_nothing_else(db):
    def hook(*arguments):
        raise LookupError(arguments[3])

    await make(db)
    await db.set_update_hook(hook)
    with unraisables() as seen:
        await db.execute("insert into t values (1, 1), (2, 2)")
        await db.commit()
    assert [(type(error), error.args, where) for error, where in seen] == [
        (LookupError, (1,), hook),
        (LookupError, (2,), hook),
    ]
    assert await fetchall(db, "select a from t") == [(1,), (2,)]


async def test_hook_of_other_arguments_is_reported(db):
    await make(db)
    await db.set_update_hook(lambda: None)
    with unraisables() as seen:
        await db.execute("insert into t values (1, 1)")
    assert [type(error) for error, _ in seen] == [TypeError]


async def test_hooks_run_on_the_worker_in_the_context_of_the_task(db):
    where = contextvars.ContextVar("where", default="nowhere")
    seen = {}

    def hook(name):
        return lambda *arguments: (
            seen.setdefault(name, (threading.get_ident(), where.get())) and None
        )

    await make(db)
    await db.set_update_hook(hook("update"))
    if not MISSING:
        await db.set_preupdate_hook(hook("preupdate"))
    await db.set_commit_hook(hook("commit"))
    await db.set_rollback_hook(hook("rollback"))
    await db.trace_v2(csqlite.SQLITE_TRACE_STMT, hook("trace"))
    await db.set_profile(hook("profile"))
    await db.set_progress_handler(hook("progress"), 1, id=1)

    async def work():
        where.set("task")
        await db.execute("insert into t values (1, 1)")
        await db.rollback()
        await db.execute("insert into t values (1, 1)")
        await db.commit()

    worker = await db._execute(threading.get_ident)
    await asyncio.create_task(work())
    names = ["update", "commit", "rollback", "trace", "profile", "progress"]
    names += [] if MISSING else ["preupdate"]
    assert seen == dict.fromkeys(names, (worker, "task"))


async def test_batched_hook_runs_in_the_context_of_the_task_that_commits(db):
    where = contextvars.ContextVar("where", default="nowhere")
    seen = []
    await make(db)
    await db.set_update_hook(lambda changes: seen.append(where.get()), batch=True)

    async def run(name, *coroutines):
        where.set(name)
        for coroutine in coroutines:
            await coroutine

    await asyncio.create_task(run("writer", db.execute("insert into t values (1, 1)")))
    await asyncio.create_task(run("committer", db.commit()))
    assert seen == ["committer"]


# What a hook may try with its own connection while SQLite is in the middle of it.
TRIES = {
    "execute": lambda db: db._conn.execute("select 1"),
    "script": lambda db: db._conn.executescript("select 1"),
    "commit": lambda db: db._conn.commit(),
    "rollback": lambda db: db._conn.rollback(),
    "dump": lambda db: list(db._conn.iterdump()),
    "set_wal_hook": lambda db: db._run(db.set_wal_hook(None)),
    "wal_checkpoint": lambda db: db._run(db.wal_checkpoint()),
    "cacheflush": lambda db: db._run(db.cacheflush()),
    "file_control": lambda db: db._run(db.file_control(csqlite.SQLITE_FCNTL_RESET_CACHE)),
    "describe": lambda db: db._run(db._describe("select 1", False)),
    "expand": lambda db: db._run(db._expand("select 1", ())),
}


@pytest.mark.parametrize("attempt", TRIES)
async def test_hook_cannot_use_its_connection(db, kind, attempt):
    seen = []

    def hook(*arguments):
        try:
            TRIES[attempt](db)
        except Exception as error:
            seen.append((type(error), str(error)))

    await make(db)
    await getattr(db, f"set_{kind}_hook")(hook)
    await db.execute("insert into t values (1, 1)")
    await (db.rollback() if kind == "rollback" else db.commit())
    assert seen == [BARRED]
    await getattr(db, f"set_{kind}_hook")(None)
    await db.execute("insert into t values (2, 1)")
    assert await scalar(db, "select count(*) from t") == 1 + (kind != "rollback")


async def test_hook_that_closes_its_connection(db, kind):
    """It is refused; the statement completes, and the connection stays open."""
    seen = []

    def hook(*arguments):
        try:
            db._conn.close()
        except Exception as error:
            seen.append((type(error), str(error)))

    await make(db)
    await getattr(db, f"set_{kind}_hook")(hook)
    if kind in ("commit", "rollback"):
        end = "commit" if kind == "commit" else "rollback"
        await db.executescript(f"begin; insert into t values (1, 1); {end}")
    else:
        await db.execute("insert into t values (1, 1)")
    assert seen == [(sqlite3.ProgrammingError, "Recursive use of cursors not allowed.")]
    assert await scalar(db, "select 1") == 1


async def test_hook_cannot_step_a_cursor_that_is_open(db):
    await make(db)
    seen = []
    cursor = await db.execute(NUMBERS.format(1000))

    def hook(*arguments):
        for call in (cursor._cursor.fetchall, cursor._cursor.close):
            try:
                call()
            except Exception as error:
                seen.append((type(error), str(error)))

    await db.set_update_hook(hook)
    await db.execute("insert into t values (1, 1)")
    assert seen == [BARRED, BARRED]


async def test_reset_in_a_hook_is_refused(db):
    await make(db)
    seen = []

    def hook(*arguments):
        try:
            db._run(db.reset())
        except sqlite3.ProgrammingError as error:
            seen.append(str(error))

    await db.set_update_hook(hook)
    await db.execute("insert into t values (1, 1)")
    assert seen == [BARRED[1]]


async def test_hook_may_remove_and_replace_itself(db, kind):
    seen = []

    def first(*arguments):
        seen.append("first")
        db._run(set_hook(None))
        db._run(set_hook(second))

    def second(*arguments):
        seen.append("second")
        db._run(set_hook(None))

    set_hook = getattr(db, f"set_{kind}_hook")
    await make(db)
    await set_hook(first)
    for number in range(3):
        await db.execute("insert into t values (?, 1)", (number,))
        await (db.rollback() if kind == "rollback" else db.commit())
    # SQLite calls the new one no sooner than for the next event; ours, when they are several.
    assert seen == ["first", "second"]


async def test_closing_the_connection_behind_a_statement_whose_hook_runs(db):
    entered, release = threading.Event(), threading.Event()

    def hook(*arguments):
        entered.set()
        release.wait(20)

    await make(db)
    await db.set_update_hook(hook)
    task = asyncio.ensure_future(db.execute("insert into t values (1, 1)"))
    await asyncio.to_thread(entered.wait, 20)
    closing = asyncio.ensure_future(db.close())
    await asyncio.sleep(0)
    release.set()
    await task
    await closing


# -- update hooks in batches


async def batched(db):
    """Make a table and a batched hook; return the list of lists of its changes."""
    await make(db)
    seen = []
    await db.set_update_hook(lambda changes: seen.append(list(changes)), batch=True)
    return seen


def inserts(*rowids):
    return [(INSERT, "main", "t", rowid) for rowid in rowids]


async def test_batch_is_told_once_the_transaction_is_committed(db):
    seen = await batched(db)
    await db.execute("insert into t values (1, 1)")
    await db.execute("update t set b = 2")
    assert seen == []
    await db.commit()
    assert seen == [[*inserts(1), (UPDATE, "main", "t", 1)]]
    await db.commit()
    assert len(seen) == 1


async def test_batch_forgets_what_is_rolled_back(db):
    seen = await batched(db)
    await db.execute("insert into t values (1, 1)")
    await db.rollback()
    await db.execute("insert into t values (2, 1)")
    await db.commit()
    assert seen == [inserts(2)]


@pytest.mark.parametrize("options", [{"isolation_level": None}, {"autocommit": True}])
async def test_batch_of_statements_that_commit_by_themselves(options):
    async with csqlite.connect(":memory:", **options) as db:
        seen = await batched(db)
        await db.execute("insert into t values (1, 1), (2, 2)")
        assert seen == [inserts(1, 2)]
        await db.executemany("insert into t values (?, 1)", [(number,) for number in (3, 4, 5)])
        assert seen[1:] == [inserts(3, 4, 5)]
        with pytest.raises(sqlite3.IntegrityError):
            await db.execute("insert into t values (6, 1), (1, 1)")
        assert len(seen) == 2
        # Rows before the one that fails have been committed.
        with pytest.raises(sqlite3.IntegrityError):
            await db.executemany("insert into t values (?, 1)", [(7,), (8,), (1,), (9,)])
        assert seen[2:] == [inserts(7, 8)]


async def test_batch_without_autocommit():
    async with csqlite.connect(":memory:", autocommit=False) as db:
        seen = await batched(db)
        await db.execute("insert into t values (1, 1)")
        await db.rollback()
        await db.execute("insert into t values (2, 1)")
        await db.commit()
        assert seen == [inserts(2)]


async def test_batch_of_a_script(db):
    seen = await batched(db)
    await db.executescript(
        "insert into t values (1, 1);"
        "begin; insert into t values (2, 1); rollback;"
        "begin; insert into t values (3, 1); commit;"
        "begin; insert into t values (4, 1)"
    )
    # What is committed is told when no transaction is open.
    assert seen == []
    await db.rollback()
    assert seen == [inserts(1, 3)]


async def test_batch_of_what_a_script_commits_before_it_fails(db):
    seen = await batched(db)
    await db.execute("insert into t values (1, 1)")
    with pytest.raises(sqlite3.IntegrityError):
        await db.executescript("insert into t values (2, 1), (1, 1)")
    assert seen == [inserts(1)]


async def test_batch_of_a_script_that_fails(db):
    seen = await batched(db)
    with pytest.raises(sqlite3.IntegrityError):
        await db.executescript("insert into t values (1, 1); insert into t values (2, 1), (1, 1)")
    assert seen == [inserts(1)]


async def test_batch_has_what_was_undone_within_the_transaction(db):
    seen = await batched(db)
    await db.executescript("begin; savepoint s; insert into t values (1, 1); rollback to s")
    with pytest.raises(sqlite3.IntegrityError):
        await db.execute("insert into t values (2, 1), (2, 2)")
    await db.execute("insert into t values (3, 1)")
    await db.commit()
    assert seen == [inserts(1, 2, 3)]
    assert await fetchall(db, "select a from t") == [(3,)]


async def test_batch_of_a_statement_that_ends_when_its_cursor_does():
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        seen = await batched(db)
        cursor = await db.execute(f"insert into t (a) {NUMBERS.format(500)} returning a")
        assert await cursor.fetchone() == (1,)
        assert seen == []
        await cursor.close()
        assert seen == [inserts(*range(1, 501))]


async def test_batch_of_a_statement_that_ends_when_the_connection_does():
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        seen = await batched(db)
        cursor = await db.execute(f"insert into t (a) {NUMBERS.format(500)} returning a")
        assert await cursor.fetchone() == (1,)
    assert seen == [inserts(*range(1, 501))]


async def test_batch_of_what_was_committed_before_a_transaction_that_closing_ends(path):
    async with csqlite.connect(path) as db:
        seen = await batched(db)
        await db.executescript("insert into t values (1, 1); begin; insert into t values (2, 1)")
        assert seen == []
    assert seen == [inserts(1)]


async def test_batch_that_is_told_while_the_connection_closes_may_use_it(path):
    seen = []

    def hook(changes):
        cursor = db._conn.execute(NUMBERS.format(1000))
        seen.append((len(changes), cursor.fetchone()))
        keep.append(cursor)

    keep = []
    async with csqlite.connect(path, isolation_level=None) as db:
        await make(db)
        await db.set_update_hook(hook, batch=True)
        cursor = await db.execute(f"insert into t (a) {NUMBERS.format(500)} returning a")
        assert await cursor.fetchone() == (1,)
    assert seen == [(500, (1,))]


async def test_batch_when_a_commit_fails(path):
    async with csqlite.connect(path, timeout=0) as db, csqlite.connect(path) as reader:
        seen = await batched(db)
        await reader.execute("begin")
        await reader.execute_fetchall("select * from t")
        await db.execute("insert into t values (1, 1)")
        with pytest.raises(sqlite3.OperationalError, match="(?m)^database is locked$"):
            await db.commit()
        assert seen == []
        await reader.rollback()
        await db.commit()
        assert seen == [inserts(1)]


async def test_batch_when_a_commit_hook_says_no(db):
    seen = await batched(db)
    await db.set_commit_hook(lambda: True)
    await db.execute("insert into t values (1, 1)")
    with pytest.raises(sqlite3.IntegrityError):
        await db.commit()
    await db.set_commit_hook(None)
    await db.execute("insert into t values (2, 1)")
    await db.commit()
    assert seen == [inserts(2)]


async def test_batch_of_a_write_within_a_query(db):
    """A function that writes, called by a query: told when the query is done."""
    seen = await batched(db)
    db.isolation_level = None
    await db.create_function(
        "write", 1, lambda a: db._conn.execute(f"insert into t values ({a}, 1)") and a
    )
    assert await fetchall(db, "select write(1), write(2)") == [(1, 2)]
    assert seen == [inserts(1, 2)]


async def test_batch_that_is_closed_or_replaced_before_the_commit_is_not_told(db):
    seen = await batched(db)
    await db.execute("insert into t values (1, 1)")
    later = []
    await db.set_update_hook(lambda changes: later.append(list(changes)), batch=True)
    await db.execute("insert into t values (2, 1)")
    await db.commit()
    assert (seen, later) == ([], [inserts(2)])
    await db.execute("insert into t values (3, 1)")
    await db.close()
    assert len(later) == 1
    # Closed in the body of the test and by the fixture: the second time does nothing.


async def test_single_and_batched_hook_replace_each_other(db):
    seen = await batched(db)
    single, hook = collector()
    await db.set_update_hook(hook)
    await db.execute("insert into t values (1, 1)")
    await db.commit()
    await db.set_update_hook(lambda changes: seen.append(list(changes)), batch=True)
    await db.execute("insert into t values (2, 1)")
    await db.commit()
    assert (single, seen) == (inserts(1), [inserts(2)])


async def test_batch_of_several_tables(db):
    await db.executescript(
        "create table t (a); create table u (a); create temp table t2 (a);"
        "create trigger tr after insert on t begin insert into u values (new.a); end"
    )
    seen = []
    await db.set_update_hook(seen.append, batch=True)
    await db.executemany("insert into t values (?)", [(number,) for number in range(3)])
    await db.execute("insert into t2 values (1)")
    await db.commit()
    (changes,) = seen
    assert list(changes) == [
        *((INSERT, "main", table, rowid) for rowid in (1, 2, 3) for table in ("t", "u")),
        (INSERT, "temp", "t2", 1),
    ]
    assert changes.tables == (("main", "t"), ("main", "u"), ("temp", "t2"))


async def test_batched_hook_that_raises(db):
    def hook(changes):
        raise LookupError(len(changes))

    await make(db)
    await db.set_update_hook(hook, batch=True)
    await db.execute("insert into t values (1, 1)")
    with unraisables() as seen:
        await db.commit()
    assert [(type(error), error.args, where) for error, where in seen] == [
        (LookupError, (1,), hook)
    ]
    assert not db.in_transaction
    assert await scalar(db, "select count(*) from t") == 1


async def test_batched_hook_may_write_and_does_not_hear_of_it(db):
    calls = []

    def hook(changes):
        calls.append(list(changes))
        db._conn.execute("insert into log select count(*) from t")
        db._conn.commit()

    await make(db)
    await db.execute("create table log (a)")
    await db.set_update_hook(hook, batch=True)
    await db.execute("insert into t values (1, 1)")
    await db.commit()
    await db.execute("insert into t values (2, 1)")
    await db.commit()
    assert calls == [inserts(1), inserts(2)]
    assert await fetchall(db, "select a from log") == [(1,), (2,)]


async def test_batched_hook_may_remove_itself(db):
    calls = []

    def hook(changes):
        calls.append(list(changes))
        db._run(db.set_update_hook(None))

    await make(db)
    await db.set_update_hook(hook, batch=True)
    for number in (1, 2):
        await db.execute("insert into t values (?, 1)", (number,))
        await db.commit()
    assert calls == [inserts(1)]


async def test_changes_are_a_sequence(db):
    await make(db)
    seen = []
    await db.set_update_hook(seen.append, batch=True)
    await db.executemany("insert into t values (?, 1)", [(number,) for number in range(1, 11)])
    await db.commit()
    (changes,) = seen
    whole = inserts(*range(1, 11))
    assert type(changes) is csqlite.hooks.Changes
    assert len(changes) == 10
    assert list(changes) == whole == list(changes)
    assert list(reversed(changes)) == whole[::-1]
    assert isinstance(changes, collections.abc.Iterable)
    assert changes[0] == whole[0]
    assert changes[-1] == whole[-1]
    assert whole[3] in changes
    assert (INSERT, "main", "u", 1) not in changes
    for part in (slice(None), slice(2, 5), slice(-3, None), slice(None, None, -2), slice(20, 30)):
        assert changes[part] == whole[part]
    for index in (10, -11, 2**70):
        with pytest.raises(IndexError):
            changes[index]
    with pytest.raises(TypeError):
        changes["0"]
    with pytest.raises(TypeError):
        changes[0] = 1
    with pytest.raises((AttributeError, TypeError)):
        changes.tables = ()
    with pytest.raises(TypeError):
        csqlite.hooks.Changes()
    assert repr(changes) == "<csqlite.hooks.Changes of length 10, (('main', 't'),)>"


async def test_changes_may_be_kept_and_used_elsewhere(path):
    seen = []
    async with csqlite.connect(path) as db:
        await make(db)
        await db.set_update_hook(seen.append, batch=True)
        await db.execute("insert into t values (1, 1)")
        await db.commit()
    (changes,) = seen
    assert await asyncio.to_thread(list, changes) == inserts(1)


async def test_more_changes_than_are_remembered(db):
    await make(db)
    await db.execute("create table u (a)")
    seen = []
    await db.set_update_hook(seen.append, batch=True)
    await db.execute(f"insert into t (a) {NUMBERS.format(LIMIT + 5)}")
    await db.execute("update t set b = 1 where a < 3")
    await db.execute("insert into u values (1)")
    await db.commit()
    (changes,) = seen
    assert len(changes) == LIMIT + 3
    assert changes[0] == (INSERT, "main", "t", 1)
    assert changes[LIMIT - 1] == (INSERT, "main", "t", LIMIT)
    assert changes[LIMIT:] == [
        (INSERT, "main", "t", None),
        (UPDATE, "main", "t", None),
        (INSERT, "main", "u", None),
    ]
    assert changes.tables == (("main", "t"), ("main", "u"))


# -- commit and rollback hooks


async def test_commit_hook_is_called_for_each_commit(db):
    await make(db)
    calls = []
    await db.set_commit_hook(lambda: calls.append("commit"))
    await db.execute("insert into t values (1, 1)")
    assert calls == []
    await db.commit()
    assert calls == ["commit"]
    await db.commit()
    await fetchall(db, "select * from t")
    assert calls == ["commit"]
    await db.executescript("insert into t values (2, 1); insert into t values (3, 1)")
    assert calls == ["commit"] * 3
    await db.set_commit_hook(None)
    await db.executescript("insert into t values (4, 1)")
    assert calls == ["commit"] * 3


@pytest.mark.parametrize("answer", [True, 1, "yes", [0]])
async def test_commit_hook_that_says_no_rolls_back(db, answer):
    await make(db)
    rolled = []
    await db.set_rollback_hook(lambda: rolled.append(1))
    await db.set_commit_hook(lambda: answer)
    await db.execute("insert into t values (1, 1)")
    with pytest.raises(sqlite3.IntegrityError, match="(?m)^constraint failed$") as caught:
        await db.commit()
    assert caught.value.sqlite_errorname == "SQLITE_CONSTRAINT_COMMITHOOK"
    assert not db.in_transaction
    assert rolled == [1]
    await db.set_commit_hook(None)
    assert await fetchall(db, "select * from t") == []


@pytest.mark.parametrize("answer", [False, 0, None, ""])
async def test_commit_hook_that_says_nothing_lets_it_commit(db, answer):
    await make(db)
    await db.set_commit_hook(lambda: answer)
    await db.execute("insert into t values (1, 1)")
    await db.commit()
    await db.rollback()
    assert await scalar(db, "select count(*) from t") == 1


class NoTruth:
    def __bool__(self):
        raise LookupError("no truth")


@pytest.mark.parametrize("result", [LookupError("inside"), NoTruth()], ids=["raise", "bool"])
async def test_commit_hook_that_raises_rolls_back(db, result):
    def hook():
        if isinstance(result, Exception):
            raise result
        return result

    await make(db)
    await db.set_commit_hook(hook)
    await db.execute("insert into t values (1, 1)")
    with unraisables() as seen:
        with pytest.raises(sqlite3.IntegrityError, match="(?m)^constraint failed$"):
            await db.commit()
    assert [(type(error), where) for error, where in seen] == [(LookupError, hook)]
    assert not db.in_transaction


async def test_several_commit_hooks_are_asked_in_order_until_one_says_no(db):
    await make(db)
    calls = []
    answers = {"one": False, "two": False, None: False}

    def hook(name):
        return lambda: calls.append(name) or answers[name]

    for name in ("one", None, "two"):
        await db.set_commit_hook(hook(name), id=name)
    await db.executescript("insert into t values (1, 1)")
    assert calls == ["one", None, "two"]
    answers[None] = True
    calls.clear()
    with pytest.raises(sqlite3.IntegrityError):
        await db.executescript("insert into t values (2, 1)")
    assert calls == ["one", None]
    calls.clear()
    await db.set_commit_hook(None, id="one")
    await db.set_commit_hook(None)
    await db.set_commit_hook(None, id="never set")
    await db.executescript("insert into t values (2, 1)")
    assert calls == ["two"]
    await db.set_commit_hook(hook("one"), id="two")
    await db.executescript("insert into t values (3, 1)")
    assert calls == ["two", "one"]


@pytest.mark.parametrize(("one", "same"), [(1, 1.0), ((1, "a"), (1, "a")), ([], [])])
async def test_ids_are_compared_as_equal(db, one, same):
    await make(db)
    calls = []
    await db.set_commit_hook(lambda: calls.append(1), id=one)
    await db.set_commit_hook(lambda: calls.append(2), id=same)
    await db.executescript("insert into t values (1, 1)")
    assert calls == [2]


class Id:
    def __init__(self, compare):
        self.compare = compare

    def __eq__(self, other):
        return self.compare(other)

    __hash__ = None


async def test_id_that_cannot_be_compared(db):
    def compare(other):
        raise LookupError("compare")

    await make(db)
    calls = []
    await db.set_commit_hook(lambda: calls.append(1), id=Id(compare))
    assert await outcome(db.set_commit_hook(print, id=2)) == (LookupError, "compare")
    await db.executescript("insert into t values (1, 1)")
    assert calls == [1]


async def test_id_whose_comparison_sets_and_removes_hooks(db):
    """What the comparison removes is gone; what it sets stays."""
    await make(db)
    calls = []
    ids = []

    def compare(other):
        for id in ids:
            id.compare = lambda other, id=id: other is id
        for id in ids:
            db._run(db.set_commit_hook(None, id=id))
        db._run(db.set_commit_hook(lambda: calls.append("set within"), id="within"))
        return True

    ids += [Id(compare), Id(lambda other: False)]
    for number, id in enumerate(ids):
        await db.set_commit_hook(lambda number=number: calls.append(number), id=id)
    await db.set_commit_hook(lambda: calls.append("last"), id="last")
    await db.executescript("insert into t values (1, 1)")
    assert calls == ["set within", 1, "last"]


async def test_rollback_hook(db):
    await make(db)
    calls = []
    await db.set_rollback_hook(lambda: calls.append("a"))
    await db.set_rollback_hook(lambda: calls.append("b"), id="b")
    await db.execute("insert into t values (1, 1)")
    await db.rollback()
    assert calls == ["a", "b"]
    await db.rollback()
    assert calls == ["a", "b"]
    await db.set_rollback_hook(None)
    with pytest.raises(sqlite3.IntegrityError):
        await db.executescript("insert into t values (1, 1), (1, 1)")
    assert calls == ["a", "b", "b"]
    await db.executescript("begin; savepoint s; insert into t values (1, 1); rollback to s; commit")
    await db.execute("insert into t values (2, 1)")
    await db.close()
    assert calls == ["a", "b", "b"]


async def test_rollback_hook_that_raises(db):
    def hook():
        raise LookupError

    await make(db)
    await db.set_rollback_hook(hook)
    await db.execute("insert into t values (1, 1)")
    with unraisables() as seen:
        await db.rollback()
    assert [(type(error), where) for error, where in seen] == [(LookupError, hook)]
    assert not db.in_transaction


async def test_hooks_of_two_connections_are_apart(path):
    calls = []
    async with csqlite.connect(path) as one, csqlite.connect(path) as two:
        await make(one)
        await one.set_commit_hook(lambda: calls.append("one"))
        await two.set_commit_hook(lambda: calls.append("two"))
        await two.executescript("insert into t values (1, 1)")
        await one.executescript("insert into t values (2, 1)")
    assert calls == ["two", "one"]


# -- WAL hooks


@pytest.fixture
def wal(path):
    """A connection to a database in WAL mode with a table, from which nothing is checkpointed."""

    class Wal(csqlite.Connection):
        async def __aenter__(self):
            await super().__aenter__()
            await self.execute_fetchall("pragma journal_mode = wal")
            await make(self)
            await self.execute_fetchall("pragma wal_checkpoint(truncate)")
            return self

    opened = csqlite.connect(path)
    return Wal(opened._connector, 64)


async def test_wal_hook_hears_of_each_commit(wal):
    async with wal as db:
        seen, hook = collector()
        await db.set_wal_hook(hook)
        await db.execute("insert into t values (1, 1)")
        assert seen == []
        await db.commit()
        await db.execute("insert into t values (2, zeroblob(20000))")
        await db.commit()
        assert [name for name, _ in seen] == ["main", "main"]
        assert 0 < seen[0][1] < seen[1][1]
        await db.set_wal_hook(None)
        await db.executescript("insert into t values (3, 1)")
        assert len(seen) == 2


@pytest.mark.parametrize("answer", [None, 0])
async def test_answer_of_a_wal_hook(wal, answer):
    async with wal as db:
        await db.set_wal_hook(lambda name, pages: answer)
        await db.executescript("insert into t values (1, 1)")
        assert await scalar(db, "select count(*) from t") == 1


async def test_error_code_of_a_wal_hook_is_raised_though_all_is_committed(wal):
    async with wal as db:
        await db.set_wal_hook(lambda name, pages: csqlite._csqlite.SQLITE_IOERR)
        await db.execute("insert into t values (1, 1)")
        with pytest.raises(sqlite3.OperationalError, match="(?m)^SQL logic error$"):
            await db.commit()
        await db.set_wal_hook(None)
        assert not db.in_transaction
        assert await scalar(db, "select count(*) from t") == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (LookupError("inside"), LookupError),
        ("text", TypeError),
        (100, ValueError),
        (101, ValueError),
        (-1, ValueError),
        (12345, ValueError),
        (2**80, OverflowError),
    ],
)
async def test_wal_hook_that_raises_or_answers_nonsense_is_reported(wal, answer, error):
    def hook(name, pages):
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with wal as db:
        await db.set_wal_hook(hook)
        with unraisables() as seen:
            await db.executescript("insert into t values (1, 1)")
        assert [(type(value), where) for value, where in seen] == [(error, hook)]
        assert await scalar(db, "select count(*) from t") == 1


async def test_wal_hook_may_use_its_connection(wal):
    counts = []

    async with wal as db:

        def hook(name, pages):
            counts.append(db._conn.execute("select count(*) from t").fetchone()[0])
            counts.append(db._run(db.wal_checkpoint()))

        await db.set_wal_hook(hook)
        await db.executescript("insert into t values (1, 1)")
    assert counts[0] == 1
    assert counts[1][0] == counts[1][1] > 0


async def checkpointed(db, path):
    """Commit 40 pages; return whether they have come into the database file."""
    before = path.stat().st_size
    await db.execute("insert into t (b) values (zeroblob(160000))")
    await db.commit()
    return path.stat().st_size > before


async def test_automatic_checkpoints_go_on_beside_a_wal_hook(wal, path):
    async with wal as db:
        await db.wal_autocheckpoint(10)
        assert await checkpointed(db, path)
        await db.set_wal_hook(lambda name, pages: None)
        assert await checkpointed(db, path)
        await db.wal_autocheckpoint(0)
        assert not await checkpointed(db, path)
        await db.set_wal_hook(None)
        assert not await checkpointed(db, path)
        await db.wal_autocheckpoint(10)
        assert await checkpointed(db, path)


async def test_checkpoint_that_a_pragma_asks_for_is_kept(wal, path):
    async with wal as db:
        calls, hook = collector()
        await db.execute_fetchall("pragma wal_autocheckpoint = 10")
        await db.set_wal_hook(hook)
        assert await checkpointed(db, path)
        assert len(calls) == 1
        # The pragma puts SQLite's own hook in the place of ours.
        await db.execute_fetchall("pragma wal_autocheckpoint = 100000")
        assert not await checkpointed(db, path)
        assert len(calls) == 1
        await db.set_wal_hook(hook)
        assert not await checkpointed(db, path)
        assert len(calls) == 2
        await db.set_wal_hook(None)
        assert await scalar(db, "pragma wal_autocheckpoint") == 100000


async def test_default_of_the_automatic_checkpoint_is_kept(wal):
    async with wal as db:
        await db.set_wal_hook(lambda name, pages: None)
        await db.set_wal_hook(None)
        assert await scalar(db, "pragma wal_autocheckpoint") == 1000


async def test_wal_autocheckpoint_of_odd_numbers(db):
    for number in (-1, 0, 10**20, -(10**20)):
        assert await db.wal_autocheckpoint(number) is None
    for wrong in ("1", None, 1.5):
        with pytest.raises(TypeError):
            await db.wal_autocheckpoint(wrong)
    with pytest.raises(TypeError):
        db.wal_autocheckpoint()


# -- pre-update hooks


@pytest.mark.skipif(not MISSING, reason="SQLite has pre-update hooks")
async def test_preupdate_hook_where_sqlite_has_none(db):
    with pytest.raises(
        sqlite3.NotSupportedError,
        match=r"(?m)^set_preupdate_hook\(\) needs SQLite built with SQLITE_ENABLE_PREUPDATE_HOOK$",
    ):
        await db.set_preupdate_hook(print)


async def test_preupdate_hook_has_the_values(db, preupdate):
    await make(db)
    seen = []
    await db.set_preupdate_hook(seen.append)
    await db.execute("insert into t values (1, 'one')")
    await db.execute("update t set b = x'00ff' where a = 1")
    await db.execute("update t set a = 2, b = null")
    await db.execute("delete from t where a = 2")
    names = ("op", "opcode", "database_name", "table_name", "rowid", "rowid_new", "old", "new")
    assert [tuple(getattr(change, name) for name in names) for change in seen] == [
        ("INSERT", INSERT, "main", "t", 1, 1, None, (1, "one")),
        ("UPDATE", UPDATE, "main", "t", 1, 1, (1, "one"), (1, b"\0\xff")),
        ("UPDATE", UPDATE, "main", "t", 1, 2, (1, b"\0\xff"), (2, None)),
        ("DELETE", DELETE, "main", "t", 2, 2, (2, None), None),
    ]
    assert {(change.depth, change.blob_write) for change in seen} == {(0, -1)}


async def test_preupdate_hook_comes_before_the_change(db, preupdate):
    await make(db)
    order = []
    await db.set_preupdate_hook(lambda change: order.append("before"))
    await db.set_update_hook(lambda *change: order.append("after"))
    await db.execute("insert into t values (1, 1)")
    assert order == ["before", "after"]


async def test_preupdate_hook_sees_what_an_update_hook_does_not(db, preupdate):
    await make(db)
    await db.execute("create table w (a primary key, b) without rowid")
    await db.execute("insert into t values (1, 2)")
    seen = []
    await db.set_preupdate_hook(lambda change: seen.append((change.op, change.old, change.new)))
    await db.execute("insert into w values ('k', 1.5)")
    await db.execute("replace into t values (1, 5)")
    await db.execute("delete from t")
    assert seen == [
        ("INSERT", None, ("k", 1.5)),
        ("DELETE", (1, 2), None),
        ("INSERT", None, (1, 5)),
        ("DELETE", (1, 5), None),
    ]


async def test_preupdate_hook_knows_how_deep_a_trigger_is(db, preupdate):
    await db.executescript(
        "create table t (a); create table u (a); create table v (a);"
        "create trigger t1 after insert on t begin insert into u values (new.a); end;"
        "create trigger t2 after insert on u begin insert into v values (new.a); end"
    )
    seen = []
    await db.set_preupdate_hook(lambda change: seen.append((change.table_name, change.depth)))
    await db.execute("insert into t values (1)")
    assert seen == [("t", 0), ("u", 1), ("v", 2)]


async def test_several_preupdate_hooks(db, preupdate):
    await make(db)
    seen = []
    await db.set_preupdate_hook(lambda change: seen.append("a"), id="a")
    await db.set_preupdate_hook(lambda change: seen.append("b"), id="b")
    await db.execute("insert into t values (1, 1)")
    await db.set_preupdate_hook(None, id="a")
    await db.execute("insert into t values (2, 1)")
    assert seen == ["a", "b", "b"]


async def test_preupdate_hook_that_raises(db, preupdate):
    def hook(change):
        raise LookupError(change.rowid)

    await make(db)
    await db.set_preupdate_hook(hook)
    with unraisables() as seen:
        await db.execute("insert into t values (1, 1)")
    assert [(type(error), error.args, where) for error, where in seen] == [
        (LookupError, (1,), hook)
    ]
    assert await scalar(db, "select count(*) from t") == 1


async def test_text_that_is_none_is_reported_to_a_preupdate_hook(db, preupdate):
    await make(db)
    await db.set_preupdate_hook(lambda change: None)
    with unraisables() as seen:
        await db.execute("insert into t values (1, cast(x'ff' as text))")
    assert [type(error) for error, _ in seen] == [UnicodeDecodeError]
    assert await scalar(db, "select count(*) from t") == 1


async def test_preupdate_change_may_be_kept(db, preupdate):
    await make(db)
    seen = []
    await db.set_preupdate_hook(seen.append)
    await db.execute("insert into t values (1, ?)", ("x" * 1000,))
    await db.close()
    (change,) = seen
    assert isinstance(change, csqlite.hooks.PreUpdate)
    assert change.new == (1, "x" * 1000)


async def test_preupdate_hook_and_session_exclude_each_other(db, preupdate):
    await make(db)
    seen = []
    session = await db.session()
    assert await outcome(db.set_preupdate_hook(seen.append)) == (
        sqlite3.ProgrammingError,
        "A pre-update hook cannot be set while a session is open.",
    )
    await db.set_preupdate_hook(None)
    await session.attach()
    await db.execute("insert into t values (1, 1)")
    assert len(list(csqlite.Changeset.iter(await session.changeset()))) == 1
    await session.close()

    await db.set_preupdate_hook(seen.append)
    assert await outcome(db.session()) == (
        sqlite3.ProgrammingError,
        "A session cannot be opened while a pre-update hook is set.",
    )
    await db.execute("insert into t values (2, 2)")
    assert [change.new for change in seen] == [(2, 2)]
    await db.set_preupdate_hook(None)
    session = await db.session()
    await session.attach()
    await db.execute("insert into t values (3, 3)")
    assert await session.changeset() != b""
    assert len(seen) == 1


async def test_coroutine_functions_as_hooks(db):
    await make(db)
    seen = []

    async def update(*arguments):
        await asyncio.sleep(0)
        seen.append(arguments[3])

    async def commit():
        await asyncio.sleep(0)
        return len(seen) > 1

    await db.set_update_hook(update)
    await db.set_commit_hook(commit)
    await db.execute("insert into t values (1, 1)")
    await db.commit()
    await db.execute("insert into t values (2, 2)")
    with pytest.raises(sqlite3.IntegrityError):
        await db.commit()
    assert seen == [1, 2]
    assert await scalar(db, "select count(*) from t") == 1
