"""Make a Markdown table of results: medians side by side, and ratios.

``python -m benchmarks.report FILE`` makes it of a JSON file that an earlier run has kept.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from .run import Results
from .workloads import WORKLOADS, Figure

REFERENCE = "csqlite"
UNITS = {"us": 1e6, "ms": 1e3}


def report(results: Results) -> str:
    """Return the versions, the table and how to read it."""
    parts = [versions(results), table(results), notes(results)]
    if results.failures:
        parts.append("\n".join(["Failures:", "", *(f"- {text}" for text in results.failures)]))
    return "\n\n".join(parts) + "\n"


def versions(results: Results) -> str:
    """Return a list of what was measured on what."""
    pythons = sorted({driver["python"] for driver in results.drivers})
    lines = [f"- {', '.join(pythons)} on {results.machine}"]
    for driver in results.drivers:
        name = f"{driver['driver']} {driver['version']}".strip()
        lines.append(f"- {name}, with SQLite {driver['sqlite']}")
    return "\n".join(lines)


def table(results: Results) -> str:
    """Return the table: a line for each figure, a column for each driver and each ratio."""
    drivers = [driver["driver"] for driver in results.drivers]
    reference = REFERENCE if REFERENCE in drivers else (drivers or [REFERENCE])[0]
    rivals = [driver for driver in drivers if driver != reference]
    ratios = [f"{rival} / {reference}" for rival in rivals]
    lines = [row("workload", *drivers, *ratios), row(":--", *["--:"] * (len(drivers + ratios)))]
    for workload, pinned, figure in figures(results):
        values = {name: samples(results, name, workload, pinned, figure) for name in drivers}
        title = figure.title + (" *" if pinned else "")
        cells = [cell(results, name, workload, values[name], figure) for name in drivers]
        compared = [ratio(values[rival], values[reference]) for rival in rivals]
        lines.append(row(title, *cells, *compared))
    return "\n".join(lines)


def notes(results: Results) -> str:
    """Return how the table came about, as text."""
    settings = results.settings
    text = (
        f"Medians, rounds: {settings['rounds']}. In a round every driver takes its turn at a "
        f"workload in a process of its own, which warms up and gives the median of its runs, "
        f"{settings['repeat']} in number. A ratio is that of the two medians, in "
        "parentheses the smallest and largest of a single round. The database is a file in WAL "
        "mode with synchronous=NORMAL."
    )
    if any(sample["pinned"] for sample in results.samples):
        text += (
            " Rows marked * ran with the whole process on one CPU, where the cost of a hand-over "
            "between threads is steady."
        )
    if settings["scale"] != 1:
        text += f" Scale {settings['scale']:g}: the sizes in the titles do not hold."
    return text


def figures(results: Results) -> Iterator[tuple[str, bool, Figure]]:
    """Yield what the table has a line for: a workload, whether it was pinned, and a figure."""
    for name in results.settings["workloads"]:
        regimes = {sample["pinned"] for sample in results.samples if sample["workload"] == name}
        for pinned in sorted(regimes, reverse=True):
            for figure in WORKLOADS[name].figures:
                yield name, pinned, figure


def samples(
    results: Results, driver: str, workload: str, pinned: bool, figure: Figure
) -> dict[int, float]:
    """Return a driver's figure for each round in which it has one, in seconds."""
    return {
        sample["round"]: sample["figures"][figure.key]
        for sample in results.samples
        if (sample["driver"], sample["workload"], sample["pinned"]) == (driver, workload, pinned)
    }


def cell(
    results: Results, driver: str, workload: str, values: dict[int, float], figure: Figure
) -> str:
    """Return a median with its unit, or why there is none."""
    if not values:
        return "-" if [driver, workload] in results.missing else "failed"
    number = statistics.median(values.values()) * UNITS[figure.unit]
    return f"{significant(number)} {figure.unit}"


def ratio(rival: dict[int, float], reference: dict[int, float]) -> str:
    """Return how many times as long a rival takes as the reference, and the range."""
    rounds = rival.keys() & reference.keys()
    if not rounds:
        return "-"
    each: list[float] = [rival[turn] / reference[turn] for turn in rounds]
    middle = statistics.median(rival.values()) / statistics.median(reference.values())
    if len(each) == 1:
        return significant(middle)
    return f"{significant(middle)} ({significant(min(each))}-{significant(max(each))})"


def significant(number: float) -> str:
    """Return a number with three digits that count, and no exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def row(*cells: str) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report of the JSON file named on the command line."""
    names = sys.argv[1:] if arguments is None else arguments
    if len(names) != 1:
        print("usage: python -m benchmarks.report FILE", file=sys.stderr)
        return 2
    with open(names[0], encoding="utf-8") as file:
        kept: dict[str, Any] = json.load(file)
    print(report(Results(**kept)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
