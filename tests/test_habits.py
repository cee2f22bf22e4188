"""What connections do by themselves, as SQLite was compiled: as in the `sqlite3` module, where that can be chosen."""

import contextlib
import os
import sqlite3
import subprocess
import sys

import pytest
from parity.outcomes import fetchall, outcome, stdlib_outcome

import csqlite
from csqlite import copies, core

BUNDLED = csqlite.build.source != "system"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty current directory, in which names that are no URIs make files."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def chosen(monkeypatch):
    """Let the habits be what is asked for, whatever sqlite3 has."""

    def choose(uris, sql=None):
        flags = csqlite.SQLITE_OPEN_URI if uris else 0
        monkeypatch.setattr(core._HABITS, "_known", (flags, sql))

    return choose


def with_sqlite3(name, then):
    with contextlib.closing(sqlite3.connect(name)) as connection:
        for sql in then:
            connection.execute(sql)


async def with_csqlite(name, then):
    async with csqlite.connect(name) as db:
        for sql in then:
            await db.execute(sql)


TABLE = "create table t (a)"
NAMES = {
    "memory": ("file:shared?mode=memory&cache=shared", [TABLE]),
    "memory without a name": ("file::memory:", [TABLE]),
    "read only": ("file:nothing.db?mode=ro", [TABLE]),
    "percent": ("file:a%20b.db", [TABLE]),
    "unknown mode": ("file:c.db?mode=none", [TABLE]),
    "attach": (":memory:", ["attach 'file:d.db?mode=memory' as d", "create table d.t (a)"]),
    "attach read only": (":memory:", ["attach 'file:e.db?mode=ro' as e", "create table e.t (a)"]),
    "vacuum into": ("f.db", [TABLE, "vacuum into 'file:g.db?mode=rwc'"]),
    "upper case": ("FILE:h.db", [TABLE]),
}


@pytest.mark.parametrize("case", NAMES)
async def test_names_mean_what_they_mean_to_sqlite3(case, tmp_path, monkeypatch):
    name, then = NAMES[case]
    results = []
    for who in ("theirs", "ours"):
        (tmp_path / who).mkdir()
        monkeypatch.chdir(tmp_path / who)
        if who == "ours":
            result = await outcome(with_csqlite(name, then))
        else:
            result = stdlib_outcome(lambda _: with_sqlite3(name, then))
        results.append((result, sorted(os.listdir())))
    theirs, ours = results
    assert ours[1] == theirs[1]
    assert type(ours[0]) is type(theirs[0])
    if ours[0] is not None:
        assert ours[0][0] is theirs[0][0]


async def test_names_are_uris_where_sqlite3_takes_them_for_such(chosen):
    chosen(uris=True)
    await with_csqlite("file:a.db?mode=memory", [TABLE])
    await with_csqlite(":memory:", ["attach 'file:b.db?mode=memory' as b", "create table b.t (a)"])
    assert os.listdir() == []


@pytest.mark.skipif(not BUNDLED, reason="the system's SQLite decides")
async def test_names_are_no_uris_otherwise(chosen):
    chosen(uris=False)
    await with_csqlite("file:a.db?mode=memory", [TABLE])
    assert os.listdir() == ["file:a.db?mode=memory"]
    async with csqlite.connect("file:b.db?mode=memory", uri=True) as db:
        await db.execute(TABLE)
    assert os.listdir() == ["file:a.db?mode=memory"]


