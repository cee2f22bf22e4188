"""connect(untrusted=True): what a stranger's file can do to a plain connection, and not to this one."""

import gc
import sqlite3
import struct

import pytest
from parity.outcomes import outcome, scalar

import csqlite
from csqlite import core

LIMITS = {
    "SQLITE_LIMIT_LENGTH": 1_000_000,
    "SQLITE_LIMIT_SQL_LENGTH": 100_000,
    "SQLITE_LIMIT_COLUMN": 100,
    "SQLITE_LIMIT_EXPR_DEPTH": 100,
    "SQLITE_LIMIT_COMPOUND_SELECT": 50,
    "SQLITE_LIMIT_VDBE_OP": 100_000,
    "SQLITE_LIMIT_FUNCTION_ARG": 100,
    "SQLITE_LIMIT_LIKE_PATTERN_LENGTH": 500,
    "SQLITE_LIMIT_TRIGGER_DEPTH": 10,
    "SQLITE_LIMIT_WORKER_THREADS": 0,
    "SQLITE_LIMIT_PARSER_DEPTH": 100,
}

# A switch, and the value of it that would take protection away.
GUARDS = [
    ("SQLITE_DBCONFIG_DEFENSIVE", False),
    ("SQLITE_DBCONFIG_TRUSTED_SCHEMA", True),
    ("SQLITE_DBCONFIG_WRITABLE_SCHEMA", True),
    ("SQLITE_DBCONFIG_RESET_DATABASE", True),
    ("SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION", True),
    ("SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER", True),
]

LOCKED = (sqlite3.NotSupportedError, "untrusted=True does not let this switch be changed")
FOREIGN = (
    sqlite3.NotSupportedError,
    "untrusted=True needs csqlite's own connection, not one of another module",
)


def is_compiled(option):
    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute("select sqlite_compileoption_used(?)", (option,)).fetchone()[0]
    finally:
        connection.close()


def make(path, script):
    """Write a stranger's file, with the standard module and its functions."""
    connection = sqlite3.connect(str(path))
    try:
        connection.create_function("spy", 1, lambda value: 1, deterministic=True)
        connection.executescript(script)
    finally:
        connection.close()


async def both(path, call, **options):
    """Return the outcomes of `call(db)` with a plain and with a hardened connection."""
    results = []
    for untrusted in (False, True):
        async with csqlite.connect(path, untrusted=untrusted, **options) as db:
            results.append(await outcome(call(db)))
    return results


# -- a schema that calls the program's functions

SCHEMAS = {
    "view": ("create view v as select spy(7)", "select * from v"),
    "trigger": (
        "create table t (a);create trigger g after insert on t begin select spy(new.a); end",
        "insert into t values (7)",
    ),
    "trigger of a view": (
        (
            "create view v as select 1 as a;"
            "create trigger g instead of insert on v begin select spy(new.a); end"
        ),
        "insert into v values (7)",
    ),
    "when clause": (
        "create table t (a);create trigger g after insert on t when spy(new.a) begin select 1; end",
        "insert into t values (7)",
    ),
    "check": ("create table t (a check (spy(a)))", "insert into t values (7)"),
    "default": ("create table t (a, b default (spy(7)))", "insert into t (a) values (1)"),
    "generated column": (
        "create table t (a, b as (spy(a))); insert into t values (7)",
        "select b from t",
    ),
    "stored column": ("create table t (a, b as (spy(a)) stored)", "insert into t values (7)"),
    "index": ("create table t (a); create index i on t (spy(a))", "insert into t values (7)"),
    "partial index": (
        "create table t (a); create index i on t (a) where spy(a)",
        "insert into t values (7)",
    ),
}


@pytest.mark.parametrize("place", SCHEMAS)
async def test_function_in_the_schema_is_not_called(path, place):
    schema, statement = SCHEMAS[place]
    make(path, schema)
    seen = []

    async def call(db):
        def spy(value):
            seen.append((db, value))
            return 1

        await db.create_function("spy", 1, spy, deterministic=True)
        await db.execute_fetchall(statement)
        return [value for who, value in seen if who is db]

    plain, hardened = await both(path, call)
    assert plain == [7] * len(plain) and plain
    assert issubclass(hardened[0], sqlite3.DatabaseError)
    assert hardened[1].endswith("unsafe use of spy()")
    assert len(seen) == len(plain)


@pytest.mark.parametrize("place", SCHEMAS)
async def test_innocuous_function_in_the_schema_is_called(path, place):
    schema, statement = SCHEMAS[place]
    make(path, schema)
    async with csqlite.connect(path, untrusted=True) as db:
        seen = []
        await db.create_function(
            "spy", 1, lambda value: seen.append(value) or 1, deterministic=True, innocuous=True
        )
        await db.execute_fetchall(statement)
        assert set(seen) == {7}


