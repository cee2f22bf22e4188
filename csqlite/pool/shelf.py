"""The connections of one kind, and who waits for one of them.

Confined to one loop: nothing here is a lock. Between two awaits, each connection is idle, held
or being opened, and `size` counts all three.
"""

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import Awaitable, Iterable
from typing import Any, Callable, NamedTuple, Optional

from .. import _csqlite
from .errors import PoolClosed, PoolTimeout, TooManyRequests
from .member import Member
from .statistics import Statistics


class Limits(NamedTuple):
    """How a shelf grows and shrinks. Times are in seconds."""

    most: int
    least: int
    max_waiting: int  # 0: any number
    max_idle: float
    max_lifetime: float
    check: Optional[Callable[[Any], Any]]


_MOST_NAMED = 10  # Of those who wait, in what a timeout says.

_FIRST = -(1 << 62)  # The priority of what comes before everybody.
_LONG = 86400.0  # Seconds that are as good as any number.

# An open place for who waits: (priority, number, what it is woken with: a Member, or None for
# the right to open one; its task; whether it shares the member).
Place = tuple[int, int, "asyncio.Future[Optional[Member]]", Any, bool]


def _nothing() -> None:
    """Do nothing."""


def _order(place: Place) -> tuple[int, int]:
    return place[:2]


