"""Output with aligned columns: column, table, box, qbox, markdown.

Widths need rows. A result is laid out in pieces of at most PIECE_ROWS rows, so one of any length
takes little memory: where a later piece needs a wider column, a rule says so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

from . import values
from .formats import Row, Write
from .modes import Settings

PIECE_ROWS = 1000
PIECE_CHARACTERS = 1 << 20


class Frame(NamedTuple):
    """The characters around cells: of the three rules, left, line, crossing, right; of rows, one."""

    top: str
    middle: str
    bottom: str
    bar: str


FRAMES = {
    "table": Frame("+-++", "+-++", "+-++", "|"),
    "box": Frame("┌─┬┐", "├─┼┤", "└─┴┘", "│"),
    "qbox": Frame("┌─┬┐", "├─┼┤", "└─┴┘", "│"),
    "markdown": Frame("", "|-||", "", "|"),
}

# The lines of one cell, and those cells of one row.
Cell = list[str]


def wrapped(text: str, limit: int, words: bool) -> Cell:
    """Return a text as lines no longer than `limit` (0: as long as they are), at words or anywhere."""
    lines = []
    for line in text.expandtabs().split("\n"):
        if not limit or values.width(line) <= limit:
            lines.append(line)
        elif words:
            lines += textwrap.wrap(line, limit, drop_whitespace=False, break_on_hyphens=False)
        else:
            lines += [line[i : i + limit] for i in range(0, len(line), limit)]
    return lines


class TableWriter:
    """Lays rows out piece by piece. See formats.Writer."""

    def __init__(
        self, write: Write, columns: Sequence[str], settings: Settings, clean: Callable[[str], str]
    ) -> None:
        self.write = write
        self.settings = settings
        self.clean = clean
        self.columns = [clean(name).replace("\n", " ") for name in columns]
        asked = [*settings.widths, *[0] * len(columns)]
        self.aligns = [">" if asked[i] < 0 else "<" for i in range(len(columns))]
        self.widths = [
            max(abs(asked[i]), values.width(self.columns[i])) for i in range(len(columns))
        ]
        self.kept: list[list[Cell]] = []
        self.characters = 0
        self.begun = False

    def rows(self, rows: Sequence[Row]) -> None:
        """See Writer."""
        for row in rows:
            cells = [self.cell(value) for value in row]
            self.kept.append(cells)
            self.characters += sum(len(line) for cell in cells for line in cell)
            if len(self.kept) >= PIECE_ROWS or self.characters >= PIECE_CHARACTERS:
                self.flush()

    def end(self) -> None:
        """See Writer."""
        self.flush()
        if self.begun:
            self.write(self.rule("bottom"))

    def cell(self, value: Any) -> Cell:
        """Return the lines of a value."""
        null = self.settings.nullvalue
        text = values.literal(value) if self.settings.quote else values.plain(value, null)
        return wrapped(self.clean(text), self.settings.wrap, self.settings.wordwrap)

    def flush(self) -> None:
        """Write the rows that are kept."""
        if not self.kept:
            return
        before = list(self.widths)
        for cells in self.kept:
            for i, cell in enumerate(cells):
                self.widths[i] = max(self.widths[i], *map(values.width, cell))
        if not self.begun:
            text = [self.rule("top"), self.heading()]
        else:
            text = [self.rule("middle")] if self.widths != before and self.framed else []
        between = ""
        if any(len(cell) > 1 for cells in self.kept for cell in cells):
            between = self.between()
        lines = [self.row(cells) for cells in self.kept]
        if self.begun and between:
            text.append(between)
        text.append(between.join(lines))
        self.begun = True
        self.kept = []
        self.characters = 0
        self.write("".join(text))

    @property
    def framed(self) -> bool:
        """Whether there are rules between rows at all."""
        return self.settings.mode in ("table", "box", "qbox")

    def between(self) -> str:
        """Return what keeps rows apart that have several lines."""
        return self.rule("middle") if self.framed else ""

    def rule(self, which: str) -> str:
        """Return the top, middle or bottom rule; nothing where the mode has none."""
        rule: str = getattr(FRAMES[self.settings.mode], which)
        if not rule:
            return ""
        left, line, crossing, right = tuple(rule)
        return left + crossing.join(line * (width + 2) for width in self.widths) + right + "\n"

    def heading(self) -> str:
        """Return the names of the columns and the rule below."""
        names = [values.padded(name, width, "^") for name, width in zip(self.columns, self.widths)]
        return self.join(names) + self.rule("middle")

    def row(self, cells: Sequence[Cell]) -> str:
        """Return a row, which has as many lines as its highest cell."""
        if all(len(cell) == 1 for cell in cells):
            return self.join(
                [
                    values.padded(cell[0], width, align)
                    for cell, width, align in zip(cells, self.widths, self.aligns)
                ]
            )
        lines = []
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            lines.append(
                self.join(
                    [
                        values.padded(part, width, align)
                        for part, width, align in zip(parts, self.widths, self.aligns)
                    ]
                )
            )
        return "".join(lines)

    def join(self, cells: Sequence[str]) -> str:
        """Return one line of cells that have their width."""
        bar = FRAMES[self.settings.mode].bar
        return f"{bar} " + f" {bar} ".join(cells) + f" {bar}\n"


class ColumnWriter(TableWriter):
    """Columns that blanks keep apart, with dashes below their names."""

    def rule(self, which: str) -> str:
        """See TableWriter."""
        return ""

    def between(self) -> str:
        """See TableWriter."""
        return "\n"

    def heading(self) -> str:
        """See TableWriter."""
        if not self.settings.shows_headers:
            return ""
        names = [
            values.padded(name, width, align)
            for name, width, align in zip(self.columns, self.widths, self.aligns)
        ]
        return self.join(names) + self.join(["-" * width for width in self.widths])

    def join(self, cells: Sequence[str]) -> str:
        """See TableWriter."""
        return "  ".join(cells) + "\n"


class MarkdownWriter(TableWriter):
    """A table of Markdown, where a bar in a cell has to be escaped."""

    def cell(self, value: Any) -> Cell:
        """See TableWriter."""
        return [line.replace("|", "\\|") for line in super().cell(value)]
