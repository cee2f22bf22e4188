"""Each operation interrupted at each place where it waits, before and after what it waits for has come.

The second place is the one that a cancelled task meets when the answer is there already, and
nobody has been told. `cleanliness` says what has to hold after each.
"""

import asyncio
import contextlib
import sqlite3
import types

import pytest
from cleanliness import Scene
from doses import dose

import csqlite

# -- what is interrupted ----------------------------------------------------------


async def select(scene):
    await scene.db.execute("select i from numbers")


async def insert(scene):
    await scene.db.execute("insert into t values (1)")


async def insert_on_a_cursor(scene):
    await scene.cursor.execute("insert into t values (1), (2), (3) returning a")


async def insert_with_returning(scene):
    await scene.db.execute_fetchall("insert into t select i from numbers returning a")


async def execute_insert(scene):
    await scene.db.execute_insert("insert into t values (1)")


async def failing_insert(scene):
    try:
        await scene.db.execute("insert into numbers values (1, 'there already')")
    except sqlite3.IntegrityError:
        await scene.db.rollback()


async def select_on_a_cursor(scene):
    await scene.cursor.execute("select i from numbers")
    await scene.cursor.close()


async def fetchall_at_once(scene):
    await scene.db.execute_fetchall("select i from numbers")


async def fetchone(scene):
    await scene.cursor.execute("select i from numbers")
    for _ in range(10):
        await scene.cursor.fetchone()
    await scene.cursor.close()


async def fetchmany(scene):
    await scene.cursor.execute("select i from numbers")
    while await scene.cursor.fetchmany(500):
        pass


async def fetchall(scene):
    await scene.cursor.execute("select i from numbers")
    await scene.cursor.fetchall()


async def iterate(scene):
    async for _ in await scene.db.execute("select i from numbers"):
        pass


async def iterate_within(scene):
    async with scene.db.execute("select i from numbers limit 9") as cursor:
        async for _ in cursor:
            await asyncio.sleep(0)


async def executemany_of_a_list(scene):
    await scene.db.executemany("insert into t values (?)", [(n,) for n in range(300)])


async def executemany_of_a_generator(scene):
    await scene.db.executemany("insert into t values (?)", ((n,) for n in range(30_000)))


async def script(scene):
    await scene.db.executescript("insert into t values (1); select * from numbers")


async def transaction(scene):
    try:
        await scene.db.execute("insert into t values (1)")
        await scene.db.execute_fetchall("select i from numbers")
        await scene.db.executemany("insert into t values (?)", [(2,), (3,)])
        await scene.db.commit()
    except BaseException:
        await scene.db.rollback()
        raise


async def backup_to_a_path(scene):
    await scene.db.backup(scene.new_path())


async def backup_to_a_connection(scene):
    async with csqlite.connect(scene.new_path()) as target:
        await scene.db.backup(target, pages=3, sleep=0)


async def backup_to_sqlite3(scene):
    with contextlib.closing(sqlite3.connect(":memory:", check_same_thread=False)) as target:
        await scene.db.backup(target)


async def dump(scene):
    async for _ in scene.db.iterdump():
        pass


async def blob(scene):
    rowid = await scene.db.execute_fetchall("select rowid from blobs")
    async with scene.db.blobopen("blobs", "data", rowid[0][0], readonly=True) as opened:
        await opened.read(10)
        await opened.read()


async def coroutine_function(scene):
    async def answer(number):
        await asyncio.sleep(0)
        return number

    await scene.db.create_function("answer", 1, answer)
    await scene.db.execute_fetchall("select answer(i) from numbers limit 3")


async def write_through_a_coroutine_function(scene):
    async def answer(number):
        await asyncio.sleep(0)
        return number

    await scene.db.create_function("answer", 1, answer)
    await scene.db.execute("insert into t select answer(i) from numbers limit 3")
    await scene.db.rollback()


async def virtual_table(scene):
    async def source():
        for number in range(100):
            await asyncio.sleep(0)
            yield (number,)

    await scene.db.create_module("source", source, ["number"])
    await scene.db.execute_fetchall("select * from source")
    await scene.db.create_module("source", None)


async def call(scene):
    await scene.db._execute(int)


async def describe(scene):
    await scene.db.statement_info("select * from numbers")


async def serialize(scene):
    await scene.db.serialize()


async def deserialize(scene):
    data = await scene.db.serialize()
    async with csqlite.connect(":memory:") as db:
        await db.deserialize(data)


async def connect_and_close(scene):
    async with csqlite.connect(scene.path) as db:
        await db.execute("select i from numbers")


