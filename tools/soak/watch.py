"""Subscriptions: what they tell is held against what the process was promised."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

from .ledger import KEPT
from .process import Process
from .tally import Violation

PATIENCE = 60  # Seconds for what has been committed to be told, on a machine with much to do.


class Watcher:
    """What one subscription has told, and what it has to tell: the transfers of this process."""

    def __init__(self, bank: str) -> None:
        self.bank = bank
        self.due: set[int] = set()
        self.undone: set[int] = set()
        self.told: set[int] = set()
        self.blurred = False  # Told without rowids: nothing can be said of these.

    def hear(self, sign: str, bank: str, ids: list[int]) -> None:
        """Note what came of transfers of this process."""
        if bank == self.bank:
            (self.due if sign == KEPT else self.undone).update(ids)

    async def listen(self, subscription: Any) -> None:
        """Take in what is told."""
        async for batch in subscription:
            if batch.tables is None:
                self.blurred = True
            for change in batch:
                if change.rowid is None:
                    self.blurred = True
                elif change.operation == "INSERT":
                    self.told.add(change.rowid)

    async def compare(self) -> None:
        """Wait until what is due now was told; nothing may be told that was undone."""
        due = set(self.due)
        for _ in range(PATIENCE * 20):
            if self.blurred or due <= self.told:
                break
            await asyncio.sleep(0.05)
        else:
            raise Violation(f"committed in {self.bank} and not told: {sorted(due - self.told)[:5]}")
        if self.told & self.undone:
            wrong = sorted(self.told & self.undone)[:5]
            raise Violation(f"told of {self.bank} and rolled back: {wrong}")


async def watch(process: Process, name: str) -> None:
    """Subscribe to the transfers of a bank for a while, again and again."""
    while not process.stopping:
        try:
            async with process.connection(name) as db, db.subscribe("transfer") as subscription:
                await hold_against(process, Watcher(name), subscription)
        except sqlite3.OperationalError as error:
            if not process.is_expected(error):
                raise
            process.tally.error(error)


async def hold_against(process: Process, watcher: Watcher, subscription: Any) -> None:
    """Compare what is told with what is due, as long as rows are told by their ids."""
    listening = asyncio.ensure_future(watcher.listen(subscription))
    process.ledger.listeners.append(watcher.hear)
    try:
        for _ in range(20):
            await asyncio.sleep(process.dice.uniform(0.05, 0.5))
            await watcher.compare()
            if watcher.blurred or process.stopping:
                break
            process.tally.counts["done told"] += 1
    finally:
        process.ledger.listeners.remove(watcher.hear)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
