"""Say what the machine is that something is measured on."""

from __future__ import annotations

import os
import platform


def machine() -> str:
    """Return a short description of the machine."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = " ".join(filter(None, (platform.system(), platform.machine(), processor())))
    return f"{name}, {usable} CPUs"


def processor() -> str:
    """Return the name of the CPU, or an empty text where the system does not tell."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def first_line(path: str) -> str:
    """Return the first line of a file of the system's, or that there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return "not known"


def filesystem(path: str) -> str:
    """Return the kind of file system that a path is on, or that it is not known."""
    best, kind = "", "not known"
    try:
        with open("/proc/self/mounts", encoding="utf-8") as file:
            for line in file:
                point, found = line.split()[1:3]
                inside = os.path.commonpath([point, os.path.realpath(path)]) == point
                if inside and len(point) >= len(best):
                    best, kind = point, found
    except (OSError, ValueError):
        pass
    return kind
