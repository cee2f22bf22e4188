"""What exceptions say in notes: the SQL, the place in it, the row of executemany(), the file."""

import contextlib
import gc
import os
import sqlite3
import sys
import warnings

import pytest

import csqlite
from csqlite import notes, readers

needs_offsets = pytest.mark.skipif(
    csqlite.sqlite_version_info < (3, 38), reason="SQLite tells no offset before 3.38"
)


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "t.db"
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE t (a UNIQUE)")
        file.execute("INSERT INTO t VALUES (70)")
        file.commit()
    return csqlite.connect(path)


@pytest.fixture
def switched_off():
    csqlite.enable_error_notes(False)
    yield
    csqlite.enable_error_notes(True)


def notes_of(error):
    return "\n".join(getattr(error, "__notes__", []))


async def failure(awaitable):
    with pytest.raises(Exception) as caught:
        await awaitable
    return caught.value


async def a_cursors(db, method, *arguments):
    cursor = await db.cursor()
    return await getattr(cursor, method)(*arguments)


async def all_rows(db, sql):
    cursor = await db.execute(sql)
    return await cursor.fetchall()


async def one_by_one(db, sql):
    async for row in await db.execute(sql):
        assert row


async def called_on_worker(db, method, *arguments):
    return await db._execute(getattr(db._conn, method), *arguments)


DUPLICATE = "INSERT INTO t VALUES (?)"
OVERFLOWS = (
    "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n LIMIT 900) "
    "SELECT abs(CASE WHEN v > 800 THEN -9223372036854775808 ELSE v END) FROM n"
)


@pytest.mark.parametrize("way", [csqlite.Connection.execute, a_cursors, called_on_worker])
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("execute", (DUPLICATE, (70,))),
        ("execute", (DUPLICATE, ())),
        ("execute", (DUPLICATE, (object(),))),
        ("execute", (DUPLICATE, (2**64,))),
        ("executemany", (DUPLICATE, [(70,)])),
        ("executescript", ("INSERT INTO t VALUES (70)",)),
        ("execute_insert", (DUPLICATE, (70,))),
        ("execute_fetchall", (DUPLICATE, (70,))),
    ],
)
async def test_every_way_of_executing(db, way, method, arguments):
    if way is csqlite.Connection.execute:
        error = await failure(getattr(db, method)(*arguments))
    elif method.startswith("execute_"):
        pytest.skip("of a connection only")
    else:
        error = await failure(way(db, method, *arguments))
    assert "SQL: INSERT INTO t VALUES (" in notes_of(error)


@pytest.mark.parametrize("way", [all_rows, one_by_one])
async def test_a_failure_behind_the_first_rows(db, way):
    error = await failure(way(db, OVERFLOWS))
    assert str(error) == "integer overflow"
    assert notes_of(error).startswith("SQL: WITH RECURSIVE n(v)")


@needs_offsets
@pytest.mark.parametrize(
    ("sql", "line", "under"),
    [
        ("selec 1", "selec 1", "s"),
        ("select 1,, 2", "select 1,, 2", ", 2"),
        ("select 1,\n   absent\nfrom t", "absent", "absent"),
        ("select 'äöü', absent", "select 'äöü', absent", "absent"),
        ("\n\n\tselect\tabsent", "select absent", "absent"),
        ("select absent" + " " * 1000 + "from t", None, "absent"),
        ("select " + "1, " * 1000 + "absent", None, "absent"),
    ],
)
async def test_the_caret_is_below_what_sqlite_does_not_understand(db, sql, line, under):
    error = await failure(db.execute(sql))
    shown, caret = notes_of(error).splitlines()[-2:]
    assert caret.strip() == "^"
    assert shown[caret.index("^") :].startswith(under)
    assert len(shown) < 160
    if line is not None:
        assert shown.removeprefix("SQL: ") == line


def test_the_caret_counts_the_columns_of_wide_characters():
    error = ValueError()
    sql = "select '日本', e\u0301 absent"
    notes.explain(error, sql, len(sql.partition("absent")[0].encode()))
    assert error.__notes__[0].splitlines()[1] == " " * (5 + 17) + "^"


@needs_offsets
async def test_the_line_of_a_script(db):
    script = "SELECT 1;\n\nSELECT 2;\n  SELECT absent;\nSELECT 3"
    error = await failure(db.executescript(script))
    assert error.sqlite_error_offset == script.index("absent")
    assert "at line 4:\nSELECT absent;\n       ^" in notes_of(error)


async def test_the_statement_of_a_script_that_fails_when_it_runs(db):
    error = await failure(db.executescript("SELECT 1;\nINSERT INTO t VALUES (70);"))
    assert notes_of(error) == "SQL: INSERT INTO t VALUES (70);"


