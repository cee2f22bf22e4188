"""Say what is measured: one function a workload.

A workload prepares what it needs, times the operation and nothing else, and returns a
``Measurement``. How many operations make one run is part of its description; a run's ``scale``
multiplies it. Whatever it reads or writes ends up in the checksum, which must be the same for
every driver: a driver that is fast because it does less is found out.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Callable

from .clock import Stopwatch, Ticker, percentile
from .drivers import Driver, Row
from .fixture import COLUMNS, INSERT, make_rows, random_keys

FIXTURE_ROWS = 500_000
POINT_SELECT = "SELECT quantity, name FROM item WHERE id = ?"
ALL_ROWS = "SELECT id, name, email, score, quantity, note FROM item WHERE id <= {count}"
ONE_COLUMN = "SELECT quantity FROM item WHERE id <= {count}"
INSERT_TARGET = INSERT.format(table="target")


@dataclass(frozen=True)
class Bench:
    """What a workload works with: the driver, an open connection and two files.

    ``connection`` is open on ``scratch``, a fresh file, for a workload that writes, and on
    ``fixture``, the file with the rows, for one that reads. ``rows`` is how many rows that has.
    """

    driver: Driver
    connection: Any
    fixture: str
    rows: int


@dataclass(frozen=True)
class Measurement:
    """What one run has given: a figure, in seconds, for each of its rows in the table."""

    figures: dict[str, float]
    checksum: int
    wall: float
    cpu: float


@dataclass(frozen=True)
class Figure:
    """One row of the table: the key of a measurement's figure, its title, and "us" or "ms"."""

    key: str
    title: str
    unit: str


@dataclass(frozen=True)
class Workload:
    """A workload's description.

    ``pinned`` says that it is a row of small awaits: what a hand-over between threads costs is
    steady only while the whole process is on one CPU, so that is how it is measured by default.
    """

    name: str
    operations: int
    figures: tuple[Figure, ...]
    run: Callable[[Bench, int], Awaitable[Measurement]]
    pinned: bool = False
    writes: bool = False

    def count(self, scale: float) -> int:
        """Return how many operations one run makes at a scale, at least ten."""
        return max(10, round(self.operations * scale))


Run = Callable[[Bench, int], Awaitable[Measurement]]
WORKLOADS: dict[str, Workload] = {}


def workload(
    operations: int, *figures: tuple[str, str, str], pinned: bool = False, writes: bool = False
) -> Callable[[Run], Run]:
    """Register the decorated function as a workload of its own name."""

    def register(run: Run) -> Run:
        name = run.__name__
        rows = tuple(Figure(*figure) for figure in figures)
        WORKLOADS[name] = Workload(name, operations, rows, run, pinned, writes)
        return run

    return register


def per_operation(watch: Stopwatch, count: int, checksum: int) -> Measurement:
    """Return a measurement whose figure is the wall time of one operation."""
    return Measurement({"each": watch.wall / count}, checksum, watch.wall, watch.cpu)


def in_all(watch: Stopwatch, checksum: int) -> Measurement:
    """Return a measurement whose figure is the wall time of the whole run."""
    return Measurement({"all": watch.wall}, checksum, watch.wall, watch.cpu)


