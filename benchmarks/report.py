"""Make Markdown tables of results: medians side by side, ratios, and the targets.

``python -m benchmarks.report FILE`` makes them of a JSON file that an earlier run has kept.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .drivers import REFERENCE
from .run import SLOW, SLOW_ROUNDS, Results
from .targets import targets
from .workloads import UNITS, WORKLOADS, Figure

VERDICTS = {True: "yes", False: "no", None: "-"}


@dataclass(frozen=True)
class Line:
    """What the tables have a line for: a figure of a workload in one of its regimes."""

    workload: str
    pinned: bool
    figure: Figure

    @property
    def title(self) -> str:
        """The figure's title, with a star if the process was pinned to one CPU."""
        return self.figure.title + (" *" if self.pinned else "")

    def rounds(self, results: Results, driver: str, key: str = "") -> dict[int, float]:
        """Return a driver's figure, or another of the same workload, for each of its rounds."""
        wanted = (driver, self.workload, self.pinned)
        return {
            sample["round"]: sample["figures"][key or self.figure.key]
            for sample in results.samples
            if (sample["driver"], sample["workload"], sample["pinned"]) == wanted
        }


def report(results: Results) -> str:
    """Return the versions, the tables and how to read them."""
    parts = [versions(results), medians(results), ratios(results), notes(results)]
    if results.failures:
        parts.append("\n".join(["Failures:", "", *(f"- {text}" for text in results.failures)]))
    return "\n\n".join(parts) + "\n"


def versions(results: Results) -> str:
    """Return a list of what was measured on what."""
    pythons = sorted({driver["python"] for driver in results.drivers})
    loops = sorted({driver["loop"] for driver in results.drivers})
    lines = [f"- {', '.join(pythons)} on {results.machine}"]
    lines.append(f"- event loop: {', '.join(loops)}")
    lines += [f"- {condition}" for condition in results.conditions]
    for driver in results.drivers:
        name = f"{driver['driver']} {driver['version']}".strip()
        lines.append(f"- {name}, with SQLite {driver['sqlite']}")
    return "\n".join(lines)


def names_of(results: Results) -> tuple[list[str], str]:
    """Return the drivers that were measured, and which of them the others are compared with."""
    names = [driver["driver"] for driver in results.drivers]
    return names, REFERENCE if REFERENCE in names else (names or [REFERENCE])[0]


def medians(results: Results) -> str:
    """Return the table of medians: a line for each figure and a column for each driver."""
    drivers, _ = names_of(results)
    lines = [row("workload", *drivers), row(":--", *["--:"] * len(drivers))]
    for line in figures(results):
        lines.append(row(line.title, *(cell(results, line, driver) for driver in drivers)))
    return "\n".join(lines)


def ratios(results: Results) -> str:
    """Return the table of ratios: how many times the reference's figure each other driver has.

    The last columns say what the reference has set itself, and whether it is reached. The figures
    of the idle loop are nobody's, and are not here.
    """
    drivers, reference = names_of(results)
    rivals = [driver for driver in drivers if driver != reference]
    header = [f"{rival} / {reference}" for rival in rivals]
    lines = [row("workload", *header, "target", "reached")]
    lines.append(row(":--", *["--:"] * len(rivals), ":--", ":--"))
    for line in figures(results):
        if line.figure.key.startswith("idle"):
            continue
        own = line.rounds(results, reference)
        compared = [ratio(line.rounds(results, rival), own) for rival in rivals]
        lines.append(row(line.title, *compared, *judged(results, line, reference)))
    return "\n".join(lines)


def judged(results: Results, line: Line, driver: str) -> tuple[str, str]:
    """Return the targets of a line and whether a driver reaches them."""
    goals = targets(line.workload, line.figure.key, line.pinned, WORKLOADS[line.workload].pinned)

    def rounds(name: str, key: str) -> dict[int, float]:
        return line.rounds(results, name, key)

    verdicts = [VERDICTS[goal.reached(rounds, driver, line.figure.key)] for goal in goals]
    return ", ".join(goal.text() for goal in goals), ", ".join(verdicts)


