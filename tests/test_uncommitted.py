"""What is done, but not committed yet: who may undo it, and who must not.

Outside a transaction SQLite commits when the last statement that writes has ended. A
half-read INSERT ... RETURNING and a blob that is open for writing keep it from that, and
what others have been told is done would go with whatever is stopped meanwhile.
"""

import asyncio
import sqlite3
import threading

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

SECONDS = 20
MANY = 20_000
NUMBERS = f"with recursive n(i) as (select 1 union all select i + 1 from n limit {MANY})"
# Both stop in the middle for pause(), and have much to do behind it.
WRITE = f"insert into big {NUMBERS} select i + pause(i) from n"
WRITE_ROW = f"insert into big {NUMBERS} select i + ? + pause(i) from n"
# A bundled SQLite can stop one statement, and undo it alone.
STOPS_ALONE = csqlite.build.source != "system"


@pytest.fixture
def db():
    return csqlite.connect(":memory:", isolation_level=None)


async def prepare(db):
    await db.executescript(
        "create table t (a); create table big (a); create table b (d);"
        "insert into b values (zeroblob(10))"
    )


class Pause:
    """An SQL function that stands still at its hundredth call until it may go on."""

    def __init__(self):
        self.reached = threading.Event()
        self.released = threading.Event()

    def __call__(self, number):
        if number == 100:
            self.reached.set()
            assert self.released.wait(SECONDS)
        return 0


async def open_nothing(db):
    return None


async def open_blob(db):
    return await db.blobopen("b", "d", 1)


async def open_written_blob(db):
    blob = await db.blobopen("b", "d", 1)
    await blob.write(b"0123456789")
    return blob


async def open_returning(db, sql="insert into big select value from json_each(?) returning a"):
    cursor = await db.execute(sql, (str(list(range(1000))),))
    assert await cursor.fetchone() is not None
    return cursor


async def open_updating(db):
    await db.execute("create table u as select value a from json_each(?)", (str([0] * 1000),))
    cursor = await db.execute("update u set a = a + 1 returning a")
    assert await cursor.fetchone() == (1,)
    return cursor


OPENERS = {
    "nothing": open_nothing,
    "blob": open_blob,
    "written blob": open_written_blob,
    "insert": open_returning,
    "update": open_updating,
}


async def end_by_cancelling(db, pause, sql):
    task = asyncio.ensure_future(sql)
    assert await asyncio.to_thread(pause.reached.wait, SECONDS)
    task.cancel()
    pause.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def end_by_deadline(db, pause, sql):
    task = asyncio.ensure_future(sql)
    assert await asyncio.to_thread(pause.reached.wait, SECONDS)
    await asyncio.sleep(0.03)
    pause.released.set()
    return await outcome(task)


ENDERS = {
    "cancel": (end_by_cancelling, lambda db: db.execute(WRITE)),
    "cancel, many": (end_by_cancelling, lambda db: db.executemany(WRITE_ROW, [(0,)])),
    "cancel, script": (end_by_cancelling, lambda db: db.executescript(WRITE)),
    "deadline": (end_by_deadline, lambda db: db.execute(WRITE, deadline=0.02)),
    "deadline, many": (
        end_by_deadline,
        lambda db: db.executemany(WRITE_ROW, [(0,)], deadline=0.02),
    ),
    "deadline, script": (end_by_deadline, lambda db: db.executescript(WRITE, deadline=0.02)),
}


@pytest.mark.parametrize("ender", sorted(ENDERS))
@pytest.mark.parametrize("opener", sorted(OPENERS))
async def test_stopping_a_write_undoes_nothing_that_others_were_told_is_done(db, opener, ender):
    await prepare(db)
    pause = Pause()
    await db.create_function("pause", 1, pause)
    opened = await OPENERS[opener](db)
    await db.execute("insert into t values ('B')")
    before = await scalar(db, "select count(*) from big")
    end, call = ENDERS[ender]
    await end(db, pause, call(db))
    assert await fetchall(db, "select a from t") == [("B",)]
    # It is undone as a whole; where SQLite cannot undo it alone, it runs to its end.
    written = await scalar(db, "select count(*) from big") - before
    assert written == (0 if opener == "nothing" or STOPS_ALONE else MANY)
    if opener == "written blob":
        assert await scalar(db, "select d from b") == b"0123456789"
    if opened is not None:
        await opened.close()
    assert await fetchall(db, "select a from t") == [("B",)]
    assert not db.in_transaction