@pytest.mark.parametrize("length", [1, 3, 5000])
@pytest.mark.parametrize("bad", [(70,), (object(),), (2**64,), (), ("\ud800",), 5])
@pytest.mark.parametrize("kind", [list, iter])
@pytest.mark.parametrize("way", ["a connection's", "a cursor's", "a view's"])
async def test_executemany_says_which_row(db, length, bad, kind, way):
    rows = [(index + 100,) for index in range(length - 1)] + [bad, (1,), (2,)]
    if way == "a connection's":
        error = await failure(db.executemany(DUPLICATE, kind(rows)))
    elif way == "a cursor's":
        error = await failure(a_cursors(db, "executemany", DUPLICATE, kind(rows)))
    else:
        error = await failure(called_on_worker(db, "executemany", DUPLICATE, kind(rows)))
    assert error.row_index == length - 1
    assert f"row {length - 1}, counted from 0" in notes_of(error)


@pytest.mark.parametrize("sql", ["INSERT INTO absent VALUES (?)", "SELECT ?", "COMMIT; SELECT ?"])
async def test_a_statement_that_no_row_is_to_blame_for(db, sql):
    error = await failure(db.executemany(sql, [(1,)]))
    assert not hasattr(error, "row_index")
    assert "row" not in notes_of(error)
    assert sql in notes_of(error)


async def test_what_a_callable_raises_is_left_alone(db):
    class Own(Exception):
        pass

    def rows():
        yield (1,)
        raise Own("the generator's")

    def broken():
        raise Own("the call's")

    error = await failure(db.executemany(DUPLICATE, rows()))
    assert str(error) == "the generator's"
    assert not hasattr(error, "__notes__")
    assert not hasattr(await failure(db._execute(broken)), "__notes__")


async def test_values_are_never_shown(db):
    await db.execute("CREATE TABLE secrets (a TEXT CHECK (length(a) < 3))")
    for parameters in (("hunter2",), {"a": "hunter2"}):
        sql = "INSERT INTO secrets VALUES (:a)" if isinstance(parameters, dict) else DUPLICATE
        sql = sql.replace("INTO t", "INTO secrets")
        error = await failure(db.execute(sql, parameters))
        assert "SQL:" in notes_of(error)
        assert "hunter2" not in notes_of(error)


async def test_the_message_is_sqlite3s_and_a_long_statement_is_cut(db):
    sql = "SELECT " + "1, " * 1500 + "absent FROM nowhere"
    with pytest.raises(sqlite3.OperationalError) as theirs:
        sqlite3.connect(":memory:").execute("SELECT absent FROM nowhere")
    error = await failure(db.execute(sql))
    assert str(error) == str(theirs.value)
    assert len(notes_of(error)) < 500


async def test_the_switch(db, switched_off, tmp_path):
    error = await failure(db.executemany(DUPLICATE, [(1,), (70,)]))
    assert error.row_index == 1
    assert not hasattr(error, "__notes__")
    assert not hasattr(await failure(csqlite.connect(tmp_path)), "__notes__")
    cursor = await db.execute("SELECT 'secret'")
    assert "secret" not in repr(cursor)


ENDLESS = (
    "WITH RECURSIVE n(v) AS (SELECT 'secret' UNION ALL SELECT v FROM n) SELECT count(*) FROM n"
)


@pytest.mark.parametrize("method", ["execute", "execute_fetchall", "executescript"])
@pytest.mark.parametrize("shown", [True, False])
async def test_the_sql_of_what_was_late(db, method, shown, request):
    if not shown:
        request.getfixturevalue("switched_off")
    error = await failure(getattr(db, method)(ENDLESS, deadline=0.001))
    assert isinstance(error, csqlite.DeadlineExceeded)
    assert str(error).endswith(f": {ENDLESS}") == shown
    assert ("secret" in str(error)) == shown


@pytest.mark.parametrize("shown", [True, False])
def test_the_sql_of_a_half_read_cursor(shown, request):
    if not shown:
        request.getfixturevalue("switched_off")
    place = readers.Place("here.py", 7, "main", {})
    message = readers.Watch(notes._Switch, "SELECT 'secret'", place, 1.0, 0.0).message()
    assert message.endswith(
        " reset" + ": SELECT 'secret'" * shown + " (started at here.py:7 in main)"
    )


@pytest.mark.parametrize("factory", [None, type("Own", (sqlite3.Connection,), {})])
@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path])
async def test_a_file_that_cannot_be_opened_is_named(tmp_path, factory, kind):
    path = tmp_path / "absent" / "x.db"
    options = {} if factory is None else {"factory": factory}
    error = await failure(csqlite.connect(kind(path), **options))
    assert str(error) == "unable to open database file"
    assert notes_of(error) == f"the file is {str(path)!r}"


async def test_a_relative_path_is_told_with_its_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = await failure(csqlite.connect("absent/x.db"))
    assert notes_of(error) == f"the file is 'absent/x.db', looked for in {os.getcwd()!r}"


async def test_backup_names_its_target(db, tmp_path):
    error = await failure(db.backup(tmp_path / "absent" / "copy.db"))
    assert "copy.db" in notes_of(error)


