"""Run the measurements: every driver and workload in a process of its own, in turn, in rounds.

A round takes each workload once with every driver, one right after the other, so that whatever
else the machine does meanwhile meets all of them alike; each round begins with another driver.
All that is measured goes into a ``Results``, which can be kept as JSON and made into a table
later.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable

from .awake import keep_awake, load, regime
from .child import NOT_IMPORTABLE, UNSUPPORTED
from .drivers import REFERENCE
from .machine import filesystem, machine
from .workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
SLOW = 5.0  # Seconds. What takes longer has no more than
SLOW_ROUNDS = 3


@dataclass(frozen=True)
class Settings:
    """What to measure, and how often.

    ``repeat`` is how often a child repeats its workload, ``rounds`` how many children each driver
    and workload get. ``cpus`` says how the workloads of small awaits run: ``pinned`` to one CPU,
    ``free``, or ``both``; the others are always free. ``loop`` is the kind of event loop. With
    ``awake`` the CPUs are kept from sleeping. A child has ``timeout`` seconds. A driver that cannot
    be imported is left out, unless it is ``required``: then that is a failure.
    """

    drivers: tuple[str, ...]
    workloads: tuple[str, ...]
    rounds: int
    repeat: int
    scale: float
    cpus: str
    loop: str = "asyncio"
    awake: bool = False
    timeout: float = 120.0
    required: tuple[str, ...] = ()

    @property
    def fixture_rows(self) -> int:
        """The number of rows in the file that is read: what the largest workload reads."""
        reading = [one for one in WORKLOADS.values() if not (one.writes or one.generated)]
        return max(workload.count(self.scale) for workload in reading)

    def regimes(self, workload: str) -> tuple[bool, ...]:
        """Return how a workload runs: pinned (True), free (False) or one after the other."""
        if not WORKLOADS[workload].pinned or self.cpus == "free":
            return (False,)
        return (True, False) if self.cpus == "both" else (True,)


@dataclass
class Results:
    """All that was measured, as plain data.

    ``machine`` and ``conditions`` say where; ``drivers`` has a driver's versions; ``samples`` one
    entry a child, with its ``figures`` in seconds or bytes, and its ``exit`` status; ``missing``
    the driver and workload of each operation that a driver does not have; ``timeouts`` the driver
    and workload, and whether it was pinned, of each child that did not end in time; ``failures`` a
    sentence for each thing that went wrong.
    """

    settings: dict[str, Any]
    machine: str
    conditions: list[str] = field(default_factory=list)
    drivers: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    missing: list[list[str]] = field(default_factory=list)
    timeouts: list[list[Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the results as JSON text."""
        return json.dumps(asdict(self), indent=1)


