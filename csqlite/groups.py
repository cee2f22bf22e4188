"""Group commit: what `connect(group_commit=True)` is given, docs/group-commit.md."""

from collections.abc import Mapping
from typing import Any

MAX_BATCH = 100
MAX_DELAY = 0.0


def limits(options: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many writes are committed at once (0: each by itself) and for how many nanoseconds
    one waits for others.

    options: those of connect(). Raises TypeError or ValueError where they make no sense.
    """
    most = options.get("max_batch", MAX_BATCH)
    delay = options.get("max_delay", MAX_DELAY)
    if isinstance(most, bool) or not isinstance(most, int):
        raise TypeError(f"max_batch must be an int, not {type(most).__name__}")
    if isinstance(delay, bool) or not isinstance(delay, (int, float)):
        raise TypeError(f"max_delay must be a number of seconds, not {type(delay).__name__}")
    if not 1 <= most <= 1_000_000:
        raise ValueError("max_batch must be between 1 and 1,000,000")
    if not 0 <= delay <= 1:
        raise ValueError("max_delay must be between 0 and 1 second")
    if not options.get("group_commit", False):
        return 0, 0
    if options.get("isolation_level", "") is not None and options.get("autocommit", -1) is not True:
        raise ValueError(
            "group_commit needs isolation_level=None or autocommit=True: otherwise no statement is "
            "committed by itself"
        )
    return most, int(delay * 1e9)
