"""How large the write-ahead log of a database is: by stat(), since opening a file of SQLite's and
closing it again would take away the locks that this process has on it."""

import os
from typing import Optional

from ..core import Connection

_HEADER = 32  # Bytes, of the log.
_FRAME_HEADER = 24  # Bytes, of each page in it.


class Wal:
    """The log of the database that a connection has open, if it has one."""

    def __init__(self) -> None:
        self._path: Optional[str] = None
        self._frame = 4096 + _FRAME_HEADER

    async def find(self, db: Connection) -> None:
        """Ask a connection where its database is."""
        for _, name, path in await db.execute_fetchall("PRAGMA database_list"):
            if name == "main" and path:
                self._path = path + "-wal"
        ((size,),) = await db.execute_fetchall("PRAGMA page_size")
        self._frame = size + _FRAME_HEADER

    def bytes(self) -> int:
        """Return how long the file is: 0 where there is none."""
        if self._path is None:
            return 0
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def pages(self) -> int:
        """Return for how many pages the file has room."""
        return max(0, self.bytes() - _HEADER) // self._frame
