"""connect(pragmas=, read_only=, init=): what a connection begins with."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import csqlite
from csqlite.pragmas import PRESETS


async def value(db: csqlite.Connection[Any], pragma: str) -> Any:
    """Give what a pragma says."""
    return await db.fetch_scalar(f"pragma {pragma}")


async def test_pragmas_are_set_in_their_order(path: Path) -> None:
    pragmas = {
        "journal_mode": "wal",
        "main.cache_size": -123,
        "foreign_keys": True,
        "user_version": 7,
    }
    async with csqlite.connect(path, pragmas=pragmas) as db:
        assert await value(db, "journal_mode") == "wal"
        assert await value(db, "cache_size") == -123
        assert await value(db, "foreign_keys") == 1
        assert await value(db, "user_version") == 7
        assert not db.in_transaction
    async with csqlite.connect(path, pragmas={"page_size": 8192, "journal_mode": "DELETE"}) as db:
        assert await value(db, "journal_mode") == "delete"
    async with csqlite.connect(":memory:", pragmas={"encoding": "UTF-16le"}) as db:
        assert await value(db, "encoding") == "UTF-16le"


@pytest.mark.parametrize("read_only", [False, True])
async def test_the_server_preset(path: Path, read_only: bool) -> None:
    async with csqlite.connect(path, pragmas="server") as first:
        await first.execute("create table t (a)")
        async with csqlite.connect(path, pragmas="server", read_only=read_only) as db:
            assert await value(db, "journal_mode") == "wal"
            assert await value(db, "foreign_keys") == 1
            assert await value(db, "temp_store") == 2
            assert await value(db, "cache_size") == PRESETS["server"]["cache_size"]
            assert await value(db, "synchronous") == (2 if read_only else 1)


@pytest.mark.parametrize(
    ("pragmas", "error", "message"),
    [
        ("sever", ValueError, "no preset of pragmas is called 'sever'; there is server"),
        (7, TypeError, "pragmas must be a preset or a mapping, not int"),
        ({"a b": 1}, ValueError, "'a b' is not the name of a pragma"),
        ({"x; drop table t": 1}, ValueError, "is not the name of a pragma"),
        ({"": 1}, ValueError, "is not the name of a pragma"),
        ({1: 1}, TypeError, "the name of a pragma must be str, not int"),
        ({"cache_size": None}, TypeError, "must be str, bool, int or float, not NoneType"),
        ({"encoding": "a\0b"}, ValueError, "embedded null character"),
        ({"other.cache_size": 1}, sqlite3.OperationalError, "unknown database other"),
    ],
)
async def test_what_is_no_pragma(pragmas: Any, error: type[Exception], message: str) -> None:
    db = csqlite.connect(":memory:", pragmas=pragmas)
    with pytest.raises(error, match=message):
        await db
    assert "closed" in repr(db)


async def test_values_are_quoted(path: Path) -> None:
    async with csqlite.connect(path, pragmas={"user_version": "1; create table evil (a)"}) as db:
        assert await db.fetch_all("select name from sqlite_master") == []


async def test_reading_only(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
        await csqlite.connect(path, read_only=True)
    assert not path.exists()
    async with csqlite.connect(path) as db:
        await db.executescript("create table t (a); insert into t values (1)")
    async with csqlite.connect(path, read_only=True) as db:
        assert await db.fetch_all("select a from t") == [(1,)]
        for sql in ("insert into t values (2)", "create table u (a)", "drop table t"):
            with pytest.raises(sqlite3.OperationalError, match="attempt to write a readonly"):
                await db.execute(sql)
            await db.rollback()
        await db.execute("create temp table u (a)")


async def test_init_comes_before_everybody(path: Path) -> None:
    seen = []

    async def prepare(db: csqlite.Connection[Any]) -> None:
        seen.append(await value(db, "foreign_keys"))
        await db.execute("create table if not exists t (a)")
        db.row_factory = csqlite.Row

    async with csqlite.connect(path, pragmas={"foreign_keys": 1}, init=prepare) as db:
        assert type(db).__name__ == "Connection" and isinstance(db, csqlite.Connection)
        assert repr(db).startswith("<csqlite.Connection")
        assert (await db.fetch_one("select count(*) as n from t"))["n"] == 0
    db = await csqlite.connect(path, init=seen.append)
    assert seen == [1, db]
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        await db
    await db.close()
    with pytest.raises(TypeError, match="init must be callable, not str"):
        csqlite.connect(path, init="select 1")


@pytest.mark.parametrize("enter", [True, False])
async def test_init_that_raises_or_is_cancelled_closes(path: Path, enter: bool) -> None:
    dbs = []

    async def fail(db: csqlite.Connection[Any]) -> None:
        dbs.append(db)
        raise LookupError("no")

    async def dawdle(db: csqlite.Connection[Any]) -> None:
        dbs.append(db)
        begun.set()
        await asyncio.Event().wait()

    async def opened(init: Any) -> Any:
        if not enter:
            return await csqlite.connect(path, init=init)
        async with csqlite.connect(path, init=init):
            raise AssertionError("it was entered")

    with pytest.raises(LookupError):
        await opened(fail)
    begun = asyncio.Event()
    task = asyncio.ensure_future(opened(dawdle))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for db in dbs:
        assert not db._thread.is_alive()


async def test_connections_of_another_module(path: Path) -> None:
    class Own(sqlite3.Connection):
        """Somebody's own class."""

    seen = []
    options: dict[str, Any] = {"factory": Own, "pragmas": {"user_version": 5, "encoding": "UTF-8"}}
    async with csqlite.connect(path, **options, init=seen.append) as db:
        assert await db.fetch_one("pragma user_version") == (5,)
        assert await value(db, "user_version") == 5
        assert [row async for row in db.stream("select 1")] == [(1,)]
    assert seen == [db]
    with pytest.raises(sqlite3.NotSupportedError, match="read_only=True needs"):
        await csqlite.connect(path, factory=Own, read_only=True)


def test_the_signature_has_them() -> None:
    parameters = inspect.signature(csqlite.connect).parameters
    assert parameters["pragmas"].default is None
    assert parameters["init"].default is None
    assert parameters["read_only"].default is False
