"""Measure what many tasks do at once: writers, transactions on one connection, commits, readers, pools.

``python -m benchmarks.concurrency`` lets each way of sharing a database (``ways.py``) take turns, in
rounds, in one process, each round with a fresh file. It prints Markdown tables of medians. Ratios
are of rounds that followed each other, so that what else the machine does meets both. The
inserts are measured again with a sync of a millisecond (``slow_sync.c``), in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .awake import load
from .machine import machine
from .ways import Way, ways

HERE = Path(__file__).resolve().parent

ACCOUNTS = 10
AMOUNT = 100
ROWS = 50_000
MEMORY = "/dev/shm"


@dataclass(frozen=True)
class Round:
    """How many operations there were a second, and what there is to be said of them."""

    rate: float
    remark: str = ""


@dataclass(frozen=True)
class Scenario:
    """What is measured: how, with which shape beside pools, how many connections, how safe."""

    name: str
    title: str
    unit: str
    remark: str
    shape: str
    size: int
    synchronous: str
    run: Callable[[Way, int], Awaitable[Round]]
    count: int


# -- what the tasks do ---------------------------------------------------------------------


async def writers(way: Way, count: int) -> Round:
    """Let sixteen tasks write, a transaction after the other."""

    async def write(task: int) -> float:
        for number in range(count):
            await way.write(task, "INSERT INTO t VALUES (?)", (number,))
        return time.perf_counter()

    begun = time.perf_counter()
    ended = await asyncio.gather(*[write(task) for task in range(16)])
    times = [end - begun for end in ended]
    mean = statistics.fmean(times)
    stored = await way.read(0, "SELECT count(*) FROM t", ())
    if stored != 16 * count:
        raise RuntimeError(f"{way.name} has lost rows: {stored} of {16 * count}")
    return Round(16 * count / max(times), f"{min(times) / mean:.2f}, {max(times) / mean:.2f}")


async def transfers(way: Way, count: int) -> Round:
    """Let tasks move money between accounts, and look at what has become of it."""
    choose = random.Random(1)
    pairs = [choose.sample(range(ACCOUNTS), 2) for _ in range(count)]
    begun = time.perf_counter()
    moves = [way.move(task, source, target) for task, (source, target) in enumerate(pairs)]
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    taken = time.perf_counter() - begun
    failed = sum(isinstance(outcome, BaseException) for outcome in outcomes)
    total = await way.read(0, "SELECT sum(amount) FROM account", ())
    # Each task has moved 1: what is missing or too much was lost by mixing.
    amounts = [
        await way.read(0, "SELECT amount FROM account WHERE id = ?", (account,))
        for account in range(ACCOUNTS)
    ]
    expected = [AMOUNT] * ACCOUNTS
    for source, target in pairs:
        expected[source] -= 1
        expected[target] += 1
    wrong = sum(abs(amount - wanted) for amount, wanted in zip(amounts, expected))
    return Round(count / taken, f"sum {total} of 1000; {failed} errors; {wrong} amiss")


async def inserts(way: Way, count: int) -> Round:
    """Insert a row from each of many tasks at once, each committed."""
    begun = time.perf_counter()
    await asyncio.gather(
        *[way.insert(task, "INSERT INTO t VALUES (?)", (task,)) for task in range(count)]
    )
    taken = time.perf_counter() - begun
    stored = await way.read(0, "SELECT count(*) FROM t", ())
    if stored != count:
        raise RuntimeError(f"{way.name} has lost rows: {stored} of {count}")
    return Round(count / taken, f"{taken * 1e3:.0f} ms")


async def readers(way: Way, count: int) -> Round:
    """Let eight tasks query, each query some hundred microseconds of SQLite's own work."""
    query = "SELECT sum(length(name) * quantity) FROM item WHERE id BETWEEN ? AND ?"

    async def read(task: int) -> None:
        for number in range(count):
            first = (task * 7919 + number * 104_729) % (ROWS - 2000)
            await way.read(task, query, (first, first + 1500))

    begun = time.perf_counter()
    await asyncio.gather(*[read(task) for task in range(8)])
    return Round(8 * count / (time.perf_counter() - begun))


async def point_selects(way: Way, count: int) -> Round:
    """Select one row after the other by its key, from one task."""
    query = "SELECT quantity FROM item WHERE id = ?"
    for key in range(100):
        await way.read(0, query, (key,))
    begun = time.perf_counter()
    for key in range(count):
        await way.read(0, query, (key,))
    taken = time.perf_counter() - begun
    return Round(count / taken, f"{taken / count * 1e6:.1f} us")


