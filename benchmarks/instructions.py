"""Count the instructions of six hot paths under valgrind, and compare them with a baseline.

``python -m benchmarks.instructions`` needs valgrind and a C compiler. It says nothing about time,
but what it counts hardly depends on what else the machine does, so that a path which has become
1 % longer is seen at once. ``--update`` keeps what was counted as the new baseline.

Three figures of each path are compared: the instructions of csqlite's own functions, those of
SQLite's, and those of the whole process, Python's and the C library's included. The first two are
repeatable to a few instructions. The third depends a little on where objects lie in memory: when it
alone is too high, the count is therefore repeated twice with other addresses, and the median
decides.

A baseline holds for one compiler, Python, SQLite, C library and architecture. The file beside this
one has an entry for each such build; a build without an entry is counted, but not judged.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, NamedTuple

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "instructions.json"
TOLERANCE = 0.01
TIMEOUT = 600.0  # Seconds.
UNUSABLE = 3
LAYOUTS = 3

COMPARED = ("csqlite", "sqlite", "total")
SHOWN = ("csqlite", "sqlite", "python", "libc", "total")
UNITS = {
    "point_select": "`execute`, `fetchone`, close",
    "execute_fetchall": "`execute_fetchall` of one row",
    "fetchall": "a row of a large `fetchall`",
    "executemany": "a row of `executemany`",
    "fetch_one": "`fetch_one`",
    "pool_fetch_one": "`fetch_one` through a pool",
}

# The interpreter's function that looks for a method when it is not in the cache.
LOOK_UP = "find_name_in_mro"

# The C library chooses among its string functions by the processor. With these it takes the ones
# that every x86-64 processor has, so that a baseline holds on all of them.
TUNABLES = "glibc.cpu.hwcaps=" + ",".join(
    f"-{feature}"
    for feature in ("AVX2", "AVX2_Usable", "AVX_Fast_Unaligned_Load", "ERMS", "FSRM", "SSSE3")
)

Counts = dict[str, dict[str, float]]


class Unusable(Exception):
    """Raised where instructions cannot be counted, with the reason."""


class Where(NamedTuple):
    """Where instructions were executed: a shared object, a source file and a function."""

    object: str
    file: str
    function: str


# -- callgrind's profiles ------------------------------------------------------


class Profile(NamedTuple):
    """What a profile says: the instructions of each function, and those of cache misses.

    The interpreter looks up methods in a cache, and where an entry lies depends on addresses. Two
    that get into each other's way make a path longer by the look-ups in ``misses``, in one process
    and not in another.
    """

    costs: Counter[Where]
    misses: int


def parse(lines: Iterable[str]) -> Profile:
    """Read a callgrind profile.

    A name is written in full once, ``(7) name``, and as ``(7)`` afterwards. The line after
    ``calls=`` has what a callee has cost, which that one's own lines have as well. ValueError
    when the sum is not the one that the profile gives.
    """
    names: dict[tuple[str, str], str] = {}
    costs: Counter[Where] = Counter()
    here = {"ob": "???", "fl": "???", "fn": "???"}
    callee = ""
    summary: int | None = None
    misses = 0
    for line in lines:
        name = re.match(r"(c?)(ob|fl|fi|fe|fn)=(?:\((\d+)\))?\s*(.*)$", line)
        if name is not None:
            called, kind, number, text = name.groups()
            kind = "fl" if kind in ("fi", "fe") else kind
            if number is not None:
                text = names.setdefault((kind, number), text)
            # ``'2`` is for a function that was called by itself.
            text = re.sub(r"'\d+$", "", text) if kind == "fn" else text
            if not called:
                here[kind] = text
            elif kind == "fn":
                callee = text
        elif line.startswith("summary:"):
            summary = int(line.split()[1])
        elif re.match(r"[\d+*-]", line):
            cost = int([*line.split(), "0"][1])  # Zeros may be left out.
            if callee:
                misses += cost if callee == LOOK_UP else 0
                callee = ""
            else:
                costs[Where(here["ob"], here["fl"], here["fn"])] += cost
    if summary != sum(costs.values()):
        raise ValueError(f"the lines add up to {sum(costs.values())}, the profile says {summary}")
    return Profile(costs, misses)


def group(where: Where) -> str:
    """Return whose code a function is: "csqlite", "sqlite", "libc", or "python" for all others."""
    name = os.path.basename(where.object)
    if name.startswith("_csqlite."):
        # SQLite is compiled without debug information; what csqlite inlines from a header has it.
        library = where.file == "???" or os.path.basename(where.file).startswith("sqlite3.")
        return "sqlite" if library else "csqlite"
    if name.startswith("libsqlite3."):
        return "sqlite"
    return "libc" if re.match(r"(libc|ld|libpthread|libm)\b", name) else "python"


def figures(profile: Profile, operations: int) -> dict[str, float]:
    """Return the instructions of one operation, for each group and in total, without misses."""
    sums = dict.fromkeys(SHOWN, 0)
    sums["python"] = sums["total"] = -profile.misses
    for where, cost in profile.costs.items():
        sums[group(where)] += cost
        sums["total"] += cost
    return {name: round(cost / operations, 1) for name, cost in sums.items()}


def of_each(
    choose: Callable[[Iterable[float]], float], samples: Sequence[dict[str, float]]
) -> dict[str, float]:
    """Return what is chosen of the values of each figure."""
    return {name: choose(sample[name] for sample in samples) for name in samples[0]}


# -- running valgrind ----------------------------------------------------------


@dataclass
class Run:
    """What one process has given: its build, and of each path's operation the counts and costs."""

    build: dict[str, str]
    counts: Counts
    costs: dict[str, dict[Where, float]]