async def test_attach_names_its_file_itself(db, tmp_path):
    error = await failure(db.execute("ATTACH ? AS x", (str(tmp_path / "absent" / "x.db"),)))
    assert "t.db" not in notes_of(error)


def test_a_note_is_added_once_to_what_is_raised_again():
    error = sqlite3.OperationalError("x")
    for _ in range(3):
        notes.explain(error, "SELECT 1")
    assert error.__notes__ == ["SQL: SELECT 1"]


async def test_a_forgotten_connection_says_where_it_was_made(tmp_path):
    path = tmp_path / "forgotten.db"
    line = sys._getframe().f_lineno + 1
    db = await csqlite.connect(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del db
        gc.collect()
    (text,) = [str(item.message) for item in caught if item.category is ResourceWarning]
    assert str(path) in text
    assert "was deleted before being closed. Please use 'async with' or '.close()'" in text
    assert f">, made by connect() at {__file__}:{line}, was deleted" in text


async def test_a_forgotten_connection_of_an_own_connector_names_it():
    db = await csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del db
        gc.collect()
    (text,) = [str(item.message) for item in caught if item.category is ResourceWarning]
    assert "<lambda>" in text
    assert text.endswith("to close the connection properly.")


# -- connections of other modules ---------------------------------------------------


@pytest.fixture
def foreign():
    def connect():
        connection = sqlite3.connect(":memory:")
        connection.executescript("CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (70)")
        return connection

    return csqlite.Connection(connect, 64)


@pytest.mark.parametrize("way", [csqlite.Connection.execute, a_cursors])
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("execute", (DUPLICATE, (70,))),
        ("execute", (DUPLICATE, ())),
        ("execute", ("SELEKT 1",)),
        ("executemany", (DUPLICATE, [(70,)])),
        ("executescript", (DUPLICATE.replace("?", "70"),)),
        ("execute_insert", (DUPLICATE, (70,))),
        ("execute_fetchall", (DUPLICATE, (70,))),
    ],
)
async def test_ways_of_executing_with_another_module(foreign, way, method, arguments):
    async with foreign as db:
        if way is csqlite.Connection.execute:
            error = await failure(getattr(db, method)(*arguments))
        elif method.startswith("execute_"):
            return
        else:
            error = await failure(way(db, method, *arguments))
    assert notes_of(error).startswith(f"SQL: {arguments[0].partition('?')[0]}")
    assert isinstance(error, sqlite3.Error)
    assert getattr(error, "row_index", None) == (0 if method == "executemany" else None)


@pytest.mark.parametrize("way", [all_rows, one_by_one])
async def test_a_failure_behind_the_first_rows_of_another_module(foreign, way):
    async with foreign as db:
        error = await failure(way(db, OVERFLOWS))
    assert notes_of(error).startswith("SQL: WITH RECURSIVE n(v)")


@pytest.mark.parametrize("way", [csqlite.Connection.execute, a_cursors])
@pytest.mark.parametrize("kind", [list, tuple, iter])
async def test_the_row_of_another_module(foreign, way, kind):
    async with foreign as db:
        rows = kind([(1,), (2,), (70,), (4,)])
        if way is a_cursors:
            error = await failure(a_cursors(db, "executemany", DUPLICATE, rows))
        else:
            error = await failure(db.executemany(DUPLICATE, rows))
        assert error.row_index == 2
        assert "executemany() was at row 2" in notes_of(error)
        assert [row async for row in await db.execute("SELECT a FROM t")] == [(70,), (1,), (2,)]


async def test_what_an_iterable_raises_with_another_module(foreign):
    def rows():
        yield (1,)
        raise LookupError

    async with foreign as db:
        error = await failure(db.executemany(DUPLICATE, rows()))
        assert (type(error), notes_of(error)) == (LookupError, "")
        error = await failure(db.executemany(DUPLICATE, 5))
        assert (type(error), str(error)) == (TypeError, "'int' object is not iterable")
        error = await failure(db.executemany("INSERT INTO absent VALUES (?)", [(1,)]))
        assert notes_of(error) == "SQL: INSERT INTO absent VALUES (?)"
        assert not hasattr(error, "row_index")


async def test_the_switch_with_another_module(foreign, switched_off):
    async with foreign as db:
        error = await failure(db.executemany(DUPLICATE, [(1,), (70,)]))
        assert (error.row_index, notes_of(error)) == (1, "")
        assert "secret" not in repr(await db.execute("SELECT 'secret'"))


async def test_repr_of_a_cursor_of_another_module(foreign):
    async with foreign as db:
        cursor = await db.execute("SELECT 1")
        assert "'SELECT 1', of <sqlite3.Cursor" in repr(cursor)
        await cursor.execute("SELECT 2")
        assert "'SELECT 2', of <sqlite3.Cursor" in repr(cursor)