SCENARIOS = (
    Scenario(
        *("writers", "16 tasks, 100 immediate transactions each, WAL, `synchronous=normal`"),
        *("transactions a second", "first and last task, of the mean"),
        *("connections", 16, "normal", writers, 100),
    ),
    Scenario(
        *("transfers", "100 tasks, each moves money in a transaction; one connection, or a pool"),
        *("transactions a second", "what has become of it"),
        *("one", 8, "normal", transfers, 100),
    ),
    Scenario(
        *("inserts", "1,000 concurrent inserts, each committed, `synchronous=full`"),
        *("inserts a second", "all of them"),
        *("autocommit", 8, "full", inserts, 1000),
    ),
    Scenario(
        *("readers", "8 tasks that read, some hundred microseconds a query"),
        *("queries a second", ""),
        *("one", 8, "normal", readers, 100),
    ),
    Scenario(
        *("selects", "point selects, one after the other"),
        *("selects a second", "each"),
        *("one", 4, "normal", point_selects, 2000),
    ),
)

# -- rounds -----------------------------------------------------------------------------------


def prepare(path: Path) -> None:
    """Make the tables that scenarios use."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (a)")
        db.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL)")
        rows = [(account, AMOUNT) for account in range(ACCOUNTS)]
        db.executemany("INSERT INTO account VALUES (?, ?)", rows)
        db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, quantity INTEGER)")
        items = ((key, f"item {key}", key % 100) for key in range(ROWS))
        db.executemany("INSERT INTO item VALUES (?, ?, ?)", items)
    db.close()


async def measure(way: Way, path: str, scenario: Scenario, count: int) -> Round:
    """Open, run a scenario once, close."""
    await way.start(path, scenario.size, scenario.synchronous)
    try:
        return await scenario.run(way, count)
    finally:
        await way.stop()


def rounds(
    scenario: Scenario, times: int, scale: float, place: str | None
) -> dict[str, list[Round]]:
    """Measure the ways in turn."""
    compared = ways(scenario.shape)
    labels = [label(way) for way in compared]
    results: dict[str, list[Round]] = {name: [] for name in labels}
    count = max(1, round(scenario.count * scale))
    with tempfile.TemporaryDirectory(dir=place) as folder:
        prepared = Path(folder, "prepared.db")
        prepare(prepared)
        for number in range(times):
            for name, way in zip(labels, compared):
                path = Path(folder, f"{number}-{labels.index(name)}.db")
                shutil.copyfile(prepared, path)
                results[name].append(asyncio.run(measure(way, str(path), scenario, count)))
                path.unlink()
    return results


def label(way: Way) -> str:
    """Return a way's name, with its shape where that is not said by it."""
    if "pool" in way.shapes:
        return way.name
    return f"{way.name}, {'a connection each' if 'connections' in way.shapes else 'one connection'}"


def table(scenario: Scenario, results: dict[str, list[Round]]) -> str:
    """Return the medians as a Markdown table."""
    reference = next(iter(results))
    remark = f" {scenario.remark} |" if scenario.remark else ""
    lines = [
        f"| {scenario.title} | {scenario.unit} | against aiosqlite |{remark}",
        f"|---|---|---|{'---|' if remark else ''}",
    ]
    for name, measured in results.items():
        rate = statistics.median(each.rate for each in measured)
        pairs = zip(measured, results[reference])
        ratio = statistics.median(each.rate / other.rate for each, other in pairs)
        middle = sorted(measured, key=lambda each: each.rate)[len(measured) // 2]
        cells = f"| {name} | {rate:,.0f} | {ratio:.2f} |"
        lines.append(f"{cells} {middle.remark} |" if remark else cells)
    return "\n".join(lines)


# -- a disk whose syncing takes time --------------------------------------------------------------


def slow_sync(folder: str) -> str:
    """Compile what makes syncing slow and return its path."""
    library = os.path.join(folder, "slow_sync.so")
    compiler = os.environ.get("CC", "cc")
    source = str(HERE / "slow_sync.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def on_a_slow_disk(options: argparse.Namespace) -> str:
    """Return the table of inserts where a sync costs a millisecond, measured in a process of its own.

    The files are in memory, where the system has such a folder: what a sync takes is that millisecond.
    """
    place = ["--folder", MEMORY] if os.path.isdir(MEMORY) else []
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.concurrency", "--only", "inserts"),
                *("--rounds", str(options.rounds), "--scale", str(options.scale), "--plain"),
                *place,
            ],
            env={**os.environ, "LD_PRELOAD": slow_sync(folder)},
            cwd=HERE.parent,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return done.stdout.strip().replace(
        "`synchronous=full`", "`synchronous=full`, a sync of 1 ms", 1
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrency", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, help="a scenario; all of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each is done")
    parser.add_argument("--folder", help="where the files are; the system's temporary one")
    parser.add_argument("--plain", action="store_true", help="nothing but tables, no slow disk")
    options = parser.parse_args(arguments)
    if not options.plain:
        print(f"{machine()}; load {load()} at the beginning.\n")
    for scenario in SCENARIOS:
        if options.only is None or scenario.name in options.only:
            results = rounds(scenario, options.rounds, options.scale, options.folder)
            print(f"{table(scenario, results)}\n", flush=True)
            if scenario.name == "inserts" and not options.plain:
                print(f"{on_a_slow_disk(options)}\n", flush=True)
    if not options.plain:
        print(f"Load {load()} at the end.")


if __name__ == "__main__":
    main()
