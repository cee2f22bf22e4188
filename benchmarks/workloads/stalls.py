"""Measure how the driver and the rest of the program keep each other waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from ..clock import Stopwatch, Ticker, percentile
from ..fixture import random_keys
from .base import (
    ALL_ROWS,
    FIXTURE_ROWS,
    POINT_SELECT,
    Bench,
    Measurement,
    digest,
    in_all,
    workload,
)

SLICE = 0.002  # Seconds.
SELECTS = 300
ROWS = 20_000
LEAST_IDLE = 0.05  # Seconds.
CPU_BOUND = (
    "WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter LIMIT {count}) "
    "SELECT sum(n % 7) FROM counter"
)
GAPS = (
    ("p99", "... gap between two ticks, p99", "ms"),
    ("worst", "... gap between two ticks, worst", "ms"),
    ("idle_p99", "... the same on the idle loop, p99", "ms"),
    ("idle_worst", "... the same on the idle loop, worst", "ms"),
)
Result = TypeVar("Result")


async def beside_ticker(work: Awaitable[Result]) -> tuple[Result, Stopwatch, dict[str, float]]:
    """Await the work while a ticker sees how long the loop keeps it waiting.

    The same ticker then runs on the idle loop for as long: what it sees there is the machine's
    own noise, and the worst of many gaps is compared with the worst of as many.
    """
    async with Ticker() as busy:
        with Stopwatch() as watch:
            result = await work
    async with Ticker() as idle:
        await asyncio.sleep(max(LEAST_IDLE, watch.wall))
    figures = {
        "all": watch.wall,
        "p99": percentile(busy.gaps, 99),
        "worst": max(busy.gaps),
        "idle_p99": percentile(idle.gaps, 99),
        "idle_worst": max(idle.gaps),
    }
    return result, watch, figures


@workload(FIXTURE_ROWS, ("all", "`fetchall` of 500,000 rows beside a 1 ms ticker", "ms"), *GAPS)
async def loop_stall(bench: Bench, count: int) -> Measurement:
    """Fetch a very large result while a ticker sees how long the loop keeps it waiting."""
    sql = ALL_ROWS.format(count=count)
    rows, watch, figures = await beside_ticker(bench.driver.fetchall(bench.connection, sql))
    return Measurement(figures, digest(rows), watch.wall, watch.cpu)


@workload(
    3_000_000,
    ("all", "a CPU-bound query of about 1 s beside a 1 ms ticker", "ms"),
    *GAPS,
    generated=True,
)
async def loop_stall_query(bench: Bench, count: int) -> Measurement:
    """Run a query that computes for long and has one row, while a ticker watches the loop."""
    sql = CPU_BOUND.format(count=count)
    rows, watch, figures = await beside_ticker(bench.driver.fetchall(bench.connection, sql))
    return Measurement(figures, int(rows[0][0]), watch.wall, watch.cpu)


@asynccontextmanager
async def busy_coroutine() -> AsyncIterator[None]:
    """Run a task that computes for 2 ms, lets the others have a turn, and does so for ever."""

    async def burn() -> None:
        while True:
            end = time.perf_counter() + SLICE
            while time.perf_counter() < end:
                pass
            await asyncio.sleep(0)

    task = asyncio.ensure_future(burn())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextmanager
def busy_thread() -> Iterator[None]:
    """Run a thread that computes in Python, and gives the GIL away only when it is made to."""
    stopping = False
    started = threading.Event()

    def burn() -> None:
        number = 0
        started.set()
        while not stopping:
            number += 1

    thread = threading.Thread(target=burn, daemon=True)
    thread.start()
    started.wait()
    try:
        yield
    finally:
        stopping = True
        thread.join()


async def requests(bench: Bench, count: int) -> Measurement:
    """Fetch one large result, then single rows in proportion, one request after another."""
    driver, connection = bench.driver, bench.connection
    keys = random_keys(max(3, count * SELECTS // ROWS), bench.rows)
    with Stopwatch() as watch:
        rows = await driver.fetchall(connection, ALL_ROWS.format(count=count))
        total = await driver.select_each(connection, POINT_SELECT, keys)
    return in_all(watch, digest(rows) ^ total)


@workload(
    ROWS,
    ("all", "`fetchall` of 20,000 rows, 300 point selects, beside a busy coroutine", "ms"),
    once=True,
)
async def beside_coroutine(bench: Bench, count: int) -> Measurement:
    """Make requests on a loop that another task keeps busy in slices of 2 ms."""
    async with busy_coroutine():
        return await requests(bench, count)


@workload(ROWS, ("all", "the same beside a busy Python thread", "ms"), once=True)
async def beside_thread(bench: Bench, count: int) -> Measurement:
    """Make requests while a thread that computes in Python wants the GIL all the time."""
    with busy_thread():
        return await requests(bench, count)
