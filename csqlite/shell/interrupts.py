"""Ctrl-C: what it stops depends on what the shell is doing.

While it reads a line, KeyboardInterrupt is raised there. While a statement runs, its task is
cancelled, with which csqlite stops a query. A write inside a transaction is not stopped by that, since
SQLite would undo the whole transaction; a second Ctrl-C then asks for just that.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable

from .errors import Interrupted

if TYPE_CHECKING:
    from ..core import Connection

# How long a statement may take to stop before the user is told that it does not, in seconds.
PATIENCE = 0.3

HINT = (
    "The statement is part of a transaction and runs to its end. "
    "Ctrl-C again stops it and rolls the transaction back.\n"
)


class Interrupts:
    """The handler of SIGINT. tell: what prints a hint for the user.

    The signal comes in two ways, and each is needed: the loop reads it from its own descriptor, which
    wakes it up without fail, and Python calls a handler, which can break off a call that blocks.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: Any = signal.SIG_DFL
        self._stop: Callable[[], object] | None = None
        self._reading = False
        # How many have become KeyboardInterrupt, of which the loop will still hear.
        self._raised = 0
        self._unserved = False
        # Came while there was nothing to stop.
        self.missed = False

    def install(self) -> None:
        """Handle SIGINT from now on. In the main thread, with a running loop."""
        self._loop = asyncio.get_running_loop()
        self._before = signal.getsignal(signal.SIGINT)
        self._listen()

    def remove(self) -> None:
        """Leave SIGINT to whoever had it before."""
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, self._before)
            self._loop = None

    def _listen(self) -> None:
        """Listen in both ways; prompt_toolkit leaves the loop without a handler."""
        if self._loop is not None:
            self._loop.add_signal_handler(signal.SIGINT, self._serve)
            signal.signal(signal.SIGINT, self._handle)

    def _handle(self, signum: int, frame: object) -> None:
        # Twice, and the loop does not come round: it waits for whoever reads the output.
        if self._reading or (self._unserved and self._stop is not None):
            self._raised += 1
            raise KeyboardInterrupt
        self._unserved = True

    def _serve(self) -> None:
        self._unserved = False
        if self._raised:
            self._raised -= 1
        elif self._stop is None or self._stop() is False:
            self.missed = True  # What it was meant for has not begun, or has ended meanwhile.

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Let SIGINT raise KeyboardInterrupt in a call that blocks."""
        # In this order, so that it cannot come unnoticed between the two.
        self._reading = True
        try:
            if self.missed or self._unserved:
                self._raised += self._unserved
                self.missed = self._unserved = False
                raise KeyboardInterrupt
            yield
        finally:
            self._reading = False

    async def guard(self, work: Coroutine[Any, Any, None], db: Connection) -> None:
        """Run what uses a connection; Interrupted when Ctrl-C has stopped it."""
        task = asyncio.ensure_future(work)
        self._listen()
        self._stop = task.cancel
        # What came behind prompt_toolkit's back was handled, but the loop will not hear of it.
        if self.missed or self._unserved:
            self.missed = self._unserved = False
            task.cancel()
        try:
            try:
                await task
            except asyncio.CancelledError:
                if not task.cancelled():
                    task.cancel()
                    raise
                await self._settle(db)
                raise Interrupted from None
        finally:
            self._stop = None

    async def _settle(self, db: Connection) -> None:
        """Wait until the connection is free; another Ctrl-C now stops whatever it is."""
        self._stop = db._interrupt
        free = asyncio.ensure_future(db._execute(int))
        done, _ = await asyncio.wait({free}, timeout=PATIENCE)
        if not done:
            self._tell(HINT)
        await free
