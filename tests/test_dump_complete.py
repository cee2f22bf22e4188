"""iterdump() of whatever a database can hold: what is dumped loads back into an equal database."""

import asyncio
import random
import sqlite3
import sys
from contextlib import closing, suppress

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

NEWER = csqlite.sqlite_version_info

SCHEMAS = {
    "fts5": """
        create virtual table f using fts5 (body, tokenize = 'porter');
        insert into f values ('hello world'), ('it''s hello'), ('goodbye');
        create table t (a); insert into t values (1)""",
    "fts5 with a difficult name": """
        create virtual table "it's ""f" using fts5 (body);
        insert into "it's ""f" values ('hello')""",
    "fts5 of another table's content": """
        create table c (id integer primary key, b); insert into c values (5, 'x y'), (9, 'y');
        create virtual table f using fts5 (b, content = 'c', content_rowid = 'id');
        insert into f (rowid, b) select id, b from c;
        create trigger tr after insert on c begin
            insert into f (rowid, b) values (new.id, new.b); end""",
    "fts5 without content": """
        create virtual table f using fts5 (b, content = '');
        insert into f (rowid, b) values (7, 'abc def')""",
    "fts4": "create virtual table f using fts4 (body); insert into f values ('hello world')",
    "rtree": """
        create virtual table r using rtree (id, a, b, +label);
        insert into r values (1, 2.5, 3.5, 'x'), (2, 1, 2, null)""",
    "virtual table over a virtual table": """
        create virtual table f using fts5 (b); insert into f values ('a b');
        create virtual table v using fts5vocab (f, row); create view w as select * from v""",
    "virtual table and autoincrement": """
        create table t (a integer primary key autoincrement); insert into t values (5);
        create virtual table f using fts5 (b); insert into f values ('x')""",
    "generated columns": """
        create table t (a, b as (a * 2), c as (a || 'x') stored, d, primary key (a));
        insert into t (a, d) values (1, 'x'), ('y', null);
        create index i on t (b)""",
    "without rowid": """
        create table w (a, b, c, primary key (b, a)) without rowid;
        insert into w values (1, 2, 3), ('x', x'00', null)""",
    "strict": """
        create table s (a int, b any, c text, d blob, e real) strict;
        insert into s values (1, x'00', 'x', x'ff', 1.0), (2, 5, 'y' || char(0), x'', 2e300)""",
    "sequence": """
        create table t (a integer primary key autoincrement, b);
        insert into t (b) values (1), (2); delete from t where a = 2;
        create table u (a integer primary key autoincrement)""",
    "sequence that was edited": """
        create table t (a integer primary key autoincrement); insert into t values (5);
        insert into sqlite_sequence values ('nothing', 9);
        update sqlite_sequence set seq = 77 where name = 't'""",
    "difficult names": """
        create table "" (""); insert into "" values (1);
        create table "a""b" ("c""d", [e f], `g h`, "it's", "ä 数");
        insert into "a""b" values (1, 2, 3, 4, 5);
        create index "i""x" on "a""b" ("c""d");
        create table "select" ("from", "order"); insert into "select" values (1, 2);
        create table "main.t" ("a.b"); insert into "main.t" values (1);
        create table "%s%q" ("%w"); insert into "%s%q" values ('%Q');
        create table "new
line" ("a
b"); insert into "new
line" values (1)""",
    "views and triggers": """
        create table t (a); create view v as select * from later; create view later as select a from t;
        create trigger tr instead of insert on later begin insert into t values (new.a); end;
        create trigger ts after insert on t when new.a > 1 begin select ';'; end""",
    "comments": """
        create table t (a -- ; note
        , b /* ; */); insert into t values (1, 2);
        create index i /* x */ on t (a) -- end
        ;
        create view v as select 1 -- ; end
        """,
    "constraints": """
        create table t (a check (a > 0) default ';', b collate nocase, c default (1 + 1),
            d unique on conflict replace, e not null default 'it''s');
        insert into t values (1, 'x', 3, 4, 5);
        create unique index i on t (b desc) where a > 1; create index j on t (a + 1)""",
    "broken foreign keys": """
        create table p (a primary key); create table c (x references p);
        insert into c values (5)""",
    "temporary objects": """
        create temp table tt (a); create temp view tv as select 1; create table main.tt (b);
        insert into tt values ('temp'); insert into main.tt values ('main')""",
    "many columns": f"create table t ({','.join(f'c{n}' for n in range(1500))});"
    "insert into t (c7) values ('x')",
    "utf-16": """
        pragma encoding = 'UTF-16le'; create table t (a);
        insert into t values ('é'), ('a' || char(0) || 'b'), (x'00'), ('😀')""",
    "numbers": """
        create table t (a); insert into t values (0), (-1), (9223372036854775807),
        (-9223372036854775807 - 1), (0.1), (1e308), (5e-324), (-0.0), (0.0), (9e999), (-9e999),
        (123456789012345680.0), (1e15), (1.0)""",
    "texts": """
        create table t (a); insert into t values (''), (''''), ('"'), (char(0)),
        (char(0, 0, 97, 0)), (char(13, 10)), (char(1114111)), ('x' || char(65533)),
        ('BEGIN;'), ('--'), ('/*'), (';')""",
    "texts that are not utf-8": """
        create table t (a); insert into t values (cast(x'ff' as text)), (cast(x'c3' as text)),
        (cast(x'61eda080' as text)), (cast(x'f4908080' as text)), (cast(x'c080' as text)),
        (cast(x'e28281' as text)), (cast(x'80' as text))""",
    "blobs": "create table t (a); insert into t values (x''), (x'00'), (x'0a0d27'), (randomblob(5000))",
}
if NEWER < (3, 37):
    del SCHEMAS["strict"]


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def dump(db, **options):
    return [line async for line in db.iterdump(**options)]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


