"""Databases: names, opening and closing, creating, cloning, dropping, renaming, several at once."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Callable

import pytest

import csqlite
from csqlite.databases import files, making

SECONDS = 60  # For what has to come, on a machine with much else to do.
TABLE = "create table t (a)"


@pytest.fixture
def databases(tmp_path: Path) -> csqlite.Databases[Any]:
    """A directory with no databases, for a test that is `opened`."""
    return csqlite.Databases(tmp_path / "data", timeout=SECONDS)


def opened(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Let a test have its `databases` open."""

    @functools.wraps(test)
    async def run(**arguments: Any) -> None:
        async with arguments["databases"]:
            await test(**arguments)

    return run


def left(directory: str) -> list[str]:
    """Return the files of a directory that are no database's and not the registry's."""
    names = {file.partition("-")[0] for file in os.listdir(directory) if not file.startswith(".")}
    hidden = [file for file in os.listdir(directory) if file.startswith((".new", ".scratch"))]
    return sorted(name for name in names if not name.endswith(".db")) + hidden


async def stored(databases: csqlite.Databases[Any], name: str) -> list[Any]:
    """Return what stands in t(a) of a database."""
    async with databases.use(name) as pool:
        return [row[0] for row in await pool.fetch_all("select a from t order by a")]


async def fill(databases: csqlite.Databases[Any], name: str, *values: Any) -> None:
    """Make a database with these values in t(a)."""
    await databases.create(name, TABLE)
    async with databases.use(name) as pool:
        await pool.executemany("insert into t values (?)", [(value,) for value in values])


# -- names

BAD = [
    *("", ".", "..", "../x", "/etc/x", "a/b", "a\\b", "a/../b", "..\\x", "a\0b", "\0", ".hidden"),
    *(".registry", ".new-1", "a\nb", "\x7f", " a", "a ", "\u00a0a", "main", "temp", "MAIN", "Temp"),
    *("x" * 201, "ü" * 101, "\ud800", "a" * 100_000),
]


@pytest.mark.parametrize("name", BAD, ids=ascii)
@opened
async def test_a_bad_name_is_refused(databases: csqlite.Databases[Any], name: str) -> None:
    before = sorted(os.listdir(databases.directory))
    await databases.create("good")
    for call in (
        lambda: databases.create(name),
        lambda: databases.drop(name),
        lambda: databases.drop(name, missing_ok=True),
        lambda: databases.rename(name, "other"),
        lambda: databases.rename("good", name),
        lambda: databases.clone(name, "other"),
        lambda: databases.clone("good", name),
        lambda: databases.exists(name),
    ):
        with pytest.raises(ValueError, match="cannot be the name of a database"):
            await call()
    for block in (
        lambda: databases.use(name),
        lambda: databases.use(name, create=True),
        lambda: databases.transaction("good", name),
    ):
        with pytest.raises(ValueError, match="cannot be the name of a database"):
            async with block():
                pass
    with pytest.raises(ValueError, match="cannot be the name of a database"):
        databases.path(name)
    assert await databases.list() == ["good"]
    await databases.drop("good")
    assert sorted(os.listdir(databases.directory)) == before