def count(layout: int = 0, timeout: float = TIMEOUT) -> Run:
    """Run the hot paths in one process under callgrind and return the least of their windows.

    Runs of another ``layout``, a small number, have their objects at other addresses. Unusable
    when there is no valgrind, no compiler, not enough time, or a build that is not to be measured.
    """
    if shutil.which("valgrind") is None:
        raise Unusable("valgrind is not installed")
    binary = extension().read_bytes()
    with tempfile.TemporaryDirectory(prefix="csqlite-instructions-") as folder:
        profile = os.path.join(folder, "profile")
        # The loop and the worker take turns, or which of them gets on would be left to chance.
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--fair-sched=try", "--dump-line=no"]
        valgrind += ["--dump-before=getppid", f"--callgrind-out-file={profile}"]
        variables = environment(layout, slow_clock(folder))
        # Once without it, so that no module has to be compiled: that changes the addresses, too.
        run_paths([], folder, variables, timeout)
        about = run_paths(valgrind, folder, variables, timeout)
        return collect(build(binary, about["sqlite"]), about["paths"], profile)


def run_paths(
    prefix: list[str], folder: str, variables: dict[str, str], timeout: float
) -> dict[str, Any]:
    """Run the hot paths in a process, under the command in ``prefix``; return what they print."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [*prefix, sys.executable, "-s", str(HERE / "hotpaths.py"), f"{scratch}/test.db"]
        try:
            done = subprocess.run(
                command,
                cwd=scratch,
                env=variables,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unusable(f"the hot paths take longer than {timeout:.0f} s here") from None
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode} of {command[0]}:\n{done.stderr}")
    about: dict[str, Any] = json.loads(done.stdout)
    return about


def environment(layout: int, clock: str) -> dict[str, str]:
    """Return the few variables that the counted process has, the same ones each time."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {
        **kept,
        "GLIBC_TUNABLES": TUNABLES,
        "LD_PRELOAD": clock,
        "PYTHONHASHSEED": str(layout),
    }


