"""What a build puts into the package, and what it takes SQLite from."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest

import csqlite

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(csqlite.__file__).resolve().parent
EXTENSION = Path(importlib.util.find_spec("csqlite._csqlite").origin)


def output(*command):
    """Return what a program prints; skip the test where there is no such program."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    return done.stdout


def sqlite_build(code, **environment):
    """Run code with tools/sqlite_build.py imported, in an environment without csqlite's variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CSQLITE_")}
    return subprocess.run(
        [sys.executable, "-c", f"from sqlite_build import *\n{code}"],
        cwd=ROOT / "tools",
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        check=False,
        capture_output=True,
        text=True,
    )


async def sql(statement):
    """Return the first column of a statement's result."""
    async with csqlite.connect(":memory:") as db, db.execute(statement) as cursor:
        return [row[0] for row in await cursor.fetchall()]


async def is_bundled():
    """Whether the extension holds a SQLite of its own: no system's is compiled like that."""
    options = await sql("pragma compile_options")
    return {"THREADSAFE=2", "ENABLE_CARRAY", "ENABLE_NORMALIZE"} <= set(options)


def test_the_installed_package_is_tested():
    assert PACKAGE.parent == Path(sysconfig.get_path("platlib")).resolve()
    assert EXTENSION.parent == PACKAGE


def test_version_is_written_once():
    written = re.search(
        r'^__version__ = "(.+)"$', (ROOT / "csqlite" / "__version__.py").read_text(), re.MULTILINE
    )
    assert written
    assert csqlite.__version__ == written[1]
    assert written[1] not in (ROOT / "pyproject.toml").read_text()
    assert written[1] not in (ROOT / "setup.py").read_text()
    metadata = pytest.importorskip("importlib.metadata")
    assert metadata.version("csqlite") == written[1]


def test_nothing_is_required_at_run_time():
    metadata = pytest.importorskip("importlib.metadata")
    required = metadata.requires("csqlite") or []
    assert [line for line in required if "extra ==" not in line] == []


