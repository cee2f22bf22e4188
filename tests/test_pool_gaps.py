"""The write-ahead log stays bounded though readers overlap; who keeps it from that is named."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

import csqlite

SECONDS = 60  # For what has to come, on a machine with much else to do.
LIMIT = 200_000  # Bytes.
BLOB = 20_000  # Bytes that a write has.
WRITES = 50

INSERT = f"insert into t values (?, zeroblob({BLOB}))"
COUNT = "select count(*) from t"


def log_of(path: Path) -> int:
    """Return how many bytes the log has."""
    return os.stat(f"{path}-wal").st_size


class Overlapping:
    """Readers of which one has always begun before the other ends, but for a gap."""

    def __init__(self, pool: csqlite.Pool[Any]) -> None:
        self.pool = pool
        self.begun = [asyncio.Event(), asyncio.Event()]
        self.over = asyncio.Event()
        self.reads = 0

    async def _read(self, who: int) -> None:
        async with self.pool.read() as db:
            before = await db.fetch_scalar(COUNT)
            self.begun[who].set()
            self.begun[1 - who].clear()
            # Until the other one has begun, or has to wait.
            while not (self.begun[1 - who].is_set() or self.over.is_set()):
                if self.pool._readers.paused:
                    break
                await asyncio.sleep(0.001)
            assert await db.fetch_scalar(COUNT) == before
        self.reads += 1

    async def run(self, who: int) -> None:
        """Read again and again."""
        while not self.over.is_set():
            await self._read(who)


async def written(path: Path, **options: Any) -> tuple[int, dict[str, Any]]:
    """Write while readers overlap; return how large the log was, and the statistics."""
    largest = 0
    async with csqlite.create_pool(path, **options) as pool:
        await pool.execute("create table t (a, b)")
        readers = Overlapping(pool)
        tasks = [asyncio.ensure_future(readers.run(who)) for who in range(2)]
        for number in range(WRITES):
            await asyncio.wait_for(pool.execute(INSERT, (number,)), SECONDS)
            largest = max(largest, log_of(path))
            reads = readers.reads
            while readers.reads == reads and number % 5 == 0:
                await asyncio.sleep(0.001)
        readers.over.set()
        await asyncio.wait_for(asyncio.gather(*tasks), SECONDS)
        assert await pool.fetch_scalar(COUNT) == WRITES
        stats = pool.get_stats()
        assert stats["pool_available"] == stats["pool_size"]
        assert stats["requests_waiting"] == 0
    return largest, stats


async def test_overlapping_readers_do_not_let_the_log_grow(path: Path) -> None:
    largest, stats = await written(path, max_wal=LIMIT, gap_timeout=SECONDS)
    assert largest <= LIMIT + 10 * BLOB
    assert stats["gaps_num"] >= WRITES * BLOB // (LIMIT + 10 * BLOB) - 1
    assert stats["gaps_errors"] == 0


async def test_without_gaps_it_grows(path: Path) -> None:
    largest, stats = await written(path, max_wal=None)
    assert largest > WRITES * BLOB * 0.8
    assert stats["gaps_num"] == 0


async def test_a_reader_that_does_not_end_is_named(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "csqlite.pool")
    async with csqlite.create_pool(path, max_wal=LIMIT, gap_timeout=0.02) as pool:
        await pool.execute("create table t (a, b)")
        inside, go = asyncio.Event(), asyncio.Event()

        async def dawdle() -> None:
            async with pool.read() as db:
                await db.fetch_all("select 'what it has read'")
                inside.set()
                await go.wait()

        dawdling = asyncio.create_task(dawdle(), name="the dawdler")
        await inside.wait()
        number = 0
        while not pool.get_stats()["gaps_errors"]:
            await pool.execute(INSERT, (number,))
            assert await asyncio.wait_for(pool.fetch_scalar(COUNT), SECONDS) == number + 1
            number += 1
        stats = pool.get_stats()
        assert stats["oldest_read_sql"] == "select 'what it has read'"
        assert stats["gaps_ms"] > 0 and stats["wal_pages"] > 0
        (record, *_) = caplog.records
        assert record.name == "csqlite.pool"
        assert "the oldest reader: the dawdler for" in record.message
        assert "executing \"select 'what it has read'\"" in record.message
        # Others go on meanwhile, and once it has ended the log is emptied.
        go.set()
        await dawdling
        pool._gaps._next = 0.0
        large = log_of(path)
        while log_of(path) >= large:
            await pool.execute(INSERT, (0,))
        assert pool.get_stats()["oldest_read_sql"] == ""


async def test_readers_of_another_pool_are_no_error(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with csqlite.create_pool(path, max_wal=LIMIT, gap_timeout=0.05) as pool:
        await pool.execute("create table t (a, b)")
        async with csqlite.create_pool(path) as other:
            async with other.read() as db:
                for number in range(2 * LIMIT // BLOB):
                    await pool.execute(INSERT, (number,))
                while not pool.get_stats()["gaps_errors"]:
                    await pool.execute(INSERT, (0,))
                assert await db.fetch_scalar(COUNT) == 0
        assert "another process or pool reads" in caplog.text
        assert await pool.fetch_scalar(COUNT) >= 2 * LIMIT // BLOB


@pytest.mark.parametrize("block", ["write", "transaction"])
async def test_a_gap_and_blocks(path: Path, block: str) -> None:
    """Blocks of writers and snapshots go on, whenever a gap comes.

    A snapshot that has its readers and waits for the writer holds up a gap until that is over.
    """
    async with csqlite.create_pool(path, max_wal=0, gap_timeout=0.05, max_readers=2) as pool:
        await pool.execute("create table t (a, b)")

        async def write(number: int) -> None:
            async with getattr(pool, block)() as db:
                await db.execute(INSERT, (number,))
                await asyncio.sleep(0)

        async def read() -> None:
            async with pool.snapshot(2) as dbs:
                first, second = [await db.fetch_scalar(COUNT) for db in dbs]
                assert first == second

        work = [write(number) for number in range(20)] + [read() for _ in range(10)]
        work += [pool.fetch_scalar(COUNT) for _ in range(20)]
        await asyncio.wait_for(asyncio.gather(*work), SECONDS)
        assert await pool.fetch_scalar(COUNT) == 20
        assert pool.get_stats()["gaps_num"] > 0


@pytest.mark.parametrize("way", ["close", "terminate", "close soon"])
async def test_closing_within_a_gap(path: Path, way: str) -> None:
    pool = await csqlite.create_pool(path, max_wal=0, gap_timeout=SECONDS)
    await pool.execute("create table t (a, b)")
    inside, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with pool.read() as db:
            await db.fetch_all(COUNT)
            inside.set()
            await go.wait()

    async def read() -> Any:
        return await pool.fetch_scalar(COUNT)

    holding = asyncio.ensure_future(hold())
    await inside.wait()
    writing = asyncio.ensure_future(pool.execute(INSERT, (1,)))
    while not pool._readers.paused:
        await asyncio.sleep(0)
    waiting = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    assert not waiting.done()
    if way == "close":
        asyncio.get_running_loop().call_soon(go.set)
    closing = (
        pool.terminate() if way == "terminate" else pool.close(0.01 if "soon" in way else None)
    )
    await asyncio.wait_for(closing, SECONDS)
    go.set()
    await asyncio.wait([holding, waiting, writing])
    assert writing.exception() is None or isinstance(writing.exception(), csqlite.PoolClosed)
    assert waiting.exception() is None or isinstance(waiting.exception(), csqlite.PoolClosed)
    await pool.terminate()  # What came back only now is closed, too.
    assert pool.get_stats()["pool_size"] == 0


def test_limits_that_make_no_sense() -> None:
    for options in ({"max_wal": -1}, {"gap_timeout": -1}, {"gap_timeout": float("nan")}):
        with pytest.raises(ValueError, match="must be"):
            csqlite.create_pool("x.db", **options)