def slow_clock(folder: str) -> str:
    """Compile the clock on which no budget of time runs out, and return its path."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    result = os.path.join(folder, "slow_clock.so")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", result, str(HERE / "slow_clock.c")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unusable(f"the clock cannot be compiled: {error}") from error
    return result


def collect(build: dict[str, str], paths: dict[str, list[int]], profile: str) -> Run:
    """Read what callgrind has written: part 2 is the first window, part 4 the second, and so on.

    ``paths`` has the number of operations in a window and of windows, for each path.
    The least of the windows counts, without the first: what comes between the loop and the worker
    on a busy machine makes a window longer, and never shorter.
    """
    run = Run(build, {}, {})
    part = 0
    for path, (operations, number) in paths.items():
        windows = []
        for _ in range(number):
            part += 2
            with open(f"{profile}.{part}", encoding="utf-8", errors="replace") as lines:
                windows.append(parse(lines))
        shortest = min(windows[1:], key=lambda window: sum(window.costs.values()))
        run.costs[path] = {where: cost / operations for where, cost in shortest.costs.items()}
        run.counts[path] = of_each(min, [figures(window, operations) for window in windows[1:]])
    if os.path.exists(f"{profile}.{part + 2}"):
        raise RuntimeError("getppid() is called by others: a part is not a window")
    if not all(run.counts[path]["csqlite"] for path in run.counts):
        raise Unusable("the extension has no debug information (-g) that tells whose functions are")
    return run


def extension() -> Path:
    """Return the installed extension; Unusable where it is not meant to be fast."""
    program = (
        "from importlib.util import find_spec as f; print(*f('csqlite').submodule_search_locations)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    )
    found = list(Path(done.stdout.strip()).glob("_csqlite.*.so")) if done.returncode == 0 else []
    if len(found) != 1:
        raise Unusable("csqlite is not installed")
    refuse(found[0].read_bytes())
    return found[0]


def refuse(binary: bytes) -> None:
    """Raise Unusable for an extension that is built to find mistakes."""
    if re.search(rb"\0__(asan|tsan|ubsan)_", binary) or b"csq_alloc_fail_at" in binary:
        raise Unusable("csqlite is built for debugging or with a sanitizer")


def build(binary: bytes, sqlite: str) -> dict[str, str]:
    """Return what a baseline depends on, of an extension and the version of SQLite it has."""
    compilers = re.findall(rb"GCC: \([^)\0]*\) [\d.]+|[ \w]*clang version [\d.]+", binary)
    origin = "system" if b"libsqlite3." in binary else "bundled"
    return {
        "machine": platform.machine(),
        "compiler": ", ".join(sorted({name.decode().strip() for name in compilers})) or "unknown",
        "python": " ".join(sys.version.split()),
        "libc": " ".join(platform.libc_ver()),
        "sqlite": f"{sqlite}, {origin}",
    }


# -- comparing -----------------------------------------------------------------


def load(path: Path = BASELINE) -> list[dict[str, Any]]:
    """Return the entries of a baseline file, none where there is no file."""
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def find(entries: list[dict[str, Any]], build: dict[str, str]) -> Counts | None:
    """Return the counts of the entry for a build, or None."""
    for entry in entries:
        if entry["build"] == build:
            counts: Counts = entry["counts"]
            return counts
    return None


def store(build: dict[str, str], counts: Counts, path: Path = BASELINE) -> None:
    """Put counts into a baseline file, in place of those of the same build."""
    entries = [entry for entry in load(path) if entry["build"] != build]
    entries.append({"build": build, "counts": counts})
    entries.sort(key=lambda entry: sorted(entry["build"].items()))
    path.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


class Change(NamedTuple):
    """A figure that is not what it was: ``now / before`` is ``ratio``."""

    path: str
    figure: str
    before: float
    now: float

    def __str__(self) -> str:
        percent = f" ({self.now / self.before - 1:+.1%})" if self.before else ""
        return f"{self.path}, {self.figure}: {self.before:,.1f} -> {self.now:,.1f}{percent}"


def compare(
    before: Counts, now: Counts, tolerance: float = TOLERANCE
) -> tuple[list[Change], list[Change]]:
    """Return the figures that are more than the tolerance above the baseline, and below it.

    A path that one of the two lacks is above it: then the baseline is not of these paths.
    """
    above, below = [], []
    for path in {**before, **now}:
        for figure in COMPARED:
            nothing = float("nan")
            change = Change(
                path,
                figure,
                before.get(path, {}).get(figure, nothing),
                now.get(path, {}).get(figure, nothing),
            )
            # Written so that what is not a number is above.
            if not change.now <= change.before * (1 + tolerance):
                above.append(change)
            elif change.now < change.before * (1 - tolerance):
                below.append(change)
    return above, below


@dataclass
class Check:
    """What was counted, on which build, and how it compares; ``baseline`` None: not at all."""

    build: dict[str, str]
    counts: Counts
    costs: dict[str, dict[Where, float]]
    baseline: Counts | None
    above: list[Change] = field(default_factory=list)
    below: list[Change] = field(default_factory=list)


def check(timeout: float = TIMEOUT, path: Path = BASELINE) -> Check:
    """Count, and compare with the baseline in ``path``; Unusable where ``count()`` raises it.

    ``timeout`` is for all together, in seconds.
    """
    end = time.monotonic() + timeout
    first = count(0, timeout)
    baseline = find(load(path), first.build)
    result = Check(first.build, first.counts, first.costs, baseline)
    if baseline is not None:
        result.above, result.below = compare(baseline, result.counts)
        if result.above and all(change.figure == "total" for change in result.above):
            # With no time left for that, it stays at what was found.
            with contextlib.suppress(Unusable):
                result.counts = settle([first], end - time.monotonic())
            result.above, result.below = compare(baseline, result.counts)
    return result


def settle(runs: list[Run], timeout: float) -> Counts:
    """Count with the layouts that are not among ``runs`` yet, and return the medians of all."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        layouts = range(len(runs), LAYOUTS)
        runs = [*runs, *threads.map(lambda layout: count(layout, timeout), layouts)]
    return {
        path: of_each(statistics.median, [run.counts[path] for run in runs])
        for path in runs[0].counts
    }


