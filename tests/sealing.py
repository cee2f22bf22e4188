"""Try every use of a connection at one of the moments in which SQLite calls Python.

`python sealing.py MOMENT` prints a line for each use: its name, a tab, and what came of
it. test_sealed.py runs one process for each moment, so that a crash is one moment's.
"""

import asyncio
import contextlib
import gc
import os
import sys
import tempfile

import csqlite

SCHEMA = """
create table t (a integer primary key, b);
insert into t values (1, 2), (3, 4);
create table o (x);
create table log (x);
create table strict_t (a integer primary key, b integer) strict;
insert into strict_t values (1, 2);
attach ':memory:' as other;
create table other.u (x);
"""


async def nothing(value):
    return value


# What is done at the moment, by the least that has to be allowed for it. Each is given the
# synchronous view and the connection.
READS = {
    "select": lambda raw, db: raw.execute("select count(*) from t").fetchall(),
    "with": lambda raw, db: raw.execute("with w as (select 1) select * from w").fetchall(),
    "pragma_reads": lambda raw, db: raw.execute("pragma table_info(t)").fetchall(),
    "explain": lambda raw, db: raw.execute("explain query plan drop table t").fetchall(),
    "dump": lambda raw, db: list(raw.iterdump()),
    "open_blob": lambda raw, db: raw.blobopen("o", "x", 1, readonly=True),
}
CHANGES = {
    "insert": lambda raw, db: raw.execute("insert into log values (1)"),
    "with_insert": lambda raw, db: raw.execute("with w as (select 1) insert into log select 1"),
    "insert_many": lambda raw, db: raw.executemany("insert into log values (?)", [(1,), (2,)]),
    "update": lambda raw, db: raw.execute("update t set b = b + 1"),
    "delete": lambda raw, db: raw.execute("delete from log"),
    "or_rollback": lambda raw, db: raw.execute("insert or rollback into t values (1, 1)"),
    "write_blob": lambda raw, db: raw.blobopen("o", "x", 1),
}
TRANSACTS = {
    "commit": lambda raw, db: raw.commit(),
    "commit_sql": lambda raw, db: raw.execute("commit"),
    "begin": lambda raw, db: raw.execute("begin"),
    "savepoint": lambda raw, db: raw.execute("savepoint s"),
    "serialize": lambda raw, db: raw.serialize(),
    "limit": lambda raw, db: raw.getlimit(csqlite.SQLITE_LIMIT_LENGTH),
}
SHAPES = {
    "create_table": lambda raw, db: raw.execute("create table n (x)"),
    "create_temp": lambda raw, db: raw.execute("create temp table n (x)"),
    "create_index": lambda raw, db: raw.execute("create index i on t (b)"),
    "create_trigger": lambda raw, db: raw.execute(
        "create trigger g after insert on t begin insert into log values (1); end"
    ),
    "drop_table": lambda raw, db: raw.execute("drop table t"),
    "drop_other": lambda raw, db: raw.execute("drop table o"),
    "drop_virtual": lambda raw, db: raw.execute("drop table w"),
    "alter": lambda raw, db: raw.execute("alter table t add column c"),
    "alter_other": lambda raw, db: raw.execute("/* x */ alter table o rename to p"),
    "alter_strict": lambda raw, db: raw.execute("alter table strict_t add column c integer"),
    "script_alter": lambda raw, db: raw.executescript("select 1; ;alter table t add column c"),
    "attach": lambda raw, db: raw.execute("attach ':memory:' as third"),
    "detach": lambda raw, db: raw.execute("detach other"),
    "vacuum": lambda raw, db: raw.execute("vacuum"),
    "reindex": lambda raw, db: raw.execute("reindex"),
    "analyze": lambda raw, db: raw.execute("analyze"),
    "rollback": lambda raw, db: raw.rollback(),
    "rollback_sql": lambda raw, db: raw.execute("rollback"),
    "schema_version": lambda raw, db: raw.execute("pragma schema_version = 99"),
    "reset_schema": lambda raw, db: raw.execute("explain pragma writable_schema = reset"),
    "temp_store": lambda raw, db: raw.execute("pragma temp_store = 2"),
    "drop_module": lambda raw, db: db._run(db._create_module("m", None, 0)),
    "replace_module": lambda raw, db: db._run(db._create_module("m", lambda: None, 0)),
}
# Refused, or done, in ways of their own; what counts is that SQLite survives.
OTHERS = {
    "script_select": lambda raw, db: raw.executescript("select 1; ; select 2"),
    "close": lambda raw, db: raw.close(),
    "deserialize": lambda raw, db: raw.deserialize(db.image),
    "hooks": lambda raw, db: (
        raw.set_trace_callback(None),
        raw.set_authorizer(None),
        raw.set_progress_handler(None, 1),
        raw.create_collation("c", None),
        raw.create_function("f", 1, None),
        db._run(db.set_update_hook(None)),
        db._run(db.set_commit_hook(None)),
        db._run(db.set_rollback_hook(None)),
    ),
    "other_hooks": lambda raw, db: (
        raw.set_trace_callback(lambda sql: None),
        raw.set_authorizer(lambda *arguments: 0),
        raw.create_collation("c", lambda a, b: 0),
        db._run(db.set_update_hook(lambda *arguments: None)),
        db._run(db.set_commit_hook(lambda: False)),
    ),
}
ACTIONS = {**READS, **CHANGES, **TRANSACTS, **SHAPES, **OTHERS}


