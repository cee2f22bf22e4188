"""What an exception says beside its message: the SQL, the place in it, the row, the file.

Messages are those of `sqlite3`, which programs compare. What helps whoever reads a traceback
stands in notes (PEP 678), which tracebacks show since Python 3.11; before, they stand in
`__notes__` all the same. The extension calls explain() when it has raised something, and never
else.
"""

import os
import sys
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from types import CodeType

SHOWN = 200  # How much of the SQL stands in a note …
WIDTH = 72  # … of the line that the caret is under …
EXCERPT = 60  # … and in a repr().


class _Switch:
    on = True


def enable_error_notes(flag: bool, /) -> None:
    """Let exceptions carry SQL and paths in their notes (the default), or not.

    For who writes tracebacks to where no SQL may stand: repr() of cursors, DeadlineExceeded and the
    warning of a half-read cursor leave it out, too.
    Values of parameters are never shown. It is a setting of the interpreter, for all
    connections.
    """
    _Switch.on = bool(flag)


def explain(
    error: BaseException,
    sql: Optional[str],
    offset: int = -1,
    start: int = 0,
    row: int = -1,
    database: Any = None,
) -> None:
    """Add notes to `error`.

    sql: what was executed. offset: where in its UTF-8 SQLite has stopped. start: where the
    statement begins that was executed last. row: which of executemany()'s was. database: what
    has a location(), when the file may be to blame.
    """
    if row >= 0:
        error.row_index = row  # type: ignore[attr-defined]
    if not _Switch.on:
        return
    if isinstance(sql, str):
        add(error, _about_sql(sql.encode("utf-8", "replace"), offset, start))
    if row >= 0:
        add(error, f"executemany() was at row {row}, counted from 0")
    if database is not None and hasattr(database, "location"):
        name_file(error, database.location())


def explain_lock(
    error: BaseException,
    seconds: float,
    sql: bytes,
    process: int,
    read: int = False,
    circle: int = False,
    reader: int = False,
) -> None:
    """Say who has the lock that `error` was waiting for, as notes and attributes.

    seconds: for how long a connection of this process has had it, negative: none has. sql: what that has begun
    with, or what a connection of this process reads, in UTF-8, perhaps cut short. process: the other process that
    has it, 0: not known.
    read: nobody was waited for, because the transaction has read. circle: … because who has the lock
    waits for this connection. reader: it reads, and a commit waits for it.
    """
    ours = seconds >= 0
    text = sql.decode("utf-8", "ignore")
    error.lock_process = os.getpid() if ours else process or None  # type: ignore[attr-defined]
    error.lock_seconds = seconds if ours else None  # type: ignore[attr-defined]
    error.lock_sql = text if ours or text else None  # type: ignore[attr-defined]
    if not _Switch.on:
        return
    short = _shortened(" ".join(text.split()), EXCERPT)
    if ours:
        add(error, f"another connection of this process has the lock for {seconds:.3f} s: {short}")
    elif process:
        who = "this process itself" if process == os.getpid() else f"process {process}"
        what = "reads, and keeps others from committing" if reader else "has the lock"
        add(error, f"{who} {what}: {short}" if short else f"{who} {what}")
    if circle:
        add(error, "it waits for this connection, which was therefore not kept waiting: a deadlock")
    if read:
        add(error, "the transaction has read before, so it was not waited: try BEGIN IMMEDIATE")


def add(error: BaseException, note: str) -> None:
    """Add one note, once: an exception may be raised again."""
    notes = getattr(error, "__notes__", None)
    if notes is not None and note in notes:
        return
    if hasattr(error, "add_note"):
        error.add_note(note)
    elif isinstance(notes, list):
        notes.append(note)
    else:
        error.__notes__ = [note]  # type: ignore[attr-defined]


def name_file(error: BaseException, path: str) -> None:
    """Say which file could not be opened, where SQLite's message does not."""
    if not _Switch.on or "unable to open database file" not in str(error):
        return
    note = f"the file is {path!r}"
    if path and not path.startswith((":memory:", "file:")) and not os.path.isabs(path):
        note += f", looked for in {_directory()}"
    add(error, note)


def excerpt(sql: Any) -> str:
    """Return the start of SQL in quotes, for repr(); nothing where it is not to be shown."""
    if not _Switch.on or not isinstance(sql, str):
        return ""
    return repr(_shortened(" ".join(sql[: 4 * EXCERPT].split()), EXCERPT))


def beginning(sql: Any) -> str:
    """Return the start of SQL, for a message; nothing where it is not to be shown."""
    return _shortened(sql, SHOWN) if _Switch.on and isinstance(sql, str) else ""


def line_of(code: "CodeType", instruction: int) -> int:
    """Return the line of an instruction of `code`."""
    if sys.version_info >= (3, 10):
        for start, end, number in code.co_lines():
            if start <= instruction < end and number is not None:
                return number
    else:
        from dis import findlinestarts

        return max((line for start, line in findlinestarts(code) if start <= instruction))
    return code.co_firstlineno


def _directory() -> str:
    try:
        return repr(os.getcwd())
    except OSError:
        return "a directory that is gone"


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length].rstrip() + "…"


def _about_sql(sql: bytes, offset: int, start: int) -> str:
    """Return the statement, and, where SQLite has stopped, the line with a caret below it."""
    statement = sql[start:].decode("utf-8", "replace").strip()
    if not 0 <= offset <= len(sql):
        return f"SQL: {_shortened(statement, SHOWN)}"
    begin = sql.rfind(b"\n", 0, offset) + 1
    before = sql[begin:offset].decode("utf-8", "replace")
    after = sql[offset:].decode("utf-8", "replace").partition("\n")[0].rstrip()
    pointed = _pointed(before, after)
    if "\n" not in statement and not start:
        return "SQL: " + pointed.replace("\n", "\n     ")
    number = sql.count(b"\n", 0, begin) + 1
    return f"SQL: {_shortened(statement, SHOWN)}\nat line {number}:\n{pointed}"


def _pointed(before: str, after: str) -> str:
    """Return a line that is cut where it is long, and a caret below the first of `after`."""
    before = _printable(before).lstrip()
    after = _printable(after)
    half = WIDTH // 2
    if len(before) + len(after) > 2 * WIDTH:
        if len(before) > half:
            before = "…" + before[-half:]
        after = _shortened(after, half)
    return f"{before}{after}\n{' ' * _columns(before)}^"


def _printable(text: str) -> str:
    """Return a line in which each character that is no visible one is a space."""
    from unicodedata import category

    return "".join(character if category(character)[0] not in "CZ" else " " for character in text)


def _columns(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        for character in text
    )
