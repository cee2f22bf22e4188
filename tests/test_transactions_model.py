"""Tasks, transactions, savepoints, cancellations and failing statements, in any order, against a model.

A program is a list of what tasks do. They run at once on one connection, and each pauses between
its steps as often as the program says. However they come to interleave, what is left is
what the transactions that were committed leave when they run one after the other.
"""

import asyncio
import contextlib
import sqlite3

from hypothesis import HealthCheck, given, settings, strategies as st

import csqlite

ROWS = st.integers(0, 5)
PAUSES = st.integers(0, 3)

# (what, row, pauses): an addition, and what may end a transaction.
STEPS = st.one_of(
    st.tuples(st.sampled_from(["add", "db add", "select", "fail", "or rollback"]), ROWS, PAUSES),
    st.tuples(
        st.just("savepoint"),
        st.lists(st.tuples(st.just("add"), ROWS, PAUSES), max_size=3),
        st.booleans(),
    ),
)
TASKS = st.lists(
    st.tuples(
        st.lists(STEPS, max_size=5),
        st.sampled_from(["commit", "commit", "raise", "by hand", "rollback"]),
        st.one_of(st.none(), st.integers(0, 12)),  # after how many turns it is cancelled
    ),
    min_size=1,
    max_size=6,
)


class Own(Exception):
    """What a body is left by."""


async def pause(turns):
    for _ in range(turns):
        await asyncio.sleep(0)


async def add(on, row, done):
    ((before,),) = await on.execute_fetchall("SELECT n FROM t WHERE id = ?", (row,))
    await on.execute("UPDATE t SET n = ? WHERE id = ?", (before + 1, row))
    done.append(row)


async def step(db, tx, what, argument, last, done):
    if what == "savepoint":
        inner = []
        with contextlib.suppress(Own):
            async with tx.savepoint() as part:
                for _, row, pauses in argument:
                    await pause(pauses)
                    await add(part, row, inner)
                if last:
                    raise Own
        if not last:
            done.extend(inner)
        return
    await pause(last)
    if what in ("add", "db add"):
        await add(tx if what == "add" else db, argument, done)
    elif what == "select":
        await tx.execute_fetchall("SELECT * FROM t")
    else:
        conflict = "OR ROLLBACK" if what == "or rollback" else ""
        with contextlib.suppress(sqlite3.IntegrityError):
            await tx.execute(f"INSERT {conflict} INTO t VALUES(0, 0)")


async def body(db, tx, steps, done):
    for each in steps:
        await step(db, tx, *each, done)


async def work(db, steps, end, committed):
    done = []
    tx = None
    try:
        if end in ("by hand", "rollback"):
            tx = await db.begin()
            try:
                await body(db, tx, steps, done)
                await (tx.commit() if end == "by hand" else tx.rollback())
            finally:
                await tx.rollback()
        else:
            async with db.transaction() as tx:
                await body(db, tx, steps, done)
                if end == "raise":
                    raise Own
    finally:
        if tx is not None:
            assert tx.outcome in ("committed", "rolled back")
            if tx.outcome == "committed":
                committed.extend(done)


async def cancel_after(task, turns):
    await pause(turns)
    task.cancel()


async def run(tasks):
    committed = []
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        await db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
        await db.executemany("INSERT INTO t VALUES(?, 0)", [(row,) for row in range(6)])
        running = []
        for steps, end, cancelled in tasks:
            running.append(asyncio.create_task(work(db, steps, end, committed)))
            if cancelled is not None:
                running.append(asyncio.create_task(cancel_after(running[-1], cancelled)))
        results = await asyncio.gather(*running, return_exceptions=True)
        for result in results:
            assert result is None or isinstance(
                result, (Own, asyncio.CancelledError, sqlite3.OperationalError)
            ), repr(result)
            assert "deadlock" not in str(result)
        # What was cancelled while it began is undone in its turn, before what is asked next.
        rows = await db.execute_fetchall("SELECT n FROM t ORDER BY id")
        assert not db.in_transaction
    assert [n for (n,) in rows] == [committed.count(row) for row in range(6)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TASKS)
def test_what_is_left_is_what_was_committed(tasks):
    asyncio.run(run(tasks))
