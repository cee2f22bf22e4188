"""The instruction counts: reading callgrind's profiles, comparing, and the count itself.

Only the last test runs valgrind. It fails when one of the hot paths takes more instructions than
benchmarks/instructions.json says of this build.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import csqlite
from csqlite import _csqlite

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 50  # More is too slow for a test.

# A profile as callgrind writes it: a name in full once, then its number alone; after calls= the
# cost of the callee, which is not the caller's own; inlined code from another file; a function
# that calls itself; and a library's.
PROFILE = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
part: 2

desc: Trigger: --dump-before=getppid

positions: line
events: Ir
summary: 1211

ob=(1) /env/lib/csqlite/_csqlite.cpython-311-x86_64-linux-gnu.so
fl=(1) /build/src/bridge/reactor.c
fn=(1) turn
0 100
cob=(2) /usr/lib/x86_64-linux-gnu/libc.so.6
cfi=(2) ???
cfn=(2) read
calls=1 0
0 10
fi=(3) /include/python3.11/object.h
0 50
fe=(1)
0 50

fl=(2)
fn=(3) sqlite3VdbeExec
0 500
cfn=(4) sqlite3VdbeExec'2
calls=2 0
0 300

fn=(4)
+0 300

ob=(2)
fn=(2)
* 10

ob=(3) /usr/lib/libpython3.11.so.1.0
fl=(4) /src/Objects/call.c
fn=(5) PyObject_Call
0 100
cob=(1)
cfi=(1)
cfn=(1)
calls=1 0
0 210

fn=(7) _PyType_Lookup
0 20
cfn=(8) find_name_in_mro
calls=2 0
0 80

fn=(8)
0 60
cfn=(9) _Py_dict_lookup
calls=2 0
0 20

fn=(9)
0 20

ob=(4) ???
fl=(2)
fn=(6) 0x0000000004010a30
0 1
"""

BUILD = {"machine": "x86_64", "compiler": "a compiler", "python": "3.11.7", "sqlite": "3.53.4"}


