"""What a pool counts, by psycopg_pool's names."""

from typing import Any

# What is counted, and begins anew behind pop_stats(). Times are in milliseconds.
COUNTED = (
    "requests_num",  # calls for a connection
    "requests_queued",  # those that had to wait
    "requests_wait_ms",  # how long these did, in all
    "requests_errors",  # those that got none
    "usage_ms",  # how long connections were held, in all
    "gaps_num",  # gaps between readers, in which the log was to be emptied
    "gaps_ms",  # how long reads had to wait for it, in all
    "gaps_errors",  # those in which it could not be
    "batches_num",  # commits that were for several writes
    "connections_num",  # connections opened
    "connections_ms",  # how long that took, in all
    "connections_errors",  # openings that failed
    "connections_lost",  # found broken, by `check` or by an error
)


class Statistics:
    """The counters of one pool. Confined to its loop."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(COUNTED, 0.0)

    def add(self, name: str, amount: float = 1) -> None:
        """Count."""
        self._counts[name] += amount

    def read(self, gauges: "dict[str, Any]") -> "dict[str, Any]":
        """Return the counters behind what is true now."""
        return {**gauges, **{name: round(count) for name, count in self._counts.items()}}

    def clear(self) -> None:
        """Begin anew."""
        self._counts = dict.fromkeys(COUNTED, 0.0)
