"""`async for` over a cursor that something else is done with meanwhile."""

import pytest

NUMBERS = "with recursive n(i) as (select 0 union all select i + 1 from n limit {}) select i from n"

# What the body of the loop does, and what the loop sees behind its chunk of 64 rows.
BODIES = {
    "update": lambda cursor: cursor.execute("update t set b = 1 where a = 0"),
    "insert": lambda cursor: cursor.execute("insert into t values (1, 2)"),
    "delete": lambda cursor: cursor.execute("delete from t where a < 0"),
    "select": lambda cursor: cursor.execute("select 1, 2 where 0"),
    "pragma": lambda cursor: cursor.execute("pragma cache_size = 100"),
    "many": lambda cursor: cursor.executemany("insert into t values (?, ?)", [(1, 2), (3, 4)]),
}


async def cursor_of(db, rows, **attributes):
    """Return a cursor that has numbers, and make a table."""
    await db.execute("create table t (a, b)")
    cursor = await db.execute(NUMBERS.format(rows))
    for name, value in attributes.items():
        setattr(cursor, name, value)
    return cursor


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("rows", [1, 10, 63, 64, 65, 200])
async def test_loop_goes_through_its_chunk(db, body, rows):
    cursor = await cursor_of(db, rows)
    seen = []
    async for row in cursor:
        seen.append(row)
        await BODIES[body](cursor)
    assert seen == [(number,) for number in range(min(rows, 64))]


@pytest.mark.parametrize("script", ["", "select 1; select 2;", "insert into t values (1, 2)"])
async def test_script_leaves_the_loop_and_the_cursor_alone(db, script):
    cursor = await cursor_of(db, 200)
    seen = []
    async for row in cursor:
        seen.append(row)
        if len(seen) in {1, 64, 70}:
            await cursor.executescript(script)
            assert cursor.description[0][0] == "i"
    assert seen == [(number,) for number in range(200)]
    await cursor.execute(NUMBERS.format(100))
    assert await cursor.fetchmany(70) == [(number,) for number in range(70)]
    await cursor.executescript(script)
    assert await cursor.fetchone() == (70,)
    assert await cursor.fetchall() == [(number,) for number in range(71, 100)]


@pytest.mark.parametrize("at", [0, 1, 5, 63, 64, 65, 127])
async def test_one_statement_in_the_loop(db, at):
    cursor = await cursor_of(db, 300)
    seen = []
    async for (number,) in cursor:
        seen.append(number)
        if number == at:
            await cursor.execute("select 1000 + i from (" + NUMBERS.format(3) + ")")
    end = (at // 64 + 1) * 64
    assert seen == [*range(end), 1000, 1001, 1002]


async def test_rows_of_a_statement_in_the_loop_are_the_cursors(db):
    cursor = await cursor_of(db, 10)
    seen = []
    async for (number,) in cursor:
        await cursor.execute("select ? union all select 'x'", (number,))
        seen.append((number, await cursor.fetchone(), len(await cursor.fetchall())))
    assert seen == [(number, (number,), 1) for number in range(10)]


async def test_kept_rows_have_their_own_columns_and_factory(db):
    cursor = await db.execute("select i, 'a' || i from (" + NUMBERS.format(8) + ")")
    seen = []
    async for row in cursor:
        seen.append(row)
        if len(row) == 1:
            break
        await cursor.execute("select 'one column'")
        assert [column[0] for column in cursor.description] == ["'one column'"]
    assert seen[:8] == [(number, f"a{number}") for number in range(8)]
    assert seen[8:] == [("one column",)]


async def test_cursor_closed_in_the_loop(db, aiosqlite):
    cursor = await cursor_of(db, 100)
    seen = []
    with pytest.raises(aiosqlite.ProgrammingError, match="Cannot operate on a closed cursor"):
        async for row in cursor:
            seen.append(row)
            await cursor.close()
    assert seen == [(number,) for number in range(64)]


async def test_size_of_the_chunk_is_the_cursors(db, aiosqlite):
    async with aiosqlite.connect(":memory:", iter_chunk_size=7) as other:
        cursor = await cursor_of(other, 100)
        seen = []
        async for row in cursor:
            seen.append(row)
            await cursor.execute("select 1 where 0")
        assert len(seen) == 7


async def test_loop_that_has_not_begun_keeps_nothing(db):
    cursor = await cursor_of(db, 10)
    rows = cursor.__aiter__()
    await cursor.execute("select 'later'")
    assert [row async for row in rows] == [("later",)]


async def test_loop_within_a_loop(db):
    cursor = await cursor_of(db, 5)
    seen = []
    async for (number,) in cursor:
        await cursor.execute("select ? union all select ?", (number, -number))
        seen.append([row[0] async for row in cursor])
    assert seen[:5] == [[number, -number] for number in range(5)]


async def test_iteration_can_be_closed(db):
    cursor = await cursor_of(db, 100)
    rows = cursor.__aiter__()
    assert await rows.__anext__() == (0,)
    await rows.aclose()
    with pytest.raises(StopAsyncIteration):
        await rows.__anext__()
    await rows.aclose()
    assert [row async for row in rows] == []
