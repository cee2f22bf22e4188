"""Whether another copy of SQLite in this process endangers what csqlite opens.

docs/two-sqlites.md tells the whole. A bundled SQLite on Linux guards its locks, and nothing of
this is asked for.
"""

import sqlite3
import warnings

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
