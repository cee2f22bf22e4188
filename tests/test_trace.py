"""Tracing: trace_v2(), set_profile(), and several progress handlers."""

import asyncio
import sqlite3
import sys
import threading
from contextlib import closing

import pytest
from parity.outcomes import fetchall, outcome, scalar
from unraisable import unraisables

import csqlite

STMT, PROFILE = csqlite.SQLITE_TRACE_STMT, csqlite.SQLITE_TRACE_PROFILE
ROW, CLOSE = csqlite.SQLITE_TRACE_ROW, csqlite.SQLITE_TRACE_CLOSE
ALL = STMT | PROFILE | ROW | CLOSE

COUNT = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select count(*) from n"
ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
INTERRUPTED = (sqlite3.OperationalError, "interrupted")


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


# -- trace_v2


async def test_events_of_a_query(db):
    events = []
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1), (2)")
    await db.trace_v2(ALL, events.append)
    await fetchall(db, "select a from t where a > ?", (0,))
    await db.commit()
    assert [event["code"] for event in events] == [STMT, ROW, ROW, PROFILE, STMT, PROFILE]
    query, commit = events[:4], events[4:]
    assert len({event["id"] for event in query}) == 1
    assert query[0] == {
        "code": STMT,
        "id": query[0]["id"],
        "sql": "select a from t where a > ?",
        "trigger": False,
        "total_changes": 2,
    }
    assert query[1] == {"code": ROW, "id": query[0]["id"]}
    assert set(query[3]) == {"code", "id", "sql", "total_changes", "nanoseconds", "stmt_status"}
    assert query[3]["sql"] == "select a from t where a > ?"
    assert query[3]["nanoseconds"] >= 0
    assert commit[0]["sql"] == "COMMIT"


async def test_event_of_closing():
    events = []
    async with csqlite.connect(":memory:") as db:
        await db.trace_v2(CLOSE, events.append)
        await fetchall(db, "select 1")
        assert events == []
    assert events == [{"code": CLOSE}]


async def test_closing_a_connection_that_is_backed_up_into_tells_nobody(tmp_path):
    """Its handle is closed by another connection's worker, later; nothing of it is called."""
    events = []
    async with csqlite.connect(":memory:") as source:
        await source.execute("create table t (a)")
        await source.execute(
            f"insert into t {COUNT.format(3).replace('count(*)', 'zeroblob(20000)')}"
        )
        await source.commit()
        target = await csqlite.connect(":memory:")
        await target.trace_v2(ALL, events.append)
        step = source._backup(target, "main")
        await step.step(1)
        await target.close()
        await step.step(0)
    assert [event for event in events if event["code"] == CLOSE] == []


async def test_trigger_and_what_runs_within(db):
    await db.executescript(
        "create table t (a); create table u (a);"
        "create trigger tr after insert on t begin insert into u values (new.a); end"
    )
    events = []
    await db.trace_v2(STMT, events.append)
    await db.execute("insert into t values (1)")
    begin, whole, *within = events
    assert (begin["sql"], begin["trigger"]) == ("BEGIN ", False)
    assert (whole["sql"], whole["trigger"]) == ("insert into t values (1)", False)
    assert [event["trigger"] for event in within] == [True] * len(within)
    assert within[0]["sql"] == "TRIGGER tr"
    assert {event["id"] for event in within} == {whole["id"]}


async def test_statement_that_begins_with_a_comment_is_no_trigger(db):
    events = []
    await db.trace_v2(STMT, events.append)
    await fetchall(db, "-- a comment\nselect 1")
    assert [(event["sql"], event["trigger"]) for event in events] == [
        ("-- a comment\nselect 1", False)
    ]


async def test_counters_are_those_of_one_run(db):
    steps = []

    def hook(event):
        status = event["stmt_status"]
        steps.append((status["SQLITE_STMTSTATUS_VM_STEP"], status["SQLITE_STMTSTATUS_SORT"]))
        assert set(status) == {
            name for name in vars(csqlite) if name.startswith("SQLITE_STMTSTATUS_")
        }

    await db.execute("create table t (a)")
    await db.execute("insert into t values (2), (1)")
    await db.trace_v2(STMT | PROFILE, lambda event: event["code"] == PROFILE and hook(event))
    for _ in range(3):
        await fetchall(db, "select a from t order by a")
    assert len(set(steps)) == 1
    assert steps[0][0] > 5
    assert steps[0][1] == 1


async def test_profile_sees_a_changed_schema_and_so_do_rows(db):
    """The counters that are reset are not those by which the cache knows a changed schema."""
    await db.execute("create table t (a)")
    await db.trace_v2(ALL, lambda event: None)
    for number in range(3):
        cursor = await db.execute("select * from t")
        assert len(cursor.description) == number + 1
        await cursor.close()
        await db.execute(f"alter table t add column b{number}")


