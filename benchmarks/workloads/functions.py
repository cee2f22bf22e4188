"""Measure Python functions that SQL calls."""

from __future__ import annotations

from ..clock import Stopwatch
from .base import Bench, Measurement, in_all, workload


@workload(50_000, ("all", "a scalar Python function called 50,000 times in one select", "ms"))
async def scalar_function(bench: Bench, count: int) -> Measurement:
    """Call a function that does next to nothing for each of many rows, which stay in SQLite."""
    await bench.driver.create_function(bench.connection, "successor", lambda value: value + 1)
    sql = f"SELECT sum(successor(quantity)) FROM item WHERE id <= {count}"
    with Stopwatch() as watch:
        rows = await bench.driver.fetchall(bench.connection, sql)
    return in_all(watch, int(rows[0][0]))