class Runner:
    """Run the children that ``settings`` names, and gather what they print in ``results``.

    ``progress`` is called with a line of text for each thing done.
    """

    def __init__(self, settings: Settings, progress: Callable[[str], None]) -> None:
        self.settings = settings
        self.progress = progress
        self.results = Results(asdict(settings), machine())

    def run(self) -> Results:
        """Measure everything and return it; failures are among the results."""
        settings, results = self.settings, self.results
        before = load()
        with tempfile.TemporaryDirectory(prefix="csqlite-bench-") as folder:
            self.folder = Path(folder)
            results.conditions.append(regime(settings.awake))
            results.conditions.append(f"files on {filesystem(folder)}")
            names = self.probe()
            self.write_fixtures(names)
            with keep_awake() if settings.awake else nullcontext():
                self.measure_all(list(schedule(settings, names)))
        results.conditions.append(f"load average {before} before, {load()} at the end")
        compare_checksums(results)
        return results

    def probe(self) -> list[str]:
        """Note the versions of the drivers and return those of them that can be imported."""
        for driver in self.settings.drivers:
            done = self.python("benchmarks.child", "probe", driver, "--loop", self.settings.loop)
            if has_ended(driver, done):
                self.results.drivers.append(json.loads(done.stdout))
            elif done.returncode == NOT_IMPORTABLE and driver not in self.settings.required:
                self.progress(f"leaving out {driver}: {done.stderr.strip()}")
            else:
                self.results.failures.append(f"{driver} cannot be loaded: {last_line(done.stderr)}")
        return [driver["driver"] for driver in self.results.drivers]

    def write_fixtures(self, drivers: Sequence[str]) -> None:
        """Write the file that is read, the same for each driver, and a copy for each.

        So whatever one of them does to a file, it does not do to the others'.
        """
        rows = str(self.settings.fixture_rows)
        self.progress(f"writing {self.settings.fixture_rows:,} rows")
        original = self.folder / "original.db"
        self.python("benchmarks.fixture", str(original), rows, check=True)
        for driver in drivers:
            shutil.copyfile(original, self.fixture(driver))

    def fixture(self, driver: str) -> Path:
        """Return the path of the file that a driver reads."""
        return self.folder / f"{driver}.db"

    def measure_all(self, plan: list[tuple[int, str, bool, str]]) -> None:
        """Run the children of a plan and gather their samples."""
        for done, (turn, workload, pinned, driver) in enumerate(plan, 1):
            label = f"[{done}/{len(plan)}] round {turn + 1}: {workload}, {driver}"
            if self.is_enough(driver, workload, pinned):
                continue
            sample = self.measure(driver, workload, pinned)
            if sample is None:
                self.progress(f"{label}: no figures")
                continue
            self.results.samples.append({"round": turn, "workload": workload, **sample})
            self.progress(f"{label}: {sample['wall'] * 1000:,.1f} ms")

    def is_enough(self, driver: str, workload: str, pinned: bool) -> bool:
        """Tell whether a driver cannot do a workload, or is so slow that it had enough rounds."""
        if [driver, workload] in self.results.missing:
            return True
        if [driver, workload, pinned] in self.results.timeouts:
            return True
        walls = [
            sample["wall"]
            for sample in self.results.samples
            if (sample["driver"], sample["workload"]) == (driver, workload)
            if sample["pinned"] == pinned
        ]
        return len(walls) >= SLOW_ROUNDS and max(walls) > SLOW

    def measure(self, driver: str, workload: str, pinned: bool) -> Any:
        """Run one child and return its sample, or None when it has none and note why."""
        settings, results = self.settings, self.results
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            arguments = ["--driver", driver, "--workload", workload, "--loop", settings.loop]
            arguments += ["--fixture", str(self.fixture(driver))]
            arguments += ["--rows", str(settings.fixture_rows)]
            arguments += ["--scratch", os.path.join(folder, "scratch.db")]
            arguments += ["--scale", str(settings.scale), "--repeat", str(settings.repeat)]
            arguments += ["--pin"] if pinned else []
            try:
                done = self.python("benchmarks.child", "measure", *arguments)
            except subprocess.TimeoutExpired:
                results.timeouts.append([driver, workload, pinned])
                if driver == REFERENCE:
                    text = f"{workload} with {driver}: no end after {settings.timeout:g} s"
                    results.failures.append(text)
                return None
        if has_ended(driver, done):
            return {**json.loads(done.stdout), "exit": done.returncode}
        if done.returncode == UNSUPPORTED:
            results.missing.append([driver, workload])
            return None
        results.failures.append(
            f"{workload} with {driver}: exit status {done.returncode}: {last_line(done.stderr)}"
        )
        return None

    def python(
        self, module: str, *arguments: str, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a module of this package in a process of its own and return what it printed.

        It runs in a folder which holds no modules, and finds this package at the end of its path:
        the directory csqlite/ beside it has no extension, and must not be taken for the installed
        one.
        """
        launch = (
            f"import runpy, sys; sys.path.append({str(ROOT)!r}); "
            f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
        )
        return subprocess.run(
            [sys.executable, "-c", launch, *arguments],
            cwd=self.folder,
            check=check,
            capture_output=True,
            text=True,
            timeout=self.settings.timeout,
        )


def run(settings: Settings, progress: Callable[[str], None]) -> Results:
    """Measure all that ``settings`` names and return it; failures are among the results."""
    return Runner(settings, progress).run()


def schedule(settings: Settings, drivers: Sequence[str]) -> Iterator[tuple[int, str, bool, str]]:
    """Yield round, workload, pinned or not, and driver, in the order in which they are run."""
    for turn in range(settings.rounds):
        first = turn % max(1, len(drivers))
        for workload in settings.workloads:
            for pinned in settings.regimes(workload):
                for driver in (*drivers[first:], *drivers[:first]):
                    yield turn, workload, pinned, driver


def has_ended(driver: str, done: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether a child has done all that it was told, and printed it.

    A rival that crashes on its way out after that has been measured all the same, and the report
    counts how often; csqlite has no such excuse.
    """
    return done.returncode == 0 or (
        done.returncode < 0 and done.stdout != "" and driver != REFERENCE
    )


def compare_checksums(results: Results) -> None:
    """Note every workload in which the drivers have not read or written the same."""
    for workload in results.settings["workloads"]:
        samples = [sample for sample in results.samples if sample["workload"] == workload]
        checksums = {sample["driver"]: sample["checksum"] for sample in samples}
        if len(set(checksums.values())) > 1:
            results.failures.append(f"{workload}: the drivers' checksums differ: {checksums}")


def last_line(text: str) -> str:
    """Return the last line of a traceback, which names the exception, or the interpreter's own."""
    lines = text.strip().splitlines() or ["nothing on stderr"]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    return (fatal or lines)[-1]
