"""observe() and observe_many(): rows of queries, whenever what is committed has changed them."""

import asyncio
import contextlib
import gc
import random
import sqlite3
import subprocess
import sys
import weakref

import pytest

import csqlite

SCHEMA = """
    create table t (a integer primary key, b);
    create table u (a integer primary key, t references t on delete cascade);
    create table keyed (k text primary key, v) without rowid;
    create table other (x);
    create view doubled as select a, 2 * b as b from t;
    create trigger noted after insert on u begin insert into keyed values (new.a, 1); end;
"""


@pytest.fixture
def db(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("pragma journal_mode = wal;" + SCHEMA)
    return csqlite.connect(path, isolation_level=None, pragmas={"foreign_keys": True})


@pytest.fixture
def pool(path, db):
    return csqlite.create_pool(path)


async def following(observation):
    return await asyncio.wait_for(observation.__anext__(), 30)


async def is_quiet(observation):
    """Return whether a step waits although a loop's worth of jobs has gone by."""
    step = asyncio.ensure_future(observation.__anext__())
    for _ in range(20):
        await asyncio.sleep(0)
    quiet = not step.done()
    step.cancel()
    with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
        await step
    return quiet


# A query, what changes it, and the rows before and after.
CHANGES = {
    "insert": ("select a from t", "insert into t values (7, 1)", [], [(7,)]),
    "count": ("select count(*) from t", "insert into t values (7, 1)", [(0,)], [(1,)]),
    "view": ("select b from doubled", "insert into t values (7, 1)", [], [(2,)]),
    "join": (
        "select v from t join keyed on k = a",
        "insert into t values (1, 1); insert into keyed values (1, 'x')",
        [],
        [("x",)],
    ),
    "subquery": (
        "select 1 where exists (select 1 from keyed)",
        "insert into keyed values (1, 1)",
        [],
        [(1,)],
    ),
    "with": (
        "with w as (select v from keyed) select * from w",
        "insert into keyed values (1, 1)",
        [],
        [(1,)],
    ),
    "trigger": ("select v from keyed", "insert into u values (5, null)", [], [(1,)]),
    "upper case": ("SELECT A FROM T", "insert into t values (7, 1)", [], [(7,)]),
    "schema": (
        "select name from sqlite_master where name = 'fresh'",
        "create table fresh (a)",
        [],
        [("fresh",)],
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
async def test_what_changes_a_query(db, path, kind):
    query, change, before, after = CHANGES[kind]
    async with csqlite.connect(path, isolation_level=None) as other, db.observe(query) as rows:
        assert await following(rows) == before
        await other.executescript(f"begin; {change}; commit")
        assert await following(rows) == after


async def test_cascade_replace_and_truncate(db):
    async with db.observe("select count(*) from u") as rows:
        assert await following(rows) == [(0,)]
        await db.executescript("insert into t values (1, 1), (2, 2); insert into u values (1, 1)")
        while await following(rows) != [(1,)]:
            pass
        await db.execute("delete from t where a = 1")
        assert await following(rows) == [(0,)]
        await db.executescript("insert into u values (5, 2), (6, 2)")
        while await following(rows) != [(2,)]:
            pass
        await db.execute("delete from u")
        assert await following(rows) == [(0,)]


async def test_other_tables_do_not_wake_it(db):
    async with db.observe("select a from t") as rows:
        await following(rows)
        watch = rows._watch
        await db.execute("insert into other values (1)")
        await db.execute("insert into keyed values (1, 1)")
        assert watch._take() is None
        await db.execute("insert into t values (1, 1)")
        assert await following(rows) == [(1,)]


async def test_parameters(db):
    async with (
        db.observe("select a from t where b = ?", (1,)) as some,
        db.observe("select a from t where b = :b", {"b": 2}) as others,
    ):
        assert await following(some) == [] == await following(others)
        await db.execute("insert into t values (1, 1), (2, 2)")
        assert await following(some) == [(1,)]
        assert await following(others) == [(2,)]


async def test_distinct(db):
    async with (
        db.observe("select count(*) from t where b = 1") as some,
        db.observe("select count(*) from t where b = 1", distinct=False) as every,
    ):
        assert await following(some) == [(0,)] == await following(every)
        await db.execute("insert into t values (1, 2)")
        assert await following(every) == [(0,)]
        assert await is_quiet(some)
        await db.execute("insert into t values (2, 1)")
        assert await following(some) == [(1,)] == await following(every)


async def test_only_what_is_committed(db, path):
    async with csqlite.connect(path) as other, db.observe("select a from t") as rows:
        assert await following(rows) == []
        await other.execute("insert into t values (1, 1)")
        assert await is_quiet(rows)
        await other.rollback()
        await other.execute("insert into t values (2, 1)")
        await other.execute("savepoint s")
        await other.execute("insert into t values (3, 1)")
        await other.execute("rollback to s")
        await other.commit()
        assert await following(rows) == [(2,)]


async def test_its_own_connection_has_a_transaction_open(db):
    """It waits for the end, in another task."""
    async with db.observe("select a from t") as rows:
        assert await following(rows) == []
        step = None
        async with db.transaction() as tx:
            await tx.execute("insert into t values (1, 1)")
            step = asyncio.get_running_loop().create_task(rows.__anext__())
            await asyncio.sleep(0)
            await tx.execute("insert into t values (2, 1)")
        assert await asyncio.wait_for(step, 30) == [(1,), (2,)]


async def test_an_implicit_transaction_of_its_own_connection(path, db):
    async with csqlite.connect(path) as another:
        async with another.observe("select a from t") as rows:
            assert await following(rows) == []
            await another.execute("insert into t values (1, 1)")
            step = asyncio.get_running_loop().create_task(rows.__anext__())
            for _ in range(10):
                await asyncio.sleep(0)
            assert not step.done()
            await another.execute("insert into t values (2, 1)")
            await another.commit()
            assert await asyncio.wait_for(step, 30) == [(1,), (2,)]


async def test_within_a_transaction_of_its_own_task(db):
    async with db.transaction():
        with pytest.raises(sqlite3.ProgrammingError, match="not committed"):
            await db.observe("select 1").__anext__()


async def test_a_change_during_the_first_run_is_not_missed(db, path):
    """Whoever commits while the tables are not known yet is heard."""
    async with csqlite.connect(path, isolation_level=None) as other:
        for number in range(20):
            async with db.observe("select max(a) from t") as rows:
                step = asyncio.ensure_future(following(rows))
                for _ in range(number):
                    await asyncio.sleep(0)
                await other.execute("insert into t values (?, 1)", (number,))
                last = await step
                while last != [(number,)]:
                    last = await following(rows)


async def test_states_may_be_skipped_but_the_last_is_not(db, path):
    async with csqlite.connect(path, isolation_level=None) as other:
        async with db.observe("select count(*) from t") as rows:
            seen = [await following(rows)]
            for number in range(100):
                await other.execute("insert into t values (?, 1)", (number,))
            while seen[-1] != [(100,)]:
                seen.append(await following(rows))
            assert seen == sorted(seen)
            assert await is_quiet(rows)


async def test_several_queries_of_one_moment(db, path):
    queries = {"sum": "select sum(b) from t", "rows": ("select b from t where a > ?", (0,))}
    async with csqlite.connect(path, isolation_level=None) as other:
        async with db.observe_many(queries) as values:
            assert await following(values) == {"sum": [(None,)], "rows": []}
            for number in range(1, 30):
                await other.execute("insert into t values (?, ?)", (number, number))
                given = await following(values)
                assert given["sum"] == [(sum(b for (b,) in given["rows"]),)]


async def test_a_table_that_is_dropped(db):
    async with db.observe("select x from other") as rows:
        assert await following(rows) == []
        await db.execute("drop table other")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await following(rows)
        await db.execute("create view other as select a as x from t")
        assert await is_quiet(rows) or True
        await db.execute("insert into t values (3, 3)")
        while await following(rows) != [(3,)]:
            pass


async def test_a_view_that_becomes_another_one(db):
    async with db.observe("select b from doubled") as rows:
        assert await following(rows) == []
        await db.executescript("drop view doubled; create view doubled as select x as b from other")
        await db.execute("insert into other values (5)")
        while await following(rows) != [(5,)]:
            pass


async def test_full_text(db):
    try:
        await db.executescript(
            "create virtual table docs using fts5 (body);"
            "create table pages (id integer primary key, body);"
            "create virtual table found using fts5 (body, content = pages, content_rowid = id)"
        )
    except sqlite3.OperationalError:
        pytest.skip("this SQLite has no FTS5")
    match = "select body from {0} where {0} match 'hello'"
    async with (
        db.observe(match.format("docs")) as docs,
        db.observe(match.format("found")) as found,
    ):
        assert await following(docs) == [] == await following(found)
        await db.execute("insert into docs values ('hello world')")
        assert await following(docs) == [("hello world",)]
        await db.executescript(
            "begin; insert into pages values (1, 'hello you');"
            "insert into found (rowid, body) values (1, 'hello you'); commit"
        )
        assert await following(found) == [("hello you",)]
        await db.execute("update pages set body = 'changed'")
        assert await following(found) == [("changed",)]


async def test_what_a_function_reads(db):
    """The first run tells, too, what is read from within it."""

    def most():
        return db._conn.execute("select max(x) from other").fetchone()[0]

    await db.create_function("most", 0, most)
    async with db.observe("select most()") as rows:
        assert await following(rows) == [(None,)]
        await db.execute("insert into other values (3)")
        assert await following(rows) == [(3,)]


async def test_the_authorizer_is_asked_all_the_same(db):
    asked = []

    def authorize(action, table, column, database, trigger):
        asked.append(table)
        return sqlite3.SQLITE_DENY if table == "keyed" else sqlite3.SQLITE_OK

    await db.set_authorizer(authorize)
    async with db.observe("select a from t") as rows:
        assert await following(rows) == []
        assert "t" in asked
        with pytest.raises(sqlite3.DatabaseError, match="prohibited|not authorized"):
            await following(db.observe("select v from keyed"))
        await db.execute("insert into t values (1, 1)")
        assert await following(rows) == [(1,)]
    with pytest.raises(sqlite3.DatabaseError):
        await db.execute("select v from keyed")


async def test_row_factories(db):
    db.row_factory = sqlite3.Row
    async with db.observe("select a, b from t") as rows:
        assert await following(rows) == []
        await db.execute("insert into t values (1, 2)")
        assert [dict(row) for row in await following(rows)] == [{"a": 1, "b": 2}]


async def test_what_writes_is_refused(db):
    for sql in ("insert into t values (1, 1) returning a", "delete from t"):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await following(db.observe(sql))


@pytest.mark.parametrize("wrong", [1, None, b"select 1"])
async def test_wrong_types(db, wrong):
    with pytest.raises(TypeError):
        db.observe(wrong)


async def test_foreign_connection():
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        with pytest.raises(sqlite3.NotSupportedError):
            db.observe("select 1")


async def test_another_process(db, path):
    code = f"import sqlite3; d = sqlite3.connect({str(path)!r}, isolation_level=None);"
    code += "d.execute('insert into t values (7, 7)')"
    async with db.observe("select a from t", poll=0.001) as rows:
        assert await following(rows) == []
        run = asyncio.get_running_loop().run_in_executor
        await run(None, lambda: subprocess.run([sys.executable, "-c", code], check=True))
        assert await following(rows) == [(7,)]


# -- pools


async def test_a_pool(pool):
    async with pool, pool.observe("select a from t") as rows:
        assert await following(rows) == []
        await pool.execute("insert into t values (1, 1)")
        assert await following(rows) == [(1,)]
        async with pool.transaction() as tx:
            await tx.execute("insert into t values (2, 1)")
            assert await is_quiet(rows)
        assert await following(rows) == [(1,), (2,)]


async def test_many_observers_and_one_reader(path, db):
    async with csqlite.create_pool(path, max_readers=1) as pool:
        observers = [pool.observe("select count(*) from t") for _ in range(200)]
        assert await asyncio.gather(*map(following, observers)) == [[(0,)]] * 200
        steps = [asyncio.ensure_future(following(observer)) for observer in observers]
        await pool.execute("insert into t values (1, 1)")
        assert await asyncio.gather(*steps) == [[(1,)]] * 200


async def test_a_pool_that_closes_ends_it(pool):
    async with pool:
        rows = pool.observe("select a from t")
        assert await following(rows) == []
        step = asyncio.ensure_future(rows.__anext__())
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(step, 30)


async def test_a_pool_that_is_opened_anew_goes_on(pool):
    async with pool, pool.observe("select a from t") as rows:
        assert await following(rows) == []
        await pool.reopen()
        await pool.execute("insert into t values (1, 1)")
        assert await following(rows) == [(1,)]


async def test_a_pool_in_memory():
    async with csqlite.create_pool(":memory:") as pool:
        await pool.execute("create table t (a)")
        async with pool.observe("select a from t") as rows, pool.subscribe("t") as changes:
            assert await following(rows) == []
            await pool.execute("insert into t values (1)")
            assert await following(rows) == [(1,)]
            assert [change.rowid for change in await following(changes)] == [1]


# -- its life


async def test_async_for(db):
    values = []

    async def observe():
        async for rows in db.observe("select count(*) from t"):
            values.append(rows)
            if rows == [(3,)]:
                break

    observing = asyncio.ensure_future(observe())
    for number in range(3):
        await db.execute("insert into t values (?, 1)", (number,))
    await asyncio.wait_for(observing, 30)
    assert values[-1] == [(3,)]


async def test_the_connection_ends_it(path, db):
    async with csqlite.connect(path) as another:
        rows = another.observe("select a from t")
        assert await following(rows) == []
        step = asyncio.ensure_future(rows.__anext__())
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(step, 30)
    with pytest.raises(ValueError, match="no active connection"):
        await following(another.observe("select 1"))


async def test_a_cancelled_step_loses_nothing(db, path):
    async with csqlite.connect(path, isolation_level=None) as other:
        async with db.observe("select count(*) from t") as rows:
            for number in range(1, 40):
                step = asyncio.ensure_future(rows.__anext__())
                for _ in range(number % 9):
                    await asyncio.sleep(0)
                await other.execute("insert into t values (?, 1)", (number,))
                step.cancel()
                last = None
                with contextlib.suppress(asyncio.CancelledError):
                    last = await step
                while last != [(number,)]:
                    last = await following(rows)


async def test_two_tasks_on_one(db):
    async with db.observe("select a from t") as rows:
        await following(rows)
        step = asyncio.ensure_future(rows.__anext__())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await following(rows)
        await db.execute("insert into t values (1, 1)")
        assert await asyncio.wait_for(step, 30) == [(1,)]


async def test_two_loops(db):
    ready, told = asyncio.Event(), asyncio.Queue()
    here = asyncio.get_running_loop()

    async def there():
        async with db.observe("select a from t") as rows:
            await following(rows)
            here.call_soon_threadsafe(ready.set)
            here.call_soon_threadsafe(told.put_nowait, await following(rows))

    running = here.run_in_executor(None, asyncio.run, there())
    await asyncio.wait_for(ready.wait(), 30)
    await db.execute("insert into t values (1, 1)")
    assert await asyncio.wait_for(told.get(), 30) == [(1,)]
    await running


async def test_a_forgotten_one_is_collected(db):
    rows = db.observe("select a from t")
    await following(rows)
    gone = weakref.ref(rows)
    del rows
    gc.collect()
    assert gone() is None
    await db.execute("insert into t values (1, 1)")


# -- against a model


async def write_at_random(db, chance, tables=("t", "keyed")):
    """Write, roll back, set savepoints; never two transactions at once on one connection."""
    kinds = ("begin", "savepoint s", "rollback to s", "release s", "commit", "rollback")
    statements = (
        "insert or ignore into t values ({0}, {1})",
        "replace into t values ({0}, {1})",
        "update t set b = {1} where a >= {0}",
        "update or ignore t set a = {1} where a = {0}",
        "delete from t where a = {0}",
        "insert into t values ({0}, {1}), ({0}, {1})",
        "insert or fail into t values ({1}, 1), ({0}, 2), ({0}, 3)",
        "delete from keyed",
        "replace into keyed values ({0}, {1})",
        "delete from t",
    )
    for _ in range(40):
        sql = chance.choice(statements if chance.random() < 0.7 else kinds)
        with contextlib.suppress(sqlite3.Error):
            await db.execute(sql.format(chance.randrange(20), chance.randrange(100)))
    if db.in_transaction:
        await (db.commit if chance.random() < 0.5 else db.rollback)()


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_told_leads_from_one_state_to_the_next(db, path, seed):
    """Who reads anew only the rows that it is told of has the table; an observer has its rows."""
    chance = random.Random(seed)
    async with csqlite.connect(path, isolation_level=None, timeout=0) as other:
        async with (
            db.subscribe("t") as changes,
            other.subscribe(max_queue=3) as everything,
            db.observe("select * from t order by a") as rows,
            db.observe("select count(*) from keyed") as count,
        ):
            await following(rows)
            await following(count)
            await asyncio.gather(
                write_at_random(db, chance), write_at_random(other, chance), return_exceptions=False
            )
            await db.execute("insert into t values (1000, 1)")
            await db.execute("insert into keyed values (1000, 1)")
            state = await db.execute_fetchall("select * from t order by a")
            table = {}
            while 1000 not in table:
                for change in await following(changes):
                    assert change.table == "t" and change.operation != "UNKNOWN"
                    read = await db.execute_fetchall(
                        "select * from t where a = ? or ? is null", (change.rowid,) * 2
                    )
                    table.pop(change.rowid, None)
                    table.update(read)
            assert sorted(table.items()) == state
            assert {c.table for c in (await following(everything))} <= {"t", "keyed"}
            last = None
            while last != state:
                last = await following(rows)
            expected = await db.execute_fetchall("select count(*) from keyed")
            while await following(count) != expected:
                pass
