"""What has to hold once a task was cancelled, whatever it did and wherever it stood."""

import asyncio
import gc
import os
import sys
import time
import warnings

import csqlite
from csqlite import _csqlite

SECONDS = 60

TYPES = (_csqlite.Connection, _csqlite.Cursor, _csqlite.Request, _csqlite.Blob)

# How long `select 1` took after each interruption, in seconds.
LATENCIES = []


def living():
    """Count the objects of the extension."""
    gc.collect()
    return sum(isinstance(item, TYPES) for item in gc.get_objects())


def descriptors():
    """Count the open descriptors."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


class Scene:
    """A database with two connections, `db` to be interrupted and `other` to look whether it is free.

    `numbers` has rows to read, `t` none; `cursor` is a cursor of `db` that the user keeps.
    Leaving it asserts that nothing was leaked and nothing was said.
    """

    def __init__(self, folder, capfd=None, **options):
        self.path = folder / "scene.db"
        self.folder = folder
        self.capfd = capfd
        self.options = options
        self.paths = 0
        self.complaints = []
        self.note = ""  # what was done last

    def new_path(self):
        self.paths += 1
        return self.folder / f"{self.paths}.db"

    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda loop, context: self.complaints.append(context))
        self.hook, sys.unraisablehook = sys.unraisablehook, self.complaints.append
        self.caught = warnings.catch_warnings(record=True)
        self.warned = self.caught.__enter__()
        warnings.simplefilter("always")
        # The loop's own, and csqlite's for it, which stay as long as the loop.
        async with csqlite.connect(":memory:"):
            pass
        self.objects, self.files = living(), descriptors()
        self.other = await csqlite.connect(self.path, isolation_level=None, timeout=0)
        await self.other.executescript(
            """
            pragma journal_mode = wal;
            create table numbers (i integer primary key not null, filler);
            create table t (a);
            create table keyed (a integer primary key, b);
            create table blobs (data);
            insert into blobs values (zeroblob(3000000));
            insert into numbers
                with recursive n(i) as (select 1 union all select i + 1 from n limit 3000)
                select i, 'filler' from n;
            """
        )
        self.db = await csqlite.connect(self.path, iter_chunk_size=4, **self.options)
        self.cursor = await self.db.cursor()
        # A connection that may call Python is never waited for awake: each await is one.
        await self.db.create_function("unused", 0, int)
        return self

    async def renew(self):
        """Give `cursor` anew: an operation may have closed it."""
        self.cursor = await self.db.cursor()

    async def check(self, in_transaction=False):
        """Assert that `db` answers and holds nothing; `in_transaction` None: any may be."""
        begun = time.perf_counter()
        assert await asyncio.wait_for(self.db.execute_fetchall("select 1"), SECONDS) == [(1,)]
        LATENCIES.append(time.perf_counter() - begun)
        if in_transaction is not None:
            assert self.db.in_transaction == in_transaction
        if in_transaction is not False:
            await self.db.rollback()
        assert not self.db.in_transaction
        await self.assert_free()

    async def assert_free(self):
        """Assert that `other` finds neither a statement nor a transaction of `db` in its way."""
        other = self.other
        await other.execute("begin immediate")
        await other.execute("delete from t")
        await other.execute("insert into t values (0)")
        await other.execute("commit")
        truncated = await other.execute_fetchall("pragma wal_checkpoint(truncate)")
        assert truncated == [(0, 0, 0)], f"{truncated} after {self.note}"

    async def settle(self):
        """Wait until closed connections are gone, which end in their own time."""
        end = time.monotonic() + SECONDS
        while (living() > self.objects or descriptors() > self.files) and time.monotonic() < end:
            await asyncio.sleep(0.005)

    async def __aexit__(self, *error):
        try:
            await self.db.close()
            await self.other.close()
            del self.db, self.other, self.cursor
            if error[0] is None:
                await self.settle()
                left = (living() - self.objects, descriptors() - self.files)
                assert max(left) <= 0, f"{left} objects and descriptors are left"
        finally:
            self.caught.__exit__(None, None, None)
            sys.unraisablehook = self.hook
            self.loop.set_exception_handler(None)
        if error[0] is None:
            assert self.complaints == [], self.complaints
            warned = [str(warning.message) for warning in self.warned]
            assert warned == [], warned
            assert self.capfd is None or self.capfd.readouterr().err == ""
