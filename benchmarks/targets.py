"""Hold what csqlite has set itself: how many times as fast as whom, workload by workload."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable, Union

# Given a driver and the key of a figure, returns that figure of each round in which it has one.
Rounds = Callable[[str, str], Mapping[int, float]]


@dataclass(frozen=True)
class AtLeast:
    """A rival takes at least so many times as long."""

    times: float
    rival: str = "aiosqlite"

    def text(self) -> str:
        """Return the target as it stands in the table."""
        return f">= {self.times:g}x {self.rival}"

    def reached(self, rounds: Rounds, driver: str, key: str) -> bool | None:
        """Tell whether a driver's figure reaches it, or None where the rival was not measured."""
        rival, own = rounds(self.rival, key), rounds(driver, key)
        if not rival or not own:
            return None
        return statistics.median(rival.values()) >= self.times * statistics.median(own.values())


@dataclass(frozen=True)
class AtMost:
    """The figure itself is at most so large, in seconds or bytes."""

    limit: float
    shown: str

    def text(self) -> str:
        """Return the target as it stands in the table."""
        return f"<= {self.shown}"

    def reached(self, rounds: Rounds, driver: str, key: str) -> bool | None:
        """Tell whether a driver's figure reaches it, or None where there is none."""
        own = rounds(driver, key)
        return statistics.median(own.values()) <= self.limit if own else None


@dataclass(frozen=True)
class NearIdle:
    """The figure is at most so many seconds more than that of the idle loop in the same run."""

    idle: str
    slack: float
    shown: str

    def text(self) -> str:
        """Return the target as it stands in the table."""
        return f"<= idle + {self.shown}"

    def reached(self, rounds: Rounds, driver: str, key: str) -> bool | None:
        """Tell whether a driver's figure reaches it, or None where there is none."""
        own, idle = rounds(driver, key), rounds(driver, self.idle)
        if not own:
            return None
        return statistics.median(own[turn] - idle[turn] for turn in own) <= self.slack


Target = Union[AtLeast, AtMost, NearIdle]

GAPS: dict[str, tuple[Target, ...]] = {
    "p99": (AtMost(0.002, "2 ms"),),
    "worst": (NearIdle("idle_worst", 0.001, "1 ms"),),
}
# By workload and by the key of its figure. Those of pinned workloads are for the pinned regime.
TARGETS: dict[str, dict[str, tuple[Target, ...]]] = {
    "point_select": {"each": (AtLeast(4),)},
    "execute_fetchall": {"each": (AtLeast(2),)},
    "point_select_cpu": {"each": (AtLeast(4),)},
    "fetchone_loop": {"all": (AtLeast(60),)},
    "fetchall": {"all": (AtLeast(3.5), AtLeast(2.5, "sqlite3"))},
    "iteration": {"all": (AtLeast(4),)},
    "rows_by_name": {"all": (AtLeast(1.5),)},
    "single_inserts": {"each": (AtLeast(2),)},
    "committed_inserts": {"each": (AtLeast(3),)},
    "executemany": {"each": (AtLeast(2.2),)},
    "gathered_selects": {"each": (AtLeast(8),)},
    "spread_selects": {"each": (AtLeast(5),)},
    "open_close": {"each": (AtLeast(4),)},
    "connections_at_once": {"all": (AtLeast(3),)},
    "loop_stall": GAPS,
    "loop_stall_query": GAPS,
    "beside_coroutine": {"all": (AtLeast(5),)},
    "beside_thread": {"all": (AtLeast(2),)},
    "scalar_function": {"all": (AtLeast(1.3),)},
    "memory": {"peak": (AtMost(4e6, "4 MB"),)},
    "memory_of_10m": {"peak": (AtMost(4e6, "4 MB"),)},
}


def targets(workload: str, key: str, pinned: bool, usually_pinned: bool) -> tuple[Target, ...]:
    """Return the targets for a figure of a workload in one of its regimes."""
    if pinned != usually_pinned:
        return ()
    return TARGETS.get(workload, {}).get(key, ())
