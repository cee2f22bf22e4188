"""What the sqlite3 module's copy of SQLite means for csqlite, which has another.

It may endanger the files that csqlite opens: docs/two-sqlites.md tells the whole. A bundled
SQLite on Linux guards its locks, and nothing of that is asked for.

And it may have been compiled to do something else by itself than csqlite's. What a connection
can be told when it is opened, a connection of csqlite is told, so that a program which comes
from aiosqlite finds what it had; docs/compat.md lists the rest.
"""

import sqlite3
import warnings
from typing import Optional

from . import _csqlite

_MESSAGE = (
    "csqlite and the sqlite3 module use two copies of SQLite ({ours} and {theirs}), and on this "
    "system these do not see each other's locks: opening one file with both in one process can "
    "damage it. Use one of them for a file, or see docs/two-sqlites.md"
)


def _source_id_of_sqlite3() -> str:
    """Return what sqlite3's copy of SQLite was made from."""
    connection = sqlite3.connect(":memory:")
    try:
        (source_id,) = connection.execute("SELECT sqlite_source_id()").fetchone()
    finally:
        connection.close()
    return str(source_id)


def are_two() -> bool:
    """Return whether there are two copies that do not see each other's locks.

    Where csqlite is linked with the system's library, two libraries made from the same source
    are taken for one: that is what a distribution's Python has.
    """
    state = _csqlite._vfs_state()
    if state == "shared":
        return _source_id_of_sqlite3() != _csqlite._source_id()
    return state == "exposed"


class Guard:
    """Warns once when a file is opened, if there is anything to warn of."""

    def __init__(self) -> None:
        self.needed = _csqlite._vfs_state() != "guarded"

    def opening(self, path: str, uri: bool) -> None:
        """Emit a RuntimeWarning for the first path that is a file's."""
        if path in ("", ":memory:") or (uri and "mode=memory" in path):
            return
        self.needed = False
        if are_two():
            warnings.warn(
                _MESSAGE.format(ours=_csqlite.sqlite_version, theirs=sqlite3.sqlite_version),
                RuntimeWarning,
                stacklevel=2,
            )


# Settings that builds of SQLite choose differently, and what csqlite's own has by itself.
_PRAGMAS = {
    "secure_delete": {"SECURE_DELETE": 1, "FAST_SECURE_DELETE": 2},
    "foreign_keys": {"DEFAULT_FOREIGN_KEYS=1": 1},
    "recursive_triggers": {"DEFAULT_RECURSIVE_TRIGGERS=1": 1},
}

# Values that are set by another word than they are told by.
_WORDS = {("secure_delete", 2): "fast"}

# Names no file, wherever it is looked for, and as a URI is wrong in itself.
_NO_FILE = "file:///dev/null/nothing?mode=none"


def _reads_uris() -> bool:
    """Return whether sqlite3 takes "file:..." for a URI without uri=True."""
    try:
        sqlite3.connect(_NO_FILE).close()
    except sqlite3.Error as error:
        return "mode: none" in str(error)
    return False


def _settings() -> str:
    """Return the SQL that sets what sqlite3's connections have; "" where csqlite's have the same."""
    statements = []
    connection = sqlite3.connect(":memory:")
    try:
        for name, values in _PRAGMAS.items():
            row = connection.execute(f"PRAGMA {name}").fetchone()
            own = [value for option, value in values.items() if option in _csqlite.compile_options]
            if row is not None and row[0] != sum(own):
                value = _WORDS.get((name, row[0]), row[0])
                statements.append(f"PRAGMA {name} = {value};")
    finally:
        connection.close()
    return "".join(statements)


class Habits:
    """How to open a connection that behaves as sqlite3's; asked when the first one is opened."""

    def __init__(self) -> None:
        self._known: Optional[tuple[int, Optional[str]]] = None

    def ask(self) -> tuple[int, Optional[str]]:
        """Return flags for sqlite3_open_v2(), and SQL to be run first, None if there is none."""
        if self._known is None:
            flags = _csqlite.SQLITE_OPEN_URI if _reads_uris() else 0
            self._known = (flags, _settings() or None)
        return self._known
