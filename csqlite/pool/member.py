"""A connection of a pool, and what the pool has to know of it."""

import asyncio
import random
import time
from typing import Optional

from ..core import Connection

JITTER = 0.1  # Of max_lifetime: connections that were opened together do not end together.


class Member:
    """A connection: how old it is, since when it does nothing, and who holds it."""

    def __init__(self, db: Connection, max_lifetime: float) -> None:
        self.db = db
        now = time.monotonic()
        self.ends = now + max_lifetime * (1 - JITTER * random.random())
        self.idle_since = now
        self.held_since = now
        self.holder: Optional[asyncio.Task[object]] = None
        self.broken = False

    def take(self) -> None:
        """Note that the running task holds it from now on."""
        self.holder = asyncio.current_task()
        self.held_since = time.monotonic()

    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        return self.db._connection is not None

    def describe(self) -> str:
        """Return words that say who holds it, and for how long."""
        name = "no task" if self.holder is None else self.holder.get_name()
        return f"{name} for {time.monotonic() - self.held_since:.1f} s"
