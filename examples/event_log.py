"""A web service that answers only when what it was given is on the disk, and is quick all the same.

Each event that is posted is committed with `synchronous=full`, and "201 Created" is sent behind
that: what a client has been told is there after a crash, and after a power cut. One commit for each
event would let a disk that syncs in a millisecond take less than a thousand of them a second.
So what waits at the same time is committed together (group commit), which no client notices.

Run ``python examples/event_log.py --database events.db`` and try

    curl -X POST localhost:8081/events -d '{"event": "started"}'
    curl         localhost:8081/events?after=0

``uvicorn --app-dir examples event_log:app`` serves the file that EVENT_DATABASE names.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import urllib.parse
from collections.abc import AsyncIterator
from typing import Any

from serving import Application, Receive, Refused, Scope, read_body, run

import csqlite

SCHEMA = "CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, what TEXT NOT NULL)"
PRAGMAS = {"journal_mode": "wal", "synchronous": "full"}
MOST = 1000  # Events in one answer.


class EventLog(Application):
    """The application: events are appended, and read by their numbers."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.pool: csqlite.Pool[Any] | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Have the pool open."""
        async with csqlite.create_pool(self.database, pragmas=PRAGMAS) as self.pool:
            await self.pool.execute(SCHEMA)
            yield

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, Any]:
        """Append an event, or return those behind a number."""
        assert self.pool is not None
        if scope["path"] != "/events":
            raise Refused(404, "nothing is here")
        if scope["method"] == "POST":
            what = json.dumps(await read_body(receive))
            done = await self.pool.execute("INSERT INTO event (what) VALUES (?)", (what,))
            # Here it is committed, perhaps with others that were posted meanwhile.
            return 201, {"id": done.lastrowid}
        if scope["method"] == "GET":
            query = urllib.parse.parse_qs(scope["query_string"].decode())
            after = int(query.get("after", ["0"])[0])
            rows = await self.pool.fetch_all(
                "SELECT id, what FROM event WHERE id > ? ORDER BY id LIMIT ?", (after, MOST)
            )
            return 200, [{"id": row[0], "event": json.loads(row[1])} for row in rows]
        raise Refused(405, "GET and POST")


app = EventLog(os.environ.get("EVENT_DATABASE", "events.db"))


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Keep events.")
    parser.add_argument("--database", default="events.db")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081, help="0: any that is free")
    options = parser.parse_args()
    asyncio.run(run(EventLog(options.database), options.host, options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
