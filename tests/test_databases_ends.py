"""Databases whose work is ended halfway: by a kill at each step, by a cancellation at each await.

A child runs one call and is killed at the nth of its steps: each call of the operating system that
changes the directory, and each statement that changes the registry.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Callable

import pytest
from doses import PATIENCE, dose

import csqlite

SECONDS = 60 * PATIENCE
TABLE = "create table t (a)"

CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "create": lambda databases: databases.create("new", TABLE + "; insert into t values (1)"),
    "clone": lambda databases: databases.clone("a", "new"),
    "rename": lambda databases: databases.rename("a", "new"),
    "drop": lambda databases: databases.drop("a"),
}
PROGRAMS = {
    "create": 'databases.create("new", "create table t (a); insert into t values (1)")',
    "clone": 'databases.clone("a", "new")',
    "rename": 'databases.rename("a", "new")',
    "drop": 'databases.drop("a")',
}
# What there may be behind each: nothing was done, or all.
OUTCOMES = {
    "create": (["a", "b"], ["a", "b", "new"]),
    "clone": (["a", "b"], ["a", "b", "new"]),
    "rename": (["a", "b"], ["b", "new"]),
    "drop": (["a", "b"], ["b"]),
}


async def prepare(folder: Path) -> None:
    """Make two databases, of which one has a log beside it that was not checkpointed."""
    async with csqlite.Databases(folder) as databases:
        for name in ("a", "b"):
            await databases.create(name, TABLE)
            async with databases.use(name) as pool:
                await pool.execute("insert into t values (1)")


async def look(databases: csqlite.Databases[Any]) -> list[str]:
    """Return which databases there are; each is whole, and there is no file of another one."""
    names = await databases.list()
    files = sorted(os.listdir(databases.directory))
    assert [file for file in files if file.endswith(".db")] == [
        ".registry.db",
        *[f"{name}.db" for name in names],
    ]
    known = tuple(f"{name}.db" for name in [*names, ".registry"])
    assert [file for file in files if not file.startswith((*known, ".registry.lock"))] == []
    for name in names:
        async with databases.use(name) as pool:
            assert await pool.fetch_all("select a from t") == [(1,)]
    return names


# -- killed

KILLED = """
import asyncio, os, signal, sys
import csqlite
from csqlite.databases import databases as module, files, registry

left = int(sys.argv[2])

def step(function):
    def call(*arguments, **named):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call

for name in ("unlink", "rename", "link", "fsync"):
    setattr(os, name, step(getattr(os, name)))

def awaited(function):
    async def call(*arguments, **named):
        result = await function(*arguments, **named)
        step(lambda: None)()
        return result
    return call

