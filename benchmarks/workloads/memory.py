"""Measure how much memory a result takes that is read row by row and not kept."""

from __future__ import annotations

from ..clock import Stopwatch
from ..resident import PeakMemory
from .base import Bench, Measurement, workload

ROWS = (
    "WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter LIMIT {count}) "
    "SELECT n, 'row number ' || n FROM counter"
)


@workload(
    10_000_000,
    ("peak", "... the same for 10,000,000 rows", "MB"),
    name="memory_of_10m",
    generated=True,
    once=True,
    full=True,
)
@workload(
    1_000_000,
    ("peak", "peak memory of `async for` over 1,000,000 rows", "MB"),
    name="memory",
    generated=True,
    once=True,
)
async def memory(bench: Bench, count: int) -> Measurement:
    """Go over a very large result row by row and see how far the process grows meanwhile.

    The connection is a new one, so that what it takes itself is counted as well.
    """
    driver = bench.driver
    with PeakMemory() as peak, Stopwatch() as watch:
        connection = await driver.open(bench.fixture)
        try:
            total = await driver.iterate(connection, ROWS.format(count=count))
        finally:
            await driver.close(connection)
    return Measurement({"peak": peak.growth}, total, watch.wall, watch.cpu)
