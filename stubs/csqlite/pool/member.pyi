import asyncio
from typing import Any, NamedTuple

from .. import _csqlite
from ..core import Connection

class Holder(NamedTuple):
    task: str
    seconds: float
    sql: str | None
    writes: bool

# What csqlite itself uses.
JITTER: float

class Member(_csqlite.Member):
    writes: bool
    def __init__(self, db: Connection[Any], max_lifetime: float, writes: bool) -> None: ...
    def take(self) -> None: ...
    def batches(self) -> int: ...
    def is_open(self) -> bool: ...
    def task(self) -> asyncio.Task[Any] | None: ...
    def describe(self) -> Holder: ...