@pytest.mark.parametrize("name", [None, 1, b"a", Path("a")])
@opened
async def test_what_is_no_name(databases: csqlite.Databases[Any], name: Any) -> None:
    with pytest.raises(TypeError, match="must be str"):
        await databases.create(name)
    with pytest.raises(TypeError, match="must be str"):
        databases.use(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a",
            "A",
            "x" * 200,
            "ü",
            "naïve café",
            "日本",
            "a.db",
            "a.db-wal",
            "a-wal",
            "-rf",
            "a'b",
        ),
        *(
            'a"b',
            "a;b",
            "a?mode=memory",
            "file:a",
            "#",
            "%00",
            "a%2fb",
            "select",
            "😀",
            "a..b",
            "~",
        ),
        *("registry", "con", "[x]", "$(x)", "*"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("uri", [False, True])
async def test_an_odd_name_is_one(tmp_path: Path, name: str, uri: bool) -> None:
    async with csqlite.Databases(tmp_path / "data", uri=uri) as databases:
        await fill(databases, name, 1)
        assert await databases.list() == [name]
        assert databases.path(name).parent == Path(databases.directory)
        quoted = name.replace('"', '""')
        async with databases.transaction(name) as tx:
            await tx.execute(f'insert into "{quoted}".t values (2)')
        await databases.clone(name, "other")
        await databases.rename(name, "third")
        await databases.rename("third", name)
        assert await stored(databases, name) == [1, 2]
        assert await stored(databases, "other") == [1, 2]
        await databases.drop(name)
        await databases.drop("other")
        assert left(databases.directory) == []
    assert [file for file in os.listdir(tmp_path / "data") if not file.startswith(".")] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "A"), ("straße", "STRASSE"), ("é", "e\u0301"), ("ﬁ", "fi"), ("K", "\u212a"), ("É", "é")],
)
@opened
async def test_names_that_a_file_system_takes_for_one(
    databases: csqlite.Databases[Any], one: str, other: str
) -> None:
    await fill(databases, one, 1)
    await databases.create("third")
    for call in (
        lambda: databases.create(other),
        lambda: databases.create(other, exist_ok=True),
        lambda: databases.clone("third", other),
        lambda: databases.rename("third", other),
    ):
        with pytest.raises(ValueError, match="some file systems take it for"):
            await call()
    with pytest.raises(csqlite.DatabaseNotFound):
        await stored(databases, other)
    with pytest.raises(ValueError, match="each of them once"):
        databases.transaction(one, other)
    await databases.rename(one, other)  # Its own name is free to it.
    assert await stored(databases, other) == [1]
    assert await databases.list() == sorted(["third", other])


async def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    folder = tmp_path
    while len(str(folder)) < 400:
        folder = folder / ("d" * 50)
    async with csqlite.Databases(folder) as databases:
        await databases.create("a")
        with pytest.raises(ValueError, match="its path is too long"):
            await databases.create("x" * 150)
        with pytest.raises(ValueError, match="its path is too long"):
            await databases.rename("a", "x" * 150)
        assert await databases.list() == ["a"]


