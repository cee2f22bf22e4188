"""Databases: a directory of named databases, each opened as a pool when it is wanted."""

import asyncio
import contextlib
import functools
import inspect
import os
import pathlib
import sqlite3
import types
from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING, Any, Optional

from ..pool import Pool, PoolClosed, create_pool
from . import files, making, names, several
from .connecting import connected
from .endings import run, to_its_end
from .errors import DatabaseExists, DatabaseInUse, DatabaseNotFound
from .registry import CREATING, DROPPING, READY, WANTED, Registry, Row
from .repair import repair_all, settled
from .slots import Slot, Slots

if TYPE_CHECKING:
    import builtins
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from _typeshed import StrPath

# How often is looked whether others wait for a database that is open here, in seconds.
_WATCH = 0.25

# Those of create_pool() that connect() does not take, or takes by another name.
_OF_POOLS = frozenset(inspect.signature(create_pool).parameters) - {"init", "pragmas"}


class _Keeper:
    """What slots hold: a lock that keeps other processes from a database, and its pool."""

    def __init__(self, registry: Registry, options: "dict[str, Any]") -> None:
        self._registry = registry
        self._options = options
        self._watching: Optional[asyncio.Task[None]] = None
        self.slots: Any = None

    async def hold(self, name: str, ends: float) -> int:
        row = await settled(self._registry, name, ends, exclusive=False)
        if row is None:
            raise DatabaseNotFound(f"there is no database {name!r}")
        try:
            await run(files.check_regular, self._registry.path(name))
        except FileNotFoundError as error:
            self._registry.locks.release(row.number)
            raise DatabaseNotFound(f"the file of the database {name!r} is gone") from error
        except BaseException:
            self._registry.locks.release(row.number)
            raise
        return row.number

    def release(self, number: int) -> None:
        self._registry.locks.release(number)

    async def open(self, name: str) -> Pool:
        pool = await create_pool(self._registry.path(name), **self._options)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.ensure_future(self._watch())
        return pool

    async def close(self, pool: Pool) -> None:
        await pool.close()

    async def _watch(self) -> None:
        """Close what others wait for, in this process or another one, as long as anything is open."""
        while True:
            await asyncio.sleep(_WATCH)
            if not self.slots.has_pools():
                break
            with contextlib.suppress(sqlite3.Error):
                self.slots.turn_out(await self._registry.wanted(), WANTED)

    async def end(self) -> None:
        """Watch no more."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})


class _Use:
    """What `async with databases.use(name) as pool` enters."""

    def __init__(self, slots: Slots, name: str, timeout: float, create: Any) -> None:
        self._slots = slots
        self._name = name
        self._timeout = timeout
        self._create = create
        self._used: Optional[tuple[Slot, Any]] = None

    async def __aenter__(self) -> Pool:
        if self._used is not None:
            raise RuntimeError("such a block is entered once at a time")
        ends = asyncio.get_running_loop().time() + self._timeout
        if self._create is not None and not self._slots.is_open(self._name):
            await self._create()
        slot = await self._slots.share(self._name, ends, pool=True)
        self._used = slot, asyncio.current_task()
        pool: Pool = slot.pool
        return pool

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> None:
        assert self._used is not None
        used, self._used = self._used, None
        self._slots.leave(*used)


class Databases:
    """A directory of databases that have names, each a pool that is opened when it is wanted.

        async with csqlite.Databases("tenants", max_open=100) as databases:
            await databases.create("alice", "CREATE TABLE note (text)")
            async with databases.use("alice") as pool:
                await pool.execute("INSERT INTO note VALUES (?)", ("hello",))

    directory: made if it is not there. max_open: how many databases are open at most. What was
    used longest ago is closed first, never what is used; and so is what nobody has used for
    `idle_timeout` seconds. timeout: for how many seconds anything is waited for. The others are
    those of csqlite.create_pool(), for each database.

    Await it, or enter it with `async with`, to open it. It belongs to the event loop that has opened
    it; other objects, of other loops and processes, may use the same directory.
    docs/databases.md has the guarantees.
    """

    def __init__(
        self,
        directory: "StrPath",
        *,
        max_open: int = 64,
        idle_timeout: float = 300.0,
        timeout: float = 30.0,
        **pool_options: Any,
    ) -> None:
        if max_open < 1:
            raise ValueError("max_open must be 1 or more")
        for option, seconds in (("timeout", timeout), ("idle_timeout", idle_timeout)):
            if not seconds >= 0:
                raise ValueError(f"{option} must be a number of seconds, 0 or more")
        self.directory = os.path.realpath(os.fspath(directory))
        self.max_open = max_open
        self.timeout = timeout
        self._options = {**pool_options, "timeout": timeout}
        create_pool(":memory:", **self._options)  # Says now what is wrong with them.
        connecting = {name: pool_options[name] for name in pool_options if name not in _OF_POOLS}
        self._connecting = {
            "pragmas": "server",
            **connecting,
            "timeout": pool_options.get("busy_timeout", 5.0),
        }
        self._idle_timeout = idle_timeout
        self._registry: Optional[Registry] = None
        self._slots: Any = None
        self._keeper: Any = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._can_reflink: Optional[bool] = None

    def __class_getitem__(cls, row: Any) -> types.GenericAlias:
        """Let annotations say what rows are: Databases[Row]."""
        return types.GenericAlias(cls, row)

    def __repr__(self) -> str:
        state = "open" if self._registry is not None else "closed"
        return f"<csqlite.Databases {self.directory!r}, {state}>"

    # -- opening and closing --------------------------------------------------------

    def __await__(self) -> "Generator[Any, None, Databases]":
        return self._open().__await__()

    async def __aenter__(self) -> "Databases":
        return await self._open()

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> None:
        await self.close()

    async def _open(self) -> "Databases":
        if self._loop is not None:
            raise RuntimeError("Databases are opened once")
        self._loop = asyncio.get_running_loop()
        await run(os.makedirs, self.directory, exist_ok=True)
        registry = await Registry.open(self.directory, self.timeout)
        try:
            await repair_all(registry)
        except BaseException:
            await to_its_end(registry.close)
            raise
        self._keeper = _Keeper(registry, self._options)
        self._slots = Slots(self._keeper, self.max_open, self._idle_timeout)
        self._keeper.slots = self._slots
        self._registry = registry
        return self

    async def close(self, timeout: Optional[float] = None) -> None:
        """Wait for who uses a database, then close all of them.

        timeout: after how many seconds what is still used is cut off; None: never. Who waits for a
        database gets PoolClosed. Closing again does nothing.
        """
        if self._registry is None:
            return
        ends = None if timeout is None else asyncio.get_running_loop().time() + timeout
        await self._slots.close(ends)
        await to_its_end(self._end)

    async def _end(self) -> None:
        registry, self._registry = self._registry, None
        await self._keeper.end()
        for slot in self._slots:
            if slot.pool is not None:
                await slot.pool.terminate()
        if registry is not None:
            await registry.close()

    def _check(self) -> Registry:
        if self._registry is None or self._slots.closing:
            opened = self._loop is not None
            raise PoolClosed(f"the databases are {'closed' if opened else 'not open'}")
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("Databases belong to the event loop that has opened them")
        return self._registry

    def _ends(self, timeout: Optional[float]) -> float:
        waits = self.timeout if timeout is None else timeout
        return asyncio.get_running_loop().time() + waits

    # -- using ------------------------------------------------------------------------

    def use(self, name: str, *, create: bool = False, timeout: Optional[float] = None) -> "_Use":
        """Give, to `async with`, the pool of a database, which stays open as long as the block lasts.

        create: make an empty database where there is none. timeout: for how many seconds is waited,
        by default the object's. Entering raises DatabaseNotFound, DatabaseInUse, PoolTimeout where
        max_open databases are in use, PoolClosed, and what opening raises.
        """
        self._check()
        name = names.check(name)
        making = functools.partial(self.create, name, exist_ok=True) if create else None
        waits = self.timeout if timeout is None else timeout
        return _Use(self._slots, name, waits, making)

    def transaction(
        self,
        *databases: str,
        mode: str = "immediate",
        atomic: bool = False,
        timeout: Optional[float] = None,
    ) -> "AbstractAsyncContextManager[Any]":
        """Give, to `async with`, a csqlite.Transaction over several databases.

        Each is known to SQL by its name: `INSERT INTO alice.note ...`. It is committed at the end of
        the block, and rolled back where the block raises or is cancelled. With rollback journals all
        of them are committed or none, whatever happens; in WAL mode, which is that of the preset
        "server", a crash within the commit may leave some of them committed and others not.
        atomic=True refuses that with NotSupportedError.

        mode: as of Connection.transaction(). Their locks are taken in the order of the names, so that two
        of these do not wait for each other. Entering raises what use() raises. Raises ValueError
        for no name, and for one that is given twice.
        """
        self._check()
        chosen = sorted(names.check(name) for name in databases)
        if not chosen or len({names.fold(name) for name in chosen}) < len(chosen):
            raise ValueError("a transaction needs databases, each of them once")
        return self._transaction(chosen, mode, atomic, timeout)

    @contextlib.asynccontextmanager
    async def _transaction(
        self, databases: "list[str]", mode: str, atomic: bool, timeout: Optional[float]
    ) -> AsyncIterator[Any]:
        registry = self._check()
        ends = self._ends(timeout)
        async with contextlib.AsyncExitStack() as stack:
            for name in databases:
                await self._share(stack, name, ends)
            paths = {name: registry.path(name) for name in databases}
            block = several.several(paths, self._connecting, mode, atomic, registry.locks)
            yield await stack.enter_async_context(block)

    async def _share(self, stack: Any, name: str, ends: float) -> None:
        """Keep a database from being changed as long as a stack lasts, without its pool."""
        slot = await self._slots.share(name, ends, pool=False)
        stack.callback(self._slots.leave, slot, asyncio.current_task())

    # -- which there are ----------------------------------------------------------------

    async def list(self) -> "builtins.list[str]":
        """Return the names of all databases, in order."""
        rows = await self._check().rows()
        return [row.name for row in rows if row.state not in (CREATING, DROPPING)]

    async def exists(self, name: str) -> bool:
        """Tell whether there is a database of that name."""
        name = names.check(name)
        row = await self._check().find(name)
        return row is not None and row.name == name and row.state not in (CREATING, DROPPING)

    def path(self, name: str) -> "pathlib.Path":
        """Return where the file of a database is, or would be."""
        return pathlib.Path(names.path_of(self.directory, names.check(name)))

    def get_stats(self) -> "dict[str, int]":
        """Return how many databases are open and used, and how many calls wait for a place."""
        self._check()
        slots = [*self._slots]
        return {
            "databases_max": self.max_open,
            "databases_open": sum(slot.pool is not None for slot in slots),
            "databases_used": sum(bool(slot.users) for slot in slots),
            "requests_waiting": sum(slot.waiting for slot in slots),
        }

    # -- changing ------------------------------------------------------------------------

    async def create(
        self, name: str, script: Optional[str] = None, *, exist_ok: bool = False
    ) -> bool:
        """Make a database, and in it what a script of SQL makes; tell whether it was made.

        It is there when all of that is done, and not before. Raises DatabaseExists, or with exist_ok
        returns False; ValueError for a name that some file system takes for another one that is there.
        """
        name = names.check(name)

        async def make(path: str) -> None:
            await making.empty(path, self._connecting, script)

        return await self._create(name, make, exist_ok)

    async def clone(self, source: str, target: str) -> None:
        """Make a database that is another one as of this moment, which may be in use.

        Where the file system can, both share their blocks (reflink); otherwise it is copied by VACUUM INTO.
        Raises DatabaseNotFound, DatabaseExists, ValueError.
        """
        registry = self._check()
        source, target = names.check(source), names.check(target)
        path = registry.path(source)
        if source == target:
            raise DatabaseExists(f"there is a database {target!r} already")

        async def make(made: str) -> None:
            if self._can_reflink is None:
                self._can_reflink = await run(files.can_reflink, self.directory)
            options = self._connecting
            if not self._can_reflink or not await making.share_blocks(path, made, options):
                await making.copy(path, made, options)

        # In the order of the names, as rename(): so they do not wait for each other.
        async with contextlib.AsyncExitStack() as stack:
            ends = self._ends(None)
            if source < target:
                await self._share(stack, source, ends)
            await self._create(target, make, False, source if source > target else None)

    async def _create(
        self, name: str, make: Any, exist_ok: bool, source: Optional[str] = None
    ) -> bool:
        """Make a database by what makes its file. `source`: kept from being changed meanwhile."""
        registry = self._check()
        path = registry.path(name)
        ends = self._ends(None)
        if not self._slots.is_open(name):
            slot = await self._slots.claim(name, ends)
            try:
                async with contextlib.AsyncExitStack() as stack:
                    if source is not None:
                        await self._share(stack, source, ends)
                    row = await self._reserve(registry, name, ends)
                    if row is not None:
                        await self._make(registry, row, path, make)
                        return True
            finally:
                self._slots.yield_(slot)
        if not exist_ok:
            raise DatabaseExists(f"there is a database {name!r} already")
        return False

    async def _reserve(self, registry: Registry, name: str, ends: float) -> Optional[Row]:
        """Enter a database that is to be created; None where it is there."""
        while True:
            row = await registry.reserve(name)
            if row is not None:
                return row
            # What is there may be half done.
            found = await settled(registry, name, ends, exclusive=False)
            if found is not None:
                registry.locks.release(found.number)
                return None

    async def _make(self, registry: Registry, row: Row, path: str, make: Any) -> None:
        made = registry.made_path(row.number)
        try:
            await make(made)
        except BaseException:
            await to_its_end(lambda: self._undo(registry, row))
            raise
        await to_its_end(lambda: self._publish(registry, row, path))

    async def _publish(self, registry: Registry, row: Row, path: str) -> None:
        published = False
        try:
            await run(files.publish, registry.made_path(row.number), path)
            published = True
            await registry.set_state(row.number, READY)
        except BaseException as error:
            if published:
                await run(files.remove, path)
            await self._undo(registry, row)
            if isinstance(error, FileExistsError):
                raise DatabaseExists(f"there is a file {path!r} already") from error
            raise
        registry.let_go(row.number)

    async def _undo(self, registry: Registry, row: Row) -> None:
        try:
            await run(files.remove, registry.made_path(row.number))
            await registry.delete(row.number)
        finally:
            registry.let_go(row.number)

    @contextlib.asynccontextmanager
    async def _alone(self, name: str, ends: float) -> AsyncIterator[Optional[Row]]:
        """Have a database that nobody uses, in any process; None where there is none."""
        registry = self._check()
        slot = await self._slots.claim(name, ends)
        try:
            row = await settled(registry, name, ends, exclusive=True)
            try:
                if row is not None:
                    registry.mine.add(row.number)
                yield row
            finally:
                if row is not None:
                    registry.let_go(row.number)
        finally:
            self._slots.yield_(slot)

    async def drop(
        self, name: str, *, missing_ok: bool = False, timeout: Optional[float] = None
    ) -> bool:
        """Close a database and remove it; tell whether it was there.

        Who uses it is waited for, `timeout` seconds or as long as the object says, in other processes, too;
        then DatabaseInUse is raised. Raises DatabaseNotFound, or with missing_ok returns False.
        """
        name = names.check(name)
        self._check()
        async with self._alone(name, self._ends(timeout)) as row:
            if row is not None:
                await to_its_end(lambda: self._drop(row))
                return True
        if not missing_ok:
            raise DatabaseNotFound(f"there is no database {name!r}")
        return False

    async def _drop(self, row: Row) -> None:
        registry = self._registry
        assert registry is not None
        path = registry.path(row.name)
        await registry.set_state(row.number, DROPPING)
        try:
            await run(files.remove, path)
        except BaseException:
            if os.path.lexists(path):  # Nothing was removed.
                await registry.set_state(row.number, READY)
            raise
        await registry.delete(row.number)

    async def rename(self, name: str, target: str, *, timeout: Optional[float] = None) -> None:
        """Give a database another name. Who uses it is waited for, as by drop().

        Raises DatabaseNotFound, DatabaseExists, DatabaseInUse, ValueError.
        """
        name, target = names.check(name), names.check(target)
        self._check().path(target)
        ends = self._ends(timeout)
        async with contextlib.AsyncExitStack() as stack:
            for each in sorted({name, target}):
                if each == name:
                    row = await stack.enter_async_context(self._alone(name, ends))
                elif self._slots.is_open(target):
                    raise DatabaseExists(f"there is a database {target!r} already")
                else:
                    slot = await self._slots.claim(target, ends)
                    stack.callback(self._slots.yield_, slot)
            if row is None:
                raise DatabaseNotFound(f"there is no database {name!r}")
            if name != target:
                await self._tidy(row)
                await to_its_end(lambda: self._rename(row, target))

    async def _tidy(self, row: Row) -> None:
        """Leave nothing of a database beside its file, so that one call moves all of it."""
        registry = self._check()
        path = registry.path(row.name)
        await run(files.check_regular, path)
        async with connected(path, {"timeout": self.timeout}) as db:
            await db.execute_fetchall("SELECT count(*) FROM sqlite_master")
            await db.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        if not await run(files.is_journal_cold, path):
            raise DatabaseInUse(f"the database {row.name!r} is open somewhere else")
        await run(files.drop_sidecars, path)

    async def _rename(self, row: Row, target: str) -> None:
        registry = self._registry
        assert registry is not None
        old, new = registry.path(row.name), registry.path(target)
        await registry.rename(row.number, target)
        try:
            over_itself = names.fold(row.name) == names.fold(target)
            await run(files.move, old, new, over_itself=over_itself)
        except BaseException as error:
            if os.path.lexists(old):
                await registry.renamed(row.number, row.name)
            if isinstance(error, FileExistsError):
                raise DatabaseExists(f"there is a file {new!r} already") from error
            raise
        await registry.renamed(row.number, target)
