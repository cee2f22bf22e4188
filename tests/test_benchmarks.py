"""The benchmarks: every workload runs on every driver and all of them do the same work.

Nothing here says how long anything may take.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 300  # Seconds.
WORKLOADS = {
    "point_select",
    "execute_fetchall",
    "point_select_cpu",
    "fetchone_loop",
    "fetchall",
    "iteration",
    "rows_by_name",
    "single_inserts",
    "committed_inserts",
    "executemany",
    "gathered_selects",
    "spread_selects",
    "open_close",
    "connections_at_once",
    "loop_stall",
    "loop_stall_query",
    "beside_coroutine",
    "beside_thread",
    "scalar_function",
    "memory",
}
# Those that are left out unless they are asked for.
FULL = {"memory_of_10m"}
STALLS = {"loop_stall", "loop_stall_query"}


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks' command line and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one tiny run of everything has left its tables and its figures."""
    folder = tmp_path_factory.mktemp("benchmarks")
    table, kept = str(folder / "table.md"), str(folder / "kept.json")
    done = benchmark("--quick", "--rounds=1", "--scale=0.002", "--output", table, "--json", kept)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == (folder / "table.md").read_text()
    assert "round 1: loop_stall, csqlite" in done.stderr
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """What that run has measured."""
    kept: dict[str, Any] = json.loads((folder / "kept.json").read_text())
    return kept


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that imports a module of the benchmarks.

    They stand at the end of the path, after the installed csqlite.
    """
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.{name}")

    yield load
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]


def drivers() -> list[str]:
    """Return the drivers that must have been measured: those that are installed."""
    rivals = [name for name in ("aiosqlite",) if importlib.util.find_spec(name)]
    return ["csqlite", *rivals, "sqlite3"]


def tables(folder: Path) -> list[list[list[str]]]:
    """Return the cells of the tables of that run: their lines, without the rules."""
    parts = (folder / "table.md").read_text().split("\n\n")
    found = [part.splitlines() for part in parts if part.startswith("|")]
    return [
        [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if ":--" not in line]
        for lines in found
    ]


def test_every_workload_ran_on_every_driver(results: dict[str, Any]) -> None:
    ran = {(sample["driver"], sample["workload"]) for sample in results["samples"]}
    assert ran == {(driver, workload) for driver in drivers() for workload in WORKLOADS}
    assert results["failures"] == results["missing"] == results["timeouts"] == []


def test_the_drivers_did_the_same_work(results: dict[str, Any]) -> None:
    for workload in WORKLOADS:
        samples = [sample for sample in results["samples"] if sample["workload"] == workload]
        assert len({sample["checksum"] for sample in samples}) == 1, workload
        assert all(sample["checksum"] for sample in samples), workload


def test_the_figures_are_times_and_sizes(results: dict[str, Any]) -> None:
    for sample in results["samples"]:
        assert sample["wall"] > 0
        assert sample["cpu"] > 0
        if sample["workload"] == "memory":
            assert sample["figures"]["peak"] >= 0
        else:
            assert all(figure > 0 for figure in sample["figures"].values())


def test_versions_and_conditions_are_reported(results: dict[str, Any], folder: Path) -> None:
    assert [driver["driver"] for driver in results["drivers"]] == drivers()
    table = (folder / "table.md").read_text()
    for driver in results["drivers"]:
        assert f"SQLite {driver['sqlite']}\n" in table
    assert re.search(r"^- CPython 3\.\d+\.\d+.* on .*, \d+ CPUs$", table, re.MULTILINE)
    assert "\n- event loop: asyncio's own\n" in table
    assert "\n- CPU frequency was not controlled" in table
    assert re.search(r"^- files on \S+", table, re.MULTILINE)
    assert re.search(r"^- load average .* before, .* at the end$", table, re.MULTILINE)


def test_the_first_table_has_a_median_for_each_driver(folder: Path) -> None:
    (header, *rows), _ = tables(folder)
    assert header == ["workload", *drivers()]
    # Each workload has one line, but for the stalls, which have five.
    assert len(rows) == len(WORKLOADS) + 4 * len(STALLS)
    for title, *medians in rows:
        unit = "MB" if title.startswith("peak memory") else "(us|ms)"
        assert all(re.fullmatch(rf"[\d,.]+(e-\d+)? {unit}", median) for median in medians), title


def test_the_second_table_has_a_ratio_for_each_rival_and_the_target(folder: Path) -> None:
    _, (header, *rows) = tables(folder)
    ratios = [f"{rival} / csqlite" for rival in drivers()[1:]]
    assert header == ["workload", *ratios, "target", "reached"]
    # What the idle loop does is compared with nobody's.
    assert len(rows) == len(WORKLOADS) + 2 * len(STALLS)
    for title, *compared, target, reached in rows:
        if not title.startswith("peak memory"):  # Which may be none at all.
            assert all(re.fullmatch(r"[\d,.]+(e-\d+)?", ratio) for ratio in compared), title
        goals = target.split(", ") if target else []
        assert all(re.match(r"(>= [\d.]+x \w+|<= .+)$", goal) for goal in goals), title
        verdicts = reached.split(", ") if reached else []
        assert len(verdicts) == len(goals)
        known = {"yes", "no"} if "aiosqlite" in drivers() else {"yes", "no", "-"}
        assert set(verdicts) <= known


def test_tables_can_be_made_of_what_was_kept(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.report", str(folder / "kept.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert done.stdout == (folder / "table.md").read_text()


def test_charts_can_be_drawn_of_what_was_kept(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.plots", str(folder / "kept.json"), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert (folder / "ratios.png").is_file()
    assert str(folder / "ratios.png") in done.stdout


def test_rounds_and_regimes_are_taken_in_turn(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    arguments = ["--workload=point_select", "--driver=csqlite", "--driver=sqlite3"]
    done = benchmark(*arguments, "--quick", "--scale=0.002", "--cpus=both", f"--json={kept}")
    assert done.returncode == 0, done.stdout + done.stderr
    samples = json.loads(kept.read_text())["samples"]
    order = [(sample["round"], sample["driver"]) for sample in samples]
    first, second = ["csqlite", "sqlite3"], ["sqlite3", "csqlite"]
    assert order == [(0, name) for name in first * 2] + [(1, name) for name in second * 2]
    if sys.platform == "linux":
        assert [sample["pinned"] for sample in samples] == [True, True, False, False] * 2
        assert "point select: `execute`, `fetchone`, close * |" in done.stdout


def test_the_loop_can_be_another_one() -> None:
    uvloop = pytest.importorskip("uvloop")
    arguments = ["--quick", "--workload=point_select", "--driver=csqlite", "--loop=uvloop"]
    done = benchmark(*arguments, "--scale=0.002")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"\n- event loop: uvloop {uvloop.__version__}\n" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="needs SCHED_IDLE")
def test_the_cpus_can_be_kept_awake() -> None:
    arguments = ["--quick", "--workload=point_select", "--driver=sqlite3", "--awake"]
    done = benchmark(*arguments, "--scale=0.002")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept every CPU from sleeping" in done.stdout


def test_it_refuses_what_it_does_not_know() -> None:
    done = benchmark("--workload=no_such_workload")
    assert done.returncode == 2
    assert "no_such_workload" in done.stderr


def test_the_workloads_are_known_and_have_targets(module: Any) -> None:
    workloads, targets = module("workloads"), module("targets")
    assert set(workloads.WORKLOADS) == WORKLOADS | FULL
    assert set(targets.TARGETS) == WORKLOADS | FULL
    for name, goals in targets.TARGETS.items():
        assert set(goals) <= {figure.key for figure in workloads.WORKLOADS[name].figures}
    assert {name for name, one in workloads.WORKLOADS.items() if one.full} == FULL


def results_of(module: Any, workload: str, pinned: bool, **figures: list[dict[str, float]]) -> Any:
    """Return results of one workload: for each driver, its figures in each round."""
    settings = module("run").Settings(tuple(figures), (workload,), 2, 1, 1.0, "pinned")
    results = module("run").Results(dict(vars(settings)), "a machine")
    for driver, rounds in figures.items():
        results.drivers.append(
            {"driver": driver, "version": "1", "sqlite": "3", "python": "CPython", "loop": "x"}
        )
        for turn, measured in enumerate(rounds):
            sample = {"round": turn, "driver": driver, "workload": workload, "pinned": pinned}
            results.samples.append({**sample, "figures": measured, "wall": 1, "cpu": 1, "exit": 0})
    return results


def last_lines(module: Any, results: Any) -> tuple[list[str], list[str]]:
    """Return the cells of the last lines of both tables."""
    report = module("report")
    last = [part.splitlines()[-1] for part in (report.medians(results), report.ratios(results))]
    first, second = ([cell.strip() for cell in line[1:-1].split("|")] for line in last)
    return first, second


def test_a_ratio_has_its_range_and_its_target(module: Any) -> None:
    own = [{"each": 10e-6}, {"each": 20e-6}]
    rival = [{"each": 45e-6}, {"each": 60e-6}]
    results = results_of(module, "point_select", True, csqlite=own, aiosqlite=rival)
    medians, ratios = last_lines(module, results)
    assert medians[1:] == ["15 us", "52.5 us"]
    assert ratios[1:] == ["3.5 (3-4.5)", ">= 4x aiosqlite", "no"]


def test_a_target_is_for_the_usual_regime_alone(module: Any) -> None:
    figures = [{"each": 1e-6}]
    results = results_of(module, "point_select", False, csqlite=figures, aiosqlite=figures)
    assert last_lines(module, results)[1][1:] == ["1", "", ""]


def test_a_target_needs_its_rival(module: Any) -> None:
    results = results_of(module, "fetchall", False, csqlite=[{"all": 1.0}], sqlite3=[{"all": 3.0}])
    ratios = last_lines(module, results)[1]
    assert ratios[1:] == ["3", ">= 3.5x aiosqlite, >= 2.5x sqlite3", "-, yes"]


@pytest.mark.parametrize(("worst", "verdict"), [(0.0029, "yes"), (0.0032, "no")])
def test_a_stall_is_judged_beside_the_idle_loop_of_its_own_round(
    module: Any, worst: float, verdict: str
) -> None:
    rounds = [
        {"all": 1.0, "p99": 0.001, "worst": worst, "idle_p99": 0.001, "idle_worst": 0.002},
        {"all": 1.0, "p99": 0.001, "worst": worst + 1, "idle_p99": 0.001, "idle_worst": 1.002},
    ]
    results = results_of(module, "loop_stall", False, csqlite=rounds)
    assert last_lines(module, results)[1][-2:] == ["<= idle + 1 ms", verdict]


def test_a_size_is_in_megabytes_and_may_be_nothing(module: Any) -> None:
    own, rival = [{"peak": 4_100_000}], [{"peak": 0}]
    results = results_of(module, "memory", False, csqlite=own, sqlite3=rival)
    medians, ratios = last_lines(module, results)
    assert medians[1:] == ["4.1 MB", "0 MB"]
    assert ratios[1:] == ["0", "<= 4 MB", "no"]
    results = results_of(module, "memory", False, csqlite=rival, sqlite3=own)
    assert last_lines(module, results)[1][1:] == ["-", "<= 4 MB", "yes"]


def test_what_has_no_figures_says_why(module: Any) -> None:
    names = ["csqlite", "without", "slow", "broken"]
    figures = {"csqlite": [{"all": 1.0}], **{name: [] for name in names[1:]}}
    results = results_of(module, "iteration", False, **figures)
    results.missing.append(["without", "iteration"])
    results.timeouts.append(["slow", "iteration", False])
    medians, ratios = last_lines(module, results)
    assert medians[1:] == ["1,000 ms", "-", "no end in 120 s", "failed"]
    assert ratios[1:4] == ["-", "-", "-"]


def test_drivers_that_disagree_are_a_failure(module: Any) -> None:
    results = results_of(module, "fetchall", False, csqlite=[{"all": 1.0}], sqlite3=[{"all": 1.0}])
    for sample, checksum in zip(results.samples, (1, 2)):
        sample["checksum"] = checksum
    module("run").compare_checksums(results)
    (failure,) = results.failures
    assert "fetchall: the drivers' checksums differ" in failure


def test_what_takes_too_long_is_noted_and_not_tried_again(module: Any, tmp_path: Path) -> None:
    run = module("run")
    settings = run.Settings(("aiosqlite",), ("fetchall",), 2, 1, 1.0, "pinned", timeout=0.001)
    runner = run.Runner(settings, lambda text: None)
    runner.folder = tmp_path
    assert runner.measure("aiosqlite", "fetchall", False) is None
    assert runner.results.timeouts == [["aiosqlite", "fetchall", False]]
    assert runner.results.failures == []
    assert runner.is_enough("aiosqlite", "fetchall", False)
    assert not runner.is_enough("aiosqlite", "fetchall", True)
    assert runner.measure("csqlite", "fetchall", False) is None
    assert runner.results.failures == ["fetchall with csqlite: no end after 0.001 s"]


def test_what_is_slow_has_fewer_rounds(module: Any) -> None:
    run = module("run")
    runner = run.Runner(run.Settings((), (), 9, 1, 1.0, "pinned"), lambda text: None)
    sample = {"driver": "aiosqlite", "workload": "iteration", "pinned": False}
    for turn in range(run.SLOW_ROUNDS):
        assert not runner.is_enough("aiosqlite", "iteration", False)
        runner.results.samples.append({**sample, "round": turn, "wall": run.SLOW + turn})
    assert runner.is_enough("aiosqlite", "iteration", False)
    assert not runner.is_enough("csqlite", "iteration", False)


def test_peak_memory_sees_what_is_taken_and_given_back(module: Any) -> None:
    size = 64_000_000
    with module("resident").PeakMemory() as peak:
        block = bytearray(b"x") * size
        del block
    assert size * 0.9 < peak.growth < size * 1.5


def test_concurrency_measures_what_it_is_asked_for() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.concurrency", "--rounds", "1", "--scale", "0.02"),
            *("--only", "writers", "--only", "transfers", "--only", "selects"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    first, *tables, last = done.stdout.strip().split("\n\n")
    assert re.fullmatch(r".*, \d+ CPUs; load .* at the beginning\.", first)
    assert re.fullmatch(r"Load .* at the end\.", last)
    for table, mine in zip(tables, ("a connection each", "one connection", "one connection")):
        heading, rule, *rows = table.splitlines()
        assert rule == "|" + "---|" * (heading.count("|") - 1)
        names = [row.split(" | ")[0] for row in rows]
        assert names[0] == f"| aiosqlite, {mine}"
        assert f"| csqlite, {mine}" in names
        assert "| csqlite.create_pool()" in names
        assert rows[0].split(" | ")[2].split()[0] == "1.00"
    assert len(tables) == 3
    assert "sum 1000 of 1000; 0 errors; 0 amiss" in tables[1]


def test_a_slow_disk_is_one(tmp_path: Path, module: Any) -> None:
    concurrency = module("concurrency")
    program = (
        "import os, sys, time; file = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR);"
        "before = time.monotonic(); os.fsync(file); os.fdatasync(file);"
        "print(time.monotonic() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file")],
        env={
            **os.environ,
            "LD_PRELOAD": concurrency.slow_sync(str(tmp_path)),
            "SLOW_SYNC": "50000",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) >= 0.1


def test_scaling_measures_what_it_is_asked_for() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.scaling", "--axis", "tasks", "--most", "3"),
            *("--rounds", "1", "--driver", "csqlite"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| 3 |" in done.stdout


@pytest.mark.parametrize(
    ("settings", "remark"),
    [
        ({"CONFIG_ARGS": "'--enable-optimizations' '--with-lto'", "CFLAGS": "-g -O2"}, ""),
        ({"CONFIG_ARGS": "'--enable-optimizations'", "CFLAGS": "-Og -fwrapv -O3"}, ""),
        ({"CONFIG_ARGS": "'--prefix=/usr'", "CFLAGS": "-O3"}, "without --enable-optimizations"),
        ({"CONFIG_ARGS": "'--prefix=/usr'", "installed_base": "/usr", "CFLAGS": "-O2"}, ""),
        ({"installed_base": "/usr/local"}, "without --enable-optimizations"),
        ({}, "without --enable-optimizations"),
        ({"CONFIG_ARGS": "'--enable-optimizations'", "CFLAGS": "-O2 -O0"}, "compiled with -O0"),
        ({"CONFIG_ARGS": "'--enable-optimizations'", "PY_CFLAGS": "-Og"}, "compiled with -Og"),
        ({"CONFIG_ARGS": "'--enable-optimizations'", "Py_DEBUG": 1}, "debug build"),
    ],
)
def test_a_slow_build_of_python_is_told(module: Any, settings: dict[str, Any], remark: str) -> None:
    found = module("quiet").slow_build(settings)
    assert remark in found
    assert bool(found) == bool(remark)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_processes_that_run_meanwhile_are_told(module: Any, tmp_path: Path) -> None:
    quiet = module("quiet")
    ticks = os.sysconf("SC_CLK_TCK")

    def look(**seconds: float) -> dict[int, tuple[str, float]]:
        for number, (name, used) in enumerate(seconds.items(), 1):
            folder = tmp_path / str(number)
            folder.mkdir(exist_ok=True)
            ran = f"{int(used * ticks)} 0"
            (folder / "stat").write_text(f"{number} (a ({name})) R {'0 ' * 10}{ran} 0 0\n")
        found: dict[int, tuple[str, float]] = quiet.processor_seconds(tmp_path)
        return found

    before = look(compiler=10, idle=3, shell=1)
    assert before[1] == ("a (compiler)", 10)
    after = look(compiler=12, idle=3, shell=1.2, later=50)
    assert quiet.busiest(before, after, 2) == ["a (compiler) 100 %", "a (shell) 10 %"]
    assert quiet.busiest(before, before, 2) == []
    assert os.getpid() in quiet.processor_seconds()


def test_warnings_stand_before_and_after_the_figures(
    module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = module("__main__")
    monkeypatch.setattr(main.quiet, "remarks", lambda: ["the machine is busy"])
    main.main(
        ["--quick", "--rounds=1", "--scale=0.002", "--workload=open_close", "--driver=sqlite3"]
    )
    errors = capsys.readouterr().err
    assert errors.startswith("warning: the machine is busy\n")
    assert errors.endswith("warning: the machine is busy\n")