@pytest.fixture(scope="module")
def instructions() -> ModuleType:
    """The module under test, which is no part of the installed package."""
    path = ROOT / "benchmarks" / "instructions.py"
    spec = importlib.util.spec_from_file_location("instructions", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Where dataclasses look for it.
    spec.loader.exec_module(module)
    return module


def counts(csqlite: float, sqlite: float = 100, total: float = 1000) -> dict:
    """Return the counts of one path."""
    figures = {"csqlite": csqlite, "sqlite": sqlite, "python": 1, "libc": 1, "total": total}
    return {"point_select": figures}


# -- reading profiles ----------------------------------------------------------


def test_a_function_has_what_it_executed_itself(instructions: ModuleType) -> None:
    by_name = {}
    for where, cost in instructions.parse(PROFILE.splitlines()).costs.items():
        by_name.setdefault(where.function, []).append(cost)
    assert by_name == {
        "turn": [150, 50],  # In its own file and in what it has inlined.
        "sqlite3VdbeExec": [800],  # Both levels of the recursion.
        "read": [10],
        "PyObject_Call": [100],
        "_PyType_Lookup": [20],
        "find_name_in_mro": [60],
        "_Py_dict_lookup": [20],
        "0x0000000004010a30": [1],
    }


def test_each_function_belongs_to_somebody(instructions: ModuleType) -> None:
    profile = instructions.parse(PROFILE.splitlines())
    assert instructions.figures(profile, 10) == {
        "csqlite": 20.0,
        "sqlite": 80.0,
        "python": 12.1,
        "libc": 1.0,
        "total": 113.1,
    }


def test_what_depends_on_addresses_does_not_count(instructions: ModuleType) -> None:
    profile = instructions.parse(PROFILE.splitlines())
    assert profile.misses == 80
    without = instructions.Profile(profile.costs, 0)
    assert instructions.figures(without, 10)["total"] == 121.1


@pytest.mark.parametrize(
    ("shared_object", "file", "whose"),
    [
        ("/x/_csqlite.cpython-311-x86_64-linux-gnu.so", "src/engine/rows.c", "csqlite"),
        ("/x/_csqlite.abi3.so", "/include/python3.11/object.h", "csqlite"),
        ("/x/_csqlite.cpython-311-x86_64-linux-gnu.so", "???", "sqlite"),
        ("/x/_csqlite.cpython-311-x86_64-linux-gnu.so", "/cache/sqlite3.c", "sqlite"),
        ("/usr/lib/libsqlite3.so.0.8.6", "???", "sqlite"),
        ("/usr/lib/libc.so.6", "./malloc/malloc.c", "libc"),
        ("/usr/lib/libm.so.6", "???", "libc"),
        ("/usr/lib/libpthread-2.31.so", "???", "libc"),
        ("/usr/lib/ld-linux-x86-64.so.2", "???", "libc"),
        ("/usr/bin/python3.11", "???", "python"),
        ("/usr/lib/libpython3.11.so.1.0", "???", "python"),
        ("/usr/lib/python3.11/lib-dynload/_asyncio.cpython-311.so", "???", "python"),
        ("???", "???", "python"),
    ],
)
def test_whose_a_function_is(
    instructions: ModuleType, shared_object: str, file: str, whose: str
) -> None:
    assert instructions.group(instructions.Where(shared_object, file, "f")) == whose


def test_a_profile_that_does_not_add_up_is_refused(instructions: ModuleType) -> None:
    with pytest.raises(ValueError, match="1211, the profile says 1212"):
        instructions.parse(PROFILE.replace("summary: 1211", "summary: 1212").splitlines())


def test_the_least_of_the_windows_counts_without_the_first(
    instructions: ModuleType, tmp_path: Path
) -> None:
    # Parts 1, 3, 5, ... are what happened between the windows, and 2 is the one that warms up.
    for part, wasted in enumerate((0, 0, 0, 3, 0, 1, 0, 2, 0), 1):
        text = PROFILE.replace("0 100\ncob=(2)", f"0 {100 + 10 * wasted}\ncob=(2)")
        text = text.replace("summary: 1211", f"summary: {1211 + 10 * wasted}")
        (tmp_path / f"profile.{part}").write_text(text)
    run = instructions.collect(BUILD, {"point_select": [10, 4]}, str(tmp_path / "profile"))
    assert run.build == BUILD
    assert run.counts["point_select"]["csqlite"] == 21.0
    assert (
        instructions.Where("/usr/lib/x86_64-linux-gnu/libc.so.6", "???", "read")
        in run.costs["point_select"]
    )
    (tmp_path / "profile.10").write_text(PROFILE)
    with pytest.raises(RuntimeError, match="getppid"):
        instructions.collect(BUILD, {"point_select": [10, 4]}, str(tmp_path / "profile"))


def test_an_extension_without_debug_information_is_not_counted(
    instructions: ModuleType, tmp_path: Path
) -> None:
    text = re.sub(r"^(f[lie]=\([134]\)).*$", r"fl=(2) ???", PROFILE, flags=re.MULTILINE)
    for part in (2, 4):
        (tmp_path / f"profile.{part}").write_text(text)
    with pytest.raises(instructions.Unusable, match="-g"):
        instructions.collect(BUILD, {"point_select": [10, 2]}, str(tmp_path / "profile"))


# -- builds --------------------------------------------------------------------


def test_a_build_is_known_by_its_compiler_and_sqlite(instructions: ModuleType) -> None:
    gcc = b"GCC: (Debian 12.2.0-14) 12.2.0\0"
    build = instructions.build(b"\x7fELF\0" + gcc + gcc, "3.53.4")
    assert build["compiler"] == "GCC: (Debian 12.2.0-14) 12.2.0"
    assert build["sqlite"] == "3.53.4, bundled"
    assert build["python"] == " ".join(sys.version.split())
    build = instructions.build(b"\x7fELF\0libsqlite3.so.0\0Debian clang version 14.0.6\0", "3.40.1")
    assert build["compiler"] == "Debian clang version 14.0.6"
    assert build["sqlite"] == "3.40.1, system"


def test_this_build_is_known(instructions: ModuleType) -> None:
    try:
        extension = instructions.extension()
    except instructions.Unusable as reason:
        pytest.skip(str(reason))
    assert str(extension) == _csqlite.__file__
    build = instructions.build(extension.read_bytes(), csqlite.sqlite_version)
    assert all(build.values())
    assert build["compiler"] != "unknown"


@pytest.mark.parametrize("symbol", [b"__asan_init", b"__tsan_read8", b"csq_alloc_fail_at"])
def test_a_build_for_debugging_is_not_counted(instructions: ModuleType, symbol: bytes) -> None:
    instructions.refuse(b"\x7fELF\0an_init\0")
    with pytest.raises(instructions.Unusable, match="debugging"):
        instructions.refuse(b"\x7fELF\0" + symbol + b"\0")


# -- comparing -----------------------------------------------------------------


def test_more_than_the_tolerance_is_told(instructions: ModuleType) -> None:
    assert instructions.compare(counts(1000), counts(1010)) == ([], [])
    assert instructions.compare(counts(1000), counts(990)) == ([], [])
    above, below = instructions.compare(counts(1000), counts(1011))
    assert [str(change) for change in above] == [
        "point_select, csqlite: 1,000.0 -> 1,011.0 (+1.1%)"
    ]
    assert below == []
    above, below = instructions.compare(counts(1000), counts(989))
    assert above == []
    assert [(change.before, change.now) for change in below] == [(1000, 989)]


def test_each_compared_figure_is_looked_at(instructions: ModuleType) -> None:
    for figure in ("csqlite", "sqlite", "total"):
        now = counts(1000)
        now["point_select"][figure] *= 1.02
        above, _ = instructions.compare(counts(1000), now)
        assert [change.figure for change in above] == [figure]


def test_a_path_that_the_baseline_lacks_is_told(instructions: ModuleType) -> None:
    above, _ = instructions.compare(counts(1000), {**counts(1000), "new": counts(1)})
    assert {change.path for change in above} == {"new"}
    above, _ = instructions.compare(counts(1000), {})
    assert {change.path for change in above} == {"point_select"}


def test_a_baseline_is_kept_for_each_build(instructions: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    other = {**BUILD, "machine": "aarch64"}
    assert instructions.find(instructions.load(path), BUILD) is None
    instructions.store(BUILD, counts(1), path)
    instructions.store(other, counts(2), path)
    instructions.store(BUILD, counts(3), path)
    assert len(json.loads(path.read_text())) == 2
    assert instructions.find(instructions.load(path), BUILD) == counts(3)
    assert instructions.find(instructions.load(path), other) == counts(2)
    assert instructions.find(instructions.load(path), {**BUILD, "sqlite": "3.0"}) is None


@pytest.fixture
def counted(instructions: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict:
    """What each layout's count gives, as {layout: counts}; a test fills it in."""
    found: dict = {}

    def count(layout: int, timeout: float) -> object:
        if layout not in found:
            raise instructions.Unusable("no time")
        return instructions.Run(BUILD, found[layout], {})

    monkeypatch.setattr(instructions, "count", count)
    return found


def test_an_unknown_build_is_not_judged(
    instructions: ModuleType, counted: dict, tmp_path: Path
) -> None:
    counted[0] = counts(1000)
    result = instructions.check(path=tmp_path / "none.json")
    assert result.baseline is None
    assert not result.above
    assert "No baseline for this build" in instructions.report(result)
    assert "| 1,000 | 100 | 1 | 1 | 1,000 |" in instructions.report(result)


def test_a_longer_path_fails_the_check_at_once(
    instructions: ModuleType, counted: dict, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    instructions.store(BUILD, counts(1000), path)
    counted[0] = counts(1020)  # Another layout would raise: it is not asked for.
    result = instructions.check(path=path)
    assert [change.figure for change in result.above] == ["csqlite"]
    assert "More than 1% above the baseline:\n- point_select" in instructions.report(result)


def test_the_total_is_counted_again_before_it_fails(
    instructions: ModuleType, counted: dict, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    instructions.store(BUILD, counts(1000), path)
    counted.update({layout: counts(1000, total=1000) for layout in (1, 2)})
    counted[0] = counts(1000, total=1020)
    result = instructions.check(path=path)
    assert not result.above
    assert "All within 1% of the baseline." in instructions.report(result)
    counted.update({layout: counts(1000, total=1015) for layout in (1, 2)})
    result = instructions.check(path=path)
    assert [(change.figure, change.now) for change in result.above] == [("total", 1015)]
    del counted[2]
    result = instructions.check(path=path)
    assert [(change.figure, change.now) for change in result.above] == [("total", 1020)]


def test_a_shorter_path_asks_for_a_new_baseline(
    instructions: ModuleType, counted: dict, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.json"
    instructions.store(BUILD, counts(1000), path)
    counted[0] = counts(900)
    result = instructions.check(path=path)
    assert not result.above
    assert "--update" in instructions.report(result)
    assert "1,000.0 -> 900.0 (-10.0%)" in instructions.report(result)


@pytest.mark.usefixtures("counted")
def test_what_cannot_be_counted_has_a_status_of_its_own(
    instructions: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert instructions.main([]) == instructions.UNUSABLE
    assert "no time" in capsys.readouterr().err


# -- counting ------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="the clock is Linux's")
def test_the_clock_nearly_stands_still(instructions: ModuleType, tmp_path: Path) -> None:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("there is no C compiler")
    clock = instructions.slow_clock(str(tmp_path))
    program = (
        "import time; a = time.monotonic_ns(); time.sleep(0.05); b = time.monotonic_ns();"
        "assert 0 < b - a < 1000, b - a; assert time.time() > 1e9"
    )
    environment = instructions.environment(0, clock)
    subprocess.run([sys.executable, "-I", "-c", program], env=environment, check=True)


def test_the_hot_paths_are_as_short_as_they_were(instructions: ModuleType) -> None:
    longer: set[tuple[str, str]] | None = None
    for _ in range(3):
        try:
            result = instructions.check(timeout=SECONDS)
        except instructions.Unusable as reason:
            pytest.skip(str(reason))
        print(instructions.report(result))
        assert result.counts.keys() == instructions.UNITS.keys()
        assert all(figures["csqlite"] > 0 for figures in result.counts.values())
        # A reader of a pool that is free costs little more than a connection.
        total = {path: figures["total"] for path, figures in result.counts.items()}
        assert total["pool_fetch_one"] <= 1.25 * total["fetch_one"]
        if result.baseline is None:
            pytest.skip(f"no baseline for this build: {result.build}")
        # A path that has become longer is so each time; what disturbs it is not there again.
        above = {(change.path, change.figure) for change in result.above}
        longer = above if longer is None else longer & above
        if not longer:
            return
    assert not longer
