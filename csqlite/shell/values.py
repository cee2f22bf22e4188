"""Values as text: as SQLite writes them, as literals, as JSON, and how wide they are."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

from .._csqlite import SQLITE_KEYWORDS

_KEYWORDS = frozenset(SQLITE_KEYWORDS)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Characters that a terminal would act upon, but for those that lay out text.
_CONTROLS = {
    **{code: f"^{chr(code ^ 64)}" for code in [*range(32), 127] if chr(code) not in "\t\n"},
    **{code: f"\\x{code:02x}" for code in range(128, 160)},
}

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})

# As in SQLite's own shell: blanks and all that is not ASCII are reasons for quotes, too.
_CSV_SPECIAL = re.compile("[\x00-\x20\"'\x7f-\U0010ffff]")

_TCL = {
    **{code: f"\\{code:03o}" for code in range(256) if not 32 <= code < 127},
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}


def real(value: float) -> str:
    """Return a REAL in SQLite's form, in as few digits as read back as the same number."""
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0.0"
    mantissa, e, exponent = repr(value).partition("e")
    if exponent == "+16":
        return f"{value:.1f}"
    return mantissa + ("" if "." in mantissa else ".0") + e + exponent


def plain(value: Any, null: str = "") -> str:
    """Return a value as SQLite converts it to text; of a blob, what stands before a NUL."""
    if value is None:
        return null
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return real(value)
    if isinstance(value, bytes):
        return value.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return str(value)


def visible(text: str) -> str:
    """Return a text without the control characters that a terminal would act upon."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def literal(value: Any) -> str:
    """Return a value as an SQL literal that SQLite reads back as the same value."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        if "\0" in value:
            encoded = value.encode("utf-8", "surrogateescape").hex()
            return f"CAST(X'{encoded}' AS TEXT)"
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float):
        if math.isinf(value):
            return "9.0e+999" if value > 0 else "-9.0e+999"
        return repr(value)
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    return str(value)


def json_text(value: Any) -> str:
    """Return a value as JSON; a byte of a blob as the character of that number."""
    if isinstance(value, bytes):
        return json.dumps(value.decode("latin-1"))
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    if isinstance(value, str) and not value.isascii():
        # What is no UTF-8 in the database must not become an unreadable file.
        value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False)


def csv_text(text: str, separator: str) -> str:
    """Return a text as a field of CSV, in quotes where it needs them."""
    if text and not _CSV_SPECIAL.search(text) and separator not in text:
        return text
    return '"' + text.replace('"', '""') + '"'


def html_text(text: str) -> str:
    """Return a text as HTML."""
    return text.translate(_HTML)


def tcl_text(text: str) -> str:
    """Return a text as a string of Tcl or C."""
    octets = text.encode("utf-8", "surrogateescape").decode("latin-1")
    return f'"{octets.translate(_TCL)}"'


def identifier(name: str) -> str:
    """Return a name as SQL writes it, in quotes where it needs them."""
    if _IDENTIFIER.fullmatch(name) and name.upper() not in _KEYWORDS:
        return name
    return quoted(name)


def quoted(name: str) -> str:
    """Return a name in quotes."""
    return '"' + name.replace('"', '""') + '"'


def width(text: str) -> int:
    """Return how many columns of a terminal a line of text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def padded(text: str, columns: int, align: str = "<") -> str:
    """Return a line of text with blanks to a width; align: "<", ">" or "^"."""
    missing = columns - width(text)
    if missing <= 0:
        return text
    if align == ">":
        return " " * missing + text
    if align == "^":
        left = missing // 2
        return " " * left + text + " " * (missing - left)
    return text + " " * missing
