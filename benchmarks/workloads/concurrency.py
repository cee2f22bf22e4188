"""Measure many tasks at once, on one connection and on many, and opening and closing."""

from __future__ import annotations

import asyncio

from ..clock import Stopwatch
from ..fixture import random_keys
from .base import POINT_SELECT, Bench, Measurement, in_all, per_operation, workload

CONNECTIONS = 8


@workload(2_000, ("each", "2,000 point selects in `gather`, one connection", "us"), pinned=True)
async def gathered_selects(bench: Bench, count: int) -> Measurement:
    """Select one row by its key from many tasks at once, on one connection."""
    keys = random_keys(count, bench.rows)
    with Stopwatch() as watch:
        total = await bench.driver.select_gathered(bench.connection, POINT_SELECT, keys)
    return per_operation(watch, count, total)


@workload(4_000, ("each", "8 connections x 500 point selects, a task each", "us"), pinned=True)
async def spread_selects(bench: Bench, count: int) -> Measurement:
    """Select one row by its key, again and again, from one task on each of eight connections."""
    driver = bench.driver
    keys = random_keys(count, bench.rows)
    connections = [await driver.open(bench.fixture) for _ in range(CONNECTIONS)]
    try:
        tasks = [
            driver.select_each(connection, POINT_SELECT, keys[number::CONNECTIONS])
            for number, connection in enumerate(connections)
        ]
        with Stopwatch() as watch:
            totals = await asyncio.gather(*tasks)
    finally:
        for connection in connections:
            await driver.close(connection)
    return per_operation(watch, count, sum(totals))


@workload(200, ("each", "open and close", "us"), pinned=True)
async def open_close(bench: Bench, count: int) -> Measurement:
    """Open a connection and close it, again and again."""
    with Stopwatch() as watch:
        await bench.driver.open_close(bench.fixture, count)
    return per_operation(watch, count, count)


@workload(200, ("all", "200 connections opened at once, a query each, closed", "ms"))
async def connections_at_once(bench: Bench, count: int) -> Measurement:
    """Open many connections at the same time, select one row on each of them, and close it."""
    driver = bench.driver

    async def visit(key: int) -> int:
        connection = await driver.open(bench.fixture)
        try:
            return await driver.select_each(connection, POINT_SELECT, (key,))
        finally:
            await driver.close(connection)

    with Stopwatch() as watch:
        totals = await asyncio.gather(*[visit(key) for key in random_keys(count, bench.rows)])
    return in_all(watch, sum(totals))