class Scene:
    """A connection, and the use of it that is tried once `armed` is true."""

    def __init__(self, db, action):
        self.db = db
        self.action = action
        self.armed = False
        self.outcome = "not called"

    def act(self, *arguments):
        if self.armed:
            self.armed = False
            try:
                action = ACTIONS[self.action](self.db._conn, self.db)
            except BaseException as error:
                self.outcome = f"{type(error).__name__}: {error}"
            else:
                self.outcome = "done"
                del action
        return 0

    async def run(self, sql):
        self.armed = True
        with contextlib.suppress(csqlite.Error):
            await self.db.execute_fetchall(sql)
        self.armed = False


def write_with(listen, sql="update t set b = f(b)"):
    async def moment(scene):
        await scene.db.create_function("f", 1, lambda x: (scene.act(), x)[1])
        kept = await listen(scene.db)
        await scene.run(sql)
        del kept

    return moment


async def listen_session(db):
    session = await db.session()
    await session.attach()
    return session


async def select_function(scene):
    await scene.db.create_function("f", 1, lambda x: (scene.act(), x)[1])
    await scene.run("select f(a), (select max(x) from o), (select max(x) from other.u) from t")


async def deterministic(scene):
    await scene.db.create_function("f", 1, lambda x: (scene.act(), x)[1], deterministic=True)
    await scene.run("update t set b = 7 where b > f(1)")


async def aggregate(scene):
    class Sum:
        def step(self, value):
            scene.act()

        def finalize(self):
            return 1

    await scene.db.create_aggregate("g", 1, Sum)
    await scene.run("insert into o select g(a) from t")


async def index_function(scene):
    await scene.db.create_function("f", 1, lambda x: (scene.act(), x)[1], deterministic=True)
    await scene.run("create index made on t (f(b))")


async def trigger_function(scene):
    await scene.db.create_function("f", 1, lambda x: (scene.act(), x)[1])
    await scene.db.execute(
        "create temp trigger g2 after update on main.t begin select f(new.a); end"
    )
    await listen_session(scene.db)
    await scene.run("update t set b = 9")


def hook(setter, sql="update t set b = 9"):
    async def moment(scene):
        await setter(scene.db, scene.act)
        await scene.run(sql)

    return moment


async def commit_hook(scene):
    await scene.db.set_commit_hook(lambda: bool(scene.act()))
    await scene.run("update t set b = 9")


async def rollback_hook(scene):
    await scene.db.set_rollback_hook(scene.act)
    await scene.db.execute("begin")
    await scene.db.execute("update t set b = 9")
    await scene.run("rollback")


async def wal_hook(scene):
    await scene.db.set_wal_hook(lambda name, pages: scene.act() or None)
    await scene.run("update t set b = 9")


