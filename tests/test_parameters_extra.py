"""Parameters that sqlite3 refuses and csqlite takes: a mapping of any kind, wherever a dict is taken."""

import collections
import collections.abc
import os
import sqlite3
import sys
import types

import pytest
from parity.outcomes import fetchall, outcome

import csqlite


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


class Mapping(collections.abc.Mapping):
    """A mapping by its abstract base class, which notes what it is asked for."""

    def __init__(self, **values):
        self.values_ = values
        self.asked = []

    def __getitem__(self, key):
        self.asked.append(key)
        return self.values_[key]

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


class Least:
    """The least that passes for a mapping: __getitem__ and keys()."""

    def __init__(self, **values):
        self._values = values

    def __getitem__(self, key):
        return self._values[key]

    def keys(self):
        return self._values.keys()


class Missing(collections.UserDict):
    def __missing__(self, key):
        return "missing " + key


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a = a
        self.b = b

    def keys(self):
        return self.__slots__

    def __getitem__(self, key):
        return getattr(self, key)


MAPPINGS = {
    "dict": lambda: {"a": 1, "b": "two"},
    "MappingProxyType": lambda: types.MappingProxyType({"a": 1, "b": "two"}),
    "UserDict": lambda: collections.UserDict(a=1, b="two"),
    "ChainMap": lambda: collections.ChainMap({"a": 1}, {"a": 0, "b": "two"}),
    "OrderedDict": lambda: collections.OrderedDict(a=1, b="two"),
    "Counter": lambda: collections.Counter(a=1, b=2),
    "abc.Mapping": lambda: Mapping(a=1, b="two"),
    "keys and __getitem__": lambda: Least(a=1, b="two"),
    "slots": lambda: Slots(1, "two"),
}


def wanted(name):
    return [(1, 2 if name == "Counter" else "two")]


