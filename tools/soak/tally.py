"""Counting what a process does, and knowing what it waits for."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator


class Violation(Exception):
    """The invariant is broken, or something happened that must not happen."""


class Tally:
    """Counters, and the operations under way."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._running: dict[object, tuple[float, str]] = {}

    @contextlib.contextmanager
    def operation(self, name: str) -> Iterator[None]:
        """Count an operation that succeeds, and watch it while it runs."""
        key = object()
        self._running[key] = (time.monotonic(), name)
        try:
            yield
            self.counts[f"done {name}"] += 1
        finally:
            del self._running[key]

    def error(self, error: BaseException) -> None:
        """Count an error that was to be expected."""
        self.counts[f"error {type(error).__name__}: {str(error)[:60]}"] += 1

    def violation(self, text: str) -> None:
        """Note what must not happen; the soak then fails."""
        self.violations.append(text)

    def line(self) -> bytes:
        """Return all there is to report since the last time, and begin anew."""
        now = time.monotonic()
        age, name = max(
            ((now - since, name) for since, name in self._running.values()), default=(0.0, "")
        )
        report = {
            "counts": self.counts,
            "violations": self.violations,
            "slowest": [round(age, 1), name],
        }
        line = json.dumps(report).encode() + b"\n"
        self.counts = Counter()
        self.violations = []
        return line

    def send(self) -> None:
        """Write the report to standard output."""
        data = self.line()
        try:
            while data:
                data = data[os.write(1, data) :]
        except BrokenPipeError:
            # The conductor is gone: nobody would ever say stop.
            os._exit(1)
