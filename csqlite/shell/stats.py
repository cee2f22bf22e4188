"""What SQLite has counted: of a connection, and of the statement that has just run. For `.stats`."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _csqlite

if TYPE_CHECKING:
    from ..core import Connection

# Label, counter, and what is shown: the current value, the highest, or both. A counter of events
# begins anew when it was shown.
LIBRARY = (
    ("Memory Used", "MEMORY_USED", "both"),
    ("Number of Outstanding Allocations", "MALLOC_COUNT", "both"),
    ("Number of Pcache Overflow Bytes", "PAGECACHE_OVERFLOW", "both"),
    ("Largest Allocation", "MALLOC_SIZE", "highest"),
    ("Largest Pcache Allocation", "PAGECACHE_SIZE", "highest"),
)
CONNECTION = (
    ("Lookaside Slots Used", "LOOKASIDE_USED", "both"),
    ("Successful lookaside attempts", "LOOKASIDE_HIT", "highest"),
    ("Lookaside failures due to size", "LOOKASIDE_MISS_SIZE", "highest"),
    ("Lookaside failures due to OOM", "LOOKASIDE_MISS_FULL", "highest"),
    ("Pager Heap Usage", "CACHE_USED", "current"),
    ("Page cache hits", "CACHE_HIT", "event"),
    ("Page cache misses", "CACHE_MISS", "event"),
    ("Page cache writes", "CACHE_WRITE", "event"),
    ("Page cache spills", "CACHE_SPILL", "event"),
    ("Schema Heap Usage", "SCHEMA_USED", "current"),
    ("Statement Heap/Lookaside Usage", "STMT_USED", "current"),
)
BYTES = (
    "MEMORY_USED",
    "PAGECACHE_OVERFLOW",
    "MALLOC_SIZE",
    "PAGECACHE_SIZE",
    "CACHE_USED",
    "SCHEMA_USED",
    "STMT_USED",
)

# Label, column of the table sqlite_stmt.
STATEMENT = (
    ("Fullscan Steps", "nscan"),
    ("Sort Operations", "nsort"),
    ("Autoindex Inserts", "naidx"),
    ("Virtual Machine Steps", "nstep"),
    ("Reprepare operations", "reprep"),
    ("Number of times run", "run"),
)


class Before(NamedTuple):
    """What was known of a statement before it ran."""

    sql: str
    info: Any
    counts: tuple[int, ...]


async def look(db: Connection, sql: str) -> Before:
    """Take down what a statement's counters are before it runs: they go on from one run to the next."""
    info = None
    with suppress(sqlite3.Error):
        info = await db.statement_info(sql)
    return Before(sql, info, await counts(db, sql))


async def counts(db: Connection, sql: str) -> tuple[int, ...]:
    """Return the counters of a statement and its memory; all 0: SQLite knows nothing of it."""
    sums = ", ".join(f"total({column})" for _, column in STATEMENT)
    try:
        ((*found,),) = await db.execute_fetchall(
            f"SELECT {sums}, total(mem) FROM sqlite_stmt WHERE sql = ?", (sql,)
        )
    except sqlite3.Error:
        return (0,) * (len(STATEMENT) + 1)  # Built without that table.
    return tuple(map(int, found))


async def report(db: Connection, before: Before, kind: str) -> str:
    """Return what a statement has cost. kind: `on`, `stmt` or `vmstep`."""
    now = await counts(db, before.sql)
    spent = [new - old for new, old in zip(now, before.counts)]
    if kind == "vmstep":
        return f"VM-steps: {spent[3]}\n"
    lines = columns(before.info) if kind == "stmt" else []
    lines += await of_connection(db)
    if now[-1]:
        lines += [(label, str(number)) for (label, _), number in zip(STATEMENT, spent)]
        lines.append(("Memory used by prepared stmt", str(now[-1])))
    return laid_out(lines)


def columns(info: Any) -> list[tuple[str, str]]:
    """Return what is known of the columns of a statement's result."""
    if info is None:
        return []
    lines = [("Number of output columns", str(len(info.column_names)))]
    origins = info.origins or [None] * len(info.column_names)
    for i, (name, kind, origin) in enumerate(zip(info.column_names, info.decltypes, origins)):
        found = (None, None, None) if origin is None else origin
        labels = ("name", "declared type", "database name", "table name", "origin name")
        for label, value in zip(labels, (name, kind, *found)):
            lines.append((f"Column {i} {label}", "(null)" if value is None else str(value)))
    return lines


async def of_connection(db: Connection) -> list[tuple[str, str]]:
    """Return the counters of the library, as far as it keeps them, and of a connection."""
    lines = []
    for label, name, shown in LIBRARY:
        pair = _csqlite.status(getattr(_csqlite, f"SQLITE_STATUS_{name}"))
        if any(pair):
            lines.append((label, value(name, pair, shown)))
    for label, name, shown in CONNECTION:
        pair = await db.db_status(getattr(_csqlite, f"SQLITE_DBSTATUS_{name}"), shown == "event")
        lines.append((label, value(name, pair, shown)))
    return lines


def value(name: str, pair: tuple[int, int], shown: str) -> str:
    """Return a counter as it is shown."""
    current, highest = pair
    unit = " bytes" if name in BYTES else ""
    if shown == "both":
        return f"{current} (max {highest}){unit}"
    return f"{highest if shown == 'highest' else current}{unit}"


async def summary(db: Connection) -> str:
    """Return the counters of a connection, as `.stats` alone shows them."""
    return laid_out(await of_connection(db))


def laid_out(lines: list[tuple[str, str]]) -> str:
    """Return pairs as lines."""
    return "".join(f"{label + ':':<36} {text}\n" for label, text in lines)
