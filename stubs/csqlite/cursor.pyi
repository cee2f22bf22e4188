from ._csqlite import Cursor as Cursor