@pytest.mark.parametrize("ender", ["cancel", "cancel, many", "deadline", "deadline, many"])
async def test_blob_that_was_written_before_the_implicit_begin_keeps_what_it_has(db, ender):
    await prepare(db)
    pause = Pause()
    db.isolation_level = ""
    await db.create_function("pause", 1, pause)
    blob = await open_written_blob(db)
    end, call = ENDERS[ender]
    await end(db, pause, call(db))
    assert await scalar(db, "select d from b") == b"0123456789"
    assert db.in_transaction  # The blob's write is part of it.
    await blob.close()
    await db.commit()
    assert await scalar(db, "select d from b") == b"0123456789"


# Each writes for ever.
ENDLESS_NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n)"
ENDLESS = {
    "insert": f"insert into big {ENDLESS_NUMBERS} select i from n",
    "with": f"{ENDLESS_NUMBERS} insert into big select i from n",
    "replace": f"replace into one {ENDLESS_NUMBERS} select i % 100 from n",
    "or ignore": f"insert or ignore into one {ENDLESS_NUMBERS} select i % 100 from n",
    "or fail": f"insert or fail into one {ENDLESS_NUMBERS} select -i from n",
    "or rollback": f"insert or rollback into one {ENDLESS_NUMBERS} select -i from n",
    "upsert": f"insert into one {ENDLESS_NUMBERS} select i % 100 from n where 1"
    " on conflict do update set a = a",
    "update": f"update t set a = (select count(*) from ({ENDLESS_NUMBERS} select i from n))",
    "delete": f"delete from t where a in ({ENDLESS_NUMBERS} select 0 from n)",
    "trigger": f"insert into triggering {ENDLESS_NUMBERS} select i from n",
    "temporary": f"insert into temp.own {ENDLESS_NUMBERS} select i from n",
    "attached": f"insert into beside.big {ENDLESS_NUMBERS} select i from n",
    "without rowid": f"insert into keyed {ENDLESS_NUMBERS} select i from n",
    "full text": f"insert into words {ENDLESS_NUMBERS} select 'word ' || i from n",
    "table": f"create table made as {ENDLESS_NUMBERS} select i from n",
    "returning": f"insert into big {ENDLESS_NUMBERS} select i from n returning a",
}


async def prepare_endless(db):
    await prepare(db)
    await db.executescript(
        "create table one (a unique); insert into one values (1), (2);"
        "create table triggering (a); create table twice (a, b);"
        "create trigger doubling after insert on triggering begin"
        "  insert into twice values (new.a, 1); delete from twice where a < new.a - 5;"
        " end;"
        "create temp table own (a); attach ':memory:' as beside; create table beside.big (a);"
        "create table keyed (a primary key) without rowid;"
        "create virtual table words using fts5 (word)"
    )


async def look(db):
    tables = ["t", "big", "one", "triggering", "twice", "own", "beside.big", "keyed", "words"]
    return {name: await fetchall(db, f"select * from {name}") for name in tables}


async def stopped(call):
    with pytest.raises(csqlite.OperationalError, match="exceeded its deadline"):
        await call


alone = pytest.mark.skipif(not STOPS_ALONE, reason="a system's SQLite undoes all or nothing")


