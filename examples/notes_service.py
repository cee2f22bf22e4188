"""A web service that keeps notes of many tenants, each in a database file of its own.

It shows what csqlite has for a server: a directory of databases that are opened as pools when they
are wanted, transactions that tasks cannot mix, reads beside them, one over two databases, and
answers that are given only after the commit: who reads "201 Created" will find the note after a
crash, too (`synchronous=full`).

Run ``python examples/notes_service.py --directory notes`` and try

    curl -X PUT  localhost:8080/alice
    curl -X POST localhost:8080/alice/notes -d '{"text": "buy milk"}'
    curl         localhost:8080/alice/notes
    curl -X POST localhost:8080/alice/notes/1/move -d '{"to": "bob"}'
    curl -N      localhost:8080/alice/live

`Service` is an ASGI application, so ``uvicorn examples.notes_service:app`` serves it, too, from the
directory that NOTES_DIRECTORY names. The small server below needs the standard library alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http
import json
import os
import re
import signal
import sqlite3
import sys
import urllib.parse
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Callable

import csqlite

SCHEMA = """
CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL CHECK (text <> ''));
CREATE TABLE total (notes INTEGER NOT NULL);
INSERT INTO total VALUES (0);
"""
# What is acknowledged is on the disk. Rollback journals: a move between two files is atomic.
PRAGMAS = {"journal_mode": "delete", "synchronous": "full", "foreign_keys": True}
LARGEST = 64 * 1024  # Bytes of a request's body.
PATIENCE = 1.0  # Seconds for who is being answered when the service ends.
HEARTBEAT = 15.0  # Seconds between two signs of life to who watches.

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refused(Exception):
    """What a request is refused with: a status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def refusal(error: Exception) -> Refused:
    """Return what the client is told of an error of the database."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, csqlite.DatabaseNotFound):
        return Refused(404, str(error))
    if isinstance(error, csqlite.DatabaseExists):
        return Refused(409, str(error))
    if isinstance(error, (csqlite.PoolTimeout, csqlite.PoolClosed)):
        return Refused(503, "too busy, try again")
    if isinstance(error, (sqlite3.IntegrityError, ValueError)):
        return Refused(400, str(error))
    raise error


class Service:
    """The application: routes, and what they do with the databases."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.databases: csqlite.Databases[Any] | None = None
        self.changed: dict[str, asyncio.Event] = {}  # For who watches a tenant.
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
        await self.databases.drop(tenant)
        self.tell(tenant)
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
            # Both queries see one state, whoever writes meanwhile.
            total = await db.fetch_scalar("SELECT notes FROM total")
            rows = await db.execute_fetchall("SELECT id, text FROM note ORDER BY id")
        return 200, {"total": total, "notes": [{"id": row[0], "text": row[1]} for row in rows]}

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
        self.tell(tenant)
        return 201, {"id": number}

    async def remove(self, body: Any, tenant: str, number: str) -> tuple[int, Any]:
        """Remove a note."""
        assert self.databases is not None
        async with self.databases.use(tenant) as pool, pool.transaction() as tx:
            async with tx.execute("DELETE FROM note WHERE id = ?", (int(number),)) as cursor:
                if not cursor.rowcount:
                    raise Refused(404, f"no note {number}")
            await tx.execute("UPDATE total SET notes = notes - 1")
        self.tell(tenant)
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
        self.tell(tenant)
        self.tell(target)
        return 200, {"tenant": target, "id": new}

    # -- who watches ----------------------------------------------------------------------

    def tell(self, tenant: str) -> None:
        """Wake who watches a tenant, behind the commit."""
        event = self.changed.pop(tenant, None)
        if event is not None:
            event.set()

    async def watch(self, tenant: str) -> AsyncIterator[Any]:
        """Give the notes, and again whenever they have changed; None now and then."""
        while True:
            # Asked for before the notes are read: what is committed behind that is not missed.
            event = self.changed.setdefault(tenant, asyncio.Event())
            yield (await self.notes(None, tenant))[1]
            waiting = asyncio.ensure_future(event.wait())
            while not (await asyncio.wait([waiting], timeout=HEARTBEAT))[0]:
                yield None

    # -- ASGI -------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; or, for "lifespan", be open as long as the server is."""
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["type"] == "http":
            await self.respond(scope, receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        """Be open as long as the server is."""
        await receive()  # lifespan.startup
        async with self.open():
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route a request, and send what comes of it once that is committed."""
        watched = re.fullmatch("/([^/]+)/live", scope["path"])
        try:
            if watched is not None and scope["method"] == "GET":
                await stream(self.watch(watched[1]), receive, send)
                return
            status, answer = await self.route(scope, receive)
        except Exception as error:
            refused = refusal(error)
            status, answer = refused.status, {"error": str(refused)}
        content = b"" if answer is None else json.dumps(answer).encode() + b"\n"
        await begin(send, status, "application/json", len(content))
        await send({"type": "http.response.body", "body": content})

    async def route(self, scope: Scope, receive: Receive) -> tuple[int, Any]:
        """Find what answers a request, and return its status and JSON."""
        allowed = False
        for method, path, function in self.routes:
            matched = path.fullmatch(scope["path"])
            if matched is None:
                continue
            if method == scope["method"]:
                return await function(await read_body(receive), *matched.groups())
            allowed = True
        raise Refused(405 if allowed else 404, "nothing is here")


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def field(body: Any, name: str) -> str:
    """Return a field of a request's JSON."""
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str):
        raise Refused(400, f"JSON with {name!r} is missing")
    return value


