"""Measure how the cost of an operation grows with rows, tasks and connections, and draw it.

``python -m benchmarks.scaling`` measures csqlite, aiosqlite and sqlite3 in turn, in rounds: one
process for each driver, axis and point. It prints Markdown tables, and leaves them with all that
was measured, and with a plot where matplotlib is installed, in a folder. What costs the same
however much of it there is gives a flat line.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Coroutine, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from . import awake
from .child import pin
from .clock import Stopwatch
from .drivers import COMMON, DRIVERS, REFERENCE, Driver
from .fixture import random_keys
from .report import names_of, read, row, significant, versions
from .run import ROOT, Results, Runner, Settings, last_line
from .workloads.base import ALL_ROWS, POINT_SELECT, digest

SELECTS_A_TASK = 20
LEAST_FIXTURE = 10_000  # Rows that the file has for the point selects.
# What one measurement has, however small its point is.
ROWS_AT_LEAST = 20_000
SELECTS_AT_LEAST = 2_000
OPENINGS_AT_LEAST = 200
MICROSECONDS = 1e6
FIGURES = {"each": "Microseconds", "cpu": "Microseconds of CPU time, all threads,"}
DRIVER_COLORS = {"csqlite": "tab:blue", "aiosqlite": "tab:orange", "sqlite3": "tab:gray"}


@dataclass(frozen=True)
class Place:
    """What a measurement works with: the driver, the file, and rows that it has at least."""

    driver: Driver
    path: str
    rows: int


@dataclass(frozen=True)
class Sample:
    """The wall and CPU time of so many operations, in seconds, and what they have read."""

    operations: int
    wall: float
    cpu: float
    checksum: int


# Measures one point of an axis.
Run = Callable[[Place, int], Coroutine[Any, Any, Sample]]


@dataclass(frozen=True)
class Axis:
    """What grows. ``flat_from`` is the point from which the cost ought to stay the same.

    ``pinned`` is for small awaits, whose cost is steady only while the whole process is on one CPU.
    """

    name: str
    title: str
    of: str
    unit: str
    points: tuple[int, ...]
    flat_from: int
    pinned: bool
    run: Run


AXES: dict[str, Axis] = {}


def axis(
    title: str, of: str, unit: str, points: tuple[int, ...], flat_from: int, *, pinned: bool
) -> Callable[[Run], Run]:
    """Register the decorated function as what measures the points of an axis of its own name."""

    def register(run: Run) -> Run:
        AXES[run.__name__] = Axis(run.__name__, title, of, unit, points, flat_from, pinned, run)
        return run

    return register


ROWS = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
TASKS = (1, 3, 10, 30, 100, 300, 1_000)
CONNECTIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@axis("`fetchall` of a result", "rows", "row", ROWS, 1_000, pinned=False)
async def fetchall(place: Place, point: int) -> Sample:
    """Fetch a result of so many rows as one list, a small one again and again."""
    return await read_rows(place, point, place.driver.fetchall)


@axis("`async for` over a result", "rows", "row", ROWS, 1_000, pinned=False)
async def iterate(place: Place, point: int) -> Sample:
    """Go over a result of so many rows, over a small one again and again."""
    return await read_rows(place, point, place.driver.iterate)


@axis("point selects on one connection", "tasks", "select", TASKS, 10, pinned=True)
async def tasks(place: Place, point: int) -> Sample:
    """Select one row by its key from so many tasks at once, on one connection."""
    turns = max(1, SELECTS_AT_LEAST // point)
    keys = random_keys(point, place.rows)
    connection = await opened(place)
    await place.driver.select_gathered(connection, POINT_SELECT, keys)
    total = 0
    with Stopwatch() as watch:
        for _ in range(turns):
            total += await place.driver.select_gathered(connection, POINT_SELECT, keys)
    await place.driver.close(connection)
    return Sample(turns * point, watch.wall, watch.cpu, total)


@axis("point selects, one task a connection", "connections", "select", CONNECTIONS, 1, pinned=True)
async def connections(place: Place, point: int) -> Sample:
    """Select rows by their keys, one after another, on so many connections at once.

    Each task makes as many selects, however many there are, so that its own cost weighs the same.
    """
    turns = max(1, SELECTS_AT_LEAST // (SELECTS_A_TASK * point))
    keys = random_keys(SELECTS_A_TASK, place.rows)
    pool = [await opened(place) for _ in range(point)]

    async def all_of_them() -> int:
        work = [place.driver.select_each(one, POINT_SELECT, keys) for one in pool]
        return sum(await asyncio.gather(*work))

    await all_of_them()
    total = 0
    with Stopwatch() as watch:
        for _ in range(turns):
            total += await all_of_them()
    for one in pool:
        await place.driver.close(one)
    return Sample(turns * SELECTS_A_TASK * point, watch.wall, watch.cpu, total)


@axis(
    "open, one select, close, all at once", "connections", "connection", CONNECTIONS, 5, pinned=True
)
async def opening(place: Place, point: int) -> Sample:
    """Open so many connections at once, select a row with each, and close them."""
    turns = max(1, OPENINGS_AT_LEAST // point)
    keys = random_keys(point, place.rows)

    async def visit(key: int) -> int:
        connection = await place.driver.open(place.path)
        found = await place.driver.select_each(connection, POINT_SELECT, (key,))
        await place.driver.close(connection)
        return found

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*map(visit, keys)))

    await all_of_them()
    total = 0
    with Stopwatch() as watch:
        for _ in range(turns):
            total += await all_of_them()
    return Sample(turns * point, watch.wall, watch.cpu, total)


async def opened(place: Place) -> Any:
    """Return a connection that is set up as the other benchmarks' are."""
    connection = await place.driver.open(place.path)
    await place.driver.configure(connection)
    return connection