async def open_and_close(scene):
    db = await csqlite.connect(scene.path)
    try:
        await db.execute_fetchall("select i from numbers limit 1")
    finally:
        await db.close()


async def changeset(scene):
    try:
        async with scene.db.session() as session:
            await session.attach("keyed")
            await scene.db.execute("insert into keyed values (1, 2)")
            data = await session.changeset()
        await scene.db.rollback()
        await scene.db.apply_changeset(data)
        await scene.db.execute("delete from keyed")
        await scene.db.commit()
    except BaseException:
        await scene.db.rollback()
        raise


async def reset(scene):
    await scene.cursor.execute("select i from numbers")
    try:
        await scene.db.reset()
    finally:
        await scene.cursor.close()


OPERATIONS = [
    select,
    insert,
    insert_on_a_cursor,
    insert_with_returning,
    execute_insert,
    failing_insert,
    select_on_a_cursor,
    fetchall_at_once,
    fetchone,
    fetchmany,
    fetchall,
    iterate,
    iterate_within,
    executemany_of_a_list,
    executemany_of_a_generator,
    script,
    transaction,
    backup_to_a_path,
    backup_to_a_connection,
    backup_to_sqlite3,
    dump,
    blob,
    coroutine_function,
    write_through_a_coroutine_function,
    virtual_table,
    call,
    describe,
    serialize,
    deserialize,
    connect_and_close,
    open_and_close,
    changeset,
    reset,
]

# What they do to the database by themselves, without rolling back or committing.
LEAVES_A_TRANSACTION = {
    insert,
    insert_on_a_cursor,
    insert_with_returning,
    execute_insert,
    executemany_of_a_list,
    executemany_of_a_generator,
}


# -- how --------------------------------------------------------------------------


class Interruption:
    """Runs a coroutine and throws into it where it waits for the `at`th time.

    `after`: when what it waits for has come. `again`: each time that it waits from then on, as
    often as `level`: what anyio does, and who cancels twice.
    """

    def __init__(self, coroutine, at, after=False, level=1, error=asyncio.CancelledError):
        self.coroutine = coroutine
        self.at = at
        self.after = after
        self.level = level
        self.error = error
        self.thrown = 0

    @types.coroutine
    def run(self):
        waited, error = 0, None
        while True:
            try:
                # It is kept nowhere: its traceback would keep all that it passes.
                resume = self.coroutine.throw if error else self.coroutine.send
                future = resume(error.pop() if error else None)
            except StopIteration as stop:
                return stop.value
            due = self.at <= waited < self.at + self.level
            waited += 1
            if not due or self.after:
                yield future
            elif future is not None:
                # asyncio looks whether what was yielded came from `await`.
                future._asyncio_future_blocking = False
            if due:
                self.thrown += 1
            error = [self.error()] if due else None


async def interrupt(scene, operation, **how):
    """Whether there was a place to interrupt `operation` at; all is as it should be afterwards."""
    coroutine = operation(scene)
    interruption = Interruption(coroutine, **how)
    task = asyncio.ensure_future(wrapped(interruption))
    await asyncio.wait_for(asyncio.wait([task]), 20)
    ended = task.exception() if not task.cancelled() else None
    assert interruption.thrown == 0 or not isinstance(ended, sqlite3.Error), ended
    finished = task.result()[0] is None
    del coroutine, task
    scene.note = f"{operation.__name__}, {how}"
    clean = interruption.thrown > 0 and not finished
    await scene.check(
        in_transaction=False if clean or operation not in LEAVES_A_TRANSACTION else None
    )
    return interruption.thrown > 0


async def wrapped(interruption):
    try:
        await interruption.run()
    except (asyncio.CancelledError, Thrown) as error:
        return (type(error),)
    return (None,)


class Thrown(BaseException):
    """What KeyboardInterrupt is to a task that is interrupted: no Exception."""


WAYS = {
    "before": {},
    "after": {"after": True},
    "before, twice": {"level": 2},
    "after, twice": {"level": 2, "after": True},
    "before, at each await": {"level": 1000},
    "after, at each await": {"level": 1000, "after": True},
    "another exception": {"error": Thrown},
    "another exception, after": {"error": Thrown, "after": True},
}

SHORT = ["before", "after", "before, twice", "after, at each await"]


@pytest.mark.seconds(240)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
async def test_interrupted_where_it_waits(tmp_path, capfd, operation):
    async with Scene(tmp_path, capfd) as scene:
        places = 0
        while not places:  # All of an operation's answers may come while its loop waits awake.
            for way in dose(SHORT, list(WAYS)):
                for at in range(dose(5, 200)):
                    await scene.renew()
                    if not await interrupt(scene, operation, at=at, **WAYS[way]):
                        break
                    places += 1
