"""Dot-commands that show what is in a database."""

from __future__ import annotations

import os
import re
import sqlite3
from typing import Any

from ..values import name_like
from .command import COMMANDS, Command, options
from .errors import UsageError
from .session import Session
from .statements import qualified
from .values import identifier, quoted, width

LINE_WIDTH = 80

_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*\n?|/\*.*?\*/|\s+|.""", re.S)


async def schemas(session: Session) -> list[tuple[str, str]]:
    """Return the names and files of the databases, main first."""
    rows = await session.db.execute_fetchall("PRAGMA database_list")
    return [(row[1], row[2] or "") for row in rows]


async def objects(session: Session, schema: str) -> list[Any]:
    """Return type, name, tbl_name and sql of all that a database has, in the order it was made."""
    master = "sqlite_temp_master" if schema == "temp" else "sqlite_master"
    return await session.db.execute_fetchall(
        f"SELECT type, name, tbl_name, sql FROM {quoted(schema)}.{master} ORDER BY rowid"
    )


async def like(session: Session, pattern: str, names: list[str]) -> list[bool]:
    """Tell of each name whether it matches a pattern: of GLOB if it has such letters, else of LIKE."""
    test = "? GLOB lower(?)" if re.search(r"[*?\[]", pattern) else r"? LIKE ? ESCAPE '\'"
    found = []
    for name in names:
        ((matches,),) = await session.db.execute_fetchall(f"SELECT {test}", (name.lower(), pattern))
        found.append(bool(matches))
    return found


def in_columns(names: list[str]) -> str:
    """Return names in as many columns as a line takes, read downwards."""
    if not names:
        return ""
    column = max(map(width, names))
    per_line = max(1, LINE_WIDTH // (column + 2))
    height = (len(names) + per_line - 1) // per_line
    lines = []
    for first in range(height):
        cells = names[first::height]
        lines.append("  ".join(cell + " " * (column - width(cell)) for cell in cells))
    return "\n".join(lines) + "\n"


async def list_names(session: Session, kinds: tuple[str, ...], pattern: str, by: int) -> None:
    """Print the names of objects of some kinds. by: which field the pattern is for."""
    found = []
    for schema, _ in await schemas(session):
        prefix = "" if schema in ("main", "temp") else f"{schema}."
        rows = [row for row in await objects(session, schema) if row[0] in kinds]
        rows = [row for row in rows if not row[1].startswith("sqlite_") or "index" in kinds]
        if pattern:
            matches = await like(session, pattern, [row[by] for row in rows])
            rows = [row for row, matching in zip(rows, matches) if matching]
        found += [prefix + row[1] for row in rows]
    session.output.write(in_columns(sorted(found)))


async def tables(session: Session, arguments: list[str]) -> None:
    """List tables and views."""
    await list_names(session, ("table", "view"), arguments[0] if arguments else "", 1)


async def indexes(session: Session, arguments: list[str]) -> None:
    """List indexes."""
    await list_names(session, ("index",), arguments[0] if arguments else "", 2)


async def databases(session: Session, arguments: list[str]) -> None:
    """List the databases and their files."""
    for schema, file in await schemas(session):
        readonly = session.readonly if schema == "main" else False
        if file and not os.access(file, os.W_OK):
            readonly = True
        name = file or '""'
        session.output.write(f"{schema}: {name} {'r/o' if readonly else 'r/w'}\n")


async def schema(session: Session, arguments: list[str]) -> None:
    """Show the statements that make what matches a pattern."""
    given, rest = options(arguments, ["indent", "nosys"])
    if len(rest) > 1:
        raise UsageError
    pattern = rest[0] if rest else ""
    for database, _ in await schemas(session):
        rows = [row for row in await objects(session, database) if row[3]]
        if "nosys" in given:
            rows = [row for row in rows if not row[1].startswith("sqlite_")]
        if pattern:
            matches = await like(session, pattern, [row[2] for row in rows])
            rows = [row for row, matching in zip(rows, matches) if matching]
        for kind, name, _, sql in rows:
            shown = sql
            if database not in ("main", "temp"):
                shown = qualified(shown, database)
            if "indent" in given and kind == "table":
                shown = indented(shown)
            shown += await columns_of(session, database, kind, name, sql)
            session.output.write(session.output.cleaner()(shown) + ";\n")


async def columns_of(session: Session, database: str, kind: str, name: str, sql: str) -> str:
    """Return a comment with the columns of what does not name them: a view, a virtual table."""
    if kind != "view" and not re.match(r"CREATE\s+VIRTUAL", sql, re.I):
        return ""
    try:
        rows = await session.db.execute_fetchall(
            f"PRAGMA {quoted(database)}.table_info({quoted(name)})"
        )
    except sqlite3.Error:
        return ""  # A view of what is gone, a table of a module that is not there.
    columns = ",".join(identifier(row[1]) for row in rows)
    return f"\n/* {identifier(name)}({columns}) */" if rows else ""


def indented(sql: str) -> str:
    """Return CREATE TABLE with each column and constraint in a line of its own."""
    text, depth = "", 0
    for token in _TOKEN.findall(sql):
        if token == "(":
            depth += 1
            text += "(\n  " if depth == 1 else token
        elif token == ")":
            depth -= 1
            text = text.rstrip(" \n") + "\n)" if depth == 0 else text + token
        elif token == "," and depth == 1:
            text += ",\n  "
        elif token.isspace():
            text += "" if text.endswith((" ", "\n")) else " "
        else:
            text += token
    return text


async def dump(session: Session, arguments: list[str]) -> None:
    """Write SQL that makes the database anew, or what matches patterns."""
    write = session.output.write
    write("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")
    frame = {"PRAGMA foreign_keys=OFF;", "BEGIN TRANSACTION;", "COMMIT;"}
    patterns = [pattern for pattern in arguments if pattern]
    condition = name_like(*patterns, escape="\\")
    if arguments and not patterns:
        condition = "0"  # Nothing has an empty name.
    try:
        # One dump for all patterns: what several of them match is written once.
        cursor = await session.db._dump(condition)
        try:
            async for (line,) in cursor:
                if line not in frame:
                    write(line + "\n")
        finally:
            await cursor.close()
    except sqlite3.Error:
        write("ROLLBACK; -- due to errors\n")
        raise
    write("COMMIT;\n")


SCHEMA_DETAILS = """\
   --indent                Put each column and constraint in a line of its own
   --nosys                 Leave out what SQLite has made for itself"""

COMMANDS.add(
    Command("databases", databases, "List names and files of attached databases"),
    Command("dump", dump, "Render database content as SQL", "?PATTERN ...?", 0, None),
    Command("indexes", indexes, "Show names of indexes", "?TABLE?", 0, 1),
    Command(
        "schema",
        schema,
        "Show the CREATE statements matching PATTERN",
        "?--indent? ?--nosys? ?LIKE-PATTERN?",
        0,
        3,
        SCHEMA_DETAILS,
    ),
    Command("tables", tables, "List names of tables matching LIKE pattern", "?PATTERN?", 0, 1),
)