async def contents(db):
    """Return the schema, and the rows of each table with the types of their values."""
    schema = await fetchall(
        db, "select type, name, tbl_name, sql from main.sqlite_master order by 1, 2"
    )
    # What ANALYZE leaves beside sqlite_stat1 is not dumped, as in SQLite's shell.
    schema = [row for row in schema if row[1] != "sqlite_stat4"]
    rows = {}
    factory, db.text_factory = db.text_factory, lambda data: ("text", data)
    for kind, name, *_ in schema:
        if kind == "table":
            found = await fetchall(db, f"select * from main.{quoted(name)}")
            rows[name] = sorted(map(repr, found))
    db.text_factory = factory
    return schema, rows


async def load(lines):
    copy = await csqlite.connect(":memory:")
    await copy.executescript("\n".join(lines))
    return copy


async def check_dump(db):
    lines = await dump(db)
    copy = await load(lines)
    try:
        assert await contents(copy) == await contents(db)
        assert await dump(copy) == lines
        assert await scalar(copy, "pragma integrity_check") == "ok"
        assert not copy.in_transaction
    finally:
        await copy.close()
    return lines


@pytest.mark.parametrize("name", SCHEMAS)
async def test_what_is_dumped_loads_back(db, name):
    await db.executescript(SCHEMAS[name])
    await check_dump(db)


async def test_view_whose_comment_does_not_end(db):
    """SQLite ends it silently; in a script it would go on to the end."""
    await db.execute("create view v as select 1 as a /* c")
    await db.execute("create table t (a)")
    copy = await load(await dump(db))
    assert await fetchall(copy, "select * from v") == [(1,)]
    assert await fetchall(copy, "select name from sqlite_master order by 1") == [("t",), ("v",)]
    await copy.close()


async def test_sequence_that_no_table_needs_is_left_out(db):
    await db.executescript(
        "create table t (a integer primary key autoincrement); drop table t; create table u (a)"
    )
    lines = await dump(db)
    assert lines == ["BEGIN TRANSACTION;", "CREATE TABLE u (a);", "COMMIT;"]
    await (await load(lines)).close()


async def test_statistics_are_loaded_back(db):
    await db.executescript(
        "create table t (a, b); create index i on t (a); insert into t values (1, 2), (2, 3); analyze"
    )
    await check_dump(db)


async def test_full_text_search_works_where_the_dump_was_loaded(db):
    await db.executescript(SCHEMAS["fts5"])
    copy = await load(await dump(db))
    search = "select body from f where f match 'hello' order by rowid"
    assert await fetchall(copy, search) == [("hello world",), ("it's hello",)]
    await copy.execute("insert into f values ('hello again')")
    assert len(await fetchall(copy, search)) == 3
    await copy.execute("insert into f (f) values ('integrity-check')")
    await copy.close()


# Of the schemas above, those that every SQLite behind sqlite3 can load.
PLAIN = ["generated columns", "without rowid", "sequence", "difficult names", "texts", "blobs"]


