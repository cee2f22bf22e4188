"""The words that completion offers: keywords, functions, names of the schema, dot-commands."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from typing import TYPE_CHECKING

from .._csqlite import SQLITE_KEYWORDS
from .modes import MODES
from .values import identifier, quoted

if TYPE_CHECKING:
    from ..core import Connection

# How long asking for names may take, in seconds: the database may be locked.
PATIENCE = 0.2

_WORD = re.compile(r"[\w$.]*\Z")
_TABLE = re.compile(
    r'\b(?:from|join|into|update|table)\s+("(?:[^"]|"")+"|[\w.]+)(?:\s+(?:as\s+)?(\w+))?', re.I
)


class Vocabulary:
    """Knows what can come next. commands: the names of the dot-commands."""

    def __init__(self, commands: list[str]) -> None:
        self._commands = sorted(commands)
        self._tables: dict[str, list[str]] = {}
        self._functions: list[str] = []
        self._db: Connection | None = None
        self._version: object = None

    async def refresh(self, db: Connection) -> None:
        """Learn the names anew if the schema has changed, unless that would have to wait."""
        # Reading inside a transaction would be the transaction's first read.
        if db.in_transaction:
            return
        try:
            await asyncio.wait_for(self._learn(db), PATIENCE)
        except (sqlite3.Error, asyncio.TimeoutError):
            return

    async def _learn(self, db: Connection) -> None:
        schemas = [row[1] for row in await db.execute_fetchall("PRAGMA database_list")]
        version = [
            (schema, await db.execute_fetchall(f"PRAGMA {quoted(schema)}.schema_version"))
            for schema in schemas
        ]
        if db is self._db and version == self._version:
            return
        tables: dict[str, list[str]] = {}
        for schema in schemas:
            rows = await db.execute_fetchall(
                f"SELECT name FROM {quoted(schema)}.sqlite_master WHERE type IN ('table', 'view')"
            )
            for (name,) in rows:
                columns = await db.execute_fetchall(
                    f"PRAGMA {quoted(schema)}.table_info({quoted(name)})"
                )
                tables[name] = [column[1] for column in columns]
        if not self._functions:
            rows = await db.execute_fetchall("SELECT DISTINCT name FROM pragma_function_list")
            self._functions = sorted(name for (name,) in rows if name.isidentifier())
        self._tables = tables
        self._db = db
        self._version = version

    def complete(self, before: str, text: str) -> tuple[int, list[str]]:
        """Return how many characters before the cursor are replaced, and what may replace them.

        before: the line up to the cursor. text: all that is known of the statement.
        """
        if before.lstrip().startswith("."):
            return self._complete_command(before.lstrip())
        match = _WORD.search(before)
        word = match.group() if match else ""
        owner, dot, start = word.rpartition(".")
        if dot:
            return len(start), self._matching(start, self._columns_of(owner, text))
        if not word:
            return 0, []
        mentioned = [name for table, _ in _TABLE.findall(text) for name in self._columns(table)]
        names = [identifier(name) for name in [*mentioned, *self._tables]]
        keywords = (
            sorted(SQLITE_KEYWORDS) if word.isupper() else sorted(map(str.lower, SQLITE_KEYWORDS))
        )
        functions = [name + "(" for name in self._functions]
        others = [identifier(name) for columns in self._tables.values() for name in columns]
        return len(word), self._matching(word, [*names, *keywords, *functions, *others])

    def _complete_command(self, before: str) -> tuple[int, list[str]]:
        words = before.split(" ")
        if len(words) == 1:
            return len(before), self._matching(before, ["." + name for name in self._commands])
        candidates = list(MODES) if words[0] == ".mode" else list(self._tables)
        if words[0] in (".open", ".read", ".backup", ".restore", ".save", ".load", ".output"):
            candidates = []
        return len(words[-1]), self._matching(words[-1], candidates)

    def _columns(self, table: str) -> list[str]:
        """Return the columns of a table as it is written in SQL, with its schema or without."""
        name = table.rpartition(".")[2].strip('"').replace('""', '"').lower()
        for known, columns in self._tables.items():
            if known.lower() == name:
                return columns
        return []

    def _columns_of(self, owner: str, text: str) -> list[str]:
        """Return the columns of a table, or of what a statement calls by this name."""
        columns = self._columns(owner)
        for table, alias in _TABLE.findall(text):
            if alias.lower() == owner.lower():
                columns = self._columns(table)
        return [identifier(name) for name in columns]

    @staticmethod
    def _matching(start: str, candidates: list[str]) -> list[str]:
        """Return those that begin alike, each once, in the order in which they came."""
        lowered = start.lower()
        return list(dict.fromkeys(c for c in candidates if c.lower().startswith(lowered)))
