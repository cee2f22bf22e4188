"""Nothing grows: not references, objects, memory, descriptors or threads, whatever is repeated."""

import asyncio
import concurrent.futures
import contextlib
import ctypes
import gc
import sqlite3
import sys
import threading
import warnings

import pytest
from memory_kinds import Point, Total
from parity.outcomes import outcome, scalar
from processes import comes_to, counted, descriptors, least, resident, threads

import csqlite

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="counts through /proc and glibc"
)

SECONDS = 20
NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"


class Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated():
    """Return how many bytes malloc() has given away, in all arenas; None without glibc 2.33."""
    if counted() is not None:
        return counted()
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return None
    mallinfo.restype = Mallinfo
    info = mallinfo()
    return info.uordblks + info.hblkhd


class Broken:
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise LookupError("broken")


def raising():
    yield (1,)
    raise LookupError("broken")


def raise_lookup(*arguments):
    raise LookupError("broken")


async def rolled_back(db, awaitable):
    try:
        return await awaitable
    finally:
        await db.rollback()


async def close_half_read(db):
    async with db.execute(NUMBERS.format(200)) as cursor:
        await cursor.fetchone()


async def drop_half_read(db):
    cursor = await db.execute(NUMBERS.format(200))
    await cursor.fetchone()


async def iterate(db):
    async with db.execute(NUMBERS.format(150)) as cursor:
        async for _ in cursor:
            pass


async def break_off(db):
    async for _ in await db.execute(NUMBERS.format(150)):
        break


async def fetch_parts(db):
    async with db.execute(NUMBERS.format(150)) as cursor:
        await cursor.fetchone()
        await cursor.fetchmany(3)
        await cursor.fetchall()


async def with_factory(db, factory):
    async with db.execute("select 1 as a, 'é' as b, x'00' as c") as cursor:
        cursor.row_factory = factory
        return await cursor.fetchall()


async def cancelled(awaitable, turns):
    task = asyncio.ensure_future(awaitable)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def given_up(request):
    with contextlib.suppress(StopIteration):  # It may be answered at once.
        request.send(None)
    request.close()


async def never_awaited(db):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        db.execute("select ?", (Point(1),))


async def dump(db):
    async for _ in db.iterdump():
        pass


async def backup(db, other):
    await db.backup(other)


async def use_function(db):
    await db.create_function("f", 1, lambda value: Point(value).x)
    await db.execute_fetchall("select f(1), f('é'), f(x'00'), f(null)")


async def callbacks(db):
    await db.set_trace_callback(lambda sql: None)
    await db.set_progress_handler(lambda: 0, 100)
    await db.set_authorizer(lambda *arguments: 0)
    await db.execute_fetchall("select count(*) from t")
    await db.set_authorizer(None)
    await db.set_progress_handler(None, 0)
    await db.set_trace_callback(None)


async def failing_function(db):
    await db.create_function("fail", 0, raise_lookup)
    await outcome(db.execute("select fail()"))


async def use_blob(db):
    async with db.blobopen("large", "b", 1) as blob:
        await blob.write(bytearray(b"x" * 300))
        await asyncio.gather(blob.seek(0), blob.read(), blob[::-3], blob[5], blob.reopen(2))
        await asyncio.gather(blob.reopen(1), blob.read(), blob.set(slice(0, 2), b"ab"))
        await outcome(blob.write(b"x" * 10_000))
        await outcome(blob[10_000])


async def drop_blob(db):
    blob = await db.blobopen("large", "b", 1, readonly=True)
    await blob.read(5)


async def fail_with_a_blob(db):
    await outcome(db.blobopen("large", "b", 99))
    async with db.blobopen("large", "b", 1) as blob:
        await outcome(blob.reopen(99))
        await outcome(blob.read())


async def replace(db):
    await db.deserialize(await db.serialize())