def test_stubs_lie_in_the_package():
    stubs = ROOT / "stubs" / "csqlite"
    names = {path.relative_to(stubs) for path in stubs.rglob("*.pyi")}
    assert names
    assert names == {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.pyi")}
    assert (PACKAGE / "py.typed").is_file()


def test_modules_lie_in_the_package():
    modules = ROOT / "csqlite"
    names = {path.relative_to(modules) for path in modules.rglob("*.py")}
    assert names == {path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")}


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
def test_only_the_init_function_is_exported():
    symbols = output("nm", "--dynamic", "--defined-only", "--format=posix", str(EXTENSION))
    assert [line.split()[0] for line in symbols.splitlines()] == ["PyInit__csqlite"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF files")
async def test_bundled_sqlite_needs_no_library():
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "--dynamic", str(EXTENSION)))
    assert needed
    assert any("sqlite" in name for name in needed) != await is_bundled()


async def test_sqlite_version_is_the_one_in_use():
    assert await sql("select sqlite_version()") == [csqlite.sqlite_version]


async def test_bundled_sqlite_has_what_it_was_compiled_for():
    if not await is_bundled():
        pytest.skip("the extension is linked with the system's SQLite")
    listing = sqlite_build("print(*OPTIONS, PINNED)")
    *asked, pinned = listing.stdout.split()
    # SQLite reports its own options under a shorter name.
    expected = {
        option.replace("SQLITE_", "", 1) for option in asked if option.startswith("SQLITE_")
    }
    assert expected <= set(await sql("pragma compile_options"))
    if "CSQLITE_SQLITE" not in os.environ:
        assert pinned == f"sqlite-{csqlite.sqlite_version}"
    for statement in (
        "select sqrt(2.0)",
        "select median(column1) from (values (1), (2))",
        "select geopoly_area('[[0,0],[1,0],[1,1],[0,0]]')",
        "select jsonb('[]')",
        "select count(*) from dbstat",
        "select count(*) from sqlite_dbpage",
    ):
        assert len(await sql(statement)) == 1


def test_without_any_sqlite_one_line_says_what_to_do(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CSQLITE_")}
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", str(tmp_path)],
        cwd=ROOT,
        env={**kept, "CSQLITE_CACHE": str(tmp_path), "PKG_CONFIG": "false"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    complaints = [line for line in done.stderr.splitlines() if line.startswith("csqlite:")]
    assert len(complaints) == 1
    assert "tools/fetch_sqlite.py" in complaints[0]
    assert "libsqlite3-dev" in complaints[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ("", "no SQLite to build on"),
        ("bundled", "tools/fetch_sqlite.py"),
        ("system", "pkg-config finds no sqlite3"),
        ("/nowhere", "a directory with sqlite3.c and sqlite3.h"),
    ],
)
def test_a_choice_that_cannot_be_had_is_refused(wanted, complaint, tmp_path):
    done = sqlite_build(
        "choose()", CSQLITE_SQLITE=wanted, CSQLITE_CACHE=str(tmp_path), PKG_CONFIG="false"
    )
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_pkg_config_names_the_system_sqlite(tmp_path):
    program = tmp_path / "pkg-config"
    program.write_text('#!/bin/sh\necho "-DASKED=$1/$2"\n')
    program.chmod(0o755)
    done = sqlite_build("print(choose().libs)", CSQLITE_SQLITE="system", PKG_CONFIG=str(program))
    assert ast.literal_eval(done.stdout)[0] == "-DASKED=sqlite3/--libs"


@pytest.fixture
def own(tmp_path):
    """A directory with what passes for an amalgamation, and for a system's SQLite 9.8.7."""
    (tmp_path / "sqlite3.c").write_text("int other;\n")
    (tmp_path / "sqlite3.h").write_text('#define SQLITE_VERSION        "9.8.7"\n')
    (tmp_path / "pkg-config").write_text("#!/bin/sh\necho 9.8.7\n")
    (tmp_path / "pkg-config").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("system", "csqlite: building on SQLite 9.8.7, the system's library"),
        (
            "",
            "csqlite: building on SQLite 9.8.7, the system's library, because the pinned source is not in ",
        ),
        ("own", "csqlite: building on SQLite 9.8.7, "),
    ],
)
def test_one_line_says_which_sqlite_is_built_on(own, wanted, said):
    done = sqlite_build(
        "print(choose().describe())",
        CSQLITE_SQLITE=str(own) if wanted == "own" else wanted,
        CSQLITE_CACHE=str(own),
        PKG_CONFIG=str(own / "pkg-config"),
    )
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(said)
    assert (str(own) in done.stdout) == (wanted != "system")
    assert ("tools/fetch_sqlite.py" in done.stdout) == (wanted == "")


def test_the_limit_of_delete_is_compiled_in_where_the_parser_knows_it(own):
    for first_line, expected in (
        ("int other;", False),
        ("#define SQLITE_UDL_CAPABLE_PARSER 1", True),
        ("**   -DSQLITE_ENABLE_UPDATE_DELETE_LIMIT", True),
    ):
        (own / "sqlite3.c").write_text(first_line + "\n")
        done = sqlite_build("print(*choose().cflags)", CSQLITE_SQLITE=str(own))
        assert ("-DSQLITE_ENABLE_UPDATE_DELETE_LIMIT" in done.stdout.split()) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="only there")
@pytest.mark.parametrize(
    ("variables", "stripped"),
    [
        ({}, True),
        ({"CSQLITE_WERROR": "1"}, True),
        ({"CSQLITE_SYMBOLS": "1"}, False),
        ({"CSQLITE_DEBUG": "1"}, False),
        ({"CSQLITE_DEBUG": "2"}, False),
        ({"CSQLITE_SANITIZE": "thread"}, False),
    ],
)
def test_only_a_build_to_be_looked_into_keeps_its_symbols(variables, stripped):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CSQLITE_")}
    program = "import setuptools; setuptools.setup = lambda **k: None; import setup; print(setup.switches()[1])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ("-Wl,--strip-all" in done.stdout) == stripped


