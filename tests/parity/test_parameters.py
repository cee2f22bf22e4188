"""Parameters: which collections are accepted, and what counts as a placeholder."""

import collections
import sqlite3
import warnings

import pytest
from parity.outcomes import fetchall, outcome, stdlib_outcome


class Sequence:
    """The least that is a sequence."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Raising(Sequence):
    def __getitem__(self, index):
        raise LookupError(f"no item {index}")


class Default(dict):
    def __missing__(self, key):
        return "missing " + key


class Row(tuple):
    pass


def stdlib_rows(sql, parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return stdlib_outcome(lambda connection: connection.execute(sql, parameters).fetchall())


async def rows(db, sql, parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return await outcome(fetchall(db, sql, parameters))


@pytest.mark.parametrize(
    "parameters",
    [
        (1, 2),
        [1, 2],
        range(1, 3),
        Row((1, 2)),
        Sequence(1, 2),
        collections.deque([1, 2]),
        collections.namedtuple("Pair", "a b")(1, 2),
        collections.UserList([1, 2]),
    ],
    ids=lambda parameters: type(parameters).__name__,
)
async def test_positional_parameters_from_any_sequence(db, parameters):
    assert await fetchall(db, "select ?, ?", parameters) == [(1, 2)]


@pytest.mark.parametrize(
    "parameters", ["ab", b"ab", bytearray(b"ab")], ids=lambda value: type(value).__name__
)
async def test_string_is_a_sequence_of_its_items(db, parameters):
    assert await fetchall(db, "select ?, ?", parameters) == [tuple(parameters)]


@pytest.mark.parametrize(
    "parameters",
    [
        {1, 2},
        iter([1, 2]),
        (n for n in (1, 2)),
        {1: 1, 2: 2}.values(),
        5,
        object(),
        map(int, "12"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_collection_that_is_neither_sequence_nor_mapping(db, parameters):
    expected = stdlib_rows("select ?, ?", parameters)
    assert issubclass(expected[0], Exception)
    assert await rows(db, "select ?, ?", parameters) == expected


@pytest.mark.parametrize("parameters", [(), (1,), (1, 2, 3)], ids=len)
async def test_wrong_number_of_parameters(db, parameters):
    expected = stdlib_rows("select ?, ?", parameters)
    assert expected[0] is sqlite3.ProgrammingError
    assert str(len(parameters)) in expected[1]
    assert await rows(db, "select ?, ?", parameters) == expected


async def test_parameters_for_a_statement_that_takes_none(db):
    with pytest.raises(sqlite3.ProgrammingError, match=r"uses 0, and there are 1 supplied"):
        await db.execute("select 1", (1,))


async def test_missing_parameters(db):
    with pytest.raises(sqlite3.ProgrammingError, match=r"uses 1, and there are 0 supplied"):
        await db.execute("select ?")


async def test_item_that_cannot_be_read_raises_its_own_error(db):
    expected = stdlib_rows("select ?", Raising(1))
    assert await rows(db, "select ?", Raising(1)) == expected


@pytest.mark.parametrize(
    "parameters",
    [
        {"a": 1, "b": 2},
        {"a": 1, "b": 2, "unused": 3},
        collections.OrderedDict(a=1, b=2),
        collections.defaultdict(int, a=1, b=2),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_named_parameters_from_a_dict_or_its_subclass(db, parameters):
    assert await fetchall(db, "select :a, :b", parameters) == [(1, 2)]


async def test_dict_subclass_is_asked_for_what_it_lacks(db):
    assert await fetchall(db, "select :a, :b", Default(a=1)) == [(1, "missing b")]


async def test_missing_name(db):
    expected = stdlib_rows("select :a, :b", {"a": 1})
    assert expected[0] is sqlite3.ProgrammingError
    assert await rows(db, "select :a, :b", {"a": 1}) == expected


async def test_error_of_missing_passes_through(db):
    class Broken(dict):
        def __missing__(self, key):
            raise ZeroDivisionError("broken " + key)

    assert await rows(db, "select :a", Broken()) == stdlib_rows("select :a", Broken())


async def test_dict_for_a_question_mark(db):
    expected = stdlib_rows("select ?", {"a": 1})
    assert expected[0] is sqlite3.ProgrammingError
    assert await rows(db, "select ?", {"a": 1}) == expected


async def test_dict_for_a_statement_that_takes_none(db):
    assert await fetchall(db, "select 1", {"a": 1}) == [(1,)]


async def test_sequence_for_named_parameters(db):
    assert await rows(db, "select :a, :b", (1, 2)) == stdlib_rows("select :a, :b", (1, 2))


@pytest.mark.parametrize(
    "sql", ["select :a, :a", "select @a, @a", "select $a, $a", "select :a, @a", "select $a, :a"]
)
async def test_prefixes_and_repeated_names(db, sql):
    assert await fetchall(db, sql, {"a": 1}) == [(1, 1)]


@pytest.mark.parametrize("name", ["a", "A", "a1", "_a", "é", "a_b", "select", "a" * 200])
async def test_name_of_a_parameter(db, name):
    assert await fetchall(db, "select :" + name, {name: 5}) == [(5,)]


async def test_names_are_case_sensitive(db):
    assert await fetchall(db, "select :a, :A", {"a": 1, "A": 2}) == [(1, 2)]


@pytest.mark.parametrize(
    "sql, parameters, row",
    [
        ("select ?1", (5,), (5,)),
        ("select ?1, ?1", (5,), (5, 5)),
        ("select ?2, ?1", (1, 2), (2, 1)),
        ("select ?3", (1, 2, 3), (3,)),
        ("select ?1, ?", (1, 2), (1, 2)),
        ("select ?1, ?2", {"1": "x", "2": "y"}, ("x", "y")),
    ],
)
async def test_numbered_parameters(db, sql, parameters, row):
    assert await rows(db, sql, parameters) == [row]


async def test_numbered_parameters_need_every_number_below(db):
    with pytest.raises(sqlite3.ProgrammingError, match=r"uses 3, and there are 1 supplied"):
        await fetchall(db, "select ?3", (1,))


@pytest.mark.parametrize(
    "sql, row",
    [
        ("select ':b', ?", (":b", 1)),
        ("select '?', ?", ("?", 1)),
        ("select 'it''s ?', ?", ("it's ?", 1)),
        ("select ? -- ? :b", (1,)),
        ("select /* ? :b @c $d */ ?", (1,)),
        ('select ? as ":b"', (1,)),
        ("select ? as [?]", (1,)),
        ("select ? as `:b`", (1,)),
        ('select ? as "a ? \' b"', (1,)),
        ("select '-- ' || ?", ("-- 1",)),
        ("select '/*' || ? || '*/'", ("/*1*/",)),
    ],
)
async def test_what_looks_like_a_parameter_within_text_comment_or_name(db, sql, row):
    assert await fetchall(db, sql, (1,)) == [row]


async def test_names_that_are_only_text_need_no_value(db):
    assert await fetchall(db, "select ':b', :a /* :c */", {"a": 1}) == [(":b", 1)]


async def test_parameter_cannot_be_a_table(db):
    with pytest.raises(sqlite3.OperationalError, match=r'(?m)^near "\?": syntax error$'):
        await db.execute("select * from ?", ("t",))


async def test_many_parameters(db):
    sql = "select " + " + ".join("?" * 900)
    assert await fetchall(db, sql, [1] * 900) == [(900,)]


async def test_parameters_keep_no_value_from_the_last_run(db):
    assert await fetchall(db, "select :a, :b", {"a": "long" * 100, "b": 2}) == [("long" * 100, 2)]
    assert await fetchall(db, "select :a, :b", {"a": None, "b": None}) == [(None, None)]


async def test_changed_list_after_the_await_changes_nothing(db):
    parameters = [1, 2]
    cursor = await db.execute("select ?, ? union all select 3, 4", parameters)
    parameters[:] = [8, 9]
    assert await cursor.fetchall() == [(1, 2), (3, 4)]


async def test_parameters_of_a_statement_that_fails_can_be_used_again(db):
    parameters = {"a": 1}
    with pytest.raises(sqlite3.OperationalError):
        await db.execute("select :a from nowhere", parameters)
    assert await fetchall(db, "select :a", parameters) == [(1,)]


async def test_python_values_are_not_interpolated(db):
    hostile = "'); drop table t; --"
    await db.execute("create table t (a)")
    await db.execute("insert into t values (?)", (hostile,))
    assert await fetchall(db, "select a from t") == [(hostile,)]