async def settings(db):
    await db.setlimit(csqlite.SQLITE_LIMIT_LENGTH, await db.getlimit(csqlite.SQLITE_LIMIT_LENGTH))
    await db.setconfig(csqlite.SQLITE_DBCONFIG_ENABLE_FKEY, True)
    await db.getconfig(csqlite.SQLITE_DBCONFIG_ENABLE_FKEY)
    await outcome(db.getlimit(99))


async def coroutine_callbacks(db):
    async def give(*arguments):
        await asyncio.sleep(0)
        return 0

    await db.create_function("coroutine", 1, give)
    await db.create_collation("slow", give)
    await db.execute_fetchall("select coroutine(1) union select 2 order by 1 collate slow")


async def failing_coroutine(db):
    async def fail():
        await asyncio.sleep(0)
        raise LookupError("broken")

    await db.create_function("fail", 0, fail)
    await outcome(db.execute("select fail()"))
    await db.create_function("fail", 0, db.commit)
    await outcome(db.execute("select fail()"))


async def cancelled_coroutine(db):
    begun = asyncio.Event()

    async def wait():
        begun.set()
        await asyncio.sleep(SECONDS)

    await db.create_function("wait", 0, wait)
    task = asyncio.ensure_future(db.execute("select wait()"))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])


async def replaced_in_use(db):
    await db.create_function("f", 0, lambda: 1)
    await db.create_collation("c", lambda a, b: 0)
    async with db.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n limit 200) "
        "select f(), 'a' < 'b' collate c from n"
    ):
        await db.create_function("f", 0, lambda: 2)
        await db.create_function("f", 0, None)
        await db.create_collation("c", None)


async def failing_collation(db):
    await db.create_collation("fail", raise_lookup)
    await outcome(db.execute("select 'a' union select 'b' order by 1 collate fail"))


async def use_window(db):
    await db.create_window_function("window_of", 1, Total)
    await db.execute_fetchall(
        "select window_of(column1) over (order by column1 rows 1 preceding) "
        "from (values (1), (2), (3))"
    )


async def session(db, other):
    async with db.session() as recording:
        await recording.attach(lambda table: True)
        await rolled_back(db, db.execute("insert into u values (-1)"))
        await db.execute("update u set a = a + 1")
        await db.commit()
        changeset = await recording.changeset()
    await other.apply_changeset(changeset, filter=bool, conflict=lambda reason, change: 0)
    list(csqlite.Changeset.iter(csqlite.Changeset.concat(csqlite.Changeset.invert(changeset))))


async def drop_session(db):
    recording = await db.session()
    await recording.attach(lambda table: True)
    await db.execute("update u set a = a + 1")


async def virtual_table(db, source):
    await db.create_module("m", source, ["a", "b"])
    await db.execute_fetchall("select * from m(20)")
    await outcome(db.execute_fetchall("select * from m"))
    await db.execute_fetchall("select * from m(20) limit 3")


# Made beforehand: tuples that are made while others are still in use fill Python's free list,
# as far as chance takes it.
PAIRS = [(n, str(n)) for n in range(20)]


def pairs(count):
    return PAIRS[:count]


async def async_pairs(count):
    for pair in PAIRS[:count]:
        yield pair


async def jsonb():
    document = {"a": [1, 2.5, "\n", None], "b": "x" * 500}
    assert csqlite.jsonb_decode(csqlite.jsonb_encode(document)) == document
    for broken in (b"", b"\xff", b"\x2b\x27a", b"\x4c\x17a\x17"):
        with pytest.raises(ValueError):
            csqlite.jsonb_decode(broken)


INSERT = "insert into t values (?, ?)"

