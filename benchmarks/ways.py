"""Ways in which programs share an SQLite file among many tasks, each as its own users would write it."""

from __future__ import annotations

import abc
import asyncio
import importlib
import importlib.metadata
import os
import tempfile
from typing import Any

TIMEOUT = 60  # Seconds. Nobody is to fail: what is measured is who has to wait.


class Way(abc.ABC):
    """A library, and how it is used.

    shapes: "connections" for one connection a task; "one" for one that all tasks share, "autocommit" for
    one whose statements commit by themselves; "pool".
    """

    name: str
    module: str
    shapes: tuple[str, ...]

    def load(self) -> None:
        """Import what it needs. Raises ImportError where it is not installed."""
        self.api = importlib.import_module(self.module)

    def version(self) -> str:
        """Return the version of the library."""
        return importlib.metadata.version(self.module.partition(".")[0])

    @abc.abstractmethod
    async def start(self, path: str, size: int, synchronous: str) -> None:
        """Open so many connections, or a pool of them, in WAL mode."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Close everything."""

    @abc.abstractmethod
    async def write(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        """Execute a statement in an immediate transaction of its own; it is committed on return."""

    async def insert(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        """Execute one statement; it is committed on return. The shortest way there is."""
        await self.write(task, sql, parameters)

    @abc.abstractmethod
    async def read(self, task: int, sql: str, parameters: tuple[Any, ...]) -> Any:
        """Return the one value that a query gives."""

    @abc.abstractmethod
    async def move(self, task: int, source: int, target: int) -> None:
        """Move 1 between two accounts in a transaction: read, compute, write."""


READ = "SELECT amount FROM account WHERE id = ?"
WRITE = "UPDATE account SET amount = ? WHERE id = ?"


async def moved(execute: Any, source: int, target: int) -> None:
    """Move 1 by an `execute` that gives a cursor."""
    amounts = []
    for account in (source, target):
        cursor = await execute(READ, (account,))
        amounts.append((await cursor.fetchone())[0])
    await execute(WRITE, (amounts[0] - 1, source))
    await execute(WRITE, (amounts[1] + 1, target))


async def first(connection: Any, sql: str, parameters: tuple[Any, ...]) -> Any:
    """Return the first value of a query, by aiosqlite's shortest call."""
    rows = await connection.execute_fetchall(sql, parameters)
    return next(iter(rows))[0]


class Connections(Way):
    """aiosqlite, and csqlite by the same calls: a connection for each task."""

    shapes: tuple[str, ...] = ("connections",)

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.module = name
        self.options = options

    async def start(self, path: str, size: int, synchronous: str) -> None:
        self.open = []
        for _ in range(size):
            connection = await self.api.connect(path, timeout=TIMEOUT, **self.options)
            self.open.append(connection)
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute(f"PRAGMA synchronous = {synchronous}")

    async def stop(self) -> None:
        for connection in self.open:
            await connection.close()

    def of(self, task: int) -> Any:
        """Return the connection that a task uses."""
        return self.open[task % len(self.open)]

    async def write(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        connection = self.of(task)
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute(sql, parameters)
        await connection.execute("COMMIT")

    async def read(self, task: int, sql: str, parameters: tuple[Any, ...]) -> Any:
        return await first(self.of(task), sql, parameters)

    async def move(self, task: int, source: int, target: int) -> None:
        connection = self.of(task)
        await connection.execute("BEGIN IMMEDIATE")
        await moved(connection.execute, source, target)
        await connection.execute("COMMIT")


class OneConnection(Connections):
    """aiosqlite: one connection that tasks share, with the implicit transactions of its default."""

    shapes = ("one",)

    async def start(self, path: str, size: int, synchronous: str) -> None:
        await super().start(path, 1, synchronous)

    async def write(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        await self.of(task).execute(sql, parameters)
        await self.of(task).commit()

    async def move(self, task: int, source: int, target: int) -> None:
        await moved(self.of(task).execute, source, target)
        await self.of(task).commit()


class OneAutocommit(OneConnection):
    """The same without implicit transactions: each statement commits by itself."""

    shapes = ("autocommit",)

    async def insert(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        await self.of(task).execute(sql, parameters)


class OneWithTransactions(OneConnection):
    """csqlite: one connection that tasks share, with its transaction()."""

    shapes = ("one", "autocommit")

    def __init__(self, title: str, **options: Any) -> None:
        super().__init__("csqlite", isolation_level=None, **options)
        self.name = title

    async def write(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        async with self.of(task).transaction() as tx:
            await tx.execute(sql, parameters)

    async def insert(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        await self.of(task).execute(sql, parameters)

    async def move(self, task: int, source: int, target: int) -> None:
        async with self.of(task).transaction() as tx:
            await moved(tx.execute, source, target)


class CsqlitePool(Way):
    """csqlite.create_pool(): one connection that writes, several that read."""

    name = "csqlite.create_pool()"
    module = "csqlite"
    shapes = ("pool",)

    async def start(self, path: str, size: int, synchronous: str) -> None:
        pragmas = {"journal_mode": "wal", "synchronous": synchronous}
        self.pool = await self.api.create_pool(
            path, max_readers=min(size, 4), pragmas=pragmas, timeout=TIMEOUT, busy_timeout=TIMEOUT
        )

    async def stop(self) -> None:
        await self.pool.close()

    async def write(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        async with self.pool.transaction() as tx:
            await tx.execute(sql, parameters)

    async def insert(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        await self.pool.execute(sql, parameters)

    async def read(self, task: int, sql: str, parameters: tuple[Any, ...]) -> Any:
        return await self.pool.fetch_scalar(sql, parameters)

    async def move(self, task: int, source: int, target: int) -> None:
        async with self.pool.transaction() as tx:
            await moved(tx.execute, source, target)


class AiosqlitePool(Way):
    """aiosqlitepool: connections of aiosqlite, lent and given back."""

    name = "aiosqlitepool"
    module = "aiosqlitepool"
    shapes = ("pool",)

    async def start(self, path: str, size: int, synchronous: str) -> None:
        aiosqlite = importlib.import_module("aiosqlite")

        async def connect() -> Any:
            connection = await aiosqlite.connect(path, timeout=TIMEOUT, isolation_level=None)
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute(f"PRAGMA synchronous = {synchronous}")
            return connection

        self.pool = self.api.SQLiteConnectionPool(
            connect, pool_size=size, acquisition_timeout=TIMEOUT
        )

    async def stop(self) -> None:
        await self.pool.close()

    async def write(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        async with self.pool.connection() as connection:
            await connection.execute("BEGIN IMMEDIATE")
            await connection.execute(sql, parameters)
            await connection.commit()

    async def insert(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        async with self.pool.connection() as connection:
            await connection.execute(sql, parameters)

    async def read(self, task: int, sql: str, parameters: tuple[Any, ...]) -> Any:
        async with self.pool.connection() as connection:
            return await first(connection, sql, parameters)

    async def move(self, task: int, source: int, target: int) -> None:
        async with self.pool.connection() as connection:
            await connection.execute("BEGIN IMMEDIATE")
            await moved(connection.execute, source, target)
            await connection.commit()


class SqlAlchemyPool(Way):
    """SQLAlchemy's AsyncEngine over aiosqlite, with its own pool, as its manual sets up SQLite."""

    name = "SQLAlchemy"
    module = "sqlalchemy"
    shapes = ("pool",)

    def load(self) -> None:
        super().load()
        importlib.import_module("aiosqlite")
        importlib.import_module("greenlet")
        self.aio = importlib.import_module("sqlalchemy.ext.asyncio")

    async def start(self, path: str, size: int, synchronous: str) -> None:
        self.engine = self.aio.create_async_engine(
            f"sqlite+aiosqlite:///{path}",
            pool_size=size,
            max_overflow=0,
            pool_timeout=TIMEOUT,
            connect_args={"timeout": TIMEOUT, "isolation_level": None},
        )

        def connected(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute(f"PRAGMA synchronous = {synchronous}")
            cursor.close()

        self.api.event.listen(self.engine.sync_engine, "connect", connected)
        self.read_only = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def stop(self) -> None:
        await self.engine.dispose()

    async def write(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        async with self.read_only.connect() as connection:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            await connection.exec_driver_sql(sql, parameters)
            await connection.exec_driver_sql("COMMIT")

    async def insert(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        async with self.read_only.connect() as connection:
            await connection.exec_driver_sql(sql, parameters)

    async def read(self, task: int, sql: str, parameters: tuple[Any, ...]) -> Any:
        async with self.read_only.connect() as connection:
            return (await connection.exec_driver_sql(sql, parameters)).scalar_one()

    async def move(self, task: int, source: int, target: int) -> None:
        async with self.read_only.connect() as connection:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            amounts = []
            for account in (source, target):
                result = await connection.exec_driver_sql(READ, (account,))
                amounts.append(result.scalar_one())
            await connection.exec_driver_sql(WRITE, (amounts[0] - 1, source))
            await connection.exec_driver_sql(WRITE, (amounts[1] + 1, target))
            await connection.exec_driver_sql("COMMIT")


class Cysqlite(Way):
    """cysqlite.aio: a Python thread a connection that calls a binding written in Cython."""

    name = "cysqlite.aio"
    module = "cysqlite.aio"
    shapes = ("connections",)

    async def start(self, path: str, size: int, synchronous: str) -> None:
        self.open = []
        for _ in range(size):
            connection = self.api.connect(path, timeout=TIMEOUT)
            self.open.append(connection)
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute(f"PRAGMA synchronous = {synchronous}")

    async def stop(self) -> None:
        for connection in self.open:
            await connection.close()

    def of(self, task: int) -> Any:
        """Return the connection that a task uses."""
        return self.open[task % len(self.open)]

    async def write(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        connection = self.of(task)
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute(sql, parameters)
        await connection.execute("COMMIT")

    async def insert(self, task: int, sql: str, parameters: tuple[Any, ...]) -> None:
        await self.of(task).execute(sql, parameters)

    async def read(self, task: int, sql: str, parameters: tuple[Any, ...]) -> Any:
        return (await self.of(task).execute_one(sql, parameters))[0]

    async def move(self, task: int, source: int, target: int) -> None:
        async with self.of(task).atomic():
            await moved(self.of(task).execute, source, target)


class OneCysqlite(Cysqlite):
    """The same, one connection that tasks share."""

    shapes = ("one", "autocommit")

    async def start(self, path: str, size: int, synchronous: str) -> None:
        await super().start(path, 1, synchronous)


def ways(shape: str) -> list[Way]:
    """Return the ways of a shape, and pools, whose libraries are installed, aiosqlite's first."""
    every: list[Way] = [
        Connections("aiosqlite", isolation_level=None),
        OneConnection("aiosqlite"),
        OneAutocommit("aiosqlite", isolation_level=None),
        Connections("csqlite", isolation_level=None),
        OneWithTransactions("csqlite"),
        OneWithTransactions("csqlite, `group_commit=True`", group_commit=True),
        CsqlitePool(),
        AiosqlitePool(),
        SqlAlchemyPool(),
        Cysqlite(),
        OneCysqlite(),
    ]
    return [way for way in every if {shape, "pool"} & {*way.shapes} and usable(way)]


def usable(way: Way) -> bool:
    """Tell whether a way can be measured: its library is there, and has its options."""

    async def try_it(path: str) -> None:
        await way.start(path, 1, "normal")
        await way.stop()

    try:
        way.load()
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(try_it(os.path.join(folder, "tried.db")))
    except (ImportError, TypeError):
        return False
    return True
