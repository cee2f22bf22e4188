"""With ATTACH a connection stands in a line for each of its files: in which order, and when it need not wait."""

import asyncio
import os
import sqlite3
from contextlib import AsyncExitStack

import pytest
from writing import made, opened, states, values, waiting

import csqlite

pytestmark = pytest.mark.skipif(
    csqlite.sqlite_version_info < (3, 39), reason="SQLite does not say what is attached"
)


@pytest.fixture(params=["wal", "delete"])
def files(request, tmp_path):
    """Two databases, in the order in which BEGIN IMMEDIATE takes their locks."""
    paths = [made(tmp_path / name, request.param) for name in ("a.db", "b.db")]
    return sorted(paths, key=lambda path: (os.stat(path).st_dev, os.stat(path).st_ino))


async def attached(stack, main, *others, **options):
    """Open `main` with the others attached as o0, o1, …"""
    (db,) = await opened(stack, main, **options)
    for number, other in enumerate(others):
        await db.execute(f"attach ? as o{number}", (str(other),))
    return db


BEGINNINGS = ["begin immediate", "begin exclusive"]


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_two_that_attach_the_other_way_round_never_meet(files, beginning):
    first, second = files
    async with AsyncExitStack() as stack:
        dbs = [
            await attached(stack, *(files if number % 2 else files[::-1])) for number in range(6)
        ]

        async def write(db):
            for _ in range(15):
                await db.execute(beginning)
                await db.execute("insert into main.t values(1)")
                await db.execute("insert into o0.t values(1)")
                await db.commit()

        await asyncio.gather(*map(write, dbs))
    assert len(values(first)) == len(values(second)) == 90


async def test_blocks_and_implicit_transactions_take_all_turns(files):
    first, second = files
    async with AsyncExitStack() as stack:
        dbs = [
            await attached(
                stack, *(files if number % 2 else files[::-1]), isolation_level="IMMEDIATE"
            )
            for number in range(6)
        ]

        async def write(db, number):
            for _ in range(10):
                if number % 3 == 0:
                    async with db.transaction() as tx:
                        await tx.execute("insert into t values(1)")
                        await tx.execute("insert into o0.t values(1)")
                else:
                    await db.execute("insert into t values(1)")
                    await db.execute("insert into o0.t values(1)")
                    await db.commit()

        await asyncio.gather(*[write(db, number) for number, db in enumerate(dbs)])
    assert len(values(first)) == len(values(second)) == 60


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("which", [0, 1])
async def test_begin_waits_for_whoever_has_one_of_the_files(files, which, turned):
    async with AsyncExitStack() as stack:
        db = await attached(stack, *(files[::-1] if turned else files))
        (holder,) = await opened(stack, files[which])
        await holder.execute("begin immediate")
        task = asyncio.create_task(db.execute("begin immediate"))
        await waiting(files[which], 1)
        if which == 1:
            assert states(files[0]) == ["writes"]
        await holder.commit()
        await task
        assert states(files[0])[:1] == states(files[1])[:1] == ["writes"]
        await db.rollback()
        assert "writes" not in states(files[0]) + states(files[1])


WRITES = {
    "named": "insert into o0.u values(1)",
    "found": "insert into u values(1)",
    "with": "with x(a) as (select 1) insert into o0.u select a from x",
    "create": "create table o0.v(a)",
    "drop": "drop table o0.u",
    "alter": "alter table o0.u add column b",
    "index": "create index o0.i on u(a)",
    "reindex": "reindex o0.u",
    "version": "pragma o0.user_version = 7",
    "update": "update u set a = 1",
    "delete": "delete from o0.u",
    "trigger": "insert into local values(1)",
}


async def attached_with_tables(stack, files, **options):
    db = await attached(stack, *files, **options)
    await db.execute("create table o0.u(a)")
    await db.execute("create index o0.j on u(a)")
    await db.execute("create temp table local(a)")
    await db.execute(
        "create temp trigger across after insert on local begin insert into u values(1); end"
    )
    return db


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.parametrize("begun", [False, True])
async def test_a_write_to_an_attached_file_stands_in_its_line_alone(files, what, begun):
    first, second = files
    async with AsyncExitStack() as stack:
        db = await attached_with_tables(stack, files)
        other, main = await opened(stack, second), await opened(stack, first)
        if what != "trigger":  # Of which nobody knows where it writes.
            await main[0].execute("begin immediate")
        await other[0].execute("begin immediate")
        if begun:
            await db.execute("begin")
        task = asyncio.create_task(db.execute(WRITES[what]))
        await waiting(second, 1)
        await other[0].commit()
        await task
        await db.commit()
        await main[0].commit()


async def test_one_that_has_written_here_waits_for_there(files):
    first, second = files
    async with AsyncExitStack() as stack:
        db = await attached(stack, first, second)
        (holder,) = await opened(stack, second)
        await holder.execute("begin immediate")
        await db.execute("begin")
        await db.execute("insert into main.t values(1)")
        task = asyncio.create_task(db.execute("insert into o0.t values(1)"))
        await waiting(second, 1)
        await holder.commit()
        await task
        await db.commit()
    assert values(first) == values(second) == [1]


@pytest.mark.parametrize("turned", [False, True])
async def test_a_circle_is_told_to_the_one_who_closes_it(files, turned):
    first, second = files[::-1] if turned else files
    async with AsyncExitStack() as stack:
        one, two = await attached(stack, first, second), await attached(stack, second, first)
        for db in one, two:
            await db.execute("begin")
            await db.execute("insert into main.t values(1)")
        task = asyncio.create_task(one.execute("insert into o0.t values(1)"))
        await waiting(second, 1)
        with pytest.raises(sqlite3.OperationalError, match="database is locked") as caught:
            await two.execute("insert into o0.t values(1)")
        assert "deadlock" in "".join(caught.value.__notes__)
        assert caught.value.lock_sql == "insert into main.t values(1)"
        await two.rollback()
        await task
        await one.commit()
    assert values(first) == values(second) == [1]


