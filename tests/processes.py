"""Running small programs, and counting what this process holds."""

import concurrent.futures
import ctypes
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

from doses import PATIENCE

# The second line of a warning is the source line it stands for.
WARNING = re.compile(r"^(.*ResourceWarning: .*|  .*)$")


def run_program(source, directory, *, options=("-W", "default"), seconds=30):
    """Run `source` in an interpreter of its own; the result has returncode, stdout and stderr.

    An interpreter that does not end in time fails the test with TimeoutExpired.
    """
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", *options, "-c", textwrap.dedent(source)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=seconds * PATIENCE,
        check=False,
        # Ctrl-C is ignored in what a shell has put into the background, and in its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def unexpected(stderr):
    """Return the lines of `stderr` that are not ResourceWarnings."""
    return [line for line in stderr.splitlines() if not WARNING.match(line)]


def threads():
    """Return how many threads of this process Python's threading has not made (Linux)."""
    # A dummy stands for a thread that threading has not made, also when that is long gone.
    made = [t for t in threading.enumerate() if not isinstance(t, threading._DummyThread)]
    return len(os.listdir("/proc/self/task")) - len(made)


def least(count, seconds=0.1):
    """Return the least that `count` gives within a moment: without what is just ending."""
    end = time.monotonic() + seconds
    lowest = count()
    while time.monotonic() < end:
        time.sleep(0.005)
        lowest = min(lowest, count())
    return lowest


def comes_to(count, wanted, seconds=3):
    """Call `count` until it gives `wanted`, or for `seconds`; return what it gave last.

    A thread that has ended for its joiner is listed a moment longer.
    """
    end = time.monotonic() + seconds
    found = count()
    while found != wanted and time.monotonic() < end:
        time.sleep(0.005)
        found = count()
    return found


def descriptors():
    """Return how many file descriptors this process has open (Linux)."""
    return len(os.listdir("/proc/self/fd"))


def counted():
    """Return how many bytes a preloaded sanitizer's malloc() has given away; None without one.

    It keeps freed blocks for a while, so what is in memory says nothing there.
    """
    try:
        count = ctypes.CDLL(None).__sanitizer_get_current_allocated_bytes
    except AttributeError:
        return None
    count.restype = ctypes.c_size_t
    return count()


def resident():
    """Return how many bytes of this process are in memory (Linux), or what counted() gives."""
    allocated = counted()
    if allocated is not None:
        return allocated
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def many(function, tries, workers=3):
    """Call function(0), function(1) … concurrently; return the results in order."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, range(tries)))


def sound(path):
    """Return what is wrong with the database file `path`, as sqlite3 sees it; [] for nothing."""
    connection = sqlite3.connect(str(path))
    try:
        rows = connection.execute("pragma integrity_check").fetchall()
    finally:
        connection.close()
    return [] if rows == [("ok",)] else rows


def stored(path):
    """Return what stands in t(a) of a database file, which has to be sound."""
    assert sound(path) == []
    connection = sqlite3.connect(str(path))
    try:
        return [row[0] for row in connection.execute("select a from t order by rowid")]
    finally:
        connection.close()
