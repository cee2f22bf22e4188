"""What hooks are called with: `PreUpdate` and `Changes`. See docs/hooks.md."""

from typing import Any, NamedTuple, Optional

from ._csqlite import Changes

__all__ = ["Changes", "PreUpdate"]

_NAMES = {18: "INSERT", 23: "UPDATE", 9: "DELETE"}


class PreUpdate(NamedTuple):
    """One row that is about to change: what a pre-update hook is called with.

    The names are those of apsw.PreUpdate. Unlike that, it is a copy and may be kept.
    """

    opcode: int
    """SQLITE_INSERT, SQLITE_UPDATE or SQLITE_DELETE."""

    database_name: str
    """"main", "temp", or the name of an attached database."""

    table_name: str

    rowid: int
    """Before the change. It means nothing for a table WITHOUT ROWID."""

    rowid_new: int
    """After the change."""

    depth: int
    """0: by the statement itself; 1: by a trigger of it, and so on."""

    old: Optional[tuple[Any, ...]]
    """The values of the row before; None for INSERT."""

    new: Optional[tuple[Any, ...]]
    """The values of the row after; None for DELETE."""

    blob_write: int
    """The number of the column that is written through a blob, which is a DELETE; else -1."""

    @property
    def op(self) -> str:
        """The opcode as "INSERT", "UPDATE" or "DELETE"."""
        return _NAMES[self.opcode]