async def session_filter(scene):
    session = await scene.db.session()
    await session.attach(lambda table: scene.act() or True)
    await scene.run("update t set b = 9")


async def apply(scene, **handlers):
    async with csqlite.connect(":memory:", isolation_level=None) as source:
        await source.executescript("create table t (a primary key, b); insert into t values (1, 5)")
        async with source.session() as session:
            await session.attach()
            await source.execute("update t set b = 6")
            changeset = await session.changeset()
    scene.armed = True
    with contextlib.suppress(csqlite.Error):
        await scene.db.apply_changeset(changeset, **handlers)
    scene.armed = False


async def changeset_filter(scene):
    await apply(scene, filter=lambda table: scene.act() or True)


async def changeset_conflict(scene):
    await apply(scene, conflict=lambda *_: scene.act() or csqlite.SQLITE_CHANGESET_OMIT)


def table_class(scene, where):
    class Rows:
        def __init__(self):
            self.left = [(1, 2), (3, 4)]

        def __iter__(self):
            return self

        def __next__(self):
            if where == "rows":
                scene.act()
            if not self.left:
                raise StopIteration
            return self.left.pop()

        def __del__(self):
            if where == "end":
                scene.act()

    class Table:
        columns = ("a", "b")
        rowid = "a"

        def __init__(self, *arguments):
            if where == "connect":
                scene.act()

        def rows(self):
            return Rows()

        def insert(self, rowid, values):
            scene.act()
            return 7

        def update(self, rowid, new_rowid, values):
            scene.act()

        def delete(self, rowid):
            scene.act()

        def __del__(self):
            if where == "disconnect":
                scene.act()

    return Table


def virtual(where, *sqls):
    async def moment(scene):
        await scene.db.create_module("m", table_class(scene, where))
        if where != "connect":
            await scene.db.execute("create virtual table w using m(1)")
        for sql in sqls[:-1]:
            await scene.db.execute_fetchall(sql)
        await scene.run(sqls[-1])

    return moment


async def module_release(scene):
    class Source:
        def __call__(self):
            return [(1,)]

        def __del__(self):
            scene.act()

    await scene.db.create_module("m", Source(), ["a"])
    await scene.db.execute_fetchall("select * from m")
    gc.collect()
    scene.armed = True
    await scene.db.create_module("m", None)
    gc.collect()
    scene.armed = False


async def collation(scene):
    await scene.db.create_collation("c", lambda a, b: scene.act())
    await scene.run("select * from t order by cast(b as text) collate c")


SET_UPDATE = lambda db: db.set_update_hook(lambda *arguments: None)  # noqa: E731
SET_BATCH = lambda db: db.set_update_hook(lambda changes: None, batch=True)  # noqa: E731
SET_PREUPDATE = lambda db: db.set_preupdate_hook(lambda change: None)  # noqa: E731

