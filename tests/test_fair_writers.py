"""Who waits to write to a file stands in a line: in which order, what ends it, who need not."""

import asyncio
import os
import sqlite3
import sys
import textwrap
from contextlib import AsyncExitStack

import pytest
from writing import made, opened, values, waiting

import csqlite

SECONDS = 30
MODES = ["wal", "delete"]


@pytest.fixture(params=MODES)
def path(request, tmp_path):
    return made(tmp_path / "a.db", request.param)


async def begin(db):
    await db.execute("begin immediate")


async def insert(db, value):
    await db.execute("insert into t values(?)", (value,))


WAYS = {
    "immediate": ["begin immediate", "insert into t values(1)", "commit"],
    "exclusive": ["begin exclusive", "insert into t values(1)", "commit"],
    "deferred": ["begin", "insert into t values(1)", "commit"],
    "savepoint": ["savepoint s", "insert into t values(1)", "release s"],
    "autocommit": ["insert into t values(1)"],
    "update": ["insert into t values(1)", "update t set a = 1"],
    "with": ["with x(a) as (select 1) insert into t select a from x"],
    "rolled back": ["begin immediate", "rollback", "insert into t values(1)"],
}


@pytest.mark.parametrize("way", WAYS)
async def test_all_of_many_writers_write_in_turn(path, way):
    async with AsyncExitStack() as stack:
        dbs = await opened(stack, path, 8)

        async def write(db):
            for _ in range(10):
                for sql in WAYS[way]:
                    await db.execute(sql)

        await asyncio.gather(*[write(db) for db in dbs])
    assert len(values(path)) == 80


@pytest.mark.parametrize("isolation_level", ["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
async def test_implicit_transactions_take_turns(path, isolation_level):
    async with AsyncExitStack() as stack:
        dbs = await opened(stack, path, 8, isolation_level=isolation_level)

        async def write(db):
            for _ in range(10):
                await insert(db, 1)
                await db.commit()

        await asyncio.gather(*[write(db) for db in dbs])
    assert len(values(path)) == 80


@pytest.mark.parametrize("mode", ["deferred", "immediate", "exclusive"])
async def test_blocks_take_turns(path, mode):
    order = []
    async with AsyncExitStack() as stack:
        first, *others = await opened(stack, path, 6)

        async def write(db, number):
            async with db.transaction(mode) as tx:
                await tx.execute("insert into t values(?)", (number,))
                order.append(number)

        async with first.transaction() as tx:
            tasks = []
            for number, db in enumerate(others):
                tasks.append(asyncio.create_task(write(db, number)))
                await waiting(path, number + 1)
            await tx.execute("insert into t values(9)")
        await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_a_block_ends_what_is_half_read_and_waits(path):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2, iter_chunk_size=1)
        await first.executemany("insert into t values(?)", [(1,), (2,), (3,)])
        cursor = await second.execute("select a from t")
        await cursor.fetchone()
        await begin(first)

        async def write():
            async with second.transaction() as tx:
                await tx.execute("insert into t values(4)")

        task = asyncio.create_task(write())
        await waiting(path, 1)
        await first.commit()
        await task
    assert values(path) == [1, 2, 3, 4]


async def test_many_rows_and_scripts_take_turns(path):
    async with AsyncExitStack() as stack:
        dbs = await opened(stack, path, 6)
        script = "begin immediate; insert into t values(1); commit; insert into t values(1);"

        async def write(db, number):
            for _ in range(5):
                if number % 2:
                    await db.executemany("insert into t values(?)", [(1,), (1,)])
                else:
                    await db.executescript(script)

        await asyncio.gather(*[write(db, number) for number, db in enumerate(dbs)])
    assert len(values(path)) == 60


async def test_nobody_is_left_behind(path):
    each = 40
    done = dict.fromkeys(range(8), 0)
    async with AsyncExitStack() as stack:
        dbs = await opened(stack, path, len(done))
        behind = []

        async def write(db, number):
            for _ in range(each):
                await begin(db)
                await insert(db, number)
                await db.commit()
                done[number] += 1
                if done[number] == each and not behind:
                    behind.append(min(done.values()))

        await asyncio.gather(*[write(db, number) for number, db in enumerate(dbs)])
    assert behind[0] >= each / 2


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_the_next_one_goes_on_when_the_transaction_ends(path, end):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await begin(first)
        task = asyncio.create_task(insert(second, 2))
        await insert(first, 1)
        assert not task.done()
        await first.execute(end)
        await task
    assert values(path) == ([1, 2] if end == "commit" else [2])


async def test_the_next_one_goes_on_when_the_connection_is_closed(path):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await begin(first)
        await insert(first, 1)
        task = asyncio.create_task(insert(second, 2))
        await asyncio.sleep(0)
        await first.close()
        await task
    assert values(path) == [2]


async def test_who_is_cancelled_leaves_no_gap(path):
    async with AsyncExitStack() as stack:
        first, *others = await opened(stack, path, 5)
        await begin(first)
        tasks = [asyncio.create_task(insert(db, number)) for number, db in enumerate(others)]
        await insert(first, 9)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks[::2], return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        await first.commit()
        await asyncio.gather(*tasks[1::2])
        # The connections of the cancelled ones go on, too.
        for number, db in enumerate(others[::2]):
            await insert(db, 20 + number)
    assert values(path) == [1, 3, 9, 20, 21]


async def test_a_deadline_ends_the_wait(path):
    async with AsyncExitStack() as stack:
        first, second, third = await opened(stack, path, 3)
        await begin(first)
        last = asyncio.create_task(insert(third, 3))
        with pytest.raises(csqlite.DeadlineExceeded):
            await second.execute("insert into t values(2)", deadline=0.05)
        await first.rollback()
        await last
        assert not second.in_transaction
    assert values(path) == [3]


@pytest.mark.parametrize("timeout", [0, 0.05])
@pytest.mark.parametrize("way", WAYS)
async def test_a_wait_in_vain_is_the_error_of_sqlite3(path, way, timeout):
    sql = next(sql for sql in WAYS[way] if sql not in ("begin", "savepoint s"))
    async with AsyncExitStack() as stack:
        (first,) = await opened(stack, path)
        (second,) = await opened(stack, path, timeout=timeout)
        await begin(first)
        oracle = sqlite3.connect(path, timeout=timeout, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError) as expected:
            oracle.execute(sql)
        oracle.close()
        with pytest.raises(sqlite3.OperationalError) as caught:
            await second.execute(sql)
        assert caught.value.args == expected.value.args == ("database is locked",)
        assert caught.value.sqlite_errorname == "SQLITE_BUSY"
        await first.rollback()
        await second.execute("insert into t values(1)")
    assert values(path) == [1]


async def test_readers_do_not_stand_in_the_line(path):
    async with AsyncExitStack() as stack:
        first, second, reader = await opened(stack, path, 3)
        await begin(first)
        task = asyncio.create_task(insert(second, 2))
        for _ in range(3):
            assert await reader.execute_fetchall("select count(*) from t") == [(0,)]
        await first.commit()
        await task


async def test_who_has_read_does_not_wait(path):
    """It could only be told BUSY_SNAPSHOT, or keep the one that writes from committing."""
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await second.execute("begin")
        await second.execute_fetchall("select * from t")
        await begin(first)
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            await insert(second, 2)
        await second.rollback()
        await insert(first, 1)
        await first.commit()
    assert values(path) == [1]


OWN = [
    "create temp table u(a)",
    "insert into temp.own values(1)",
    "insert into own values(1)",
    "update own set a = 2",
    "delete from own",
    "insert into elsewhere values(1)",
    "insert into aux.elsewhere values(1)",
]


@pytest.mark.parametrize("sql", OWN)
async def test_what_is_written_elsewhere_does_not_wait(path, sql):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await second.execute("create temp table own(a)")
        await second.execute("attach ':memory:' as aux")
        await second.execute("create table aux.elsewhere(a)")
        await begin(first)
        await second.execute(sql)
        await first.commit()


@pytest.mark.parametrize("name", [":memory:", "", "file::memory:?cache=shared"])
async def test_what_has_no_file_has_no_line(name):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, name, 2, timeout=0.05, uri=True)
        await first.execute("create table t(a)")
        await begin(first)
        if "shared" in name:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                await begin(second)
        else:
            await begin(second)


