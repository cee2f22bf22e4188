"""Measure how far a process grows."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys


class PeakMemory:
    """Measure how far the resident memory of the process rises during a ``with`` block.

    ``growth``, which is there once the block has ended, is the highest level of the block less the
    level before it, in bytes. What the process holds but does not use is given back first, or the
    block could grow into it unseen, and Linux is told to forget the highest level of earlier
    times. Where that cannot be, the level before is the highest so far, so that a block that stays
    below what the process has used already counts as nothing.
    """

    def __init__(self) -> None:
        self.growth = 0

    def __enter__(self) -> PeakMemory:
        gc.collect()
        give_back()
        try:
            with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
            self._before = status("VmRSS")
        except OSError:
            self._before = highest()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.growth = max(0, highest() - self._before)


def give_back() -> None:
    """Have the C library return its free memory to the system, where it can be told to."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def highest() -> int:
    """Return the highest resident memory of the process, in bytes."""
    try:
        return status("VmHWM")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def status(name: str) -> int:
    """Return a line of this process's status in /proc that is a number of kB, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    raise OSError(f"the status of the process has no {name}")
