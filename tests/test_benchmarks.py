"""The benchmarks: every workload runs on every driver and all of them do the same work.

Nothing here says how long anything may take.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 300  # Seconds.
WORKLOADS = {
    "point_select",
    "point_select_cpu",
    "execute_fetchall",
    "gathered_selects",
    "single_inserts",
    "committed_inserts",
    "open_close",
    "fetchone_loop",
    "fetchall",
    "iteration",
    "executemany",
    "loop_stall",
}


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
    """Where one tiny run of everything has left its table and its figures."""
    folder = tmp_path_factory.mktemp("benchmarks")
    table, kept = str(folder / "table.md"), str(folder / "kept.json")
    done = benchmark("--quick", "--rounds=1", "--scale=0.01", "--output", table, "--json", kept)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == (folder / "table.md").read_text()
    assert "round 1: loop_stall, csqlite" in done.stderr
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """What that run has measured."""
    kept: dict[str, Any] = json.loads((folder / "kept.json").read_text())
    return kept


def drivers() -> list[str]:
    """Return the drivers that must have been measured: those that are installed."""
    rivals = [name for name in ("aiosqlite",) if importlib.util.find_spec(name)]
    return ["csqlite", *rivals, "sqlite3"]


def test_every_workload_ran_on_every_driver(results: dict[str, Any]) -> None:
    ran = {(sample["driver"], sample["workload"]) for sample in results["samples"]}
    assert ran == {(driver, workload) for driver in drivers() for workload in WORKLOADS}
    assert results["failures"] == []
    assert results["missing"] == []


def test_the_drivers_did_the_same_work(results: dict[str, Any]) -> None:
    for workload in WORKLOADS:
        samples = [sample for sample in results["samples"] if sample["workload"] == workload]
        assert len({sample["checksum"] for sample in samples}) == 1, workload
        assert all(sample["checksum"] for sample in samples), workload


def test_the_figures_are_times(results: dict[str, Any]) -> None:
    for sample in results["samples"]:
        assert sample["wall"] > 0
        assert sample["cpu"] > 0
        assert all(figure > 0 for figure in sample["figures"].values())


def test_versions_are_reported(results: dict[str, Any], folder: Path) -> None:
    assert [driver["driver"] for driver in results["drivers"]] == drivers()
    table = (folder / "table.md").read_text()
    for driver in results["drivers"]:
        assert f"SQLite {driver['sqlite']}\n" in table
    assert re.search(r"^- CPython 3\.\d+\.\d+.* on .*, \d+ CPUs$", table, re.MULTILINE)


def test_the_table_has_a_ratio_for_each_rival(folder: Path) -> None:
    lines = (folder / "table.md").read_text().splitlines()
    header, _, *rows = [line for line in lines if line.startswith("|")]
    ratios = [f"{rival} / csqlite" for rival in drivers()[1:]]
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "workload",
        *drivers(),
        *ratios,
    ]
    # Each workload has one row, but for the loop's stalls, which have five.
    assert len(rows) == len(WORKLOADS) + 4
    for row in rows:
        _, *cells = [cell.strip() for cell in row.strip("|").split("|")]
        times, compared = cells[: len(drivers())], cells[len(drivers()) :]
        assert all(re.fullmatch(r"[\d,.]+ (us|ms)", cell) for cell in times), row
        assert all(re.fullmatch(r"[\d,.]+", cell) for cell in compared), row


def test_a_table_can_be_made_of_what_was_kept(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.report", str(folder / "kept.json")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert done.stdout == (folder / "table.md").read_text()


def test_rounds_and_regimes_are_taken_in_turn(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    arguments = ["--workload=point_select", "--driver=csqlite", "--driver=sqlite3"]
    done = benchmark(*arguments, "--scale=0.01", "--rounds=2", "--cpus=both", f"--json={kept}")
    assert done.returncode == 0, done.stdout + done.stderr
    samples = json.loads(kept.read_text())["samples"]
    order = [(sample["round"], sample["driver"]) for sample in samples]
    first, second = ["csqlite", "sqlite3"], ["sqlite3", "csqlite"]
    assert order == [(0, name) for name in first * 2] + [(1, name) for name in second * 2]
    if sys.platform == "linux":
        assert [sample["pinned"] for sample in samples] == [True, True, False, False] * 2
        assert "point select: `execute`, `fetchone`, close * |" in done.stdout


def test_it_refuses_what_it_does_not_know() -> None:
    done = benchmark("--workload=no_such_workload")
    assert done.returncode == 2
    assert "no_such_workload" in done.stderr
