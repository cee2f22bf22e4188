"""A cursor is busy from the beginning of a call to its end: what callbacks may do with it meanwhile.

Each kind of callback, in each kind of call, tries each use of the cursor that is being used:
in place, by another task, and by a task of another loop. What is refused says so, what is not
comes before or behind the call, and afterwards cursor and connection are as good as before.
"""

import asyncio
import contextlib
import sqlite3
import threading

import pytest

import csqlite

SECONDS = 60
RECURSIVE = "Recursive use of cursors not allowed."
SEALED = "The connection cannot be used in a callback of this kind."


class Scene:
    """A connection, its cursor, and what is to be done in the next callback."""

    def __init__(self, db, cursor):
        self.db = db
        self.cursor = cursor
        self.action = None
        self.calls = 0

    def __call__(self, *arguments):
        action, self.action = self.action, None
        if action is not None:
            self.calls += 1
            action()
        return 0


class Adapted:
    """A value that is asked for while parameters are packed."""

    def __init__(self, scene):
        self.scene = scene

    def __conform__(self, protocol):
        self.scene()
        return 5


class Sequence:
    def __init__(self, scene):
        self.scene = scene

    def __len__(self):
        return 1

    def __getitem__(self, index):
        self.scene()
        return (5,)[index]


class Mapping(dict):
    scene = None

    def __getitem__(self, name):
        self.scene()
        return 5


class Aggregate:
    scene = None

    def step(self, value):
        self.scene()

    def finalize(self):
        self.scene()
        return 5


def generate(scene):
    for number in (5, 6, 7):
        scene()
        yield (number,)


# What SQLite or the loop calls, and the calls in which that happens.
WRITES = ("insert", "many", "script", "returning", "many behind", "script behind")
READS = ("select", "fetchall", "select behind")


async def collate(scene):
    def compare(a, b):
        scene()
        return (a > b) - (a < b)

    await scene.db.create_collation("c", compare)


async def aggregate(scene):
    Aggregate.scene = scene
    await scene.db.create_aggregate("aggregate", 1, Aggregate)


async def make_rows(scene):
    scene.cursor.row_factory = lambda cursor, row: (scene(), row)[1]


async def make_texts(scene):
    scene.db.text_factory = lambda data: (scene(), data.decode())[1]


async def convert(scene):
    csqlite.register_converter("noting", lambda data: (scene(), data)[1])


async def nothing(scene):
    Mapping.scene = scene


TRACED = csqlite.SQLITE_TRACE_STMT | csqlite.SQLITE_TRACE_PROFILE | csqlite.SQLITE_TRACE_ROW
KINDS = {
    "trace": (lambda scene: scene.db.set_trace_callback(scene), WRITES),
    "trace_v2": (lambda scene: scene.db.trace_v2(TRACED, scene), (*WRITES, *READS)),
    "profile": (lambda scene: scene.db.set_profile(scene), WRITES),
    "progress": (lambda scene: scene.db.set_progress_handler(scene, 1), (*WRITES, "select")),
    "authorizer": (lambda scene: scene.db.set_authorizer(scene), ("script", "script behind")),
    "commit": (lambda scene: scene.db.set_commit_hook(scene), ("script", "script behind")),
    "update": (lambda scene: scene.db.set_update_hook(scene), WRITES),
    "batch": (lambda scene: scene.db.set_update_hook(scene, batch=True), ("script",)),
    "function": (
        lambda scene: scene.db.create_function("note", -1, scene),
        (*WRITES, "select", "fetchall"),
    ),
    "collation": (collate, ("select",)),
    "aggregate": (aggregate, ("script", "select")),
    "row_factory": (make_rows, ("fetchone", "fetchmany", "fetchall", "iterate")),
    "text_factory": (make_texts, ("fetchone", "fetchmany", "fetchall", "iterate")),
    "converter": (convert, ("fetchone", "fetchall")),
    "adapter": (nothing, ("insert", "many", "returning", "select", "many behind")),
    "sequence": (nothing, ("insert", "many", "returning", "select", "many behind")),
    "mapping": (nothing, ("insert", "many", "returning", "select", "many behind")),
    "iterator": (nothing, ("many", "many behind")),
}
if hasattr(csqlite.Connection, "set_preupdate_hook") and csqlite.build.source != "system":
    KINDS["preupdate"] = (lambda scene: scene.db.set_preupdate_hook(scene), WRITES)

