"""Connections of this package's own, of which a cancellation leaves nothing behind."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from typing import Any

from ..core import Connection, connect
from ..settling import settle
from .endings import to_its_end


@contextlib.asynccontextmanager
async def connected(path: str, options: "dict[str, Any]") -> AsyncIterator[Connection]:
    """Give a connection in autocommit mode, which is closed behind it, whatever happens.

    A cancelled connect() may make its file a moment later: so the opening is waited for. `init`, which
    may take any time, is not part of that.
    """
    init = options.get("init")
    opening = asyncio.ensure_future(_open(path, {**options, "init": None}))
    cancelled = await settle(opening)
    db = opening.result()
    try:
        if cancelled is not None:
            raise cancelled
        if init is not None:
            coming = init(db)
            if inspect.isawaitable(coming):
                await coming
        yield db
    finally:
        await to_its_end(db.close)


async def _open(path: str, options: "dict[str, Any]") -> Connection:
    return await connect(path, **{**options, "isolation_level": None})
