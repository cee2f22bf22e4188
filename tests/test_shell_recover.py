"""The shell's `.recover`: SQL for what can be read of a database, whatever has become of the rest."""

import asyncio
import random
import sqlite3
import struct
from contextlib import closing

import pytest
from shells import complaints, output, shell

from csqlite.shell import page_sources, pages

SCHEMA = """
create table t (a, b, c text);
create table counted (x integer primary key autoincrement, y);
create table keyed (k text, v, n int, primary key (n, k)) without rowid;
create table "odd name" (oid, rowid, "it's", [a b] primary key);
create table named (_rowid_, rowid, oid);
create index ti on t (b);
create unique index tu on t (a);
create view v as select a from t where a > 5;
create trigger r after insert on counted begin update t set c = 'x' where a = -5; end;
insert into counted (y) values (zeroblob(3)), ('ü'), (null);
alter table counted add column z default 7;
insert into counted (y, z) values ('n', 8);
delete from counted where x = 2;
insert into "odd name" values (1, 2, 'three', 4.5), (null, null, null, 'x');
insert into named values (1, 2, 3);
pragma user_version = 42;
pragma application_id = 7;
analyze;
"""

GENERATED = "create table g (a, b as (a + 1) stored, c as (a * 2) virtual, d);"
GENERATED += "insert into g (a, d) values (1, 2), (3, 4);"

ROWS = 400

# What is compared, of the original and of what was made from it.
QUESTIONS = [
    "select quote(a), quote(b), quote(c), rowid from t order by rowid",
    "select * from counted",
    "select * from keyed",
    'select quote(oid), quote(rowid), quote("it\'s"), quote([a b]) from "odd name" order by 4',
    "select * from named",
    "select name, seq from sqlite_sequence",
    (
        "select type, name, tbl_name, sql from sqlite_master where sql is not null"
        " and name != 'sqlite_stat4' order by 1, 2"
    ),
    "select tbl, idx, stat from sqlite_stat1 order by 1, 2",
    "pragma user_version",
    "pragma application_id",
    "pragma encoding",
    "pragma page_size",
    "pragma auto_vacuum",
    "pragma integrity_check",
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A directory of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(db):
    """Put rows in that take many pages, and values of every kind."""
    db.executescript(SCHEMA)
    values = [
        (-1, b"\0" * 9000, "long " * 3000),
        (-2, -0.0, None),
        (-3, 9e999, "it's\r\n\0 nul"),
        (-4, 2**63 - 1, ""),
        (-5, -(2**63), "ünï\U0001f600"),
        (1e100, 0.1, "REAL"),
        *((i, i % 7, f"row {i}") for i in range(ROWS)),
    ]
    db.executemany("insert into t values (?, ?, ?)", values)
    db.executemany(
        "insert into keyed values (?, ?, ?)", [(f"k{i}", i, i % 50) for i in range(ROWS)]
    )
    db.execute("analyze")
    db.commit()


@pytest.fixture
def make(home):
    """Make a database with these pragmas, and return its name."""

    def made(*pragmas):
        with closing(sqlite3.connect("a.db")) as db:
            for pragma in pragmas:
                db.execute(f"pragma {pragma}")
            fill(db)
        return "a.db"

    return made


def answers(name, questions=QUESTIONS):
    """Return what a database answers."""
    with closing(sqlite3.connect(name)) as db:
        return [db.execute(question).fetchall() for question in questions]


async def recovered(name="a.db", into="b.db", options=""):
    """Recover a database into another, which must take every statement."""
    script = await output(f".recover {options}\n", name)
    await output(script, into)
    return script


def damage(name, at, data):
    """Overwrite bytes of a file."""
    with open(name, "r+b") as file:
        file.seek(at)
        file.write(data)


PRAGMAS = [
    [],
    ["encoding='UTF-16le'"],
    ["encoding='UTF-16be'"],
    ["page_size=512"],
    ["page_size=65536"],
    ["auto_vacuum=full"],
    ["auto_vacuum=incremental", "page_size=1024"],
    ["journal_mode=wal"],
]


@pytest.mark.parametrize("pragmas", PRAGMAS, ids=lambda pragmas: " ".join(pragmas) or "default")
async def test_an_undamaged_database_comes_out_as_it_is(make, pragmas):
    before = answers(make(*pragmas))
    script = await recovered()
    after = answers("b.db")
    for question, one, other in zip(QUESTIONS, before, after):
        if question == "pragma auto_vacuum":
            assert bool(one[0][0]) is bool(other[0][0])
        else:
            assert one == other, question
    assert "lost_and_found" not in script


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 31), reason="there are no generated columns")
async def test_generated_columns(home):
    with closing(sqlite3.connect("a.db")) as db:
        db.executescript(GENERATED)
    await recovered()
    assert answers("b.db", ["select * from g"]) == [[(1, 2, 2, 2), (3, 4, 6, 4)]]