@alone
@pytest.mark.parametrize("opener", ["blob", "insert", "update"])
async def test_endless_write_is_stopped_alone(path, opener):
    async with csqlite.connect(path, isolation_level=None) as db:
        await prepare_endless(db)
        opened = await OPENERS[opener](db)
        await db.execute("insert into t values ('B')")
        before = await look(db)
        for sql in ENDLESS.values():
            await stopped(db.execute(sql, deadline=0.005))
            await stopped(db.executescript("select 1;" + sql, deadline=0.005))
            await stopped(db.executemany(sql, [(), ()], deadline=0.005))
            assert await look(db) == before, sql
            await db.execute("insert into one values (50)")
            await db.execute("delete from one where a = 50")
        await opened.close()
        assert await look(db) == before
        assert await fetchall(db, "pragma integrity_check") == [("ok",)]
    async with csqlite.connect(path) as other:
        assert await fetchall(other, "select a from t") == [("B",)]
        assert await fetchall(other, "pragma integrity_check") == [("ok",)]


@alone
@pytest.mark.parametrize("call", ["execute", "executemany"])
@pytest.mark.parametrize("name", ["insert", "replace", "trigger", "full text"])
async def test_endless_write_is_stopped_alone_behind_its_implicit_begin(path, name, call):
    async with csqlite.connect(path, isolation_level=None) as db:
        await prepare_endless(db)
        blob = await open_written_blob(db)
        await db.execute("insert into t values ('B')")
        before = await look(db)
        db.isolation_level = ""
        await stopped(
            getattr(db, call)(ENDLESS[name], *[[()]][: call == "executemany"], deadline=0.005)
        )
        assert db.in_transaction  # What was written before is part of it.
        assert await look(db) == before
        await blob.close()
        await db.commit()
    async with csqlite.connect(path) as other:
        assert await fetchall(other, "select a from t") == [("B",)]
        assert await scalar(other, "select d from b") == b"0123456789"


@alone
async def test_write_that_was_prepared_anew_is_not_stopped_at_the_cost_of_others(db):
    await prepare(db)
    blob = await open_blob(db)
    await db.execute("insert into t values ('B')")
    pause = Pause()
    await db.create_function("pause", 1, pause)
    await end_by_cancelling(db, pause, db.execute(WRITE))
    await db.execute("create table z (a)")  # The cached statement is prepared anew.
    pause = Pause()
    await db.create_function("pause", 1, pause)
    await end_by_cancelling(db, pause, db.execute(WRITE))
    assert await fetchall(db, "select a from t") == [("B",)]
    assert await scalar(db, "select count(*) from big") in (0, MANY)
    await blob.close()


@alone
async def test_changeset_has_nothing_of_a_write_that_was_stopped_alone(db):
    await prepare(db)
    async with await db.session(rowid=True) as session:
        await session.attach()
        blob = await open_blob(db)
        await db.execute("insert into t values ('B')")
        await stopped(db.execute(ENDLESS["insert"], deadline=0.02))
        await blob.close()
        changes = csqlite.Changeset.iter(await session.changeset())
        assert {change.table for change in changes} == {"t"}


async def test_write_is_stopped_again_when_what_was_open_is_closed(db):
    await prepare(db)
    for opener in ("blob", "insert"):
        opened = await OPENERS[opener](db)
        await opened.close()
        pause = Pause()
        await db.create_function("pause", 1, pause)
        before = await scalar(db, "select count(*) from big")
        await end_by_cancelling(db, pause, db.execute(WRITE))
        assert await scalar(db, "select count(*) from big") == before


async def test_half_read_queries_and_blobs_that_are_read_are_in_nobodys_way(db):
    await prepare(db)
    cursor = await db.execute(NUMBERS + " select i from n")
    await cursor.fetchone()
    blob = await db.blobopen("b", "d", 1, readonly=True)
    await blob.read(1)
    pause = Pause()
    await db.create_function("pause", 1, pause)
    await end_by_cancelling(db, pause, db.execute(WRITE))
    assert await scalar(db, "select count(*) from big") == 0
    await blob.close()


async def test_write_of_a_callback_that_leaves_something_open_is_not_undone_by_another(db):
    """The statement that calls back can be stopped until its callback leaves a write half-read."""
    await prepare(db)
    pause = Pause()
    kept = []

    def call_back(number):
        if number == 1:
            cursor = db._conn.cursor()
            cursor.execute("insert into t values (1), (2), (3) returning a")
            cursor.fetchone()
            kept.append(cursor)
        return pause(number)

    db._iter_chunk_size = 1
    await db.create_function("pause", 1, call_back)
    await end_by_cancelling(db, pause, db.execute(WRITE))
    await db._execute(kept[0].close)
    assert await scalar(db, "select count(*) from t") == 3
    assert await scalar(db, "select count(*) from big") == MANY