SQL = {
    "function": ("? + note()", "select a + note(), 'x' from t where a >= ?", "5 + note()"),
    "collation": ("?", "select 'x' || a b, 'x' from t where a >= ? order by b collate c", "5"),
    "aggregate": ("?", "select aggregate(a), 'x' from t where a >= ?", "aggregate(a) from t --"),
    "mapping": (":v", "select a, 'x' from t where a >= :v", "5"),
    "converter": ("?", "select a as 'a [noting]', 'x' from t where a >= ?", "5"),
}
VALUES = {
    "adapter": lambda scene: (Adapted(scene),),
    "sequence": Sequence,
    "mapping": lambda scene: Mapping(v=5),
}


def make_calls(kind, scene):
    """Give for each call whether it is behind a SELECT that is half-read, and the call."""
    value, select, inner = SQL.get(kind, ("?", "select a, 'x' from t where a >= ?", "5"))
    insert = f"insert into t values ({value})"
    script = f"insert into t select {inner}\n; select 1; insert into t values (6)"
    one = VALUES.get(kind, lambda scene: (5,))(scene)
    many = generate(scene) if kind == "iterator" else [one, one]
    return select, {
        "insert": (False, lambda cursor: cursor.execute(insert, one)),
        "many": (False, lambda cursor: cursor.executemany(insert, many)),
        "script": (False, lambda cursor: cursor.executescript(script)),
        "returning": (False, lambda cursor: cursor.execute(insert + " returning a", one)),
        "select": (False, lambda cursor: cursor.execute(select, one)),
        "fetchone": (True, lambda cursor: cursor.fetchone()),
        "fetchmany": (True, lambda cursor: cursor.fetchmany(3)),
        "fetchall": (True, lambda cursor: cursor.fetchall()),
        "iterate": (True, None),
        "select behind": (True, lambda cursor: cursor.execute(select, one)),
        "script behind": (True, lambda cursor: cursor.executescript(script)),
        "many behind": (True, lambda cursor: cursor.executemany(insert, many)),
    }


def set_row_factory(cursor):
    cursor.row_factory = lambda cursor, row: list(row)


USES = {
    "execute": lambda cursor: cursor.execute("select 1, 2, 3"),
    "insert": lambda cursor: cursor.execute("insert into t values (?)", (9,)),
    "executemany": lambda cursor: cursor.executemany("insert into t values (?)", [(7,), (8,)]),
    "executescript": lambda cursor: cursor.executescript("select 1; select 2"),
    "fetchone": lambda cursor: cursor.fetchone(),
    "fetchmany": lambda cursor: cursor.fetchmany(2),
    "fetchall": lambda cursor: cursor.fetchall(),
    "close": lambda cursor: cursor.close(),
    "row_factory": set_row_factory,
    "description": lambda cursor: cursor.description,
    "lastrowid": lambda cursor: (cursor.lastrowid, cursor.rowcount),
    "iterate": None,
}
# What executes needs the worker, and is refused in a callback of the cursor's own work. While
# parameters are packed that has not begun: there it comes before.
EXECUTES = ("execute", "insert", "executemany", "executescript")
PACKING = ("adapter", "sequence", "mapping")


async def perform(cursor, call):
    if call is None:
        return [row async for row in cursor]
    made = call(cursor)
    return await made if hasattr(made, "__await__") else made


class Here:
    """Uses the cursor in the callback, by the synchronous view."""

    def __init__(self, scene, use, note):
        self.scene, self.use, self.note = scene, use, note

    def __call__(self):
        raw = self.scene.cursor._cursor
        self.note(lambda: list(raw) if self.use is None else self.use(raw))

    async def join(self):
        pass


class Task:
    """Lets another task of the loop begin to use the cursor; does not wait for it."""

    def __init__(self, scene, use, note):
        self.scene, self.use, self.note = scene, use, note
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.task = None
        self.begun = threading.Event()

    def begin(self):
        self.task = self.loop.create_task(self.run())
        self.loop.call_soon(self.begun.set)

    async def run(self):
        with self.note.catching():
            await perform(self.scene.cursor, self.use)

    def __call__(self):
        if threading.get_ident() == self.thread:
            self.begin()
        else:
            self.loop.call_soon_threadsafe(self.begin)
            assert self.begun.wait(SECONDS)

    async def join(self):
        await asyncio.wait_for(self.task, SECONDS)


class Loop(Task):
    """The same by a task of another loop, in another thread."""

    async def run_elsewhere(self):
        task = asyncio.ensure_future(self.run())
        await asyncio.sleep(0)
        self.begun.set()
        await task

    def __call__(self):
        self.task = self.loop.run_in_executor(None, asyncio.run, self.run_elsewhere())
        assert self.begun.wait(SECONDS)


