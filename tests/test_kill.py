"""kill -9 at random moments of a writing program: every acknowledged commit is there.

The death of a process, not of the machine: nothing may be lost with `synchronous = OFF` either.
"""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest
from doses import dose
from killed_writer import payload

import csqlite

KILLS = dose(12, 200)
STRIDE = 10_000_000
LARGE = 30_000_000

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")


class Promises:
    """What a writer has said, over all its lives."""

    def __init__(self):
        self.there = set()  # acknowledged, so it must be there
        self.gone = set()  # its deletion is acknowledged
        self.maybe = set()  # its deletion has begun

    def take(self, lines):
        """Take in what one life has said."""
        for line in lines:
            sign, batch = line.split()
            batch = int(batch)
            if sign == b"+":
                self.there.add(batch)
            elif sign == b"-":
                self.there.remove(batch)
                self.maybe.add(batch)
            else:
                self.maybe.remove(batch)
                self.gone.add(batch)

    def complaints(self, found):
        """Return what is wrong with the batches of a file: (batch, size, count) each."""
        wrong = [f"{batch}: {count} of {size}" for batch, size, count in found if count != size]
        batches = {batch for batch, _, _ in found}
        wrong += [f"{batch}: lost" for batch in sorted(self.there - batches)]
        wrong += [f"{batch}: not deleted" for batch in sorted(self.gone & batches)]
        wrong += ["0: not rolled back"] if 0 in batches else []
        return wrong


@pytest.mark.parametrize(
    ("said", "found", "wrong"),
    [
        ("+ 1|+ 2", [(1, 1, 1), (2, 3, 3), (4, 2, 2)], []),
        ("+ 1|+ 2", [(1, 1, 1)], ["2: lost"]),
        ("+ 1", [(1, 3, 2)], ["1: 2 of 3"]),
        ("", [(1, 3, 2)], ["1: 2 of 3"]),
        ("+ 1|- 1", [], []),
        ("+ 1|- 1", [(1, 1, 1)], []),
        ("+ 1|- 1|= 1", [], []),
        ("+ 1|- 1|= 1", [(1, 1, 1)], ["1: not deleted"]),
        ("", [(0, 2, 2)], ["0: not rolled back"]),
    ],
)
def test_broken_promise_is_noticed(said, found, wrong):
    promises = Promises()
    promises.take(said.encode().split(b"|") if said else [])
    assert promises.complaints(found) == wrong


async def live_and_die(path, journal, synchronous, first, dice):
    """Let a writer run, kill it, and return the lines that it has written."""
    program = Path(__file__).parent / "killed_writer.py"
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        str(path),
        journal,
        synchronous,
        str(first),
        str(dice.randrange(2**32)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        # Most die amid their work, some while they open or set up the file.
        early = dice.random() < 0.2
        said = b"" if early else await asyncio.wait_for(writer.stdout.readline(), 60)
        reading = asyncio.ensure_future(asyncio.gather(writer.stdout.read(), writer.stderr.read()))
        await asyncio.wait([reading], timeout=dice.uniform(0, 0.5))
    finally:
        if writer.returncode is None:
            writer.kill()
    rest, errors = await asyncio.wait_for(reading, 60)
    assert (await writer.wait(), errors) == (-signal.SIGKILL, b"")
    lines = (said + rest).splitlines(keepends=True)
    return [line for line in lines if line.endswith(b"\n")]


async def check(path, promises, first):
    """Open the file that a killed writer has left, and check it against the promises."""
    async with csqlite.connect(path, timeout=5) as db:
        if not await db.execute_fetchall("select * from sqlite_schema where name = 'counter'"):
            return ["no tables"] if promises.there else []
        assert await db.execute_fetchall("pragma integrity_check") == [("ok",)]
        found = await db.execute_fetchall(
            "select batch, max(size), count(*) from item group by batch"
        )
        wrong = promises.complaints(found)
        async with db.execute(
            "select distinct batch, payload from item where batch >= ?", (first,)
        ) as cursor:
            async for batch, content in cursor:
                if content != payload(batch, len(content)):
                    wrong.append(f"{batch}: another content")
        counted = await db.execute_fetchall(
            "select n, (select count(distinct batch) from item where kind = 'explicit') from counter"
        )
        if len(counted) > 1 or any(n != batches for n, batches in counted):
            wrong.append(f"counted {counted}")
        return wrong


async def prune(path, promises):
    """Begin anew in the same file, before it takes long to check."""
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.executescript("delete from item; update counter set n = 0; vacuum")
    promises.there.clear()


@pytest.mark.seconds(dose(180, 3000))
async def test_acknowledged_commits_survive_the_writer(path):
    seed = int(os.environ.get("CSQLITE_SEED", random.randrange(2**32)))
    print(f"CSQLITE_SEED={seed}")
    dice = random.Random(seed)
    promises = Promises()
    acknowledged = 0
    for life in range(KILLS):
        first = (life + 1) * STRIDE
        # In turn, so that each is there in a short dose, too.
        journal = ("wal", "delete", "wal", "truncate", "persist")[life % 5]
        synchronous = ("full", "normal", "off")[life % 3]
        lines = await live_and_die(path, journal, synchronous, first, dice)
        acknowledged += sum(line.startswith(b"+") for line in lines)
        promises.take(lines)
        wrong = await check(path, promises, first)
        assert not wrong, (f"seed {seed}, life {life}, {journal}, {synchronous}", wrong[:20])
        if path.exists() and path.stat().st_size > LARGE:
            await prune(path, promises)
    print(f"{KILLS} kills, {acknowledged} acknowledged commits")
    assert acknowledged >= KILLS
