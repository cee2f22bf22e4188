"""One synchronous face for sqlite3 and for csqlite, so that the same line of Python runs on both.

sqlite3's own connection is one view, with the two shortcuts that aiosqlite adds. csqlite has two:
`Awaited` runs each request in an event loop until it is done, and `_conn`, the view that
csqlite itself has (csqlite/raw.py), runs it where it is called.
"""

import asyncio
import sqlite3

import csqlite

# How csqlite.connect() is to fetch ahead; a program's own option, which sqlite3 does not have.
CHUNK = "iter_chunk_size"
EXHAUSTED = object()


class Oracle(sqlite3.Connection):
    """sqlite3's connection, with what aiosqlite has beyond it."""

    def execute_insert(self, sql, parameters=()):
        cursor = self.execute(sql, parameters)
        cursor.execute("select last_insert_rowid()")
        return cursor.fetchone()

    def execute_fetchall(self, sql, parameters=()):
        return self.execute(sql, parameters).fetchall()


class Awaited:
    """Anything of csqlite's, whose requests are awaited one by one."""

    _own = ("_run", "_target")

    def __init__(self, run, target):
        self._run = run
        self._target = target

    def __getattr__(self, name):
        value = getattr(self._target, name)
        if not callable(value) or isinstance(value, type) or name.endswith("_factory"):
            return value

        def call(*args, **kwargs):
            args = [getattr(item, "_target", item) for item in args]
            answer = value(*args, **kwargs)
            if not hasattr(answer, "__await__"):
                return answer if name != "iterdump" else iter(self._run(_listed(answer)))
            answer = self._run(answer)
            if answer is self._target:
                return self
            if isinstance(answer, (csqlite.Cursor, csqlite.Blob)):
                return Awaited(self._run, answer)
            return answer

        return call

    def __setattr__(self, name, value):
        if name in self._own:
            object.__setattr__(self, name, value)
        else:
            self._run(_set(self._target, name, value))

    def __delattr__(self, name):
        delattr(self._target, name)

    def __iter__(self):
        return self

    def __next__(self):
        answer = self._run(_step(self._target))
        if answer is EXHAUSTED:
            raise StopIteration
        return answer

    def __len__(self):
        return len(self._target)

    def __bool__(self):
        return bool(self._target)

    def __getitem__(self, key):
        return self._run(_item(self._target, key))

    def __setitem__(self, key, value):
        self._run(self._target.set(key, value))


async def _listed(iterator):
    return [item async for item in iterator]


async def _step(iterator):
    try:
        return await iterator.__anext__()
    except StopAsyncIteration:
        return EXHAUSTED


async def _set(target, name, value):
    """Set an attribute, and wait for the COMMIT that this may have queued."""
    setattr(target, name, value)
    if isinstance(target, csqlite.Connection):
        await target._execute(int)


async def _item(blob, key):
    return await blob[key]


class Sqlite3:
    """The oracle."""

    name = "sqlite3"
    module = sqlite3

    def connect(self, *args, **kwargs):
        kwargs.pop(CHUNK, None)
        kwargs.setdefault("factory", Oracle)
        return sqlite3.connect(*args, **kwargs)

    def close(self):
        pass


class Loop:
    """csqlite, each of whose requests is awaited in a loop."""

    name = "csqlite"
    module = csqlite

    @staticmethod
    def has(line):
        return True

    def __init__(self):
        self._loop = asyncio.new_event_loop()

    def connect(self, *args, **kwargs):
        return Awaited(self._loop.run_until_complete, self._opened(*args, **kwargs))

    def _opened(self, *args, **kwargs):
        return self._loop.run_until_complete(csqlite.connect(*args, **kwargs))

    def close(self):
        self._loop.close()


class Raw(Loop):
    """csqlite's `_conn`, in this thread."""

    name = "csqlite _conn"

    @staticmethod
    def has(line):
        """The shortcuts of aiosqlite are not the view's."""
        return "execute_insert(" not in line and "execute_fetchall(" not in line

    def __init__(self):
        super().__init__()
        self._kept = []

    def connect(self, *args, **kwargs):
        kwargs.setdefault("check_same_thread", False)
        connection = self._opened(*args, **kwargs)
        self._kept.append(connection)
        return connection._conn

    def forget(self):
        for connection in self._kept:
            self._loop.run_until_complete(connection.close())