def digest(rows: list[Row]) -> int:
    """Return a checksum of the number of rows, and of all values of up to 10,000 of them."""
    sample = [tuple(row) for row in rows[:: max(1, len(rows) // 10_000)]]
    return zlib.crc32(repr((len(rows), sample)).encode())


async def empty_target(bench: Bench) -> None:
    """Leave the table that is written to empty, and the write-ahead log short."""
    await bench.driver.execute(bench.connection, "DROP TABLE IF EXISTS target")
    await bench.driver.execute(bench.connection, f"CREATE TABLE target ({COLUMNS})")
    await bench.driver.execute(bench.connection, "PRAGMA wal_checkpoint(TRUNCATE)")


async def target_digest(bench: Bench) -> int:
    """Return a checksum of what has been written."""
    return digest(await bench.driver.fetchall(bench.connection, "SELECT * FROM target ORDER BY id"))


@workload(2_000, ("each", "point select: `execute`, `fetchone`, close", "us"), pinned=True)
async def point_select(bench: Bench, count: int) -> Measurement:
    """Select one row by its key, again and again."""
    keys = random_keys(count, bench.rows)
    with Stopwatch() as watch:
        total = await bench.driver.select_each(bench.connection, POINT_SELECT, keys)
    return per_operation(watch, count, total)


@workload(2_000, ("each", "CPU time of a point select, all threads", "us"), pinned=True)
async def point_select_cpu(bench: Bench, count: int) -> Measurement:
    """Select one row by its key, again and again, and count the CPU time instead."""
    keys = random_keys(count, bench.rows)
    with Stopwatch() as watch:
        total = await bench.driver.select_each(bench.connection, POINT_SELECT, keys)
    return Measurement({"each": watch.cpu / count}, total, watch.wall, watch.cpu)


@workload(3_000, ("each", "`execute_fetchall` of one row", "us"), pinned=True)
async def execute_fetchall(bench: Bench, count: int) -> Measurement:
    """Select one row by its key in a single call, again and again."""
    keys = random_keys(count, bench.rows)
    with Stopwatch() as watch:
        total = await bench.driver.fetchall_each(bench.connection, POINT_SELECT, keys)
    return per_operation(watch, count, total)


@workload(1_000, ("each", "1,000 point selects in `gather`, each", "us"), pinned=True)
async def gathered_selects(bench: Bench, count: int) -> Measurement:
    """Select one row by its key from many tasks at once, on one connection."""
    keys = random_keys(count, bench.rows)
    with Stopwatch() as watch:
        total = await bench.driver.select_gathered(bench.connection, POINT_SELECT, keys)
    return per_operation(watch, count, total)


@workload(
    5_000, ("each", "single inserts, 5,000 in one transaction", "us"), pinned=True, writes=True
)
async def single_inserts(bench: Bench, count: int) -> Measurement:
    """Insert rows one by one and commit once."""
    rows = list(make_rows(count))
    await empty_target(bench)
    with Stopwatch() as watch:
        await bench.driver.insert_each(bench.connection, INSERT_TARGET, rows, commit_each=False)
    return per_operation(watch, count, await target_digest(bench))


@workload(500, ("each", "single inserts, 500, each committed", "us"), pinned=True, writes=True)
async def committed_inserts(bench: Bench, count: int) -> Measurement:
    """Insert rows one by one and commit each."""
    rows = list(make_rows(count))
    await empty_target(bench)
    with Stopwatch() as watch:
        await bench.driver.insert_each(bench.connection, INSERT_TARGET, rows, commit_each=True)
    return per_operation(watch, count, await target_digest(bench))


@workload(200, ("each", "open and close", "us"), pinned=True)
async def open_close(bench: Bench, count: int) -> Measurement:
    """Open a connection and close it, again and again."""
    with Stopwatch() as watch:
        await bench.driver.open_close(bench.fixture, count)
    return per_operation(watch, count, count)


@workload(20_000, ("all", "`fetchone` loop over 20,000 rows of 1 column", "ms"))
async def fetchone_loop(bench: Bench, count: int) -> Measurement:
    """Fetch the rows of one select one by one."""
    with Stopwatch() as watch:
        total = await bench.driver.fetchone_loop(bench.connection, ONE_COLUMN.format(count=count))
    return in_all(watch, total)


@workload(100_000, ("all", "`fetchall` of 100,000 rows of 6 columns", "ms"))
async def fetchall(bench: Bench, count: int) -> Measurement:
    """Fetch a large result as one list."""
    with Stopwatch() as watch:
        rows = await bench.driver.fetchall(bench.connection, ALL_ROWS.format(count=count))
    return in_all(watch, digest(rows))


@workload(100_000, ("all", "`async for` over 100,000 rows of 6 columns", "ms"))
async def iteration(bench: Bench, count: int) -> Measurement:
    """Go over a large result row by row."""
    with Stopwatch() as watch:
        total = await bench.driver.iterate(bench.connection, ALL_ROWS.format(count=count))
    return in_all(watch, total)


@workload(100_000, ("each", "`executemany` of 100,000 rows, per row", "us"), writes=True)
async def executemany(bench: Bench, count: int) -> Measurement:
    """Insert many rows in one call."""
    rows = list(make_rows(count))
    await empty_target(bench)
    with Stopwatch() as watch:
        await bench.driver.executemany(bench.connection, INSERT_TARGET, rows)
    return per_operation(watch, count, await target_digest(bench))


@workload(
    FIXTURE_ROWS,
    ("all", "`fetchall` of 500,000 rows beside a 1 ms ticker", "ms"),
    ("p99", "... gap between two ticks, p99", "ms"),
    ("worst", "... gap between two ticks, worst", "ms"),
    ("idle_p99", "... the same on the idle loop, p99", "ms"),
    ("idle_worst", "... the same on the idle loop, worst", "ms"),
)
async def loop_stall(bench: Bench, count: int) -> Measurement:
    """Fetch a very large result while a ticker sees how long the loop keeps it waiting.

    The same ticker runs on the idle loop first: what it sees there is the machine's own noise.
    """
    async with Ticker() as idle:
        await asyncio.sleep(0.25)
    async with Ticker() as busy:
        with Stopwatch() as watch:
            rows = await bench.driver.fetchall(bench.connection, ALL_ROWS.format(count=count))
    figures = {
        "all": watch.wall,
        "p99": percentile(busy.gaps, 99),
        "worst": max(busy.gaps),
        "idle_p99": percentile(idle.gaps, 99),
        "idle_worst": max(idle.gaps),
    }
    return Measurement(figures, digest(rows), watch.wall, watch.cpu)
