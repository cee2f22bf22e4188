"""Tables as rich draws them: for a terminal, where rich is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, Callable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import values
from .formats import Row
from .modes import Settings
from .tables import PIECE_CHARACTERS, PIECE_ROWS

BOXES = {"table": box.ASCII2, "box": box.SQUARE, "qbox": box.SQUARE}


class RichWriter:
    """Draws rows piece by piece, each a table with a head of its own. See formats.Writer."""

    def __init__(
        self,
        stream: IO[str],
        columns: Sequence[str],
        settings: Settings,
        clean: Callable[[str], str],
    ) -> None:
        self.console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self.columns = columns
        self.settings = settings
        self.clean = clean
        self.kept: list[Row] = []
        self.characters = 0

    def rows(self, rows: Sequence[Row]) -> None:
        """See Writer."""
        for row in rows:
            self.kept.append(row)
            self.characters += sum(len(v) for v in row if isinstance(v, (str, bytes)))
            if len(self.kept) >= PIECE_ROWS or self.characters >= PIECE_CHARACTERS:
                self.flush()

    def end(self) -> None:
        """See Writer."""
        self.flush()

    def flush(self) -> None:
        """Draw the rows that are kept."""
        if not self.kept:
            return
        table = Table(
            box=BOXES[self.settings.mode],
            show_header=self.settings.shows_headers,
            header_style="bold",
            show_lines=any("\n" in v for row in self.kept for v in row if isinstance(v, str)),
        )
        for i, name in enumerate(self.columns):
            numeric = all(isinstance(row[i], (int, float, type(None))) for row in self.kept)
            table.add_column(
                Text(self.clean(name)),
                justify="right" if numeric else "left",
                overflow="fold",
                min_width=self.width(i),
                max_width=self.settings.wrap or None,
            )
        for row in self.kept:
            table.add_row(*map(self.cell, row))
        self.kept = []
        self.characters = 0
        self.console.print(table)

    def width(self, i: int) -> int | None:
        """Return how wide column i has to be at least."""
        return abs(self.settings.widths[i]) or None if i < len(self.settings.widths) else None

    def cell(self, value: Any) -> Text:
        """Return a value; what is no text of the database is dim."""
        if value is None:
            return Text(self.settings.nullvalue or "NULL", style="dim")
        text = values.literal(value) if self.settings.quote else values.plain(value)
        return Text(self.clean(text).expandtabs())
