"""Where the pages of a damaged database come from: SQLite as far as it can, else the file itself."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from .errors import CommandError
from .pages import INTERIOR, Header, kind, read_header

if TYPE_CHECKING:
    from ..core import Connection

# How many pages are looked at to find out how large they are.
SAMPLE = 1000

# The sizes that pages may have, the usual one first.
SIZES = (4096, 1024, 8192, 2048, 16384, 32768, 65536, 512)


class PageSource(Protocol):
    """Gives pages by their numbers, from 1 to `count`."""

    header: Header
    count: int

    async def read(self, number: int) -> bytes:
        """Return a page, of full length; "": it cannot be read."""


class VirtualPages:
    """Pages from SQLite's table sqlite_dbpage, which is in some builds. One at a time is in memory."""

    def __init__(self, db: Connection, header: Header, count: int) -> None:
        self._db = db
        self.header = header
        self.count = count

    async def read(self, number: int) -> bytes:
        """See PageSource."""
        with suppress(sqlite3.Error):
            for (page,) in await self._db.execute_fetchall(
                "SELECT data FROM sqlite_dbpage('main') WHERE pgno = ?", (number,)
            ):
                if isinstance(page, bytes) and len(page) == self.header.page_size:
                    return page
        return b""


class Snapshot:
    """Pages of a database that is in memory as a whole."""

    def __init__(self, data: bytes, header: Header) -> None:
        self._data = data
        self.header = header
        self.count = len(data) // header.page_size

    async def read(self, number: int) -> bytes:
        """See PageSource."""
        size = self.header.page_size
        return self._data[(number - 1) * size : number * size]


class FilePages:
    """Pages of a file that SQLite takes for no database: without its log, whose pages are lost."""

    def __init__(self, path: str) -> None:
        try:
            self._file = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise CommandError(f'Error: cannot open "{path}"') from error
        header = read_header(self._file.read(100))
        if header is None:
            size = self._guess()
            header = Header(size, 0, 0, False, 1, 0, 0)
        self.header = header
        self.count = os.fstat(self._file.fileno()).st_size // header.page_size

    def _guess(self) -> int:
        """Return how large pages probably are: where most of the file looks like pages of b-trees."""
        self._file.seek(0)
        start = self._file.read(SAMPLE * SIZES[0])
        covered = {
            size: size
            * sum(
                _is_full_page(start[at : at + size]) for at in range(0, len(start) - size + 1, size)
            )
            for size in SIZES
        }
        return max(SIZES, key=lambda size: covered[size])

    async def read(self, number: int) -> bytes:
        """See PageSource."""
        size = self.header.page_size
        with suppress(OSError):
            self._file.seek((number - 1) * size)
            page = self._file.read(size)
            return page if len(page) == size else b""
        return b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _is_full_page(page: bytes) -> bool:
    """Whether this is a page of a b-tree that begins and ends here: cells are laid down from its end."""
    found = kind(page, 0)
    if not found:
        return False
    first = 12 if found in INTERIOR else 8
    count = int.from_bytes(page[3:5], "big")
    last = first + 2 * count
    places = [int.from_bytes(page[at : at + 2], "big") for at in range(first, last, 2)]
    return bool(places) and last <= min(places) and len(page) // 2 < max(places) < len(page)


async def open_pages(db: Connection) -> PageSource:
    """Return the pages of a connection's main database, by the best way there is. CommandError."""
    header = None
    with suppress(sqlite3.Error):
        ((first, count),) = await db.execute_fetchall(
            "SELECT data, (SELECT max(pgno) FROM sqlite_dbpage('main')) FROM sqlite_dbpage('main')"
            " WHERE pgno = 1"
        )
        header = read_header(first)
        if header is not None:
            return VirtualPages(db, header, count)
    with suppress(sqlite3.Error, ValueError):
        data = await db.serialize()
        header = read_header(data)
        if header is not None:
            return Snapshot(data, header)
    path = await db.db_filename()
    if not path:
        raise CommandError("Error: there is nothing to recover")
    return FilePages(path)
