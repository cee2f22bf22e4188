"""Whether what is measured here says much: how the interpreter was built, what else is running."""

from __future__ import annotations

import os
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Of the machine's last minute, and of one CPU while it is looked at.
LOAD = 0.5
SHARE = 0.05
LOOK_SECONDS = 0.5
SHOWN = 5


def is_optimised(settings: Mapping[str, Any]) -> bool:
    """Return whether an interpreter was built with its optimisations.

    Debian's, in /usr, is made by ``make profile-opt``, of which CONFIG_ARGS tells nothing.
    """
    if "--enable-optimizations" in str(settings.get("CONFIG_ARGS")):
        return True
    return settings.get("installed_base") == "/usr"


def slow_build(settings: Mapping[str, Any]) -> str:
    """Return what makes an interpreter slow, of its ``sysconfig.get_config_vars()``; "" for nothing.

    What is slow in Python makes csqlite look better than it is beside what is written in Python.
    """
    flags = f"{settings.get('CFLAGS') or ''} {settings.get('PY_CFLAGS') or ''}".split()
    levels = [flag for flag in flags if flag.startswith("-O")]
    if settings.get("Py_DEBUG"):
        return "is a debug build"
    if levels and levels[-1] in ("-O0", "-Og"):
        return f"was compiled with {levels[-1]}"
    if not is_optimised(settings):
        return "was built without --enable-optimizations"
    return ""


def processor_seconds(proc: Path = Path("/proc")) -> dict[int, tuple[str, float]]:
    """Return {process: (name, CPU seconds)} of all processes of the machine; {} off Linux."""
    found = {}
    for path in proc.glob("[0-9]*/stat"):
        try:
            before, _, after = path.read_text(errors="replace").rpartition(")")
        except OSError:
            continue  # It has ended meanwhile.
        user, system = after.split()[11:13]
        ticks = os.sysconf("SC_CLK_TCK")
        found[int(path.parent.name)] = (
            before.partition("(")[2],
            (int(user) + int(system)) / ticks,
        )
    return found


def busiest(
    before: Mapping[int, tuple[str, float]], after: Mapping[int, tuple[str, float]], seconds: float
) -> list[str]:
    """Return the processes that ran between two looks, as "name 45 %", the busiest first."""
    shares = [
        ((used - before[process][1]) / seconds, name)
        for process, (name, used) in after.items()
        if process in before and process != os.getpid()
    ]
    running = sorted((pair for pair in shares if pair[0] >= SHARE), reverse=True)
    return [f"{name} {share:.0%}".replace("%", " %") for share, name in running[:SHOWN]]


def load() -> float:
    """Return the load average of the last minute; 0.0 where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def remarks() -> list[str]:
    """Look at the interpreter and, for half a second, at the machine; return what to beware of."""
    found = []
    slow = slow_build(sysconfig.get_config_vars())
    if slow:
        found.append(
            f"this Python {slow}: everything in Python is slower here than in those that people run"
        )
    before = processor_seconds()
    time.sleep(LOOK_SECONDS)
    others = busiest(before, processor_seconds(), LOOK_SECONDS)
    if others:
        found.append(f"the machine is busy: {', '.join(others)} of a CPU")
    elif load() > LOAD:
        found.append(f"the machine was busy a moment ago: its load average is {load():.2f}")
    return found
