"""Measure inserts: in one transaction, each in its own, and many in one call."""

from __future__ import annotations

from ..clock import Stopwatch
from ..fixture import COLUMNS, make_rows
from .base import INSERT_TARGET, Bench, Measurement, digest, per_operation, workload


async def empty_target(bench: Bench) -> None:
    """Leave the table that is written to empty, and the write-ahead log short."""
    await bench.driver.execute(bench.connection, "DROP TABLE IF EXISTS target")
    await bench.driver.execute(bench.connection, f"CREATE TABLE target ({COLUMNS})")
    await bench.driver.execute(bench.connection, "PRAGMA wal_checkpoint(TRUNCATE)")


async def target_digest(bench: Bench) -> int:
    """Return a checksum of what has been written."""
    return digest(await bench.driver.fetchall(bench.connection, "SELECT * FROM target ORDER BY id"))


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


@workload(100_000, ("each", "`executemany` of 100,000 rows, per row", "us"), writes=True)
async def executemany(bench: Bench, count: int) -> Measurement:
    """Insert many rows in one call."""
    rows = list(make_rows(count))
    await empty_target(bench)
    with Stopwatch() as watch:
        await bench.driver.executemany(bench.connection, INSERT_TARGET, rows)
    return per_operation(watch, count, await target_digest(bench))