async def test_several_traces(db):
    seen = []
    await db.set_trace_callback(lambda sql: seen.append(("callback", sql)))
    await db.trace_v2(STMT, lambda event: seen.append(("none", event["sql"])))
    await db.trace_v2(STMT, lambda event: seen.append(("id", event["sql"])), id="id")
    await db.set_profile(lambda sql, nanoseconds: seen.append(("profile", sql)))
    await fetchall(db, "select ?", (5,))
    assert seen == [
        ("callback", "select 5"),
        ("none", "select ?"),
        ("id", "select ?"),
        ("profile", "select ?"),
    ]
    seen.clear()
    await db.set_trace_callback(None)
    await db.trace_v2(STMT)
    await fetchall(db, "select 6")
    assert seen == [("id", "select 6"), ("profile", "select 6")]
    seen.clear()
    await db.trace_v2(0, print, id="id")
    await db.set_profile(None)
    await fetchall(db, "select 7")
    assert seen == []


async def test_trace_is_replaced_with_another_mask(db):
    seen = []
    await db.trace_v2(STMT, lambda event: seen.append(event["code"]), id=1)
    await db.trace_v2(ROW, lambda event: seen.append(event["code"]), id=1)
    await fetchall(db, "select 1")
    assert seen == [ROW]


async def test_trace_callback_is_given_what_sqlite3_gives(db):
    """set_trace_callback() shares SQLite's one place with the others, and is as before."""

    def program(connection):
        seen = []
        connection.set_trace_callback(seen.append)
        connection.execute("select ?, ?", (1, "it's")).fetchall()
        return seen

    with closing(sqlite3.connect(":memory:")) as connection:
        expected = program(connection)
    seen = []
    await db.trace_v2(ALL, lambda event: None)
    await db.set_trace_callback(seen.append)
    await fetchall(db, "select ?, ?", (1, "it's"))
    assert seen == expected


@pytest.mark.parametrize("mask", [16, 31, -1, 2**40])
async def test_mask_of_unknown_events(db, mask):
    with pytest.raises(
        ValueError, match="(?m)^mask must be made of SQLITE_TRACE_ events, not -?[0-9]+$"
    ):
        await db.trace_v2(mask, print)


@pytest.mark.parametrize("mask", ["1", None, 1.0])
async def test_mask_of_another_type(db, mask):
    with pytest.raises(TypeError):
        await db.trace_v2(mask, print)


async def test_trace_that_raises(db):
    def hook(event):
        raise LookupError(event["code"])

    await db.trace_v2(STMT | PROFILE | ROW, hook)
    with unraisables() as seen:
        assert await scalar(db, "select 1") == 1
        await db.trace_v2(0)
    assert [error.args[0] for error, _ in seen] == [STMT, ROW, PROFILE]
    assert {where for _, where in seen} == {hook}


async def test_trace_may_remove_itself(db):
    events = []

    def hook(event):
        events.append(event["code"])
        db._run(db.trace_v2(0))

    await db.trace_v2(STMT | PROFILE, hook)
    await db.trace_v2(STMT, lambda event: events.append("other"), id=1)
    await fetchall(db, "select 1")
    assert events == [STMT, "other"]


async def test_profile(db):
    seen = []
    await db.set_profile(lambda sql, nanoseconds: seen.append((sql, nanoseconds)))
    # A query is measured when it ends, not when its first row is there.
    cursor = await db.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 1000) select i from n"
    )
    assert seen == []
    await cursor.fetchall()
    await scalar(db, COUNT.format(300_000))
    assert len(seen) == 2
    assert seen[1][1] >= 1_000_000
    assert seen[1][0] == COUNT.format(300_000)


# -- progress handlers


async def test_progress_handlers_are_called_as_often_as_each_asks_for(db):
    calls = dict.fromkeys(("plain", "often", "rare", "rarest"), 0)

    def handler(name):
        def handle():
            calls[name] += 1

        return handle

    await db.set_progress_handler(handler("plain"), 100)
    await db.set_progress_handler(handler("often"), 50, id="often")
    await db.set_progress_handler(handler("rare"), 500, id="rare")
    await db.set_progress_handler(handler("rarest"), 5000, id="rarest")
    await scalar(db, COUNT.format(20_000))
    assert calls["rarest"] > 20
    for name, times in (("rare", 10), ("plain", 50), ("often", 100)):
        assert times - 3 <= calls[name] / calls["rarest"] <= times + 3


@pytest.mark.parametrize("steps", [1, 7, 100, 1000, 2500, 10_000])
async def test_single_handler_is_called_as_often_as_in_sqlite3(db, steps):
    def count(connection):
        calls = []
        connection.set_progress_handler(lambda: calls.append(1), steps)
        connection.execute(COUNT.format(5000)).fetchall()
        return len(calls)

    with closing(sqlite3.connect(":memory:")) as connection:
        expected = count(connection)
    calls = []
    await db.set_progress_handler(lambda: calls.append(1), steps)
    await fetchall(db, COUNT.format(5000))
    # The two copies of SQLite may compile the query to programs of other lengths.
    assert 0.5 * expected - 1 <= len(calls) <= 2 * expected + 1


