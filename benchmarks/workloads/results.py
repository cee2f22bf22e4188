"""Measure large results, in each way in which rows are fetched."""

from __future__ import annotations

from ..clock import Stopwatch
from .base import ALL_ROWS, ONE_COLUMN, Bench, Measurement, digest, in_all, workload


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


@workload(50_000, ("all", "50,000 rows of 6 columns as `sqlite3.Row`, read by name", "ms"))
async def rows_by_name(bench: Bench, count: int) -> Measurement:
    """Fetch a large result as rows whose columns have names, and read each column by its name."""
    with Stopwatch() as watch:
        total = await bench.driver.rows_by_name(bench.connection, ALL_ROWS.format(count=count))
    return in_all(watch, total)
