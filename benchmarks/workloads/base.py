"""Hold what all workloads share: their description, what they are given and what they return."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Callable

from ..clock import Stopwatch
from ..drivers import Driver, Row
from ..fixture import INSERT

FIXTURE_ROWS = 500_000
POINT_SELECT = "SELECT quantity, name FROM item WHERE id = ?"
ALL_ROWS = "SELECT id, name, email, score, quantity, note FROM item WHERE id <= {count}"
ONE_COLUMN = "SELECT quantity FROM item WHERE id <= {count}"
INSERT_TARGET = INSERT.format(table="target")

# What a figure, which is in seconds or bytes, is multiplied by to be shown.
UNITS = {"us": 1e6, "ms": 1e3, "MB": 1e-6}


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
    """What one run has given: a figure, in seconds or bytes, for each of its rows in the table.

    ``wall`` and ``cpu`` are the times, in seconds, of what was measured.
    """

    figures: dict[str, float]
    checksum: int
    wall: float
    cpu: float


@dataclass(frozen=True)
class Figure:
    """One row of the table: the key of a measurement's figure, its title, and one of UNITS."""

    key: str
    title: str
    unit: str


@dataclass(frozen=True)
class Workload:
    """A workload's description.

    ``pinned`` says that it is a row of small awaits: what a hand-over between threads costs is
    steady only while the whole process is on one CPU, so that is how it is measured by default.
    One that ``writes`` gets a file of its own. A ``generated`` one reads rows that no table holds.
    ``once`` is for what only the first run in a process shows, or for a run that takes seconds: it
    is neither warmed up, but for ten operations, nor repeated. ``full`` is for what is left out
    unless it is asked for by name or by ``--full``.
    """

    name: str
    operations: int
    figures: tuple[Figure, ...]
    run: Callable[[Bench, int], Awaitable[Measurement]]
    pinned: bool = False
    writes: bool = False
    generated: bool = False
    once: bool = False
    full: bool = False

    def count(self, scale: float) -> int:
        """Return how many operations one run makes at a scale, at least ten."""
        return max(10, round(self.operations * scale))

    def warmup(self, scale: float) -> int:
        """Return how many operations are made before the first run is measured."""
        return 10 if self.once else max(10, self.count(scale) // 10)


Run = Callable[[Bench, int], Awaitable[Measurement]]
WORKLOADS: dict[str, Workload] = {}


def workload(
    operations: int, *figures: tuple[str, str, str], name: str = "", **options: bool
) -> Callable[[Run], Run]:
    """Register the decorated function as a workload of its own name, or of another.

    ``figures`` are the arguments of ``Figure`` and ``options`` are attributes of ``Workload``.
    """

    def register(run: Run) -> Run:
        key = name or run.__name__
        rows = tuple(Figure(*figure) for figure in figures)
        WORKLOADS[key] = Workload(key, operations, rows, run, **options)
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
