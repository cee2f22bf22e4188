"""fetch_all(), fetch_one(), fetch_optional(), fetch_scalar() and stream()."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

import csqlite

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit ?) select i from n"
NONE = "select 1 where 0"


@pytest.fixture
def db() -> Any:
    """A connection, not yet open."""
    return csqlite.connect(":memory:")


@pytest.mark.parametrize("rows", [0, 1, 2, 200])
async def test_how_many_rows(db: Any, rows: int) -> None:
    expected = [(number,) for number in range(1, rows + 1)]
    sql, parameters = (NUMBERS, (rows,)) if rows else (NONE, ())
    assert await db.fetch_all(sql, parameters) == expected
    assert await db.fetch_scalar(sql, parameters) == (1 if rows else None)
    assert [row async for row in db.stream(sql, parameters)] == expected
    if rows == 1:
        assert await db.fetch_one(sql, parameters) == (1,)
    else:
        with pytest.raises(csqlite.RowCountError) as caught:
            await db.fetch_one(sql, parameters)
        assert str(caught.value) == f"one row expected, the query gave {rows}"
        assert (caught.value.rows, caught.value.sql) == (rows, sql)
        assert isinstance(caught.value, sqlite3.DataError)
    if rows < 2:
        assert await db.fetch_optional(sql, parameters) == (expected or [None])[0]
    else:
        with pytest.raises(csqlite.RowCountError, match="one row or none expected"):
            await db.fetch_optional(sql, parameters)


async def test_parameters_and_row_factories(db: Any) -> None:
    db.row_factory = lambda cursor, row: {"row": row}
    assert await db.fetch_one("select :a", {"a": 7}) == {"row": (7,)}
    assert await db.fetch_all("select 1") == [{"row": (1,)}]
    assert await db.fetch_scalar("select ?, 2", [7]) == 7
    assert [row async for row in db.stream("select ?", (3,))] == [{"row": (3,)}]
    db.row_factory = csqlite.Row
    assert (await db.fetch_optional("select 5 as five"))["five"] == 5


@pytest.mark.parametrize("name", ["fetch_all", "fetch_one", "fetch_optional", "fetch_scalar"])
async def test_errors_and_deadlines(db: Any, name: str) -> None:
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        await getattr(db, name)("selec 1")
    with pytest.raises(sqlite3.ProgrammingError, match="1 were supplied|uses 0"):
        await getattr(db, name)("select 1", (1,))
    with pytest.raises(csqlite.DeadlineExceeded):
        await getattr(db, name)(f"select count(*) from ({NUMBERS})", (-1,), deadline=0.01)
    await db.close()
    with pytest.raises(ValueError, match="no active connection|Connection closed"):
        await getattr(db, name)("select 1")


@pytest.mark.parametrize("chunk", [1, 2, 7, 1000])
async def test_a_stream_has_few_rows_at_a_time(db: Any, chunk: int) -> None:
    made: list[int] = []
    await db.create_function("made", 1, lambda number: made.append(number) or number)
    stream = db.stream("select made(i) from (" + NUMBERS + ")", (10_000,), chunk=chunk)
    seen = [await stream.__anext__() for _ in range(chunk + 1)]
    await stream.aclose()
    assert seen == [(number,) for number in range(1, chunk + 2)]
    assert len(made) <= 4 * chunk + 200
    # It is not half-read any more.
    await db.execute("create table t (a)")
    await db.execute("drop table t")


@pytest.mark.parametrize(
    ("chunk", "error"), [(0, ValueError), (-1, ValueError), ("2", TypeError), (1.5, TypeError)]
)
async def test_chunks_that_are_none(db: Any, chunk: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        async for _ in db.stream("select 1", chunk=chunk):
            pass


async def test_a_scalar_of_what_writes_is_written(db: Any) -> None:
    """All rows are, and an error behind the first one is raised."""
    await db.execute("create table t (a unique)")
    db.isolation_level = None
    sql = f"insert into t {NUMBERS} returning a"
    assert await db.fetch_scalar(sql, (5,)) == 1
    assert not db.in_transaction
    assert await db.fetch_scalar("select count(*) from t") == 5
    with pytest.raises(sqlite3.IntegrityError):
        await db.fetch_scalar(sql, (5,))
    assert await db.fetch_scalar("select count(*) from t") == 5
    assert await db._execute_through("delete from t where a > 2 returning a") == (3, 5)
    assert await db._execute_through("select a from t") == (-1, 5)
    assert await db._execute_through("-- nothing") == (-1, None)
    await db.execute("drop table t")


async def test_a_scalar_reads_no_further(db: Any) -> None:
    made: list[int] = []
    await db.create_function("made", 1, lambda number: made.append(number) or number)
    assert await db.fetch_scalar(f"select made(i) from ({NUMBERS})", (100,)) == 1
    assert made == [1]
    assert await db.fetch_scalar("select 1 union all select abs(-9223372036854775808)") == 1
    assert await db.fetch_scalar("") is None
    assert await db.fetch_scalar("select x'00', 'two'") == b"\0"


async def test_connections_of_another_module(tmp_path: Any) -> None:
    class Own(sqlite3.Connection):
        """Somebody's own class."""

    async with csqlite.connect(tmp_path / "x.db", factory=Own) as db:
        db.row_factory = sqlite3.Row
        assert [tuple(row) for row in await db.fetch_all("select 1")] == [(1,)]
        assert (await db.fetch_one("select ? as a", (7,)))["a"] == 7
        assert await db.fetch_optional(NONE) is None
        assert await db.fetch_scalar("select 3, 4", deadline=60) == 3
        assert await db.fetch_scalar(NONE) is None
        for name, sql in (("fetch_one", NONE), ("fetch_optional", "select 1 union select 2")):
            with pytest.raises(csqlite.RowCountError) as caught:
                await getattr(db, name)(sql)
            assert caught.value.sql == sql
        with pytest.raises(sqlite3.OperationalError, match="syntax error"):
            await db.fetch_scalar("selec 1")


async def test_many_tasks_at_once(db: Any) -> None:

    async def one(number: int) -> None:
        assert await db.fetch_one("select ?", (number,)) == (number,)
        assert await db.fetch_scalar("select ? union all select 0", (number,)) == number
        rows = [row async for row in db.stream(NUMBERS, (number % 100 + 1,), chunk=3)]
        assert rows == [(i,) for i in range(1, number % 100 + 2)]

    await asyncio.gather(*[one(number) for number in range(200)])


async def test_cancelled_calls_leave_nothing_half_read(db: Any) -> None:
    for call in (db.fetch_one, db.fetch_scalar, db.fetch_optional, db.fetch_all):
        for turns in range(6):
            task = asyncio.ensure_future(call(NUMBERS, (1,)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
    await db.execute("create table t (a)")
    await db.execute("drop table t")
