"""The methods that give a request: what is the same for all of them, whatever they do."""

import contextlib
import gc
import inspect
import pydoc
import sqlite3
import weakref

import pytest

import csqlite
from csqlite import _csqlite

# Those that are asked for what they take; the others take anything.
TYPES = (_csqlite.Connection, _csqlite.Cursor, csqlite.Blob, _csqlite.Session)
ANYTHING = {"setinputsizes", "setoutputsize"}
METHODS = [
    pytest.param(kind, name, id=f"{kind.__name__}.{name}")
    for kind in TYPES
    for name, value in sorted(vars(kind).items())
    if inspect.isroutine(value) and not name.startswith("_") and name not in ANYTHING
]
TARGETS = {"Connection": "db", "Cursor": "cursor", "Blob": "blob", "Session": "session"}

# What csqlite's own connections have and sqlite3's have not, with arguments that would do.
NATIVE = {
    "session": (),
    "apply_changeset": (b"",),
    "cache_stats": (),
    "cacheflush": (),
    "db_filename": (),
    "db_status": (0,),
    "file_control": (35,),
    "limits": (),
    "readonly": (),
    "release_memory": (),
    "reset": (),
    "set_update_hook": (None,),
    "set_commit_hook": (None,),
    "set_rollback_hook": (None,),
    "set_preupdate_hook": (None,),
    "set_wal_hook": (None,),
    "set_profile": (None,),
    "trace_v2": (0,),
    "txn_state": (),
    "wal_autocheckpoint": (1000,),
    "wal_checkpoint": (),
}


def foreign():
    return csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64)


@contextlib.asynccontextmanager
async def opened():
    """Return one open object of each type, by name."""
    async with csqlite.connect(":memory:") as db:
        await db.execute("create table t (id integer primary key, b blob)")
        await db.execute("insert into t values (1, x'0102')")
        await db.commit()
        async with db.cursor() as cursor, db.blobopen("t", "b", 1) as blob:
            async with db.session() as session:
                yield {"db": db, "cursor": cursor, "blob": blob, "session": session}


@pytest.mark.parametrize(("kind", "name"), METHODS)
def test_a_method_has_a_signature_and_help(kind, name):
    method = getattr(kind, name)
    signature = inspect.signature(method)
    assert next(iter(signature.parameters)) == "self"
    assert method.__doc__
    assert name in pydoc.plain(pydoc.render_doc(method))


@pytest.mark.parametrize(("kind", "name"), METHODS)
async def test_more_arguments_than_the_signature_has_are_refused(kind, name):
    async with opened() as targets:
        method = getattr(targets[TARGETS[kind.__name__]], name)
        count = sum(
            parameter.kind
            in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for parameter in inspect.signature(method).parameters.values()
        )
        with pytest.raises(TypeError):
            method(*["x"] * (count + 1))


@pytest.mark.parametrize(("kind", "name"), METHODS)
async def test_a_name_that_the_signature_does_not_have_is_refused(kind, name):
    async with opened() as targets:
        with pytest.raises(TypeError):
            getattr(targets[TARGETS[kind.__name__]], name)(no_such_argument=1)


@pytest.mark.parametrize("name", NATIVE)
async def test_a_native_method_names_the_connection_that_has_it_not(name):
    async with foreign() as db:
        with pytest.raises(
            sqlite3.NotSupportedError,
            match=rf"(?m)^{name}\(\) needs csqlite's own connection, not sqlite3\.Connection$",
        ):
            await getattr(db, name)(*NATIVE[name])


@pytest.mark.parametrize("connection", [lambda: csqlite.connect(":memory:"), foreign])
async def test_methods_that_both_kinds_have_answer_alike(connection):
    async with connection() as db:
        cursor = await db.execute("create table t (a)")
        assert await cursor.executemany("insert into t values (?)", [(1,), (2,), (3,)]) is cursor
        await db.commit()
        await db.execute("insert into t values (4)")
        await db.rollback()
        assert await db.execute_fetchall("select a from t") == [(1,), (2,), (3,)]
        assert await db.execute_insert("insert into t values (?)", (9,)) == (4,)
        async with db.execute("select a from t") as rows:
            assert await rows.fetchone() == (1,)
            assert await rows.fetchmany(2) == [(2,), (3,)]
            assert [row async for row in rows] == [(9,)]


