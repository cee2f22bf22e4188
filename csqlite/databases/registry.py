"""The registry: which databases a directory has, and what is being done to them.

A file of its own, and the only place where processes agree. What takes several steps (a file and a
row) has its row say so first: whoever finds that row, and nobody who works on it, finishes or undoes
it. Who works on a row has its number locked exclusively: see locks.py.
"""

import asyncio
import os
import sqlite3
import time
from typing import Any, NamedTuple, Optional

from ..core import Connection, connect
from . import files, names
from .errors import DatabaseExists
from .locks import Locks

FILE = ".registry.db"
LOCKS = ".registry.lock"
MADE = ".new-"  # What a database's file is called until it is complete, with its number behind.
SCRATCH = ".scratch-"  # See several.py.

READY, CREATING, DROPPING, RENAMING = "ready", "creating", "dropping", "renaming"

# How long others keep away when they are asked, in seconds.
WANTED = 1.0

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS database (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    folded TEXT NOT NULL UNIQUE,    -- what a file system may take for the same name
    state TEXT NOT NULL DEFAULT '{READY}' CHECK (state IN ('ready', 'creating', 'dropping', 'renaming')),
    target TEXT UNIQUE,             -- the new name, while it is being renamed
    target_folded TEXT UNIQUE,
    wanted REAL NOT NULL DEFAULT 0  -- until when others are to keep away, as somebody waits for that
);
PRAGMA user_version = {_VERSION};
"""

_COLUMNS = "SELECT number, name, state, target, wanted FROM database"


class Row(NamedTuple):
    """What the registry has of a database."""

    number: int
    name: str
    state: str
    target: Optional[str]
    wanted: float


class Registry:
    """The registry of one directory, and the locks on what stands in it."""

    def __init__(self, directory: str, db: Connection, locks: Locks) -> None:
        self.directory = directory
        self.locks = locks
        self.mine: set[int] = set()  # What this object works on: its own locks do not stop it.
        self._db = db
        self._version: Any = None

    @classmethod
    async def open(cls, directory: str, timeout: float) -> "Registry":
        """Open the registry of a directory, or make one."""
        path = os.path.join(directory, FILE)
        if os.path.lexists(path):
            files.check_regular(path)
        db = await cls._connect(path, timeout)
        try:
            ((version,),) = await db.execute_fetchall("PRAGMA user_version")
            if version == 0:
                async with db.transaction() as tx:
                    for sql in _SCHEMA.split(";\n")[:-1]:
                        await tx.execute(sql)
            elif version != _VERSION:
                raise sqlite3.NotSupportedError(
                    f"the registry {path!r} is of version {version}: another csqlite has made it"
                )
            locks = Locks(os.path.join(directory, LOCKS))
        except BaseException:
            await db.close()
            raise
        return cls(directory, db, locks)

    @staticmethod
    async def _connect(path: str, timeout: float) -> Connection:
        """Open the file. Two who set its journal mode at once may be told at once that it is locked."""
        ends = time.monotonic() + timeout
        while True:
            try:
                return await connect(
                    path,
                    timeout=timeout,
                    isolation_level=None,
                    pragmas={"journal_mode": "wal", "synchronous": "full"},
                )
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() >= ends:
                    raise
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Close it, and give back all locks."""
        self.locks.close()
        await self._db.close()

    # -- paths -------------------------------------------------------------------------

    def path(self, name: str) -> str:
        """Return the path of a database's file."""
        return names.path_of(self.directory, name)

    def made_path(self, number: int) -> str:
        """Return the path of a database's file until it is complete."""
        return os.path.join(self.directory, f"{MADE}{number}{names.SUFFIX}")

    # -- reading -----------------------------------------------------------------------

    async def rows(self) -> "list[Row]":
        """Return all rows, by their names."""
        return [Row(*row) for row in await self._db.execute_fetchall(f"{_COLUMNS} ORDER BY name")]

    async def find(self, name: str) -> Optional[Row]:
        """Return the row of a name, or the one that is being renamed to it."""
        sql = f"{_COLUMNS} WHERE name = ? OR target = ? ORDER BY name = ? DESC"
        rows = await self._db.execute_fetchall(sql, (name, name, name))
        return Row(*rows[0]) if rows else None

    async def wanted(self) -> "set[str]":
        """Return the names that others wait for, an empty set where nothing has changed since the last call."""
        ((version,),) = await self._db.execute_fetchall("PRAGMA data_version")
        if version == self._version:
            return set()
        self._version = version
        sql = "SELECT name FROM database WHERE wanted > ?"
        return {name for (name,) in await self._db.execute_fetchall(sql, (time.time(),))}

    # -- changing ----------------------------------------------------------------------

    async def reserve(self, name: str) -> Optional[Row]:
        """Enter a database that is to be created, and lock it; None where the name is there.

        Raises ValueError for a name that a file system may take for another one.
        """
        number = 0
        try:
            async with self._db.transaction() as tx:
                rows = await self._alike(tx, name)
                self._refuse_alike(name, rows)
                if rows:
                    return None
                cursor = await tx.execute(
                    "INSERT INTO database (name, folded, state) VALUES (?, ?, ?)",
                    (name, names.fold(name), CREATING),
                )
                number = cursor.lastrowid or 0
                self.mine.add(number)
                self.locks.take(number, exclusive=True)  # Before anybody can see the row.
        except BaseException:
            self.let_go(number)
            raise
        return Row(number, name, CREATING, None, 0.0)

    async def lock(self, row: Row, *, exclusive: bool) -> bool:
        """Lock a database as it was found; tell whether that was done and it is so still."""
        if not self.locks.take(row.number, exclusive=exclusive):
            return False
        try:
            found = await self.find(row.name)
            if found is not None and found._replace(wanted=row.wanted) == row:
                return True
        except BaseException:
            self.locks.release(row.number)
            raise
        self.locks.release(row.number)
        return False

    def let_go(self, number: int) -> None:
        """Work no more on a database."""
        self.mine.discard(number)
        if number:
            self.locks.release(number)

    async def _alike(self, tx: Any, name: str, but: int = 0) -> "list[Any]":
        folded = names.fold(name)
        rows: list[Any] = await tx.execute_fetchall(
            "SELECT CASE WHEN folded = ? THEN name ELSE target END FROM database "
            "WHERE (folded = ? OR target_folded = ?) AND number <> ?",
            (folded, folded, folded, but),
        )
        return rows

    @staticmethod
    def _refuse_alike(name: str, rows: "list[Any]") -> None:
        for (other,) in rows:
            if other != name:
                raise ValueError(
                    f"{name!r} cannot be the name of a database: some file systems take it for "
                    f"{other!r}, which is there"
                )

    async def rename(self, number: int, target: str) -> None:
        """Enter that a database is being renamed. Raises DatabaseExists, ValueError."""
        async with self._db.transaction() as tx:
            rows = await self._alike(tx, target, but=number)
            self._refuse_alike(target, rows)
            if rows:
                raise DatabaseExists(f"there is a database {target!r} already")
            await tx.execute(
                "UPDATE database SET state = ?, target = ?, target_folded = ? WHERE number = ?",
                (RENAMING, target, names.fold(target), number),
            )

    async def renamed(self, number: int, name: str) -> None:
        """Enter the name of a database that was renamed, or was not."""
        await self._db.execute_fetchall(
            "UPDATE database SET state = ?, name = ?, folded = ?, target = NULL, "
            "target_folded = NULL, wanted = 0 WHERE number = ?",
            (READY, name, names.fold(name), number),
        )

    async def set_state(self, number: int, state: str) -> None:
        """Enter what is being done to a database."""
        await self._db.execute_fetchall(
            "UPDATE database SET state = ? WHERE number = ?", (state, number)
        )

    async def want(self, number: int) -> None:
        """Ask others to close a database, and to keep away for a moment: ask again before it is over."""
        await self._db.execute_fetchall(
            "UPDATE database SET wanted = ? WHERE number = ?", (time.time() + WANTED, number)
        )

    async def delete(self, number: int) -> None:
        """Forget a database."""
        await self._db.execute_fetchall("DELETE FROM database WHERE number = ?", (number,))

    async def adopt(self) -> None:
        """Enter the databases whose files are there and that are unknown, and remove what was never completed."""
        async with self._db.transaction() as tx:
            found = await tx.execute_fetchall("SELECT number, folded, target_folded FROM database")
            known = {folded for row in found for folded in row[1:]}
            numbers = {row[0] for row in found}
            for file in sorted(os.listdir(self.directory)):
                name = names.of_file(file)
                if name and names.fold(name) not in known and self._is_file(file):
                    known.add(names.fold(name))
                    sql = "INSERT INTO database (name, folded) VALUES (?, ?)"
                    await tx.execute(sql, (name, names.fold(name)))
                elif self._is_left(file, numbers):
                    os.unlink(os.path.join(self.directory, file))

    def _is_file(self, file: str) -> bool:
        try:
            files.check_regular(os.path.join(self.directory, file))
        except (OSError, ValueError):
            return False
        return True

    @staticmethod
    def _is_left(file: str, numbers: "set[int]") -> bool:
        """Tell whether a file was to become a database that the registry knows no more."""
        if not file.startswith(MADE):
            return False
        number = file[len(MADE) :].partition(".")[0]
        return number.isdecimal() and int(number) not in numbers