async def test_virtual_tables(home):
    await output(
        "create virtual table f using fts5 (body);\ninsert into f values ('hello world');\n", "a.db"
    )
    await recovered()
    assert await output("select * from f where f match 'hello';\n", "b.db") == "hello world\n"


async def test_rows_that_are_in_the_log_alone(home):
    with closing(sqlite3.connect("a.db", isolation_level=None)) as db:
        db.execute("pragma journal_mode=wal")
        db.execute("create table t (a)")
        db.execute("insert into t values ('in the log')")
        await recovered()
    assert answers("b.db", ["select * from t"]) == [[("in the log",)]]


async def test_a_database_in_memory():
    out = await output("create table t (a);\ninsert into t values (1);\n.recover\n")
    assert 'INSERT OR IGNORE INTO "t"(_rowid_, "a") VALUES(1, 1);' in out


async def test_without_rowids(make):
    make()
    script = await recovered(options="--no-rowids")
    assert '"t"(_rowid_' not in script
    assert answers("b.db", ["select count(*) from t"]) == [[(ROWS + 6,)]]


# -- damage


def leaves(name, table):
    """Return the numbers of the leaf pages of a table."""
    with closing(sqlite3.connect(name)) as db:
        try:
            rows = db.execute(
                "select pageno from dbstat where name = ? and pagetype = 'leaf'", (table,)
            ).fetchall()
        except sqlite3.OperationalError:
            pytest.skip("sqlite3 has no table dbstat")
    return [number for (number,) in rows]


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\x0d", b"x"])
async def test_the_rows_of_other_pages_are_there(make, filler):
    name = make("page_size=1024")
    numbers = leaves(name, "t")
    lost = numbers[len(numbers) // 2]
    before = answers(name, ["select a from t where a between 0 and 400"])[0]
    damage(name, (lost - 1) * 1024, filler * 1024)
    await recovered()
    after = answers("b.db", ["select a from t where a between 0 and 400"])[0]
    assert set(after) < set(before)
    assert len(before) - 100 < len(after) < len(before)
    assert answers("b.db", QUESTIONS[1:4]) == answers(name, QUESTIONS[1:4])
    assert answers("b.db", ["pragma integrity_check"]) == [[("ok",)]]


async def test_rows_below_a_damaged_page_are_found(make):
    name = make("page_size=512")
    with closing(sqlite3.connect(name)) as db:
        ((root,),) = db.execute("select rootpage from sqlite_master where name = 't'")
    damage(name, (root - 1) * 512, bytes(512))
    await recovered()
    found = answers("b.db", ["select c1 from lost_and_found where nfield = 3 and id is not null"])[
        0
    ]
    assert answers("b.db", ["select count(*) from t"]) == [[(0,)]]
    assert {f"row {i}" for i in range(ROWS)} <= {
        row[0] for row in answers("b.db", ["select c2 from lost_and_found"])[0]
    }
    assert found


async def test_a_lost_schema(make):
    name = make()
    damage(name, 100, bytes(4096 - 100))
    script = await recovered(options="--lost-and-found bin")
    assert "CREATE TABLE t" not in script
    rows = answers("b.db", ["select c2 from bin where nfield = 3"])[0]
    assert {(f"row {i}",) for i in range(ROWS)} <= set(rows)


@pytest.mark.parametrize("size", [512, 1024, 4096, 8192, 65536])
@pytest.mark.parametrize("junk", [b"\0", b"?"])
async def test_a_lost_header(make, size, junk):
    before = answers(make(f"page_size={size}"), QUESTIONS[:6])
    damage("a.db", 0, junk * 100)
    await recovered()
    assert answers("b.db", QUESTIONS[:6]) == before


async def test_a_file_that_is_cut(make):
    name = make("page_size=1024")
    with open(name, "r+b") as file:
        file.truncate(60_000)
    await recovered()
    assert answers("b.db", ["select count(*) > 0 from t", "pragma integrity_check"]) == [
        [(1,)],
        [("ok",)],
    ]


async def test_values_that_go_on_in_a_lost_page(home):
    with closing(sqlite3.connect("a.db")) as db:
        db.execute("create table t (a, b, c)")
        db.execute("insert into t values (1, ?, 3), (2, 'short', 4)", ("x" * 20_000,))
        db.commit()
    size = (home / "a.db").stat().st_size
    with open("a.db", "r+b") as file:
        file.truncate(size - 4096)
    await recovered()
    assert answers("b.db", ["select * from t"]) == [[(1, None, None), (2, "short", 4)]]


async def test_deleted_rows(home):
    with closing(sqlite3.connect("a.db")) as db:
        db.execute("create table gone (a)")
        db.executemany("insert into gone values (?)", [(f"row {i}",) for i in range(1000)])
        db.commit()
        db.execute("pragma secure_delete = off")
        db.execute("drop table gone")
        db.commit()
    assert "'row 500'" in await output(".recover\n", "a.db")
    assert "lost_and_found" not in await output(".recover --ignore-freelist\n", "a.db")


async def test_a_name_for_what_is_lost(home):
    script = "create table lost_and_found (a);\ncreate table lost_and_found_0 (a);\n"
    script += "create table u (a);\ninsert into u values ('mine');\n"
    script += "pragma writable_schema=on;\ndelete from sqlite_master where name = 'u';\n"
    await output(script, "a.db")
    assert 'CREATE TABLE "lost_and_found_1"' in await recovered()


@pytest.mark.parametrize(
    "sql",
    ["create table", "selec", "create table u (a); drop table t", "create table u (a", "x\ny'z"],
)
async def test_statements_of_the_schema_that_make_no_sense(home, sql):
    with closing(sqlite3.connect("a.db")) as db:
        db.execute("create table t (a)")
        db.execute("insert into t values (1)")
        db.execute("pragma writable_schema = on")
        db.execute("insert into sqlite_master values ('table', 'u', 'u', 9, ?)", (sql,))
        db.commit()
    script = await recovered()
    assert "-- left out: " in script
    assert answers("b.db", ["select * from t"]) == [[(1,)]]


@pytest.mark.parametrize("kind", ["bytes", "bits", "pages", "cut"])
@pytest.mark.parametrize("seed", range(4))
async def test_any_damage_gives_a_script_that_runs(make, kind, seed):
    chance = random.Random(f"{kind} {seed}")
    name = make("page_size=1024")
    with open(name, "rb") as file:
        data = bytearray(file.read())
    if kind == "cut":
        del data[chance.randrange(len(data)) :]
    for _ in range({"bytes": 30, "bits": 600, "pages": 5, "cut": 0}[kind]):
        at = chance.randrange(len(data))
        if kind == "bytes":
            data[at] = chance.randrange(256)
        elif kind == "bits":
            data[at] ^= 1 << chance.randrange(8)
        else:
            data[at & ~1023 : (at & ~1023) + 1024] = chance.randbytes(1024)
    with open(name, "wb") as file:
        file.write(data)
    await asyncio.wait_for(recovered(), 60)
    assert answers("b.db", ["pragma integrity_check"]) == [[("ok",)]]


async def test_what_is_no_database_at_all(home):
    (home / "a.db").write_bytes(b"plain text " * 1000)
    await recovered()
    assert answers("b.db", ["select count(*) from sqlite_master"]) == [[(0,)]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--nosuch", "Error: unknown option: --nosuch\n"),
        ("x", "Error: unknown option: x\n"),
        ("--lost-and-found", "Error: missing argument on --lost-and-found\n"),
    ],
)
async def test_wrong_options(options, message):
    assert await complaints(f".recover {options}\n") == message


