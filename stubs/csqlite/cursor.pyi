from ._csqlite import Cursor as Cursor

__all__ = ["Cursor"]
