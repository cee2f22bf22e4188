"""Draw results: a bar for each driver and workload, as long as its ratio to csqlite.

``python -m benchmarks.plots FILE FOLDER`` draws a JSON file that a run has kept, into
``ratios.png`` and, where the workloads of small awaits ran free as well, ``ratios-free.png``. It
needs matplotlib and says so where that is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .report import Line, compare, figures, names_of, read, significant
from .run import Results
from .workloads import WORKLOADS

SLOWER, FASTER = "tab:blue", "tab:orange"
WIDEST = (1 / 30, 300)  # Ratios beyond are cut off; their number is there.
INCHES_PER_LINE = 0.3
INCHES_PER_RIVAL = 2.1
INCHES_FOR_TITLES = 5.5


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw the charts of some results into a folder and return their paths."""
    usual: list[Line] = []
    free: list[Line] = []
    for line in figures(results):
        if line.figure.key.startswith("idle"):
            continue
        (usual if line.pinned == WORKLOADS[line.workload].pinned else free).append(line)
    charts = {"ratios.png": usual, "ratios-free.png": free}
    return [chart(results, lines, folder / name) for name, lines in charts.items() if lines]


def chart(results: Results, lines: list[Line], path: Path) -> Path:
    """Draw one chart, a panel for each rival, and return its path."""
    from matplotlib.figure import Figure

    drivers, reference = names_of(results)
    rivals = [driver for driver in drivers if driver != reference]
    size = (
        INCHES_FOR_TITLES + INCHES_PER_RIVAL * max(1, len(rivals)),
        1.5 + INCHES_PER_LINE * len(lines),
    )
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, max(1, len(rivals)), sharey=True, squeeze=False)[0]
    for panel, rival in zip(panels, rivals):
        draw_panel(panel, results, lines, rival, reference)
    panels[0].set_yticks(range(len(lines)), [line.title.replace("`", "") for line in lines])
    panels[0].invert_yaxis()
    figure.suptitle(
        f"Times as long (or as much) as {reference}, whose line is at 1, on a logarithmic scale. "
        "Bars: medians; whiskers: the smallest and largest of a round; *: pinned to one CPU."
    )
    figure.savefig(path, dpi=110)
    return path


def draw_panel(panel: Any, results: Results, lines: list[Line], rival: str, reference: str) -> None:
    """Draw one rival's bars: to the right of 1 where it takes longer, to the left where less."""
    panel.set_title(rival)
    panel.set_xscale("log")
    panel.axvline(1, color="black", linewidth=0.8)
    panel.grid(axis="x", alpha=0.3)
    left, right = WIDEST
    panel.set_xlim(left, right * 8)  # Leaves room for the numbers.
    for position, line in enumerate(lines):
        found = compare(line.rounds(results, rival), line.rounds(results, reference))
        if found is None:
            panel.text(1, position, " -", va="center", fontsize=8)
            continue
        middle, low, high = found
        end, low, high = (min(max(value, left), right) for value in (middle, low, high))
        panel.barh(position, end - 1, left=1, color=SLOWER if middle >= 1 else FASTER)
        panel.plot([low, high], [position] * 2, color="black", linewidth=0.8)
        panel.text(max(end, high, 1), position, f" {significant(middle)}", va="center", fontsize=8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the JSON file that is named first into the folder that is named second."""
    names = sys.argv[1:] if arguments is None else arguments
    if len(names) != 2:
        print("usage: python -m benchmarks.plots FILE FOLDER", file=sys.stderr)
        return 2
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        print("no charts: matplotlib is not installed", file=sys.stderr)
        return 0
    for path in draw(read(names[0]), Path(names[1])):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
