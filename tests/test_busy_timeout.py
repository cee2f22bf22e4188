"""PRAGMA busy_timeout: how long locks are waited for, told and set, and what ends the wait."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from parity.outcomes import fetchall, scalar

import csqlite

SECONDS = 20
LONG = 10 * 60 * 1000  # Nobody waits so long: who does not end the wait, hangs.

ASK = {
    "pragma": "pragma busy_timeout",
    "upper": "PRAGMA BUSY_TIMEOUT",
    "commented": "/* a */ pragma -- b\n main . busy_timeout ;",
    "quoted": 'pragma "busy_timeout"',
    "table": "select timeout from pragma_busy_timeout",
    "table, in a query": "with x as (select * from pragma_busy_timeout()) select x.timeout from x",
}

SET = {
    "equals": ("pragma busy_timeout = 1500", 1500),
    "called": ("pragma busy_timeout(1500)", 1500),
    "upper": ("PRAGMA Main.Busy_Timeout=1500;", 1500),
    "commented": ("/* pragma */ pragma busy_timeout /* of */ = 1500", 1500),
    "quoted": ("pragma 'busy_timeout' = '1500'", 1500),
    "none": ("pragma busy_timeout = 0", 0),
    "negative": ("pragma busy_timeout = -5", 0),
    "nonsense": ("pragma busy_timeout = soon", 0),
    "hexadecimal": ("pragma busy_timeout = 0x10", 16),
    "too large": ("pragma busy_timeout = 99999999999", None),
    "of an attached database": ("pragma aux.busy_timeout = 1500", 1500),
}


def stdlib(sql, timeout):
    with closing(sqlite3.connect(":memory:", timeout=timeout)) as db:
        db.execute("attach ':memory:' as aux")
        return db.execute(sql).fetchall(), db.execute("pragma busy_timeout").fetchall()


@pytest.mark.parametrize("chunk", [1, 64])
@pytest.mark.parametrize("timeout", [0, 0.25, 3, 5.0])
@pytest.mark.parametrize("ask", sorted(ASK))
async def test_it_reads_what_timeout_says(ask, timeout, chunk):
    async with csqlite.connect(":memory:", timeout=timeout, iter_chunk_size=chunk) as db:
        for _ in range(2):
            expected, _ = stdlib(ASK[ask], timeout)
            assert expected == [(int(timeout * 1000),)]
            assert await fetchall(db, ASK[ask]) == expected
            assert await db.execute_fetchall(ASK[ask]) == expected
            assert await db._execute(lambda: db._conn.execute(ASK[ask]).fetchall()) == expected


async def by_execute(db, sql):
    return await fetchall(db, sql)


async def by_execute_fetchall(db, sql):
    return await db.execute_fetchall(sql)


async def by_view(db, sql):
    return await db._execute(lambda: db._conn.execute(sql).fetchall())


async def by_script(db, sql):
    await db.executescript(f"select 1; {sql.rstrip(';')}; select 2;")


BY = [by_execute, by_execute_fetchall, by_view, by_script]


@pytest.mark.parametrize("chunk", [1, 64])
@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("name", sorted(SET))
async def test_it_sets_and_reads_as_with_sqlite3(name, by, chunk):
    sql, value = SET[name]
    answer, after = stdlib(sql, 3)
    assert value is None or after == [(value,)]
    async with csqlite.connect(":memory:", timeout=3, iter_chunk_size=chunk) as db:
        await db.execute("attach ':memory:' as aux")
        for _ in range(2):
            assert await by(db, sql) in (answer, None)
            for ask in ASK.values():
                assert await fetchall(db, ask) == after
            await db.execute("pragma busy_timeout = 77")


async def test_what_is_not_run_sets_nothing():
    async with csqlite.connect(":memory:", timeout=3) as db:
        await db.statement_info("pragma busy_timeout = 1")
        assert await scalar(db, "pragma busy_timeout") == 3000
        with pytest.raises(csqlite.ProgrammingError):
            await db.executemany("pragma busy_timeout = 1", [()])
        assert await scalar(db, "pragma busy_timeout") == 3000
        await db.set_authorizer(lambda action, name, *rest: csqlite.SQLITE_DENY)
        with pytest.raises(csqlite.DatabaseError):
            await db.execute("pragma busy_timeout = 1")
        await db.set_authorizer(lambda action, name, *rest: csqlite.SQLITE_IGNORE)
        await db.execute("pragma busy_timeout = 1")
        await db.set_authorizer(None)
        assert await scalar(db, "pragma busy_timeout") == 3000


async def test_text_that_only_mentions_it_is_like_any_other():
    async with csqlite.connect(":memory:", timeout=3) as db:
        await db.execute("create table settings (name, busy_timeout)")
        await db.execute("insert into settings values ('pragma_busy_timeout', 5)")
        assert await scalar(db, "select busy_timeout from settings") == 5
        assert await fetchall(db, "pragma table_info(busy_timeout)") == []
        assert await scalar(db, "pragma busy_timeout") == 3000


# -- what ends the wait --------------------------------------------------------------


async def set_by_script(db):
    await db.executescript(f"select 1; pragma busy_timeout = {LONG}")


async def set_by_view(db):
    await db._execute(lambda: db._conn.execute(f"pragma busy_timeout = {LONG}"))


async def only_read(db):
    await db.execute("pragma busy_timeout")


async def only_read_table(db):
    await db.execute("select * from pragma_busy_timeout")


async def only_described(db):
    await db.statement_info(f"pragma busy_timeout = {LONG}")


async def failed(db):
    with pytest.raises(csqlite.ProgrammingError):
        await db.execute(f"pragma busy_timeout = {LONG}; select 1")


BEFORE = {
    "execute": lambda db: db.execute(f"pragma busy_timeout = {LONG}"),
    "execute, twice": lambda db: db.execute_fetchall(f"pragma busy_timeout({LONG})"),
    "execute_insert": lambda db: db.execute_insert(f"pragma busy_timeout = {LONG}"),
    "script": set_by_script,
    "view": set_by_view,
    "read": only_read,
    "table": only_read_table,
    "described": only_described,
    "failed": failed,
}


async def cancel(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("how", ["cancel", "deadline", "timeout"])
@pytest.mark.parametrize("before", sorted(BEFORE))
async def test_wait_for_a_lock_ends_after_it(tmp_path, before, how):
    path = tmp_path / "a.db"
    async with (
        csqlite.connect(path, isolation_level=None) as holder,
        csqlite.connect(path, isolation_level=None, timeout=LONG / 1000) as db,
    ):
        await holder.execute("begin immediate")
        await BEFORE[before](db)
        if how == "cancel":
            task = asyncio.ensure_future(db.execute("begin immediate"))
            await asyncio.sleep(0.02)
            await cancel(task)
        elif how == "deadline":
            with pytest.raises(csqlite.DeadlineExceeded):
                await db.execute("begin immediate", deadline=0.02)
        else:
            with pytest.raises(csqlite.DeadlineExceeded):
                async with csqlite.timeout(0.02):
                    await db.execute("begin immediate")
        assert await asyncio.wait_for(scalar(db, "select 1"), SECONDS) == 1
        assert not db.in_transaction


async def test_it_is_kept(tmp_path):
    path = tmp_path / "a.db"
    async with (
        csqlite.connect(path, isolation_level=None) as holder,
        csqlite.connect(path, isolation_level=None, timeout=LONG / 1000) as db,
    ):
        await holder.execute("begin immediate")
        for none in ("pragma busy_timeout = 0", "pragma busy_timeout = 5"):
            await db.execute(none)
            with pytest.raises(csqlite.OperationalError, match="database is locked"):
                await asyncio.wait_for(db.execute("begin immediate"), SECONDS)
        await db.execute(f"pragma busy_timeout = {LONG}")
        task = asyncio.ensure_future(db.execute("begin immediate"))
        await asyncio.sleep(0.02)
        await holder.execute("commit")
        await asyncio.wait_for(task, SECONDS)
        assert db.in_transaction
