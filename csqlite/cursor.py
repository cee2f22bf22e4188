"""The module where aiosqlite has its Cursor: `from csqlite.cursor import Cursor`."""

from ._csqlite import Cursor

__all__ = ["Cursor"]
