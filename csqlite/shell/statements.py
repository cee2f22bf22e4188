"""SQL as text: where a statement ends, and which parameters it has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from sqlite3 import complete_statement

# What can begin something that hides a semicolon, and the semicolon; what ends each.
_OPENING = re.compile(r"""['"`\[;]|--|/\*""")
_CLOSING = {"'": "'", '"': '"', "`": "`", "[": "]", "--": "\n", "/*": "*/"}

_COMMENTS = re.compile(r"--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z)", re.DOTALL)

_CREATE = re.compile(
    r"(CREATE\s+(?:TABLE|VIEW|INDEX|UNIQUE\s+INDEX|TRIGGER|VIRTUAL\s+TABLE)\s+)(?!IF\s)", re.I
)

# What may look like a parameter and is none, or else a parameter.
_PARAMETER = re.compile(
    r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|\w[\w$]*|(\?\d*|[:@$]\w+)""",
    re.DOTALL,
)


# A text in quotes, a comment, or anything else.
_TOKEN = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?(?:\*/|\Z)|.[^'/-]*", re.DOTALL)

# What stands for a byte that is no UTF-8.
_STRAY = re.compile("[\udc80-\udcff]")

_BARE = re.compile(r"\s*(exit|help|quit)\s*;?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """A statement, without the blanks around it, and the number of the line it begins in."""

    sql: str
    line: int


def is_blank(text: str) -> bool:
    """Whether there is nothing but blanks and comments."""
    return not _COMMENTS.sub(" ", text).strip()


def is_complete(text: str) -> bool:
    """Whether SQLite takes what ends in a semicolon for a whole statement."""
    try:
        return complete_statement(text)
    except ValueError:
        return True  # It has a NUL in it, which is refused when it is executed.


class Splitter:
    """Cuts text that comes piece by piece into statements.

    Every character is looked at once, however many pieces a statement comes in; only a semicolon
    asks SQLite whether the statement is complete, which inside a trigger it is not.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        # What has been opened and not yet closed: a key of _CLOSING.
        self._open = ""
        self._blank = True
        self._first_line = 1
        # Whether a statement has begun, or a comment over several lines.
        self.pending = False

    def feed(self, text: str, line: int = 1) -> list[Statement]:
        """Take a piece, whose first line has this number; return the statements it completes."""
        found = []
        start = position = 0
        if not self._parts:
            self._first_line = line
        while position < len(text):
            if self._open:
                closing = _CLOSING[self._open]
                end = text.find(closing, position)
                if end < 0:
                    break
                position = end + len(closing)
                self._open = ""
                continue
            opening = _OPENING.search(text, position)
            if opening is None:
                break
            position = opening.end()
            if opening.group() != ";":
                self._open = opening.group()
                continue
            self._parts.append(text[start:position])
            start = position
            if is_complete("".join(self._parts)):
                found += self._take()
                self._first_line = line + text.count("\n", 0, position)
        self._parts.append(text[start:])
        self._look()
        return found

    def finish(self) -> list[Statement]:
        """Return what is left, which no semicolon has ended."""
        self._open = ""
        return self._take()

    def clear(self) -> None:
        """Forget what is left."""
        self._parts = []
        self._open = ""
        self._blank = True
        self.pending = False

    def ends_with(self, line: str) -> bool:
        """Whether a line of only `/` or `go` ends what has begun, as in other shells."""
        return (
            line.strip().lower() in ("/", "go")
            and not self._open
            and is_complete("".join(self._parts) + ";")
        )

    def _look(self) -> None:
        """Find out what has begun; blanks and whole comments before a statement are dropped."""
        if self._blank:
            self._blank = is_blank("".join(self._parts))
        if self._blank and not self._open:
            self._parts = []
        self.pending = not self._blank or self._open == "/*"

    def _take(self) -> list[Statement]:
        text = "".join(self._parts)
        self._parts = []
        self._blank = True
        self.pending = False
        if _COMMENTS.sub(" ", text).strip() in ("", ";"):
            return []
        begun = text.lstrip()
        skipped = text[: len(text) - len(begun)].count("\n")
        return [Statement(begun.rstrip(), self._first_line + skipped)]


def as_utf8(sql: str, wide: bool = False) -> str:
    """Return a statement as UTF-8 can write it, where strays stand for bytes that are no UTF-8.

    A text in quotes that has such bytes goes by them; in a comment they do not count. wide: the database
    has UTF-16, which cannot keep them: U+FFFD takes their place. ValueError: they stand elsewhere.
    """
    return _TOKEN.sub(lambda match: _token_as_utf8(match[0], wide), sql)


def _token_as_utf8(token: str, wide: bool) -> str:
    if not _STRAY.search(token):
        return token
    if token.startswith(("--", "/*")) or (wide and token.startswith("'")):
        return _STRAY.sub("\ufffd", token)
    if len(token) < 2 or not (token.startswith("'") and token.endswith("'")):
        raise ValueError("outside of texts in quotes SQL has to be UTF-8")
    encoded = token[1:-1].replace("''", "'").encode("utf-8", "surrogateescape")
    return f"(CAST(X'{encoded.hex()}' AS TEXT))"


def has_strays(text: str) -> bool:
    """Whether there are bytes in a text that are no UTF-8."""
    return not text.isascii() and _STRAY.search(text) is not None


def bare_command(text: str) -> str:
    """Return `exit`, `help` or `quit` if that is all there is, as other shells take it; else ""."""
    match = _BARE.fullmatch(text)
    return match[1].lower() if match else ""


def qualified(sql: str, schema: str) -> str:
    """Return a CREATE statement of a schema's table with the schema's name before that of the object."""
    return _CREATE.sub(lambda match: f"{match[1]}{schema}.", sql, count=1)


def parameters(sql: str) -> list[str]:
    """Return the parameters of a statement in order, as they are written: `?`, `?5`, `:name`."""
    return [match[1] for match in _PARAMETER.finditer(sql) if match[1]]


def first_word(sql: str) -> str:
    """Return the first word of a statement in capitals, also behind a comment."""
    match = re.match(r"\W*(\w+)", _COMMENTS.sub(" ", sql))
    return match[1].upper() if match else ""
