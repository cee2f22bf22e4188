"""A load of two copies of SQLite on one file, for test_two_sqlites.py; a program of its own.

    python two_sqlites.py PATH MODE SECONDS PROCESSES OTHER

Each process writes and reads through csqlite and through OTHER, which is "sqlite3" or "apsw",
each in threads of its own, with connections that come and go. (Through one other only: what two
others do to each other, csqlite cannot help.) Every commit that was reported as successful is
noted; afterwards all of them have to be in the file. Prints the counts as JSON, and fails on any
exception but "database is locked".
"""

import asyncio
import collections
import contextlib
import json
import multiprocessing
import os
import random
import sqlite3
import sys
import threading
import time

import csqlite

# How many transactions a connection lives.
LIFE = 25
BUSY = ("locked", "busy")


class Tally:
    """What one thread has done: keys of its commits, errors by name."""

    def __init__(self, name):
        self.name = name
        self.acknowledged = []
        self.doubtful = set()
        self.reads = 0
        self.errors = collections.Counter()
        self.busy = 0

    def fail(self, error, key=None):
        """Note an exception; a commit that failed may have come through or not."""
        if key is not None:
            self.doubtful.add(key)
        if any(word in str(error).lower() for word in BUSY):
            self.busy += 1
        else:
            self.errors[f"{self.name}: {type(error).__name__}: {error}"] += 1


def check_read(tally, rows):
    """Each transaction inserts a pair, so a snapshot holds an even number of rows."""
    (count, total) = rows[0]
    if count % 2 or total != 0:
        tally.errors[f"{tally.name}: torn read"] += 1
    tally.reads += 1


READ = "SELECT count(*), coalesce(sum(sign), 0) FROM pair WHERE writer = ?"
WRITE = "INSERT INTO pair (writer, key, sign, filling) VALUES (?, ?, ?, ?)"


def rows_of(tally, key):
    filling = "x" * random.choice((10, 100, 3000))
    return [(tally.name, key, 1, filling), (tally.name, key, -1, filling)]


def chores(mode):
    """Statements that some transactions are followed by."""
    if mode == "wal":
        return ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint(PASSIVE)", "VACUUM"]
    return ["VACUUM", "PRAGMA incremental_vacuum"]


def plain_thread(connect, path, mode, until, tally):
    """Write and read through a module that blocks."""
    key = 0
    while time.monotonic() < until:
        try:
            connection = connect(path)
            connection.execute("PRAGMA synchronous = off").fetchall()
            connection.execute(f"PRAGMA journal_mode = {mode}").fetchall()
        except Exception as error:
            tally.fail(error)
            continue
        for _ in range(random.randint(1, LIFE)):
            if time.monotonic() > until:
                break
            key += 1
            try:
                connection.execute("BEGIN IMMEDIATE")
                for row in rows_of(tally, key):
                    connection.execute(WRITE, row)
                connection.execute("COMMIT")
                tally.acknowledged.append(key)
                check_read(tally, connection.execute(READ, (tally.name,)).fetchall())
                if random.random() < 0.03:
                    connection.execute(random.choice(chores(mode))).fetchall()
            except Exception as error:
                tally.fail(error, key)
                with contextlib.suppress(Exception):
                    connection.execute("ROLLBACK")
        try:
            connection.close()
        except Exception as error:
            tally.fail(error)


async def csqlite_task(path, mode, until, tally):
    """Write and read through csqlite."""
    key = 0
    while time.monotonic() < until:
        try:
            connection = await csqlite.connect(path, isolation_level=None, timeout=10)
        except Exception as error:
            tally.fail(error)
            continue
        try:
            await connection.execute("PRAGMA synchronous = off")
            await connection.execute(f"PRAGMA journal_mode = {mode}")
        except Exception as error:
            tally.fail(error)
        for _ in range(random.randint(1, LIFE)):
            if time.monotonic() > until:
                break
            key += 1
            try:
                await connection.execute("BEGIN IMMEDIATE")
                await connection.executemany(WRITE, rows_of(tally, key))
                await connection.execute("COMMIT")
                tally.acknowledged.append(key)
                cursor = await connection.execute(READ, (tally.name,))
                check_read(tally, list(await cursor.fetchall()))
                if random.random() < 0.03:
                    await connection.execute(random.choice(chores(mode)))
            except Exception as error:
                tally.fail(error, key)
                with contextlib.suppress(Exception):
                    await connection.execute("ROLLBACK")
        try:
            await connection.close()
        except Exception as error:
            tally.fail(error)


def sqlite3_connect(path):
    return sqlite3.connect(path, isolation_level=None, timeout=10)


def apsw_connect(path):
    import apsw

    connection = apsw.Connection(path)
    connection.set_busy_timeout(10000)
    return connection


def load(path, mode, seconds, number, other):
    """Run the threads of one process; return their tallies."""
    until = time.monotonic() + seconds
    tallies = []

    def tally(name):
        tallies.append(Tally(f"{number}-{name}"))
        return tallies[-1]

    async def tasks():
        await asyncio.gather(
            *(csqlite_task(path, mode, until, tally(f"csqlite-{i}")) for i in range(2))
        )

    threads = [threading.Thread(target=asyncio.run, args=(tasks(),))]
    connect = {"sqlite3": sqlite3_connect, "apsw": apsw_connect}[other]
    for i in range(2):
        arguments = (connect, path, mode, until, tally(f"{other}-{i}"))
        threads.append(threading.Thread(target=plain_thread, args=arguments))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tallies


def worker(path, mode, seconds, number, other, queue):
    queue.put(load(path, mode, seconds, number, other))


def descriptors(path):
    """Return how many descriptors of the database and its companions are open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith(path)
    return count


def main(path, mode, seconds, processes, other):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA auto_vacuum = incremental")
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE pair (writer, key, sign, filling)")
        connection.execute("CREATE INDEX pair_writer ON pair (writer, key)")
    connection.close()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    children = [
        context.Process(target=worker, args=(path, mode, seconds, number, other, queue))
        for number in range(1, processes)
    ]
    for child in children:
        child.start()
    tallies = load(path, mode, seconds, 0, other)
    for _ in children:
        tallies += queue.get(timeout=seconds + 60)
    for child in children:
        child.join()
    return judge(path, tallies)


def judge(path, tallies):
    """Look for what was acknowledged, and return the counts."""
    errors = collections.Counter()
    connection = sqlite3.connect(path)
    integrity = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    for tally in tallies:
        errors.update(tally.errors)
        found = collections.Counter(
            row[0]
            for row in connection.execute("SELECT key FROM pair WHERE writer = ?", (tally.name,))
        )
        wanted = set(tally.acknowledged)
        for key in wanted:
            if found[key] != 2:
                errors[f"{tally.name}: commit lost"] += 1
        unknown = set(found) - wanted - tally.doubtful
        if unknown:
            errors[f"{tally.name}: unknown commit"] += len(unknown)
    connection.close()
    return {
        "commits": sum(len(tally.acknowledged) for tally in tallies),
        "reads": sum(tally.reads for tally in tallies),
        "busy": sum(tally.busy for tally in tallies),
        "errors": dict(errors),
        "integrity": integrity,
        "descriptors": descriptors(os.path.realpath(path)),
        "copies": sorted({tally.name.split("-")[1] for tally in tallies}),
    }


if __name__ == "__main__":
    path, mode, seconds, processes, other = sys.argv[1:]
    result = main(path, mode, float(seconds), int(processes), other)
    print(json.dumps(result))
    sys.exit(bool(result["errors"]) or result["integrity"] != ["ok"])
