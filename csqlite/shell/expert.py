"""Which indexes would help a statement: tried out on an empty copy of the schema. For `.expert`.

The copy has the tables, indexes and statistics of the database, and no rows. Indexes on the columns that the
statement reads are made there, and SQLite is asked for its plan: what it uses, and what makes the plan
better, is suggested. A plan is better that scans fewer tables, makes fewer indexes and sorts
of its own, or looks more columns up. Not tried are indexes on expressions, on some rows, or on more
than MOST_COLUMNS columns, and such as only spare reading the table itself.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from .. import _csqlite
from ..core import connect
from .statements import qualified
from .values import identifier, literal, quoted

if TYPE_CHECKING:
    from ..core import Connection

MOST_COLUMNS = 4

# Of a table with more columns that are read, no pairs are tried unless one of them is used alone.
MOST_FOR_PAIRS = 8

# How a candidate is called in the copy; a number follows.
PREFIX = "csqlite_candidate_"

_USED = re.compile(rf"INDEX {PREFIX}(\d+)")
_TERMS = re.compile(r" \(([^()]*)\)$")
_COLLATION = re.compile(r"\bCOLLATE\s+(\w+)", re.IGNORECASE)

# As a plan says it: a search without an index is that of min() and max() through the whole table.
_SCAN = re.compile(r"(?:SCAN \S|SEARCH \S+(?: AS \S+)?$)")


class Index(NamedTuple):
    """An index that may help. columns: with their COLLATE and DESC, as SQL has them."""

    schema: str
    table: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name that says what it is for, and is another for other columns."""
        return f"{self.table}_idx_{crc32(', '.join(self.columns).encode()):08x}"

    def sql(self, name: str) -> str:
        """Return the statement that makes it."""
        where = "" if self.schema == "main" else f"{identifier(self.schema)}."
        columns = ", ".join(self.columns)
        return f"CREATE INDEX {where}{identifier(name)} ON {identifier(self.table)}({columns});"


class Cost(NamedTuple):
    """What is bad about a plan, the worst first."""

    scans: int
    automatic: int
    sorts: int
    unsought: int


class Advice(NamedTuple):
    """What `.expert` says: statements that make indexes, and the plan with them."""

    indexes: list[str]
    plan: list[str]


def cost(plan: Iterable[str]) -> Cost:
    """Judge a plan."""
    scans = automatic = sorts = terms = 0
    for detail in plan:
        scans += bool(_SCAN.match(detail)) and "CONSTANT ROW" not in detail
        automatic += "AUTOMATIC" in detail
        sorts += detail.startswith("USE TEMP B-TREE")
        match = _TERMS.search(detail)
        terms += match[1].count(" AND ") + 1 if match else 0
    return Cost(scans, automatic, sorts, -terms)


class Trial:
    """Indexes tried for one statement on a copy of the schema."""

    def __init__(self, copy: Connection, sql: str, bound: Any) -> None:
        self._copy = copy
        self._sql = sql
        self._bound = bound
        # What is there now, by its number.
        self._made: dict[int, Index] = {}
        self._count = 0

    async def plan(self) -> list[str]:
        """Return what SQLite would do."""
        rows = await self._copy.execute_fetchall(f"EXPLAIN QUERY PLAN {self._sql}", self._bound)
        return [row[3] for row in rows]

    async def make(self, index: Index) -> int | None:
        """Make an index, and return its number; None: there is one, or it cannot be made."""
        if index in self._made.values():
            return None
        self._count += 1
        try:
            await self._copy.execute(index.sql(f"{PREFIX}{self._count}"))
        except sqlite3.Error:
            return None
        self._made[self._count] = index
        return self._count

    async def drop(self, number: int) -> Index:
        """Drop an index and return it."""
        index = self._made.pop(number)
        await self._copy.execute(f"DROP INDEX {quoted(index.schema)}.{PREFIX}{number}")
        return index

    def used(self, plan: list[str]) -> list[int]:
        """Return the numbers of the indexes that a plan uses."""
        return sorted({int(number) for detail in plan for number in _USED.findall(detail)})

    async def grow(self, singles: list[Index]) -> None:
        """Make indexes of more and more columns, as long as SQLite uses what is new."""
        # Of two that are as good SQLite takes the one made last, which is to be the plainest.
        for index in reversed(singles):
            await self.make(index)
        await self._make_pairs(singles)
        before: list[int] = []
        for _ in range(MOST_COLUMNS):
            used = self.used(await self.plan())
            if used == before:
                return
            before = used
            for number in used:
                for longer in extensions(self._made[number], singles):
                    await self.make(longer)

    async def _make_pairs(self, singles: list[Index]) -> None:
        """Make indexes of two columns each: an order by both is of no use by one alone."""
        for table in {(index.schema, index.table) for index in singles}:
            found = [index for index in singles if (index.schema, index.table) == table]
            if len(found) <= MOST_FOR_PAIRS:
                for first, second in reversed(list(permutations(found, 2))):
                    if bare(first) != bare(second):
                        await self.make(Index(*table, first.columns + second.columns))

    async def prune(self) -> None:
        """Keep no index, and no column of one, without which the plan is as good."""
        for number in set(self._made).difference(self.used(await self.plan())):
            await self.drop(number)
        best = cost(await self.plan())
        for number in sorted(self._made):
            index = await self.drop(number)
            # The fewest columns with which the plan is as good; none at all, perhaps.
            for length in range(len(index.columns) + 1):
                made = None
                if length:
                    made = await self.make(index._replace(columns=index.columns[:length]))
                if cost(await self.plan()) <= best:
                    break
                if made is not None:
                    await self.drop(made)

    async def advice(self) -> Advice:
        """Return the indexes that are used now, and the plan, by the names that they are to have."""
        plan = await self.plan()
        used = sorted(self._made[number] for number in self.used(plan))

        def named(match: re.Match[str]) -> str:
            return f"INDEX {self._made[int(match[1])].name}"

        return Advice(
            [index.sql(index.name) for index in used], [_USED.sub(named, detail) for detail in plan]
        )


