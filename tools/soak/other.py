"""One process of the standard sqlite3 module's, on the same files: python -m soak.other."""

from __future__ import annotations

import argparse
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from . import bank
from .ledger import KEPT, Ledger
from .process import BANKS, arguments, stop_at_signal
from .tally import Tally


def transfer(db: sqlite3.Connection, move: bank.Move) -> None:
    """Carry out one transfer."""
    _, source, target, amount = move
    with db:
        db.execute("begin immediate")
        db.execute(bank.TAKE, (amount, source))
        db.execute(bank.NOTE, bank.note(move, "sqlite3"))
        db.execute(bank.GIVE, (amount, target))


def step(name: str, directory: Path, ledger: Ledger, tally: Tally, dice: random.Random) -> None:
    """Open a file, move money, and look at the sum."""
    with closing(sqlite3.connect(directory / f"{name}.db", timeout=10)) as db:
        db.isolation_level = None
        for move in bank.moves(ledger.numbers(5), dice):
            try:
                with tally.operation("sqlite3 transfer"):
                    transfer(db, move)
                ledger.write(KEPT, name, [move[0]])
            except sqlite3.OperationalError as error:
                tally.error(error)
            with tally.operation("sqlite3 sum"):
                found = db.execute(bank.SUM).fetchone()
            if found != (bank.TOTAL, bank.ACCOUNTS):
                tally.violation(f"sqlite3 saw {found} in {name}")
            # sqlite3 waits for locks in the thread that should report.
            tally.send()


def main(options: argparse.Namespace) -> None:
    """Work until a signal says to stop."""
    stop = stop_at_signal()
    tally = Tally()
    ledger = Ledger(options.directory / f"ledger-{options.process}", options.process)
    dice = random.Random(options.seed)
    while not stop:
        try:
            step(dice.choice(BANKS), options.directory, ledger, tally, dice)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            tally.error(error)
        tally.send()
        time.sleep(dice.uniform(0, 0.05))
    tally.send()


if __name__ == "__main__":
    main(arguments())