@pytest.mark.parametrize("kind", ["file", "dangling", "directory", "fifo"])
@opened
async def test_a_link_is_not_followed(
    databases: csqlite.Databases[Any], tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside.db"
    sqlite3.connect(str(outside)).close()
    await fill(databases, "good", 1)
    await databases.create("other")
    path = databases.path("other")
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(outside if kind == "file" else tmp_path / "nowhere.db")
    before = outside.read_bytes()
    with pytest.raises(ValueError, match=r"no database is opened by it"):
        async with databases.use("other"):
            pass
    with pytest.raises(ValueError, match=r"no database is opened by it"):
        async with databases.transaction("good", "other"):
            pass
    with pytest.raises(ValueError, match=r"no database is opened by it"):
        await databases.clone("other", "third")
    with pytest.raises(ValueError, match=r"no database is opened by it"):
        await databases.rename("other", "third")
    planted = databases.path("planted")
    planted.symlink_to(outside)
    for call in (
        lambda: databases.create("planted"),
        lambda: databases.clone("good", "planted"),
        lambda: databases.rename("good", "planted"),
    ):
        with pytest.raises(csqlite.DatabaseExists, match="there is a file"):
            await call()
    assert planted.is_symlink()
    assert outside.read_bytes() == before
    assert not (tmp_path / "nowhere.db").exists()
    assert await databases.list() == ["good", "other"]
    assert await stored(databases, "good") == [1]
    assert left(databases.directory) == []


async def test_the_registry_is_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside.db"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".registry.db").symlink_to(outside)
    with pytest.raises(ValueError, match="symbolic link"):
        await csqlite.Databases(tmp_path / "data")
    assert not outside.exists()


# -- creating, listing, dropping


@opened
async def test_what_is_created_is_there(databases: csqlite.Databases[Any]) -> None:
    assert await databases.list() == []
    assert await databases.create("b", TABLE + "; insert into t values (1)") is True
    assert await databases.create("a") is True
    assert await databases.list() == ["a", "b"]
    assert await databases.exists("a")
    assert not await databases.exists("c")
    assert await stored(databases, "b") == [1]
    async with databases.use("a") as pool:
        assert await pool.fetch_scalar("pragma journal_mode") == "wal"


@opened
async def test_creating_what_is_there(databases: csqlite.Databases[Any]) -> None:
    await fill(databases, "a", 1)
    for _ in range(2):
        with pytest.raises(csqlite.DatabaseExists, match="there is a database 'a' already"):
            await databases.create("a", "drop table t")
        assert await databases.create("a", "drop table t", exist_ok=True) is False
        async with databases.use("a"):  # Also when it is open.
            with pytest.raises(FileExistsError):
                await databases.create("a")
    assert await stored(databases, "a") == [1]


@opened
async def test_a_script_that_fails_makes_nothing(databases: csqlite.Databases[Any]) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await databases.create("a", TABLE + "; insert into nowhere values (1)")
    assert await databases.list() == []
    assert not databases.path("a").exists()
    assert left(databases.directory) == []
    assert await databases.create("a", TABLE) is True


@opened
async def test_what_is_not_there(databases: csqlite.Databases[Any]) -> None:
    for call in (
        lambda: stored(databases, "a"),
        lambda: databases.drop("a"),
        lambda: databases.clone("a", "b"),
        lambda: databases.clone("b", "a"),
        lambda: databases.rename("a", "b"),
        lambda: databases.rename("b", "a"),
    ):
        with pytest.raises(csqlite.DatabaseNotFound, match="there is no database"):
            await call()
        with pytest.raises(FileNotFoundError):
            await call()
    assert await databases.drop("a", missing_ok=True) is False
    assert [file for file in os.listdir(databases.directory) if not file.startswith(".")] == []


@opened
async def test_use_may_create(databases: csqlite.Databases[Any]) -> None:
    async def one(number: int) -> None:
        async with databases.use("a", create=True) as pool:
            await pool.execute("create table if not exists t (a)")
            await pool.execute("insert into t values (?)", (number,))

    await asyncio.gather(*[one(number) for number in range(20)])
    assert await stored(databases, "a") == [*range(20)]


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
async def test_dropping_leaves_no_file(tmp_path: Path, mode: str) -> None:
    pragmas = {"journal_mode": mode}
    async with csqlite.Databases(tmp_path, pragmas=pragmas) as databases:
        await fill(databases, "a", 1)
        for sidecar in ("-wal", "-shm", "-journal"):
            Path(f"{databases.path('a')}{sidecar}").touch()
        async with databases.use("a"):
            pass
        assert await databases.drop("a") is True
        assert [file for file in os.listdir(tmp_path) if not file.startswith(".")] == []
        assert await databases.list() == []
        await fill(databases, "a", 2)
        assert await stored(databases, "a") == [2]


@opened
async def test_dropping_waits_for_who_uses_it(databases: csqlite.Databases[Any]) -> None:
    await fill(databases, "a", 1)
    using, leave = asyncio.Event(), asyncio.Event()

    async def user() -> list[Any]:
        async with databases.use("a") as pool:
            using.set()
            await leave.wait()
            async with databases.use("a") as again:  # Its own task comes through.
                assert again is pool
            return await pool.fetch_all("select a from t")

    user_task = asyncio.create_task(user(), name="the user")
    await using.wait()
    with pytest.raises(csqlite.DatabaseInUse, match="the user"):
        await databases.drop("a", timeout=0)
    with pytest.raises(csqlite.DatabaseInUse, match="the user"):
        await databases.rename("a", "b", timeout=0.01)
    dropping = asyncio.create_task(databases.drop("a"))
    await asyncio.sleep(0)
    late = asyncio.create_task(stored(databases, "a"))
    await asyncio.sleep(0)
    assert databases.path("a").exists()
    leave.set()
    assert await user_task == [(1,)]
    assert await dropping is True
    with pytest.raises(csqlite.DatabaseNotFound):
        await late
    assert not databases.path("a").exists()


@opened
async def test_who_would_wait_for_itself_is_told(databases: csqlite.Databases[Any]) -> None:
    await fill(databases, "a", 1)
    await fill(databases, "b", 1)
    async with databases.use("a"):
        for call in (
            lambda: databases.drop("a"),
            lambda: databases.rename("a", "c"),
            lambda: databases.rename("b", "a"),
        ):
            with pytest.raises((sqlite3.ProgrammingError, csqlite.DatabaseExists)):
                await call()
    async with databases.transaction("a", "b") as tx:
        with pytest.raises(sqlite3.ProgrammingError, match="would wait for itself"):
            await databases.drop("b")
        await tx.execute("insert into a.t values (2)")
    assert await stored(databases, "a") == [1, 2]


# -- cloning, renaming


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("shares", [False, True])
async def test_a_clone_is_one_moment(
    tmp_path: Path, mode: str, shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shares:  # What a file system does that can, with a plain copy in its child.
        monkeypatch.setattr(files, "can_reflink", lambda folder: True)
        monkeypatch.setattr(files, "_REFLINK", "import shutil, sys; shutil.copyfile(*sys.argv[1:])")
        monkeypatch.delattr(making, "copy")
    async with csqlite.Databases(tmp_path, pragmas={"journal_mode": mode}) as databases:
        await databases.create("a", "create table t (a); insert into t values (0), (0)")
        stop = asyncio.Event()

        async def writer() -> int:
            async with databases.use("a") as pool:
                written = 0
                while not stop.is_set():
                    written += 1
                    async with pool.transaction() as tx:  # The sum is always even.
                        await tx.execute("insert into t values (?)", (written,))
                        await tx.execute("insert into t values (?)", (written,))
            return written

        writing = asyncio.create_task(writer())
        for number in range(5):
            await databases.clone("a", f"clone {number}")
        stop.set()
        assert await writing > 0
        for number in range(5):
            values = await stored(databases, f"clone {number}")
            assert len(values) % 2 == 0
            assert values[::2] == values[1::2] == [*range(len(values) // 2)]
            async with databases.use(f"clone {number}") as pool:
                assert await pool.fetch_scalar("pragma journal_mode") == mode
                assert await pool.fetch_scalar("pragma integrity_check") == "ok"
                await pool.execute("delete from t")
        assert len(await stored(databases, "a")) >= 4
        assert left(databases.directory) == []


@opened
async def test_a_reflink_that_fails_is_a_copy(
    databases: csqlite.Databases[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "can_reflink", lambda folder: True)
    for program in (
        "raise OSError",
        "import os; os.abort()",
        "import sys; open(sys.argv[2], 'x'); 1/0",
    ):
        monkeypatch.setattr(files, "_REFLINK", program)
        await fill(databases, "a", 1, 2)
        await databases.clone("a", "b")
        assert await stored(databases, "b") == [1, 2]
        await databases.drop("a")
        await databases.drop("b")
        assert left(databases.directory) == []


@opened
async def test_a_clone_onto_what_is_there(databases: csqlite.Databases[Any]) -> None:
    await fill(databases, "a", 1)
    await fill(databases, "b", 2)
    for target in ("a", "b"):
        with pytest.raises(csqlite.DatabaseExists):
            await databases.clone("a", target)
        with pytest.raises(csqlite.DatabaseExists):
            await databases.rename("b" if target == "a" else "a", target)
    await databases.rename("a", "a")
    assert await stored(databases, "a") == [1]
    assert await stored(databases, "b") == [2]


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
async def test_a_renamed_database_is_whole(tmp_path: Path, mode: str) -> None:
    async with csqlite.Databases(tmp_path, pragmas={"journal_mode": mode}) as databases:
        await fill(databases, "a", *range(100))
        await databases.rename("a", "b")
        assert await databases.list() == ["b"]
        assert await stored(databases, "b") == [*range(100)]
        with pytest.raises(csqlite.DatabaseNotFound):
            await stored(databases, "a")
        await fill(databases, "a", "new")
        assert await stored(databases, "a") == ["new"]
        assert await stored(databases, "b") == [*range(100)]


# -- several at once


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_a_transaction_over_several(tmp_path: Path, mode: str) -> None:
    async with csqlite.Databases(tmp_path, pragmas={"journal_mode": mode}) as databases:
        for name in ("b", "a", "c"):
            await fill(databases, name, 1)
        async with databases.transaction("c", "a", "b") as tx:
            for name in ("a", "b", "c"):
                await tx.execute(f"update {name}.t set a = 2")
        assert tx.outcome == "committed"
        with pytest.raises(ZeroDivisionError):
            async with databases.transaction("a", "b") as tx:
                await tx.execute("update a.t set a = 3")
                await tx.execute("update b.t set a = 3")
                1 / 0  # noqa: B018
        assert tx.outcome == "rolled back"
        assert [await stored(databases, name) for name in ("a", "b", "c")] == [[2], [2], [2]]
        assert left(databases.directory) == []


async def test_what_is_atomic(tmp_path: Path) -> None:
    for mode, synchronous, atomic in (
        *(("delete", "full", True), ("persist", "normal", True), ("truncate", "full", True)),
        *(("wal", "full", False), ("delete", "off", False), ("memory", "full", False)),
    ):
        folder = tmp_path / f"{mode}-{synchronous}"
        pragmas = {"journal_mode": mode, "synchronous": synchronous}
        async with csqlite.Databases(folder, pragmas=pragmas) as databases:
            await fill(databases, "a", 1)
            await fill(databases, "b", 1)
            if atomic or mode == "memory":  # That mode is the connection's, not the file's.
                async with databases.transaction("a", "b", atomic=True) as tx:
                    await tx.execute("insert into a.t values (2)")
                    await tx.execute("insert into b.t values (2)")
                continue
            with pytest.raises(sqlite3.NotSupportedError, match="each by itself"):
                async with databases.transaction("a", "b", atomic=True):
                    pass
            async with databases.transaction("a", atomic=True) as tx:  # One is always one.
                await tx.execute("insert into a.t values (2)")
            assert await stored(databases, "a") == [1, 2]


@opened
async def test_transactions_over_several_do_not_wait_for_each_other(
    databases: csqlite.Databases[Any],
) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        await databases.create(name, TABLE + "; insert into t values (100)")

    async def move(seed: int) -> None:
        chosen = random.Random(seed).sample(names, 2)
        async with databases.transaction(*chosen) as tx:
            await tx.execute(f"update {chosen[0]}.t set a = a - 1")
            await tx.execute(f"update {chosen[1]}.t set a = a + 1")

    await asyncio.gather(*[move(seed) for seed in range(40)])
    assert sum([(await stored(databases, name))[0] for name in names]) == 400


@pytest.mark.parametrize("names", [(), ("a", "a"), ("a", "A")])
@opened
async def test_what_is_no_set_of_databases(
    databases: csqlite.Databases[Any], names: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="each of them once"):
        databases.transaction(*names)


# -- how many are open


async def test_what_was_used_longest_ago_is_closed(tmp_path: Path) -> None:
    async with csqlite.Databases(tmp_path, max_open=2, timeout=SECONDS) as databases:
        pools = {}
        for name in ("a", "b", "c", "d"):
            await fill(databases, name, 1)
        for name in ("a", "b", "a", "c"):
            async with databases.use(name) as pool:
                pools[name, pool] = True
        async with databases.use("a") as pool:  # Stayed open, b went.
            assert ("a", pool) in pools
        async with databases.use("b") as pool:
            assert ("b", pool) not in pools
        assert databases.get_stats()["databases_open"] == 2


async def test_what_is_used_is_not_closed(tmp_path: Path) -> None:
    async with csqlite.Databases(tmp_path, max_open=2, timeout=SECONDS) as databases:
        for name in ("a", "b", "c"):
            await fill(databases, name, 1)
        async with databases.use("a") as a, databases.use("b"):
            with pytest.raises(csqlite.PoolTimeout, match="2 databases are open"):
                async with databases.use("c", timeout=0.01):
                    pass
            assert await a.fetch_scalar("select a from t") == 1
            waiting = asyncio.create_task(stored(databases, "c"))
            await asyncio.sleep(0)
            assert databases.get_stats()["requests_waiting"] == 1
            # One that is open already waits for no place.
            assert await stored(databases, "a") == [1]
        assert await waiting == [1]


async def test_many_tasks_and_few_places(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(8)]
    async with csqlite.Databases(tmp_path, max_open=3, timeout=SECONDS) as databases:
        for name in names:
            await databases.create(name, TABLE)

        async def write(number: int) -> None:
            async with databases.use(names[number % 8]) as pool:
                assert databases.get_stats()["databases_open"] <= 3
                await pool.execute("insert into t values (?)", (number,))

        await asyncio.gather(*[write(number) for number in range(80)])
        for index, name in enumerate(names):
            assert await stored(databases, name) == [*range(index, 80, 8)]
        assert databases.get_stats()["databases_open"] <= 3


async def test_what_is_idle_is_closed(tmp_path: Path) -> None:
    async with csqlite.Databases(tmp_path, idle_timeout=0) as databases:
        await fill(databases, "a", 1)
        async with databases.use("a"):
            assert databases.get_stats()["databases_open"] == 1
        while databases.get_stats()["databases_open"]:
            await asyncio.sleep(0.005)
        assert await stored(databases, "a") == [1]


# -- the same name at once


@opened
async def test_the_same_name_at_once(databases: csqlite.Databases[Any]) -> None:
    created = await asyncio.gather(
        *[databases.create("a", TABLE) for _ in range(10)], return_exceptions=True
    )
    assert [made for made in created if not isinstance(made, csqlite.DatabaseExists)] == [True]
    dropped = await asyncio.gather(
        *[databases.drop("a") for _ in range(10)], return_exceptions=True
    )
    assert [gone for gone in dropped if not isinstance(gone, csqlite.DatabaseNotFound)] == [True]
    await databases.create("a", TABLE)
    renamed = await asyncio.gather(
        *[databases.rename("a", f"b{number}") for number in range(10)], return_exceptions=True
    )
    assert sum(done is None for done in renamed) == 1
    assert len(await databases.list()) == 1
    (name,) = await databases.list()
    cloned = await asyncio.gather(
        *[databases.clone(name, "c") for _ in range(10)], return_exceptions=True
    )
    assert sum(done is None for done in cloned) == 1
    assert await databases.list() == sorted([name, "c"])


@pytest.mark.parametrize("seed", range(4))
async def test_everything_at_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    names = ["a", "b", "c"]

    async def do(databases: csqlite.Databases[Any], numbers: random.Random) -> None:
        one, other = numbers.choice(names), numbers.choice(names)
        kind = numbers.randrange(6)
        try:
            if kind == 0:
                await databases.create(one, TABLE, exist_ok=True)
            elif kind == 1:
                await databases.drop(one, missing_ok=True)
            elif kind == 2:
                await databases.rename(one, other)
            elif kind == 3:
                await databases.clone(one, other)
            elif kind == 4 and one != other:
                async with databases.transaction(one, other) as tx:
                    await tx.execute(f"insert into {one}.t values (1)")
                    await tx.execute(f"insert into {other}.t values (1)")
            else:
                async with databases.use(one) as pool:
                    await pool.execute("insert into t values (1)")
                    assert await pool.fetch_scalar("select count(*) from t") >= 1
        except (csqlite.DatabaseExists, csqlite.DatabaseNotFound):
            pass

    folder = tmp_path / "data"
    async with csqlite.Databases(folder, max_open=2, timeout=SECONDS) as first:
        async with csqlite.Databases(folder, timeout=SECONDS) as second:
            tasks = [
                asyncio.create_task(do(rng.choice((first, second)), random.Random(f"{seed} {n}")))
                for n in range(60)
            ]
            for task in rng.sample(tasks, 20):
                asyncio.get_running_loop().call_later(rng.random() * 0.3, task.cancel)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [one for one in outcomes if isinstance(one, BaseException)]
            assert [one for one in wrong if not isinstance(one, asyncio.CancelledError)] == []
            assert await first.list() == await second.list()
            for name in await first.list():
                await stored(first, name)
            assert first.get_stats()["databases_used"] == 0
            found = sorted(file for file in os.listdir(folder) if file.endswith(".db"))
            expected = [f"{name}.db" for name in await first.list()]
            assert found == [".registry.db", *expected]
            assert left(str(folder)) == []


# -- several objects and processes


async def test_an_idle_pool_elsewhere_makes_way(tmp_path: Path) -> None:
    async with csqlite.Databases(tmp_path, timeout=SECONDS) as one:
        async with csqlite.Databases(tmp_path, timeout=SECONDS) as other:
            await fill(one, "a", 1)
            assert await stored(one, "a") == await stored(other, "a") == [1]
            async with other.use("a"):
                with pytest.raises(csqlite.DatabaseInUse, match="somebody else"):
                    await one.drop("a", timeout=0)
            assert other.get_stats()["databases_open"] == 1
            await one.rename("a", "b")
            assert await stored(other, "b") == [1]
            await one.drop("b")
            with pytest.raises(csqlite.DatabaseNotFound):
                await stored(other, "b")
            assert other.get_stats()["databases_open"] == 0


PROGRAM = """
import asyncio, random, sys
import csqlite

async def main():
    directory, seed = sys.argv[1], sys.argv[2]
    rng = random.Random(seed)
    async with csqlite.Databases(directory, max_open=3, timeout=60) as databases:
        print("open", flush=True)
        sys.stdin.readline()

        async def one():
            for _ in range(15):
                name = rng.choice("abcde")
                try:
                    match = rng.randrange(4)
                    if match == 0:
                        await databases.create(name, "create table t (a)")
                    elif match == 1:
                        await databases.drop(name)
                    elif match == 2:
                        await databases.rename(name, rng.choice("abcde"))
                    else:
                        async with databases.use(name) as pool:
                            await pool.execute("insert into t values (1)")
                except (csqlite.DatabaseExists, csqlite.DatabaseNotFound):
                    pass
        await asyncio.gather(*[one() for _ in range(4)])
    print("done")

asyncio.run(main())
"""


def start(folder: Path, seed: int) -> subprocess.Popen[str]:
    """Start a process that creates, drops, renames and uses at random, once it is told."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(folder), str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder.parent,
    )


async def test_two_processes(tmp_path: Path) -> None:
    processes = [start(tmp_path / "data", seed) for seed in range(2)]
    for process in processes:
        assert process.stdout.readline() == "open\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, errors = process.communicate(timeout=SECONDS * 2)
        assert (output, errors, process.returncode) == ("done\n", "", 0)
    async with csqlite.Databases(tmp_path / "data") as databases:
        found = sorted(file for file in os.listdir(tmp_path / "data") if file.endswith(".db"))
        assert found == [".registry.db", *[f"{name}.db" for name in await databases.list()]]
        for name in await databases.list():
            await stored(databases, name)


# -- the beginning and the end


async def test_an_object_is_opened_once_and_closed_as_often_as_wanted(tmp_path: Path) -> None:
    databases = csqlite.Databases(tmp_path / "new" / "folder")
    assert "closed" in repr(databases)
    with pytest.raises(csqlite.PoolClosed, match="not open"):
        databases.use("a")
    assert await databases is databases
    assert "open" in repr(databases)
    with pytest.raises(RuntimeError, match="opened once"):
        await databases
    await databases.close()
    await databases.close()
    for call in (databases.list, lambda: databases.create("a"), lambda: databases.drop("a")):
        with pytest.raises(csqlite.PoolClosed, match="closed"):
            await call()


async def test_closing_waits_for_who_uses_it(tmp_path: Path) -> None:
    databases = await csqlite.Databases(tmp_path)
    await fill(databases, "a", 1)
    using, leave = asyncio.Event(), asyncio.Event()

    async def user() -> Any:
        async with databases.use("a") as pool:
            using.set()
            await leave.wait()
            return await pool.fetch_scalar("select a from t")

    user_task = asyncio.create_task(user())
    await using.wait()
    closing = asyncio.create_task(databases.close())
    await asyncio.sleep(0)
    with pytest.raises(csqlite.PoolClosed):
        await stored(databases, "a")
    leave.set()
    assert await user_task == 1
    await closing


async def test_closing_cuts_off(tmp_path: Path) -> None:
    databases = await csqlite.Databases(tmp_path)
    await fill(databases, "a", 1)
    async with databases.use("a") as pool:
        await databases.close(0)
        with pytest.raises(csqlite.PoolClosed):
            await pool.fetch_scalar("select 1")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_open": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"idle_timeout": -1}, ValueError),
        ({"idle_timeout": float("nan")}, ValueError),
        ({"max_readers": 0}, ValueError),
        ({"isolation_level": None}, TypeError),
    ],
)
def test_what_makes_no_sense(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        csqlite.Databases("x", **options)


def test_it_is_imported_when_it_is_first_used() -> None:
    program = (
        "import sys, csqlite; print('csqlite.databases' in sys.modules);"
        "csqlite.Databases; print('csqlite.databases' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


class Sly(str):
    """A str that says of itself what it likes."""

    def startswith(self, *arguments: Any) -> bool:
        return False

    def __contains__(self, other: object) -> bool:
        return False

    def __iter__(self) -> Any:
        return iter("good")

    def strip(self, *arguments: Any) -> str:
        return self

    def encode(self, *arguments: Any) -> bytes:
        return b"good"

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


@opened
async def test_a_subclass_of_str_is_the_text_that_it_is(databases: csqlite.Databases[Any]) -> None:
    for name in ("../evil", "/evil", ".registry", "a\0b"):
        with pytest.raises(ValueError, match="cannot be the name of a database"):
            await databases.create(Sly(name))
        with pytest.raises(ValueError, match="cannot be the name of a database"):
            databases.use(Sly(name))
    assert await databases.create(Sly("a"), TABLE)
    assert [type(name) for name in await databases.list()] == [str]
    assert await stored(databases, Sly("a")) == []
    await databases.rename(Sly("a"), Sly("b"))
    assert await databases.drop(Sly("b")) is True


async def test_who_comes_later_waits_behind_who_wants_it_alone(tmp_path: Path) -> None:
    async with csqlite.Databases(tmp_path, timeout=SECONDS) as one:
        async with csqlite.Databases(tmp_path, timeout=SECONDS) as other:
            await fill(one, "a", 1)
            started = asyncio.Semaphore(0)

            async def use(number: int) -> None:
                while True:  # There is always one of these that uses it.
                    async with other.use("a"):
                        started.release()
                        for _ in range(number * 3):
                            await asyncio.sleep(0)

            users = [asyncio.create_task(use(number)) for number in range(1, 6)]
            for _ in range(20):
                await started.acquire()
            assert await one.drop("a") is True
            for user in users:
                with pytest.raises(csqlite.DatabaseNotFound):
                    await user


async def test_a_forked_child_keeps_no_lock(tmp_path: Path) -> None:
    databases = await csqlite.Databases(tmp_path, timeout=SECONDS)
    await fill(databases, "a", 1)
    async with databases.use("a"):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # Nothing of it ends but by a signal.
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    os.close(read)
    try:
        databases._keeper._registry.locks._drop()  # As if this process had died.
        async with csqlite.Databases(tmp_path, timeout=SECONDS) as others:
            assert await others.drop("a", timeout=0) is True
    finally:
        os.close(write)
        os.waitpid(child, 0)
        await databases.close()


@opened
async def test_a_rename_over_itself_takes_no_other_file(databases: csqlite.Databases[Any]) -> None:
    await fill(databases, "a", 1)
    databases.path("A").write_bytes(b"somebody else's")
    with pytest.raises(csqlite.DatabaseExists, match="there is a file"):
        await databases.rename("a", "A")
    assert databases.path("A").read_bytes() == b"somebody else's"
    assert await stored(databases, "a") == [1]


async def test_what_cannot_be_opened_takes_no_place(tmp_path: Path) -> None:
    async with csqlite.Databases(tmp_path, max_open=1, timeout=SECONDS) as databases:
        await fill(databases, "good", 1)
        await databases.create("bad")
        databases.path("bad").write_bytes(b"this is not a database" * 1000)
        for _ in range(3):
            with pytest.raises(sqlite3.DatabaseError, match="not a database"):
                async with databases.use("bad"):
                    pass
            outcomes = await asyncio.gather(
                *[stored(databases, name) for name in ("bad", "good") * 3], return_exceptions=True
            )
            assert outcomes[1::2] == [[1]] * 3
            assert all(isinstance(outcome, sqlite3.DatabaseError) for outcome in outcomes[::2])
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            await databases.clone("bad", "other")
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            await databases.rename("bad", "other")
        assert await databases.list() == ["bad", "good"]
        assert databases.get_stats()["requests_waiting"] == 0
        await databases.drop("bad")
        assert await stored(databases, "good") == [1]
