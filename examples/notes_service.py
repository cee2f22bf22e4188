"""A web service that keeps notes of many tenants, each in a database file of its own.

It shows what csqlite has for a server: a directory of databases that are opened as pools when they
are wanted, transactions that tasks cannot mix, reads beside them, one over two databases, queries
that are observed, and answers that are given only after the commit: who reads "201 Created" will find the note after a
crash, too (`synchronous=full`).

Run ``python examples/notes_service.py --directory notes`` and try

    curl -X PUT  localhost:8080/alice
    curl -X POST localhost:8080/alice/notes -d '{"text": "buy milk"}'
    curl         localhost:8080/alice/notes
    curl -X POST localhost:8080/alice/notes/1/move -d '{"to": "bob"}'
    curl -N      localhost:8080/alice/live

It is an ASGI application (``serving.py``), so ``uvicorn --app-dir examples notes_service:app`` serves
it, too, from the directory that NOTES_DIRECTORY names.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from serving import Application, Receive, Refused, Scope, read_body, run

import csqlite

SCHEMA = """
CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL CHECK (text <> ''));
CREATE TABLE total (notes INTEGER NOT NULL);
INSERT INTO total VALUES (0);
"""
# What is acknowledged is on the disk. Rollback journals: a move between two files is atomic.
PRAGMAS = {"journal_mode": "delete", "synchronous": "full", "foreign_keys": True}
# What is shown of a tenant.
STATE = {"total": "SELECT notes FROM total", "notes": "SELECT id, text FROM note ORDER BY id"}
HEARTBEAT = 15.0  # Seconds between two signs of life to who watches.


class Service(Application):
    """The application: routes, and what they do with the databases."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.databases: csqlite.Databases[Any] | None = None
        self.ending: dict[str, asyncio.Event] = {}  # For who watches a tenant.
        self.routes = [
            ("GET", re.compile("/"), self.tenants),
            ("PUT", re.compile("/([^/]+)"), self.create),
            ("DELETE", re.compile("/([^/]+)"), self.drop),
            ("PUT", re.compile("/([^/]+)/copy-of/([^/]+)"), self.copy),
            ("GET", re.compile("/([^/]+)/notes"), self.notes),
            ("POST", re.compile("/([^/]+)/notes"), self.add),
            ("DELETE", re.compile("/([^/]+)/notes/([0-9]{1,18})"), self.remove),
            ("POST", re.compile("/([^/]+)/notes/([0-9]{1,18})/move"), self.move),
        ]

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Have the databases open."""
        async with csqlite.Databases(
            self.directory, max_open=32, timeout=5.0, busy_timeout=5.0, pragmas=PRAGMAS
        ) as self.databases:
            yield

    # -- what is done with the databases --------------------------------------------------

    async def tenants(self, body: Any) -> tuple[int, Any]:
        """List the tenants."""
        assert self.databases is not None
        return 200, {"tenants": await self.databases.list()}

    async def create(self, body: Any, tenant: str) -> tuple[int, Any]:
        """Make a tenant: a database, with its tables."""
        assert self.databases is not None
        await self.databases.create(tenant, SCHEMA)
        return 201, {"tenant": tenant}

    async def drop(self, body: Any, tenant: str) -> tuple[int, Any]:
        """Remove a tenant and all of its notes."""
        assert self.databases is not None
        # Who watches uses it, and is to go.
        self.ending.pop(tenant, asyncio.Event()).set()
        await self.databases.drop(tenant)
        return 204, None

    async def copy(self, body: Any, tenant: str, source: str) -> tuple[int, Any]:
        """Make a tenant that has another one's notes as of now."""
        assert self.databases is not None
        await self.databases.clone(source, tenant)
        return 201, {"tenant": tenant}

    async def notes(self, body: Any, tenant: str) -> tuple[int, Any]:
        """Return all notes of a tenant, and how many there are."""
        assert self.databases is not None
        async with self.databases.use(tenant) as pool, pool.read() as db:
            # All queries see one state, whoever writes meanwhile.
            state = {name: await db.execute_fetchall(sql) for name, sql in STATE.items()}
        return 200, as_json(state)

    async def add(self, body: Any, tenant: str) -> tuple[int, Any]:
        """Write a note down; it is answered when it is committed."""
        assert self.databases is not None
        async with self.databases.use(tenant) as pool:
            async with pool.transaction() as tx:
                async with tx.execute(
                    "INSERT INTO note (text) VALUES (?)", (field(body, "text"),)
                ) as cursor:
                    number = cursor.lastrowid
                await tx.execute("UPDATE total SET notes = notes + 1")
            # Here it is committed, and not before: an error has raised, and none of it is there.
        return 201, {"id": number}

    async def remove(self, body: Any, tenant: str, number: str) -> tuple[int, Any]:
        """Remove a note."""
        assert self.databases is not None
        async with self.databases.use(tenant) as pool, pool.transaction() as tx:
            async with tx.execute("DELETE FROM note WHERE id = ?", (int(number),)) as cursor:
                if not cursor.rowcount:
                    raise Refused(404, f"no note {number}")
            await tx.execute("UPDATE total SET notes = notes - 1")
        return 204, None

    async def move(self, body: Any, tenant: str, number: str) -> tuple[int, Any]:
        """Move a note to another tenant: out of one file into another one, or not at all."""
        assert self.databases is not None
        target = field(body, "to")
        async with self.databases.transaction(tenant, target, atomic=True) as tx:
            source, other = quoted(tenant), quoted(target)
            text = await tx.fetch_scalar(
                f"SELECT text FROM {source}.note WHERE id = ?", (int(number),)
            )
            if text is None:
                raise Refused(404, f"no note {number}")
            async with tx.execute(f"INSERT INTO {other}.note (text) VALUES (?)", (text,)) as cursor:
                new = cursor.lastrowid
            await tx.execute(f"DELETE FROM {source}.note WHERE id = ?", (int(number),))
            await tx.execute(f"UPDATE {source}.total SET notes = notes - 1")
            await tx.execute(f"UPDATE {other}.total SET notes = notes + 1")
        return 200, {"tenant": target, "id": new}

    # -- who watches ----------------------------------------------------------------------

    async def watch(self, tenant: str) -> AsyncGenerator[Any, None]:
        """Give the notes, and again whenever a commit has changed them; None now and then."""
        assert self.databases is not None
        ending = self.ending.setdefault(tenant, asyncio.Event())
        async with self.databases.use(tenant) as pool, pool.observe_many(STATE) as states:
            gone = asyncio.ensure_future(ending.wait())
            coming = asyncio.ensure_future(states.__anext__())
            try:
                while not gone.done():
                    waits = [coming, gone]
                    await asyncio.wait(waits, timeout=HEARTBEAT, return_when="FIRST_COMPLETED")
                    if coming.done():
                        yield as_json(coming.result())
                        coming = asyncio.ensure_future(states.__anext__())
                    elif not gone.done():
                        yield None
            finally:
                for task in (coming, gone):
                    task.cancel()
                await asyncio.gather(coming, gone, return_exceptions=True)

    # -- which function answers ----------------------------------------------------------

    def watched(self, scope: Scope) -> AsyncGenerator[Any, None] | None:
        """Return what changes, for "/TENANT/live"."""
        found = re.fullmatch("/([^/]+)/live", scope["path"])
        return self.watch(found[1]) if found is not None and scope["method"] == "GET" else None

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, Any]:
        """Find what answers a request, and let it."""
        allowed = False
        for method, path, function in self.routes:
            matched = path.fullmatch(scope["path"])
            if matched is None:
                continue
            if method == scope["method"]:
                return await function(await read_body(receive), *matched.groups())
            allowed = True
        raise Refused(405 if allowed else 404, "nothing is here")


def as_json(state: dict[str, Any]) -> dict[str, Any]:
    """Return the rows of STATE as a client reads them."""
    notes = [{"id": number, "text": text} for number, text in state["notes"]]
    return {"total": state["total"][0][0], "notes": notes}


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def field(body: Any, name: str) -> str:
    """Return a field of a request's JSON."""
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str):
        raise Refused(400, f"JSON with {name!r} is missing")
    return value


app = Service(os.environ.get("NOTES_DIRECTORY", "notes"))


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Serve notes of many tenants.")
    parser.add_argument("--directory", default="notes", help="where the databases are")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any that is free")
    options = parser.parse_args()
    asyncio.run(run(Service(options.directory), options.host, options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
