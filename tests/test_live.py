"""subscribe(): what is committed, in batches, by any connection of the process."""

import asyncio
import contextlib
import dataclasses
import gc
import json
import os
import sqlite3
import subprocess
import sys
import weakref

import pytest

import csqlite
from csqlite.live import Change, ChangeBatch

SCHEMA = """
    create table t (a integer primary key, b unique);
    create table u (a integer primary key, t references t on delete cascade);
    create table keyed (k text primary key, v) without rowid;
    create table log (what);
    create trigger noted after insert on u begin insert into log values (new.a); end;
"""


@pytest.fixture
def db(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA)
    return csqlite.connect(path, isolation_level=None, pragmas={"foreign_keys": True})


@pytest.fixture
def filled(db, path):
    """Put rows into its tables, before it is opened."""
    with contextlib.closing(sqlite3.connect(path)) as filling:
        filling.executescript(
            "insert into t values (1, 'one'), (2, 'two'); insert into u values (3, 2);"
            "insert into keyed values ('k', 1); delete from log"
        )


async def taken(subscription):
    """Return the next batch as its tables and (operation, table, rowid)."""
    batch = await asyncio.wait_for(anext_of(subscription), 30)
    return batch.tables, [(c.operation, c.table, c.rowid) for c in batch.changes]


def anext_of(subscription):
    return subscription.__anext__()


async def is_quiet(db, subscription):
    """Return whether nothing is waiting: a commit to be told comes first."""
    await db.execute("insert into log values ('end')")
    tables, _ = await taken(subscription)
    return tables == ("log",)


