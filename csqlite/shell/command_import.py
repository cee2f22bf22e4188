"""`.import`: rows of a file into a table, which is made where it is not there."""

from __future__ import annotations

import asyncio
import csv
import sqlite3
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import NamedTuple, TextIO

from ..settling import settle
from .command import COMMANDS, Command, number
from .command_files import open_script
from .errors import CommandError, UsageError
from .modes import MODES
from .session import Session
from .values import quoted

DETAILS = """\
   --ascii                 Use \\037 and \\036 as column and row separators
   --csv                   Use , and \\n as column and row separators
   --skip N                Skip the first N lines of input
   --schema S              Target table to be S.TABLE
   -v                      Say what is done
   If TABLE does not exist, it is created: the first row of input names its columns.
   Without --ascii or --csv the separators are those of the output mode.
   If FILE begins with "|", it is a command that prints the input."""

# Rows are inserted so many at once, in one step.
BATCH_ROWS = 1000
BATCH_CHARACTERS = 1 << 20


class Plan(NamedTuple):
    """What `.import` is asked for."""

    file: str
    table: str
    column_separator: str
    row_separator: str
    skip: int
    schema: str
    verbose: bool


class Record(NamedTuple):
    """The fields of a row, and the number of the line in which it begins."""

    fields: list[str]
    line: int


def read_arguments(session: Session, arguments: list[str]) -> Plan:
    """Return what the words of a command ask for; UsageError."""
    settings = session.settings
    separators = settings.column_separator, settings.row_separator
    skip, schema, verbose = 0, "main", False
    rest = []
    words = iter(arguments)
    for word in words:
        option = word.lstrip("-") if word.startswith("-") else ""
        if option in ("ascii", "csv"):
            mode = MODES[option]
            separators = mode.column_separator, mode.row_separator
        elif option in ("skip", "schema"):
            value = next(words, None)
            if value is None:
                raise UsageError(f"Error: missing argument on {word}")
            if option == "skip":
                skip = number(value, least=0)
            else:
                schema = value
        elif option == "v":
            verbose = True
        elif word.startswith("-"):
            raise UsageError(f"Error: unknown option: {word}")
        else:
            rest.append(word)
    if len(rest) != 2:
        raise UsageError
    if len(separators[0]) != 1:
        raise CommandError("Error: .import needs a column separator of one character")
    return Plan(rest[0], rest[1], *separators, skip, schema, verbose)


def records(file: TextIO, plan: Plan) -> Iterator[Record]:
    """Give the rows of a file; CommandError where it cannot be read."""
    try:
        if plan.row_separator == MODES["ascii"].row_separator:
            for row, text in enumerate(file.read().split(plan.row_separator), plan.skip + 1):
                if text:
                    yield Record(text.split(plan.column_separator), row)
            return
        reader = csv.reader(file, delimiter=plan.column_separator)
        line = plan.skip + 1
        for fields in reader:
            # An empty line is a row of one empty field.
            yield Record(fields or [""], line)
            line = plan.skip + reader.line_num + 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise CommandError(f"Error: cannot read {plan.file}: {error}") from error


def unique_names(names: list[str]) -> list[str]:
    """Return names for columns: a blank one is `?`, and those that occur twice get numbers."""
    names = [name.strip() or "?" for name in names]
    often = Counter(name.lower() for name in names)
    counted: Counter[str] = Counter()
    found = []
    for name in names:
        if often[name.lower()] > 1:
            counted[name.lower()] += 1
            found.append(f"{name}_{counted[name.lower()]}")
        else:
            found.append(name)
    return found


async def to_its_end(work: Coroutine[object, object, None]) -> None:
    """Await what cleans up. Another Ctrl-C meanwhile does not stop it."""
    task = asyncio.ensure_future(work)
    await settle(task)
    task.result()


