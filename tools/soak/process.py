"""What every process of a soak is made of: its options, its end, and what its tasks share."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import random
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import csqlite

from . import bank
from .ledger import Ledger
from .tally import Tally, Violation

BANKS = ("wal", "rollback")

# What many processes on one file may tell each other at any time.
CROWDED = ("database is locked", "locking protocol", "database schema is locked")
# What a full disk leads to. A process that may not write long files cannot roll back either.
FULL = (
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
    # SQLite has rolled back by itself; with autocommit=False sqlite3 says so, too.
    "cannot rollback - no transaction is active",
)


class Process:
    """What the tasks of one process share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.directory: Path = options.directory
        self.cramped: bool = options.cramped
        self.beside: bool = options.beside
        self.ledger = Ledger(options.directory / f"ledger-{options.process}", options.process)
        self.dice = random.Random(options.seed)
        self.tally = Tally()
        self.stopping = False
        self.expected = CROWDED + FULL if self.cramped else CROWDED

    def path(self, name: str) -> Path:
        """Return the file of a bank."""
        return self.directory / f"{name}.db"

    @contextlib.asynccontextmanager
    async def connection(self, name: str, **options: Any) -> AsyncIterator[csqlite.Connection[Any]]:
        """Open a bank's file and close it again."""
        async with csqlite.connect(self.path(name), timeout=20, **options) as db:
            yield db

    def is_expected(self, error: BaseException) -> bool:
        """Whether an error is one that crowds, full disks and cancelling lead to."""
        if isinstance(error, (asyncio.CancelledError, asyncio.TimeoutError)):
            return True
        return isinstance(error, sqlite3.OperationalError) and str(error) in self.expected

    async def attempt(self, name: str, work: Awaitable[Any]) -> None:
        """Run an operation; one in five is cancelled in the middle.

        Raises what it raises, a cancelling of its own included.
        """
        way = self.dice.random()
        seconds = self.dice.expovariate(300)
        with self.tally.operation(name):
            if way < 0.1:
                await asyncio.wait_for(work, seconds)
                return
            task = asyncio.ensure_future(work)
            if way < 0.2:
                asyncio.get_running_loop().call_later(seconds, task.cancel)
            await asyncio.wait([task])
            task.result()

    def check_sum(self, name: str, found: tuple[int, int], who: str) -> None:
        """Hold a sum and a number of accounts against what they must be."""
        if found != (bank.TOTAL, bank.ACCOUNTS):
            raise Violation(f"{who} saw {found} in {name}")


def stop_at_signal() -> list[bool]:
    """Return a list that is not empty once SIGTERM has come."""
    stop: list[bool] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(True))
    return stop


def arguments() -> argparse.Namespace:
    """Return the options of a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("process", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--cramped", action="store_true")
    parser.add_argument("--beside", action="store_true")
    options = parser.parse_args()
    faulthandler.enable()
    return options
