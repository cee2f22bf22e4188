"""What a subscription gives: `ChangeBatch`, made of `Change`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

_NAMES = {18: "INSERT", 23: "UPDATE", 9: "DELETE"}

# Bits of what a watch tells (engine/watches.h).
UNKNOWN = 1
SCHEMA = 2

# A row as a watch tells it: operation, database, table, rowid.
Row = tuple[int, str, str, Optional[int]]

# By database and name of a shadow table, folded: the virtual table that it belongs to.
Shadows = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Change:
    """One row that has changed, in a transaction that is committed; or what is known instead."""

    operation: str
    """"INSERT", "UPDATE" or "DELETE". "SCHEMA": tables, views or triggers were made, altered or
    dropped. "UNKNOWN": anything may have changed."""

    database: Optional[str]
    """"main", "temp", or the name of an attached database; None: any."""

    table: Optional[str]
    """None: any."""

    rowid: Optional[int]
    """None: any row of the table, or more than one. Tables WITHOUT ROWID have none."""


@dataclass(frozen=True)
class ChangeBatch:
    """What a transaction has committed, or several ones: to be gone through, or asked."""

    tables: Optional[tuple[str, ...]]
    """The tables that have changed, of those subscribed to. None: any may have."""

    changes: tuple[Change, ...]
    """In the order in which they were made."""

    def __iter__(self) -> Iterator[Change]:
        """Go through the changes."""
        return iter(self.changes)

    def __len__(self) -> int:
        """Return how many changes there are."""
        return len(self.changes)


def folded(name: str) -> str:
    """Return a name as SQLite compares it."""
    return "".join(c.lower() if c.isascii() else c for c in name)


def _changes_of(rows: Iterable[Row], shadows: Shadows) -> Iterator[Change]:
    told = set()
    for operation, database, table, rowid in rows:
        virtual = shadows.get((folded(database), folded(table))) if shadows else None
        if virtual is None:
            yield Change(_NAMES[operation], database, table, rowid)
        elif (database, virtual) not in told:
            told.add((database, virtual))
            yield Change("UPDATE", database, virtual, None)


def batch_of(what: int, rows: Iterable[Row], shadows: Shadows) -> ChangeBatch:
    """Return what a watch has told as a batch."""
    changes = tuple(_changes_of(rows, shadows))
    more = []
    if what & SCHEMA:
        more.append(Change("SCHEMA", None, None, None))
    if what & UNKNOWN:
        more.append(Change("UNKNOWN", None, None, None))
    if more:
        return ChangeBatch(None, (*changes, *more))
    return ChangeBatch(tuple(dict.fromkeys(str(change.table) for change in changes)), changes)
