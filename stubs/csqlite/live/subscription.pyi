from collections.abc import Iterable
from typing import Any

from typing_extensions import Self

from csqlite.core import Connection

from .changes import ChangeBatch

class Subscription:
    def __init__(
        self,
        connection: Connection[Any],
        tables: str | Iterable[str] | None = None,
        *,
        max_queue: int = 1000,
        poll: float | None = 1.0,
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> None: ...
    async def aclose(self) -> None: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> ChangeBatch: ...
