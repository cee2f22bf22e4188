import asyncio
from typing import Any, NamedTuple

from ..core import Connection

class Holder(NamedTuple):
    task: str
    seconds: float
    sql: str | None
    writes: bool

# What csqlite itself uses.
JITTER: float

class Member:
    db: Connection[Any]
    writes: bool
    ends: float
    idle_since: float
    held_since: float
    holder: asyncio.Task[Any] | None
    broken: bool
    def __init__(self, db: Connection[Any], max_lifetime: float, writes: bool) -> None: ...
    def take(self) -> None: ...
    def is_open(self) -> bool: ...
    def describe(self) -> Holder: ...