# What may be done at each moment: the effects that are allowed.
ANY = (READS, CHANGES, TRANSACTS, SHAPES)
NO_SHAPES = (READS, CHANGES, TRANSACTS)
ROWS = (READS, CHANGES)
MOMENTS = {
    "select_function": (select_function, ANY),
    "write_plain": (write_with(nothing), NO_SHAPES),
    "write_update_hook": (write_with(SET_UPDATE), NO_SHAPES),
    "write_batched_hook": (write_with(SET_BATCH), NO_SHAPES),
    "write_preupdate": (write_with(SET_PREUPDATE), NO_SHAPES),
    "write_session": (write_with(listen_session), NO_SHAPES),
    "write_strict": (write_with(nothing, "update strict_t set b = f(b)"), NO_SHAPES),
    "write_returning": (write_with(SET_PREUPDATE, "delete from t returning f(a)"), NO_SHAPES),
    "write_attached": (
        write_with(SET_PREUPDATE, "insert into other.u select f(a) from t"),
        NO_SHAPES,
    ),
    "write_of_with": (
        write_with(SET_PREUPDATE, "with w as (select 1) insert into o select f(1) from w"),
        NO_SHAPES,
    ),
    "create_as": (write_with(nothing, "create table made as select f(a) from t"), NO_SHAPES),
    "deterministic": (deterministic, ROWS),
    "aggregate": (aggregate, NO_SHAPES),
    "index_function": (index_function, (READS,)),
    "trigger_function": (trigger_function, NO_SHAPES),
    "trace": (hook(lambda db, act: db.set_trace_callback(act)), ()),
    "trace_detached": (
        hook(lambda db, act: db.set_trace_callback(act), "insert into other.u values (1)"),
        (),
    ),
    "trace_statement": (
        hook(lambda db, act: db.trace_v2(csqlite.SQLITE_TRACE_STMT, act)),
        (),
    ),
    "trace_row": (
        hook(lambda db, act: db.trace_v2(csqlite.SQLITE_TRACE_ROW, act), "select * from t"),
        (),
    ),
    "trace_profile": (
        hook(lambda db, act: db.trace_v2(csqlite.SQLITE_TRACE_PROFILE, act)),
        (),
    ),
    "profile": (hook(lambda db, act: db.set_profile(act)), ()),
    "authorizer": (hook(lambda db, act: db.set_authorizer(act), "select a, b from t"), ()),
    "progress": (hook(lambda db, act: db.set_progress_handler(act, 1)), ()),
    "collation": (collation, ()),
    "update": (hook(lambda db, act: db.set_update_hook(act)), ()),
    "preupdate": (hook(lambda db, act: db.set_preupdate_hook(act)), ()),
    "commit": (commit_hook, ()),
    "rollback": (rollback_hook, ()),
    "wal": (wal_hook, ANY),
    "batch": (hook(lambda db, act: db.set_update_hook(act, batch=True)), ANY),
    "session_filter": (session_filter, ()),
    "changeset_filter": (changeset_filter, ROWS),
    "changeset_conflict": (changeset_conflict, ROWS),
    "connect": (virtual("connect", "create virtual table w using m(1)"), ROWS),
    "connect_again": (
        virtual("connect", "create virtual table w using m(1)", "pragma schema_version = 77",
                "select * from w"),
        ROWS,
    ),
    "insert": (virtual("change", "insert into w values (1, 2)"), ROWS),
    "update_row": (virtual("change", "update w set b = 3 where a = 1"), ROWS),
    "delete_row": (virtual("change", "delete from w where a = 1"), ROWS),
    "rows": (virtual("rows", "select * from w, t"), ANY),
    "rows_in_write": (virtual("rows", "insert into o select a from w"), NO_SHAPES),
    "end": (virtual("end", "select * from w limit 1"), ROWS),
    "disconnect": (virtual("disconnect", "drop table w"), ()),
    "module_release": (module_release, ()),
}  # fmt: skip


async def attempt(moment, action, directory):
    """Return what came of the action, or of the connection behind it."""
    path = os.path.join(directory, f"{action}.db") if moment == "wal" else ":memory:"
    async with csqlite.connect(path, isolation_level=None) as db:
        await db.executescript(SCHEMA)
        await db.execute("insert into o values (zeroblob(10))")
        if moment == "wal":
            await db.execute_fetchall("pragma journal_mode = wal")
            await db.wal_autocheckpoint(1)
        db.image = await db.serialize()
        scene = Scene(db, action)
        await MOMENTS[moment][0](scene)
        await db.set_authorizer(None)
        await db.set_trace_callback(None)
        await db.set_progress_handler(None, 1)
        if db.in_transaction:
            await db.commit()
        if moment != "index_function":
            answer = await db.execute_fetchall("pragma main.integrity_check")
            assert answer == [("ok",)], answer
        return scene.outcome


async def main(moment):
    with tempfile.TemporaryDirectory() as directory:
        for action in ACTIONS:
            try:
                outcome = await attempt(moment, action, directory)
            except (csqlite.Error, AssertionError) as error:
                outcome = f"left behind {type(error).__name__}: {error}"
            print(action, outcome, sep="\t", flush=True)


if __name__ == "__main__":
    sys.unraisablehook = lambda report: None
    asyncio.run(main(sys.argv[1]))
