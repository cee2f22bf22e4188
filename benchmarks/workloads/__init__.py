"""Say what is measured: one function a workload, in modules by subject.

A workload prepares what it needs, times the operation and nothing else, and returns a
``Measurement``. How many operations make one run is part of its description; a run's ``scale``
multiplies it. Whatever it reads or writes ends up in the checksum, which must be the same for
every driver: a driver that is fast because it does less is found out.

The order of the imports below is the order of the table.
"""

from __future__ import annotations

# isort: off
from .base import (
    ALL_ROWS,
    FIXTURE_ROWS,
    INSERT_TARGET,
    ONE_COLUMN,
    POINT_SELECT,
    UNITS,
    WORKLOADS,
    Bench,
    Figure,
    Measurement,
    Workload,
)
from . import selects, results, writes, concurrency, stalls, functions, memory
# isort: on

__all__ = [
    "ALL_ROWS",
    "FIXTURE_ROWS",
    "INSERT_TARGET",
    "ONE_COLUMN",
    "POINT_SELECT",
    "UNITS",
    "WORKLOADS",
    "Bench",
    "Figure",
    "Measurement",
    "Workload",
    "concurrency",
    "functions",
    "memory",
    "results",
    "selects",
    "stalls",
    "writes",
]