# `other` is a second connection. Each is one operation, repeated.
OPERATIONS = {
    "execute": lambda db, other: db.execute("select ?, ?", (1, "text")),
    "execute_fetchall": lambda db, other: db.execute_fetchall("select ?, ?", [1.5, b"blob"]),
    "execute_insert": lambda db, other: rolled_back(db, db.execute_insert(INSERT, (1, 2))),
    "names": lambda db, other: db.execute_fetchall("select :a, :b", {"a": 1, "b": "é" * 100}),
    "big values": lambda db, other: db.execute_fetchall("select ?, ?", ("é" * 9000, b"x" * 9000)),
    "adapted": lambda db, other: db.execute_fetchall("select ?", (Point(3),)),
    "insert": lambda db, other: rolled_back(db, db.execute(INSERT, (1, 2))),
    "executemany list": lambda db, other: rolled_back(db, db.executemany(INSERT, [(1, "é")] * 20)),
    "executemany generator": lambda db, other: rolled_back(
        db, db.executemany(INSERT, ((n, str(n)) for n in range(20)))
    ),
    "executescript": lambda db, other: db.executescript("select 1; select 2;"),
    "returning": lambda db, other: rolled_back(
        db, db.execute_fetchall("insert into t values (1, 2) returning *")
    ),
    "close half-read": lambda db, other: close_half_read(db),
    "drop half-read": lambda db, other: drop_half_read(db),
    "async for": lambda db, other: iterate(db),
    "break": lambda db, other: break_off(db),
    "fetches": lambda db, other: fetch_parts(db),
    "large": lambda db, other: db.execute_fetchall(NUMBERS.format(2000)),
    "Row": lambda db, other: with_factory(db, sqlite3.Row),
    "factory": lambda db, other: with_factory(db, lambda cursor, row: dict(enumerate(row))),
    "factory that raises": lambda db, other: outcome(with_factory(db, raise_lookup)),
    "syntax error": lambda db, other: outcome(db.execute("nonsense")),
    "constraint": lambda db, other: rolled_back(
        db, outcome(db.execute("insert into u values (1)"))
    ),
    "wrong parameters": lambda db, other: outcome(db.execute("select ?", (1, 2))),
    "broken parameters": lambda db, other: outcome(db.execute("select ?", Broken())),
    "unsupported value": lambda db, other: outcome(db.execute("select ?, ?", (1, {}))),
    "missing name": lambda db, other: outcome(db.execute("select :a, :b", {"a": 1})),
    "executemany that raises": lambda db, other: rolled_back(
        db, outcome(db.executemany("insert into u values (? + 5)", raising()))
    ),
    "executemany that fails": lambda db, other: rolled_back(
        db, outcome(db.executemany("insert into u values (?)", [(7,), (7,), (8,)]))
    ),
    "cursor": lambda db, other: db.cursor(),
    "commit": lambda db, other: db.commit(),
    "cancelled at once": lambda db, other: cancelled(db.execute("select 1"), 0),
    "cancelled queued": lambda db, other: cancelled(db.execute_fetchall("select 1"), 1),
    "cancelled large": lambda db, other: cancelled(db.execute_fetchall(NUMBERS.format(5000)), 3),
    "given up": lambda db, other: given_up(db.execute_fetchall("select ?", ("é",))),
    "never awaited": lambda db, other: never_awaited(db),
    "dump": lambda db, other: dump(db),
    "function": lambda db, other: use_function(db),
    "function that fails": lambda db, other: failing_function(db),
    "aggregate": lambda db, other: db.create_aggregate("total_of", 1, Total),
    "use of an aggregate": lambda db, other: db.execute_fetchall("select total_of(a) from u"),
    "collation": lambda db, other: db.create_collation("order_of", lambda a, b: (a > b) - (a < b)),
    "callbacks": lambda db, other: callbacks(db),
    "coroutine": lambda db, other: coroutine_callbacks(db),
    "coroutine that fails": lambda db, other: failing_coroutine(db),
    "coroutine that is cancelled": lambda db, other: cancelled_coroutine(db),
    "replaced in use": lambda db, other: replaced_in_use(db),
    "collation that fails": lambda db, other: failing_collation(db),
    "window": lambda db, other: use_window(db),
    "_execute": lambda db, other: db._execute(int, "5"),
    "_execute that raises": lambda db, other: outcome(db._execute(raise_lookup)),
    "raw": lambda db, other: db._execute(lambda: db._conn.execute("select 1").fetchall()),
    "attributes": lambda db, other: db._execute(
        lambda: (db.in_transaction, db.total_changes, db._thread, db._conn, db.row_factory)
    ),
    "backup": lambda db, other: backup(other, db),
    "blob": lambda db, other: use_blob(db),
    "drop blob": lambda db, other: drop_blob(db),
    "blob that fails": lambda db, other: fail_with_a_blob(db),
    "blob cancelled": lambda db, other: cancelled(db.blobopen("large", "b", 1), 1),
    "serialize": lambda db, other: replace(other),
    "serialize cancelled": lambda db, other: cancelled(db.serialize(), 2),
    "settings": lambda db, other: settings(db),
    "cursor factory": lambda db, other: db.cursor(csqlite.Cursor),
    "session": session,
    "session that is dropped": lambda db, other: drop_session(db),
    "virtual table": lambda db, other: virtual_table(db, pairs),
    "async virtual table": lambda db, other: virtual_table(db, async_pairs),
    "jsonb": lambda db, other: jsonb(),
    "converters": lambda db, other: other.execute_fetchall("select 5 as 'a [point]'"),
}

