"""Connection.backup(): the steps of SQLite's online backup, driven from the event loop.

Between two csqlite connections the extension copies pages from handle to handle; a path is
opened as one. A sqlite3.Connection may belong to another copy of SQLite, whose handle csqlite
must not touch: it gets the database through a file that csqlite has written and closed, by its
own backup().
"""

import asyncio
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from inspect import isawaitable
from operator import index
from typing import Any, Callable, Optional

from . import _csqlite, deadlines
from ._csqlite import Connection

Progress = Optional[Callable[[int, int, int], object]]

# connect() of csqlite.core, which is above this module.
Connect = Callable[[str], Connection]

_INT_MAX = 2**31 - 1


class Plan:
    """How to copy: the arguments of backup(), checked as sqlite3 checks them."""

    def __init__(self, pages: Any, progress: Any, name: Any, sleep: Any) -> None:
        self.pages = index(pages)
        if abs(self.pages) > _INT_MAX:
            raise OverflowError("Python int too large to convert to C int")
        if not isinstance(name, str):
            kind = "None" if name is None else type(name).__name__
            raise TypeError(f"backup() argument 'name' must be str, not {kind}")
        if not isinstance(sleep, (int, float)) and not hasattr(sleep, "__float__"):
            raise TypeError(f"must be real number, not {type(sleep).__name__}")
        if progress is not None and not callable(progress):
            raise TypeError("progress argument must be a callable")
        self.name = name
        self.sleep = float(sleep)
        self.progress: Progress = progress

    def options(self) -> dict[str, Any]:
        """Return the arguments of sqlite3's backup(), but for `name`."""
        return {"pages": self.pages, "progress": self.progress, "sleep": self.sleep}

    def quiet(self) -> "Plan":
        """Return a plan for the copy that goes before another."""
        return Plan(self.pages, None, self.name, 0)