async def main():
    async with csqlite.Databases(sys.argv[1]) as databases:
        for name in ("reserve", "rename", "renamed", "set_state", "delete", "lock"):
            setattr(registry.Registry, name, awaited(getattr(registry.Registry, name)))
        await CALL
        print("done", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def kill(folder: Path, call: str, step: int) -> bool:
    """Run a call in a process that is killed at its nth step; tell whether the call was done before."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED.replace("CALL", PROGRAMS[call]), str(folder), str(step)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        cwd=folder.parent,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    return done.stdout == "done\n"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("alive", [False, True], ids=["opened anew", "open meanwhile"])
async def test_killed_at_each_step(tmp_path: Path, call: str, alive: bool) -> None:
    before, after = OUTCOMES[call]
    found = []
    # With another process there, every other step is enough in a short run.
    for step in range(1, 40, dose(2, 1) if alive else 1):
        folder = tmp_path / str(step)
        await prepare(folder)
        if alive:  # Another process is there all the time, and meets what is left.
            async with csqlite.Databases(folder, timeout=SECONDS) as databases:
                done = await asyncio.to_thread(kill, folder, call, step)
                for name in ("a", "b", "new"):
                    try:
                        async with databases.use(name):
                            pass
                    except csqlite.DatabaseNotFound:
                        pass
                found.append(await look(databases))
        else:
            done = await asyncio.to_thread(kill, folder, call, step)
        async with csqlite.Databases(folder, timeout=SECONDS) as databases:
            found.append(await look(databases))
            # What was undone can be done now.
            if found[-1] == before:
                await CALLS[call](databases)
            assert await look(databases) == after
        if done:
            break
    assert done
    assert step > 4
    assert before in found
    assert found[-1] == after
    assert all(names in (before, after) for names in found)
    # Once it was done, it stays done.
    first = found.index(after)
    assert all(names == after for names in found[first:])


async def test_a_registry_that_is_gone(tmp_path: Path) -> None:
    await prepare(tmp_path)
    for file in os.listdir(tmp_path):
        if file.startswith(".registry"):
            (tmp_path / file).unlink()
    async with csqlite.Databases(tmp_path) as databases:
        assert await look(databases) == ["a", "b"]
        await databases.rename("a", "c")
        assert await look(databases) == ["b", "c"]


async def test_files_that_come_and_go(tmp_path: Path) -> None:
    await prepare(tmp_path)
    (tmp_path / "a.db").rename(tmp_path / "c.db")
    for name in (
        ".hidden.db",
        "main.db",
        " .db",
        "no database.txt",
        ".new-77.db",
        ".new-77.db-wal",
    ):
        (tmp_path / name).touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "c.db")
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "B.db").touch()  # Like one that is known.
    async with csqlite.Databases(tmp_path) as databases:
        assert await databases.list() == ["b", "c"]
        async with databases.use("c") as pool:
            assert await pool.fetch_all("select a from t") == [(1,)]
        assert not (tmp_path / ".new-77.db").exists()
        assert not (tmp_path / ".new-77.db-wal").exists()
        (tmp_path / "b.db").unlink()
        with pytest.raises(csqlite.DatabaseNotFound, match="file of the database 'b' is gone"):
            async with databases.use("b"):
                pass
        assert not (tmp_path / "b.db").exists()


async def test_a_registry_of_a_later_version(tmp_path: Path) -> None:
    await prepare(tmp_path)
    db = sqlite3.connect(tmp_path / ".registry.db")
    db.execute("pragma user_version = 9")
    db.close()
    with pytest.raises(sqlite3.NotSupportedError, match="version 9"):
        await csqlite.Databases(tmp_path)


COMMITTING = """
import asyncio, sys
import csqlite

async def main():
    async with csqlite.Databases(sys.argv[1], pragmas={"journal_mode": sys.argv[2]}) as databases:
        print("open", flush=True)
        number = 0
        while True:
            number += 1
            async with databases.transaction("a", "b", atomic=True) as tx:
                await tx.execute("update a.t set a = ?", (number,))
                await tx.execute("update b.t set a = ?", (number,))
            print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist"])
async def test_killed_in_a_transaction_over_several(tmp_path: Path, mode: str) -> None:
    pragmas = {"journal_mode": mode}
    async with csqlite.Databases(tmp_path, pragmas=pragmas) as databases:
        for name in ("a", "b"):
            await databases.create(name, TABLE + "; insert into t values (0)")
    for _ in range(dose(3, 50)):
        with subprocess.Popen(
            [sys.executable, "-c", COMMITTING, str(tmp_path), mode],
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path.parent,
        ) as child:
            assert child.stdout.readline() == "open\n"
            told = [int(child.stdout.readline()) for _ in range(7)][-1]
            child.kill()
            told = max([told, *map(int, child.stdout.read().split("\n")[:-1])])
        async with csqlite.Databases(tmp_path, pragmas=pragmas) as databases:
            values = []
            for name in ("a", "b"):
                async with databases.use(name) as pool:
                    values.append(await pool.fetch_scalar("select a from t"))
            assert values[0] == values[1] >= told
            assert not [file for file in os.listdir(tmp_path) if file.startswith(".scratch")]


# -- cancelled


class Awaits:
    """Runs a coroutine and cancels it at its nth suspension."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen = 0
        self.task: Any = None

    async def run(self, make: Callable[[], Awaitable[Any]]) -> None:
        """Run it; RuntimeError where it was done before."""
        self.task = asyncio.current_task()
        await self._counted(make())

    def __await__(self) -> Any:
        raise NotImplementedError

    async def _counted(self, inner: Awaitable[Any]) -> Any:
        await _Steps(self, inner)


class _Steps:
    def __init__(self, owner: Awaits, inner: Awaitable[Any]) -> None:
        self.owner = owner
        self.inner = inner

    def __await__(self) -> Any:
        steps = self.inner.__await__()
        value, error = None, None
        while True:
            try:
                waited = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            self.owner.seen += 1
            if self.owner.seen == self.owner.at:
                self.owner.task.get_loop().call_soon(self.owner.task.cancel)
            value, error = None, None
            try:
                value = yield waited
            except BaseException as caught:
                error = caught


@pytest.mark.parametrize("call", [*CALLS, "use", "transaction", "open"])
async def test_cancelled_at_each_await(tmp_path: Path, call: str) -> None:
    async def use(databases: Any) -> None:
        async with databases.use("a") as pool:
            await pool.fetch_scalar("select a from t")

    async def transaction(databases: Any) -> None:
        async with databases.transaction("a", "b") as tx:
            await tx.execute("update a.t set a = 1")

    async def opened(databases: Any) -> None:
        await databases.close()
        async with csqlite.Databases(databases.directory):
            pass

    calls = {**CALLS, "use": use, "transaction": transaction, "open": opened}
    before, after = OUTCOMES.get(call, (["a", "b"], ["a", "b"]))
    found = []
    for at in range(1, 200):
        folder = tmp_path / str(at)
        await prepare(folder)
        awaits = Awaits(at)
        async with csqlite.Databases(folder, timeout=SECONDS) as databases:
            task = asyncio.create_task(awaits.run(lambda: calls[call](databases)))
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            if call != "open":
                assert databases.get_stats()["databases_used"] == 0
                assert databases.get_stats()["requests_waiting"] == 0
                found.append(await look(databases))
        async with csqlite.Databases(folder, timeout=SECONDS) as databases:
            found.append(await look(databases))
            # Nothing is locked any more: by anybody.
            for name in await databases.list():
                await databases.drop(name, timeout=0)
        if awaits.seen < at:
            break
    assert awaits.seen < at
    assert all(names in (before, after) for names in found)
    assert before in found
    assert found[-1] == after


async def test_who_waits_for_a_place_is_cancelled(tmp_path: Path) -> None:
    await prepare(tmp_path)
    async with csqlite.Databases(tmp_path, max_open=1, timeout=SECONDS) as databases:

        async def use(name: str) -> Any:
            async with databases.use(name) as pool:
                return await pool.fetch_scalar("select a from t")

        async with databases.use("a"):
            waiting = [asyncio.create_task(use("b")) for _ in range(4)]
            await asyncio.sleep(0)
            waiting[0].cancel()  # It is the one that stands in the line.
            await asyncio.sleep(0)
            waiting[2].cancel()
            await asyncio.wait([waiting[0], waiting[2]])
        assert await waiting[1] == await waiting[3] == 1
        for moment in range(6):
            async with databases.use("a"):
                late = asyncio.create_task(use("b"))
                await asyncio.sleep(0)
            for _ in range(moment):
                await asyncio.sleep(0)
            late.cancel()
            await asyncio.wait([late])
        assert await use("a") == await use("b") == 1
        assert databases.get_stats()["databases_used"] == 0
