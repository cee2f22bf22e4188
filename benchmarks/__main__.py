"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .drivers import DRIVERS
from .report import REFERENCE, report
from .run import Settings, run
from .workloads import WORKLOADS

# Rounds, and repetitions in each child, for each size of a run.
SIZES: dict[str, tuple[int, int]] = {"quick": (2, 1), "normal": (5, 3), "full": (11, 3)}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure csqlite, aiosqlite and sqlite3 side by side. The table goes to "
        "stdout as Markdown, progress to stderr.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", default="normal")
    size.add_argument("--full", dest="size", action="store_const", const="full")
    for name, choices in (("--workload", WORKLOADS), ("--driver", DRIVERS)):
        parser.add_argument(
            name,
            action="append",
            metavar="NAME",
            choices=list(choices),
            help=f"measure only this; may be given again; of {', '.join(choices)}",
        )
    parser.add_argument("--rounds", type=int, help="how many rounds (2 quick, 5, 11 full)")
    parser.add_argument("--repeat", type=int, help="repetitions in a process (1 quick, 3, 3 full)")
    parser.add_argument(
        "--cpus",
        choices=("pinned", "free", "both"),
        help="how the workloads of small awaits run: on one CPU (the default), on all, or both "
        "(the default of --full)",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all sizes (tests)")
    parser.add_argument("--output", type=Path, help="write the table to this file as well")
    parser.add_argument("--json", type=Path, help="keep everything measured in this file")
    options = parser.parse_args(arguments)
    if options.scale <= 0 or options.scale > 1:
        parser.error("--scale must be more than 0 and at most 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks and print the table; return 1 if anything failed."""
    options = parse(arguments)
    rounds, repeat = SIZES[options.size]
    settings = Settings(
        drivers=tuple(options.driver or DRIVERS),
        workloads=tuple(options.workload or WORKLOADS),
        rounds=options.rounds or rounds,
        repeat=options.repeat or repeat,
        scale=options.scale,
        cpus=options.cpus or ("both" if options.size == "full" else "pinned"),
        required=tuple(options.driver or (REFERENCE,)),
    )
    started = time.perf_counter()

    def progress(text: str) -> None:
        print(f"{time.perf_counter() - started:6.1f} s  {text}", file=sys.stderr, flush=True)

    try:
        results = run(settings, progress)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if options.json:
        options.json.write_text(results.to_json() + "\n", encoding="utf-8")
    text = report(results)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    print(text, end="")
    return 1 if results.failures or not results.samples else 0


if __name__ == "__main__":
    sys.exit(main())
