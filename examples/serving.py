"""What the web services beside this file share: an ASGI application, and a small server for it.

The server speaks HTTP/1.1, one request a connection, and needs the standard library alone. A server of
ASGI applications, such as uvicorn, can take its place.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import http
import json
import signal
import sqlite3
import urllib.parse
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Callable

import csqlite

LARGEST = 64 * 1024  # Bytes of a request's body.
PATIENCE = 1.0  # Seconds for who is being answered when the service ends.

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


class Application(abc.ABC):
    """What a service is to a server."""

    @abc.abstractmethod
    def open(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Have the databases open."""

    @abc.abstractmethod
    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, Any]:
        """Return the status and the JSON that answer a request. Raises Refused."""

    def watched(self, scope: Scope) -> AsyncGenerator[Any, None] | None:
        """Return the values that a request watches, None for one that is answered once."""
        return None

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
        """Send what comes of a request, behind all that is done for it."""
        try:
            watched = self.watched(scope)
            if watched is not None:
                await stream(watched, receive, send)
                return
            status, answer = await self.answer(scope, receive)
        except Exception as error:
            refused = refusal(error)
            status, answer = refused.status, {"error": str(refused)}
        content = b"" if answer is None else json.dumps(answer).encode() + b"\n"
        await begin(send, status, "application/json", len(content))
        await send({"type": "http.response.body", "body": content})


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


async def stream(values: AsyncGenerator[Any, None], receive: Receive, send: Send) -> None:
    """Send values as server-sent events until there are no more, or the client has gone."""
    first = await values.__anext__()  # What is refused is refused as others are.
    await begin(send, 200, "text/event-stream")

    async def push_one(value: Any) -> None:
        text = ":\n\n" if value is None else f"data: {json.dumps(value)}\n\n"
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def push() -> None:
        await push_one(first)
        async for value in values:
            await push_one(value)
        await send({"type": "http.response.body", "body": b""})

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
        await values.aclose()


# -- a server for it: HTTP/1.1, one request a connection -----------------------------------


async def read_head(reader: asyncio.StreamReader) -> tuple[str, str, int]:
    """Return a request's method, target and length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    fields = dict(line.lower().split(":", 1) for line in head[1:] if ":" in line)
    return method, target, int(fields.get("content-length", "0"))


async def serve_one(
    service: Application, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
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

    path, _, query = target.partition("?")
    scope = {"type": "http", "method": method, "path": urllib.parse.unquote(path)}
    await service({**scope, "query_string": query.encode()}, receive, send)


async def serve(service: Application, host: str, port: int, stop: asyncio.Event) -> None:
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


async def run(service: Application, host: str, port: int) -> None:
    """Serve until a signal comes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(service, host, port, stop)
