"""Measure time: a stopwatch for wall and CPU time, and a ticker that sees the loop stall."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

TICK = 0.001


class Stopwatch:
    """Measure the wall time and the CPU time, of all threads of the process, of a ``with`` block.

    Both are in seconds, in ``wall`` and ``cpu``, and are there once the block has ended.
    """

    def __init__(self) -> None:
        self.wall = 0.0
        self.cpu = 0.0

    def __enter__(self) -> Stopwatch:
        self._cpu_start = time.process_time()
        self._wall_start = time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.wall = time.perf_counter() - self._wall_start
        self.cpu = time.process_time() - self._cpu_start


class Ticker:
    """Sleep a millisecond again and again, and note how long after the last time each one ends.

    While ``async with Ticker() as ticker`` runs its block, every gap between two ticks is
    appended to ``ticker.gaps``, in seconds. A gap is a little over a millisecond on an idle loop;
    what it is longer, the loop was kept from its tasks. The gap in which the block ends is
    counted as well, so that a block that never lets the loop go gives one gap of its whole
    length.
    """

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Ticker:
        self._task = asyncio.ensure_future(self._tick())
        await asyncio.sleep(2 * TICK)  # Let it start, or a block that stalls would not be seen.
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._stopping = True
        if self._task is not None:
            await self._task

    async def _tick(self) -> None:
        last = time.perf_counter()
        while not self._stopping:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            self.gaps.append(now - last)
            last = now


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of the values that at least ``percent`` per cent do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)  # Rounded up: the nearest-rank definition.
    return ordered[max(int(rank), 1) - 1]