CHANGES = {
    "insert": ("insert into t values (7, 1)", ("t",), [("INSERT", "t", 7)]),
    "update": ("update t set b = 9 where a = 1", ("t",), [("UPDATE", "t", 1)]),
    "delete": ("delete from t where a = 1", ("t",), [("DELETE", "t", 1)]),
    "new rowid": (
        "update t set a = 5 where a = 1",
        ("t",),
        [("DELETE", "t", 1), ("INSERT", "t", 5)],
    ),
    "replace": (
        "replace into t values (5, 'one')",
        ("t",),
        [("DELETE", "t", 1), ("INSERT", "t", 5)],
    ),
    "upsert": (
        "insert into t values (1, 0) on conflict do update set b = 'x'",
        ("t",),
        [("UPDATE", "t", 1)],
    ),
    "truncate": ("delete from u", ("u",), [("DELETE", "u", 3)]),
    "cascade": (
        "delete from t where a = 2",
        ("t", "u"),
        [("DELETE", "t", 2), ("DELETE", "u", 3)],
    ),
    "trigger": (
        "insert into u values (8, 1)",
        ("u", "log"),
        [("INSERT", "u", 8), ("INSERT", "log", 1)],
    ),
    "without rowid, insert": (
        "insert into keyed values ('x', 1), ('y', 1)",
        ("keyed",),
        [("INSERT", "keyed", None)],
    ),
    "without rowid, delete": (
        "delete from keyed where k = 'k'",
        ("keyed",),
        [("DELETE", "keyed", None)],
    ),
    "returning": (
        "insert into t values (7, 1) returning a",
        ("t",),
        [("INSERT", "t", 7)],
    ),
    "transaction": (
        "begin; insert into t values (7, 1); delete from log; update t set b = 3 where a = 7; commit",
        ("t",),
        [("INSERT", "t", 7), ("UPDATE", "t", 7)],
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
async def test_what_is_committed(db, filled, kind):
    sql, tables, rows = CHANGES[kind]
    async with db.subscribe() as subscription:
        if ";" in sql:
            await db.executescript(sql)
        else:
            await db.execute_fetchall(sql)
        told = await taken(subscription)
        assert told[0] == tables
        # A cascade's rows may stand before those that it follows.
        assert sorted(told[1], key=str) == sorted(rows, key=str)
        assert await is_quiet(db, subscription)


async def test_without_rowid_update(db, filled):
    async with db.subscribe("keyed") as subscription:
        await db.execute("update keyed set v = 2")
        tables, rows = await taken(subscription)
        assert tables == ("keyed",)
        assert rows and {rowid for _, _, rowid in rows} == {None}


async def test_statements_prepared_before(db, filled):
    for _ in range(2):
        await db.execute("delete from u")
        await db.execute("insert into u values (3, 2)")
    async with db.subscribe("u") as subscription:
        await db.execute("delete from u")
        assert await taken(subscription) == (("u",), [("DELETE", "u", 3)])


async def test_preupdate_hook_sees_a_delete_prepared_before(db, filled):
    seen = []
    await db.execute("delete from u")
    await db.execute("insert into u values (3, 2)")
    await db.set_preupdate_hook(lambda change: seen.append(change.op))
    await db.execute("delete from u")
    assert seen == ["DELETE"]


async def test_a_blob_is_an_update(db, filled):
    await db.execute("pragma foreign_keys = off")
    await db.execute("update u set t = x'00'")
    async with db.subscribe() as subscription:
        async with await db.blobopen("u", "t", 3) as blob:
            await blob.write(b"1")
        assert await taken(subscription) == (("u",), [("UPDATE", "u", 3)])


UNDONE = {
    "rollback": "begin; insert into t values (7, 1); rollback",
    "or rollback": "begin; insert into t values (7, 1); insert or rollback into t values (7, 2)",
    "failed statement": "insert into t values (7, 1), (7, 2)",
    "nothing changed": "update t set b = 1 where a = 99",
    "read": "select * from t",
}


@pytest.mark.parametrize("kind", UNDONE)
async def test_what_is_not_committed_is_not_told(db, filled, kind):
    async with db.subscribe() as subscription:
        with contextlib.suppress(sqlite3.IntegrityError):
            await db.executescript(UNDONE[kind])
        if db.in_transaction:
            await db.rollback()
        assert await is_quiet(db, subscription)


async def test_nothing_before_the_commit(path):
    async with csqlite.connect(path) as db:
        await db.executescript(SCHEMA)
        async with db.subscribe() as subscription:
            step = asyncio.ensure_future(anext_of(subscription))
            await db.execute("insert into t values (1, 1)")
            await db.execute("insert into log values (1)")
            await asyncio.sleep(0)
            assert not step.done()
            await db.commit()
            batch = await asyncio.wait_for(step, 30)
            assert batch.tables == ("t", "log")


async def test_waits_in_the_queue_once_a_commit_has_returned(db):
    async with db.subscribe() as subscription:
        for number in range(1, 4):
            await db.execute("insert into t values (?, ?)", (number, number))
        for number in range(1, 4):
            assert await taken(subscription) == (("t",), [("INSERT", "t", number)])


async def test_as_json(db):
    async with db.subscribe() as subscription:
        await db.execute("insert into t values (1, 1)")
        batch = await anext_of(subscription)
    assert batch == ChangeBatch(("t",), (Change("INSERT", "main", "t", 1),))
    assert json.loads(json.dumps(dataclasses.asdict(batch))) == {
        "tables": ["t"],
        "changes": [{"operation": "INSERT", "database": "main", "table": "t", "rowid": 1}],
    }


@pytest.mark.parametrize("tables", ["T", ["t"], ("T", "nothing"), {"t", "keyed"}])
async def test_only_some_tables(db, filled, tables):
    async with db.subscribe(tables) as subscription:
        await db.execute("insert into log values (1)")
        await db.executescript(
            "begin; insert into log values (2); insert into t values (7, 7); commit"
        )
        assert await taken(subscription) == (("t",), [("INSERT", "t", 7)])


# What is written within a transaction, and the rows of t that are told.
PARTLY_UNDONE = {
    "rollback to": (
        (
            "insert into t values (7, 1); savepoint a; insert into t values (8, 2);"
            "rollback to a; insert into t values (9, 3)"
        ),
        [7, 9],
    ),
    "release": ("savepoint a; insert into t values (7, 1); release a", [7]),
    "rollback to, then release": (
        (
            "insert into t values (7, 1); savepoint a;"
            "insert into t values (8, 2); rollback to a; release a"
        ),
        [7],
    ),
    "the inner one": (
        (
            "savepoint a; insert into t values (7, 1); savepoint b;"
            "insert into t values (8, 2); rollback to b"
        ),
        [7],
    ),
    "the outer one": (
        (
            "insert into t values (6, 0); savepoint a; insert into t values (7, 1);"
            "savepoint b; insert into t values (8, 2); rollback to a"
        ),
        [6],
    ),
    "released into the outer one": (
        (
            "insert into t values (6, 0); savepoint a; savepoint b;"
            "insert into t values (8, 2); release b; rollback to a"
        ),
        [6],
    ),
    "the same name": (
        (
            "savepoint a; insert into t values (7, 1); savepoint A;"
            "insert into t values (8, 2); rollback to a; release a;"
            "insert into t values (9, 3)"
        ),
        [7, 9],
    ),
    "twice": (
        (
            "savepoint a; insert into t values (7, 1); rollback to a;"
            "insert into t values (8, 2); rollback to a; insert into t values (9, 3)"
        ),
        [9],
    ),
    "quoted": (
        (
            """savepoint "x y"; insert into t values (7, 1); rollback transaction to"""
            """ savepoint "X Y"; insert into t values (8, 2)"""
        ),
        [8],
    ),
    "keywords": (
        "savepoint [to]; insert into t values (7, 1); rollback to [to];insert into t values (8, 2)",
        [8],
    ),
    "comments": (
        (
            "/* one */ savepoint/**/a; insert into t values (7, 1);"
            "-- two\n rollback /* to b */ to -- c\n a; insert into t values (8, 2)"
        ),
        [8],
    ),
}


@pytest.mark.parametrize("kind", PARTLY_UNDONE)
async def test_what_is_undone_within_a_transaction_is_not_told(db, kind):
    sql, rowids = PARTLY_UNDONE[kind]
    async with db.subscribe("t") as subscription:
        await db.executescript(f"begin; {sql}; commit")
        assert await taken(subscription) == (("t",), [("INSERT", "t", rowid) for rowid in rowids])
        await db.execute("delete from t")
        assert len((await taken(subscription))[1]) == len(rowids)


# A statement that fails within a transaction, and the rowids that are told.
FAILING = {
    "abort": ("insert into t values (7, 1), (8, 2), (7, 3)", []),
    "fail": ("insert or fail into t values (7, 1), (8, 2), (7, 3)", [7, 8]),
    "ignore": ("insert or ignore into t values (7, 1), (8, 2), (7, 3)", [7, 8]),
    "abort in update": ("update t set b = 'one'", []),
    "raise abort": ("insert into guarded values (1), (2), (-1)", []),
    "raise fail": ("insert into guarded values (1), (2), (-2)", [1, 2]),
    "raise ignore": ("insert into guarded values (1), (-3), (2)", [1, 2]),
    "foreign key": ("insert into u values (7, 1), (8, 99)", []),
    "not null": ("insert into strict values (1), (null)", []),
    "not null, fail": ("insert or fail into strict values (1), (null)", [1]),
}


@pytest.mark.parametrize("kind", FAILING)
async def test_a_statement_that_fails_within_a_transaction(db, filled, kind):
    sql, rowids = FAILING[kind]
    await db.executescript("""
        create table guarded (a);
        create table strict (a not null);
        create trigger guard before insert on guarded begin
            select raise(abort, 'no') where new.a = -1;
            select raise(fail, 'no') where new.a = -2;
            select raise(ignore) where new.a = -3;
        end;
    """)
    async with db.subscribe() as subscription:
        await db.execute("begin")
        await db.execute("insert into log values ('before')")
        with contextlib.suppress(sqlite3.IntegrityError):
            await db.execute(sql)
        await db.execute("insert into log values ('after')")
        await db.commit()
        _, rows = await taken(subscription)
        assert [row[1] for row in rows if row[1] == "log"] == ["log", "log"]
        if csqlite.build.source == "bundled":
            assert [rowid for _, table, rowid in rows if table != "log"] == rowids


async def test_what_a_callback_has_written_stays(db):
    """A statement that fails takes with it only what SQLite undoes."""

    def write(value):
        db._conn.execute("insert into log values (?)", (value,))
        raise ValueError

    await db.create_function("write", 1, write)
    for sql in ("insert into t values (1, write(1))", "select write(2)"):
        async with db.subscribe() as subscription:
            await db.execute("begin")
            with pytest.raises(sqlite3.OperationalError):
                await db.execute_fetchall(sql)
            await db.commit()
            assert (await taken(subscription))[0] == ("log",)


async def test_a_savepoint_of_a_transaction_block(db):
    async with db.subscribe() as subscription:
        async with db.transaction() as tx:
            await tx.execute("insert into t values (1, 1)")
            with pytest.raises(ZeroDivisionError):
                async with tx.savepoint() as inner:
                    await inner.execute("insert into t values (2, 2)")
                    raise ZeroDivisionError
            await tx.execute("insert into t values (3, 3)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1), ("INSERT", "t", 3)])


# -- limits


async def test_a_full_queue_becomes_one_batch(db):
    async with db.subscribe(max_queue=2) as subscription:
        for number in range(1, 4):
            await db.execute("insert into t values (?, ?)", (number, number))
        await db.execute("insert into keyed values ('x', 1)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])
        assert await taken(subscription) == (("t",), [("INSERT", "t", 2)])
        tables, rows = await taken(subscription)
        assert set(tables) == {"t", "keyed"}
        assert set(rows) == {("INSERT", "t", None), ("INSERT", "keyed", None)}
        assert await is_quiet(db, subscription)


# -- others


async def test_another_connection(db, path):
    async with csqlite.connect(path) as other, db.subscribe() as subscription:
        await other.execute("insert into t values (1, 1)")
        await other.execute("savepoint a")
        await other.execute("delete from t")
        await other.execute("rollback to a")
        await db.execute_fetchall("select * from t")
        await other.commit()
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])
        await db.execute("delete from t")
        assert await taken(subscription) == (("t",), [("DELETE", "t", 1)])


async def test_a_connection_that_is_opened_later(db, path):
    async with db.subscribe() as subscription:
        async with csqlite.connect(path) as other:
            await other.execute("insert into t values (1, 1)")
            await other.commit()
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])