async def test_who_has_a_lock_goes_before_one_that_has_only_its_turn(files):
    """BEGIN IMMEDIATE has its turn in the first file, and waits for the second."""
    first, second = files
    async with AsyncExitStack() as stack:
        both, one = await attached(stack, first, second), await attached(stack, second, first)
        await one.execute("begin")
        await one.execute("insert into main.t values(1)")
        task = asyncio.create_task(both.execute("begin immediate"))
        await waiting(second, 1)
        await one.execute("insert into o0.t values(1)")
        await one.commit()
        await task
        await both.rollback()
    assert values(first) == values(second) == [1]


async def test_detached_and_attached_anew_in_between(files, tmp_path):
    first, second = files
    third = made(tmp_path / "c.db", "wal")
    async with AsyncExitStack() as stack:
        db = await attached(stack, first, second)
        holders = [(await opened(stack, path))[0] for path in (second, third)]
        await db.execute("insert into o0.t values(1)")
        await db.execute("detach o0")
        await holders[0].execute("begin immediate")
        await db.execute("begin immediate")
        await db.rollback()
        await db.execute("attach ? as o0", (third,))
        await db.execute("begin immediate")
        assert states(third)[:1] == ["writes"] and states(second)[:1] == ["writes"]
        await db.rollback()
        await db.executescript(f"detach o0; attach '{second}' as o0")
        task = asyncio.create_task(db.execute("begin immediate"))
        await waiting(second, 1)
        await holders[0].rollback()
        await task
        await db.rollback()
        # The file of this name is another one now.
        await db.execute("detach o0")
        os.rename(second, second + "-old")
        made(second, "delete")
        await holders[0].execute("begin immediate")
        await db.execute("attach ? as o0", (second,))
        await db.execute("begin immediate")
        assert states(second)[:1] == ["writes"]
        await db.rollback()


async def test_attached_within_a_transaction(files):
    first, second = files
    async with AsyncExitStack() as stack:
        (db,), (holder,) = await opened(stack, first), await opened(stack, second)
        await holder.execute("begin immediate")
        await db.execute("begin")
        await db.execute("attach ? as o0", (second,))
        task = asyncio.create_task(db.execute("insert into o0.t values(1)"))
        await waiting(second, 1)
        await holder.commit()
        await task
        await db.commit()
    assert values(second) == [1]


async def test_the_same_file_twice_has_one_place(files):
    first, _ = files
    async with AsyncExitStack() as stack:
        db = await attached(stack, first, first)
        (other,) = await opened(stack, first)
        await db.execute("insert into o0.t values(1)")
        await db.execute("begin")
        await db.execute("insert into o0.t values(2)")
        task = asyncio.create_task(other.execute("insert into t values(3)"))
        await waiting(first, 1)
        await db.commit()
        await task
    assert values(first) == [1, 2, 3]


async def test_an_attached_file_that_may_only_be_read_is_not_waited_for(files):
    first, second = files
    async with AsyncExitStack() as stack:
        (db,) = await opened(stack, f"file:{first}", uri=True)
        await db.execute("attach ? as o0", (f"file:{second}?mode=ro",))
        (holder,) = await opened(stack, second)
        await holder.execute("begin immediate")
        await db.execute("begin immediate")
        await db.rollback()


async def test_of_a_database_in_memory_the_attached_file_has_a_line(files):
    first, _ = files
    async with AsyncExitStack() as stack:
        db = await attached(stack, ":memory:", first)
        (holder,) = await opened(stack, first)
        await holder.execute("begin immediate")
        for sql in ("begin immediate", "insert into t values(1)"):
            task = asyncio.create_task(db.execute(sql))
            await waiting(first, 1)
            await holder.rollback()
            await task
            await db.commit()
            await holder.execute("begin immediate")


@pytest.mark.parametrize("which", [0, 1])
async def test_who_is_cancelled_leaves_no_gap_in_any_line(files, which):
    async with AsyncExitStack() as stack:
        db = await attached(stack, *files)
        (holder,), (third,) = await opened(stack, files[which]), await opened(stack, files[0])
        await holder.execute("begin immediate")
        task = asyncio.create_task(db.execute("begin immediate"))
        await waiting(files[which], 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if which == 1:
            await third.execute("insert into t values(3)")
        await holder.rollback()
        await third.execute("insert into t values(3)")
        await db.execute("begin immediate")
        await db.rollback()


async def test_a_wait_in_vain_for_one_of_two_leaves_no_gap(files):
    first, second = files
    async with AsyncExitStack() as stack:
        db = await attached(stack, first, second, timeout=0.05)
        (holder,), (third,) = await opened(stack, second), await opened(stack, first)
        await holder.execute("begin immediate")
        with pytest.raises(sqlite3.OperationalError, match="database is locked") as caught:
            await db.execute("begin immediate")
        assert caught.value.lock_sql == "begin immediate"
        await third.execute("insert into t values(1)")
        assert not db.in_transaction


async def test_closing_ends_all_turns(files):
    async with AsyncExitStack() as stack:
        db = await attached(stack, *files)
        others = [(await opened(stack, path))[0] for path in files]
        await db.execute("begin immediate")
        tasks = [asyncio.create_task(other.execute("begin immediate")) for other in others]
        for path in files:
            await waiting(path, 1)
        await db.close()
        await asyncio.gather(*tasks)
