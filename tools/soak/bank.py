"""The invariant: accounts whose sum never changes, and transfers between them.

A transfer is a row that says so and two changes of balances, in one transaction. The rows
alone say what every balance has to be.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

ACCOUNTS = 50
OPENING = 1000
TOTAL = ACCOUNTS * OPENING

# What a table "transfer" keeps of a move.
Move = tuple[int, int, int, int]  # Id, source, target, amount.

SCHEMA = f"""
    create table if not exists account (id integer primary key, balance integer not null);
    create table if not exists transfer (
        id integer primary key, source integer not null references account (id),
        target integer not null references account (id), amount integer not null,
        kind text not null, padding blob);
    create trigger if not exists carry_out after insert on transfer when new.kind = 'trigger'
    begin
        update account set balance = balance - new.amount where id = new.source;
        update account set balance = balance + new.amount where id = new.target;
    end;
    insert into account
        with recursive n (i) as (select 1 union all select i + 1 from n limit {ACCOUNTS})
        select i, {OPENING} from n where not exists (select * from account);
"""

TAKE = "update account set balance = balance - ? where id = ?"
GIVE = "update account set balance = balance + ? where id = ?"
NOTE = "insert into transfer (id, source, target, amount, kind, padding) values (?, ?, ?, ?, ?, ?)"

SUM = "select sum(balance), count(*) from account"

# Accounts that differ from what the transfers say.
AUDIT = f"""
    select a.id, a.balance,
        {OPENING} - (select coalesce(sum(amount), 0) from transfer where source = a.id)
                  + (select coalesce(sum(amount), 0) from transfer where target = a.id) as due
    from account a where balance != due
"""


class Attempt:
    """How far a transfer has come."""

    def __init__(self) -> None:
        self.committing = False


def moves(ids: list[int], dice: random.Random) -> list[Move]:
    """Return a move for each id, between any two accounts."""
    chosen = []
    for id in ids:
        source, target = dice.sample(range(1, ACCOUNTS + 1), 2)
        chosen.append((id, source, target, dice.randint(1, 50)))
    return chosen


def padding(id: int) -> bytes:
    """Return what makes some rows longer than a page."""
    return b"p" * (6000 if id % 20 == 0 else id % 100)


def note(move: Move, kind: str) -> tuple[Any, ...]:
    """Return the parameters of NOTE."""
    return (*move, kind, padding(move[0]))


async def carry_out(db: Any, move: Move, kind: str) -> None:
    """Run the three statements of one transfer."""
    _, source, target, amount = move
    await db.execute(TAKE, (amount, source))
    await db.execute(NOTE, note(move, kind))
    await db.execute(GIVE, (amount, target))


async def explicit(db: Any, chosen: list[Move], attempt: Attempt) -> None:
    """BEGIN and COMMIT by hand."""
    await db.execute("begin immediate")
    for move in chosen:
        await carry_out(db, move, "explicit")
    attempt.committing = True
    await db.execute("commit")


async def implicit(db: Any, chosen: list[Move], attempt: Attempt) -> None:
    """The transaction that the first UPDATE opens."""
    for move in chosen:
        await carry_out(db, move, "implicit")
    attempt.committing = True
    await db.commit()


async def many(db: Any, chosen: list[Move], attempt: Attempt) -> None:
    """executemany() for each of the three."""
    await db.executemany(TAKE, [(amount, source) for _, source, _, amount in chosen])
    await db.executemany(NOTE, (note(move, "many") for move in chosen))
    await db.executemany(GIVE, [(amount, target) for _, _, target, amount in chosen])
    attempt.committing = True
    await db.commit()


async def savepoints(db: Any, chosen: list[Move], attempt: Attempt) -> None:
    """What is done first is undone, down to a savepoint, and done again."""
    await db.execute("begin immediate")
    for move in chosen:
        await db.execute("savepoint s")
        await carry_out(db, move, "savepoints")
        await db.execute("rollback to s")
        await db.execute("release s")
        await carry_out(db, move, "savepoints")
    attempt.committing = True
    await db.commit()


async def trigger(db: Any, chosen: list[Move], attempt: Attempt) -> None:
    """One statement, outside any transaction; triggers do the rest."""
    attempt.committing = True
    rows = ", ".join("(?, ?, ?, ?, 'trigger')" for _ in chosen)
    await db.execute(
        f"insert into transfer (id, source, target, amount, kind) values {rows}",
        [value for move in chosen for value in move],
    )


async def script(db: Any, chosen: list[Move], attempt: Attempt) -> None:
    """Begin, statements and commit as one script."""
    lines = ["begin immediate"]
    for id, source, target, amount in chosen:
        lines += [
            f"update account set balance = balance - {amount} where id = {source}",
            f"update account set balance = balance + {amount} where id = {target}",
            f"insert into transfer values ({id}, {source}, {target}, {amount}, 'script', null)",
        ]
    attempt.committing = True
    await db.executescript("; ".join([*lines, "commit"]))


KINDS: dict[str, Callable[[Any, list[Move], Attempt], Awaitable[None]]] = {
    "explicit": explicit,
    "implicit": implicit,
    "many": many,
    "savepoints": savepoints,
    "trigger": trigger,
    "script": script,
    "manual": implicit,
}

# The options of connect() that a kind needs; for "manual" autocommit is turned off later.
OPTIONS: dict[str, dict[str, Any]] = {
    "explicit": {"isolation_level": None},
    "savepoints": {"isolation_level": None},
    "trigger": {"isolation_level": None},
    "script": {"isolation_level": None},
}