# -- whose the transaction is -------------------------------------------------------


async def dump_one(db):
    async for _ in db.iterdump():
        return


NO_WRITES = {
    "nothing": lambda db: asyncio.sleep(0),
    "create_function": lambda db: db.create_function("x", 0, int),
    "create_collation": lambda db: db.create_collation("x", lambda a, b: 0),
    "set_authorizer": lambda db: db.set_authorizer(None),
    "set_progress_handler": lambda db: db.set_progress_handler(None, 0),
    "select": lambda db: db.execute_fetchall("select * from t"),
    "select that fails": lambda db: db.execute_fetchall("select * from nosuch"),
    "write that fails": lambda db: db.execute("insert into nosuch values (1)"),
    "write that is refused": lambda db: db.execute("insert into one values (1)"),
    "write of nothing": lambda db: db.execute("delete from t where a = 'nobody'"),
    "executemany that fails": lambda db: db.executemany("insert into nosuch values (1)", [()]),
    "executemany of nothing": lambda db: db.executemany("insert into t values (1)", []),
    "pragma": lambda db: db.execute_fetchall("pragma user_version"),
    "pragma that sets": lambda db: db.execute("pragma cache_size = 100"),
    "explain": lambda db: db.execute_fetchall("explain insert into t values (1)"),
    "empty": lambda db: db.execute(""),
    "serialize": lambda db: db.serialize(),
    "blob": lambda db: db.blobopen("b", "d", 1, readonly=True),
    "_execute": lambda db: db._execute(int),
    "reading in _execute": lambda db: db._execute(
        lambda: db._conn.execute("select * from t").fetchall()
    ),
    "iterdump": dump_one,
    "setlimit": lambda db: db.setlimit(0, 10**6),
    "statement_info": lambda db: db.statement_info("insert into t values (1)"),
    "db_status": lambda db: db.db_status(1),
    "wal_checkpoint": lambda db: db.wal_checkpoint(),
}

WRITES = {
    "insert": lambda db: db.execute("insert into t values (2)"),
    "with": lambda db: db.execute("with x as (select 2) insert into t select * from x"),
    "returning": lambda db: db.execute("insert into t values (2), (3) returning a"),
    "executemany": lambda db: db.executemany("insert into t values (?)", [(2,)]),
    "table": lambda db: db.execute("create table u (a)"),
    "user_version": lambda db: db.execute("pragma user_version = 5"),
    "savepoint": lambda db: db.execute("savepoint mine"),
    "blob": lambda db: db.blobopen("b", "d", 1),
    "in _execute": lambda db: db._execute(
        lambda: db._conn.execute("insert into t values (2)").close()
    ),
    "insert or fail": lambda db: db.execute("insert or fail into one values (2), (1)"),
}


async def cancel_what_began(db, meanwhile):
    """Cancel a write that began the transaction, done and its answer on its way."""
    await prepare(db)
    db.isolation_level = ""
    await db.execute("create table one (a unique)")
    await db.execute("insert into one values (1)")
    await db.commit()
    entered, release = threading.Event(), threading.Event()

    def hold():
        entered.set()
        assert release.wait(SECONDS)

    holding = asyncio.ensure_future(db._execute(hold))
    await asyncio.to_thread(entered.wait, SECONDS)
    task = asyncio.ensure_future(db.execute("insert into t values (1)"))
    other = asyncio.ensure_future(outcome(meanwhile(db)))
    done = threading.Event()
    last = asyncio.ensure_future(db._execute(done.set))
    await asyncio.sleep(0)  # All are in the queue.
    release.set()
    assert done.wait(SECONDS)  # All are done, and the loop has not heard of it.
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await asyncio.gather(holding, other, last)
    assert await scalar(db, "select 'here'") == "here"