async def test_the_same_file_by_another_name(db, path, tmp_path):
    (tmp_path / "link.db").symlink_to(path)
    async with csqlite.connect(tmp_path / "link.db") as other, db.subscribe() as subscription:
        await other.execute("insert into t values (1, 1)")
        await other.commit()
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])


async def test_a_file_that_another_connection_attaches(db, path):
    async with csqlite.connect(":memory:", isolation_level=None) as other:
        async with db.subscribe("t") as subscription:
            await other.execute("attach ? as theirs", (str(path),))
            await other.execute("insert into theirs.t values (1, 1)")
            batch = await anext_of(subscription)
            assert batch.changes == (Change("INSERT", "main", "t", 1),)
            await other.execute("detach theirs")
            await other.execute("attach ? as again", (str(path),))
            await other.execute("delete from t")
            assert await taken(subscription) == (("t",), [("DELETE", "t", 1)])


async def test_another_file_is_not_told(db, tmp_path):
    async with csqlite.connect(tmp_path / "other.db") as other, db.subscribe() as subscription:
        await other.execute("create table t (a)")
        await other.execute("insert into t values (1)")
        await other.commit()
        assert await is_quiet(db, subscription)


async def test_memory_databases_are_each_their_own():
    async with csqlite.connect(":memory:", isolation_level=None) as one:
        async with csqlite.connect(":memory:", isolation_level=None) as two:
            for db in (one, two):
                await db.execute("create table log (a)")
            async with one.subscribe() as subscription:
                await two.execute("insert into log values (1)")
                await one.execute("insert into log values (2)")
                batch = await anext_of(subscription)
                assert batch.changes == (Change("INSERT", "main", "log", 1),)