async def test_recover_leaves_everything_as_it_was(make):
    name = make()
    with open(name, "rb") as file:
        before = file.read()
    assert (await shell(name, "-readonly", ".recover", "pragma writable_schema")).out.endswith(
        "\n0\n"
    )
    with open(name, "rb") as file:
        assert file.read() == before


# -- pages


@pytest.mark.parametrize(
    "value", [0, 1, 127, 128, 16383, 16384, 2**35, 2**56 - 1, 2**56, 2**63 - 1, -1, -(2**63)]
)
def test_varints(value):
    rest = value & (2**64 - 1)
    if rest >> 56:
        encoded = bytes([*(0x80 | rest >> 8 + 7 * i & 0x7F for i in range(7, -1, -1)), rest & 0xFF])
    else:
        parts = [rest >> 7 * i & 0x7F for i in range(8) if i == 0 or rest >> 7 * i]
        encoded = bytes([*(0x80 | part for part in parts[:0:-1]), parts[0]])
    assert pages.varint(b"?" + encoded, 1) == (value, 1 + len(encoded))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\x05", b"\x01", b"\x02\x0a", b"\x02\x0b", b"\x03\x01\x80", b"\x02\x0e", b"\x82"],
)
def test_records_that_make_no_sense(payload):
    found = pages.record(payload, len(payload), "utf-8")
    assert found is None or found == []


def test_records_keep_no_nan():
    assert pages.record(b"\x02\x07" + struct.pack(">d", float("nan")), 10, "utf-8") == [None]


class FakePages:
    """A connection that has sqlite_dbpage."""

    def __init__(self, data):
        self.data = data

    async def execute_fetchall(self, sql, parameters=()):
        """Answer the two questions that are asked."""
        if parameters:
            (number,) = parameters
            return [(self.data[(number - 1) * 4096 : number * 4096],)]
        return [(self.data[:4096], len(self.data) // 4096)]


async def test_pages_come_one_by_one_where_sqlite_gives_them(make):
    with open(make(), "rb") as file:
        data = file.read()
    source = await page_sources.open_pages(FakePages(data))
    assert isinstance(source, page_sources.VirtualPages)
    assert source.count == len(data) // 4096
    assert await source.read(2) == data[4096:8192]
    assert await source.read(source.count + 1) == b""
