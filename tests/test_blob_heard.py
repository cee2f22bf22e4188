"""Blobs that are written while somebody hears of it beforehand, in a schema that has changed.

SQLite keeps the table of the time when the blob was opened, and would show freed memory to a
pre-update hook or a session.
"""

import contextlib

import pytest
from parity.outcomes import fetchall, scalar

import csqlite

if csqlite.build.source == "system":
    pytest.skip("the system's SQLite has no pre-update hooks", allow_module_level=True)

WRITTEN = b"abcd" + bytes(6)
GONE = "abort"
CHANGES = {
    "alter": ("alter table t add column c", WRITTEN),
    "alter another": ("alter table o add column c", WRITTEN),
    "rename a column": ("alter table t rename column e to f", WRITTEN),
    "rename its column": ("alter table t rename column d to f", "no such column"),
    "rename": ("alter table t rename to u", "no such table: main.t"),
    "create": ("create table n (x)", WRITTEN),
    "drop": ("drop table o", WRITTEN),
    "index": ("create index j on t (d)", "cannot open indexed column for writing"),
    "reset": ("pragma writable_schema = reset", WRITTEN),
    "undone": ("begin; alter table t add column c; rollback", GONE),
    "savepoint": ("savepoint s; alter table t add column c; rollback to s", WRITTEN),  # Refused.
    "row changed": ("update t set d = zeroblob(10)", GONE),
    "row deleted": ("delete from t", GONE),
    "attach": ("attach ':memory:' as beside", WRITTEN),
}


async def listen(db, kind, heard):
    if kind == "hook":
        await db.set_preupdate_hook(heard.append)
    else:
        session = await db.session()
        await session.attach()
        heard.append(session)


async def change(db, sql, how):
    if how == "function":
        await db.create_function(
            "change", -1, lambda done=sql: db._conn.executescript(done) and None
        )
        sql = "select change()"
    with contextlib.suppress(csqlite.OperationalError):  # SQLite may refuse some of it.
        await db.executescript(sql)


@pytest.mark.parametrize("how", ["before", "after", "function"])
@pytest.mark.parametrize("kind", ["hook", "session"])
@pytest.mark.parametrize("name", CHANGES)
async def test_blob_of_another_schema(name, kind, how):
    sql, outcome = CHANGES[name]
    heard = []
    async with csqlite.connect(":memory:", isolation_level=None) as db:
        await db.executescript(
            "create table t (a integer primary key, d, e default 5); create table o (x primary key);"
            "insert into t values (1, zeroblob(10), 'x'), (2, zeroblob(10), 'y')"
        )
        if how == "before":
            await listen(db, kind, heard)
        blob = await db.blobopen("t", "d", 1)
        await blob.write(b"ab")
        await change(db, sql, how)
        if how != "before":
            await listen(db, kind, heard)
        before = len(heard)
        if isinstance(outcome, bytes):
            await blob.write(b"c")
            await blob.set(3, ord("d"))
            assert len(heard) == before + (2 if kind == "hook" else 0)
            assert await scalar(db, "select d from t where a = 1") == outcome
            await blob.reopen(2)
            await blob.write(b"ab")
            await blob.set(slice(2, 4), b"cd")
            assert await scalar(db, "select d from t where a = 2") == outcome
        else:
            with pytest.raises(csqlite.OperationalError, match=outcome):
                await blob.write(b"c")
            assert len(heard) == before
        await blob.close()
        assert await fetchall(db, "pragma integrity_check") == [("ok",)]