def same_file(one: Any, other: Any) -> bool:
    """Whether two paths lead to one file, by whatever names. "" leads to none."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _is_path(target: Any) -> bool:
    return isinstance(target, (str, bytes, os.PathLike))


def _refuse(target: Any) -> None:
    kind = "None" if target is None else type(target).__name__
    raise TypeError(f"backup() argument 'target' must be sqlite3.Connection, not {kind}")


async def run(source: Connection, target: Any, plan: Plan, connect: Connect) -> None:
    """Copy `source` into `target`; see Connection.backup(). connect: opens files for it."""
    if source._foreign is not None:
        await _run_foreign(source, target, plan, connect)
        return
    _ = source._conn  # Raises ValueError when it is not open.
    if target is source:
        raise ValueError("target cannot be the same connection instance")
    if isinstance(target, Connection) and target._foreign is not None:
        target = target._foreign
    if isinstance(target, Connection):
        await _copy(source, target, plan)
    elif isinstance(target, sqlite3.Connection):
        await _copy_to_stdlib(source, target, plan, connect)
    elif _is_path(target):
        await _copy_to_path(source, target, plan, connect)
    else:
        _refuse(target)


async def _run_foreign(source: Connection, target: Any, plan: Plan, connect: Connect) -> None:
    """Let a foreign connection back itself up, on its worker."""
    if isinstance(target, Connection) and target._foreign is None:
        async with _temporary_path() as path:
            await source._execute(_foreign_to_file, source._conn, path, {}, plan.name)
            async with connect(path) as file:
                await _copy(file, target, Plan(plan.pages, plan.progress, "main", plan.sleep))
        return
    plan.progress = _awaited_elsewhere(plan.progress)
    if _is_path(target):
        path = os.fsdecode(target)
        await source._execute(_foreign_to_file, source._conn, path, plan.options(), plan.name)
        return
    if isinstance(target, Connection):
        target = target._foreign
    await source._execute(source._conn.backup, target, name=plan.name, **plan.options())


@contextmanager
def temporary_path() -> Iterator[str]:
    """Give the path of an empty file that is gone afterwards, with all that SQLite put beside it."""
    descriptor, path = tempfile.mkstemp(suffix=".sqlite3", prefix="csqlite-backup-")
    os.close(descriptor)
    try:
        yield path
    finally:
        for leftover in (path, path + "-wal", path + "-shm", path + "-journal"):
            if os.path.exists(leftover):
                os.unlink(leftover)


@asynccontextmanager
async def _temporary_path() -> AsyncIterator[str]:
    with temporary_path() as path:
        yield path


async def _copy(source: Connection, target: Connection, plan: Plan) -> None:
    """Copy step by step; both connections are free between two steps."""
    await _refuse_itself(source, target, plan.name)
    copy = source._backup(target, plan.name)
    try:
        while True:
            status, remaining, total = await copy.step(plan.pages if plan.pages > 0 else -1)
            if plan.progress is not None:
                answer = await source._execute(plan.progress, status, remaining, total)
                if isawaitable(answer):
                    await answer
            if status == _csqlite.SQLITE_DONE:
                break
            if status != _csqlite.SQLITE_OK and source._holder() is not None:
                # By what the caller's own transaction has written, which does not end meanwhile.
                raise sqlite3.OperationalError(
                    "database is locked: a transaction that has written something cannot be copied"
                    " before it is over"
                )
            await _pause(plan.sleep)
    finally:
        # Whoever hears of the end may look into the target at once.
        await _persist(lambda: _finish(copy))


async def _finish(copy: Any) -> None:
    """End a copy. A connection that is closed by now has ended it itself."""
    with suppress(ValueError):
        while (await copy.step(0))[0] == _csqlite.SQLITE_BUSY:
            await asyncio.sleep(0.001)


async def _persist(begin: Callable[[], Awaitable[object]]) -> None:
    """Await what `begin` gives until it has ended, again if need be.

    Being cancelled meanwhile, however often, does not stop it, and is raised when it has ended; nor
    does a deadline. Once that has happened a task of its own goes on with it: only the end of the
    loop cancels that.
    """

    async def whole() -> None:
        await begin()

    cancelled: Optional[asyncio.CancelledError] = None
    ended = False
    try:
        with deadlines.lifted():
            await begin()
        return
    except asyncio.CancelledError as error:
        cancelled = error
    except deadlines.DeadlineExceeded:
        pass
    while not ended:
        with deadlines.lifted():
            task = asyncio.ensure_future(whole())
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        ended = not task.cancelled() and not isinstance(
            task.exception(), deadlines.DeadlineExceeded
        )
    task.result()
    if cancelled is not None:
        raise cancelled


async def _refuse_itself(source: Connection, target: Connection, name: str) -> None:
    """ValueError where both have one file open: the copy would wait for itself, for ever."""
    with suppress(sqlite3.Error):  # A schema that is not there; the copy says so.
        ours, theirs = await source.db_filename(name), await target.db_filename()
        if same_file(ours, theirs):
            raise ValueError("target cannot be the file of the connection itself")


async def _pause(seconds: float) -> None:
    """Sleep, but not past the deadline: the next step tells of that."""
    left = deadlines.remaining()
    await asyncio.sleep(seconds if left is None else min(seconds, left))


async def _copy_to_path(source: Connection, target: Any, plan: Plan, connect: Connect) -> None:
    """Copy into a file, which is opened for this."""
    async with connect(os.fsdecode(target)) as file:
        await _copy(source, file, plan)


async def _copy_to_stdlib(
    source: Connection, target: sqlite3.Connection, plan: Plan, connect: Connect
) -> None:
    """Copy through a temporary file, which the sqlite3 module then copies from.

    That blocks, and the source is to stay usable: so it is done by the worker of a
    connection that is there for nothing else. Being cancelled, it ends with a step and is
    waited for, since the target is in use until then.
    """
    cancelled = threading.Event()
    told = _awaited_elsewhere(plan.progress)

    def progress(status: int, remaining: int, total: int) -> None:
        if cancelled.is_set():
            raise InterruptedError("the backup was cancelled")
        if told is not None:
            told(status, remaining, total)

    async with _temporary_path() as path:
        async with connect(path) as file:
            # Nobody reads the file before it is whole, and nobody keeps it.
            await file.execute("PRAGMA synchronous = OFF")
            await _copy(source, file, plan.quiet())
        plan.progress = progress
        async with connect(":memory:") as worker:
            try:
                await worker._execute(copy_file, path, target, plan)
            except BaseException:
                cancelled.set()
                # What comes behind it on the worker is done when it has ended.
                await _persist(lambda: worker._execute(int))
                raise


def _awaited_elsewhere(progress: Progress) -> Progress:
    """Return what calls `progress` on a worker, and waits there for the loop to await it."""
    if progress is None:
        return None
    loop = asyncio.get_running_loop()

    def call(status: int, remaining: int, total: int) -> None:
        answer = progress(status, remaining, total)
        if isawaitable(answer):
            asyncio.run_coroutine_threadsafe(_await(answer), loop).result()

    return call


async def _await(awaitable: Any) -> None:
    await awaitable


# -- what blocks


def _foreign_to_file(connection: Any, path: str, options: dict[str, Any], name: str) -> None:
    """On the worker: copy a foreign connection's database into a file."""
    file = sqlite3.connect(path)
    try:
        connection.backup(file, name=name, **options)
    finally:
        file.close()


def copy_file(path: str, target: sqlite3.Connection, plan: Plan) -> None:
    """On a worker: copy a database file into a connection of the sqlite3 module."""
    file = sqlite3.connect(path)
    try:
        file.backup(target, **plan.options())
    finally:
        file.close()


def run_blocking(
    source: Connection,
    target: Any,
    plan: Plan,
) -> None:
    """Copy where it is called: for the synchronous view, whose target is a view as well."""
    owner = getattr(target, "_owner", None)
    if owner is source:
        raise ValueError("target cannot be the same connection instance")
    if isinstance(owner, Connection):
        _copy_blocking(source, owner, plan)
    elif isinstance(target, sqlite3.Connection):
        with temporary_path() as path:
            source._run(source._save(os.fsencode(path), plan.name))
            copy_file(path, target, plan)
    else:
        _refuse(target)


def _copy_blocking(source: Connection, target: Connection, plan: Plan) -> None:
    copy = source._backup(target, plan.name)
    try:
        while True:
            status, remaining, total = source._run(copy.step(plan.pages if plan.pages > 0 else -1))
            if plan.progress is not None:
                plan.progress(status, remaining, total)
            if status == _csqlite.SQLITE_DONE:
                break
            if status != _csqlite.SQLITE_OK and source.in_transaction:
                # By a transaction of the source, which nobody can end meanwhile.
                raise sqlite3.OperationalError("database is locked")
            time.sleep(max(0.0, plan.sleep))
    finally:
        with suppress(ValueError):
            while source._run(copy.step(0))[0] == _csqlite.SQLITE_BUSY:
                time.sleep(0.001)