def row(**values):
    """Return a sqlite3.Row with these columns."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    columns = ", ".join(f'? as "{name}"' for name in values)
    found = connection.execute(f"select {columns}", list(values.values())).fetchone()
    connection.close()
    return found


@pytest.mark.parametrize("name", sorted(MAPPINGS))
async def test_mapping_of_any_kind(db, name):
    assert await fetchall(db, "select :a, :b", MAPPINGS[name]()) == wanted(name)
    assert await db.execute_fetchall("select @a, $b", MAPPINGS[name]()) == wanted(name)
    cursor = await db.cursor()
    await cursor.execute("select :a, :b, :a", MAPPINGS[name]())
    assert await cursor.fetchall() == [(*wanted(name)[0], 1)]


@pytest.mark.parametrize("name", sorted(MAPPINGS))
async def test_mapping_of_any_kind_in_executemany_and_execute_insert(db, name):
    await db.execute("create table t (a, b)")
    await db.executemany("insert into t values (:a, :b)", [MAPPINGS[name](), MAPPINGS[name]()])
    assert await db.execute_insert("insert into t values (:a, :b)", MAPPINGS[name]()) == (3,)
    assert await fetchall(db, "select a, b from t") == wanted(name) * 3


@pytest.mark.parametrize("name", sorted(MAPPINGS))
async def test_name_that_a_mapping_lacks(db, name):
    if name == "Counter":
        assert await fetchall(db, "select :a, :c", MAPPINGS[name]()) == [(1, 0)]
        return
    found = await outcome(db.execute("select :a, :c", MAPPINGS[name]()))
    if name == "slots":
        assert found == (AttributeError, "'Slots' object has no attribute 'c'")
    else:
        assert found[0] is sqlite3.ProgrammingError
        assert "c" in found[1]
    assert await fetchall(db, "select 1") == [(1,)]


@pytest.mark.parametrize("name", sorted(MAPPINGS))
async def test_mapping_with_more_than_is_asked_for(db, name):
    assert await fetchall(db, "select :a", MAPPINGS[name]()) == [(1,)]
    assert await fetchall(db, "select 5", MAPPINGS[name]()) == [(5,)]


async def test_environment_as_parameters(db, monkeypatch):
    monkeypatch.setenv("CSQLITE_TEST", "from the environment")
    assert await fetchall(db, "select :CSQLITE_TEST", os.environ) == [("from the environment",)]


async def test_missing_is_asked(db):
    assert await fetchall(db, "select :a, :b", Missing(a=1)) == [(1, "missing b")]
    default = collections.defaultdict(lambda: "default", a=1)
    assert await fetchall(db, "select :a, :b", default) == [(1, "default")]
    assert dict(default) == {"a": 1, "b": "default"}


async def test_mapping_is_asked_once_for_each_name(db):
    mapping = Mapping(a=1, b=2)
    assert await fetchall(db, "select :b, :a, :b, @a, ':c'", mapping) == [(2, 1, 2, 1, ":c")]
    assert mapping.asked == ["b", "a"]


@pytest.mark.parametrize("error", [ZeroDivisionError, OSError, RecursionError])
async def test_error_of_a_mapping_passes_through(db, error):
    class Broken(Least):
        def __getitem__(self, key):
            raise error("broken " + key)

    assert await outcome(db.execute("select :a", Broken())) == (error, "broken a")
    assert await fetchall(db, "select 1") == [(1,)]


async def test_lookup_error_of_a_mapping_is_a_missing_name(db):
    class Broken(Least):
        def __getitem__(self, key):
            raise LookupError("broken " + key)

    assert (await outcome(db.execute("select :a", Broken())))[0] is sqlite3.ProgrammingError


async def test_row_is_a_sequence_for_question_marks(db):
    assert await fetchall(db, "select ?, ?", tuple(row(a=1, b="two"))) == [(1, "two")]


async def test_row_of_one_query_is_the_mapping_of_the_next(db):
    found = await outcome(fetchall(db, "select :b, :a", row(a=1, b="two")))
    assert found == [("two", 1)]


async def test_list_or_tuple_with_keys_stays_a_sequence(db):
    class Keyed(list):
        def keys(self):
            raise AssertionError("a list was asked for keys")

    pair = collections.namedtuple("Pair", "keys values")
    assert await fetchall(db, "select ?, ?", Keyed([1, 2])) == [(1, 2)]
    assert await fetchall(db, "select ?, ?", pair(1, 2)) == [(1, 2)]


async def test_values_of_a_mapping_are_adapted(db):
    class Point:
        def __conform__(self, protocol):
            return "4;2"

    mapping = types.MappingProxyType({"a": Point(), "b": bytearray(b"x"), "c": True})
    assert await fetchall(db, "select :a, :b, :c", mapping) == [("4;2", b"x", 1)]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="csqlite does as Python 3.11's sqlite3")
async def test_value_that_is_not_supported_is_named(db):
    found = await outcome(db.execute("select :a, :b", types.MappingProxyType({"a": 1, "b": {}})))
    stdlib = sqlite3.connect(":memory:")
    try:
        stdlib.execute("select :a, :b", {"a": 1, "b": {}})
    except sqlite3.Error as error:
        assert found == (type(error), str(error))
    finally:
        stdlib.close()
    assert issubclass(found[0], sqlite3.Error)


async def test_mapping_that_is_changed_after_the_await_changes_nothing(db):
    mapping = collections.UserDict(a=1)
    cursor = await db.execute("select :a", mapping)
    mapping["a"] = 2
    assert await cursor.fetchall() == [(1,)]


async def test_mapping_that_uses_the_connection(db):
    class Curious(Least):
        def __getitem__(self, key):
            db.execute("select 1").close()
            return super().__getitem__(key)

    assert await fetchall(db, "select :a", Curious(a=7)) == [(7,)]


async def test_many_names(db):
    names = [f"name_{number}" for number in range(500)]
    mapping = types.MappingProxyType({name: number for number, name in enumerate(names)})
    sql = "select " + ", ".join(":" + name for name in names + names)
    assert await fetchall(db, sql, mapping) == [tuple(range(500)) * 2]


async def test_mappings_and_sequences_take_turns_in_executemany(db):
    await db.execute("create table t (a, b)")
    rows = [{"a": 1, "b": 2}, Least(a=3, b=4), types.MappingProxyType({"a": 5, "b": 6})]
    await db.executemany("insert into t values (:a, :b)", iter(rows))
    assert await fetchall(db, "select a, b from t") == [(1, 2), (3, 4), (5, 6)]