class Note:
    """What came of the uses."""

    def __init__(self):
        self.seen = []

    @contextlib.contextmanager
    def catching(self):
        try:
            yield
        except sqlite3.Error as error:
            self.seen.append(str(error))
        else:
            self.seen.append("done")

    def __call__(self, function):
        with self.catching():
            function()


async def use_while_busy(scene, kind, name, use, where):
    """Give what came of the use, None when nobody called."""
    select, calls = make_calls(kind, scene)
    behind, call = calls[name]
    if behind:
        await scene.cursor.execute(select, {"v": 0} if kind == "mapping" else (0,))
    if name.startswith("script") and scene.db.isolation_level is not None:
        await scene.db.execute("insert into t values (1)")  # It is to have something to commit.
    note = Note()
    made = where(scene, USES[use], note)
    scene.action = made
    with contextlib.suppress(sqlite3.Error):
        await asyncio.wait_for(perform(scene.cursor, call), SECONDS)
    if scene.action is not None:
        scene.action = None
        return None
    await made.join()
    return note.seen[0]


async def check(scene):
    """Nothing is left of what was done."""
    with contextlib.suppress(sqlite3.ProgrammingError):  # It may be closed.
        await scene.cursor.execute("select 1, 2")
        scene.cursor.row_factory = None
        assert await scene.cursor.fetchall() == [(1, 2)]
    await scene.cursor.close()
    await scene.db.rollback()
    assert not scene.db.in_transaction
    assert await scene.db.execute_fetchall("select 7") == [(7,)]


@pytest.mark.parametrize("level", [None, ""], ids=["autocommit", "begin"])
@pytest.mark.parametrize("where", [Here, Task, Loop])
@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_cursor_is_used_while_it_is_busy(kind, where, level):
    async with csqlite.connect(
        ":memory:",
        isolation_level=level,
        iter_chunk_size=4,
        check_same_thread=False,
        detect_types=csqlite.PARSE_COLNAMES if kind == "converter" else 0,
    ) as db:
        await db.executescript(
            "create table t (a); insert into t"
            " with recursive n(i) as (select 1 union all select i + 1 from n limit 40)"
            " select i from n"
        )
        await db.create_function("note", -1, lambda *arguments: 0)
        prepare, calls = KINDS[kind]
        for name in calls:
            for use in USES:
                scene = Scene(db, await db.cursor())
                await prepare(scene)
                seen = await use_while_busy(scene, kind, name, use, where)
                assert seen is not None, (name, use, "nobody called")
                if where is Here and use in EXECUTES:
                    assert seen in (RECURSIVE, SEALED) or kind in PACKING, (name, use, seen)
                elif where is not Here:
                    closed = "Cannot operate on a closed cursor."
                    assert seen in ("done", closed), (name, use, seen)
                await check(scene)


# -- behind a request that was cancelled ---------------------------------------------


REQUESTS = {
    "execute": lambda cursor: cursor.execute("select a, a from t"),
    "returning": lambda cursor: cursor.execute("insert into u values (1), (2) returning a, a"),
    "executemany": lambda cursor: cursor.executemany("insert into u values (?)", [(1,), (2,)]),
    "executescript": lambda cursor: cursor.executescript("insert into u values (1); select 1"),
    "fetchone": lambda cursor: cursor.fetchone(),
    "fetchmany": lambda cursor: cursor.fetchmany(30),
    "fetchall": lambda cursor: cursor.fetchall(),
}


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("request_", sorted(REQUESTS))
async def test_call_in_place_behind_a_cancelled_request(request_, turns):
    """It comes when nothing of the request is left, or is refused; columns and rows belong together."""
    async with csqlite.connect(
        ":memory:", isolation_level=None, iter_chunk_size=4, check_same_thread=False
    ) as db:
        await db.executescript("create table t (a); create table u (a)")
        await db.executemany("insert into t values (?)", [(i,) for i in range(100)])
        for use, call in USES.items():
            for in_callback in (False, True):
                cursor = await db.execute("select a, 'x', 'y' from t")
                await cursor.fetchone()
                task = asyncio.ensure_future(REQUESTS[request_](cursor))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                raw = cursor._cursor
                note = Note()

                def act(raw=raw, use=use, call=call, note=note):
                    with note.catching():
                        rows = list(raw) if call is None else call(raw)
                        if isinstance(rows, list) and rows and raw.description is not None:
                            assert len(raw.description) == len(rows[0])
                        if use == "execute":
                            assert raw.fetchall() == [(1, 2, 3)]

                if in_callback:
                    await db._execute(act)
                else:
                    act()
                await asyncio.wait([task])
                assert note.seen in (["done"], [RECURSIVE]), (use, note.seen)
                await check(Scene(db, cursor))
