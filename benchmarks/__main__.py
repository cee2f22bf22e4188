"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import awake, quiet
from .child import LOOPS
from .drivers import COMMON, DRIVERS, REFERENCE
from .report import report
from .run import Settings, run
from .workloads import WORKLOADS

# Rounds, and repetitions in each child, for each size of a run.
SIZES: dict[str, tuple[int, int]] = {"quick": (2, 1), "normal": (5, 3), "full": (5, 3)}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure csqlite and other ways of using SQLite side by side. The tables go "
        "to stdout as Markdown, progress to stderr.",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick",
        dest="size",
        action="store_const",
        const="quick",
        default="normal",
        help="a first look, of about a minute",
    )
    size.add_argument(
        "--full",
        dest="size",
        action="store_const",
        const="full",
        help="all drivers, workloads and regimes, in about an hour",
    )
    for name, choices in (("--workload", WORKLOADS), ("--driver", DRIVERS)):
        parser.add_argument(
            name,
            action="append",
            metavar="NAME",
            choices=list(choices),
            help=f"measure only this; may be given again; of {', '.join(choices)}",
        )
    parser.add_argument(
        "--rounds", type=int, help="how many rounds ({}, {}, {})".format(*rounds_and_repeat(0))
    )
    parser.add_argument(
        "--repeat",
        type=int,
        help="repetitions in a process ({}, {}, {})".format(*rounds_and_repeat(1)),
    )
    parser.add_argument(
        "--cpus",
        choices=("pinned", "free", "both"),
        help="how the workloads of small awaits run: on one CPU (the default), on all, or both "
        "(the default of --full)",
    )
    parser.add_argument("--loop", choices=LOOPS, default="asyncio", help="the kind of event loop")
    parser.add_argument(
        "--awake",
        action="store_true",
        help="keep the CPUs from sleeping with a process of the lowest priority on each",
    )
    parser.add_argument(
        "--timeout", type=float, default=120, help="seconds that a process has (120)"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="multiply all sizes (tests)")
    parser.add_argument("--output", type=Path, help="write the tables to this file as well")
    parser.add_argument("--json", type=Path, help="keep everything measured in this file")
    options = parser.parse_args(arguments)
    if options.scale <= 0 or options.scale > 1:
        parser.error("--scale must be more than 0 and at most 1")
    if options.awake and not awake.possible():
        parser.error("--awake needs Linux")
    return options


def rounds_and_repeat(which: int) -> list[str]:
    """Return what help says of the rounds (0) or the repetitions (1) of each size."""
    return [f"{numbers[which]} {size}" for size, numbers in SIZES.items()]


def settings_of(options: argparse.Namespace) -> Settings:
    """Return what the options of a command line ask for."""
    full = options.size == "full"
    rounds, repeat = SIZES[options.size]
    usual = tuple(name for name, workload in WORKLOADS.items() if full or not workload.full)
    return Settings(
        drivers=tuple(options.driver or (DRIVERS if full else COMMON)),
        workloads=tuple(options.workload or usual),
        rounds=options.rounds or rounds,
        repeat=options.repeat or repeat,
        scale=options.scale,
        cpus=options.cpus or ("both" if full else "pinned"),
        loop=options.loop,
        awake=options.awake,
        timeout=options.timeout,
        required=tuple(options.driver or (REFERENCE,)),
    )


def warn(remarks: Sequence[str]) -> None:
    """Say what makes the figures doubtful."""
    for remark in remarks:
        print(f"warning: {remark}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks and print the tables; return 1 if anything failed."""
    options = parse(arguments)
    started = time.perf_counter()

    def progress(text: str) -> None:
        print(f"{time.perf_counter() - started:6.1f} s  {text}", file=sys.stderr, flush=True)

    beware = quiet.remarks()
    warn(beware)
    try:
        results = run(settings_of(options), progress)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if options.json:
        options.json.write_text(results.to_json() + "\n", encoding="utf-8")
    text = report(results)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    print(text, end="", flush=True)
    warn(beware)  # Once more, below the figures that it is about.
    return 1 if results.failures or not results.samples else 0


if __name__ == "__main__":
    sys.exit(main())
