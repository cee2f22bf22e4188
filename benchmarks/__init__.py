"""Measure csqlite against other ways of using SQLite from asyncio, side by side.

Run ``python -m benchmarks --help``. The parts, each of one subject:

``drivers/``      one adapter a driver, all with the same operations; add a rival here.
``workloads.py``  what is measured: a function a workload, which times the operation alone.
``clock.py``      a stopwatch for wall and CPU time, and the ticker that sees the loop stall.
``fixture.py``    the data, and the database file that the reading workloads share.
``child.py``      one measurement: a process with one driver and one workload, which prints JSON.
``run.py``        the parent: starts the children in turn, in rounds, and checks that they agree.
``report.py``     medians, ratios and the Markdown table.
"""
