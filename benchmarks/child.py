"""Take one measurement: one driver, one workload, one process.

``python -m benchmarks.child measure …`` runs a workload once to warm up, at a tenth of its size,
then as often as it is told, and prints the medians as JSON. ``… probe DRIVER`` prints a driver's
versions instead, or exits with 3 where it cannot be imported. The parent runs it; it is of use by
hand under a profiler.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import platform
import statistics
import sys
from collections.abc import Coroutine
from typing import Any

from .drivers import DRIVERS, Unsupported
from .workloads import WORKLOADS, Bench, Measurement, Workload

NOT_IMPORTABLE = 3
UNSUPPORTED = 4
LOOPS = ("asyncio", "uvloop")
PATIENCE = 10.0  # Seconds of measuring, after which a workload is not repeated any more.
WAL = ("wal", 1)  # What PRAGMA journal_mode and synchronous give for WAL and NORMAL.


def pin() -> bool:
    """Bind this process, before it has threads, to one CPU; return False where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True


def run_in(loop: str, main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a new event loop of the kind that LOOPS names."""
    if loop == "asyncio":
        return asyncio.run(main)
    module: Any = importlib.import_module(loop)
    return module.run(main)


def probe(name: str, loop: str) -> dict[str, Any]:
    """Return the versions of a driver, of the interpreter and of the event loop."""
    driver = DRIVERS[name]
    driver.load()
    version, sqlite_version = driver.versions()
    return {
        "driver": name,
        "version": version,
        "sqlite": sqlite_version,
        "python": python(),
        "loop": loop_version(loop),
    }


def python() -> str:
    """Return the name and version of the interpreter, and whether it is a slow build."""
    import sysconfig

    from . import quiet

    name = f"{platform.python_implementation()} {platform.python_version()}"
    if quiet.is_optimised(sysconfig.get_config_vars()):
        return name
    return f"{name} (built without --enable-optimizations)"


def loop_version(loop: str) -> str:
    """Return what event loop LOOPS means by a name, and its version where it has one."""
    if loop == "asyncio":
        return "asyncio's own"
    module: Any = importlib.import_module(loop)
    return f"{loop} {module.__version__}"


async def measure(workload: Workload, options: argparse.Namespace) -> list[Measurement]:
    """Open a connection, warm up, and return one measurement for each repetition."""
    driver = DRIVERS[options.driver]
    connection = await driver.open(options.scratch if workload.writes else options.fixture)
    try:
        await driver.configure(connection)
        await check(options.driver, connection)
        bench = Bench(driver, connection, options.fixture, options.rows)
        await workload.run(bench, workload.warmup(options.scale))
        measurements: list[Measurement] = []
        for _ in range(1 if workload.once else options.repeat):
            if sum(measurement.wall for measurement in measurements) > PATIENCE:
                break
            measurements.append(await measure_once(workload, bench, options.scale))
        return measurements
    finally:
        await driver.close(connection)


async def check(name: str, connection: Any) -> None:
    """Raise if the connection does not do what all of them are said to do about the disk."""
    modes = [
        (await DRIVERS[name].fetchall(connection, f"PRAGMA {pragma}"))[0][0]
        for pragma in ("journal_mode", "synchronous")
    ]
    if tuple(modes) != WAL:
        raise RuntimeError(f"{name} has journal_mode and synchronous {modes}, not {WAL}")


async def measure_once(workload: Workload, bench: Bench, scale: float) -> Measurement:
    """Run a workload on a heap that was just collected.

    The first full collection of a young process looks at all that was imported. It takes several
    milliseconds, and whose measurement it falls into says nothing about a driver.
    """
    gc.collect()
    return await workload.run(bench, workload.count(scale))


def summary(measurements: list[Measurement]) -> dict[str, Any]:
    """Return the medians of some measurements, and the checksum they must have in common."""
    checksums = {measurement.checksum for measurement in measurements}
    if len(checksums) != 1:
        raise RuntimeError(f"repetitions disagree about what they have read: {sorted(checksums)}")
    first = measurements[0]
    return {
        "checksum": first.checksum,
        "figures": {
            key: statistics.median(measurement.figures[key] for measurement in measurements)
            for key in first.figures
        },
        "wall": statistics.median(measurement.wall for measurement in measurements),
        "cpu": statistics.median(measurement.cpu for measurement in measurements),
    }


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.child")
    commands = parser.add_subparsers(dest="command", required=True)
    prober = commands.add_parser("probe")
    prober.add_argument("driver", choices=DRIVERS)
    measurer = commands.add_parser("measure")
    measurer.add_argument("--driver", required=True, choices=DRIVERS)
    measurer.add_argument("--workload", required=True, choices=WORKLOADS)
    measurer.add_argument("--fixture", required=True, help="the file with the rows")
    measurer.add_argument("--rows", required=True, type=int, help="how many rows it has")
    measurer.add_argument("--scratch", required=True, help="a file that does not exist yet")
    measurer.add_argument("--scale", type=float, default=1.0)
    measurer.add_argument("--repeat", type=int, default=1)
    measurer.add_argument("--pin", action="store_true", help="run on one CPU")
    for command in (prober, measurer):
        command.add_argument("--loop", choices=LOOPS, default="asyncio")
    return parser.parse_args()


def main() -> int:
    """Run the command and print what it has found."""
    options = parse()
    try:
        if options.command == "probe":
            result = probe(options.driver, options.loop)
        else:
            result = {"driver": options.driver, "pinned": options.pin and pin()}
            DRIVERS[options.driver].load()
            measurements = run_in(options.loop, measure(WORKLOADS[options.workload], options))
            result.update(summary(measurements))
    except ImportError as error:
        print(error, file=sys.stderr)
        return NOT_IMPORTABLE
    except Unsupported as error:
        print(error, file=sys.stderr)
        return UNSUPPORTED
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
