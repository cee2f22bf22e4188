"""What of one directory this object has open, and which task has what of it.

Knows nothing of SQLite: what a slot holds is opened and closed by a Backend. Confined to one loop:
nothing here is a lock. Between two awaits a slot is free, used by tasks, or has `work`: somebody
opens it, closes it, or has it to himself. Who comes meanwhile waits for that.
"""

import asyncio
import collections
import contextlib
import functools
import sqlite3
import time
from typing import Any, Optional, Protocol

from ..pool import PoolClosed, PoolTimeout
from ..settling import settle
from .errors import DatabaseInUse


class Backend(Protocol):
    """What opens and closes what slots hold."""

    async def hold(self, name: str, ends: float) -> int:
        """Keep others from a database until release(); return its number. Raises DatabaseNotFound."""

    def release(self, number: int) -> None:
        """Give that back."""

    async def open(self, name: str) -> Any:
        """Open a database's pool."""

    async def close(self, pool: Any) -> None:
        """Close it."""


class Slot:
    """A database, as far as this object has to do with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number: Optional[int] = None  # Held, as Backend.hold() has it.
        self.pool: Any = None
        self.users: collections.Counter[Any] = collections.Counter()  # Tasks.
        self.work: Optional[asyncio.Future[None]] = None
        self.left: Optional[asyncio.Future[None]] = None  # For who waits until nobody uses it.
        self.waiting = 0  # Calls of share() that wait for it.
        self.closing = False
        self.turning_out: Optional[asyncio.Task[None]] = None  # Another process waits for it.
        self.idle_since = time.monotonic()

    def describe_users(self) -> str:
        """Return the names of the tasks that use it."""
        names = sorted("no task" if task is None else task.get_name() for task in self.users)
        return ", ".join(names) or "nobody"


class Places:
    """How many pools may be open: places that are handed out first come, first served."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self.waiting: collections.deque[asyncio.Future[None]] = collections.deque()

    def take_now(self) -> bool:
        """Take a place, if there is one and nobody waits."""
        if self.taken >= self.most or self.waiting:
            return False
        self.taken += 1
        return True

    def line_up(self) -> "asyncio.Future[None]":
        """Stand in the line; what is returned is done when there is a place."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return future

    def step_back(self, future: "asyncio.Future[None]") -> None:
        """Leave the line, or give back the place that has come at the same moment."""
        if future.done():
            self.give()
        else:
            self.waiting.remove(future)

    def give(self) -> None:
        """Give a place back: to whoever waits longest."""
        if self.waiting:
            self.waiting.popleft().set_result(None)
        else:
            self.taken -= 1


class Slots:
    """The slots of a directory, the one that was used last at the end."""

    def __init__(self, backend: Backend, most: int, idle_timeout: float) -> None:
        self.closing = False
        self.places = Places(most)
        self._backend = backend
        self._idle_timeout = idle_timeout
        self._slots: dict[str, Slot] = {}
        self._shrinking: Optional[asyncio.TimerHandle] = None

    def __iter__(self) -> Any:
        return iter([*self._slots.values()])

    # -- used by many ------------------------------------------------------------------

    async def share(self, name: str, ends: float, *, pool: bool) -> Slot:
        """Let the running task use a database until leave(), and with `pool` its pool, too.

        Raises DatabaseNotFound, DatabaseInUse, PoolTimeout, PoolClosed, and what opening raises.
        """
        task = asyncio.current_task()
        while True:
            if self.closing:
                raise PoolClosed("the databases are closed")
            slot = self._slots.get(name) or self._slots.setdefault(name, Slot(name))
            ready = slot.number is not None and (slot.pool is not None or not pool)
            # Who uses it already is not kept out by one who waits for its end.
            if ready and (slot.work is None or task in slot.users):
                slot.users[task] += 1
                self._slots[name] = self._slots.pop(name)
                return slot
            slot.waiting += 1
            try:
                if slot.work is None:
                    await self._begin(slot, ends, pool)
                await self._wait_for(slot, ends)
            finally:
                slot.waiting -= 1
                # Who goes on with it is the next to run, and so it is kept, but for a failure.
                asyncio.get_running_loop().call_soon(self._settle, slot)

    async def _begin(self, slot: Slot, ends: float, pool: bool) -> None:
        """Begin to open a slot: in a task, so that who is cancelled takes nothing from the others."""
        loop = asyncio.get_running_loop()
        place = pool and slot.pool is None
        waited: Optional[asyncio.Future[None]] = None
        if place and not self.places.take_now():
            waited = slot.work = loop.create_future()
            try:
                await self._wait_for_place(ends)
            except BaseException:
                self._end(slot, waited)
                raise
        work = slot.work = loop.create_task(self._open(slot, ends, place))
        work.add_done_callback(lambda _: self._end(slot, work))
        if waited is not None:
            waited.set_result(None)

    async def _wait_for_place(self, ends: float) -> None:
        future = self.places.line_up()
        self._evict()
        try:
            loop = asyncio.get_running_loop()
            await asyncio.wait({future}, timeout=max(0.0, ends - loop.time()))
            if not future.done():
                used = [f"{slot.name!r} by {slot.describe_users()}" for slot in self if slot.users]
                raise PoolTimeout(
                    f"{self.places.most} databases are open, as many as may, and none came free "
                    f"in time: {', '.join(sorted(used)) or 'nobody uses them'}"
                )
        except BaseException:
            self.places.step_back(future)
            raise

    async def _open(self, slot: Slot, ends: float, place: bool) -> None:
        try:
            if slot.number is None:
                slot.number = await self._backend.hold(slot.name, ends)
            if place:
                slot.pool = await self._backend.open(slot.name)
        except BaseException:
            if place:
                self.places.give()
            if not slot.users:
                self._release(slot)
            raise

    async def _wait_for(self, slot: Slot, ends: float) -> None:
        """Wait for the end of a slot's work, and raise what opening it raises."""
        work = slot.work
        if work is None:
            return
        await asyncio.wait({work}, timeout=max(0.0, ends - asyncio.get_running_loop().time()))
        if not work.done():
            raise DatabaseInUse(
                f"the database {slot.name!r} was not free in time: it is being opened, closed or "
                f"changed, and used by {slot.describe_users()}"
            )
        if not work.cancelled() and work.exception() is not None:
            raise work.exception()  # type: ignore[misc]

    def leave(self, slot: Slot, task: Any) -> None:
        """Let a task use a database no more, as often as it was let."""
        slot.users[task] -= 1
        if slot.users[task] <= 0:
            del slot.users[task]
        if slot.users:
            return
        slot.idle_since = time.monotonic()
        if slot.left is not None and not slot.left.done():
            slot.left.set_result(None)
        self._settle(slot)

    def _settle(self, slot: Slot) -> None:
        """Do with a slot that nobody uses or waits for what has to be done with it."""
        if slot.users or slot.waiting or slot.work is not None:
            return
        if slot.pool is None:
            self._release(slot)
            if self._slots.get(slot.name) is slot:
                del self._slots[slot.name]
        elif self.closing:
            self._close_later(slot)
        elif self.places.waiting:
            self._evict()
        else:
            self._shrink_later()

    # -- had by one alone --------------------------------------------------------------

    async def claim(self, name: str, ends: float) -> Slot:
        """Give a slot to one alone until yield_(): nobody uses it, and nothing of it is open.

        Who comes meanwhile waits. Raises DatabaseInUse, ProgrammingError for a task that would
        wait for itself.
        """
        loop = asyncio.get_running_loop()
        while True:
            slot = self._slots.get(name) or self._slots.setdefault(name, Slot(name))
            if asyncio.current_task() in slot.users:
                raise sqlite3.ProgrammingError(
                    f"this task uses the database {name!r}, and would wait for itself: leave "
                    "its block first"
                )
            if slot.work is None:
                break
            await asyncio.wait({slot.work}, timeout=max(0.0, ends - loop.time()))
            if slot.work is not None and loop.time() >= ends:
                raise DatabaseInUse(f"the database {name!r} was not free in time")
        work = slot.work = loop.create_future()
        try:
            await self._empty(slot, ends)
        except BaseException:
            self._end(slot, work)
            raise
        return slot

    async def _empty(self, slot: Slot, ends: float) -> None:
        loop = asyncio.get_running_loop()
        if slot.users:
            slot.left = loop.create_future()
            try:
                await asyncio.wait({slot.left}, timeout=max(0.0, ends - loop.time()))
            finally:
                slot.left = None
        if slot.users:
            raise DatabaseInUse(
                f"the database {slot.name!r} was not free in time: it is used by "
                f"{slot.describe_users()}"
            )
        closing = asyncio.ensure_future(self._close(slot))
        cancelled = await settle(closing)
        closing.result()
        if cancelled is not None:
            raise cancelled

    def is_open(self, name: str) -> bool:
        """Tell whether a database is certainly there, since it is held here."""
        slot = self._slots.get(name)
        return slot is not None and slot.number is not None

    def yield_(self, slot: Slot) -> None:
        """Let others have what claim() gave."""
        assert slot.work is not None
        self._end(slot, slot.work)

    def _end(self, slot: Slot, work: "asyncio.Future[None]") -> None:
        """Note that a slot's work is done, and wake who waits for that."""
        if slot.work is work:
            slot.work = None
        if not work.done():
            work.set_result(None)
        elif not work.cancelled():
            work.exception()  # It was raised to who has asked for it.
        self._settle(slot)

    # -- closing -----------------------------------------------------------------------

    async def _close(self, slot: Slot) -> None:
        pool, slot.pool = slot.pool, None
        try:
            if pool is not None:
                await self._backend.close(pool)
        finally:
            slot.closing = False
            self._release(slot)
            if pool is not None:
                self.places.give()

    def _close_later(self, slot: Slot) -> None:
        slot.closing = True
        work = slot.work = asyncio.ensure_future(self._close(slot))
        work.add_done_callback(lambda _: self._end(slot, work))

    def _release(self, slot: Slot) -> None:
        number, slot.number = slot.number, None
        if number is not None:
            self._backend.release(number)

    def _idle(self) -> "list[Slot]":
        """Return the slots that are open and unused, the one longest unused first."""
        return [slot for slot in self if slot.pool is not None and self._is_free(slot)]

    @staticmethod
    def _is_free(slot: Slot) -> bool:
        return not slot.users and not slot.waiting and slot.work is None

    def _evict(self) -> None:
        """Close as many pools as are waited for, those unused longest."""
        closing = sum(slot.closing for slot in self)
        for slot in self._idle()[: max(0, len(self.places.waiting) - closing)]:
            self._close_later(slot)

    def _shrink_later(self) -> None:
        if self._shrinking is None and self._idle_timeout != float("inf"):
            loop = asyncio.get_running_loop()
            self._shrinking = loop.call_later(self._idle_timeout, self._shrink)

    def _shrink(self) -> None:
        """Close what nobody has used for long."""
        self._shrinking = None
        now = time.monotonic()
        idle = self._idle()
        for slot in idle:
            if now - slot.idle_since >= self._idle_timeout:
                self._close_later(slot)
        waits = [slot.idle_since + self._idle_timeout - now for slot in idle if not slot.work]
        if waits:
            loop = asyncio.get_running_loop()
            self._shrinking = loop.call_later(max(0.001, min(waits)), self._shrink)

    def turn_out(self, names: "set[str]", seconds: float) -> None:
        """Close what others wait for when who uses it has left; who comes waits, for so many seconds."""
        for slot in self:
            if slot.name in names and slot.work is None and not slot.turning_out:
                task = asyncio.ensure_future(self._turn_out(slot, seconds))
                slot.turning_out = task
                task.add_done_callback(functools.partial(self._turned_out, slot))

    async def _turn_out(self, slot: Slot, seconds: float) -> None:
        with contextlib.suppress(DatabaseInUse):
            ends = asyncio.get_running_loop().time() + seconds
            self.yield_(await self.claim(slot.name, ends))

    @staticmethod
    def _turned_out(slot: Slot, task: "asyncio.Task[None]") -> None:
        slot.turning_out = None
        if not task.cancelled():
            task.exception()

    def has_pools(self) -> bool:
        """Tell whether anything is open."""
        return any(slot.pool is not None for slot in self)

    async def close(self, ends: Optional[float]) -> None:
        """Take nobody any more, wait until nothing is used, close everything."""
        self.closing = True
        if self._shrinking is not None:
            self._shrinking.cancel()
            self._shrinking = None
        for slot in self._idle():
            self._close_later(slot)
        loop = asyncio.get_running_loop()
        while self._slots:
            if ends is not None and loop.time() >= ends:
                return
            waits = [slot.work for slot in self if slot.work is not None]
            pause = 0.02 if ends is None else max(0.0, min(0.02, ends - loop.time()))
            if waits:
                await asyncio.wait(waits, timeout=pause)
            else:
                await asyncio.sleep(min(pause, 0.005))
