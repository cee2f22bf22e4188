"""Looking from time to time whether other processes have committed."""

import asyncio
import sqlite3
import weakref
from functools import partial
from typing import Any, Optional


class Poller:
    """Looks every so many seconds, as long as somebody has it and the connection is open.

    One serves all who watch a connection from the same loop as often.
    """

    def __init__(self, connection: Any, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._watch = connection._watch(False, 1)
        self._loop = loop
        self._seconds = seconds
        self._timer: Optional[asyncio.TimerHandle] = None
        self._set()

    def _set(self) -> None:
        self._timer = self._loop.call_later(self._seconds, _tick, weakref.ref(self))

    def _look(self) -> None:
        try:
            future = self._watch._look()
        except (ValueError, sqlite3.Error):
            return  # the connection is closed
        future.add_done_callback(partial(_looked, weakref.ref(self)))

    def __del__(self) -> None:
        if self._timer is not None and not self._loop.is_closed():
            # Whoever drops it may be another thread.
            self._loop.call_soon_threadsafe(self._timer.cancel)


def _tick(reference: "weakref.ref[Poller]") -> None:
    poller = reference()
    if poller is not None:
        poller._look()


def _looked(reference: "weakref.ref[Poller]", future: Any) -> None:
    poller = reference()
    if poller is not None and not poller._loop.is_closed():
        poller._set()


def check(seconds: Any) -> Optional[float]:
    """Return an interval, or None for never. Raises ValueError where it is neither."""
    if seconds is None:
        return None
    seconds = float(seconds)
    if not 0 < seconds < float("inf"):
        raise ValueError("poll must be a positive number of seconds, or None")
    return float(seconds)


def poller_of(connection: Any, seconds: Optional[float]) -> Optional[Poller]:
    """Return what looks for the running loop; None where nobody is to."""
    if seconds is None:
        return None
    loop = asyncio.get_running_loop()
    pollers = connection.__dict__.setdefault("_live_pollers", weakref.WeakValueDictionary())
    poller: Optional[Poller] = pollers.get((loop, seconds))
    if poller is None:
        poller = pollers[loop, seconds] = Poller(connection, loop, seconds)
    return poller