def test_an_altered_source_is_not_the_pinned_one(tmp_path):
    source = tmp_path / "sqlite"
    source.mkdir()
    for name in ("sqlite3.c", "sqlite3.h"):
        (source / name).write_text("int other;\n")
    assert sqlite_build(f"print(is_pinned(Path({str(source)!r})))").stdout == "False\n"


def test_sqlite_is_compiled_once_for_all_builds(tmp_path):
    source = tmp_path / "own"
    source.mkdir()
    (source / "sqlite3.c").write_text("int sqlite3_libversion_number(void) { return 3; }\n")
    (source / "sqlite3.h").write_text("")
    choices = {"CSQLITE_SQLITE": str(source), "CSQLITE_CACHE": str(tmp_path / "cache")}
    first = sqlite_build("print(choose().link_args()[0])", **choices)
    assert "compiling SQLite" in first.stderr
    again = sqlite_build("print(choose().link_args()[0])", **choices)
    assert again.stderr == ""
    assert again.stdout == first.stdout
    (source / "sqlite3.c").write_text("int sqlite3_libversion_number(void) { return 4; }\n")
    changed = sqlite_build("print(choose().link_args()[0])", **choices)
    assert changed.stdout != first.stdout
    assert not list((tmp_path / "cache").rglob("tmp*"))


def test_a_build_has_no_way_to_the_network():
    modules = set()
    for name in ("setup.py", "tools/sqlite_build.py"):
        tree = ast.parse((ROOT / name).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module)
    assert "setuptools" in modules
    assert not modules & {"fetch_sqlite", "http", "http.client", "pip", "socket", "ssl", "urllib"}
    assert not {name for name in modules if name.startswith(("urllib.", "pip."))}


def imported_from(folder):
    """Import csqlite from a folder that is the current directory; return the process."""
    command = [sys.executable, "-c", "import csqlite; csqlite.connect"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the package's sources, as a checkout has them."""
    for source in (ROOT / "csqlite").rglob("*.py"):
        target = tmp_path / "checkout" / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    return tmp_path / "checkout"


def test_editable_installation_has_stubs_that_type_checkers_find(checkout):
    """Without the extension, which takes minutes, and which is there in any case."""
    for name in ("setup.py", "pyproject.toml", "README.md", "tools", "stubs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, checkout / name)
    program = """
    import sys
    from distutils.core import run_setup

    distribution = run_setup("setup.py", ["editable_wheel"], stop_after="commandline")
    distribution.ext_modules = []
    command = distribution.get_command_obj("editable_wheel")
    command.dist_dir = "dist"
    distribution.run_command("editable_wheel")
    """
    done = subprocess.run(
        [sys.executable, "-c", "import setuptools\n" + dedent(program)],
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [wheel] = (checkout / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        hooks = [name for name in archive.namelist() if name.endswith((".pth", "finder.py"))]
        assert [archive.read(name).decode().split() for name in hooks] == [[str(checkout)]]
    stubs = checkout / "stubs" / "csqlite"
    for stub in stubs.rglob("*.[pt]y*"):
        assert (checkout / "csqlite" / stub.relative_to(stubs)).samefile(stub)
    assert (checkout / "csqlite" / "py.typed").exists()


def test_checkout_without_its_extension_says_what_to_do(checkout):
    done = imported_from(checkout)
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last.startswith(f"ImportError: {checkout / 'csqlite'} is csqlite's source, without its")
    assert "pip install -e ." in last
    assert "During handling" not in done.stderr
    assert "circular" not in done.stderr


def test_extension_that_cannot_be_loaded_is_told_as_it_is(checkout):
    (checkout / "csqlite" / EXTENSION.name).write_bytes(b"nothing that could be loaded")
    done = imported_from(checkout)
    assert done.returncode == 1
    assert "without its extension" not in done.stderr
    assert EXTENSION.name in done.stderr.splitlines()[-1]
