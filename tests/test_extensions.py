"""Loading extensions: one compiled here, those of other projects where they are installed, and the
list of what may be loaded.

An extension keeps the address of the SQLite that has loaded it last. Where csqlite and the sqlite3
module load the same one, each gets a file of its own.
"""

import asyncio
import importlib
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import csqlite

TESTS = Path(__file__).resolve().parent
SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"

REFUSED = "(?m)^not authorized$"


def headers(directory):
    """Put sqlite3.h and sqlite3ext.h of the pinned SQLite into a directory, if the cache has it.

    The amalgamation contains the second; fetch_sqlite.py keeps no copy of it.
    """
    tools = str(TESTS.parent / "tools")
    sys.path.insert(0, tools)
    try:
        source = importlib.import_module("sqlite_build").pinned_source()
    finally:
        sys.path.remove(tools)
    if source is None:
        return
    text = (source / "sqlite3.c").read_text(encoding="utf-8")
    found = re.search(
        r"^/\*+ Begin file sqlite3ext\.h \*+/\n(.*?)^/\*+ End of sqlite3ext\.h \*+/\n",
        text,
        re.MULTILINE | re.DOTALL,
    )
    (directory / "sqlite3ext.h").write_text('#include "sqlite3.h"\n' + found[1], encoding="utf-8")
    shutil.copy(source / "sqlite3.h", directory)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The extension tests/doubler.c as a shared library."""
    directory = tmp_path_factory.mktemp("built")
    headers(directory)
    library = directory / f"doubler{SUFFIX}"
    command = ["cc", "-shared", "-fPIC", f"-I{directory}", str(TESTS / "doubler.c")]
    try:
        done = subprocess.run(
            [*command, "-o", str(library)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no C compiler")
    if done.returncode != 0 and "sqlite3ext.h" in done.stderr and "No such file" in done.stderr:
        pytest.skip("there is no sqlite3ext.h")
    assert done.returncode == 0, done.stderr
    return library


@pytest.fixture
def library(built, tmp_path):
    """A copy of the extension that no other test has loaded."""
    directory = tmp_path / "extensions"
    directory.mkdir()
    return Path(shutil.copy(built, directory))


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


async def value(db, sql, *parameters):
    """Return the one value of a query."""
    async with db.execute(sql, parameters) as cursor:
        ((found,),) = await cursor.fetchall()
    return found


async def loads(db, path, **kwargs):
    """Load the extension and return whether it is there."""
    await db.load_extension(str(path), **kwargs)
    return await value(db, "select twice(21)") == 42


async def is_refused(db, path):
    with pytest.raises(sqlite3.OperationalError, match=REFUSED) as caught:
        await db.load_extension(str(path))
    assert caught.value.sqlite_errorcode == csqlite._csqlite.SQLITE_ERROR
    return True


# -- loading


async def test_nothing_is_loaded_until_it_is_enabled(db, library):
    assert await is_refused(db, library)
    with pytest.raises(sqlite3.OperationalError, match=REFUSED):
        await db.execute("select load_extension(?)", (str(library),))
    await db.enable_load_extension(True)
    assert await loads(db, library)


async def test_disabling_forbids_it_again(db, library):
    await db.enable_load_extension(True)
    await db.enable_load_extension(False)
    assert await is_refused(db, library)


async def test_enabling_is_for_one_connection(db, library):
    await db.enable_load_extension(True)
    async with csqlite.connect(":memory:") as other:
        assert await is_refused(other, library)


async def test_the_suffix_may_be_missing(db, library):
    await db.enable_load_extension(True)
    assert await loads(db, library.with_suffix(""))


async def test_sql_may_load_too_as_in_sqlite3(db, library):
    await db.enable_load_extension(True)
    await value(db, "select load_extension(?)", str(library))
    assert await value(db, "select twice(1)") == 2


async def test_entrypoint(db, library):
    await db.enable_load_extension(True)
    await db.load_extension(str(library), entrypoint="tripler")
    assert await value(db, "select thrice(5)") == 15
    with pytest.raises(sqlite3.OperationalError, match="no such function: twice"):
        await db.execute("select twice(1)")


async def test_entrypoint_of_none_is_the_default(db, library):
    await db.enable_load_extension(True)
    assert await loads(db, library, entrypoint=None)


async def test_entrypoint_that_does_not_exist(db, library):
    await db.enable_load_extension(True)
    with pytest.raises(sqlite3.OperationalError, match="absent"):
        await db.load_extension(str(library), entrypoint="absent")


async def test_entrypoint_that_fails_says_why(db, library):
    await db.enable_load_extension(True)
    with pytest.raises(sqlite3.OperationalError, match="error during initialization: out of luck"):
        await db.load_extension(str(library), entrypoint="failing")


async def test_library_that_does_not_exist(db, tmp_path):
    await db.enable_load_extension(True)
    with pytest.raises(sqlite3.OperationalError, match="nothing.* No such file"):
        await db.load_extension(str(tmp_path / "nothing"))


@pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "enable_load_extension"),
    reason="this Python's sqlite3 cannot load extensions",
)
@pytest.mark.parametrize("kwargs", [{}, {"entrypoint": "absent"}, {"entrypoint": "failing"}])
@pytest.mark.parametrize("enabled", [False, True])
async def test_outcome_is_that_of_sqlite3(db, library, tmp_path, kwargs, enabled):
    if kwargs and sys.version_info < (3, 12):
        pytest.skip("sqlite3 has no entrypoint before Python 3.12")
    path = str(shutil.copy(library, tmp_path / library.name))
    oracle = sqlite3.connect(":memory:")
    outcomes = []
    await db.enable_load_extension(enabled)
    try:
        await db.load_extension(str(library), **kwargs)
        outcomes.append(await value(db, "select twice(21)"))
    except sqlite3.Error as error:
        outcomes.append((type(error), str(error).replace(str(library), "PATH")))
    oracle.enable_load_extension(enabled)
    try:
        oracle.load_extension(path, **kwargs)
        outcomes.append(oracle.execute("select twice(21)").fetchone()[0])
    except sqlite3.Error as error:
        outcomes.append((type(error), str(error).replace(path, "PATH")))
    oracle.close()
    assert outcomes[0] == outcomes[1]


async def test_the_synchronous_view_loads_too(db, library):
    def load(connection):
        connection.enable_load_extension(True, allow=[library])
        connection.load_extension(str(library))
        return connection.execute("select twice(4)").fetchone()

    assert await db._execute(load, db._conn) == (8,)


async def test_extension_serves_two_connections_at_once(db, library):
    async with csqlite.connect(":memory:") as other:
        for connection in (db, other):
            await connection.enable_load_extension(True, allow=[library])
            assert await loads(connection, library)
        assert await asyncio.gather(
            value(db, "select twice(1)"), value(other, "select twice(2)")
        ) == [2, 4]
    assert await value(db, "select twice(3)") == 6


# -- the list of what may be loaded


async def test_file_on_the_list_is_loaded(db, library):
    await db.enable_load_extension(True, allow=[library])
    assert await loads(db, library)


@pytest.mark.parametrize("convert", [str, bytes, Path])
async def test_paths_on_the_list_are_of_any_kind(db, library, convert):
    path = bytes(library) if convert is bytes else convert(library)
    await db.enable_load_extension(True, allow=(item for item in [path]))
    assert await loads(db, library)


async def test_other_file_is_refused(db, library):
    other = shutil.copy(library, library.with_name("other.so"))
    await db.enable_load_extension(True, allow=[library])
    assert await is_refused(db, other)
    assert await loads(db, library)


async def test_suffix_may_be_missing_on_both_sides(db, library):
    await db.enable_load_extension(True, allow=[library.with_suffix("")])
    assert await loads(db, library.with_suffix(""))


async def test_directory_on_the_list_is_for_all_that_is_in_it(db, library):
    inner = library.parent / "deeper" / "still"
    inner.mkdir(parents=True)
    await db.enable_load_extension(True, allow=[library.parent])
    assert await loads(db, shutil.copy(library, inner))


async def test_directory_whose_name_begins_alike_is_refused(db, library):
    other = library.parent.with_name(library.parent.name + "-not")
    other.mkdir()
    await db.enable_load_extension(True, allow=[library.parent])
    assert await is_refused(db, shutil.copy(library, other))


async def test_way_out_of_the_directory_is_refused(db, library):
    outside = shutil.copy(library, library.parent.parent)
    await db.enable_load_extension(True, allow=[library.parent])
    assert await is_refused(db, library.parent / ".." / Path(outside).name)
    assert await loads(db, library.parent / ".." / library.parent.name / library.name)


async def test_link_out_of_the_directory_is_refused(db, library):
    outside = Path(shutil.copy(library, library.parent.parent))
    link = library.with_name("link" + SUFFIX)
    link.symlink_to(outside)
    await db.enable_load_extension(True, allow=[library.parent])
    assert await is_refused(db, link)


async def test_link_to_what_is_allowed_is_loaded(db, library):
    link = library.parent.parent / "link.so"
    link.symlink_to(library)
    await db.enable_load_extension(True, allow=[library])
    assert await loads(db, link)


async def test_link_on_the_list_means_what_it_points_to(db, library):
    link = library.parent.parent / "link"
    link.symlink_to(library.parent)
    await db.enable_load_extension(True, allow=[link])
    assert await loads(db, library)


async def test_link_that_changes_later_allows_no_more(db, library):
    """What the list means is decided once, when it is given."""
    other = library.parent.parent / "other"
    other.mkdir()
    shutil.copy(library, other)
    link = library.parent.parent / "link"
    link.symlink_to(library.parent)
    await db.enable_load_extension(True, allow=[link])
    link.unlink()
    link.symlink_to(other)
    assert await is_refused(db, link / library.name)


async def test_relative_paths_are_from_the_current_directory(db, library, monkeypatch):
    monkeypatch.chdir(library.parent)
    await db.enable_load_extension(True, allow=["."])
    assert await loads(db, library.name)


async def test_bare_name_is_not_searched_for_among_the_libraries(db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    await db.enable_load_extension(True, allow=[tmp_path])
    with pytest.raises(
        sqlite3.OperationalError, match=r"(?m)^libc\.so\.6: No such file or directory$"
    ):
        await db.load_extension("libc.so.6")


async def test_empty_list_allows_nothing(db, library):
    await db.enable_load_extension(True, allow=[])
    assert await is_refused(db, library)


async def test_sql_may_not_load_where_there_is_a_list(db, library):
    await db.enable_load_extension(True)
    await db.enable_load_extension(True, allow=[library])
    with pytest.raises(sqlite3.OperationalError, match=REFUSED):
        await db.execute("select load_extension(?)", (str(library),))
    assert await loads(db, library)


async def test_disabling_is_stronger_than_the_list(db, library):
    await db.enable_load_extension(True, allow=[library])
    await db.enable_load_extension(False)
    assert await is_refused(db, library)
    await db.enable_load_extension(False, allow=[library])
    assert await is_refused(db, library)


async def test_each_call_replaces_the_list(db, library):
    other = Path(shutil.copy(library, library.parent.parent))
    await db.enable_load_extension(True, allow=[other])
    await db.enable_load_extension(True, allow=[library])
    assert await is_refused(db, other)
    await db.enable_load_extension(True)
    assert await loads(db, other)


async def test_missing_file_is_named_only_where_it_would_be_allowed(db, library, tmp_path):
    await db.enable_load_extension(True, allow=[library.parent])
    missing = library.parent / "missing.so"
    with pytest.raises(sqlite3.OperationalError, match=f"^{re.escape(str(missing))}: No such file"):
        await db.load_extension(str(missing))
    assert await is_refused(db, tmp_path / "missing.so")
    assert await is_refused(db, "/nowhere/at/all")
    assert await is_refused(db, "")


async def test_no_other_file_is_tried_in_place_of_one_that_is_no_library(db, library):
    """SQLite would go on to the name with a suffix, which may lead anywhere."""
    outside = shutil.copy(library, library.parent.parent / ("other" + SUFFIX))
    text = library.parent / "sqlite3_doubler"
    text.write_text("this is no library")
    text.with_name(text.name + SUFFIX).symlink_to(outside)
    await db.enable_load_extension(True, allow=[library.parent])
    with pytest.raises(sqlite3.OperationalError, match=f"{re.escape(str(text))}: "):
        await db.load_extension(str(text), entrypoint="sqlite3_doubler_init")
    with pytest.raises(sqlite3.OperationalError, match="no such function"):
        await db.execute("select twice(1)")


async def test_directory_beside_the_library_is_not_taken_for_it(db, library):
    library.with_suffix("").mkdir()
    await db.enable_load_extension(True, allow=[library.parent])
    assert await loads(db, library.with_suffix(""))


async def test_path_on_the_list_that_does_not_exist(db, library, tmp_path):
    await db.enable_load_extension(True, allow=[library])
    missing = tmp_path / "missing"
    with pytest.raises(sqlite3.OperationalError, match=f"^{re.escape(str(missing))}: No such file"):
        await db.enable_load_extension(True, allow=[library.parent, missing])
    # What was said before holds.
    assert await is_refused(db, shutil.copy(library, library.with_name("other.so")))
    assert await loads(db, library)


# -- misuse


@pytest.mark.parametrize("allow", ["/", b"/", Path("/"), 1], ids=["str", "bytes", "path", "number"])
async def test_list_that_is_none(db, allow):
    with pytest.raises(TypeError, match=r"(?m)^allow must be an iterable of paths, not \w+$"):
        await db.enable_load_extension(True, allow=allow)


@pytest.mark.parametrize("value", [1, None, ["/"]])
async def test_list_of_what_is_no_path(db, value):
    with pytest.raises(TypeError, match=r"expected str, bytes or os\.PathLike object"):
        await db.enable_load_extension(True, allow=[value])


async def test_iterable_that_raises(db):
    def paths():
        yield "/"
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        await db.enable_load_extension(True, allow=paths())


@pytest.mark.parametrize(
    ("method", "args", "kwargs"),
    [
        ("load_extension", ["a\0b"], {}),
        ("load_extension", ["a"], {"entrypoint": "a\0b"}),
        ("enable_load_extension", [True], {"allow": ["a\0b"]}),
    ],
)
async def test_null_character(db, method, args, kwargs):
    with pytest.raises(ValueError, match="embedded null"):
        await getattr(db, method)(*args, **kwargs)


@pytest.mark.parametrize(
    ("method", "args", "kwargs"),
    [
        ("load_extension", [], {}),
        ("load_extension", [1], {}),
        ("load_extension", [None], {}),
        ("load_extension", ["a", "b"], {}),
        ("load_extension", ["a"], {"entrypoint": 1}),
        ("load_extension", ["a"], {"other": 1}),
        ("enable_load_extension", [], {}),
        ("enable_load_extension", [True, ["/"]], {}),
        ("enable_load_extension", [True], {"allowed": ["/"]}),
    ],
)
async def test_wrong_arguments(db, method, args, kwargs):
    with pytest.raises(TypeError):
        await getattr(db, method)(*args, **kwargs)


async def test_closed_connection():
    db = await csqlite.connect(":memory:")
    await db.close()
    for request in (db.enable_load_extension(True, allow=["/"]), db.load_extension("a")):
        with pytest.raises(ValueError, match="no active connection"):
            await request


async def test_connection_of_another_module_has_no_list(library):
    async with csqlite.core.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        with pytest.raises(sqlite3.NotSupportedError, match="no list of allowed extensions"):
            await db.enable_load_extension(True, allow=[library])


# -- extensions of other projects


def vector(*numbers):
    """Return numbers as sqlite-vec takes them."""
    return struct.pack(f"{len(numbers)}f", *numbers)


async def test_sqlite_vec_finds_the_nearest_neighbours(db):
    path = pytest.importorskip("sqlite_vec").loadable_path()
    await db.enable_load_extension(True, allow=[path])
    await db.load_extension(path)
    await db.enable_load_extension(False)
    await db.execute("create virtual table place using vec0(position float[3])")
    await db.executemany(
        "insert into place(rowid, position) values (?, ?)",
        [(number, vector(number, number / 2, -number)) for number in range(1, 101)],
    )
    cursor = await db.execute(
        "select rowid, distance from place where position match ? and k = 3 order by distance",
        (vector(50.2, 25.1, -50.2),),
    )
    rows = await cursor.fetchall()
    assert [number for number, _ in rows] == [50, 51, 49]
    assert rows[0][1] == pytest.approx(0.3, abs=1e-4)


async def test_sqlite_regex(db):
    path = pytest.importorskip("sqlite_regex").loadable_path()
    await db.enable_load_extension(True, allow=[path])
    await db.load_extension(path)
    assert await value(db, "select regexp('^a+b$', 'aaab')") == 1
    assert await value(db, "select regexp('^a+b$', 'aaac')") == 0
