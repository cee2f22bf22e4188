"""A name, a path, a pattern or SQL with a null character is refused: C would cut it there."""

import pytest

import csqlite

# As aiosqlite and sqlite3 do for SQL.
SQL = (csqlite.ProgrammingError, "the query contains a null character")
NAME = (ValueError, "embedded null character")
PATH = (ValueError, "embedded null (byte|character)")


@pytest.fixture
def aiosqlite():
    return csqlite


class Sum:
    def step(self, *values):
        pass

    def finalize(self):
        pass

    value = inverse = finalize


class Scene:
    """What the cases are tried on."""


CASES = {
    "connect": (PATH, lambda s: csqlite.connect("x\0y")),
    "connect bytes": (PATH, lambda s: csqlite.connect(b"x\0y")),
    "connect URI": (PATH, lambda s: csqlite.connect("file:x\0y", uri=True)),
    "isolation level": (NAME, lambda s: csqlite.connect("", isolation_level="DEFERRED\0")),
    "execute": (SQL, lambda s: s.db.execute("select 1\0")),
    "executemany": (SQL, lambda s: s.db.executemany("select 1\0", [])),
    "executescript": (NAME, lambda s: s.db.executescript("select 1;\0")),
    "execute_insert": (SQL, lambda s: s.db.execute_insert("select 1\0")),
    "execute_fetchall": (SQL, lambda s: s.db.execute_fetchall("select 1\0")),
    "complete_statement": (NAME, lambda s: csqlite.complete_statement("select 1;\0")),
    "function": (NAME, lambda s: s.db.create_function("f\0x", 0, print)),
    "function removed": (NAME, lambda s: s.db.create_function("f\0x", 0, None)),
    "aggregate": (NAME, lambda s: s.db.create_aggregate("f\0x", 0, Sum)),
    "window function": (NAME, lambda s: s.db.create_window_function("f\0x", 0, Sum)),
    "collation": (NAME, lambda s: s.db.create_collation("f\0x", max)),
    "collation removed": (NAME, lambda s: s.db.create_collation("f\0x", None)),
    "module": (NAME, lambda s: s.db.create_module("f\0x", [1], ["a"])),
    "module removed": (NAME, lambda s: s.db.create_module("f\0x", None)),
    "module's column": (NAME, lambda s: s.db.create_module("f", [1], ["a\0b"])),
    "module's parameter": (
        NAME,
        lambda s: s.db.create_module("f", lambda **given: [1], ["a"], parameters=["b\0c"]),
    ),
    "blob's table": (NAME, lambda s: s.db.blobopen("t\0x", "a", 1)),
    "blob's column": (NAME, lambda s: s.db.blobopen("t", "a\0x", 1)),
    "blob's schema": (NAME, lambda s: s.db.blobopen("t", "a", 1, name="main\0x")),
    "serialize": (NAME, lambda s: s.db.serialize(name="main\0x")),
    "deserialize": (NAME, lambda s: s.db.deserialize(b"", name="main\0x")),
    "backup": (NAME, lambda s: s.db.backup(s.other, name="main\0x")),
    "backup to a path": (PATH, lambda s: s.db.backup("x\0y")),
    "backup to bytes": (PATH, lambda s: s.db.backup(b"x\0y")),
    "iterdump": (NAME, lambda s: anext_of(s.db.iterdump(filter="t\0x"))),
    "wal_checkpoint": (NAME, lambda s: s.db.wal_checkpoint(name="main\0x")),
    "txn_state": (NAME, lambda s: s.db.txn_state("main\0x")),
    "readonly": (NAME, lambda s: s.db.readonly("main\0x")),
    "db_filename": (NAME, lambda s: s.db.db_filename("main\0x")),
    "file_control": (
        NAME,
        lambda s: s.db.file_control(csqlite.SQLITE_FCNTL_VFSNAME, name="main\0x"),
    ),
    "load_extension": (NAME, lambda s: s.db.load_extension("p\0x")),
    "entry point": (NAME, lambda s: s.db.load_extension("p", entrypoint="e\0x")),
    "session": (NAME, lambda s: s.db.session("main\0x")),
    "attach": (NAME, lambda s: s.session.attach("t\0x")),
    "diff from": (NAME, lambda s: s.session.diff("main\0x", "t")),
    "diff of": (NAME, lambda s: s.session.diff("main", "t\0x")),
}

VIEW = {
    "execute": (SQL, lambda raw, other: raw.execute("select 1\0")),
    "create_function": (NAME, lambda raw, other: raw.create_function("f\0x", 0, print)),
    "blobopen": (NAME, lambda raw, other: raw.blobopen("t\0x", "a", 1)),
    "serialize": (NAME, lambda raw, other: raw.serialize(name="main\0x")),
    "backup": (NAME, lambda raw, other: raw.backup(other._conn, name="main\0x")),
    "isolation level": (NAME, lambda raw, other: setattr(raw, "isolation_level", "DEFERRED\0")),
}


async def anext_of(lines):
    return await lines.__anext__()


@pytest.mark.parametrize("case", CASES)
async def test_it_is_refused(db, case):
    (kind, message), make = CASES[case]
    scene = Scene()
    scene.db = db
    await db.execute("create table t (id integer primary key, a)")
    await db.execute("insert into t values (1, 'x')")
    await db.commit()
    await db.enable_load_extension(True)
    async with csqlite.connect(":memory:") as scene.other:
        needs_session = case in ("session", "attach", "diff from", "diff of")
        try:
            scene.session = await db.session()
        except csqlite.NotSupportedError:
            if needs_session:
                pytest.skip("this SQLite has no sessions")
        with pytest.raises(kind, match=message):
            answer = make(scene)
            if hasattr(answer, "__await__"):
                await answer
    with pytest.raises(csqlite.OperationalError, match="no such"):
        await db.execute("select * from f")


@pytest.mark.parametrize("case", VIEW)
async def test_the_synchronous_view_refuses_it(db, case):
    (kind, message), make = VIEW[case]
    async with csqlite.connect(":memory:") as other:
        with pytest.raises(kind, match=message):
            await db._execute(make, db._conn, other)
