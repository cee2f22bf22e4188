"""What a process was promised, in a file that survives its death."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

KEPT, UNDONE = "+", "!"

# How many transfers a process can number before it takes another's numbers.
STRIDE = 10**9


class Ledger:
    """The writing side: one process's file, and the numbers of its transfers."""

    def __init__(self, path: Path, process: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._first = process * STRIDE
        self._numbers = itertools.count(self._first)
        self.listeners: list[Callable[[str, str, list[int]], None]] = []

    def numbers(self, count: int) -> list[int]:
        """Return numbers that no transfer has had."""
        return list(itertools.islice(self._numbers, count))

    def range(self) -> tuple[int, int]:
        """Return the first number that this process may use, and the first that it may not."""
        return self._first, self._first + STRIDE

    def write(self, sign: str, bank: str, ids: Iterable[int]) -> None:
        """Write down that transfers are committed, KEPT, or certainly not, UNDONE."""
        ids = list(ids)
        for hear in self.listeners:
            hear(sign, bank, ids)
        lines = "".join(f"{sign} {bank} {id}\n" for id in ids)
        os.write(self._file, lines.encode())


def read(directory: Path) -> dict[tuple[str, str], set[int]]:
    """Return {(sign, bank): ids} of all ledgers in a directory."""
    found: dict[tuple[str, str], set[int]] = {}
    for path in sorted(directory.glob("ledger-*")):
        for line in path.read_text().splitlines(keepends=True):
            # Death may come amid a line.
            if line.endswith("\n"):
                sign, bank, id = line.split()
                found.setdefault((sign, bank), set()).add(int(id))
    return found
