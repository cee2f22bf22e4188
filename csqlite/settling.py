"""Waiting for what must not be left half done, however often the task is cancelled meanwhile."""

import asyncio
from typing import Any, Optional


async def settle(future: "asyncio.Future[Any]") -> Optional[asyncio.CancelledError]:
    """Wait until a future or task is done; return the last cancellation that came meanwhile.

    What the future ended with is the caller's to ask for.
    """
    cancelled: Optional[asyncio.CancelledError] = None
    while not future.done():
        try:
            await asyncio.wait({future})
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
