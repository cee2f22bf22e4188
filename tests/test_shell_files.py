"""The shell and files: backups that cannot be made, dumps of patterns, what begins with a mark."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest
from shells import complaints, output, shell


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A directory of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sqlite3_shell(script):
    """Return what SQLite's own shell prints."""
    if shutil.which("sqlite3") is None:
        pytest.skip("SQLite's own shell is not installed")
    done = subprocess.run(["sqlite3"], input=script, capture_output=True, text=True, check=False)
    return done.stdout


# -- .backup, .save, .restore


def link_symbolic(source, target):
    """Make a symbolic link."""
    os.symlink(os.path.abspath(source), target)


NAMES = {
    "its name": lambda home: "a.db",
    "a longer way": lambda home: f"../{home.name}/a.db",
    "its path": lambda home: str(home / "a.db"),
    "a URI": lambda home: "file:a.db",
    "a hard link": lambda home: os.link("a.db", "b.db") or "b.db",
    "a symbolic link": lambda home: link_symbolic("a.db", "b.db") or "b.db",
}


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["backup", "backup main", "save", "restore"])
async def test_a_file_is_not_copied_onto_itself(home, command, name, mode):
    await output(f"pragma journal_mode={mode};\ncreate table t (a);\n", "a.db")
    other = NAMES[name](home)
    if command == "restore" and name == "a URI":
        other = "a.db"  # .restore looks whether the file is there.
    result = await asyncio.wait_for(shell("a.db", f".{command} {other}"), 60)
    assert result.status == 1
    assert result.err == f'Error: "{other}" is the file of the open database itself\n'
    assert await output(".tables\n", "a.db") == "t\n"


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("command", ["backup", "save", "restore"])
async def test_a_locked_file_is_an_error(home, command, mode):
    await output("create table t (a);\n", "a.db")
    with closing(sqlite3.connect("locked.db", isolation_level=None)) as other:
        other.execute(f"pragma journal_mode={mode}")
        other.execute("pragma locking_mode=exclusive")
        other.execute("create table kept (a)")
        other.execute("begin exclusive")
        script = f".timeout 1\n.{command} locked.db\n.tables\n"
        result = await asyncio.wait_for(shell("a.db", stdin=script), 60)
        assert (result.status, result.out) == (1, "t\n")
        assert result.err.startswith("Error: ")
        assert "locked" in result.err
    assert await output(".tables\n", "locked.db") == "kept\n"


@pytest.mark.parametrize("command", [".backup other.db", ".restore other.db"])
async def test_own_file_that_is_locked_is_an_error(home, command):
    await output("create table t (a);\n", "a.db")
    await output("create table u (a);\n", "other.db")
    with closing(sqlite3.connect("a.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        script = f".timeout 1\n{command}\npragma busy_timeout;\n"
        result = await asyncio.wait_for(shell("a.db", stdin=script), 60)
    assert (result.status, result.out, result.err) == (1, "1\n", "Error: database is locked\n")


async def test_copying_leaves_the_timeout_as_it_was(home):
    script = "create table t (a);\npragma busy_timeout;\n.backup b.db\npragma busy_timeout;\n"
    assert await output(script, "a.db") == "5000\n5000\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (".backup nosuch b.db\n", "Error: unknown database nosuch\n"),
        ("begin;\ninsert into t values (1);\n.restore b.db\n", None),
        (".backup /nonexistent/b.db\n", None),
    ],
)
async def test_what_else_cannot_be_copied(home, script, message):
    await output("create table t (a);\n", "a.db")
    await output("create table u (a);\n", "b.db")
    printed = await asyncio.wait_for(complaints(f".timeout 1\n{script}", "a.db"), 60)
    assert printed == message if message else printed.startswith("Error: ")


@pytest.mark.parametrize(("begin", "made"), [("begin", True), ("begin immediate", False)])
async def test_backup_from_within_a_transaction(home, begin, made):
    script = f"create table t (a);\n{begin};\n.backup b.db\ncommit;\n"
    result = await asyncio.wait_for(shell("a.db", stdin=script), 60)
    assert result.err == ("" if made else "Error: database is locked\n")
    assert await output(".tables\n", "b.db") == ("t\n" if made else "")


# -- .dump


DUMPED = """
create table a1 (x); insert into a1 values (1);
create table a_1 (x); insert into a_1 values (2);
create table b1 (x unique); insert into b1 values (3);
create index b1_x on b1 (x);
create table "it's 1" (x); insert into "it's 1" values (4);
create view a1_view as select * from a1;
"""


@pytest.mark.parametrize(
    "patterns",
    [
        "",
        "a%",
        "a% %1",
        "a1 a1",
        "A1 a1",
        "% %",
        r"a\_1",
        r"a\_1 a1",
        "a_1",
        "nothing",
        "nothing b%",
        '"it\'s 1" "it\'s%"',
        "''",
        "'' b1",
        "b1_x b1",
        "a1_view",
    ],
)
async def test_dump_of_patterns_is_that_of_sqlites_shell(home, patterns):
    script = f"{DUMPED}.dump {patterns}\n"
    ours, theirs = await output(script), sqlite3_shell(script)

    def made(text):
        lines = (
            line.replace('"', "").replace("IF NOT EXISTS ", "")
            for line in text.splitlines()
            if "INSERT" in line or "CREATE" in line
        )
        return sorted(lines)

    assert made(ours) == made(theirs)
    again = await output(f"{ours}select count(*) from sqlite_master;\n")
    assert again == await output(f"{theirs}select count(*) from sqlite_master;\n")


# -- byte order marks


@pytest.mark.parametrize("options", ["--csv", "--csv --skip 0", "--csv -v"])
@pytest.mark.parametrize("head", ["id,b", '"id",b', "id,\ufeffb"])
async def test_import_leaves_the_mark_out(home, options, head):
    (home / "a.csv").write_text(f"{head}\n1,2\n", encoding="utf-8-sig")
    for file in ("a.csv", '"|cat a.csv"'):
        out = await output(
            f".import {options} {file} t\n.mode json\nselect name from pragma_table_info('t');\n"
        )
        assert '"name":"id"' in out


async def test_import_skips_lines_behind_the_mark(home):
    (home / "a.csv").write_text("remark\nid\n1\n", encoding="utf-8-sig")
    assert await output(".import --csv --skip 1 a.csv t\nselect id from t;\n") == "1\n"


async def test_a_script_may_begin_with_a_mark(home):
    (home / "a.sql").write_text(".print one\nselect 2;\n", encoding="utf-8-sig")
    assert await output(".read a.sql\n") == "one\n2\n"