class Shelf(_csqlite.Shelf):
    """Connections that are handed out to whoever asks, the last that came back first.

    Calls that fetch rows take and put back what is idle by themselves, as long as `quick` says
    that nothing else is to be done (binding/pooled.c).
    """

    def __init__(
        self,
        kind: str,
        limits: Limits,
        open_one: Callable[[], Awaitable[Member]],
        statistics: Statistics,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.limits = limits
        self.size = 0
        self.closing = False
        self.paused = False  # Nobody gets anything until resume().
        self.after: Callable[[], None] = _nothing  # Called when one comes back.
        self._keeping = False  # What comes back is closed by the next close().
        self._open_one = open_one
        self._statistics = statistics
        self._shared: Optional[Member] = None  # What is shared now …
        self._sharers = 0  # … by how many.
        self.waiting = 0  # How many wait for a connection.
        self.cleaning: set[asyncio.Task[None]] = set()  # What brings connections back.
        self._opening = 0  # How many are being opened.
        self._back: Optional[asyncio.Event] = None  # Set when nothing is held; see returned().
        self._places: list[Place] = []
        self._numbers = itertools.count()
        self._ending: set[asyncio.Task[None]] = set()
        self._shrinking: Optional[asyncio.TimerHandle] = None

    def _look_again(self) -> None:
        """Find out whether there is nothing to ask when one is taken or comes back."""
        settled = self._shrinking is not None or self.size <= self.limits.least
        plain = self.limits.check is None and not self.closing and not self.paused
        self.quick = settled and plain and not self.waiting

    def counted(self) -> None:
        """Let the statistics have what was taken without them."""
        self._statistics.add("requests_num", self.taken)
        self._statistics.add("usage_ms", self.used * 1e3)
        self.taken, self.used = 0, 0.0
        for member in (*self.idle, *self.held):
            self._statistics.add("batches_num", member.batches())

    # -- taking ---------------------------------------------------------------------

    def take_now(self) -> Optional[Member]:
        """Take an idle connection, None where there is none or others wait."""
        if not self.idle or self.waiting or self.paused or self.limits.check is not None:
            return None
        member: Member = self.idle.pop()
        if member.ends < time.monotonic() or not member.is_open():
            self._discard(member)
            return None
        self._statistics.add("requests_num")
        self._hold(member)
        return member

    async def share(self, timeout: float) -> Member:
        """Take a connection for one statement, together with others who do the same.

        It executes one after the other. Who wants it alone waits until the last of them has given it back, by
        unshare(), and new ones wait behind. Raises as take().
        """
        member = self._shared
        if member is not None and not (self.waiting or self.closing or member.broken):
            self._statistics.add("requests_num")
            self._sharers += 1
            return member
        shares = self.limits.check is None
        member = self.take_now() or await self.take(timeout, 0, shares)
        if shares and self._shared is not member:
            self._shared, self._sharers = member, 1
        return member

    def unshare(self, member: Member) -> None:
        """Give back what share() gave."""
        if member is self._shared:
            self._sharers -= 1
            if self._sharers:
                self.after()
                return
            self._shared = None
        self.give_back(member)

    async def take(self, timeout: float, priority: int = 0, shares: bool = False) -> Member:
        """Take a connection: an idle one, a new one, or the next that comes free.

        Raises PoolTimeout, TooManyRequests, PoolClosed, and what opening raises.
        """
        self._statistics.add("requests_num")
        ends = time.monotonic() + timeout
        try:
            while True:
                member = await self._obtain(ends, timeout, priority, shares)
                if self.closing:  # It was opened, or came, too late.
                    self.unshare(member)
                    raise PoolClosed("the pool is closed")
                self._hold(member)
                if await self._passes(member):
                    return member
        except BaseException:
            self._statistics.add("requests_errors")
            raise

    async def take_first(self) -> Member:
        """Take a connection before all who wait for one, for what belongs to the pool itself."""
        ends = time.monotonic() + _LONG
        member = await self._obtain(ends, _LONG, _FIRST, False)
        if self.closing:
            self._discard(member)
            raise PoolClosed("the pool is closed")
        self._hold(member)
        return member

    def _hold(self, member: Member) -> None:
        self.held.add(member)
        member.take()

    async def _passes(self, member: Member) -> bool:
        """Ask `check`. False: the connection is gone."""
        if self.limits.check is None:
            return True
        try:
            asked = self.limits.check(member.db)
            if asyncio.iscoroutine(asked) or asyncio.isfuture(asked) or hasattr(asked, "__await__"):
                await asked
        except Exception:
            self._statistics.add("connections_lost")
            member.broken = True
            self.give_back(member)
            return False
        except BaseException:
            self.give_back(member)
            raise
        return True

    async def _obtain(self, ends: float, timeout: float, priority: int, shares: bool) -> Member:
        if self.closing:
            raise PoolClosed("the pool is closed")
        while self.idle and not self.waiting and not self.paused:
            member: Member = self.idle.pop()
            if member.ends >= time.monotonic() and member.is_open():
                return member
            self._discard(member)
        if self.size < self.limits.most and not self.waiting and not self.paused:
            self.size += 1
            return await self._open()
        member_or_none = await self._wait(ends, timeout, priority, shares)
        return await self._open() if member_or_none is None else member_or_none

    async def _wait(
        self, ends: float, timeout: float, priority: int, shares: bool
    ) -> Optional[Member]:
        """Wait for a connection, or (None) for the right to open one, which `size` counts."""
        most = self.limits.max_waiting
        if most and self.waiting >= most and priority != _FIRST:
            raise TooManyRequests(
                f"{self.waiting} wait for a connection that is to {self.kind}, as many as may"
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Optional[Member]] = loop.create_future()
        place = (priority, next(self._numbers), future, asyncio.current_task(), shares)
        heapq.heappush(self._places, place)
        self.waiting += 1
        self.quick = False
        began = time.monotonic()
        timer = loop.call_later(max(0.0, ends - began), self._expire, future, timeout)
        try:
            return await future
        except BaseException:
            if future.cancelled():
                self.waiting -= 1
                self._tidy()
                self._look_again()
            elif future.exception() is None:
                # What has come at the same moment goes to the next one.
                member = future.result()
                if member is None:
                    self._pass_on(None)
                else:
                    self.unshare(member)
            raise
        finally:
            timer.cancel()
            self._statistics.add("requests_queued")
            self._statistics.add("requests_wait_ms", (time.monotonic() - began) * 1e3)

    def _expire(self, future: "asyncio.Future[Optional[Member]]", timeout: float) -> None:
        if not future.done():
            self.waiting -= 1
            future.set_exception(PoolTimeout(self._complaint(timeout, future)))
            self._tidy()
            self._look_again()

    def _complaint(self, timeout: float, whose: Any) -> str:
        members = sorted(self.held, key=lambda member: member.held_since)
        holders = "; by ".join(str(member.describe()) for member in members) or "nobody"
        places = sorted(self._places, key=_order)
        others = [place for place in places if place[2] is not whose and not place[2].done()]
        tasks = [place[3] for place in others]
        names = [task.get_name() for task in tasks[:_MOST_NAMED] if task is not None]
        waiting = f": {', '.join(names)}{' ...' if len(tasks) > len(names) else ''}"
        return (
            f"no connection that is to {self.kind} came free within {timeout:g} s: "
            f"{len(self.held)} of {self.limits.most} are held, by {holders}; "
            f"{self.waiting} more wait{waiting if names else ''}"
        )

    async def _open(self) -> Member:
        """Open a connection; `size` counts it already."""
        self._look_again()
        began = time.monotonic()
        self._opening += 1
        try:
            member = await self._open_one()
        except BaseException:
            self._statistics.add("connections_errors")
            self.size -= 1
            self._let_open()
            raise
        finally:
            self._opening -= 1
            self._look()
        self._statistics.add("connections_num")
        self._statistics.add("connections_ms", (time.monotonic() - began) * 1e3)
        return member

    # -- giving back ----------------------------------------------------------------

    def give_back(self, member: Member) -> None:
        """Hand a connection that is held to whoever waits longest, or keep it."""
        if member in self.held:
            self.held.discard(member)
            self._statistics.add("usage_ms", (time.monotonic() - member.held_since) * 1e3)
        member.holder = None
        self._pass_on(member)
        self._look()
        self.after()

    def _look(self) -> None:
        """Tell who waits for the last connection to come back."""
        if self._back is not None and not self._is_used():
            self._back.set()
            self._back = None

    def _is_used(self) -> bool:
        """Whether a connection is held or being opened; one that was cut off is not any more."""
        return self._opening > 0 or any(member.is_open() for member in self.held)

    def _pass_on(self, member: Optional[Member]) -> None:
        if member is None:
            self.size -= 1
            self._let_open()
            return
        if self._keeping and not member.broken and member.is_open():
            self.idle.append(member)
            return
        now = time.monotonic()
        if self.closing or member.broken or member.ends < now or not member.is_open():
            if not self.closing and not member.is_open():
                self._statistics.add("connections_lost")
            self._discard(member)
            return
        place = None if self.paused else self._first()
        if place is not None:
            self._hand_out(member, place)
            return
        member.idle_since = now
        self.idle.append(member)
        if self._shrinking is None and self.size > self.limits.least:
            loop = asyncio.get_running_loop()
            self._shrinking = loop.call_later(self.limits.max_idle, self._shrink)
        self._look_again()

    def _hand_out(self, member: Member, place: "Optional[Place]") -> None:
        """Wake who waits first, and if it shares, those behind who do so, too."""
        assert place is not None
        place[2].set_result(member)
        if place[4]:
            self._shared, self._sharers = member, 1
            while (place := self._first(shares=True)) is not None:
                place[2].set_result(member)
                self._sharers += 1

    def _first(self, shares: bool = False) -> Optional[Place]:
        """Take out the first place in which somebody still waits; of none who does not share, if asked so."""
        while self._places:
            place = self._places[0]
            if shares and not place[4] and not place[2].done():
                return None
            heapq.heappop(self._places)
            if not place[2].done():
                self.waiting -= 1
                self._look_again()
                return place
        return None

    def _tidy(self) -> None:
        """Forget places in which nobody waits any more, once they are the most."""
        if len(self._places) > 2 * self.waiting + 16:
            self._places = [place for place in self._places if not place[2].done()]
            heapq.heapify(self._places)

    def _let_open(self) -> None:
        """Let the first who waits open a connection, as there is room for one."""
        if self.size >= self.limits.most or self.closing or self.paused:
            return
        place = self._first()
        if place is not None:
            self.size += 1
            place[2].set_result(None)

    # -- ending ---------------------------------------------------------------------

    def _discard(self, member: Member) -> None:
        task = asyncio.ensure_future(self._end(member))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, member: Member) -> None:
        self._statistics.add("batches_num", member.batches())
        # Its place is free when it is closed: never is more open than may be.
        try:
            await member.db.close()
        finally:
            self.size -= 1
            self._let_open()

    def _shrink(self) -> None:
        """Close what nobody has wanted for long, the longest idle first."""
        self._shrinking = None
        now = time.monotonic()
        while self.idle and self.size - len(self._ending) > self.limits.least:
            if now - self.idle[0].idle_since < self.limits.max_idle:
                break
            self._discard(self.idle.pop(0))
        if self.idle and self.size - len(self._ending) > self.limits.least:
            waits = self.limits.max_idle - (now - self.idle[0].idle_since)
            loop = asyncio.get_running_loop()
            self._shrinking = loop.call_later(max(0.001, waits), self._shrink)
        self._look_again()

    async def grow(self) -> None:
        """Open connections until there are as many as there have to be."""
        while self.size < self.limits.least and not self.closing:
            self.size += 1
            self._pass_on(await self._open())

    def expire(self) -> None:
        """Replace every connection: the idle now, the others when they come back."""
        while self.idle:
            self._discard(self.idle.pop())
        for member in self.held:
            member.broken = True

    def close(self, *, keep: bool = False) -> None:
        """Take nobody any more, and close what is idle; with `keep`, by the next call."""
        self.closing = True
        self.quick = False
        self._keeping = keep
        if self._shrinking is not None:
            self._shrinking.cancel()
            self._shrinking = None
        while (place := self._first()) is not None:
            place[2].set_exception(PoolClosed("the pool is closed"))
        while self.idle and not keep:
            self._discard(self.idle.pop())

    async def returned(self, ends: Optional[float]) -> bool:
        """Wait until nothing is held any more; False where that is not before `ends`.

        Behind close() or pause().
        """
        while self._is_used():
            if self._back is None:
                self._back = asyncio.Event()
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left <= 0:
                return False
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._back.wait(), left)
        return True

    def pause(self) -> None:
        """Hand out nothing until resume(): who asks waits."""
        self.paused = True
        self.quick = False

    def resume(self) -> None:
        """Go on, and hand out what is idle to those who wait."""
        self.paused = False
        while self.waiting and self.idle:
            self._pass_on(self.idle.pop())
        for _ in range(min(self.waiting, self.limits.most - self.size)):
            self._let_open()
        self._look_again()

    async def cut(self, members: "Iterable[Member]") -> None:
        """Close connections under their holders: what runs is interrupted, what is open undone."""

        async def cut_one(member: Member) -> None:
            await member.db.interrupt()
            await member.db.close()

        await asyncio.gather(*map(cut_one, members), return_exceptions=True)

    async def ended(self) -> None:
        """Wait until every connection that nobody holds is closed."""
        while self._ending:
            await asyncio.wait(self._ending)
