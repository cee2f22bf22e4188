"""What test_memory_faults.py lets run out of memory: scenarios, each of one subject.

Run as a program, with the names of scenarios, a stride and a file for its progress.
"""

import asyncio
import contextlib
import gc
import os
import sqlite3
import sys
import tempfile

from memory_kinds import Total
from nomemory import Hunt

import csqlite

NUMBERS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select {} from n"
)


LEAK = 6  # blocks a run, while caches may still fill


class Point:
    def __init__(self, x):
        self.x = x

    def __conform__(self, protocol):
        return f"p{self.x}"


class Adapted:
    pass


def adapt(value):
    return "adapted"


def upper(text):
    return text.upper()


def convert(value):
    return value.decode().split(",")


def record(row_cursor, row):
    return {column[0]: value for column, value in zip(row_cursor.description, row)}


def compare(a, b):
    return (a > b) - (a < b)


def nothing(*args):
    return None


def allow(*args):
    return sqlite3.SQLITE_OK


csqlite.register_adapter(Adapted, adapt)
csqlite.register_converter("parts", convert)

SCENARIOS = {}


class Scenario:
    """A coroutine function over an open connection, which gives what can be compared."""

    def __init__(self, act, *, connect=None, waiting=False, others=(), prepare=None):
        self.name = act.__name__
        self.act = act
        self.connect = connect or {}
        self.waiting = waiting
        self.others = others
        self.first = prepare

    async def prepare(self):
        db = await csqlite.connect(":memory:", **self.connect)
        await db.executescript(
            "create table t(id integer primary key, a, b);"
            "insert into t(a, b) values (1, 'one'), (2, 'two'), (3, 'dr\u00e9i');"
        )
        if self.waiting and self.name != "entering":
            # CPython 3.11 crashes where there is no memory for a thread's state.
            await db._execute(nothing)
        if self.first:
            await self.first(db)
        return db

    async def end(self, db):
        """The connection answers, and closes."""
        if self.name != "close":
            async with db.execute("select 1") as cursor:
                assert await cursor.fetchall() == [(1,)] or db.row_factory is not None
        await db.close()

    async def settle(self):
        """What was let go in a job is let go by now."""
        db = await csqlite.connect(":memory:")
        await db.close()


def scenario(**options):
    def add(function):
        SCENARIOS[function.__name__] = Scenario(function, **options)
        return function

    return add


# Parameters and statements.


@scenario()
async def parameters(db):
    values = (1, 1 << 62, -5, 1.5, "text", "t\u00e9xt", "x" * 2000, b"bytes", bytearray(b"ba"))
    values += (memoryview(b"mv"), None, True, Point(1), Adapted())
    sql = f"select {','.join('?' * len(values))}"
    cursor = await db.execute(sql, values)
    return await cursor.fetchone()


@scenario()
async def names(db):
    cursor = await db.execute("select :a, :b, :a", {"a": 1, "b": "two"})
    first = await cursor.fetchall()
    await cursor.execute("select $c, @d", {"c": b"3", "d": None})
    return first, await cursor.fetchall()


@scenario()
async def many(db):
    cursor = await db.executemany(
        "insert into t(a, b) values (?, ?)", [(i, "b") for i in range(40)]
    )
    await cursor.executemany("insert into t(a) values (:a)", ({"a": i} for i in range(30)))
    await db.commit()
    return cursor.rowcount, await db.execute_fetchall("select count(*), sum(a) from t")


@scenario()
async def script(db):
    await db.executescript("create table s(x); insert into s values (1), (2); select * from s;")
    return await db.execute_fetchall("select count(*) from s")


@scenario()
async def insert(db):
    row = await db.execute_insert("insert into t(a) values (?)", (7,))
    cursor = await db.execute("update t set a = a + 1")
    changed = cursor.rowcount
    inside = db.in_transaction
    await db.rollback()
    return row, changed, inside, db.in_transaction


@scenario()
async def settings(db):
    db.isolation_level = "IMMEDIATE"
    db.isolation_level = None
    await db.setlimit(1, 5000)
    return (
        await db.getlimit(1),
        len(await db.limits()) > 5,
        await db.txn_state(),
        await db.db_filename(),
        db.total_changes,
        db.isolation_level,
    )


# Rows.


@scenario()
async def fetching(db):
    cursor = await db.execute(NUMBERS.format(300, "i, 'text ' || i, i * 0.5, zeroblob(3), null"))
    rows = [await cursor.fetchone() for _ in range(3)]
    rows += await cursor.fetchmany(70)
    rows += await cursor.fetchall()
    return rows, await cursor.fetchone()


