"""The output modes and what each begins with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mode:
    """An output mode: what its separators are until the user says otherwise."""

    column_separator: str = "|"
    row_separator: str = "\n"
    # Names of columns are shown unless the user says otherwise.
    headers: bool = False
    # Read by programs: never anything but rows, whatever the statement is.
    machine: bool = False
    # A table that is drawn, which rich can do as well.
    drawn: bool = False


MODES = {
    "ascii": Mode("\x1f", "\x1e", machine=True),
    "box": Mode(headers=True, drawn=True),
    "column": Mode(headers=True),
    "csv": Mode(",", "\r\n", machine=True),
    "html": Mode(machine=True),
    "insert": Mode(machine=True),
    "json": Mode(machine=True),
    "line": Mode(),
    "list": Mode(),
    "markdown": Mode(headers=True),
    "qbox": Mode(headers=True, drawn=True),
    "quote": Mode(",", machine=True),
    "table": Mode(headers=True, drawn=True),
    "tabs": Mode("\t", machine=True),
    "tcl": Mode(" ", machine=True),
}


@dataclass
class Settings:
    """What dot-commands and options change."""

    mode: str = "list"
    column_separator: str = "|"
    row_separator: str = "\n"
    # None: what the mode says.
    headers: bool | None = None
    nullvalue: str = ""
    widths: list[int] = field(default_factory=list)
    insert_table: str = "table"
    wrap: int = 0
    wordwrap: bool = False
    quote: bool = False
    bail: bool = False
    echo: bool = False
    timer: bool = False
    changes: bool = False
    explain: str = "auto"
    eqp: bool = False
    # The next statement is not run, but looked at.
    expert: bool = False
    # "off", "on", "stmt" or "vmstep".
    stats: str = "off"
    prompt: str = "sqlite> "
    continuation: str = "   ...> "

    def set_mode(self, name: str) -> None:
        """Change the mode, and with it the separators and what was said about wrapping."""
        mode = MODES[name]
        self.mode = name
        self.column_separator = mode.column_separator
        self.row_separator = mode.row_separator
        self.quote = name == "qbox"
        self.wrap = 60 if name == "qbox" else 0
        self.wordwrap = False

    @property
    def shows_headers(self) -> bool:
        """Whether names of columns are shown."""
        return MODES[self.mode].headers if self.headers is None else self.headers