async def read_rows(
    place: Place, point: int, operation: Callable[[Any, str], Awaitable[Any]]
) -> Sample:
    """Read a result of so many rows with an operation of the driver's."""
    turns = max(1, ROWS_AT_LEAST // point)
    sql = ALL_ROWS.format(count=point)
    connection = await opened(place)
    await operation(connection, ALL_ROWS.format(count=min(point, 1_000)))
    gc.collect()
    found: Any = None
    with Stopwatch() as watch:
        for _ in range(turns):
            found = None  # Or there would be two results in memory at a time.
            found = await operation(connection, sql)
    await place.driver.close(connection)
    checksum = digest(found) if isinstance(found, list) else found
    return Sample(turns * point, watch.wall, watch.cpu, checksum)


# -- the child: one point ------------------------------------------------------


def child(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one point in this process."""
    chosen = AXES[options.axis[0]]
    pinned = chosen.pinned and options.cpus == "pinned" and pin()
    allow_many_files()
    driver = DRIVERS[options.driver[0]]
    driver.load()
    place = Place(driver, options.fixture, LEAST_FIXTURE)
    sample = asyncio.run(chosen.run(place, options.point))
    return {
        "axis": chosen.name,
        "point": options.point,
        "driver": driver.name,
        "pinned": pinned,
        "each": sample.wall / sample.operations,
        "cpu": sample.cpu / sample.operations,
        "checksum": sample.checksum,
    }


def allow_many_files() -> None:
    """Let this process have as many files open as the system allows it."""
    try:
        import resource
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# -- the parent ----------------------------------------------------------------


def measure(options: argparse.Namespace, progress: Callable[[str], None]) -> Results:
    """Measure all points that the options leave, in rounds; failures are among the results."""
    names = tuple(options.driver or COMMON)
    settings = Settings(
        drivers=names,
        workloads=(),
        rounds=options.rounds,
        repeat=1,
        scale=1.0,
        cpus=options.cpus,
        awake=options.awake,
        required=tuple(options.driver or (REFERENCE,)),
    )
    runner = Runner(settings, progress)
    runner.results.conditions.append(awake.regime(options.awake))
    before = awake.load()
    with tempfile.TemporaryDirectory(prefix="csqlite-scaling-") as folder:
        runner.folder = Path(folder)
        fixture = runner.folder / "fixture.db"
        drivers = runner.probe()
        plan = list(schedule(options, drivers))
        rows = max([LEAST_FIXTURE, *(point for _, axis, point, _ in plan if axis.of == "rows")])
        progress(f"writing {rows:,} rows")
        runner.python("benchmarks.fixture", str(fixture), str(rows), check=True)
        with awake.keep_awake() if options.awake else nullcontext():
            measure_all(runner, plan, fixture)
    load = f"load average {before} before, {awake.load()} at the end"
    runner.results.conditions.append(load)
    compare_checksums(runner.results)
    return runner.results


def schedule(
    options: argparse.Namespace, drivers: Sequence[str]
) -> Iterator[tuple[int, Axis, int, str]]:
    """Yield round, axis, point and driver in the order in which they are run."""
    for turn in range(options.rounds):
        first = turn % max(1, len(drivers))
        for name in options.axis or AXES:
            for point in AXES[name].points:
                if options.most and point > options.most:
                    continue
                for driver in (*drivers[first:], *drivers[:first]):
                    yield turn, AXES[name], point, driver


def measure_all(runner: Runner, plan: list[tuple[int, Axis, int, str]], fixture: Path) -> None:
    """Run a child for each entry of a plan and gather the samples."""
    for done, (turn, chosen, point, driver) in enumerate(plan, 1):
        label = f"{chosen.name} at {point:,} with {driver}"
        arguments = ["--axis", chosen.name, "--driver", driver, "--cpus", runner.settings.cpus]
        arguments += ["--point", str(point), "--fixture", str(fixture)]
        try:
            ended = runner.python("benchmarks.scaling", *arguments)
        except subprocess.TimeoutExpired:
            runner.results.failures.append(f"{label}: no end after {runner.settings.timeout:g} s")
            continue
        if ended.returncode != 0:
            status = f"exit status {ended.returncode}: {last_line(ended.stderr)}"
            runner.results.failures.append(f"{label}: {status}")
            continue
        sample = {"round": turn, **json.loads(ended.stdout)}
        runner.results.samples.append(sample)
        cost = f"{significant(sample['each'] * MICROSECONDS)} us a {chosen.unit}"
        runner.progress(f"[{done}/{len(plan)}] round {turn + 1}: {label}: {cost}")


def compare_checksums(results: Results) -> None:
    """Note every point at which the drivers have not read the same."""
    found: dict[tuple[str, int], set[int]] = {}
    for sample in results.samples:
        found.setdefault((sample["axis"], sample["point"]), set()).add(sample["checksum"])
    for (name, point), checksums in found.items():
        if len(checksums) > 1:
            results.failures.append(f"{name} at {point}: the checksums differ: {checksums}")


# -- tables --------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A driver's costs along an axis: the points, and the costs of all rounds at each, in us."""

    driver: str
    costs: dict[int, list[float]]

    def middle(self, point: int) -> float:
        """Return the median cost at a point, in microseconds."""
        return statistics.median(self.costs[point])


def lines_of(results: Results, name: str, figure: str) -> list[Line]:
    """Return the lines of an axis, one for each driver that has any point of it.

    The ``figure`` is "each", wall time, or "cpu", the CPU time of all threads.
    """
    lines = []
    for driver in names_of(results)[0]:
        costs: dict[int, list[float]] = {}
        for sample in results.samples:
            if (sample["axis"], sample["driver"]) == (name, driver):
                costs.setdefault(sample["point"], []).append(sample[figure] * MICROSECONDS)
        if costs:
            lines.append(Line(driver, costs))
    return lines


def axes_of(results: Results) -> list[Axis]:
    """Return the axes that have been measured."""
    measured = {sample["axis"] for sample in results.samples}
    return [axis for name, axis in AXES.items() if name in measured]


def is_pinned(results: Results, name: str) -> bool:
    """Tell whether an axis was measured on one CPU."""
    return all(sample["pinned"] for sample in results.samples if sample["axis"] == name)


def report(results: Results, figure: str) -> str:
    """Return the versions, a table for each axis, and how to read them."""
    parts = [versions(results)]
    for chosen in axes_of(results):
        star = " *" if is_pinned(results, chosen.name) else ""
        parts.append(f"{FIGURES[figure]} a {chosen.unit}, {chosen.title}{star}:")
        parts.append(table(chosen, lines_of(results, chosen.name, figure)))
        parts += ["\n".join(flatness(chosen, lines_of(results, chosen.name, figure)))]
    parts.append(
        f"Medians, rounds: {results.settings['rounds']}; in parentheses the smallest and the "
        "largest of a round. In a round every driver takes its turn at a point in a process of "
        "its own. *: with the whole process on one CPU."
    )
    if results.failures:
        parts.append("\n".join(["Failures:", "", *(f"- {text}" for text in results.failures)]))
    return "\n\n".join(filter(None, parts)) + "\n"


def table(chosen: Axis, lines: list[Line]) -> str:
    """Return the table of an axis: a line for each point, a column for each driver."""
    text = [row(chosen.of, *(line.driver for line in lines)), row("--:", *["--:"] * len(lines))]
    for point in chosen.points:
        if any(point in line.costs for line in lines):
            text.append(row(f"{point:,}", *(cell(line, point) for line in lines)))
    return "\n".join(text)


def cell(line: Line, point: int) -> str:
    """Return a median, and the range where there are several rounds."""
    costs = line.costs.get(point)
    if not costs:
        return "failed"
    if len(costs) == 1:
        return significant(costs[0])
    return (
        f"{significant(line.middle(point))} ({significant(min(costs))}-{significant(max(costs))})"
    )


def flatness(chosen: Axis, lines: list[Line]) -> Iterator[str]:
    """Yield a sentence for each driver that says how flat its line is."""
    for line in lines:
        points = [point for point in line.costs if point >= chosen.flat_from]
        if len(points) > 1:
            most, least = max(points, key=line.middle), min(points, key=line.middle)
            times = line.middle(most) / line.middle(least)
            yield (
                f"- {line.driver}, from {chosen.flat_from:,} {chosen.of} on: the highest cost (at "
                f"{most:,}) is {times:.2f} times the lowest (at {least:,})."
            )


# -- the plot ------------------------------------------------------------------


def draw(results: Results, figure: str, path: Path) -> None:
    """Draw a panel for each axis, both scales logarithmic; ImportError without matplotlib."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    axes = axes_of(results)
    columns = min(2, len(axes))
    drawing = Figure(figsize=(6 * columns, 3.6 * -(-len(axes) // columns)), layout="constrained")
    panels = drawing.subplots(-(-len(axes) // columns), columns, squeeze=False).flat
    for chosen, panel in zip(axes, panels):
        draw_panel(panel, chosen, lines_of(results, chosen.name, figure))
        star = " (one CPU)" if is_pinned(results, chosen.name) else ""
        panel.set_title(chosen.title.replace("`", "") + star)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:,.7g}")
        panel.xaxis.set_major_formatter("{x:,.7g}")
    for unused in panels:
        unused.set_axis_off()
    drawing.suptitle(f"{FIGURES[figure]} an operation: medians; shaded: the range of the rounds")
    drawing.savefig(path, dpi=110)


def draw_panel(panel: Any, chosen: Axis, lines: list[Line]) -> None:
    """Draw the lines of an axis: medians, with the range of the rounds behind them."""
    for line in lines:
        points = sorted(line.costs)
        color = DRIVER_COLORS.get(line.driver)
        middles = [line.middle(point) for point in points]
        panel.plot(points, middles, "o-", markersize=3, color=color, label=line.driver)
        lowest = [min(line.costs[point]) for point in points]
        highest = [max(line.costs[point]) for point in points]
        panel.fill_between(points, lowest, highest, alpha=0.15, color=color, linewidth=0)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.yaxis.set_minor_formatter("")
    panel.set_xlabel(chosen.of)
    panel.set_ylabel(f"us a {chosen.unit}")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)


# -- the command line ----------------------------------------------------------


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description="Measure the cost of an operation against rows, tasks and connections. The "
        "tables go to stdout as Markdown, progress to stderr.",
    )
    parser.add_argument("--axis", action="append", choices=AXES, help="only this; repeatable")
    parser.add_argument("--driver", action="append", choices=DRIVERS, help="only this; repeatable")
    parser.add_argument("--rounds", type=int, default=5, help="how many rounds (5)")
    parser.add_argument("--most", type=int, help="leave out the points above this")
    parser.add_argument(
        "--cpus",
        choices=("pinned", "free"),
        default="pinned",
        help="how the axes of small awaits run: on one CPU (the default) or on all",
    )
    parser.add_argument("--awake", action="store_true", help="keep the CPUs from sleeping")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build" / "scaling", help="where the results go"
    )
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: report a JSON")
    parser.add_argument(
        "--cpu-time",
        dest="figure",
        action="store_const",
        const="cpu",
        default="each",
        help="report and draw the CPU time of all threads in place of the time that passes",
    )
    parser.add_argument("--point", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--fixture", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.awake and not awake.possible():
        parser.error("--awake needs Linux")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and draw the plot; return 1 if anything failed."""
    options = parse(arguments)
    if options.point is not None:
        print(json.dumps(child(options)))
        return 0
    started = time.perf_counter()

    def progress(text: str) -> None:
        print(f"{time.perf_counter() - started:6.1f} s  {text}", file=sys.stderr, flush=True)

    results = read(str(options.read)) if options.read else measure(options, progress)
    options.folder.mkdir(parents=True, exist_ok=True)
    if not options.read:
        kept = options.folder / "scaling.json"
        kept.write_text(results.to_json() + "\n", encoding="utf-8")
    text = report(results, options.figure)
    (options.folder / "scaling.md").write_text(text, encoding="utf-8")
    print(text, end="")
    try:
        draw(results, options.figure, options.folder / "scaling.png")
        progress(f"drawn in {options.folder}")
    except ImportError:
        progress("no plot: matplotlib is not installed; install it, then --read the JSON file")
    return 1 if results.failures or not results.samples else 0


if __name__ == "__main__":
    sys.exit(main())
