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
import json
import os
import platform
import statistics
import sys
import sysconfig
from typing import Any

from .drivers import DRIVERS, Unsupported
from .workloads import WORKLOADS, Bench, Measurement, Workload

NOT_IMPORTABLE = 3
UNSUPPORTED = 4


def pin() -> bool:
    """Bind this process, before it has threads, to one CPU; return False where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True


def probe(name: str) -> dict[str, Any]:
    """Return the versions of a driver and of the interpreter."""
    driver = DRIVERS[name]
    driver.load()
    version, sqlite_version = driver.versions()
    return {"driver": name, "version": version, "sqlite": sqlite_version, "python": python()}


def python() -> str:
    """Return the name and version of the interpreter, and whether it is a slow build."""
    name = f"{platform.python_implementation()} {platform.python_version()}"
    if "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS")):
        return name
    return f"{name} (built without --enable-optimizations)"


async def measure(workload: Workload, options: argparse.Namespace) -> list[Measurement]:
    """Open a connection, warm up, and return one measurement for each repetition."""
    driver = DRIVERS[options.driver]
    connection = await driver.open(options.scratch if workload.writes else options.fixture)
    try:
        await driver.execute(connection, "PRAGMA journal_mode = WAL")
        await driver.execute(connection, "PRAGMA synchronous = NORMAL")
        bench = Bench(driver, connection, options.fixture, options.rows)
        count = workload.count(options.scale)
        await workload.run(bench, max(10, count // 10))
        return [await measure_once(workload, bench, count) for _ in range(options.repeat)]
    finally:
        await driver.close(connection)


async def measure_once(workload: Workload, bench: Bench, count: int) -> Measurement:
    """Run a workload on a heap that was just collected.

    The first full collection of a young process looks at all that was imported. It takes several
    milliseconds, and whose measurement it falls into says nothing about a driver.
    """
    gc.collect()
    return await workload.run(bench, count)


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


def main() -> int:
    """Run the command and print what it has found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.child")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("probe")
    command.add_argument("driver", choices=DRIVERS)
    command = commands.add_parser("measure")
    command.add_argument("--driver", required=True, choices=DRIVERS)
    command.add_argument("--workload", required=True, choices=WORKLOADS)
    command.add_argument("--fixture", required=True, help="the file with the rows")
    command.add_argument("--rows", required=True, type=int, help="how many rows it has")
    command.add_argument("--scratch", required=True, help="a file that does not exist yet")
    command.add_argument("--scale", type=float, default=1.0)
    command.add_argument("--repeat", type=int, default=1)
    command.add_argument("--pin", action="store_true", help="run on one CPU")
    options = parser.parse_args()
    try:
        result = probe(options.driver)
    except ImportError as error:
        print(error, file=sys.stderr)
        return NOT_IMPORTABLE
    if options.command == "measure":
        workload = WORKLOADS[options.workload]
        result["pinned"] = options.pin and pin()
        try:
            result.update(summary(asyncio.run(measure(workload, options))))
        except Unsupported as error:
            print(error, file=sys.stderr)
            return UNSUPPORTED
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
