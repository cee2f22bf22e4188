"""What is committed, and queries that follow it: methods of connections and pools."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

if TYPE_CHECKING:
    from .live import Observation, Subscription


class Observing:
    """subscribe(), observe() and observe_many(); csqlite/live/ is imported when one is called."""

    def _watched(self) -> Any:
        """Return the connection that watches: one that is open as long as this is."""
        return self

    def subscribe(
        self,
        tables: Union[str, Iterable[str], None] = None,
        *,
        max_queue: int = 1000,
        poll: Optional[float] = 1.0,
    ) -> "Subscription":
        """Go through what is committed, in batches: `async for batch in db.subscribe("t")`.

        tables: names; None: all. A batch (csqlite.live.ChangeBatch) has the tables and rows that
        a connection of this process to the same file has changed in one transaction.
        max_queue: batches that wait; beyond, they become one, of their tables. poll: seconds between
        two looks whether other processes have written, which is told as "UNKNOWN"; None: never.
        `async with` begins and ends it. See docs/live.md.

        Raises ValueError for a number that is too small.
        """
        from .live import Subscription

        return Subscription(self._watched(), tables, max_queue=max_queue, poll=poll)

    def observe(
        self,
        sql: str,
        parameters: Optional[Any] = None,
        *,
        distinct: bool = True,
        poll: Optional[float] = 1.0,
    ) -> "Observation":
        """Go through a query's rows, as they are and whenever they change: `async for rows in …`.

        Each value is the list of all rows, in one state of what is committed; states may be
        skipped, never the last. distinct: a value that equals the one before is not given. poll:
        seconds between two looks whether other processes have written; None: never. A connection is
        read between its transactions, a pool by its readers. See docs/live.md.
        """
        from .live import observe

        return observe(self, sql, parameters, distinct, poll)

    def observe_many(
        self,
        queries: "Mapping[Any, Any]",
        *,
        distinct: bool = True,
        poll: Optional[float] = 1.0,
    ) -> "Observation":
        """Go through the rows of several queries, all of one moment: a dict by their names.

        queries: by name, SQL, or a pair of SQL and parameters. Otherwise as observe().
        """
        from .live import observe_many

        return observe_many(self, queries, distinct, poll)