async def test_another_file_of_the_same_name_has_another_line(tmp_path):
    path = str(tmp_path / "a.db")
    async with AsyncExitStack() as stack:
        first, third = await opened(stack, path, 2)
        await first.execute("create table t(a)")
        os.rename(path, tmp_path / "old.db")
        (second,) = await opened(stack, path)
        await begin(first)
        await second.execute("create table t(a)")
        await insert(second, 1)
        task = asyncio.create_task(begin(third))
        await insert(second, 2)
        assert not task.done()
        await first.rollback()
        await task
    assert values(path) == [1, 2]


async def test_half_read_rows_of_a_write_keep_the_turn(path):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2, iter_chunk_size=1)
        cursor = await first.execute("insert into t values(1), (2), (3) returning a")
        task = asyncio.create_task(insert(second, 4))
        assert await cursor.fetchone() == (1,)
        await cursor.close()
        await task
    assert values(path)[-1] == 4


async def test_a_cancelled_call_that_never_ran_ends_the_turn(path):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2, iter_chunk_size=1)
        gate = asyncio.Event()

        async def pass_gate():
            await gate.wait()
            return 1

        await first.create_function("pass_gate", 0, pass_gate)
        cursor = await first.execute("insert into t values(1), (2), (3) returning a")
        waiting = asyncio.create_task(insert(second, 4))
        slow = asyncio.create_task(first.execute("select pass_gate()"))
        await asyncio.sleep(0)
        fetching = asyncio.create_task(cursor.fetchall())
        await asyncio.sleep(0)
        fetching.cancel()
        gate.set()
        await asyncio.gather(slow, fetching, return_exceptions=True)
        await waiting


async def test_who_may_only_read_is_told_so_at_once(path):
    async with AsyncExitStack() as stack:
        (first,) = await opened(stack, path)
        (reader,) = await opened(stack, f"file:{path}?mode=ro", uri=True)
        await begin(first)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await insert(reader, 1)
        await first.commit()