async def test_a_request_has_the_name_of_its_method():
    async with opened() as targets:
        for request, name in [
            (targets["db"].commit(), "Connection.commit"),
            (targets["db"].execute("select 1"), "Connection.execute"),
            (targets["cursor"].execute("select 1"), "Cursor.execute"),
            (targets["cursor"].fetchmany(), "Cursor.fetchmany"),
            (targets["blob"].tell(), "Blob.tell"),
            (targets["blob"][0], "Blob.__getitem__"),
            (targets["session"].is_empty(), "Session.is_empty"),
        ]:
            assert request.__qualname__ == name
            assert request.__name__ == name.rpartition(".")[2]
            assert repr(request) == f"<csqlite request {name}, not awaited>"
            await request


async def test_a_request_that_is_not_awaited_says_so():
    async with opened() as targets:
        request = targets["db"].wal_checkpoint()
        with pytest.warns(
            RuntimeWarning, match=r"coroutine 'Connection\.wal_checkpoint' was never"
        ):
            del request
            gc.collect()


async def test_what_a_request_keeps_is_seen_by_the_garbage_collector():
    async with opened() as targets:

        class Name(str):
            pass

        class Call:
            def __call__(self, *values):
                return None

        db, schema, call, values = targets["db"], Name("main"), Call(), [1]
        kept = [
            (db.txn_state(schema), [schema]),
            (db.serialize(name=schema), [schema]),
            (db.create_function("f", 1, call), ["f", call]),
            (db.set_commit_hook(call, id=schema), [call, schema]),
            (db.execute("select ?", values), ["select ?", values]),
            (db.executemany("select ?", values), ["select ?", values]),
            (db.apply_changeset(b"", filter=call, conflict=call), [call]),
            (targets["session"].attach(call), [call]),
        ]
        for request, objects in kept:
            referents = gc.get_referents(request)
            assert all(any(one is other for other in referents) for one in objects)
            request.close()


async def test_a_cycle_through_a_request_is_collected():
    async with opened() as targets:

        class Handler:
            def __call__(self):
                return 0

        alive = []
        handler = Handler()
        handler.request = targets["db"].set_commit_hook(handler)
        handler.request.close()
        reference = weakref.ref(handler, alive.append)
        del handler
        gc.collect()
        assert reference() is None
        assert len(alive) == 1


async def test_a_mistaken_call_gives_no_request_and_no_warning(recwarn):
    async with opened() as targets:
        for call in [
            lambda db: db.execute(),
            lambda db: db.db_status("x"),
            lambda db: db.set_commit_hook(1),
            lambda db: db.wal_checkpoint(0, 5),
            lambda db: db.execute("select 1", deadline="soon"),
        ]:
            with pytest.raises(TypeError):
                call(targets["db"])
        gc.collect()
        assert not recwarn.list


async def test_methods_of_a_subclass_are_called():
    class Counting(csqlite.Cursor):
        fetched = 0

        async def fetchone(self):
            Counting.fetched += 1
            return await super().fetchone()

    async with csqlite.connect(":memory:") as db:
        cursor = await db.cursor(Counting)
        await cursor.execute("select 1")
        assert await cursor.fetchone() == (1,)
        assert Counting.fetched == 1


async def test_a_cursor_without_its_init_is_complained_of():
    cursor = csqlite.Cursor.__new__(csqlite.Cursor)
    for call in (cursor.fetchone, cursor.fetchall, cursor.close):
        with pytest.raises(sqlite3.ProgrammingError, match="Base Cursor.__init__ not called"):
            call()