def notes(results: Results) -> str:
    """Return how the tables came about, as text."""
    settings = results.settings
    text = (
        f"Medians, rounds: {settings['rounds']}. In a round every driver takes its turn at a "
        "workload, in a process of its own, which warms up and gives the median of its runs, "
        f"{settings['repeat']} in number; memory, and what runs beside a busy coroutine or thread, "
        f"is measured once in a process. What takes longer than {SLOW:g} s has no more than "
        f"{SLOW_ROUNDS} rounds. A ratio is how many times as long, or as much, the first driver "
        "takes as the second: that of the two medians, in parentheses the smallest and largest of "
        "a single round. The database is a file in WAL mode with synchronous=NORMAL. All drivers "
        "have read and written the same, or it would be a failure."
    )
    if any(sample["pinned"] for sample in results.samples):
        text += (
            " Rows marked * ran with the whole process on one CPU, where the cost of a hand-over "
            "between threads is steady."
        )
    if results.missing:
        text += " A dash stands for an operation that a driver does not have."
    for driver in names_of(results)[0]:
        exits = [sample["exit"] for sample in results.samples if sample["driver"] == driver]
        if any(exits):
            crashed = sum(1 for status in exits if status)
            text += f" {driver} crashed on its way out in {crashed} of {len(exits)} processes."
    if settings["scale"] != 1:
        text += f" Scale {settings['scale']:g}: the sizes in the titles do not hold."
    return text


def figures(results: Results) -> Iterator[Line]:
    """Yield what the tables have a line for."""
    for name in results.settings["workloads"]:
        regimes = {sample["pinned"] for sample in results.samples if sample["workload"] == name}
        for pinned in sorted(regimes, reverse=True):
            for figure in WORKLOADS[name].figures:
                yield Line(name, pinned, figure)


def cell(results: Results, line: Line, driver: str) -> str:
    """Return a median with its unit, or why there is none."""
    values = line.rounds(results, driver)
    if values:
        number = statistics.median(values.values()) * UNITS[line.figure.unit]
        return f"{significant(number)} {line.figure.unit}"
    if [driver, line.workload] in results.missing:
        return "-"
    if [driver, line.workload, line.pinned] in results.timeouts:
        return f"no end in {results.settings['timeout']:g} s"
    return "failed"


def ratio(rival: dict[int, float], reference: dict[int, float]) -> str:
    """Return how many times as long a rival takes as the reference, and the range."""
    found = compare(rival, reference)
    if found is None:
        return "-"
    middle, low, high = found
    if len(rival.keys() & reference.keys()) == 1:
        return significant(middle)
    return f"{significant(middle)} ({significant(low)}-{significant(high)})"


def compare(
    rival: dict[int, float], reference: dict[int, float]
) -> tuple[float, float, float] | None:
    """Return the ratio of the medians, and the smallest and largest ratio of a single round.

    Return None where there is nothing to compare, or nothing to divide by.
    """
    rounds = rival.keys() & reference.keys()
    if not rounds or not all(reference.values()):
        return None
    each: list[float] = [rival[turn] / reference[turn] for turn in rounds]
    middle = statistics.median(rival.values()) / statistics.median(reference.values())
    return middle, min(each), max(each)


def significant(number: float) -> str:
    """Return a number with three digits that count, and no exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def row(*cells: str) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def read(path: str) -> Results:
    """Return the results that a run has kept in a JSON file."""
    with open(path, encoding="utf-8") as file:
        kept: dict[str, Any] = json.load(file)
    return Results(**kept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report of the JSON file named on the command line."""
    names = sys.argv[1:] if arguments is None else arguments
    if len(names) != 1:
        print("usage: python -m benchmarks.report FILE", file=sys.stderr)
        return 2
    print(report(read(names[0])), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
