"""executemany() of rows that have to be awaited."""

import time
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Optional, Union

from .callers import noted
from .context import contextmanager
from .cursor import Cursor

if TYPE_CHECKING:
    from ._csqlite import Connection


def _kept(row: Any) -> Any:
    """Return the row as it is now: whoever gives the rows may use one list for all of them."""
    if isinstance(row, list):
        return tuple(row)
    return dict(row) if isinstance(row, dict) else row


@contextmanager
@noted
async def executemany(
    target: "Union[Connection, Cursor[Any]]",
    sql: str,
    parameters: AsyncIterable[Any],
    *,
    deadline: Optional[float] = None,
) -> "Cursor[Any]":
    """Gather the rows, then execute the statement once for each: see Connection.executemany().

    Nothing is executed before all rows are there, so the iterable may use the connection, and what
    it raises leaves nothing behind. It is closed in any case, where it can be.
    """
    begun = time.monotonic()
    rows = []
    try:
        async for row in parameters:
            rows.append(_kept(row))
    except StopAsyncIteration as error:  # Of __aiter__(): it is no end.
        raise RuntimeError("an iterable raised StopAsyncIteration") from error
    finally:
        close = getattr(parameters, "aclose", None)
        if close is not None:
            await close()
    if deadline is not None:
        deadline = max(0.0, deadline - (time.monotonic() - begun))
    return await target.executemany(sql, rows, deadline=deadline)