class Import:
    """One import under way."""

    def __init__(self, session: Session, plan: Plan) -> None:
        self.session = session
        self.plan = plan
        self.table = f"{quoted(plan.schema)}.{quoted(plan.table)}"
        self.columns = 0
        self.inserted = 0
        self.failed = 0

    async def run(self, rows: Iterator[Record]) -> None:
        """Insert all rows, in one transaction of their own if none is open."""
        db = self.session.db
        await self.find_table(rows)
        begun = not db.in_transaction
        try:
            await self.execute("BEGIN" if begun else "SAVEPOINT import")
            await self.insert_all(rows)
            await self.execute("COMMIT" if begun else "RELEASE import")
        except BaseException:
            await to_its_end(self.undo(begun))
            raise

    async def undo(self, begun: bool) -> None:
        """Leave nothing of the import behind, however far it has come."""
        if not self.session.db.in_transaction:
            return
        with suppress(sqlite3.Error):  # No such savepoint: it was not made any more.
            if begun:
                await self.session.db.rollback()
            else:
                await self.execute("ROLLBACK TO import")
                await self.execute("RELEASE import")

    async def execute(self, sql: str) -> None:
        """Execute a statement that gives nothing."""
        await (await self.session.db.execute(sql)).close()

    async def find_table(self, rows: Iterator[Record]) -> None:
        """Count the columns of the table, and make it first if need be."""
        found = await self.describe()
        if not found:
            first = next(rows, None)
            if first is None:
                raise CommandError(f"{self.plan.file}: empty file")
            names = unique_names(first.fields)
            if names != [name.strip() for name in first.fields]:
                renamed = ", ".join(map(quoted, names))
                self.session.tell(f"Columns of {self.plan.file} renamed: {renamed}\n")
            columns = ", ".join(f"{quoted(name)} TEXT" for name in names)
            await self.execute(f"CREATE TABLE {self.table}(\n{columns})")
            found = len(names)
        self.columns = found

    async def describe(self) -> int:
        """Return how many columns the table has; 0: there is none."""
        schema, table = map(quoted, (self.plan.schema, self.plan.table))
        return len(
            list(await self.session.db.execute_fetchall(f"PRAGMA {schema}.table_info({table})"))
        )

    def fitted(self, record: Record) -> list[str | None]:
        """Return as many fields as the table has columns, and say what is wrong with others."""
        fields: list[str | None] = list(record.fields)
        have, want = len(fields), self.columns
        if have == want:
            return fields
        where = f"{self.plan.file}:{record.line}: expected {want} columns but found {have} - "
        if have < want:
            self.session.tell(where + "filling the rest with NULL\n")
            return fields + [None] * (want - have)
        self.session.tell(where + "extras ignored\n")
        return fields[:want]

    async def insert_all(self, rows: Iterator[Record]) -> None:
        """Insert batch by batch."""
        batch: list[tuple[list[str | None], int]] = []
        size = 0
        for record in rows:
            batch.append((self.fitted(record), record.line))
            size += sum(map(len, record.fields))
            if len(batch) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
                await self.insert(batch)
                batch, size = [], 0
        await self.insert(batch)

    async def insert(self, batch: list[tuple[list[str | None], int]]) -> None:
        """Insert a batch at once; row by row if one of them is refused, to tell which."""
        if not batch:
            return
        db = self.session.db
        sql = f"INSERT INTO {self.table} VALUES ({','.join('?' * self.columns)})"
        await self.execute("SAVEPOINT batch")
        try:
            await (await db.executemany(sql, [fields for fields, _ in batch])).close()
            self.inserted += len(batch)
        except sqlite3.Error:
            if not db.in_transaction:
                raise  # SQLite has rolled everything back: the disk is full, for instance.
            await self.execute("ROLLBACK TO batch")
            for fields, line in batch:
                await self.insert_one(sql, fields, line)
        await self.execute("RELEASE batch")

    async def insert_one(self, sql: str, fields: list[str | None], line: int) -> None:
        """Insert one row, or say why it cannot be."""
        db = self.session.db
        try:
            await (await db.execute(sql, fields)).close()
            self.inserted += 1
        except sqlite3.Error as error:
            if not db.in_transaction:
                raise
            self.failed += 1
            self.session.fail(f"{self.plan.file}:{line}: INSERT failed: {error}")


async def import_file(session: Session, arguments: list[str]) -> None:
    """Insert the rows of a file into a table."""
    plan = read_arguments(session, arguments)
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with open_script(plan.file) as file:
            file.reconfigure(newline="", errors="strict")  # type: ignore[attr-defined]
            for _ in range(plan.skip):
                if not file.readline():
                    break
            work = Import(session, plan)
            if plan.verbose:
                session.output.write(
                    f"Column separator {plan.column_separator!r}, "
                    f"row separator {plan.row_separator!r}\n"
                )
            await work.run(records(file, plan))
    finally:
        csv.field_size_limit(limit)
    if plan.verbose:
        session.output.write(f"Added {work.inserted} rows with {work.failed} errors\n")


COMMANDS.add(
    Command(
        "import", import_file, "Import data from FILE into TABLE", "FILE TABLE", 0, None, DETAILS
    )
)