async def test_a_transaction_that_was_begun_before(db, path):
    """What it has begun with was not seen, so all that is known is that it has committed."""
    async with csqlite.connect(path) as other:
        await other.execute("insert into t values (1, 1)")
        async with db.subscribe("keyed") as subscription:
            await other.execute("insert into t values (2, 2)")
            await other.commit()
            assert await taken(subscription) == (None, [("UNKNOWN", None, None)])
            await other.execute("insert into t values (3, 3)")
            await other.execute("insert into keyed values ('k', 1)")
            await other.commit()
            assert await taken(subscription) == (("keyed",), [("INSERT", "keyed", None)])


async def test_one_that_was_begun_before_and_rolled_back(db, path):
    async with csqlite.connect(path) as other:
        await other.execute("insert into t values (1, 1)")
        async with db.subscribe() as subscription:
            await other.rollback()
            assert await is_quiet(db, subscription)


SHAPING = {
    "create": "create table fresh (a)",
    "drop": "drop table keyed",
    "alter": "alter table keyed add column w",
    "view": "create view v as select * from t",
    "index": "create index i on keyed (v)",
    "trigger": "drop trigger noted",
}


@pytest.mark.parametrize("kind", SHAPING)
async def test_the_schema(db, kind):
    async with db.subscribe("t") as subscription:
        await db.execute(SHAPING[kind])
        assert await taken(subscription) == (None, [("SCHEMA", None, None)])
        await db.executescript(f"begin; savepoint a; {UNSHAPING}; rollback to a; commit")
        await db.executescript(f"begin; {UNSHAPING}; rollback")
        await db.execute("insert into t values (1, 1)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])


UNSHAPING = "create table undone (a)"


async def test_vacuum_may_give_other_rowids(db):
    async with db.subscribe() as subscription:
        await db.execute("vacuum")
        assert await taken(subscription) == (None, [("UNKNOWN", None, None)])


async def test_a_database_that_is_replaced(db, path):
    replaced = (None, [("SCHEMA", None, None), ("UNKNOWN", None, None)])
    async with csqlite.connect(":memory:") as target, target.subscribe() as subscription:
        await db.backup(target)
        assert await taken(subscription) == replaced
        await target.execute("insert into t values (1, 1)")
        await target.commit()
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])
        await target.deserialize(await db.serialize())
        assert await taken(subscription) == replaced
        await target.execute("insert into log values (1)")
        await target.commit()
        assert (await taken(subscription))[0] == ("log",)


