"""Measure single selects, one after another."""

from __future__ import annotations

from ..clock import Stopwatch
from ..fixture import random_keys
from .base import POINT_SELECT, Bench, Measurement, per_operation, workload


@workload(2_000, ("each", "point select: `execute`, `fetchone`, close", "us"), pinned=True)
async def point_select(bench: Bench, count: int) -> Measurement:
    """Select one row by its key, again and again."""
    keys = random_keys(count, bench.rows)
    with Stopwatch() as watch:
        total = await bench.driver.select_each(bench.connection, POINT_SELECT, keys)
    return per_operation(watch, count, total)


@workload(3_000, ("each", "`execute_fetchall` of one row", "us"), pinned=True)
async def execute_fetchall(bench: Bench, count: int) -> Measurement:
    """Select one row by its key in a single call, again and again."""
    keys = random_keys(count, bench.rows)
    with Stopwatch() as watch:
        total = await bench.driver.fetchall_each(bench.connection, POINT_SELECT, keys)
    return per_operation(watch, count, total)


@workload(2_000, ("each", "CPU time of a point select, all threads", "us"), pinned=True)
async def point_select_cpu(bench: Bench, count: int) -> Measurement:
    """Select one row by its key, again and again, and count the CPU time instead."""
    keys = random_keys(count, bench.rows)
    with Stopwatch() as watch:
        total = await bench.driver.select_each(bench.connection, POINT_SELECT, keys)
    return Measurement({"each": watch.cpu / count}, total, watch.wall, watch.cpu)
