"""Measure csqlite against other ways of using SQLite from asyncio, side by side.

Run ``python -m benchmarks --help``. The parts, each of one subject:

``drivers/``      one adapter a driver, all with the same operations; add a rival here.
``workloads/``    what is measured: a function a workload, which times the operation alone.
``targets.py``    what csqlite has set itself for each workload.
``clock.py``      a stopwatch for wall and CPU time, and the ticker that sees the loop stall.
``resident.py``   how far a process grows.
``fixture.py``    the data, and the database file that the reading workloads share.
``machine.py``    what is measured on.
``awake.py``      keeps the CPUs from sleeping, where that is asked for, and tells their state.
``child.py``      one measurement: a process with one driver and one workload, which prints JSON.
``run.py``        the parent: starts the children in turn, in rounds, and checks that they agree.
``report.py``     medians, ratios, targets and the Markdown tables.
``plots.py``      the ratios as a chart.
``scaling.py``    how the cost of an operation grows with rows, tasks and connections.
``concurrency.py`` what many tasks do at once, by the ``ways.py`` in which programs share a database; with
                  ``slow_sync.c`` also where syncing a file takes its time.
``instructions.py`` counts the instructions of hot paths (``hotpaths.py``) under valgrind, with
                  ``slow_clock.c`` in the place of the clock, and compares with a baseline.
"""

import sys
from pathlib import Path

# `python -m benchmarks.concurrency` has this folder's parent at the front of the path, where
# csqlite/ is the source without its extension: what is installed comes first.
if sys.path and Path(sys.path[0]).resolve() == Path(__file__).resolve().parent.parent:
    sys.path.append(sys.path.pop(0))