@pytest.mark.parametrize("name", PLAIN)
async def test_sqlite3_loads_it_into_an_equal_database(db, path, name):
    await db.executescript(SCHEMAS[name])
    lines = await dump(db)
    with closing(sqlite3.connect(path)) as other:
        other.executescript("\n".join(lines))
    async with csqlite.connect(path) as copy:
        assert await contents(copy) == await contents(db)


async def test_sqlite3_finds_what_csqlite_has_dumped_of_a_full_text_table(db):
    await db.executescript(SCHEMAS["fts5"])
    lines = await dump(db)
    with closing(sqlite3.connect(":memory:")) as other:
        other.executescript("\n".join(lines))
        try:
            found = other.execute("select body from f where f match 'goodbye'").fetchall()
        except sqlite3.OperationalError as error:
            assert "no such module" in str(error)
            return
        assert found == [("goodbye",)]


async def test_dump_of_a_text_that_is_not_utf8(db):
    await db.executescript("create table t (a); insert into t values (cast(x'61ff' as text))")
    assert """INSERT INTO "t" VALUES(CAST(X'61FF' AS TEXT));""" in await dump(db)


# -- as sqlite3 writes it, wherever that loads back

VIRTUAL = "writes rows of virtual tables, which the connection that loads them does not know yet"
OLD = "the SQLite behind sqlite3 may be too old, or write numbers in another way"

# What sqlite3 does otherwise.
DIFFERENT = {
    **dict.fromkeys([name for name in SCHEMAS if "virtual" in SCHEMAS[name]], VIRTUAL),
    **dict.fromkeys(["strict", "numbers"], OLD),
    "texts": "cuts them at a NUL",
    "utf-16": "cuts texts at a NUL",
    "texts that are not utf-8": "raises UnicodeDecodeError",
    "comments": "leaves out the end of a statement that ends in one",
    "temporary objects": "writes the rows of a temporary table for those of its namesake",
    "blobs": "one is random",
    "many columns": "its expression is too deep for SQLite",
}
if sys.version_info < (3, 13):
    DIFFERENT["broken foreign keys"] = "does not turn the check off"
if sys.version_info < (3, 11):
    DIFFERENT["sequence"] = DIFFERENT["sequence that was edited"] = "deletes in another place"


@pytest.mark.parametrize("name", sorted(set(SCHEMAS) - set(DIFFERENT)))
async def test_same_text_as_of_sqlite3(db, name):
    await db.executescript(SCHEMAS[name])
    with closing(sqlite3.connect(":memory:")) as other:
        other.executescript(SCHEMAS[name])
        assert await dump(db) == list(other.iterdump())


FILTERED = """
    create table test1 (a); insert into test1 values (1);
    create table test2 (a integer primary key autoincrement); insert into test2 values (2);
    create table other (a); create index test_index on other (a);
    create view test_view as select 1; create trigger tr after insert on test1 begin select 1; end
"""


@pytest.mark.skipif(sys.version_info < (3, 13), reason="sqlite3 has filter= since Python 3.13")
@pytest.mark.parametrize(
    "pattern", ["test%", "TEST_", "%", "nothing", "other", "%_index", "sqlite%", None, ""]
)
async def test_filter_is_that_of_sqlite3(db, pattern):
    await db.executescript(FILTERED)
    with closing(sqlite3.connect(":memory:")) as other:
        other.executescript(FILTERED)
        assert await dump(db, filter=pattern) == list(other.iterdump(filter=pattern))


async def test_filter_on_every_python(db):
    await db.executescript(FILTERED)
    assert await dump(db, filter="test1") == [
        "BEGIN TRANSACTION;",
        "CREATE TABLE test1 (a);",
        'INSERT INTO "test1" VALUES(1);',
        "COMMIT;",
    ]


@pytest.mark.parametrize("pattern", [5, b"x", 1.5])
async def test_filter_that_is_no_text(db, pattern):
    assert (await outcome(dump(db, filter=pattern)))[0] in (TypeError, ValueError)


# -- random databases

NAMES = ["a", "b", 'q"q', "it's", "sp ace", "sélect", "order", "数", "x.y", "t%s", "--", "[x"]
TYPES = ["", "integer", "text", "blob", "real", "numeric", "any thing(10)"]
VALUES = [
    *(None, 0, 1, -1, 2**63 - 1, -(2**63), 0.0, -0.0, 0.5, 1e300, 5e-324, float("inf"), 1 / 3),
    *("", "text", "it's", "a\0b", "\0", "line\nbreak", "数 😀", "1", "1.0", "x" * 3000, "-- ;"),
    *(b"", b"\0", b"'", bytes(range(256)), b"1"),
]


