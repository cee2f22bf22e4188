from typing import Any, NamedTuple

from ._csqlite import Changes as Changes

__all__ = ["Changes", "PreUpdate"]

# What a pre-update hook is called with.
class PreUpdate(NamedTuple):
    opcode: int
    database_name: str
    table_name: str
    rowid: int
    rowid_new: int
    depth: int
    # None for INSERT and for DELETE.
    old: tuple[Any, ...] | None
    new: tuple[Any, ...] | None
    blob_write: int
    @property
    def op(self) -> str: ...
