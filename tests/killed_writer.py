"""A program that writes until it is killed, and says what it was promised.

    python killed_writer.py PATH JOURNAL SYNCHRONOUS FIRST SEED

A batch is what one transaction writes: rows that bear its number, and how many of them there
are. Standard output gets a line when an await has returned that promises something:
"+ 17": batch 17 is committed; "- 17" (before) and "= 17" (after): it is deleted. Batches are
numbered from FIRST. What is rolled back has number 0. tests/test_kill.py reads it.
"""

import asyncio
import contextlib
import itertools
import os
import random
import sys

import csqlite

INSERT = "insert into item (batch, size, kind, payload) values (?, ?, ?, ?)"

SCHEMA = """
    create table if not exists item (
        id integer primary key, batch integer not null, size integer not null,
        kind text not null, payload blob not null);
    create index if not exists item_batch on item (batch);
    create table if not exists counter (n integer not null);
    insert into counter select 0 where not exists (select * from counter);
"""


def payload(batch, length):
    """Return bytes that only this batch has."""
    return (b"%d." % batch * (length // 2))[:length]


def say(sign, batch):
    """Write a line at once. A pipe takes a short one whole or not at all."""
    os.write(1, b"%s %d\n" % (sign, batch))


class Writer:
    """What the tasks share."""

    def __init__(self, path, journal, synchronous, first, seed):
        self.path = path
        self.journal = journal
        self.synchronous = synchronous
        self.numbers = itertools.count(first)
        self.random = random.Random(seed)
        self.small = []

    async def open(self, **options):
        """Open a connection whose cache is so small that long transactions overflow it."""
        db = await csqlite.connect(self.path, timeout=60, **options)
        await db.execute(f"pragma synchronous = {self.synchronous}")
        await db.execute("pragma cache_size = 10")
        return db

    def rows(self, batch, size, kind, length=100):
        """Return the parameters of a batch's rows."""
        return [(batch, size, kind, payload(batch, length))] * size

    async def single(self):
        """Insert a row and commit."""
        db = await self.open()
        for batch in self.numbers:
            await db.execute(INSERT, (batch, 1, "single", payload(batch, 50)))
            await db.commit()
            say(b"+", batch)
            self.small.append(batch)

    async def automatic(self):
        """Insert a row, which commits by itself."""
        db = await self.open(isolation_level=None)
        for batch in self.numbers:
            await db.execute(INSERT, (batch, 1, "automatic", payload(batch, 3000)))
            say(b"+", batch)
            self.small.append(batch)

    async def grouped(self):
        """Insert from many tasks at once, whose commits are one."""
        db = await self.open(isolation_level=None, group_commit=True)

        async def insert():
            for batch in self.numbers:
                await db.execute(INSERT, (batch, 1, "grouped", payload(batch, 200)))
                say(b"+", batch)

        await asyncio.gather(*(insert() for _ in range(8)))

    async def many(self):
        """Insert with executemany(), now and then more than the cache holds."""
        db = await self.open()
        for batch in self.numbers:
            size = self.random.choice((2, 20, 200))
            length = self.random.choice((10, 500, 5000))
            await db.executemany(INSERT, self.rows(batch, size, "many", length))
            await db.commit()
            say(b"+", batch)

    async def explicit(self):
        """Write into two tables in one transaction, from its begin to its commit by hand."""
        db = await self.open(isolation_level=None)
        for batch in self.numbers:
            size = self.random.randint(1, 8)
            await db.execute("begin immediate")
            for row in self.rows(batch, size, "explicit"):
                await db.execute(INSERT, row)
            await db.execute("update counter set n = n + 1")
            await db.execute("commit")
            say(b"+", batch)

    async def manual(self):
        """The same with PEP 249's control, and every other transaction rolled back."""
        db = await self.open(isolation_level=None)
        db.autocommit = False
        for batch in self.numbers:
            await db.executemany(INSERT, self.rows(0, 30, "undone", 2000))
            await db.rollback()
            await db.executemany(INSERT, self.rows(batch, 5, "manual", 2000))
            await db.commit()
            say(b"+", batch)

    async def savepoints(self):
        """Roll back to a savepoint in the middle of a transaction."""
        db = await self.open(isolation_level=None)
        for batch in self.numbers:
            first, second = self.rows(batch, 2, "savepoints")
            await db.execute("begin")
            await db.execute(INSERT, first)
            await db.execute("savepoint s")
            await db.executemany(INSERT, self.rows(0, 10, "undone", 1000))
            await db.execute("rollback to s")
            await db.execute("release s")
            await db.execute(INSERT, second)
            await db.execute("commit")
            say(b"+", batch)

    async def script(self):
        """A transaction within one script."""
        db = await self.open()
        for batch in self.numbers:
            row = f"insert into item values (null, {batch}, 3, 'script', x'{payload(batch, 9).hex()}');"
            await db.executescript(f"begin; {row * 3} commit")
            say(b"+", batch)

    async def delete(self):
        """Delete batches that are committed."""
        db = await self.open()
        while True:
            await asyncio.sleep(0.002)
            if self.small:
                batch = self.small.pop(self.random.randrange(len(self.small)))
                say(b"-", batch)
                await db.execute("delete from item where batch = ?", (batch,))
                await db.commit()
                say(b"=", batch)

    async def tidy(self):
        """Checkpoint, and now and then rewrite the whole file."""
        db = await self.open(isolation_level=None)
        while True:
            await asyncio.sleep(self.random.uniform(0.01, 0.05))
            with contextlib.suppress(csqlite.OperationalError):
                await db.execute(self.random.choice(("pragma wal_checkpoint(truncate)", "vacuum")))

    async def run(self):
        """Set the file up and write until the end."""
        async with csqlite.connect(self.path, isolation_level=None, timeout=60) as db:
            await db.execute(f"pragma journal_mode = {self.journal}")
            await db.executescript(SCHEMA)
        await asyncio.gather(
            self.single(), self.automatic(), self.grouped(), self.many(), self.explicit(), self.manual(),
            self.savepoints(), self.script(), self.delete(), self.tidy(),
        )  # fmt: skip


if __name__ == "__main__":
    path, journal, synchronous, first, seed = sys.argv[1:]
    asyncio.run(Writer(path, journal, synchronous, int(first), int(seed)).run())