async def read_body(receive: Receive) -> Any:
    """Return a request's JSON, None where it has no body."""
    content = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request was not complete")
        content += message.get("body", b"")
        if len(content) > LARGEST:
            raise Refused(413, "the request is too large")
        if not message.get("more_body"):
            break
    return json.loads(content) if content else None


async def begin(send: Send, status: int, kind: str, length: int | None = None) -> None:
    """Send a response's head."""
    headers = [(b"content-type", kind.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def stream(values: AsyncIterator[Any], receive: Receive, send: Send) -> None:
    """Send values as server-sent events until the client has gone."""
    first = await values.__anext__()  # What is refused is refused as others are.
    await begin(send, 200, "text/event-stream")

    async def push() -> None:
        value = first
        while True:
            text = ":\n\n" if value is None else f"data: {json.dumps(value)}\n\n"
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            value = await values.__anext__()

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(push()), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# -- a server for it: HTTP/1.1, one request a connection -----------------------------------


async def read_head(reader: asyncio.StreamReader) -> tuple[str, str, int]:
    """Return a request's method, path and length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    fields = dict(line.lower().split(":", 1) for line in head[1:] if ":" in line)
    return method, target.partition("?")[0], int(fields.get("content-length", "0"))


async def serve_one(
    service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Read a request, let the application answer it, and close."""
    try:
        method, target, length = await read_head(reader)
        content = await reader.readexactly(min(length, LARGEST + 1))
    except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
        return
    messages = [{"type": "http.request", "body": content}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await reader.read()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status = http.HTTPStatus(message["status"])
            writer.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\n".encode()
            )
            for name, value in message["headers"]:
                writer.write(name + b": " + value + b"\r\n")
            writer.write(b"\r\n")
        else:
            writer.write(message["body"])
        await writer.drain()

    path = urllib.parse.unquote(target)
    await service({"type": "http", "method": method, "path": path}, receive, send)


async def serve(service: Service, host: str, port: int, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; then who is being answered is waited for."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve_one(service, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # The client has gone, or the service ends while it watches.
        finally:
            tasks.discard(task)
            writer.close()

    async with service.open():
        server = await asyncio.start_server(connected, host, port)
        address = server.sockets[0].getsockname()
        print(f"serving on http://{address[0]}:{address[1]}", flush=True)
        await stop.wait()
        server.close()
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)
        watching = [*tasks]
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(Service(options.directory), options.host, options.port, stop)


app = Service(os.environ.get("NOTES_DIRECTORY", "notes"))


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Serve notes of many tenants.")
    parser.add_argument("--directory", default="notes", help="where the databases are")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any that is free")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