# Those that take a while each.
SLOW = {
    *("serialize", "serialize cancelled", "blob"),
    *("backup", "dump", "large", "cancelled large", "callbacks", "big values"),
    *("session", "virtual table", "async virtual table"),
}


@pytest.fixture(scope="module", autouse=True)
def converter():
    sqlite3.register_converter("point", Point)
    yield
    del sqlite3.converters["POINT"]


async def settle(*connections):
    """Let everything that was given up come back, and what can be collected be collected."""
    for _ in range(3):
        for db in connections:
            await db._execute(int)
        await asyncio.sleep(0)
        gc.collect()


def keep_to_one_helper():
    """Let to_thread() use one thread: more of them, which are objects, come by and by."""
    asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(1))


async def measure(*connections):
    await settle(*connections)
    return len(gc.get_objects()), sys.getallocatedblocks(), allocated() or resident()


@pytest.mark.parametrize("name", list(OPERATIONS))
async def test_operation_repeated_leaves_nothing_behind(name):
    count = 250 if name in SLOW else 1000
    async with (
        csqlite.connect(":memory:") as db,
        csqlite.connect(":memory:", detect_types=sqlite3.PARSE_COLNAMES) as other,
    ):
        for connection in (db, other):
            await connection.executescript(
                "create table t (a, b); create table u (a primary key); insert into u values (1);"
                "create table large (b); insert into large values (zeroblob(1000)), (zeroblob(9000))"
            )
        await db.create_aggregate("total_of", 1, Total)

        async def repeat(times):
            for _ in range(times):
                await OPERATIONS[name](db, other)

        await repeat(count // 5 + 50)
        # Python's own caches grow now and then, and less each time; a leak grows every time.
        grown = []
        for _ in range(8):
            before = await measure(db, other)
            await repeat(count)
            after = await measure(db, other)
            grown.append([late - early for late, early in zip(after, before)])
            if grown[-1][0] < count / 20 and grown[-1][1] < count / 10:
                break
    objects, blocks, memory = (min(kind) for kind in zip(*grown))
    assert objects < count / 20
    assert blocks < count / 10
    assert memory < count * 16 + (32_000 if allocated() else 4_000_000)


async def test_references_to_what_is_passed_in_come_back():
    # Not numbers and short texts, which Python keeps for ever.
    text, blob, number = "text " * 50, b"blob " * 50, 10**15
    sql = "select ?, ?, ? /* " + "x" * 50 + " */"
    values, names, factory = (text, blob, number), {"a": text, "b": blob}, lambda cursor, row: row
    held = [text, blob, number, sql, values, names, factory, Point, Total]
    async with csqlite.connect(":memory:") as db:
        for round_number in range(2):
            if round_number == 1:
                await settle(db)
                before = [sys.getrefcount(item) for item in held]
            for _ in range(200):
                await db.execute(sql, values)
                await db.execute_fetchall("select :a, :b", names)
                await with_factory(db, factory)
                await db.create_function("f", -1, factory)
                await outcome(db.execute("select f(1, 2)"))
                await db.create_function("f", -1, None)
                await db.create_aggregate("total_of", 1, Total)
                await outcome(db.executemany("insert into t values (?, ?, ?)", [values]))
                await cancelled(db.execute(sql, values), 1)
        await db.create_aggregate("total_of", 1, None)
        await settle(db)
        after = [sys.getrefcount(item) for item in held]
    # The aggregate was registered when the first count was made.
    assert [late - early for late, early in zip(after, before)] == [0] * 8 + [-1]


async def test_references_to_none_and_to_types_stay_what_they_are():
    held = [csqlite.Cursor, csqlite.Connection, csqlite.connect, sqlite3.Row, tuple, dict]
    async with csqlite.connect(":memory:") as db:
        for round_number in range(2):
            if round_number == 1:
                await settle(db)
                before = [sys.getrefcount(item) for item in held]
            for _ in range(500):
                await db.execute_fetchall("select null, 1, 'a', x'00', 1.5")
                await fetch_parts(db)
                await with_factory(db, sqlite3.Row)
                async with csqlite.connect(":memory:") if _ % 50 == 0 else db.cursor():
                    pass
        await settle(db)
        after = [sys.getrefcount(item) for item in held]
    assert max(late - early for late, early in zip(after, before)) < 20


async def test_twenty_thousand_operations_stay_in_place():
    async with csqlite.connect(":memory:") as db:
        await db.execute("create table t (a integer primary key, b)")
        await db.commit()

        async def repeat(times):
            for number in range(times):
                await db.execute(INSERT, (None, str(number)))
                async with db.execute("select * from t where a = ?", (number,)) as cursor:
                    await cursor.fetchone()
                if number % 100 == 0:
                    await db.rollback()

        await repeat(3_000)
        before = (await measure(db))[2]
        await repeat(20_000)
        assert (await measure(db))[2] - before < 2_000_000


async def test_statements_without_number_stay_in_the_cache_size():
    async with csqlite.connect(":memory:", cached_statements=20) as db:
        for number in range(6000):
            await db.execute_fetchall(f"select {number}, '{'x' * 500}'")
            if number == 1000:
                before = await measure(db)
        after = await measure(db)
    assert after[2] - before[2] < 1_000_000


async def test_column_sets_without_number_are_not_kept():
    async with csqlite.connect(":memory:") as db:
        db.row_factory = sqlite3.Row
        for number in range(4000):
            (row,) = await db.execute_fetchall(f"select {number} as c{number}")
            assert row.keys() == [f"c{number}"]
            if number == 1999:
                before = await measure(db)
        after = await measure(db)
    objects, _, memory = (late - early for late, early in zip(after, before))
    assert objects < 1500
    assert memory < 8_000_000


async def connections_of(path, count):
    for number in range(count):
        async with csqlite.connect(path if number % 2 else ":memory:") as db:
            await db.execute("create table if not exists t (a, b)")
            await db.create_function("f", 0, lambda: 1)
            assert await scalar(db, "select f()") == 1
            await drop_half_read(db)


async def test_five_hundred_connections_leave_nothing_behind(path):
    await connections_of(path, 60)
    gc.collect()
    before = least(threads), descriptors(), len(gc.get_objects()), allocated() or resident()
    await connections_of(path, 500)
    await asyncio.sleep(0)
    gc.collect()
    after = (
        comes_to(threads, before[0]),
        descriptors(),
        len(gc.get_objects()),
        allocated() or resident(),
    )
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 50
    assert after[3] - before[3] < 500 * 64 + (0 if allocated() else 4_000_000)


async def test_many_connections_at_once_leave_nothing_behind(path):
    async def round_of(count):
        dbs = [await csqlite.connect(path) for _ in range(count)]
        await asyncio.gather(*[scalar(db, "select 1") for db in dbs])
        await asyncio.gather(*[db.close() for db in dbs])
        for db in dbs:
            await asyncio.to_thread(db._thread.join, SECONDS)

    await round_of(40)
    before = least(threads), descriptors()
    await round_of(40)
    assert (comes_to(threads, before[0]), descriptors()) == before


async def test_connections_that_fail_to_open_leave_nothing_behind(tmp_path):
    keep_to_one_helper()

    async def fail(count):
        for _ in range(count):
            for db in (
                csqlite.connect(tmp_path),
                csqlite.connect(tmp_path / "missing" / "x.db"),
                csqlite.connect(":memory:", autocommit="maybe"),
                csqlite.Connection(raise_lookup, 64),
            ):
                assert isinstance(await outcome(db), tuple)
                await asyncio.to_thread(db._thread.join, SECONDS)

    await fail(20)
    gc.collect()
    before = least(threads), descriptors(), len(gc.get_objects())
    await fail(100)
    gc.collect()
    after = comes_to(threads, before[0]), descriptors(), len(gc.get_objects())
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 30


async def test_forgotten_connections_leave_nothing_behind(path):
    keep_to_one_helper()

    async def forget(count):
        for _ in range(count):
            db = await csqlite.connect(path)
            await drop_half_read(db)
            thread = db._thread
            del db
            gc.collect()
            await asyncio.to_thread(thread.join, SECONDS)

    with pytest.warns(ResourceWarning):
        await forget(5)
        before = least(threads), descriptors(), len(gc.get_objects())
        await forget(20)
        after = comes_to(threads, before[0]), descriptors(), len(gc.get_objects())
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 100  # Each warning is kept by pytest.


def test_loops_leave_nothing_behind(path):
    async def use(db):
        return await scalar(db, "select 1")

    async def opened():
        return await csqlite.connect(path)

    db = asyncio.run(opened())

    def loops(count):
        for _ in range(count):
            assert asyncio.run(use(db)) == 1

    loops(5)
    gc.collect()
    before = least(threads), descriptors(), len(gc.get_objects())
    loops(100)
    gc.collect()
    after = comes_to(threads, before[0]), descriptors(), len(gc.get_objects())
    assert after[0] == before[0]
    assert after[1] <= before[1]
    assert after[2] - before[2] < 30
    asyncio.run(db.close())


async def test_loops_of_threads_leave_nothing_behind():
    keep_to_one_helper()
    async with csqlite.connect(":memory:") as db:

        async def use():
            return await scalar(db, "select 1")

        async def round_of(count):
            for _ in range(count):
                thread = threading.Thread(target=lambda: asyncio.run(use()))
                thread.start()
                await asyncio.to_thread(thread.join, SECONDS)

        await round_of(5)
        gc.collect()
        before = least(threads), descriptors(), len(gc.get_objects())
        await round_of(60)
        gc.collect()
        after = comes_to(threads, before[0]), descriptors(), len(gc.get_objects())
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 30


async def test_large_results_are_given_back():
    async with csqlite.connect(":memory:") as db:
        sizes = []
        for _ in range(6):
            rows = await db.execute_fetchall(
                f"select i, zeroblob(2000) from ({NUMBERS.format(20000)})"
            )
            assert len(rows) == 20000
            del rows
            sizes.append((await measure(db))[2])
    assert sizes[-1] - sizes[1] < 3_000_000  # 40 MB each time


async def test_forsaken_large_results_are_given_back():
    async with csqlite.connect(":memory:") as db:
        sizes = []
        for _ in range(12):
            await cancelled(
                db.execute_fetchall(f"select i, zeroblob(2000) from ({NUMBERS.format(20000)})"), 40
            )
            sizes.append((await measure(db))[2])
    assert sizes[-1] - sizes[1] < 3_000_000