async def test_function_that_replaces_a_built_in_one_is_not_called(path):
    make(path, "create view v as select abs(-7)")
    seen = []

    async def call(db):
        await db.create_function("abs", 1, lambda value: seen.append(value) or 1)
        return await scalar(db, "select * from v")

    assert await both(path, call) == [1, (sqlite3.OperationalError, "unsafe use of abs()")]
    assert seen == [-7]


async def test_virtual_table_of_the_program_is_not_read_by_a_view(path):
    make(path, "create view v as select * from secrets")

    async def call(db):
        await db.create_module("secrets", lambda: [("hush",)], ["a"])
        return await db.execute_fetchall("select * from v")

    plain, hardened = await both(path, call)
    assert plain == [("hush",)]
    assert hardened == (sqlite3.OperationalError, 'unsafe use of virtual table "secrets"')


async def test_program_itself_may_call_what_the_schema_may_not(path):
    make(path, "create table t (a); insert into t values (7)")
    async with csqlite.connect(path, untrusted=True) as db:
        await db.create_function("spy", 1, lambda value: value + 1)
        await db.create_module("numbers", lambda: [1, 2], ["a"])
        assert await scalar(db, "select spy(a) from t") == 8
        assert await db.execute_fetchall("select * from numbers") == [(1,), (2,)]


# -- SQL that damages the file


async def test_schema_cannot_be_written(path):
    make(path, "create table t (a)")

    async def call(db):
        await db.execute("pragma writable_schema = on")
        await db.execute("update sqlite_schema set sql = 'create table t (a, b)'")
        await db.rollback()

    assert await both(path, call) == [
        None,
        (sqlite3.OperationalError, "table sqlite_master may not be modified"),
    ]


@pytest.mark.skipif(not is_compiled("ENABLE_FTS5"), reason="sqlite3 has no FTS5")
async def test_shadow_table_cannot_be_written(path):
    make(path, "create virtual table f using fts5 (a); insert into f values ('hello')")

    async def call(db):
        await db.execute("update f_data set block = zeroblob(20)")
        await db.rollback()

    assert await both(path, call) == [
        None,
        (sqlite3.OperationalError, "table f_data may not be modified"),
    ]


async def test_journal_cannot_be_turned_off(path):
    make(path, "create table t (a)")
    answers = await both(path, lambda db: scalar(db, "pragma journal_mode = off"))
    assert answers == ["off", "delete"]


# -- what is too large, too deep or too many

TOO_BIG = (sqlite3.DataError, "string or blob too big")


@pytest.mark.parametrize(
    ("schema", "statement", "expected"),
    [
        ("create view v as select zeroblob(2000000) as a", "select length(a) from v", TOO_BIG),
        (
            "create view v as select printf('%.*c', 2000000, 'x') as a",
            "select length(a) from v",
            TOO_BIG,
        ),
        (
            "create table t (a); insert into t values (zeroblob(2000000))",
            "select a from t",
            TOO_BIG,
        ),
        (
            "create view v as select " + "1+" * 200 + "1",
            "select * from v",
            (
                sqlite3.DatabaseError,
                "malformed database schema (v) - Expression tree is too large (maximum depth 100)",
            ),
        ),
        (
            "create view v as " + "select 1 union all " * 60 + "select 1",
            "select count(*) from v",
            (
                sqlite3.DatabaseError,
                "malformed database schema (v) - too many terms in compound SELECT",
            ),
        ),
        (
            "create table t (" + ", ".join(f"c{i}" for i in range(150)) + ")",
            "select count(*) from t",
            (sqlite3.DatabaseError, "malformed database schema (t) - too many columns on t"),
        ),
        (
            "create view v as select 'x' like '" + "%x" * 300 + "'",
            "select * from v",
            (sqlite3.OperationalError, "LIKE or GLOB pattern too complex"),
        ),
        (
            "create view v as select max(" + "1, " * 110 + "1)",
            "select * from v",
            # From 3.46 on, a schema is checked for it when it is used.
            None,
        ),
        (
            "create table t0 (a);"
            + "".join(
                f"create table t{i} (a); create trigger g{i} after insert on t{i - 1}"
                f" begin insert into t{i} values (1); end;"
                for i in range(1, 20)
            ),
            "insert into t0 values (1)",
            (sqlite3.OperationalError, "triggers nested too deep"),
        ),
        (
            "create view v0 as select 1;"
            + "".join(
                f"create view v{i} as select * from v{i - 1} union all select * from v{i - 1};"
                for i in range(1, 14)
            ),
            "select count(*) from v13",
            (MemoryError, ""),
        ),
    ],
    ids=[
        "zeroblob",
        "printf",
        "row",
        "deep",
        "compound",
        "wide",
        "like",
        "arguments",
        "triggers",
        "views",
    ],
)
async def test_what_goes_beyond_the_limits(path, schema, statement, expected):
    make(path, schema)
    plain, hardened = await both(path, lambda db: db.execute_fetchall(statement))
    if expected is None:
        if plain[0] is sqlite3.DatabaseError:
            pytest.skip("this SQLite has a lower limit itself")
        assert issubclass(hardened[0], sqlite3.DatabaseError)
        assert "too many arguments on function max" in hardened[1]
    else:
        assert hardened == expected
    assert type(plain) is list