def random_table(rng, name):
    columns = rng.sample(NAMES, rng.randint(1, 6))
    parts = []
    for column in columns:
        parts.append(f"{quoted(column)} {rng.choice(TYPES)}")
        if rng.random() < 0.2:
            parts[-1] += f" default {rng.choice(['5', '(1 + 1)', 'null'])}"
    suffix = ""
    if rng.random() < 0.3:
        key = rng.sample(columns, rng.randint(1, len(columns)))
        parts.append(f"primary key ({', '.join(map(quoted, key))})")
        suffix = rng.choice(["", " without rowid"])
    elif rng.random() < 0.3:
        parts.insert(0, '"key" integer primary key autoincrement')
    if rng.random() < 0.3:
        kind = rng.choice(["", " stored"])
        parts.insert(len(columns) // 2, f'"made" as (coalesce({quoted(columns[0])}, 5) || 1){kind}')
    return f"create table {quoted(name)} ({', '.join(parts)}){suffix}", columns


async def random_database(rng, db):
    for name in rng.sample(NAMES, rng.randint(1, 4)):
        sql, columns = random_table(rng, name)
        try:
            await db.execute(sql)
        except sqlite3.OperationalError:
            continue  # A key before a generated column, and the like.
        into = ", ".join(map(quoted, columns))
        marks = ", ".join("?" * len(columns))
        for _ in range(rng.randint(0, 30)):
            row = [rng.choice(VALUES) for _ in columns]
            with suppress(sqlite3.IntegrityError):  # A text for an INTEGER PRIMARY KEY.
                await db.execute(
                    f"insert or ignore into {quoted(name)} ({into}) values ({marks})", row
                )
        if rng.random() < 0.5:
            index = quoted(f"index on {name}")
            await db.execute(f"create index {index} on {quoted(name)} ({quoted(columns[-1])})")
        if rng.random() < 0.5:
            view = quoted(f"view of {name}")
            await db.execute(f"create view {view} as select {into} from {quoted(name)}")
        if rng.random() < 0.5:
            trigger = quoted(f"trigger of {name}")
            await db.execute(
                f"create trigger {trigger} before delete on {quoted(name)} begin select ';'; end"
            )
    if rng.random() < 0.4:
        await db.execute("create virtual table search using fts5 (body, title)")
        await db.executemany(
            "insert into search values (?, ?)",
            [[rng.choice(["one two", "three", None, "it's", 5]) for _ in "ab"] for _ in range(20)],
        )
    await db.commit()


@pytest.mark.parametrize("seed", range(60))
async def test_random_database(db, seed):
    rng = random.Random(seed)
    await random_database(rng, db)
    await check_dump(db)


async def test_random_floats_are_exact_where_they_are_loaded(db):
    if NEWER < (3, 47):
        pytest.skip("this SQLite reads some floats a bit off")
    rng = random.Random(0)
    numbers = [rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300) for _ in range(5000)]
    await db.execute("create table t (a)")
    await db.executemany("insert into t values (?)", [(number,) for number in numbers])
    copy = await load(await dump(db))
    assert [row[0] for row in await fetchall(copy, "select a from t")] == numbers
    await copy.close()


# -- streaming

NUMBERS = "with recursive n (i) as (select 1 union all select i + 1 from n where i < {})"


async def test_dump_is_not_read_as_a_whole_first(db):
    """A row that fails when it is read is found only when the dump has come there."""
    await db.execute("create table t (a)")
    await db.execute(f"insert into t {NUMBERS.format(20000)} select i from n")
    await db.commit()
    lines = db.iterdump()
    assert await lines.__anext__() == "BEGIN TRANSACTION;"
    await db.interrupt()
    assert await lines.__anext__() == "CREATE TABLE t (a);"
    await lines.aclose()


async def test_loop_goes_on_during_a_dump(db):
    await db.execute("create table t (a)")
    await db.execute(f"insert into t {NUMBERS.format(20000)} select i from n")
    await db.commit()
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.ensure_future(count())
    lines = 0
    async for _ in db.iterdump():
        lines += 1
    counter.cancel()
    assert lines == 20003
    # It suspends for each 512 lines.
    assert turns >= 20000 // 512


async def test_rows_are_tuples_whatever_the_factories(db):
    await db.executescript(SCHEMAS["texts"])
    expected = await dump(db)
    db.row_factory = lambda cursor, row: 5
    db.text_factory = lambda data: 5
    assert await dump(db) == expected