@pytest.mark.parametrize("meanwhile", sorted(NO_WRITES))
async def test_transaction_of_a_cancelled_write_goes_though_others_have_read(db, meanwhile):
    await cancel_what_began(db, NO_WRITES[meanwhile])
    assert not db.in_transaction
    assert await fetchall(db, "select a from t") == []


@pytest.mark.parametrize("meanwhile", sorted(WRITES))
async def test_transaction_of_a_cancelled_write_stays_when_others_have_written(db, meanwhile):
    await cancel_what_began(db, WRITES[meanwhile])
    assert db.in_transaction
    assert (1,) in await fetchall(db, "select a from t")


# -- a cursor is busy from its reset to the end of its job --------------------------


async def set_trace(db, callback):
    await db.set_trace_callback(callback)


async def set_trace_v2(db, callback):
    await db.trace_v2(csqlite.SQLITE_TRACE_STMT | csqlite.SQLITE_TRACE_PROFILE, callback)


async def set_profile(db, callback):
    await db.set_profile(callback)


async def set_commit_hook(db, callback):
    await db.set_commit_hook(callback)


KINDS = {
    "trace": set_trace,
    "trace_v2": set_trace_v2,
    "profile": set_profile,
    "progress": lambda db, callback: db.set_progress_handler(callback, 1),
    "authorizer": lambda db, callback: db.set_authorizer(callback),
    "commit": set_commit_hook,
    "function": lambda db, callback: db.create_function("note", -1, callback),
}
CALLS = {
    "execute": lambda cursor: cursor.execute("insert into t values (?)", (5,)),
    "executemany": lambda cursor: cursor.executemany("insert into t values (?)", [(5,), (6,)]),
    "executescript": lambda cursor: cursor.executescript("insert into t values (5); select 1"),
    "returning": lambda cursor: cursor.execute("insert into t values (?) returning a", (5,)),
    "function": lambda cursor: cursor.execute("insert into t values (? + note())", (5,)),
    "functions": lambda cursor: cursor.executemany("insert into t select ? + note()", [(5,)]),
}
ACTIONS = {
    "execute": lambda cursor: cursor.execute("select 1"),
    "executemany": lambda cursor: cursor.executemany("insert into t values (?)", [(7,)]),
    "executescript": lambda cursor: cursor.executescript("select 1"),
    "fetchone": lambda cursor: cursor.fetchone(),
    "fetchall": lambda cursor: cursor.fetchall(),
    "close": lambda cursor: cursor.close(),
}
WITHOUT_A_JOB = [ACTIONS["fetchone"], ACTIONS["fetchall"], ACTIONS["close"]]
REFUSALS = {
    "Recursive use of cursors not allowed.",
    "The connection cannot be used in a callback of this kind.",
}


@pytest.mark.parametrize("level", [None, ""])
@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_callback_may_not_use_the_cursor_that_is_busy(db, kind, level):
    """Each call, and each thing that a callback may do with its cursor meanwhile."""
    await prepare(db)
    db.isolation_level = level
    callbacks = []

    def callback(*args):
        for act in callbacks:
            act()
        return 0

    await db.create_function("note", -1, lambda *args: 0)
    await KINDS[kind](db, callback)
    for call in CALLS.values():
        for act in ACTIONS.values():
            seen = []

            def run(call=call, act=act, seen=seen):
                cursor = db._conn.cursor()
                cursor.execute("insert into t values (1), (2), (3) returning a")
                cursor.fetchone()

                def use():
                    try:
                        act(cursor)
                    except sqlite3.Error as error:
                        seen.append(str(error))
                    else:
                        seen.append("done")

                callbacks.append(use)
                try:
                    call(cursor)
                finally:
                    callbacks.clear()
                cursor.close()

            await db._execute(run)
            # Rows that are here need no job, nor does closing what holds nothing.
            assert set(seen) <= REFUSALS | ({"done"} if act in WITHOUT_A_JOB else set())
            await db.rollback()
    assert await scalar(db, "select 'here'") == "here"