@scenario()
async def iterating(db):
    rows = []
    async with db.execute(NUMBERS.format(200, "i, 't\u00e9xt'")) as cursor:
        async for row in cursor:
            rows.append(row)
    return rows


@scenario()
async def streaming(db):
    rows = await db.execute_fetchall(NUMBERS.format(2000, "i, 'some text that is ' || i"))
    return len(rows), rows[0], rows[-1]


@scenario()
async def description(db):
    cursor = await db.execute("select a, b as second, 3 from t")
    return cursor.description, cursor.rowcount, cursor.lastrowid, await cursor.fetchall()


@scenario()
async def rows(db):
    db.row_factory = csqlite.Row
    found = await db.execute_fetchall("select a, b from t order by a")
    return [(tuple(row), row.keys(), row["b"]) for row in found]


@scenario()
async def dictionaries(db):
    db.row_factory = record
    return await db.execute_fetchall("select a, b from t order by a")


@scenario()
async def texts(db):
    db.text_factory = bytes
    first = await db.execute_fetchall("select b from t")
    db.text_factory = upper_bytes
    return first, await db.execute_fetchall("select b from t")


def upper_bytes(data):
    return data.decode().upper()


@scenario(connect={"detect_types": csqlite.PARSE_DECLTYPES | csqlite.PARSE_COLNAMES})
async def converting(db):
    await db.execute("create table c(x parts, y)")
    await db.execute("insert into c values ('1,2', 'a,b')")
    cursor = await db.execute('select x, y as "y [parts]", y from c')
    return cursor.description, await cursor.fetchall()


# What fails.


@scenario()
async def errors(db):
    found = []
    for sql in (
        "select nonsense",
        "insert into t(id) values (1)",
        "select ?",
        "sel",
        "select 1; select 2",
    ):
        try:
            await db.execute(sql)
        except csqlite.Error as error:
            found.append((type(error).__name__, str(error), getattr(error, "sqlite_errorname", 0)))
    try:
        await db.execute("select ?", (object(),))
    except csqlite.Error as error:
        if not str(error):  # PyErr_Format() has no memory for it, and raises it all the same.
            raise MemoryError from None
        found.append(str(error))
    return found


@scenario()
async def cancelling(db):
    async def wait():
        return await db.execute(NUMBERS.format(1000000, "sum(i)"))

    waiting = wait()
    waiting.send(None)
    with contextlib.suppress(asyncio.CancelledError):
        waiting.throw(asyncio.CancelledError())
    return await db.execute_fetchall("select 2")


@scenario()
async def forgetting(db):
    cursor = await db.execute(NUMBERS.format(1000, "i"))
    first = await cursor.fetchone()
    del cursor
    db.execute("select 1").close()
    return first, await db.execute_fetchall("select 3")


# Connections.


@scenario()
async def connecting(db):
    other = await csqlite.connect(":memory:", isolation_level=None, timeout=1, cached_statements=5)
    answer = await other.execute_fetchall("select 4")
    await other.close()
    return answer


@scenario()
async def close(db):
    cursor = await db.execute(NUMBERS.format(1000, "i"))
    await cursor.fetchone()
    await db.close()


# Callables: the worker's thread runs out of memory as well.

FUNCTION_ERRORS = (csqlite.OperationalError,)


@scenario(waiting=True, others=FUNCTION_ERRORS)
async def functions(db):
    await db.create_function("up", 1, upper, deterministic=True)
    await db.create_aggregate("total_of", 1, Total)
    await db.create_collation("backwards", compare)
    return await db.execute_fetchall(
        "select up(b), (select total_of(a) from t) from t order by b collate backwards"
    )


async def with_functions(db):
    await db.create_function("up", 1, upper)
    await db.create_aggregate("total_of", 1, Total)
    await db.create_window_function("window_of", 1, Total)
    await db.create_collation("backwards", compare)
    await db.execute_fetchall("select up(b) from t order by b collate backwards")


@scenario(waiting=True, others=FUNCTION_ERRORS, prepare=with_functions)
async def calling(db):
    return await db.execute_fetchall(
        "select up(b), (select total_of(a) from t), window_of(a) over (order by a) "
        "from t order by b collate backwards"
    )


