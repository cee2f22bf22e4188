"""Measure what idle observers cost a commit that touches none of their tables.

``python -m benchmarks.observers`` opens two files of the same kind. Ten thousand observations stand
on the first, of a hundred tables; nobody watches the second. The same INSERTs into another table
are committed to both in turns, by a connection that observes nothing, in rounds of a few hundred,
so that whatever else the machine does concerns both. The time is the processor's. It prints a
Markdown table of medians, and of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import csqlite

TABLES = 100


async def prepare(path: Path) -> Any:
    """Open a file with the tables."""
    db = await csqlite.connect(path, isolation_level=None)
    await db.execute_fetchall("PRAGMA journal_mode = WAL")
    await db.execute("PRAGMA synchronous = NORMAL")
    await db.executescript(
        "CREATE TABLE written(a INTEGER PRIMARY KEY, b);"
        + "".join(f"CREATE TABLE watched_{n}(a INTEGER PRIMARY KEY, b);" for n in range(TABLES))
    )
    return db


async def commit(db: Any, count: int) -> float:
    """Commit so many INSERTs, one by one, and return how long one took, in microseconds."""
    begun = time.process_time()
    for number in range(count):
        await db.execute("INSERT INTO written(b) VALUES (?)", (number,))
    return (time.process_time() - begun) / count * 1e6


async def compare(observers: int, rounds: int, count: int) -> list[tuple[float, float]]:
    """Return for each round what a commit took with nobody there, and with the observers."""
    with tempfile.TemporaryDirectory() as folder:
        plain = await prepare(Path(folder, "plain.db"))
        watched = await prepare(Path(folder, "watched.db"))
        observations = [
            watched.observe(f"SELECT b FROM watched_{n % TABLES} WHERE a = ?", (n,), poll=None)
            for n in range(observers)
        ]
        for observation in observations:
            await observation.__anext__()
        steps = [asyncio.ensure_future(one.__anext__()) for one in observations]
        await asyncio.sleep(0)
        writer = await csqlite.connect(Path(folder, "watched.db"), isolation_level=None)
        await writer.execute("PRAGMA synchronous = NORMAL")
        await commit(plain, count)
        await commit(writer, count)
        taken = [(await commit(plain, count), await commit(writer, count)) for _ in range(rounds)]
        woken = sum(step.done() for step in steps)
        for step in steps:
            step.cancel()
        await asyncio.gather(*steps, return_exceptions=True)
        await plain.close()
        await writer.close()
        await watched.close()
    if woken:
        raise RuntimeError(f"{woken} observers were woken for nothing")
    return taken


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.observers", description=__doc__)
    parser.add_argument("--observers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--count", type=int, default=300, help="commits in a round, of each")
    given = parser.parse_args(arguments)
    taken = asyncio.run(compare(given.observers, given.rounds, given.count))
    ratios = [watched / plain for plain, watched in taken]
    low, _, high = statistics.quantiles(ratios, n=4)
    print("| observers | a commit, with nobody there | with them | ratio | half of the rounds |")
    print("|---|---|---|---|---|")
    print(
        f"| {given.observers:,} | {statistics.median(p for p, _ in taken):.1f} us"
        f" | {statistics.median(w for _, w in taken):.1f} us"
        f" | {statistics.median(ratios):.3f} | {low:.3f} to {high:.3f} |"
    )


if __name__ == "__main__":
    main()