def bare(index: Index) -> str:
    """Return the name of the first column, without COLLATE and DESC."""
    return re.sub(r" (?:COLLATE \S+|DESC)\b", "", index.columns[0])


def extensions(index: Index, singles: list[Index]) -> list[Index]:
    """Return indexes with one column more, at any place: an equation belongs before a range."""
    if len(index.columns) >= MOST_COLUMNS:
        return []
    have = {bare(index._replace(columns=(column,))) for column in index.columns}
    return [
        index._replace(columns=index.columns[:place] + single.columns + index.columns[place:])
        for single in singles
        if single[:2] == index[:2] and bare(single) not in have
        for place in range(len(index.columns) + 1)
    ]


async def suggest(db: Connection, sql: str, bound: Any) -> Advice:
    """Return the indexes that would help a statement. sqlite3.Error: SQLite does not understand it."""
    async with copy_of_schema(db) as copy:
        read = await columns_read(copy, sql, bound)
        trial = Trial(copy, sql, bound)
        before = await trial.plan()
        await trial.grow(singles(read, sql))
        await trial.prune()
        if cost(await trial.plan()) < cost(before):
            return await trial.advice()
    return Advice([], before)


def singles(read: dict[tuple[str, str], list[str]], sql: str) -> list[Index]:
    """Return indexes on one column each, in every way in which the statement may want it."""
    collations = {name.upper() for name in _COLLATION.findall(sql)}
    if re.search(r"\bLIKE\b", sql, re.IGNORECASE):
        collations.add("NOCASE")
    ways = ["", *(f" COLLATE {name}" for name in sorted(collations))]
    if re.search(r"\bDESC\b", sql, re.IGNORECASE):
        ways.append(" DESC")
    return [
        Index(schema, table, (identifier(column) + way,))
        for (schema, table), columns in read.items()
        for column in columns
        for way in ways
    ]


async def columns_read(copy: Connection, sql: str, bound: Any) -> dict[tuple[str, str], list[str]]:
    """Return which columns of which tables a statement reads: the authorizer is asked for each."""
    asked: dict[tuple[str, str, str], None] = {}

    def authorize(action: int, first: Any, second: Any, schema: Any, source: Any) -> int:
        if action == _csqlite.SQLITE_READ and schema:
            asked[schema, first, second] = None
        return int(_csqlite.SQLITE_OK)

    await copy.set_authorizer(authorize)
    try:
        await copy.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", bound)
    finally:
        await copy.set_authorizer(None)
    found: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in asked:
        if column in await columns_to_index(copy, schema, table):
            found.setdefault((schema, table), []).append(column)
    return found


async def columns_to_index(copy: Connection, schema: str, table: str) -> list[str]:
    """Return the columns of a table that an index may have, but for the one that is its rowid."""
    rows = await copy.execute_fetchall(
        f"SELECT name, type, pk FROM pragma_table_info({literal(table)}, {literal(schema)})"
    )
    keys = sum(pk > 0 for _, _, pk in rows)
    return [name for name, kind, pk in rows if not (pk and keys == 1 and kind.upper() == "INTEGER")]


@asynccontextmanager
async def copy_of_schema(db: Connection) -> AsyncIterator[Connection]:
    """Give a database in memory with the schemas of a connection, and their statistics."""
    # A statement from the cache would explain its plan before the last index was made.
    async with connect(":memory:", isolation_level=None, cached_statements=0) as copy:
        for row in await db.execute_fetchall("PRAGMA database_list"):
            schema = row[1]
            if schema not in ("main", "temp"):
                await copy.execute(f"ATTACH ':memory:' AS {quoted(schema)}")
            await copy_objects(db, copy, schema)
            await copy_statistics(db, copy, schema)
        yield copy


async def copy_objects(db: Connection, copy: Connection, schema: str) -> None:
    """Make what a schema has. What cannot be made is left out: a module may not be there."""
    master = "sqlite_temp_master" if schema == "temp" else "sqlite_master"
    rows = await db.execute_fetchall(
        f"SELECT sql FROM {quoted(schema)}.{master}"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY type != 'table', rowid"
    )
    for (sql,) in rows:
        with suppress(sqlite3.Error):
            await copy.execute(qualified(sql, quoted(schema)))


async def copy_statistics(db: Connection, copy: Connection, schema: str) -> None:
    """Copy what ANALYZE has found, if there is anything."""
    table = f"{quoted(schema)}.sqlite_stat1"
    try:
        rows = await db.execute_fetchall(f"SELECT tbl, idx, stat FROM {table}")
    except sqlite3.Error:
        return
    with suppress(sqlite3.Error):
        await copy.execute(f"ANALYZE {quoted(schema)}.sqlite_master")
        await copy.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)
        await copy.execute(f"ANALYZE {quoted(schema)}.sqlite_master")