@scenario(waiting=True, others=(*FUNCTION_ERRORS, csqlite.DatabaseError))
async def handlers(db):
    await db.set_authorizer(allow)
    await db.set_trace_callback(nothing)
    await db.set_progress_handler(nothing, 100)
    found = await db.execute_fetchall("select sum(a) from t")
    await db.set_authorizer(None)
    await db.set_trace_callback(None)
    return found


@scenario(waiting=True, others=(*FUNCTION_ERRORS, csqlite.IntegrityError))
async def hooks(db):
    await db.set_update_hook(nothing)
    await db.set_update_hook(len, batch=True)
    await db.set_commit_hook(nothing)
    await db.set_rollback_hook(nothing)
    await db.set_preupdate_hook(nothing)
    await db.execute("insert into t(a) values (9)")
    await db.commit()
    await db.execute("delete from t")
    await db.rollback()
    return await db.execute_fetchall("select count(*) from t")


@scenario(waiting=True, others=FUNCTION_ERRORS)
async def tables(db):
    await db.create_module("items", [(i, f"item {i}") for i in range(20)], columns=("n", "name"))
    return await db.execute_fetchall("select * from items where n > 5")


@scenario(waiting=True)
async def worker_calls(db):
    return await db._execute(upper, "text")


if sys.version_info[:2] != (3, 11):

    @scenario(others=FUNCTION_ERRORS)
    async def entering(db):
        await db.create_function("up", 1, upper)
        return await db.execute_fetchall("select up(b) from t")

    SCENARIOS["entering"].waiting = True


# Objects of their own.


@scenario()
async def blobs(db):
    await db.execute("insert into t(id, a) values (100, zeroblob(3000))")
    async with db.blobopen("t", "a", 100) as blob:
        await blob.write(b"abc")
        await blob.seek(0)
        await blob.set(slice(5, 7), b"xy")
        return await blob.read(10), await blob[1], len(await blob[2:2000]), len(blob)


@scenario()
async def backups(db):
    target = await csqlite.connect(":memory:")
    await db.backup(target, pages=1)
    found = await target.execute_fetchall("select a from t")
    await target.close()
    return found


@scenario()
async def dumps(db):
    return [line async for line in db.iterdump()]


@scenario()
async def bytes_of_it(db):
    data = await db.serialize()
    await db.execute("delete from t")
    await db.commit()
    await db.deserialize(data)
    return len(data), await db.execute_fetchall("select count(*) from t")


@scenario(waiting=True, others=(*FUNCTION_ERRORS, csqlite.DatabaseError))
async def sessions(db):
    async with db.session() as session:
        await session.attach()
        await db.execute("update t set a = a + 1")
        await db.execute("insert into t(a, b) values ('new', x'00')")
        await db.commit()
        changes = await session.changeset()
    inverted = csqlite.Changeset.invert(changes)
    listed = [(c.op, c.table, c.old, c.new) for c in csqlite.Changeset.iter(changes)]
    await db.apply_changeset(inverted)
    return len(listed), await db.execute_fetchall("select a from t order by id")


@scenario()
async def arrays(db):
    numbers = await db.execute_fetchall("select value from carray(?)", (csqlite.carray([1, 2, 3]),))
    data = csqlite.jsonb_encode({"a": [1, 2.5, None, True, "t\u00e9xt"], "b": {"c": "d" * 300}})
    return numbers, csqlite.jsonb_decode(data)


@scenario()
async def statements(db):
    info = await db.statement_info("select a, b from t where a = :x")
    script = await db.script_info("select 1; select 2")
    return info.sql, len(script), await db.cache_stats() is not None


@scenario()
async def synchronous(db):
    def work(view):
        cursor = view.execute("select a from t where a > ?", (1,))
        return cursor.fetchall()

    return await db._execute(work, db._conn)


def main(names, stride, progress):
    bad = 0
    for name in names:
        hunt = Hunt(SCENARIOS[name], progress)
        grown = hunt.all(stride)
        # Caches, CPython's own too, fill in the first hundreds of runs; a leak goes on.
        for _ in range(5):
            if grown <= LEAK:
                break
            grown = hunt.all(stride)
        if grown > LEAK:
            print(f"{name}: leaks {grown:.1f} blocks a run")
            bad = 1
    print("done")
    sys.stdout.flush()
    asyncio._set_running_loop(None)
    os._exit(bad)


if __name__ == "__main__":
    with tempfile.TemporaryFile() as fallback:
        *chosen, stride, path = sys.argv[1:]
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT) if path != "-" else fallback.fileno()
        gc.collect()
        main(chosen or list(SCENARIOS), int(stride), descriptor)