async def test_limits_are_lowered_and_can_be_raised_again(path):
    make(path, "create table t (a); insert into t values (zeroblob(2000000))")
    async with csqlite.connect(":memory:") as db:
        plain = await db.limits()
    async with csqlite.connect(path, untrusted=True) as db:
        hardened = await db.limits()
        for name, value in hardened.items():
            assert value == min(plain[name], LIMITS.get(name, plain[name]))
        await db.setlimit(csqlite.SQLITE_LIMIT_LENGTH, 3_000_000)
        assert len(await scalar(db, "select a from t")) == 2_000_000


async def test_cell_that_reaches_beyond_its_page(path):
    make(path, "create table t (a text); insert into t values ('one'), ('two'), ('three')")
    data = bytearray(path.read_bytes())
    size = struct.unpack(">H", data[16:18])[0]
    # The last cell of the table's page is said to begin two bytes before the page ends.
    data[size + 8 + 4 : size + 8 + 6] = struct.pack(">H", size - 2)
    path.write_bytes(data)
    answers = await both(path, lambda db: scalar(db, "select a from t where rowid = 1"))
    assert answers == ["one", (sqlite3.DatabaseError, "database disk image is malformed")]


async def test_pragmas_that_protect(path):
    async with csqlite.connect(path, untrusted=True) as db:
        assert await scalar(db, "pragma cell_size_check") == 1
        assert await scalar(db, "pragma trusted_schema") == 0
        await db.execute("create table t (a)")
        assert await scalar(db, "pragma mmap_size") == 0


# -- no way back


@pytest.mark.parametrize(("name", "value"), GUARDS)
async def test_guard_cannot_be_lowered(name, value):
    op = getattr(csqlite, name)
    async with csqlite.connect(":memory:", untrusted=True) as db:
        assert await outcome(db.setconfig(op, value)) == LOCKED
        await db.setconfig(op, not value)
        assert await db.getconfig(op) is not value
    async with csqlite.connect(":memory:") as db:
        await db.setconfig(op, value)
        assert await db.getconfig(op) is value


async def test_other_switches_can_be_set():
    async with csqlite.connect(":memory:", untrusted=True) as db:
        await db.execute("create view v as select 1")
        await db.setconfig(csqlite.SQLITE_DBCONFIG_ENABLE_VIEW, False)
        with pytest.raises(sqlite3.OperationalError, match="access to view"):
            await db.execute("select * from v")


async def test_extensions_cannot_be_loaded(path):
    refused = (
        sqlite3.NotSupportedError,
        "no extension can be loaded into an untrusted connection",
    )
    async with csqlite.connect(path, untrusted=True) as db:
        assert await outcome(db.enable_load_extension(True)) == refused
        assert await outcome(db.enable_load_extension(True, allow=[path.parent])) == refused
        await db.enable_load_extension(False)
        assert await outcome(db.load_extension("x")) == (
            sqlite3.OperationalError,
            "not authorized",
        )
        with pytest.raises(sqlite3.OperationalError, match="not authorized"):
            await db.execute_fetchall("select load_extension('x')")


async def test_extensions_are_off_unless_they_are_asked_for(twin):
    async with twin(":memory:") as db:
        with pytest.raises(sqlite3.OperationalError, match="not authorized"):
            await db.execute_fetchall("select load_extension('x')")


async def test_reset_and_deserialize_leave_the_guards(path):
    make(path, "create view v as select spy(7)")
    data = path.read_bytes()
    async with csqlite.connect(":memory:", untrusted=True) as db:
        await db.create_function("spy", 1, lambda value: 1)
        await db.reset()
        await db.deserialize(data)
        assert await outcome(db.execute_fetchall("select * from v")) == (
            sqlite3.OperationalError,
            "unsafe use of spy()",
        )
        assert await scalar(db, "pragma cell_size_check") == 1
        assert (await db.limits())["SQLITE_LIMIT_LENGTH"] == LIMITS["SQLITE_LIMIT_LENGTH"]


async def test_attached_file_is_not_trusted_either(path, tmp_path):
    make(path, "create view v as select spy(7)")

    async def call(db):
        await db.create_function("spy", 1, lambda value: value)
        await db.execute("attach ? as other", (str(path),))
        return await scalar(db, "select * from other.v")

    assert await both(tmp_path / "main.db", call) == [
        7,
        (sqlite3.OperationalError, "unsafe use of spy()"),
    ]


