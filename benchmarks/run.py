"""Run the measurements: every driver and workload in a process of its own, in turn, in rounds.

A round takes each workload once with every driver, one right after the other, so that whatever
else the machine does meanwhile meets all of them alike; each round begins with another driver.
All that is measured goes into a ``Results``, which can be kept as JSON and made into a table
later.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable

from .child import NOT_IMPORTABLE, UNSUPPORTED
from .workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
CHILD_TIMEOUT = 600  # Seconds.


@dataclass(frozen=True)
class Settings:
    """What to measure, and how often.

    ``repeat`` is how often a child repeats its workload, ``rounds`` how many children each driver
    and workload get. ``cpus`` says how the workloads of small awaits run: ``pinned`` to one CPU,
    ``free``, or ``both``; the others are always free. A driver that cannot be imported is left
    out, unless it is ``required``: then that is a failure.
    """

    drivers: tuple[str, ...]
    workloads: tuple[str, ...]
    rounds: int
    repeat: int
    scale: float
    cpus: str
    required: tuple[str, ...] = ()

    @property
    def fixture_rows(self) -> int:
        """The number of rows in the file that is read: what the largest workload reads."""
        return max(workload.count(self.scale) for workload in WORKLOADS.values())

    def regimes(self, workload: str) -> tuple[bool, ...]:
        """Return how a workload runs: pinned (True), free (False) or one after the other."""
        if not WORKLOADS[workload].pinned or self.cpus == "free":
            return (False,)
        return (True, False) if self.cpus == "both" else (True,)


@dataclass
class Results:
    """All that was measured, as plain data.

    ``drivers`` has a driver's versions; ``samples`` one entry a child, with its ``figures`` in
    seconds; ``missing`` the driver and workload of each operation that a driver does not have;
    ``failures`` a sentence for each thing that went wrong.
    """

    settings: dict[str, Any]
    machine: str
    drivers: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    missing: list[list[str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the results as JSON text."""
        return json.dumps(asdict(self), indent=1)


def run(settings: Settings, progress: Callable[[str], None]) -> Results:
    """Measure all that ``settings`` names and return it; failures are among the results."""
    results = Results(asdict(settings), machine())
    with tempfile.TemporaryDirectory(prefix="csqlite-bench-") as folder:
        progress(f"writing {settings.fixture_rows:,} rows")
        fixture = os.path.join(folder, "fixture.db")
        python(folder, "benchmarks.fixture", fixture, str(settings.fixture_rows), check=True)
        names = probe(settings, results, folder, progress)
        plan = list(schedule(settings, names))
        for done, (turn, workload, pinned, driver) in enumerate(plan, 1):
            label = f"[{done}/{len(plan)}] round {turn + 1}: {workload}, {driver}"
            if [driver, workload] in results.missing:
                continue
            sample = measure(settings, results, driver, workload, pinned, fixture)
            if sample is None:
                progress(f"{label}: no figures")
                continue
            results.samples.append({"round": turn, "workload": workload, **sample})
            progress(f"{label}: {sample['wall'] * 1000:,.1f} ms")
    compare_checksums(results)
    return results


def schedule(settings: Settings, drivers: Sequence[str]) -> Iterator[tuple[int, str, bool, str]]:
    """Yield round, workload, pinned or not, and driver, in the order in which they are run."""
    for turn in range(settings.rounds):
        first = turn % max(1, len(drivers))
        for workload in settings.workloads:
            for pinned in settings.regimes(workload):
                for driver in (*drivers[first:], *drivers[:first]):
                    yield turn, workload, pinned, driver


def python(
    folder: str, module: str, *arguments: str, check: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a module of this package in a process of its own and return what it printed.

    It runs in ``folder``, which holds no modules, and finds this package at the end of its path: the
    directory csqlite/ beside it has no extension, and must not be taken for the installed one.
    """
    launch = (
        f"import runpy, sys; sys.path.append({str(ROOT)!r}); "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return subprocess.run(
        [sys.executable, "-c", launch, *arguments],
        cwd=folder,
        check=check,
        capture_output=True,
        text=True,
        timeout=CHILD_TIMEOUT,
    )


def probe(
    settings: Settings, results: Results, folder: str, progress: Callable[[str], None]
) -> list[str]:
    """Note the versions of the drivers and return those of them that can be imported."""
    for driver in settings.drivers:
        done = python(folder, "benchmarks.child", "probe", driver)
        if done.returncode == 0:
            results.drivers.append(json.loads(done.stdout))
        elif done.returncode == NOT_IMPORTABLE and driver not in settings.required:
            progress(f"leaving out {driver}: {done.stderr.strip()}")
        else:
            results.failures.append(f"{driver} cannot be loaded: {last_line(done.stderr)}")
    return [driver["driver"] for driver in results.drivers]


def measure(
    settings: Settings, results: Results, driver: str, workload: str, pinned: bool, fixture: str
) -> Any:
    """Run one child and return its sample, or None when it has none and note why."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(fixture)) as folder:
        arguments = ["--driver", driver, "--workload", workload]
        arguments += ["--fixture", fixture, "--rows", str(settings.fixture_rows)]
        arguments += ["--scratch", os.path.join(folder, "scratch.db")]
        arguments += ["--scale", str(settings.scale), "--repeat", str(settings.repeat)]
        arguments += ["--pin"] if pinned else []
        try:
            done = python(folder, "benchmarks.child", "measure", *arguments)
        except subprocess.TimeoutExpired:
            results.failures.append(f"{workload} with {driver}: no end after {CHILD_TIMEOUT} s")
            return None
    if done.returncode == 0:
        return json.loads(done.stdout)
    if done.returncode == UNSUPPORTED:
        results.missing.append([driver, workload])
    else:
        results.failures.append(
            f"{workload} with {driver}: exit status {done.returncode}: {last_line(done.stderr)}"
        )
    return None


def compare_checksums(results: Results) -> None:
    """Note every workload in which the drivers have not read or written the same."""
    for workload in results.settings["workloads"]:
        samples = [sample for sample in results.samples if sample["workload"] == workload]
        checksums = {sample["driver"]: sample["checksum"] for sample in samples}
        if len(set(checksums.values())) > 1:
            results.failures.append(f"{workload}: the drivers' checksums differ: {checksums}")


def last_line(text: str) -> str:
    """Return the last line of a traceback, which names the exception."""
    return (text.strip().splitlines() or ["nothing on stderr"])[-1]


def machine() -> str:
    """Return a short description of the machine."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {usable} CPUs"