@pytest.mark.parametrize("id", ["one", None])
async def test_one_progress_handler_of_several_stops(db, id):
    calls = []
    for name in ("one", None, "two"):
        await db.set_progress_handler(lambda name=name: name == id, 10, id=name)
    await db.set_progress_handler(lambda: calls.append(1), 10, id="last")
    assert await outcome(fetchall(db, ENDLESS)) == INTERRUPTED
    await db.set_progress_handler(None, 10, id=id)
    assert await scalar(db, COUNT.format(1000)) == 1000


async def test_progress_handler_that_raises_stops(db):
    def handler():
        raise LookupError

    await db.set_progress_handler(handler, 10, id="id")
    assert await outcome(fetchall(db, ENDLESS)) == INTERRUPTED
    await db.set_progress_handler(handler, 0, id="id")
    assert await scalar(db, "select 1") == 1


async def test_progress_handler_may_remove_itself_and_others(db):
    calls = []

    def first():
        calls.append("first")
        db._run(db.set_progress_handler(None, 1, id="first"))
        db._run(db.set_progress_handler(None, 1, id="second"))

    await db.set_progress_handler(first, 100, id="first")
    await db.set_progress_handler(lambda: calls.append("second"), 100, id="second")
    await db.set_progress_handler(lambda: calls.append("third"), 100, id="third")
    await scalar(db, COUNT.format(1000))
    assert calls[:2] == ["first", "third"]
    assert calls.count("first") == 1
    assert "second" not in calls


@pytest.mark.parametrize("options", [{}, {"id": 1}])
async def test_query_can_be_cancelled_however_rarely_a_handler_is_called(db, options):
    started = threading.Event()
    await db.create_function("start", 0, started.set)
    await db.set_progress_handler(lambda: False, 2**31 - 1, **options)
    endless = ENDLESS.replace("select 1", "select start() + 1")
    task = asyncio.ensure_future(fetchall(db, endless))
    await asyncio.to_thread(started.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The worker is free again: the statement has ended.
    assert await scalar(db, "select 1") == 1


@pytest.mark.parametrize("steps", [10**30, -(10**30), -5, 0])
async def test_odd_numbers_of_steps(db, steps):
    calls = []
    if abs(steps) > 2**63:
        with pytest.raises(OverflowError):
            await db.set_progress_handler(lambda: calls.append(1), steps, id=1)
        return
    await db.set_progress_handler(lambda: calls.append(1), steps, id=1)
    await scalar(db, COUNT.format(1000))
    assert calls == []


# -- what sqlite3's traces show


def traced_program(connection, seen):
    """Use a connection of `sqlite3`, or the synchronous view of one of csqlite, in ways that run SQL of its own."""
    connection.set_trace_callback(seen.append)
    connection.execute("create table t (a)")
    connection.execute("insert into t values (?)", (1,))
    connection.commit()
    connection.executemany("insert into t values (?)", [(1,), ("two",)])
    connection.rollback()
    connection.execute("delete from t")
    connection.executescript("select 1; insert into t values (3);")
    connection.execute("select 1 -- comment").fetchall()
    with connection:
        connection.execute("replace into t values (4)")
    connection.execute("insert into t values (5)")


@pytest.mark.parametrize("level", ["", "DEFERRED", "IMMEDIATE", "exclusive", None])
async def test_statements_of_its_own_are_those_of_sqlite3(path, tmp_path, level):
    ours, theirs = [], []
    async with csqlite.connect(path, isolation_level=level) as db:
        await db._execute(traced_program, db._conn, ours)
    with closing(sqlite3.connect(tmp_path / "theirs.db", isolation_level=level)) as connection:
        traced_program(connection, theirs)
    assert ours == theirs
    assert level != "" or "BEGIN " in ours


AUTOCOMMIT_FALSE = [
    "BEGIN",
    "insert into t values (1)",
    "COMMIT",
    "BEGIN",
    "insert into t values (2)",
    "ROLLBACK",
]


@pytest.mark.parametrize("closing", ["awaited", "synchronous"])
async def test_closing_rolls_back_by_a_statement_with_autocommit_false(path, closing):
    seen = []
    db = await csqlite.connect(path)
    await db.execute("create table t (a)")
    await db.set_trace_callback(seen.append)
    db.autocommit = False
    await db.execute("insert into t values (1)")
    await db.commit()
    await db.execute("insert into t values (2)")
    if closing == "awaited":
        await db.close()
    else:
        await db._execute(db._conn.close)
        await db.close()
    assert seen == AUTOCOMMIT_FALSE


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sqlite3 has no autocommit")
def test_closing_rolls_back_by_a_statement_in_sqlite3(path):
    seen = []
    connection = sqlite3.connect(path)
    connection.execute("create table t (a)")
    connection.set_trace_callback(seen.append)
    connection.autocommit = False
    connection.execute("insert into t values (1)")
    connection.commit()
    connection.execute("insert into t values (2)")
    connection.close()
    assert seen == AUTOCOMMIT_FALSE


@pytest.mark.parametrize("autocommit", [True, -1])
async def test_closing_runs_nothing_otherwise(path, autocommit):
    seen = []
    db = await csqlite.connect(path, autocommit=autocommit)
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    await db.set_trace_callback(seen.append)
    await db.close()
    assert seen == []