# -- the command line ----------------------------------------------------------


def table(counts: Counts, baseline: Counts | None) -> str:
    """Return a Markdown table of the counts, and how far they are from the baseline."""
    lines = ["| instructions of | " + " | ".join(SHOWN) + " |", "| :-- |" + " --: |" * len(SHOWN)]
    for path, figure in counts.items():
        before = (baseline or {}).get(path, {})
        cells = [
            f"{number:,.0f}" + (f" ({number / before[name] - 1:+.1%})" if before.get(name) else "")
            for name, number in figure.items()
        ]
        lines.append(f"| {UNITS.get(path, path)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def costliest(costs: dict[str, dict[Where, float]], top: int) -> str:
    """Return the functions that execute most in one operation, a list for each path."""
    lines = []
    for path, functions in costs.items():
        lines.append(f"{path}: instructions, whose, function")
        ordered = sorted(functions.items(), key=lambda item: -item[1])
        for where, cost in ordered[:top]:
            lines.append(f"{cost:12,.1f}  {group(where):8} {where.function}")
    return "\n".join(lines)


def verdict(result: Check) -> str:
    """Return in words how a check has ended."""
    if result.baseline is None:
        return "No baseline for this build: nothing is compared. ARGS=--update keeps these counts."
    lines = []
    if result.above:
        lines.append(f"More than {TOLERANCE:.0%} above the baseline:")
        lines += [f"- {change}" for change in result.above]
    if result.below:
        lines.append(f"More than {TOLERANCE:.0%} below; ARGS=--update keeps that:")
        lines += [f"- {change}" for change in result.below]
    return "\n".join(lines) or f"All within {TOLERANCE:.0%} of the baseline."


def report(result: Check) -> str:
    """Return the build, the table and the verdict."""
    about = "\n".join(f"- {name}: {value}" for name, value in result.build.items())
    return "\n\n".join([about, table(result.counts, result.baseline), verdict(result)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Count and compare; return 1 if a figure is too high, 3 where nothing can be counted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions",
        description="Count the instructions of six hot paths and compare them with the baseline.",
    )
    parser.add_argument("--update", action="store_true", help="keep the counts as the baseline")
    parser.add_argument("--top", type=int, default=0, help="list so many functions of each path")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for all of it")
    options = parser.parse_args(arguments)
    try:
        if options.update:
            first = count(0, options.timeout)
            before = find(load(), first.build)
            counts = settle([first], options.timeout)
            result = Check(first.build, counts, first.costs, before)
            store(first.build, counts)
        else:
            result = check(options.timeout)
    except Unusable as reason:
        print(f"instructions cannot be counted: {reason}", file=sys.stderr)
        return UNUSABLE
    if options.top:
        print(costliest(result.costs, options.top), end="\n\n")
    if options.update:
        print(table(result.counts, result.baseline), f"kept in {BASELINE.name}", sep="\n\n")
        return 0
    print(report(result))
    return 1 if result.above else 0


if __name__ == "__main__":
    sys.exit(main())
