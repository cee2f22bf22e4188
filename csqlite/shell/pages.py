"""The pages of a database file, read without SQLite: b-trees, cells, records. For `.recover`.

Nothing here trusts what it reads: whatever makes no sense is left out, and nothing raises. The format is
that of https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

# The kinds of pages that b-trees are made of.
INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
INTERIOR = (INDEX_INTERIOR, TABLE_INTERIOR)
LEAVES = (INDEX_LEAF, TABLE_LEAF)

HEADER = 100
MAGIC = b"SQLite format 3\0"

ENCODINGS = {1: ("utf-8", "UTF-8"), 2: ("utf-16-le", "UTF-16le"), 3: ("utf-16-be", "UTF-16be")}

# The most that SQLite keeps in one value or row.
LARGEST = 2**31


class Header(NamedTuple):
    """What the first page says of the file."""

    page_size: int
    reserved: int
    freelist: int
    auto_vacuum: bool
    encoding: int
    user_version: int
    application_id: int

    @property
    def usable(self) -> int:
        """How many bytes of a page are for content."""
        return self.page_size - self.reserved


class Cell(NamedTuple):
    """An entry of a page of a b-tree, as far as it is in that page."""

    child: int  # 0: a leaf has none.
    rowid: int | None
    size: int  # Of the whole payload; -1: it has none.
    local: bytes
    overflow: int  # The page where it goes on; 0: nowhere.


def is_page_size(size: int) -> bool:
    """Whether pages may have this size."""
    return 512 <= size <= 65536 and size & (size - 1) == 0


def read_header(page: bytes) -> Header | None:
    """Read the beginning of a file; None: it is not one of SQLite's."""
    if len(page) < HEADER or not page.startswith(MAGIC):
        return None
    size = int.from_bytes(page[16:18], "big")
    size = 65536 if size == 1 else size
    if not is_page_size(size) or size - page[20] < 480:
        return None
    (freelist,) = struct.unpack_from(">I", page, 32)
    largest_root, encoding, user_version = struct.unpack_from(">IIi", page, 52)
    (application_id,) = struct.unpack_from(">i", page, 68)
    if encoding not in ENCODINGS:
        encoding = 1
    return Header(
        size, page[20], freelist, largest_root != 0, encoding, user_version, application_id
    )


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer that begins here, and where it ends; IndexError."""
    value = 0
    for i in range(at, at + 8):
        byte = data[i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, i + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


def kind(page: bytes, number: int) -> int:
    """Return what kind of b-tree's page this is; 0: none."""
    at = HEADER if number == 1 else 0
    found = page[at] if len(page) > at + 8 else 0
    return found if found in INTERIOR or found in LEAVES else 0


def cells(page: bytes, number: int, usable: int) -> Iterator[Cell]:
    """Give the cells of a page that can be read, in their order."""
    start = HEADER if number == 1 else 0
    found = kind(page, number)
    if not found:
        return
    first = start + (12 if found in INTERIOR else 8)
    count = min(int.from_bytes(page[start + 3 : start + 5], "big"), (usable - first) // 2)
    for i in range(first, first + 2 * count, 2):
        at = int.from_bytes(page[i : i + 2], "big")
        if first <= at < usable:
            try:
                yield _cell(page, at, found, usable)
            except (IndexError, ValueError):
                continue


def _cell(page: bytes, at: int, found: int, usable: int) -> Cell:
    """Return the cell that begins here. IndexError, ValueError: it makes no sense."""
    child = 0
    rowid: int | None = None
    if found in INTERIOR:
        child = int.from_bytes(page[at : at + 4], "big")
        at += 4
    if found == TABLE_INTERIOR:
        rowid, _ = varint(page, at)
        return Cell(child, rowid, -1, b"", 0)
    size, at = varint(page, at)
    if found == TABLE_LEAF:
        rowid, at = varint(page, at)
    if not 0 <= size < LARGEST:
        raise ValueError("a size that no payload has")
    # How much of a payload stays in the page, when it is too long for it.
    most = usable - 35 if found == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    least = (usable - 12) * 32 // 255 - 23
    kept = size
    if size > most:
        kept = least + (size - least) % (usable - 4)
        kept = kept if kept <= most else least
    if at + kept > usable:
        raise ValueError("a payload that reaches beyond its page")
    overflow = int.from_bytes(page[at + kept : at + kept + 4], "big") if kept < size else 0
    return Cell(child, rowid, size, page[at : at + kept], overflow)


def children(page: bytes, number: int, usable: int) -> list[int]:
    """Return the pages below one, in their order."""
    if kind(page, number) not in INTERIOR:
        return []
    start = HEADER if number == 1 else 0
    last = int.from_bytes(page[start + 8 : start + 12], "big")
    return [*(cell.child for cell in cells(page, number, usable)), last]


# The sizes of the kinds of values that have a fixed one.
_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)


def record(payload: bytes, size: int, encoding: str) -> list[Any] | None:
    """Return the values of a record; None: it makes no sense.

    size: how long it should be. A value that is not wholly there is NULL.
    """
    try:
        length, at = varint(payload, 0)
        if not at <= length <= len(payload):
            return None
        types = []
        while at < length:
            found, at = varint(payload, at)
            types.append(found)
    except IndexError:
        return None
    if at != length:
        return None
    values: list[Any] = []
    for found in types:
        if found < 0 or found in (10, 11):
            return None
        width = _SIZES[found] if found < 10 else (found - 12) // 2
        if at + width > size:
            return None
        values.append(_value(found, payload[at : at + width], width, encoding))
        at += width
    return values


def _value(found: int, data: bytes, width: int, encoding: str) -> Any:
    """Return a value of a kind; NULL where its bytes are not all there."""
    if found in (8, 9):
        return found - 8
    if found == 0 or len(data) < width:
        return None
    if found == 7:
        (real,) = struct.unpack(">d", data)
        return None if math.isnan(real) else real
    if found < 7:
        return int.from_bytes(data, "big", signed=True)
    if found % 2 == 0:
        return data
    return data.decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")
