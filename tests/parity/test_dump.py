"""iterdump(): the same SQL text as `sqlite3` writes, a line at a time."""

import sqlite3
import sys

import pytest
from parity.outcomes import fetchall, outcome, scalar, stdlib_outcome

SCHEMAS = {
    "empty": "",
    "plain": "create table t (a, b); insert into t values (1, 'x'), (2, null)",
    "no_rows": "create table t (a integer primary key, b text not null default 'x')",
    "values": "create table t (a); insert into t values (1), (-5), (1.5), (null), ('text'), (x'00ff'), (x''), ('')",
    "quotes": "create table t (a); insert into t values ('it''s'), ('\"'), (''''), ('line\nbreak'), ('-- ;')",
    "beyond_ascii": "create table tä (é); insert into tä values ('数 😀')",
    "odd_table_names": 'create table "it--s" (a); create table [c d] (a); create table `e;f` (a);'
    'insert into "it--s" values (1); insert into [c d] values (2); insert into `e;f` values (3)',
    "odd_column_names": 'create table t ("it\'s", "a""b", [c d], "select"); insert into t values (1, 2, 3, 4)',
    "keyword_table": 'create table "select" ("from"); insert into "select" values (1)',
    "autoincrement": "create table t (a integer primary key autoincrement, b);"
    "insert into t (b) values ('x'), ('y'); delete from t where a = 2",
    "autoincrement_unused": "create table t (a integer primary key autoincrement)",
    "index": "create table t (a unique, b); create index i on t (b); create unique index j on t (a, b) where b > 0;"
    "insert into t values (1, 2)",
    "view": "create table t (a); create view v as select a from t where a > 1; insert into t values (2)",
    "trigger": "create table t (a); create table u (a);"
    "create trigger tr after insert on t begin insert into u values (new.a); insert into u values (';'); end;"
    "insert into t values (1)",
    "without_rowid": "create table t (a primary key, b) without rowid; insert into t values ('k', 1)",
    "foreign_key": "create table p (a primary key); create table c (a references p);"
    "insert into p values (1); insert into c values (1)",
    "order_of_creation": "create table z (a); create table a (a); create table M (a);"
    "insert into z values (1); insert into a values (2); insert into M values (3)",
    "comment_in_schema": "create table t (a /* ; */, b -- note\n); insert into t values (1, 2)",
    "many_rows": "create table t (a); with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)"
    " insert into t select i from n",
    "analyzed": "create table t (a); create index i on t (a); insert into t values (1), (2); analyze",
    "default_expression": "create table t (a default (1 + 2), b as (a * 2), c text default 'it''s')",
}

# sqlite3 writes these in a way that SQLite does not read back; the last two before Python 3.10 only.
UNRESTORABLE = {"analyzed", "default_expression"}
if sys.version_info < (3, 10):
    UNRESTORABLE |= {"autoincrement", "autoincrement_unused"}


async def dump(db):
    return [line async for line in db.iterdump()]


def stdlib_dump(script):
    def program(connection):
        connection.executescript(script)
        return list(connection.iterdump())

    return stdlib_outcome(program)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
async def test_dump_is_that_of_sqlite3(db, name):
    await db.executescript(SCHEMAS[name])
    assert await outcome(dump(db)) == stdlib_dump(SCHEMAS[name])


@pytest.mark.parametrize("name", sorted(set(SCHEMAS) - UNRESTORABLE))
async def test_dump_restores_the_database(aiosqlite, db, name):
    await db.executescript(SCHEMAS[name])
    lines = await dump(db)
    async with aiosqlite.connect(":memory:") as copy:
        await copy.executescript("\n".join(lines))
        assert await dump(copy) == lines


async def test_dump_of_an_empty_database(db):
    assert await dump(db) == ["BEGIN TRANSACTION;", "COMMIT;"]


async def test_dump_of_a_full_text_table_names_the_virtual_table(db):
    script = "create virtual table f using fts5 (body); insert into f values ('hello world')"
    await db.executescript(script)
    lines = await dump(db)
    assert any("CREATE VIRTUAL TABLE" in line.upper() for line in lines)
    # Before Python 3.11 what sqlite3 writes here cannot be restored.
    pragma = "PRAGMA writable_schema=ON;"
    assert pragma in lines or pragma not in stdlib_dump(script)


async def test_dump_sees_uncommitted_changes_and_leaves_the_transaction_open(db):
    await db.execute("create table t (a)")
    await db.execute("insert into t values (1)")
    assert 'INSERT INTO "t" VALUES(1);' in await dump(db)
    assert db.in_transaction
    await db.rollback()


async def test_dump_begins_no_transaction(db):
    await db.executescript("create table t (a); insert into t values (1)")
    await dump(db)
    assert not db.in_transaction


async def test_dump_with_row_factory_and_text_factory(db):
    def program(connection):
        connection.executescript(SCHEMAS["plain"])
        connection.row_factory = sqlite3.Row
        return list(connection.iterdump())

    await db.executescript(SCHEMAS["plain"])
    db.row_factory = sqlite3.Row
    assert await outcome(dump(db)) == stdlib_outcome(program)
    assert db.row_factory is sqlite3.Row


async def test_two_dumps_at_once(db):
    await db.executescript(SCHEMAS["many_rows"])
    one, two = db.iterdump(), db.iterdump()
    pairs = [(await one.__anext__(), await two.__anext__()) for _ in range(3003)]
    assert all(first == second for first, second in pairs)
    assert pairs[-1][0] == "COMMIT;"
    for lines in (one, two):
        with pytest.raises(StopAsyncIteration):
            await lines.__anext__()


async def test_leaving_a_dump_early(db):
    await db.executescript(SCHEMAS["many_rows"])
    lines = db.iterdump()
    assert await lines.__anext__() == "BEGIN TRANSACTION;"
    await lines.aclose()
    assert await scalar(db, "select count(*) from t") == 3000


async def test_work_goes_on_during_a_dump(db):
    await db.executescript(SCHEMAS["many_rows"])
    count = 0
    async for _ in db.iterdump():
        count += 1
        if count == 10:
            assert await fetchall(db, "select 1") == [(1,)]
    assert count == 3003
