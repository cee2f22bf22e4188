"""The stuck-reader watchdog: a ResourceWarning for a cursor that stays half-read.

Such a cursor keeps its snapshot, and the write-ahead log can only grow. The extension calls
this module where a connection's `reader_warning` is set, and only there: place() when a
method is called, watch() when its statement is left open.

A cursor owns its watch and drops it with the result set; a loop's watchdog knows of watches
as long as they live. The loop owns its watchdog through the timer, and nothing else does for
long, so neither cursors nor loops are kept.
"""

import asyncio
import math
import sys
import warnings
from contextvars import Context
from typing import TYPE_CHECKING, Any, NamedTuple, Optional
from weakref import ReferenceType, WeakKeyDictionary, WeakSet, ref

from .notes import beginning

if TYPE_CHECKING:
    from types import FrameType

    from ._csqlite import Cursor

# What connect() takes where nothing is said: no watching, but in Python's development mode.
DEFAULT: Optional[float] = 60.0 if sys.flags.dev_mode else None

LONGEST = 86400.0  # Loops take no longer wait.


def seconds(value: Any) -> Optional[float]:
    """Return what `reader_warning` is set to, or raise TypeError or ValueError."""
    if value is None:
        return None
    # Before Python 3.10 a complex number has a __float__(), which raises.
    number_like = hasattr(value, "__float__") or hasattr(value, "__index__")
    if not number_like or isinstance(value, complex):
        raise TypeError(
            f"reader_warning must be a number of seconds or None, not {type(value).__name__}"
        )
    try:
        number = float(value)
    except OverflowError:  # An int that no float holds.
        number = math.inf if value > 0 else -math.inf
    if not number > 0:
        raise ValueError("reader_warning must be a positive number of seconds, or None")
    return number


class Place(NamedTuple):
    """Where a call stands in the user's program."""

    filename: str
    line: int
    function: str
    names: dict[str, Any]  # The globals there: filters go by the module, and by what was shown.


def place() -> Place:
    """Return where the running method of csqlite was called."""
    frame: Optional[FrameType] = sys._getframe().f_back
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    if frame is None:
        return Place("<unknown>", 0, "<unknown>", {})
    code = frame.f_code
    function = getattr(code, "co_qualname", code.co_name)  # Since Python 3.11.
    return Place(code.co_filename, frame.f_lineno or 0, function, frame.f_globals)


def _is_ours(frame: "FrameType") -> bool:
    """Tell whether a frame is csqlite's own. Its shell is a program like any other."""
    name = frame.f_globals.get("__name__")
    if not isinstance(name, str):
        return False
    return name == "csqlite" or (
        name.startswith("csqlite.") and not name.startswith("csqlite.shell.")
    )


class Watch:
    """One execution that has left a cursor half-read."""

    __slots__ = ("__weakref__", "cursor", "due", "place", "seconds", "sql")

    def __init__(
        self, cursor: "Cursor[Any]", sql: Any, place: Place, seconds: float, due: float
    ) -> None:
        self.cursor: ReferenceType[Cursor[Any]] = ref(cursor)
        self.sql = sql
        self.place = place
        self.seconds = seconds
        self.due = due

    def tell(self) -> None:
        """Warn. On the loop that executed it, when the worker has said that it is still open.

        A warning that is an error is nobody's exception: the loop's handler gets it.
        """
        cursor = self.cursor()
        try:
            warnings.warn_explicit(
                self.message(),
                ResourceWarning,
                self.place.filename,
                self.place.line,
                module=self.place.names.get("__name__") or "<unknown>",
                registry=self.place.names.setdefault("__warningregistry__", {}),
                source=cursor,
            )
        except Exception as error:
            context = {"message": "A cursor is half-read", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def message(self) -> str:
        """Return what the warning says."""
        sql = "iterdump()" if self.sql is None else beginning(self.sql)
        filename, line, function, _ = self.place
        return (
            f"a cursor has been half-read for more than {self.seconds:g} s and keeps a read "
            f"transaction open, so that a write-ahead log cannot be reset{': ' if sql else ''}{sql} "
            f"(started at {filename}:{line} in {function})"
        )


class Watchdog:
    """The watches of one loop, and its timer: set for the earliest of them.

    A timer is left alone when what it was set for is over, so that many executions, one
    after the other, set one together.
    """

    __slots__ = ("__weakref__", "_timer", "_watches")

    def __init__(self) -> None:
        self._watches: WeakSet[Watch] = WeakSet()
        self._timer = math.inf  # What it is set for.

    def add(self, loop: asyncio.AbstractEventLoop, watch: Watch) -> None:
        """Look at `watch` when its time has come."""
        self._watches.add(watch)
        self._set(loop, watch.due)

    def _set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        due = min(due, now + LONGEST)
        if due < self._timer:
            # In a context of its own: that of the task would live as long as the timer.
            loop.call_later(due - now, self._ring, due, context=Context())
            self._timer = due

    def _ring(self, due: float) -> None:
        if due != self._timer:
            return  # It was set for an earlier one meanwhile.
        self._timer = math.inf
        loop = asyncio.get_running_loop()
        now = loop.time()
        for watch in list(self._watches):
            if watch.due > now:
                self._set(loop, watch.due)
                continue
            self._watches.discard(watch)
            cursor = watch.cursor()
            if cursor is not None:
                cursor._tell_if_open(watch)


_watchdogs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Watchdog]" = WeakKeyDictionary()


def watch(
    loop: asyncio.AbstractEventLoop, cursor: "Cursor[Any]", sql: Any, place: Place, seconds: float
) -> Watch:
    """Return a new watch for `cursor`, which `loop` looks at in so many seconds."""
    watchdog = _watchdogs.get(loop)
    if watchdog is None:
        watchdog = _watchdogs[loop] = Watchdog()
    made = Watch(cursor, sql, place, seconds, loop.time() + seconds)
    watchdog.add(loop, made)
    return made