async def test_a_changeset_that_is_applied(db, path):
    if csqlite.build.source != "bundled":
        pytest.skip("needs sessions")
    async with csqlite.connect(":memory:", isolation_level=None) as source:
        await source.executescript(SCHEMA)
        async with source.session() as session:
            await session.attach("t")
            await source.execute("insert into t values (1, 1), (2, 2)")
            changes = await session.changeset()
        async with db.subscribe("t") as subscription:
            await db.apply_changeset(changes)
            _, rows = await taken(subscription)
            assert sorted(rows) == [("INSERT", "t", 1), ("INSERT", "t", 2)]
            with pytest.raises(sqlite3.DatabaseError):
                await db.apply_changeset(changes)
            await db.execute("delete from t where a = 1")
            assert await taken(subscription) == (("t",), [("DELETE", "t", 1)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
async def test_a_child_watches_for_itself(path, tmp_path):
    script = tmp_path / "fork.py"
    script.write_text(FORKING)
    run = asyncio.get_running_loop().run_in_executor
    command = [sys.executable, str(script), str(path)]
    await run(None, lambda: subprocess.run(command, check=True, timeout=60))


FORKING = """
import asyncio, gc, os, sys
import csqlite

path = sys.argv[1]

async def in_child():
    async with csqlite.connect(path, isolation_level=None) as db, db.subscribe(poll=None) as changes:
        await db.execute("insert into t values (2)")
        batch = await asyncio.wait_for(changes.__anext__(), 30)
        assert [change.rowid for change in batch] == [2], batch

async def main():
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.execute("create table t (a integer primary key)")
        async with db.subscribe(poll=0.001) as changes:
            await db.execute("insert into t values (1)")
            child = os.fork()
            if child == 0:
                try:
                    asyncio.events._set_running_loop(None)
                    del changes
                    gc.collect()
                    asyncio.run(in_child())
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            wait = asyncio.get_running_loop().run_in_executor
            _, status = await wait(None, os.waitpid, child, 0)
            assert status == 0
            batch = await asyncio.wait_for(changes.__anext__(), 30)
            assert [change.rowid for change in batch] == [1], batch
            batch = await asyncio.wait_for(changes.__anext__(), 30)
            assert batch.tables is None, batch

asyncio.run(main())
"""


@pytest.fixture
def docs(db, path):
    """Make a virtual table, before it is opened."""
    with contextlib.closing(sqlite3.connect(path)) as making:
        try:
            making.execute("create virtual table docs using fts5 (body)")
        except sqlite3.OperationalError:
            pytest.skip("this SQLite has no FTS5")


@pytest.mark.parametrize("tables", [None, "docs", "DOCS", ["t", "docs"]])
async def test_virtual_tables(db, docs, tables):
    async with db.subscribe(tables) as subscription:
        for sql in (
            "insert into docs values ('hello')",
            "update docs set body = 'world'",
            "delete from docs",
        ):
            await db.execute(sql)
            assert await taken(subscription) == (("docs",), [("UPDATE", "docs", None)])


async def test_a_virtual_table_that_is_made_later(db, docs):
    async with db.subscribe("later") as subscription:
        await db.execute("create virtual table later using fts5 (body)")
        assert await taken(subscription) == (None, [("SCHEMA", None, None)])
        step = asyncio.ensure_future(anext_of(subscription))
        await db.execute_fetchall("select 1")
        await db.execute_fetchall("select 1")
        await db.execute("insert into later values ('hello')")
        batch = await asyncio.wait_for(step, 30)
        assert batch.tables is None or batch.tables == ("later",)


@pytest.mark.skipif(csqlite.build.source != "bundled", reason="needs sessions")
async def test_a_session_has_the_hook(db):
    """While one is open, all that is known is that something was written."""
    async with db.subscribe("t") as subscription:
        async with db.session() as session:
            await session.attach("t")
            await db.execute("insert into t values (1, 1)")
            assert await taken(subscription) == (None, [("UNKNOWN", None, None)])
            assert await session.changeset()
        await db.execute("insert into t values (2, 2)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 2)])
    async with db.session(), db.subscribe("t") as subscription:
        await db.execute("insert into t values (3, 3)")
        assert await taken(subscription) == (None, [("UNKNOWN", None, None)])


async def test_attached_databases(db, tmp_path):
    await db.execute("attach ? as more", (str(tmp_path / "more.db"),))
    await db.execute("create table more.x (a)")
    async with db.subscribe("x") as subscription:
        await db.execute("insert into x values (1)")
        batch = await anext_of(subscription)
        assert batch.changes == (Change("INSERT", "more", "x", 1),)


# -- several


async def test_transactions_of_one_call_are_batches(db):
    async with db.subscribe() as subscription:
        await db.executescript("insert into t values (7, 1); insert into t values (8, 2)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 7)])
        assert await taken(subscription) == (("t",), [("INSERT", "t", 8)])


# -- other processes


OTHER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute(sys.argv[2])
"""


async def write_elsewhere(path, sql):
    run = asyncio.get_running_loop().run_in_executor
    command = [sys.executable, "-c", OTHER, str(path), sql]
    await run(None, lambda: subprocess.run(command, check=True))


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate"])
async def test_another_process(db, path, mode):
    await db.execute_fetchall(f"pragma journal_mode = {mode}")
    async with (
        csqlite.connect(path, isolation_level=None) as other,
        db.subscribe("nothing", poll=0.001) as subscription,
    ):
        for _ in range(2):
            await write_elsewhere(path, "insert into log values (1)")
            assert await taken(subscription) == (None, [("UNKNOWN", None, None)])
            step = asyncio.ensure_future(anext_of(subscription))
            # What this process writes is known, whatever it is.
            for connection in (db, other):
                await connection.execute("insert into log values (2)")
                await connection.execute("pragma user_version = 5")
                await connection.executescript("begin immediate; commit; begin; delete from log;")
                await connection.rollback()
            await db._live_pollers.copy().popitem()[1]._watch._look()
            assert not step.done()
            step.cancel()


async def test_whoever_commits_next_sees_another_process(db, path):
    await db.execute_fetchall("pragma journal_mode = wal")
    async with db.subscribe("t", poll=None) as subscription:
        await write_elsewhere(path, "insert into log values (1)")
        await db.execute("insert into t values (1, 1)")
        tables, rows = await taken(subscription)
        assert tables is None
        assert rows == [("INSERT", "t", None), ("UNKNOWN", None, None)]


async def test_what_was_before_is_not_told(db, path):
    async with db.subscribe(poll=None):
        pass
    await write_elsewhere(path, "insert into log values (1)")
    async with db.subscribe(poll=0.001) as subscription:
        await db.execute("insert into t values (1, 1)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])


async def test_one_poller_for_all_of_a_loop(db):
    async with db.subscribe(poll=60), db.subscribe("t", poll=60), db.subscribe(poll=None):
        assert len(db._live_pollers) == 1
    gc.collect()
    assert len(db._live_pollers) == 0


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan")])
async def test_wrong_intervals(db, wrong):
    with pytest.raises(ValueError):
        db.subscribe(poll=wrong)
    with pytest.raises(ValueError):
        db.observe("select 1", poll=wrong)


@pytest.mark.parametrize("wrong", [0, -1])
async def test_wrong_numbers(db, wrong):
    with pytest.raises(ValueError):
        db.subscribe(max_queue=wrong)


@pytest.mark.parametrize("wrong", [{"max_queue": "1"}, {"tables": [1]}])
async def test_wrong_types(db, wrong):
    with pytest.raises(TypeError):
        db.subscribe(**wrong)


async def test_several_subscriptions(db):
    async with db.subscribe("t") as first, db.subscribe() as second:
        await db.execute("insert into log values (1)")
        await db.execute("insert into t values (1, 1)")
        assert (await taken(first))[0] == ("t",)
        assert (await taken(second))[0] == ("log",)
        assert (await taken(second))[0] == ("t",)
        await first.aclose()
        await db.execute("insert into t values (2, 2)")
        assert await taken(second) == (("t",), [("INSERT", "t", 2)])


async def test_another_loop(db):
    ready, told = asyncio.Event(), asyncio.Queue()
    here = asyncio.get_running_loop()

    async def there():
        async with db.subscribe("t") as subscription:
            here.call_soon_threadsafe(ready.set)
            here.call_soon_threadsafe(told.put_nowait, await taken(subscription))

    running = here.run_in_executor(None, asyncio.run, there())
    await asyncio.wait_for(ready.wait(), 30)
    await db.execute("insert into t values (1, 1)")
    assert await asyncio.wait_for(told.get(), 30) == (("t",), [("INSERT", "t", 1)])
    await running


async def test_goes_together_with_other_hooks(db):
    batches, rows, commits = [], [], []
    await db.set_update_hook(lambda changes: batches.append(list(changes)), batch=True)
    await db.set_preupdate_hook(lambda change: rows.append(change.op))
    await db.set_commit_hook(lambda: commits.append(1))
    async with db.subscribe() as subscription:
        await db.execute("insert into t values (1, 1)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])
    await db.execute("insert into t values (2, 2)")
    assert [len(batch) for batch in batches] == [1, 1]
    assert rows == ["INSERT", "INSERT"]
    assert commits == [1, 1]


async def test_what_a_batched_hook_changes_itself_is_told(db):
    def hook(changes):
        db._conn.execute("insert into log values (1)")

    await db.set_update_hook(hook, batch=True)
    async with db.subscribe() as subscription:
        await db.execute("insert into t values (1, 1)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])
        assert await taken(subscription) == (("log",), [("INSERT", "log", 1)])


async def test_a_commit_hook_that_refuses(db):
    async with db.subscribe() as subscription:
        await db.set_commit_hook(lambda: True)
        with pytest.raises(sqlite3.IntegrityError):
            await db.execute("insert into t values (1, 1)")
        await db.set_commit_hook(None)
        assert await is_quiet(db, subscription)


async def test_foreign_connection():
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        with pytest.raises(sqlite3.NotSupportedError):
            await anext_of(db.subscribe())


# -- its life


async def test_begins_with_the_first_step(db):
    subscription = db.subscribe()
    await db.execute("insert into t values (1, 1)")
    step = asyncio.ensure_future(anext_of(subscription))
    await asyncio.sleep(0)  # it has asked; what comes behind is told
    await db.execute("insert into t values (2, 2)")
    batch = await asyncio.wait_for(step, 30)
    assert [change.rowid for change in batch.changes] == [2]
    await subscription.aclose()


async def test_closing_ends_a_step(db):
    subscription = db.subscribe()
    async with subscription:
        step = asyncio.ensure_future(anext_of(subscription))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await step
    with pytest.raises(StopAsyncIteration):
        await anext_of(subscription)
    await subscription.aclose()


async def test_the_connection_ends_it(path):
    db = await csqlite.connect(path)
    await db.executescript(SCHEMA)
    batches = []

    async def read():
        async with db.subscribe() as subscription:
            begun.set()
            async for batch in subscription:
                batches.append(batch.tables)

    begun = asyncio.Event()
    reading = asyncio.ensure_future(read())
    await begun.wait()
    await db.execute("insert into t values (1, 1)")
    await db.commit()
    await db.close()
    await asyncio.wait_for(reading, 30)
    assert batches == [("t",)]


async def test_closed_before(path):
    db = await csqlite.connect(path)
    await db.close()
    with pytest.raises(ValueError, match="no active connection"):
        await anext_of(db.subscribe())


async def test_two_tasks_on_one(db):
    async with db.subscribe() as subscription:
        step = asyncio.ensure_future(anext_of(subscription))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext_of(subscription)
        await db.execute("insert into t values (1, 1)")
        assert (await asyncio.wait_for(step, 30)).tables == ("t",)


async def test_a_cancelled_step_loses_nothing(db):
    told = []
    async with db.subscribe("t") as subscription:
        for number in range(1, 51):
            step = asyncio.ensure_future(anext_of(subscription))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            await db.execute("insert into t values (?, ?)", (number, number))
            step.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                told.extend((await step).changes)
        while len(told) < 50:
            told.extend((await asyncio.wait_for(anext_of(subscription), 30)).changes)
    assert [change.rowid for change in told] == list(range(1, 51))


async def test_a_cancelled_beginning_can_be_begun_again(db):
    subscription = db.subscribe()
    for turns in range(4):
        step = asyncio.ensure_future(anext_of(subscription))
        for _ in range(turns):
            await asyncio.sleep(0)
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
    async with subscription:
        await db.execute("insert into t values (1, 1)")
        assert await taken(subscription) == (("t",), [("INSERT", "t", 1)])


async def test_a_forgotten_subscription_is_collected(db):
    subscription = db.subscribe()
    await subscription.__aenter__()
    gone = weakref.ref(subscription)
    del subscription
    gc.collect()
    assert gone() is None
    await db.execute("insert into t values (1, 1)")


async def test_no_hook_is_left(db):
    async with db.subscribe():
        pass
    async with db.session():
        pass


async def test_importing_csqlite_does_not_import_it():
    code = "import csqlite, sys; sys.exit('csqlite.live' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
