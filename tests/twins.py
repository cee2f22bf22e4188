"""sqlite3 with csqlite's face: every call is awaited, so that one test runs on both.

A test that takes `twin` runs twice. What it expects is written once, and sqlite3 says whether it
is right.
"""

import sqlite3

import csqlite


def awaited(function):
    """Return a coroutine function that calls `function` at once."""

    async def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


class Opening:
    """What the methods of a twin give: an awaitable, and a context that closes the result."""

    def __init__(self, make, leave):
        self._make = make
        self._leave = leave

    def __await__(self):
        return awaited(self._make)().__await__()

    async def __aenter__(self):
        self._result = self._make()
        return self._result

    async def __aexit__(self, *exc_info):
        await self._leave(self._result, exc_info)


class Face:
    """Any object of sqlite3, whose methods are awaited."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        value = getattr(self._target, name)
        return awaited(value) if callable(value) and not isinstance(value, type) else value


class BlobFace(Face):
    """A sqlite3.Blob."""

    def __len__(self):
        return len(self._target)

    def __getitem__(self, key):
        return awaited(self._target.__getitem__)(key)

    async def set(self, key, value):
        self._target[key] = value

    async def __aenter__(self):
        self._target.__enter__()
        return self

    async def __aexit__(self, *exc_info):
        self._target.__exit__(*exc_info)


class ConnectionFace(Face):
    """A sqlite3.Connection."""

    def __init__(self, *args, **kwargs):
        self._arguments = args, kwargs

    async def __aenter__(self):
        args, kwargs = self._arguments
        super().__init__(sqlite3.connect(*args, **kwargs))
        return self

    async def __aexit__(self, *exc_info):
        self._target.close()

    def blobopen(self, *args, **kwargs):
        return Opening(
            lambda: BlobFace(self._target.blobopen(*args, **kwargs)),
            lambda blob, exc_info: blob.__aexit__(*exc_info),
        )

    async def backup(self, *args, **kwargs):
        args = [item._target if isinstance(item, Face) else item for item in args]
        self._target.backup(*args, **kwargs)

    async def execute_fetchall(self, sql, parameters=()):
        return self._target.execute(sql, parameters).fetchall()


# What `twin` can be: a function that makes a connection, to be opened by `async with`.
TWINS = {"sqlite3": ConnectionFace, "csqlite": csqlite.connect}
