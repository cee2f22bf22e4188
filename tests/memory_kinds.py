"""Operations of each kind, for test_memory_flat.py and for who looks for leaks at exit."""

import asyncio
import contextlib
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

import csqlite

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


@dataclass
class Scene:
    """Two connections in memory, one of them with converters, and a directory."""

    db: csqlite.Connection
    other: csqlite.Connection
    directory: Path
    number: int = 0

    def next(self):
        """Return another number each time."""
        self.number += 1
        return self.number


class Point:
    def __init__(self, x):
        self.x = x

    def __conform__(self, protocol):
        return str(self.x)


class Total:
    def __init__(self):
        self.total = 0

    def step(self, value):
        self.total += value

    def inverse(self, value):
        self.total -= value

    def finalize(self):
        return self.total

    value = finalize


@contextlib.asynccontextmanager
async def prepared():
    """Give a scene, with tables in both connections."""
    sqlite3.register_converter("point", Point)
    with tempfile.TemporaryDirectory() as directory:
        async with (
            csqlite.connect(":memory:") as db,
            csqlite.connect(":memory:", detect_types=sqlite3.PARSE_COLNAMES) as other,
        ):
            for connection in (db, other):
                await connection.executescript(
                    "create table t (a, b); create table u (a integer primary key, b);"
                    "insert into u values (1, 'one'); create table large (b);"
                    "insert into large values (zeroblob(1000)), (zeroblob(9000))"
                )
            await db.create_function("same", 1, lambda value: value)
            await db.create_function("broken", 1, lambda value: 1 / 0)
            await db.create_aggregate("total_of", 1, Total)
            await db.create_collation("backwards", lambda a, b: (a < b) - (a > b))
            await db.create_module("m", lambda count: ((n, "é") for n in range(count)), ["a", "b"])
            yield Scene(db, other, Path(directory))


async def execute(scene):
    cursor = await scene.db.execute("select ?, ?", (scene.next(), "é" * 20))
    await cursor.fetchone()


async def execute_fetchall(scene):
    await scene.db.execute_fetchall("select :a, :b", {"a": scene.next(), "b": b"blob" * 10})


async def executemany(scene):
    await scene.db.executemany("insert into t values (?, ?)", [(1, "é" * 10)] * 3)
    await scene.db.rollback()


async def insert_and_commit(scene):
    await scene.db.execute("update u set b = ? where a = 1", (str(scene.next()),))
    await scene.db.commit()


async def execute_insert(scene):
    await scene.db.execute_insert("insert into t values (1, ?)", ("text " * 10,))
    await scene.db.rollback()


async def stream(scene):
    await scene.db.execute_fetchall(NUMBERS.format(1500))


async def iterate(scene):
    async with scene.db.execute(NUMBERS.format(100)) as cursor:
        async for _ in cursor:
            pass


async def half_read(scene):
    cursor = await scene.db.execute(NUMBERS.format(200))
    await cursor.fetchone()


async def cancelled(scene):
    task = asyncio.ensure_future(scene.db.execute_fetchall(NUMBERS.format(2000)))
    for _ in range(scene.next() % 4):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def failing(scene):
    for sql, parameters in (
        ("nonsense", ()),
        ("select ?", (1, 2)),
        ("insert into u values (1, 1)", ()),
        ("select ?", ({},)),
        ("select :a", {"b": 1}),
        ("select broken(1)", ()),
    ):
        with contextlib.suppress(sqlite3.Error):
            await scene.db.execute(sql, parameters)
    await scene.db.rollback()


async def other_statement(scene):
    await scene.db.execute_fetchall(f"select {scene.next()} as c{scene.number % 1000}")


async def function(scene):
    await scene.db.execute_fetchall("select same(?), same('é'), same(1.5)", (scene.next(),))


async def aggregate(scene):
    await scene.db.execute_fetchall("select total_of(a) from u")


async def window(scene):
    await scene.db.create_window_function("window_of", 1, Total)
    await scene.db.execute_fetchall(
        "select window_of(column1) over (order by column1 rows 1 preceding) "
        "from (values (1), (2), (3))"
    )


async def collation(scene):
    await scene.db.execute_fetchall("select 'a' union select 'b' order by 1 collate backwards")


async def registering(scene):
    await scene.db.create_function("f", 1, lambda value: value)
    await scene.db.create_collation("c", lambda a, b: 0)
    await scene.db.create_function("f", 1, None)
    await scene.db.create_collation("c", None)


async def coroutine(scene):
    async def give(value):
        await asyncio.sleep(0)
        return value

    await scene.db.create_function("coroutine", 1, give)
    await scene.db.execute_fetchall("select coroutine(1)")