# -- what a program does every day goes on


async def test_ordinary_work(path, tmp_path):
    async with csqlite.connect(path, untrusted=True) as db:
        await db.executescript(
            "create table t (id integer primary key, a text, b blob);"
            "create index i on t (a);"
            "create index j on t (lower(a));"
            "create view v as select a, length(b) as size from t;"
            "create table log (a);"
            "create trigger g after insert on t begin insert into log values (new.a); end;"
        )
        await db.executemany(
            "insert into t (a, b) values (?, ?)", [(f"text {i}", bytes(500)) for i in range(300)]
        )
        await db.commit()
        many = list(range(1, 2001))
        rows = await db.execute_fetchall(
            f"select count(*) from t where id in ({csqlite.placeholders(many)})", many
        )
        assert rows == [(300,)]
        condition = " or ".join("id = ?" for _ in range(90))
        rows = await db.execute_fetchall(f"select id from t where {condition}", many[:90])
        assert len(rows) == 90
        assert await scalar(db, "select count(*) from v where size = 500") == 300
        assert await scalar(db, "select count(*) from log where a like 'text%'") == 300
        await db.execute("drop index j")
        async with db.blobopen("t", "b", 1) as blob:
            await blob.write(b"blob")
        await db.commit()
        assert (await scalar(db, "select b from t where id = 1"))[:4] == b"blob"
        assert len([line async for line in db.iterdump()]) == 600 + 7
        await db.execute("vacuum")
        assert await scalar(db, "pragma integrity_check") == "ok"
        assert await scalar(db, "pragma quick_check") == "ok"
        copy = tmp_path / "copy.db"
        await db.backup(copy)
        assert copy.stat().st_size == path.stat().st_size
        assert len(await db.serialize()) == path.stat().st_size
        assert (await db.statement_info("select * from v")).readonly


@pytest.mark.skipif(not is_compiled("ENABLE_FTS5"), reason="sqlite3 has no FTS5")
async def test_full_text_search(path):
    make(path, "create virtual table f using fts5 (a); insert into f values ('hello world')")
    async with csqlite.connect(path, untrusted=True) as db:
        await db.execute("insert into f values ('hello again')")
        assert await scalar(db, "select count(*) from f where f match 'hello'") == 2
        await db.execute("insert into f (f) values ('optimize')")
        await db.commit()
        assert await scalar(db, "pragma integrity_check") == "ok"


async def test_opening_reads_nothing(path):
    path.write_bytes(b"no database at all" * 100)
    async with csqlite.connect(path, untrusted=True) as db:
        assert await outcome(db.execute("select 1")) == (
            sqlite3.DatabaseError,
            "file is not a database",
        )


async def test_with_other_options(path):
    make(path, "create table t (a)")
    options = {"uri": True, "autocommit": False, "untrusted": 1, "timeout": 0.1}
    async with csqlite.connect(f"{path.as_uri()}?mode=ro", **options) as db:
        assert db.in_transaction
        assert await db.getconfig(csqlite.SQLITE_DBCONFIG_DEFENSIVE)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await db.execute("insert into t values (1)")
    with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
        await csqlite.connect(path.parent / "none" / "x.db", untrusted=True)


async def test_plain_connection_has_no_guards(path):
    async with csqlite.connect(path, untrusted=False) as db:
        assert not await db.getconfig(csqlite.SQLITE_DBCONFIG_DEFENSIVE)
        assert await db.getconfig(csqlite.SQLITE_DBCONFIG_TRUSTED_SCHEMA)


# -- misuse


async def test_foreign_connection_cannot_be_hardened(path, monkeypatch):
    class Other(sqlite3.Connection):
        pass

    db = csqlite.connect(path, factory=Other, untrusted=True)
    assert await outcome(db) == FOREIGN
    async with csqlite.connect(path, factory=Other, untrusted=False) as db:
        assert await scalar(db, "select 1") == 1

    monkeypatch.setattr(core.sqlite3, "connect", lambda *args, **kwargs: 1 / 0)
    assert await outcome(csqlite.connect(path, untrusted=True)) == FOREIGN
    gc.collect()


def test_connector_does_not_open_with_sqlite3(path):
    connector = csqlite.connect(path, untrusted=True)._connector
    with pytest.raises(sqlite3.NotSupportedError, match="csqlite's own connection"):
        connector()


async def test_value_that_is_neither_true_nor_false(path):
    class Neither:
        def __bool__(self):
            raise RuntimeError("neither")

    assert await outcome(csqlite.connect(path, untrusted=Neither())) == (RuntimeError, "neither")