@pytest.mark.parametrize("name", copies._PRAGMAS)
@pytest.mark.parametrize("options", [{}, {"isolation_level": None}, {"untrusted": True}])
async def test_settings_are_those_of_sqlite3(name, options):
    expected = stdlib_outcome(lambda connection: connection.execute(f"pragma {name}").fetchall())
    async with csqlite.connect("a.db", **options) as db:
        assert await fetchall(db, f"pragma {name}") == expected
        await db.execute("attach 'b.db' as b")
        attached = await fetchall(db, f"pragma b.{name}")
    with contextlib.closing(sqlite3.connect("a.db")) as connection:
        connection.execute("attach 'b.db' as b")
        assert attached == connection.execute(f"pragma b.{name}").fetchall()


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("secure_delete", "on", 1),
        ("secure_delete", "fast", 2),
        ("foreign_keys", "on", 1),
        ("recursive_triggers", "on", 1),
    ],
)
async def test_settings_that_differ_are_set(monkeypatch, name, word, value):
    """Settings of another build of sqlite3, whose every connection is told so first."""
    connect = sqlite3.connect

    def told(*args, **kwargs):
        connection = connect(*args, **kwargs)
        connection.execute(f"pragma {name} = {word}")
        return connection

    monkeypatch.setattr(copies.sqlite3, "connect", told)
    sql = copies._settings()
    monkeypatch.undo()
    monkeypatch.setattr(core._HABITS, "_known", (0, sql))
    async with csqlite.connect(":memory:") as db:
        assert await fetchall(db, f"pragma {name}") == [(value,)]


async def test_wrong_setting_fails_the_open(chosen):
    chosen(False, "no sql")
    assert await outcome(csqlite.connect(":memory:")) == (
        sqlite3.OperationalError,
        'near "no": syntax error',
    )


async def test_deleted_text_is_overwritten_where_sqlite3_does_so(chosen):
    for sql, left in (("PRAGMA secure_delete = 1;", 0), ("PRAGMA secure_delete = 0;", 1)):
        chosen(False, sql)
        async with csqlite.connect("a.db", isolation_level=None) as db:
            await db.execute("create table if not exists t (a)")
            await db.execute("insert into t values ('SECRET SECRET'), ('kept')")
            await db.execute("delete from t where a like 'SECRET%'")
        with open("a.db", "rb") as file:
            assert file.read().count(b"SECRET SECRET") == left


def test_sqlite3_is_asked_once_and_not_by_the_import():
    program = (
        "import sqlite3, sys, asyncio; asked = []\n"
        "sys.addaudithook(lambda event, args: asked.append(args) if event == 'sqlite3.connect' else None)\n"
        "import csqlite; before = len(asked)\n"
        "async def main():\n"
        "    async with csqlite.connect(':memory:'): first = len(asked)\n"
        "    async with csqlite.connect(':memory:'): assert len(asked) == first > 0\n"
        "asyncio.run(main()); print(before)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "0\n"
    assert done.stderr == ""


STATEMENTS = [
    "delete from t where a = 1 limit 1",
    "delete from t order by a limit 1",
    "update t set a = 2 limit 1",
    "update t set a = a + 10 order by a desc limit 1 offset 1",
]


@pytest.mark.skipif(
    csqlite.build.source != "bundled"
    and "ENABLE_UPDATE_DELETE_LIMIT" not in csqlite.compile_options,
    reason="this SQLite has no parser for it",
)
@pytest.mark.parametrize("sql", STATEMENTS)
async def test_delete_and_update_with_limit(sql):
    expected = {
        STATEMENTS[0]: [1, 2, 3],
        STATEMENTS[1]: [1, 2, 3],
        STATEMENTS[2]: [2, 1, 2, 3],
        STATEMENTS[3]: [1, 1, 12, 3],
    }[sql]
    async with csqlite.connect(":memory:") as db:
        await db.execute(TABLE)
        await db.execute("insert into t values (1), (1), (2), (3)")
        await db.execute(sql)
        assert [a for (a,) in await fetchall(db, "select a from t order by rowid")] == expected


@pytest.mark.skipif(not BUNDLED, reason="the system's SQLite decides")
async def test_pages_can_be_read():
    async with csqlite.connect(":memory:") as db:
        await db.execute(TABLE)
        await db.commit()
        assert await fetchall(
            db, "select count(*), max(substr(data, 1, 15)) from sqlite_dbpage"
        ) == [(2, b"SQLite format 3")]


def test_build_says_which_sqlite_it_is():
    build = csqlite.build
    assert build == (build.version, build.source, build.options)
    assert (build.version, build.options) == (csqlite.sqlite_version, csqlite.compile_options)
    assert build.source in ("bundled", "system") or os.path.isdir(build.source)
    assert repr(build).startswith(f"csqlite.build(version={build.version!r}, source=")
    with pytest.raises(AttributeError):
        build.source = "another"
