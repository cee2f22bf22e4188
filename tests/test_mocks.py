"""What methods are to inspect, to frameworks and to unittest.mock: what aiosqlite's are."""

import asyncio
import copy
import functools
import inspect
import pickle
import pydoc
import sys
from unittest import mock

import pytest

import csqlite

pytest.importorskip("aiosqlite", reason="the oracle is not installed")
import aiosqlite

CLASSES = ["Connection", "Cursor"]

# Every method of aiosqlite's, with the class that has it.
METHODS = [
    (name, attribute)
    for name in CLASSES
    for attribute, value in vars(getattr(aiosqlite, name)).items()
    if inspect.isfunction(value)
    and attribute not in ("__init__", "__await__", "__aiter__", "__del__")
]

OWN = [
    (csqlite.Connection, "serialize"),
    (csqlite.Connection, "set_update_hook"),
    (csqlite.Connection, "create_window_function"),
    (csqlite.Blob, "read"),
    (csqlite.Blob, "close"),
    (csqlite.Session, "changeset"),
    (csqlite.Cursor, "setinputsizes"),
]


@pytest.mark.parametrize("asks", [inspect.iscoroutinefunction, asyncio.iscoroutinefunction])
@pytest.mark.parametrize(("name", "attribute"), METHODS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_a_coroutine_function_in_aiosqlite_is_one(name, attribute, asks):
    theirs = getattr(getattr(aiosqlite, name), attribute)
    ours = getattr(getattr(csqlite, name), attribute)
    assert asks(ours) == asks(theirs)


@pytest.mark.parametrize(("kind", "attribute"), OWN)
def test_what_only_csqlite_has_is_one_as_well(kind, attribute):
    assert inspect.iscoroutinefunction(getattr(kind, attribute))


def kinds(module, make):
    """Return the class of the mock that each method of aiosqlite's gets."""
    of = {name: make(getattr(module, name)) for name in CLASSES}
    return {
        (name, attribute): type(getattr(of[name], attribute)).__name__
        for name, attribute in METHODS
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda kind: mock.MagicMock(spec=kind),
        lambda kind: mock.MagicMock(spec_set=kind),
        lambda kind: mock.AsyncMock(spec=kind),
        lambda kind: mock.NonCallableMagicMock(spec=kind),
        mock.create_autospec,
        functools.partial(mock.create_autospec, instance=True),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_mocks_of_a_class_are_those_of_aiosqlites(make):
    assert kinds(csqlite, make) == kinds(aiosqlite, make)


@pytest.mark.filterwarnings("ignore")
async def test_mocks_of_a_connection_and_of_a_cursor():
    found = []
    for module in (aiosqlite, csqlite):
        async with module.connect(":memory:") as db:
            cursor = await db.execute("SELECT 1")
            of = {"Connection": mock.MagicMock(spec=db), "Cursor": mock.MagicMock(spec=cursor)}
            found.append({(a, b): type(getattr(of[a], b)).__name__ for a, b in METHODS})
    assert found[0] == found[1]


async def test_a_mock_is_awaited_and_checks_arguments():
    db = mock.create_autospec(csqlite.Connection, instance=True)
    await db.commit()
    db.execute("SELECT ?", (1,))
    with pytest.raises(TypeError):
        db.execute()
    with pytest.raises(TypeError):
        db.commit(1)
    db.commit.assert_awaited_once_with()


@pytest.mark.parametrize("autospec", [None, True])
async def test_a_method_can_be_patched(autospec):
    async with csqlite.connect(":memory:") as db:
        for target in (csqlite.Connection, db):
            with mock.patch.object(target, "commit", autospec=autospec) as commit:
                await db.commit()
            commit.assert_awaited_once()
        assert "commit" not in vars(db)
        await db.commit()


async def test_a_bound_method_is_a_coroutine_function():
    async with csqlite.connect(":memory:") as db:
        assert inspect.iscoroutinefunction(db.commit)
        assert not inspect.iscoroutinefunction(db.execute)
        assert inspect.iscoroutinefunction((await db.execute("SELECT 1")).fetchone)
        if sys.version_info >= (3, 10):  # Before, of no bound method.
            assert inspect.iscoroutinefunction(functools.partial(db.rollback))
        assert not inspect.iscoroutinefunction(db.stop)
        assert "Connection.commit of <csqlite.Connection" in repr(db.commit)


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        (csqlite.Connection.execute, "(self, /, sql, parameters=None, *, deadline=None)"),
        (csqlite.Connection.commit, "(self, /, *, deadline=None)"),
        (csqlite.Cursor.fetchmany, "(self, /, size=None, *, deadline=None)"),
    ],
)
def test_signatures_and_documentation_stay(method, signature):
    assert str(inspect.signature(method)).replace("self, /, ", "self, ") == signature.replace(
        "self, /, ", "self, "
    )
    assert method.__name__ in pydoc.plain(pydoc.render_doc(method))
    assert inspect.getdoc(method).splitlines()[0] in pydoc.plain(pydoc.render_doc(method))
    assert method.__qualname__.endswith(f".{method.__name__}")


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_a_copy_is_the_method_itself(copied):
    assert copied(csqlite.Connection.commit) is csqlite.Connection.commit


async def test_calls_by_way_of_the_class():
    async with csqlite.connect(":memory:") as db:
        await csqlite.Connection.commit(db)
        async with csqlite.Connection.execute(db, "SELECT 1") as cursor:
            assert await csqlite.Cursor.fetchone(cursor) == (1,)
        for wrong in ((), (5, "SELECT 1"), (object(), "SELECT 1")):
            with pytest.raises(TypeError):
                csqlite.Connection.execute(*wrong)


async def test_a_subclass_calls_what_it_overrides():
    class Own(csqlite.Connection):
        async def commit(self, **options):
            await super().commit(**options)
            await csqlite.Connection.commit(self)

    connector = csqlite.connect(":memory:")._connector
    async with Own(connector, 64) as db:
        await db.commit(deadline=5)
        await db.execute("SELECT 1")
