"""Tasks, transactions, savepoints, cancellations and failing statements, in any order, against a model.

A program is a list of what tasks do. They run at once on one connection, and each pauses between
its steps as often as the program says. However they come to interleave, what is left is
what the transactions that were committed leave when they run one after the other.
"""

import asyncio
import contextlib
import sqlite3
import tempfile
from pathlib import Path

from doses import dose
from hypothesis import HealthCheck, given, settings, strategies as st

import csqlite

ROWS = st.integers(0, 5)
PAUSES = st.integers(0, 3)
ADDITIONS = st.lists(st.tuples(st.just("add"), ROWS, PAUSES), max_size=3)

# (what, row, pauses): an addition, and what may end a transaction. A savepoint has additions of its own,
# and may fail; "siblings" are several at once, each in a task of its own.
STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["add", "db add", "gathered", "select", "fail", "or rollback", "doom"]),
        ROWS,
        PAUSES,
    ),
    st.tuples(st.just("savepoint"), ADDITIONS, st.booleans()),
    st.tuples(
        st.just("siblings"),
        st.lists(st.tuples(ADDITIONS, st.booleans()), min_size=2, max_size=3),
        st.booleans(),
    ),
)
ENDS = ["commit", "commit", "raise", "by hand", "rollback", "run", "deadline", "plain"]
TASKS = st.lists(
    st.tuples(
        st.lists(STEPS, max_size=5),
        st.sampled_from(ENDS),
        st.one_of(st.none(), st.integers(0, 30)),  # after how many turns it is cancelled
    ),
    min_size=1,
    max_size=6,
)
CLOSES = st.one_of(st.none(), st.none(), st.none(), st.integers(0, 30))


class Own(Exception):
    """What a body is left by."""


async def pause(turns):
    for _ in range(turns):
        await asyncio.sleep(0)


async def add(on, row, done):
    ((before,),) = await on.execute_fetchall("SELECT n FROM t WHERE id = ?", (row,))
    await on.execute("UPDATE t SET n = ? WHERE id = ?", (before + 1, row))
    done.append(row)


async def gathered(db, row, done):
    """Call on the connection what tasks of gather() await."""
    (before,), _ = await asyncio.gather(
        db.fetch_one("SELECT n FROM t WHERE id = ?", (row,)), db.fetch_scalar("SELECT 1")
    )
    await asyncio.wait_for(
        asyncio.shield(db.execute("UPDATE t SET n = ? WHERE id = ?", (before + 1, row))), 60
    )
    done.append(row)


async def savepoint(tx, additions, fails, done):
    inner = []
    with contextlib.suppress(Own):
        async with tx.savepoint() as part:
            for _, row, pauses in additions:
                await pause(pauses)
                await add(part, row, inner)
            if fails:
                raise Own
    if not fails:
        done.extend(inner)


async def siblings(tx, parts, done):
    """Run several savepoints at once; wait for all of them, whatever becomes of one."""
    tasks = [asyncio.create_task(savepoint(tx, *part, done)) for part in parts]
    try:
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if result is not None:
                raise result
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def step(db, tx, what, argument, last, done):
    if what == "savepoint":
        await savepoint(tx, argument, last, done)
        return
    if what == "siblings":
        await siblings(tx, argument, done)
        return
    await pause(last)
    if what in ("add", "db add"):
        await add(tx if what == "add" else db, argument, done)
    elif what == "gathered":
        await gathered(db, argument, done)
    elif what == "select":
        await tx.execute_fetchall("SELECT * FROM t")
    elif what == "doom":
        await tx.execute("INSERT INTO child VALUES(1)")
    else:
        conflict = "OR ROLLBACK" if what == "or rollback" else ""
        with contextlib.suppress(sqlite3.IntegrityError):
            await tx.execute(f"INSERT {conflict} INTO t VALUES(0, 0)")


async def body(db, tx, steps, done):
    for each in steps:
        await step(db, tx, *each, done)


async def by_hand(db, steps, end, held, done):
    tx = await db.begin()
    held.append(tx)
    try:
        await body(db, tx, steps, done)
        await (tx.commit() if end == "by hand" else tx.rollback())
    finally:
        await tx.rollback()


async def in_block(db, steps, end, held, done):
    async with db.transaction(deadline=0.0001 if end == "deadline" else None) as tx:
        held.append(tx)
        await body(db, tx, steps, done)
        if end == "raise":
            raise Own


async def by_run(db, steps, end, held, done):
    async def function(tx):
        held.append(tx)
        await body(db, tx, steps, done)

    await db.run_transaction(function)


async def plain(db, steps, committed):
    """Write outside of any transaction: each statement is one."""
    for what, row, pauses in steps:
        if what in ("add", "db add", "gathered"):
            await pause(pauses)
            await db.execute("UPDATE t SET n = n + 1 WHERE id = ?", (row,))
            committed.append(row)


async def work(db, steps, end, committed):
    done = []
    held = []
    if end == "plain":
        await plain(db, steps, committed)
        return
    ways = {"by hand": by_hand, "rollback": by_hand, "run": by_run}
    try:
        await ways.get(end, in_block)(db, steps, end, held, done)
    finally:
        if held:
            assert len(held) == 1
            assert held[0].outcome in ("committed", "rolled back"), held[0].outcome
            if held[0].outcome == "committed":
                committed.extend(done)


async def after(turns, call):
    await pause(turns)
    call()


def check(results):
    for result in results:
        assert result is None or isinstance(
            result, (Own, asyncio.CancelledError, sqlite3.Error, ValueError)
        ), repr(result)
        assert "deadlock" not in str(result)


async def prepare(db):
    await db.executescript(
        """
        PRAGMA foreign_keys=1;
        CREATE TABLE t(id INTEGER PRIMARY KEY, n);
        CREATE TABLE parent(x PRIMARY KEY);
        CREATE TABLE child(x REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
        """
    )
    await db.executemany("INSERT INTO t VALUES(?, 0)", [(row,) for row in range(6)])


async def run(tasks, closes, path):
    committed = []
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("PRAGMA synchronous=OFF")
        await prepare(db)
        running = []
        for steps, end, cancelled in tasks:
            running.append(asyncio.create_task(work(db, steps, end, committed)))
            if (
                cancelled is not None and end != "plain"
            ):  # … of which nobody could say what is left.
                running.append(asyncio.create_task(after(cancelled, running[-1].cancel)))
        if closes is not None:
            await pause(closes)
            await db.close()
        check(await asyncio.gather(*running, return_exceptions=True))
        if closes is None:
            # What was cancelled while it began is undone in its turn, before what is asked next.
            rows = await db.execute_fetchall("SELECT n FROM t ORDER BY id")
            assert not db.in_transaction
    if closes is not None:
        with contextlib.closing(sqlite3.connect(path)) as other:
            rows = other.execute("SELECT n FROM t ORDER BY id").fetchall()
    assert [n for (n,) in rows] == [committed.count(row) for row in range(6)]


@settings(
    max_examples=dose(150, 5000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(TASKS, CLOSES)
def test_what_is_left_is_what_was_committed(tasks, closes):
    if closes is None:
        asyncio.run(run(tasks, None, ":memory:"))
    else:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(run(tasks, closes, Path(directory) / "model.db"))
