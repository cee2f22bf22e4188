"""A connection of a pool, and what the pool has to know of it."""

import asyncio
import random
import time
from typing import Any, NamedTuple, Optional

from .. import _csqlite
from ..core import Connection

JITTER = 0.1  # Of max_lifetime: connections that were opened together do not end together.


class Holder(NamedTuple):
    """Who has a connection of a pool."""

    task: str
    """The name of the task, "" for none."""

    seconds: float
    """For how long."""

    sql: Optional[str]
    """What it has executed last; None: nothing yet."""

    writes: bool
    """Whether it is the connection that writes."""

    def __str__(self) -> str:
        executed = "" if self.sql is None else f", executing {_shortened(self.sql)!r}"
        return f"{self.task or 'no task'} for {self.seconds:.1f} s{executed}"


def _shortened(sql: str) -> str:
    sql = " ".join(sql.split())
    return sql if len(sql) <= 80 else sql[:77] + "..."


class Member(_csqlite.Member):
    """A connection: how old it is, since when it does nothing, and who holds it."""

    def __init__(self, db: Connection, max_lifetime: float, writes: bool) -> None:
        super().__init__(db)
        self.writes = writes
        self._batches = 0
        self.ends = self.idle_since + max_lifetime * (1 - JITTER * random.random())

    def take(self) -> None:
        """Note that the running task holds it from now on."""
        self.holder = asyncio.current_task()
        self.held_since = time.monotonic()
        self.db._last_sql = None

    def batches(self) -> int:
        """Return how many commits it has made for several writes since this was asked last."""
        before, self._batches = self._batches, self.db.group_commits
        return self._batches - before

    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        return self.db._connection is not None

    def task(self) -> "Optional[asyncio.Task[Any]]":
        """Return the task that has it, as far as that is known."""
        task: Optional[asyncio.Task[Any]] = self.holder if self.call is None else self.call.task
        return task

    def describe(self) -> Holder:
        """Say who holds it, since when, and what it was used for."""
        task = self.task()
        name = "" if task is None else task.get_name()
        seconds = time.monotonic() - self.held_since
        return Holder(name, seconds, self.db._last_sql, self.writes)
