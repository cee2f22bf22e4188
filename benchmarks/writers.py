"""Measure how many connections of one process share the writing to one file, and how evenly.

``python -m benchmarks.writers`` lets csqlite and aiosqlite take turns, in rounds, in one process.
Each round opens a fresh file in WAL mode, with so many connections, of which each runs its
transactions: BEGIN IMMEDIATE, an INSERT, COMMIT. It prints a Markdown table of medians. A writer's
share is even when each is done at about the same time: the last column compares the one that was
done first, and the one that was last, with the mean.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosqlite

import csqlite

TIMEOUT = 60  # Nobody is to fail: what is measured is who has to wait.
DRIVERS: dict[str, Any] = {"csqlite": csqlite, "aiosqlite": aiosqlite}
REFERENCE = "aiosqlite"


@dataclass(frozen=True)
class Round:
    """How many transactions there were a second, and when the first and last writer was done."""

    rate: float
    first: float
    last: float


async def write(connection: Any, count: int) -> float:
    """Run so many transactions and return when they were done."""
    for number in range(count):
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute("INSERT INTO t VALUES (?)", (number,))
        await connection.execute("COMMIT")
    return time.perf_counter()


async def measure(driver: Any, path: Path, connections: int, count: int) -> Round:
    """Let so many connections write at once, and check that all of it is there."""
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(
                driver.connect(path, timeout=TIMEOUT, isolation_level=None)
            )
            for _ in range(connections)
        ]
        for connection in opened:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute("PRAGMA synchronous = NORMAL")
        await opened[0].execute("CREATE TABLE t (a)")
        begun = time.perf_counter()
        done = await asyncio.gather(*[write(connection, count) for connection in opened])
        times = [end - begun for end in done]
        rows = await opened[0].execute_fetchall("SELECT count(*) FROM t")
        if [tuple(row) for row in rows] != [(connections * count,)]:
            raise RuntimeError(f"{driver.__name__} has lost rows: {rows}")
    mean = statistics.fmean(times)
    return Round(connections * count / max(times), min(times) / mean, max(times) / mean)


def rounds(connections: int, count: int, times: int) -> dict[str, list[Round]]:
    """Measure the drivers in turn."""
    results: dict[str, list[Round]] = {name: [] for name in DRIVERS}
    for _ in range(times):
        for name, driver in DRIVERS.items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "writers.db")
                results[name].append(asyncio.run(measure(driver, path, connections, count)))
    return results


def table(results: dict[str, list[Round]]) -> str:
    """Return the medians as a Markdown table; ratios are of rounds that followed each other."""
    lines = [
        "| driver | transactions a second | against aiosqlite | first and last, of the mean |",
        "|---|---|---|---|",
    ]
    for name, measured in results.items():
        rate = statistics.median(each.rate for each in measured)
        pairs = zip(measured, results[REFERENCE])
        ratio = statistics.median(each.rate / other.rate for each, other in pairs)
        first = statistics.median(each.first for each in measured)
        last = statistics.median(each.last for each in measured)
        lines.append(f"| {name} | {rate:,.0f} | {ratio:.2f} | {first:.2f}, {last:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writers", description=__doc__)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--transactions", type=int, default=100, help="of each connection")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    print(table(rounds(options.connections, options.transactions, options.rounds)))


if __name__ == "__main__":
    main()
