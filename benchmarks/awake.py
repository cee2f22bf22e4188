"""Keep the CPUs from sleeping while something is measured, and say what state they are in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .machine import first_line

# A process of this policy runs when nothing else wants the CPU and gives way at once. It ends
# with its parent, also one that is killed.
SPIN = """
import os, sys
parent, cpu = map(int, sys.argv[1:])
os.sched_setaffinity(0, {cpu})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


def possible() -> bool:
    """Tell whether this system has what ``keep_awake`` needs, which Linux has."""
    return hasattr(os, "SCHED_IDLE") and hasattr(os, "sched_setaffinity")


@contextmanager
def keep_awake() -> Iterator[None]:
    """Keep every usable CPU busy with a process of the lowest priority during a ``with`` block."""
    spinners = [
        subprocess.Popen([sys.executable, "-c", SPIN, str(os.getpid()), str(cpu)])
        for cpu in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
        for spinner in spinners:
            spinner.wait()


def regime(awake: bool) -> str:
    """Return a sentence about the frequency and the idle states of the CPUs."""
    governor = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    idle = first_line("/sys/devices/system/cpu/cpuidle/current_driver")
    sleeping = (
        "a process of the lowest priority kept every CPU from sleeping"
        if awake
        else f"CPUs that had nothing to do slept as they liked (idle driver: {idle})"
    )
    return f"CPU frequency was not controlled (governor: {governor}); {sleeping}"


def load() -> str:
    """Return the load average of the last minute, or that it is not known."""
    try:
        return f"{os.getloadavg()[0]:.2f}"
    except OSError:
        return "not known"