async def hooks(scene):
    db = scene.db
    await db.set_trace_callback(lambda sql: None)
    await db.set_progress_handler(lambda: 0, 10)
    await db.set_authorizer(lambda *arguments: 0)
    await db.execute_fetchall(f"select {scene.next()} from u")
    await db.set_authorizer(None)
    await db.set_progress_handler(None, 0)
    await db.set_trace_callback(None)


async def blob(scene):
    async with scene.db.blobopen("large", "b", 1 + scene.next() % 2) as opened:
        await opened.write(b"x" * 500)
        await opened.seek(0)
        await opened.read(700)
        await opened.read(10_000)


async def forgotten_blob(scene):
    opened = await scene.db.blobopen("large", "b", 1, readonly=True)
    await opened.read(3)


async def backup(scene):
    await scene.db.backup(scene.other, pages=1 + scene.next() % 5, sleep=0)


async def dump(scene):
    async for _ in scene.db.iterdump():
        pass


async def serialize(scene):
    await scene.other.deserialize(await scene.db.serialize())


async def session(scene):
    async with scene.db.session() as recording:
        await recording.attach()
        await scene.db.execute("update u set b = ?", (str(scene.next()),))
        await scene.db.commit()
        changeset = await recording.changeset()
    list(csqlite.Changeset.iter(csqlite.Changeset.invert(changeset)))
    await scene.other.apply_changeset(changeset, conflict=lambda reason, change: 0)


async def factory(scene):
    cursor = await scene.db.execute("select 1 as a, 'é' as b, x'00' as c")
    cursor.row_factory = lambda cursor, row: dict(zip("abc", row))
    await cursor.fetchall()


async def rows(scene):
    cursor = await scene.db.execute("select 1 as a, 'é' as b, x'00' as c")
    cursor.row_factory = sqlite3.Row
    await cursor.fetchall()


async def converters(scene):
    await scene.other.execute_fetchall("select ? as 'a [point]'", (Point(scene.next()),))


async def virtual_table(scene):
    await scene.db.execute_fetchall("select * from m(20)")
    await scene.db.execute_fetchall("select * from m(200) limit 3")


async def carray(scene):
    await scene.db.execute_fetchall(
        "select value from carray(?)", (csqlite.carray([1, 2, scene.next()]),)
    )
    await scene.db.execute_fetchall("select value from carray(?)", (csqlite.carray(["a", "é"]),))


async def jsonb(scene):
    document = {"a": [1, 2.5, "\n", None, True], "b": {"c": "x" * 100}, "n": scene.next()}
    csqlite.jsonb_decode(csqlite.jsonb_encode(document))
    for broken in (b"", b"\xff", b"\x2b\x27a", b"\x4c\x17a\x17"):
        with contextlib.suppress(ValueError):
            csqlite.jsonb_decode(broken)


async def raw(scene):
    await scene.db._execute(lambda: scene.db._conn.execute("select 1").fetchall())


async def connection(scene):
    path = scene.directory / "a.db" if scene.next() % 2 else ":memory:"
    async with csqlite.connect(path) as db:
        await db.create_function("f", 0, lambda: 1)
        await db.execute_fetchall("select f()")


async def forgotten_connection(scene):
    db = await csqlite.connect(":memory:")
    await db.execute("select 1")
    thread = db._thread
    del db
    await asyncio.to_thread(thread.join, 20)


async def connection_that_fails(scene):
    with contextlib.suppress(sqlite3.Error):
        await csqlite.connect(scene.directory / "missing" / "x.db")


async def never_awaited(scene):
    scene.db.execute("select ?", (Point(scene.next()),))


KINDS = {
    "execute": execute,
    "execute_fetchall": execute_fetchall,
    "executemany": executemany,
    "insert and commit": insert_and_commit,
    "execute_insert": execute_insert,
    "stream": stream,
    "iterate": iterate,
    "half-read cursor": half_read,
    "cancelled": cancelled,
    "failing": failing,
    "other statement each time": other_statement,
    "function": function,
    "aggregate": aggregate,
    "window function": window,
    "collation": collation,
    "registering": registering,
    "coroutine": coroutine,
    "hooks": hooks,
    "blob": blob,
    "forgotten blob": forgotten_blob,
    "backup": backup,
    "dump": dump,
    "serialize": serialize,
    "session": session,
    "row factory": factory,
    "Row": rows,
    "converters": converters,
    "virtual table": virtual_table,
    "carray": carray,
    "jsonb": jsonb,
    "raw": raw,
    "connection": connection,
    "forgotten connection": forgotten_connection,
    "connection that fails": connection_that_fails,
    "never awaited": never_awaited,
}

# Connections take the longest: ten thousand of them instead of a hundred thousand.
FULL_TIMES = {
    "connection": 10_000,
    "forgotten connection": 10_000,
    "connection that fails": 10_000,
}
SHORT_TIMES = {"connection": 120, "forgotten connection": 60, "backup": 120, "dump": 120}