async def test_four_times_as_many_wait_as_there_are_processors(path):
    async with AsyncExitStack() as stack:
        first, *others = await opened(stack, path, 1 + 4 * max(4, os.cpu_count() or 1))
        await begin(first)
        tasks = [asyncio.create_task(insert(db, number)) for number, db in enumerate(others)]
        await insert(first, -1)
        # Whoever waits takes nothing that others need.
        (reader,) = await opened(stack, path)
        assert await reader.execute_fetchall("select 1") == [(1,)]
        await first.commit()
        await asyncio.gather(*tasks)
    assert len(values(path)) == len(others) + 1


WRITERS = """
    import asyncio, sys, csqlite

    async def write(path):
        async with csqlite.connect(path, timeout=30, isolation_level=None) as db:
            for _ in range(20):
                await db.execute("begin immediate")
                await db.execute("insert into t values(1)")
                await db.execute("commit")

    async def main(path):
        print("ready", flush=True)
        sys.stdin.readline()
        await asyncio.gather(*[write(path) for _ in range(8)])

    asyncio.run(main(sys.argv[1]))
"""


async def test_writers_of_two_processes_all_come_to_write(path):
    program = textwrap.dedent(WRITERS)
    pipe = asyncio.subprocess.PIPE
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, path, stdin=pipe, stdout=pipe, stderr=pipe
        )
        for _ in range(2)
    ]
    for child in children:
        assert await child.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*[child.communicate(b"\n") for child in children])
    assert [child.returncode for child in children] == [0, 0], outputs
    assert len(values(path)) == 2 * 8 * 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork()")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_forked_child_has_lines_of_its_own(path):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await begin(first)
        task = asyncio.create_task(insert(second, 2))
        await insert(first, 1)
        program = textwrap.dedent(
            """
            import asyncio, os, sqlite3, sys, csqlite

            async def main(path):
                first = await csqlite.connect(path, isolation_level=None, timeout=600)
                await first.execute("begin immediate")
                child = os.fork()
                if child == 0:
                    try:
                        asyncio.set_event_loop(None)
                        asyncio.events._set_running_loop(None)
                        asyncio.run(in_child(path))
                    except sqlite3.OperationalError as error:
                        os._exit(3 if "locked" in str(error) else 4)
                    os._exit(5)
                status = os.waitpid(child, 0)[1]
                await first.close()
                sys.exit(os.WEXITSTATUS(status))

            async def in_child(path):
                db = await csqlite.connect(path, isolation_level=None, timeout=0.05)
                await db.execute("begin immediate")

            asyncio.run(main(sys.argv[1]))
            """
        )
        await first.commit()
        await task
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, path)
        assert await child.wait() == 3


async def refused(db, sql="insert into t values(2)"):
    with pytest.raises(sqlite3.OperationalError, match="database is locked") as caught:
        await db.execute(sql)
    return caught.value, "\n".join(getattr(caught.value, "__notes__", []))


async def test_an_error_says_which_connection_has_the_lock(path):
    async with AsyncExitStack() as stack:
        (first,) = await opened(stack, path)
        (second,) = await opened(stack, path, timeout=0)
        await begin(first)
        error, notes = await refused(second)
        assert error.lock_sql == "begin immediate"
        await first.execute("insert  into t\nvalues(/* ü */ 'secret')")
        error, notes = await refused(second)
        assert error.lock_process == os.getpid()
        assert error.lock_sql == "insert  into t\nvalues(/* ü */ 'secret')"
        assert error.lock_seconds >= 0
        assert "another connection of this process has the lock for" in notes
        assert "insert into t values(/* ü */ 'secret')" in notes
        assert "has read" not in notes


async def test_long_sql_is_cut_between_characters(path):
    async with AsyncExitStack() as stack:
        (first,) = await opened(stack, path)
        (second,) = await opened(stack, path, timeout=0)
        await begin(first)
        for blanks in range(4):
            await first.execute("rollback")
            sql = f"insert into t{' ' * blanks} values('{'€' * 200}')"
            await first.execute("begin")
            await first.execute(sql)
            error, _ = await refused(second)
            assert sql.startswith(error.lock_sql) and len(error.lock_sql) > 60


async def test_an_error_says_that_the_transaction_has_read(path):
    async with AsyncExitStack() as stack:
        first, second = await opened(stack, path, 2)
        await second.execute("begin")
        await second.execute_fetchall("select * from t")
        await begin(first)
        _, notes = await refused(second)
        assert "has read before" in notes
        await second.rollback()


async def test_an_error_names_another_process(path):
    program = (
        "import sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('begin immediate')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, path, stdin=pipe, stdout=pipe
    )
    assert await child.stdout.readline() == b"ready\n"
    async with AsyncExitStack() as stack:
        (db,) = await opened(stack, path, timeout=0)
        error, notes = await refused(db)
        assert error.lock_sql is error.lock_seconds is None
        if sys.platform == "linux":
            assert error.lock_process == child.pid
            assert f"process {child.pid} has the lock" in notes
    await child.communicate(b"\n")
