"""Two processes of eight writers each on one file: no error, both make progress, nothing is lost.

Each process runs until it is told to stop, which is when both have come far enough: so a process
that never came to write would fail the test, and no time is asserted.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest
from doses import PATIENCE, dose

SECONDS = 120 * PATIENCE  # For what has to come.
ACCOUNTS = 20
ENOUGH = dose(60, 2000)  # Transactions of each process.

PROGRAM = """
import asyncio, json, random, sys
import csqlite

kind, path, seed = sys.argv[1:]
READ = "select amount from account where id = ?"
WRITE = "update account set amount = amount + ? where id = ?"
SUM = "select sum(amount), count(*) from account"
done = [0] * 8
stopping = False

async def move(tx, writer, dice):
    source, target = dice.sample(range(ACCOUNTS), 2)
    (amount,) = (await tx.execute_fetchall(READ, (source,)))[0]
    await tx.execute(WRITE, (-1, source))
    await tx.execute(WRITE, (1, target))
    await tx.execute("insert into log values (?, ?)", (seed, f"{writer} {done[writer]}"))

async def write(begin, writer):
    dice = random.Random(f"{seed} {writer}")
    while not stopping:
        async with begin() as tx:
            await move(tx, writer, dice)
        done[writer] += 1
        print(sum(done), flush=True)

async def look(fetch):
    while not stopping:
        ((total, count),) = await fetch(SUM)
        assert (total, count) == (100 * ACCOUNTS, ACCOUNTS), (total, count)
        await asyncio.sleep(0.001)

async def work(begins, fetch):
    global stopping
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    tasks = [asyncio.ensure_future(write(begin, writer)) for writer, begin in enumerate(begins)]
    tasks.append(asyncio.ensure_future(look(fetch)))
    await loop.run_in_executor(None, sys.stdin.readline)
    stopping = True
    await asyncio.gather(*tasks)
    print(json.dumps(done), flush=True)

async def with_pool():
    async with csqlite.create_pool(path, timeout=30, busy_timeout=30, pragmas=None) as pool:
        await work([pool.transaction] * 8, pool.fetch_all)

async def with_connections():
    connections = [
        await csqlite.connect(path, timeout=30, isolation_level=None) for _ in range(9)
    ]
    await work([db.transaction for db in connections[:8]], connections[8].fetch_all)
    for db in connections:
        await db.close()

asyncio.run(with_pool() if kind == "pool" else with_connections())
""".replace("ACCOUNTS", str(ACCOUNTS))


def prepare(path: Path, mode: str) -> None:
    """Make the accounts."""
    db = sqlite3.connect(str(path), isolation_level=None)
    db.execute(f"pragma journal_mode = {mode}")
    db.execute("create table account (id integer primary key, amount integer not null)")
    db.execute("create table log (process text, what text, unique (process, what))")
    db.executemany("insert into account values (?, 100)", [(number,) for number in range(ACCOUNTS)])
    db.close()


class Process:
    """One of the two processes, and what it says."""

    def __init__(self, kind: str, path: Path, seed: str) -> None:
        self.seed = seed
        self.enough = threading.Event()
        self.last = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, kind, str(path), seed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=path.parent,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.thread = threading.Thread(target=self.listen, args=(self.process.stdout,))
        self.thread.start()

    def listen(self, output: IO[str]) -> None:
        """Take in what it says, until its end."""
        for line in output:
            self.last = line
            if line.strip().isdigit() and int(line) >= ENOUGH:
                self.enough.set()
        self.enough.set()

    def say(self) -> None:
        """Let it begin, or stop."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> list[int]:
        """Wait for its end; return how many transactions each of its writers has done."""
        assert self.process.stderr is not None
        errors = self.process.stderr.read()
        assert (self.process.wait(SECONDS), errors) == (0, "")
        self.thread.join(SECONDS)
        done: list[int] = json.loads(self.last)
        return done


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize(
    "kinds",
    [("pool", "pool"), ("connections", "connections"), ("pool", "connections")],
    ids=" and ".join,
)
def test_two_processes_of_eight_writers(tmp_path: Path, mode: str, kinds: tuple[str, str]) -> None:
    path = tmp_path / "bank.db"
    prepare(path, mode)
    processes = [Process(kind, path, f"p{number}") for number, kind in enumerate(kinds)]
    try:
        for process in processes:
            process.say()
        for process in processes:
            assert process.enough.wait(SECONDS)
        for process in processes:
            process.say()
        done = {process.seed: process.end() for process in processes}
    finally:
        for process in processes:
            process.process.kill()
    db = sqlite3.connect(str(path))
    assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert db.execute("select sum(amount) from account").fetchone() == (100 * ACCOUNTS,)
    for seed, numbers in done.items():
        assert sum(numbers) >= ENOUGH
        assert all(numbers), f"a writer of {seed} never came to write: {numbers}"
        logged = {what for (what,) in db.execute("select what from log where process = ?", (seed,))}
        assert logged == {
            f"{writer} {number}" for writer, count in enumerate(numbers) for number in range(count)
        }
    db.close()
