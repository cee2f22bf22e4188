"""What is not left before its end, however often the task is cancelled meanwhile."""

import asyncio
import functools
from collections.abc import Coroutine
from typing import Any, Callable

from ..settling import settle


async def to_its_end(make: "Callable[[], Coroutine[Any, Any, Any]]") -> None:
    """Await what must not be left half done, then raise the cancellation that came meanwhile."""
    task = asyncio.ensure_future(make())
    cancelled = await settle(task)
    task.result()
    if cancelled is not None:
        raise cancelled


async def run(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call a function where it may wait for the disk, in a thread. Not cancelled before its end."""
    loop = asyncio.get_running_loop()
    work = functools.partial(function, *arguments, **named)
    future = asyncio.ensure_future(loop.run_in_executor(None, work))
    cancelled = await settle(future)
    if cancelled is not None:
        future.exception()
        raise cancelled
    return future.result()
