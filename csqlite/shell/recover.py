"""Recovery: SQL for what can still be read in a damaged database. For `.recover`.

The schema is read from the pages of its own table, and the rows of each table from the pages below
its root, whatever state those above and beside them are in. Rows of pages that belong to no table any
more come into a table of their own. Nothing of this asks SQLite about the damaged database.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from . import pages, values
from .pages import ENCODINGS, Cell
from .values import quoted

if TYPE_CHECKING:
    from ..core import Connection
    from .page_sources import PageSource

TABLE_KINDS = (pages.TABLE_INTERIOR, pages.TABLE_LEAF)
INDEX_KINDS = (pages.INDEX_INTERIOR, pages.INDEX_LEAF)

# After so many pages others get their turn: Ctrl-C, for one.
TURN = 64

_VIRTUAL = re.compile(r"\s*CREATE\s+VIRTUAL\b", re.IGNORECASE)
_UNIQUE = re.compile(r"\s*CREATE\s+UNIQUE\b", re.IGNORECASE)


class Options(NamedTuple):
    """What `.recover` is asked for."""

    lost: str = "lost_and_found"
    rowids: bool = True
    freelist: bool = True


class Entry(NamedTuple):
    """A row of the schema."""

    type: str
    name: str
    table: str
    root: int
    sql: str | None


class Shape(NamedTuple):
    """How the records of a table become rows.

    columns: in the order of a record; None: one that is generated. alias: the place of the column that is
    the rowid; -1: there is none. rowid: how the rowid is named; "": not at all. kinds: of the table's pages.
    """

    columns: list[str | None]
    alias: int = -1
    rowid: str = ""
    kinds: tuple[int, int] = TABLE_KINDS


class Recovery:
    """One recovery. scratch: an empty database, in which the schema is made to learn about it."""

    def __init__(
        self,
        source: PageSource,
        scratch: Connection,
        write: Callable[[str], object],
        options: Options,
    ) -> None:
        self.source = source
        self.scratch = scratch
        self.write = write
        self.options = options
        self.usable = source.header.usable
        self.encoding = ENCODINGS[source.header.encoding][0]
        # Pages of the b-trees that are known, and those together with where their rows go on.
        self.trees: set[int] = set()
        self.claimed: set[int] = set()
        self._turns = 0

    async def run(self) -> None:
        """Write the whole script."""
        header = self.source.header
        self.write(
            f"PRAGMA encoding = '{ENCODINGS[header.encoding][1]}';\n"
            f"PRAGMA page_size = {header.page_size};\n"
            f"PRAGMA auto_vacuum = {int(header.auto_vacuum)};\n"
            "PRAGMA foreign_keys = OFF;\nBEGIN;\nPRAGMA writable_schema = ON;\n"
            f"PRAGMA user_version = {header.user_version};\n"
            f"PRAGMA application_id = {header.application_id};\n"
        )
        entries = [entry async for entry in self.entries()]
        tables = await self.make_tables(entries)
        for entry in tables:
            await self.rows_of(entry, await self.shape(entry.name), self.write)
        statistics = await self.statistics(entries)
        await self.claim_the_rest(entries)
        await self.lost_and_found({entry.name.lower() for entry in entries})
        await self.make_the_rest(entries)
        if statistics:
            self.write("ANALYZE sqlite_master;\nDELETE FROM sqlite_stat1;\n")
            self.write("".join(statistics))
        self.write("PRAGMA writable_schema = RESET;\nCOMMIT;\n")

    # -- pages

    async def read(self, number: int) -> bytes:
        """Return a page; "": there is none of this number, or it cannot be read."""
        self._turns += 1
        if self._turns % TURN == 0:
            await asyncio.sleep(0)
        return await self.source.read(number) if 1 <= number <= self.source.count else b""

    async def walk(self, root: int, kinds: tuple[int, int]) -> AsyncIterator[tuple[int, bytes]]:
        """Give the pages of a b-tree, as far as they are what they should be."""
        below = [root]
        while below:
            number = below.pop()
            page = b"" if number in self.trees else await self.read(number)
            if pages.kind(page, number) not in kinds:
                continue
            self.trees.add(number)
            self.claimed.add(number)
            yield number, page
            below += reversed(pages.children(page, number, self.usable))

    async def record(self, cell: Cell) -> list[Any] | None:
        """Return the values of a cell, wherever its payload goes on; None: it has none."""
        parts = [cell.local]
        missing = cell.size - len(cell.local)
        number, seen = cell.overflow, set[int]()
        while missing > 0 and number not in seen and number not in self.trees:
            page = await self.read(number)
            if not page:
                break
            seen.add(number)
            parts.append(page[4 : min(self.usable, 4 + missing)])
            missing -= len(parts[-1])
            number = int.from_bytes(page[:4], "big")
        self.claimed |= seen
        if cell.size < 0:
            return None
        return pages.record(b"".join(parts), cell.size, self.encoding)

    async def records(
        self, number: int, page: bytes
    ) -> AsyncIterator[tuple[int | None, list[Any]]]:
        """Give rowid and values of what a page holds."""
        for cell in pages.cells(page, number, self.usable):
            found = await self.record(cell)
            if found is not None:
                yield cell.rowid, found

    # -- the schema

    async def entries(self) -> AsyncIterator[Entry]:
        """Give what is left of the schema."""
        async for number, page in self.walk(1, TABLE_KINDS):
            async for _, found in self.records(number, page):
                kinds = [type(value) for value in found]
                if kinds[:4] == [str, str, str, int] and kinds[4:] in ([str], [type(None)]):
                    yield Entry(*found)

    async def make_tables(self, entries: list[Entry]) -> list[Entry]:
        """Write the statements that make tables and what is unique; return the tables."""
        tables = []
        for entry in entries:
            if entry.type != "table" or entry.sql is None or _VIRTUAL.match(entry.sql):
                continue
            if entry.name.lower() != "sqlite_sequence" and await self.make(entry):
                # The name in the statement counts: the other may be damaged.
                tables.append(entry._replace(name=await self.newest_table()))
        for entry in entries:
            if entry.type == "index" and entry.sql is not None and _UNIQUE.match(entry.sql):
                await self.make(entry)
        # Rows of the other tables change it, and one that counts rowids makes it.
        counted = await self.scratch.execute_fetchall(
            "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
        )
        tables += [entry for entry in entries if counted and entry.name == "sqlite_sequence"]
        return tables

    async def newest_table(self) -> str:
        """Return the name of the table that was made last."""
        ((name,),) = await self.scratch.execute_fetchall(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'sqlite_sequence'"
            " ORDER BY rowid DESC LIMIT 1"
        )
        return str(name)

    async def make(self, entry: Entry) -> bool:
        """Write what makes an object. What SQLite does not understand becomes a remark: False."""
        sql = entry.sql or ""
        if entry.name.lower().startswith("sqlite_"):
            return False
        try:
            await self.scratch.execute(sql)
        except (sqlite3.Error, ValueError) as error:
            remark = f"left out: {error}\n{sql}".replace("\0", "")
            self.write("".join(f"-- {line}\n" for line in remark.splitlines()))
            return False
        self.write(f"{sql};\n")
        return True

    async def make_the_rest(self, entries: list[Entry]) -> None:
        """Write what makes indexes, views, triggers and virtual tables."""
        for entry in entries:
            if entry.sql is None:
                continue
            if entry.type == "table" and _VIRTUAL.match(entry.sql):
                row = ", ".join(map(self.literal, ("table", entry.name, entry.table, 0, entry.sql)))
                self.write(f"INSERT INTO sqlite_schema VALUES({row});\n")
            elif entry.type in ("view", "trigger") or (
                entry.type == "index" and not _UNIQUE.match(entry.sql)
            ):
                await self.make(entry)

    async def claim_the_rest(self, entries: list[Entry]) -> None:
        """Claim the pages that hold nothing of their own: those of indexes, and what is free."""
        for entry in entries:
            if entry.type == "index":
                async for number, page in self.walk(entry.root, INDEX_KINDS):
                    async for _ in self.records(number, page):
                        pass
        trunk, seen = self.source.header.freelist, set[int]()
        while not self.options.freelist and trunk not in seen:
            page = await self.read(trunk)
            if not page:
                break
            seen.add(trunk)
            count = min(int.from_bytes(page[4:8], "big"), (self.usable - 8) // 4)
            seen.update(
                int.from_bytes(page[at : at + 4], "big") for at in range(8, 8 + 4 * count, 4)
            )
            trunk = int.from_bytes(page[:4], "big")
        self.claimed |= seen

    # -- rows

    async def rows_of(self, entry: Entry, shape: Shape, write: Callable[[str], object]) -> None:
        """Write the rows of a table."""
        if entry.name == "sqlite_sequence":
            write("DELETE FROM sqlite_sequence;\n")
        async for number, page in self.walk(entry.root, shape.kinds):
            async for rowid, found in self.records(number, page):
                write(self.insert(entry.name, shape, rowid, found))

    async def statistics(self, entries: list[Entry]) -> list[str]:
        """Return what inserts the findings of ANALYZE. What else SQLite keeps for itself is left out."""
        lines: list[str] = []
        for entry in entries:
            if entry.type == "table" and entry.name == "sqlite_stat1":
                await self.rows_of(entry, Shape(["tbl", "idx", "stat"]), lines.append)
            elif entry.type == "table" and entry.name.lower().startswith("sqlite_"):
                await self.rows_of(entry, Shape([]), lambda text: None)
        return lines

    def insert(self, table: str, shape: Shape, rowid: int | None, found: list[Any]) -> str:
        """Return the statement that inserts a row. What its record does not have gets its default."""
        names = []
        texts = []
        if rowid is not None and shape.rowid:
            names.append(shape.rowid)
            texts.append(str(rowid))
        for place, (name, value) in enumerate(zip(shape.columns, found)):
            if name is not None:
                names.append(quoted(name))
                texts.append(self.literal(rowid if place == shape.alias else value))
        if not names:
            return ""  # Nothing that a row could be made of.
        return (
            f"INSERT OR IGNORE INTO {quoted(table)}({', '.join(names)}) "
            f"VALUES({', '.join(texts)});\n"
        )

    async def shape(self, table: str) -> Shape:
        """Find out how the records of a table become rows, from the one that was made."""
        if table == "sqlite_sequence":
            return Shape(["name", "seq"])
        ask = self.scratch.execute_fetchall
        name = quoted(table)
        columns = list(await ask(f"PRAGMA table_xinfo({name})"))
        keys = [row for row in columns if row[5]]
        indexes = [row[1] for row in await ask(f"PRAGMA index_list({name})") if row[3] == "pk"]
        if indexes:
            keyed = list(await ask(f"PRAGMA index_xinfo({quoted(indexes[0])})"))
            # A table without rowids is what the index of its key is in others, which ends in the rowid.
            if all(row[1] >= 0 for row in keyed):
                generated = {row[1] for row in columns if row[6]}
                names = [None if row[2] in generated else row[2] for row in keyed]
                return Shape(names, kinds=INDEX_KINDS)
        stored = [None if row[6] else row[1] for row in columns if row[6] != 2]
        if len(keys) == 1 and keys[0][2].upper() == "INTEGER" and not indexes:
            return Shape(stored, alias=stored.index(keys[0][1]))
        taken = {row[1].lower() for row in columns}
        free = [word for word in ("_rowid_", "rowid", "oid") if word not in taken]
        return Shape(stored, rowid=free[0] if free and self.options.rowids else "")

    def literal(self, value: Any) -> str:
        """Return a value as SQL."""
        if isinstance(value, str) and "\0" in value and self.encoding != "utf-8":
            return f"CAST(X'{value.encode(self.encoding, 'replace').hex()}' AS TEXT)"
        return values.literal(value)

    # -- what belongs to no table

    async def lost_and_found(self, taken: set[str]) -> None:
        """Write a table with the rows of pages that no table has, if there are any."""
        roots = await self.orphans()
        most = 0
        for number in roots:
            page = await self.read(number)
            async for _, found in self.records(number, page):
                most = max(most, len(found))
        # Some have turned out to be where rows of others go on.
        left = [number for number in roots if number not in self.claimed]
        if not most or not left:
            return
        name, count = self.options.lost, 0
        while name.lower() in taken:
            name = f"{self.options.lost}_{count}"
            count += 1
        columns = "".join(f", c{i}" for i in range(most))
        self.write(
            f"CREATE TABLE {quoted(name)}"
            f"(rootpgno INTEGER, pgno INTEGER, nfield INTEGER, id INTEGER{columns});\n"
        )
        for number in left:
            async for rowid, found in self.records(number, await self.read(number)):
                row = [roots[number], number, len(found), rowid, *found]
                row += [None] * (most - len(found))
                self.write(
                    f"INSERT INTO {quoted(name)} VALUES({', '.join(map(self.literal, row))});\n"
                )

    async def orphans(self) -> dict[int, int]:
        """Return the pages of b-trees that nobody has claimed, each with the topmost one above it."""
        parents: dict[int, int] = {}
        found: list[int] = []
        for number in range(2, self.source.count + 1):
            if number in self.claimed:
                continue
            page = await self.read(number)
            if pages.kind(page, number):
                found.append(number)
                for child in pages.children(page, number, self.usable):
                    parents.setdefault(child, number)
        roots = {}
        for number in found:
            top, seen = number, {number}
            while parents.get(top, top) not in seen:
                top = parents[top]
                seen.add(top)
            roots[number] = top
        return roots


async def recover(
    source: PageSource, scratch: Connection, write: Callable[[str], object], options: Options
) -> None:
    """Write SQL that makes anew what can be read of a damaged database."""
    with suppress(sqlite3.Error):
        await scratch.execute(f"PRAGMA encoding = '{ENCODINGS[source.header.encoding][1]}'")
    await Recovery(source, scratch, write, options).run()
