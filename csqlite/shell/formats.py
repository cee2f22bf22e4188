"""Output row by row: list, csv, json, line, insert and the others that need no widths.

A writer is made for one result, gets its rows in batches and is ended once. It keeps no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Callable, Protocol

from . import values
from .modes import Settings

Row = Sequence[Any]
Write = Callable[[str], object]


class Writer(Protocol):
    """What takes the rows of a result."""

    def rows(self, rows: Sequence[Row]) -> None:
        """Write rows, or keep them until there are enough to lay them out."""

    def end(self) -> None:
        """Write what is left and what closes the result."""


class RowWriter:
    """What the row-wise modes have in common. A mode says what its header and its rows are."""

    def __init__(
        self, write: Write, columns: Sequence[str], settings: Settings, clean: Callable[[str], str]
    ) -> None:
        # clean: what makes a text fit for where it goes.
        self.write = write
        self.columns = columns
        self.settings = settings
        self.clean = clean
        self.count = 0

    def rows(self, rows: Sequence[Row]) -> None:
        """See Writer."""
        if not rows:
            return
        text = "" if self.count else self.header()
        text += "".join([self.row(row, self.count + i) for i, row in enumerate(rows)])
        self.count += len(rows)
        self.write(text)

    def end(self) -> None:
        """See Writer."""

    def header(self) -> str:
        """Return what stands before the first row."""
        if not self.settings.shows_headers:
            return ""
        return self.line([self.heading(name) for name in self.columns])

    def heading(self, name: str) -> str:
        """Return the name of a column."""
        return self.field(name)

    def row(self, row: Row, number: int) -> str:
        """Return a row; the first one has the number 0."""
        return self.line([self.field(value) for value in row])

    def field(self, value: Any) -> str:
        """Return a value."""
        if isinstance(value, (str, bytes)):
            return self.clean(values.plain(value))
        return values.plain(value, self.settings.nullvalue)

    def line(self, fields: Iterable[str]) -> str:
        """Return fields as one line."""
        return self.settings.column_separator.join(fields) + self.settings.row_separator


class CsvWriter(RowWriter):
    """Fields in quotes where they need them."""

    def field(self, value: Any) -> str:
        """See RowWriter."""
        text = super().field(value)
        if value is None:
            return text
        return values.csv_text(text, self.settings.column_separator)


class QuoteWriter(RowWriter):
    """Literals of SQL."""

    def field(self, value: Any) -> str:
        """See RowWriter."""
        return self.clean(values.literal(value))


class TclWriter(RowWriter):
    """Strings of Tcl or C."""

    def field(self, value: Any) -> str:
        """See RowWriter."""
        return values.tcl_text(values.plain(value, self.settings.nullvalue))


class InsertWriter(RowWriter):
    """Statements that insert the rows into a table."""

    def header(self) -> str:
        """See RowWriter."""
        return ""

    def row(self, row: Row, number: int) -> str:
        """See RowWriter."""
        names = ""
        if self.settings.shows_headers:
            names = f"({','.join(map(values.identifier, self.columns))})"
        table = values.identifier(self.settings.insert_table)
        return f"INSERT INTO {table}{names} VALUES({','.join(map(self.field, row))});\n"

    def field(self, value: Any) -> str:
        """See RowWriter."""
        return self.clean(values.literal(value))


class LineWriter(RowWriter):
    """One line for each value, and an empty one between rows."""

    def header(self) -> str:
        """See RowWriter."""
        self.width = max(5, *map(values.width, self.columns))
        return ""

    def row(self, row: Row, number: int) -> str:
        """See RowWriter."""
        lines = [
            f"{values.padded(self.clean(name), self.width, '>')} = {self.field(value)}\n"
            for name, value in zip(self.columns, row)
        ]
        return ("\n" if number else "") + "".join(lines)


class HtmlWriter(RowWriter):
    """Rows of an HTML table."""

    def header(self) -> str:
        """See RowWriter."""
        if not self.settings.shows_headers:
            return ""
        cells = [f"<TH>{self.field(name)}</TH>\n" for name in self.columns]
        return f"<TR>{''.join(cells)}</TR>\n"

    def row(self, row: Row, number: int) -> str:
        """See RowWriter."""
        cells = [f"<TD>{self.field(value)}</TD>\n" for value in row]
        return f"<TR>{''.join(cells)}</TR>\n"

    def field(self, value: Any) -> str:
        """See RowWriter."""
        return values.html_text(super().field(value))


class JsonWriter(RowWriter):
    """One array of objects; an empty one where there are no rows."""

    def header(self) -> str:
        """See RowWriter."""
        self.keys = [values.json_text(name) + ":" for name in self.columns]
        return ""

    def row(self, row: Row, number: int) -> str:
        """See RowWriter."""
        members = [key + values.json_text(value) for key, value in zip(self.keys, row)]
        return (",\n{" if number else "[{") + ",".join(members) + "}"

    def end(self) -> None:
        """See Writer."""
        self.write("]\n" if self.count else "[]\n")


WRITERS: dict[str, type[RowWriter]] = {
    "ascii": RowWriter,
    "csv": CsvWriter,
    "html": HtmlWriter,
    "insert": InsertWriter,
    "json": JsonWriter,
    "line": LineWriter,
    "list": RowWriter,
    "quote": QuoteWriter,
    "tabs": RowWriter,
    "tcl": TclWriter,
}
