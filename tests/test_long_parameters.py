"""Sequences with more values than the statement takes: refused without their values being asked for."""

import sqlite3
import sys

import pytest
from parity.outcomes import outcome, stdlib_outcome

import csqlite

LENGTHS = [2_000, 300_000, 2**31 - 1, 2**31, 2**33, 2**63 - 1]


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


class Long:
    """A sequence that says how long it is, and counts what is asked for."""

    def __init__(self, length):
        self.length = length
        self.asked = 0

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.asked += 1
        return index


def wrong_number(needed, given):
    return (
        sqlite3.ProgrammingError,
        f"Incorrect number of bindings supplied. The current statement uses {needed}, and there are {given} supplied.",
    )


async def refusal(awaitable):
    with pytest.raises(sqlite3.Error) as caught:
        await awaitable
    return type(caught.value), str(caught.value)


STATEMENTS = [
    ("select 1", 0),
    ("select ?", 1),
    ("select ?1, ?1", 1),
    ("select :a, :a", 1),
    ("select '??', ? -- ?", 1),
    ("select ?7", 7),
    ("select ?1500", 1500),
    ("insert into t values (?)", 1),
]

METHODS = {
    "execute": lambda db, sql, row: db.execute(sql, row),
    "execute_fetchall": lambda db, sql, row: db.execute_fetchall(sql, row),
    "execute_insert": lambda db, sql, row: db.execute_insert(sql, row),
    "executemany": lambda db, sql, row: db.executemany(sql, [row]),
    "_conn": lambda db, sql, row: db._execute(lambda: db._conn.execute(sql, row)),
    "_conn.executemany": lambda db, sql, row: db._execute(lambda: db._conn.executemany(sql, [row])),
}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("method", METHODS)
async def test_values_of_what_is_too_long_are_not_asked_for(db, method, length):
    await db.execute("create table t (a)")
    for sql, needed in STATEMENTS:
        if "executemany" in method and not sql.startswith("insert"):
            continue
        row = Long(length)
        assert await refusal(METHODS[method](db, sql, row)) == wrong_number(needed, length)
        assert row.asked == 0, sql


@pytest.mark.parametrize("sql", ["select", "select x from nowhere", "select ? from t where"])
async def test_what_is_wrong_with_the_statement_comes_first(db, sql):
    row = Long(2_000_000_000)
    assert await outcome(db.execute(sql, row)) == stdlib_outcome(
        lambda connection: connection.execute(sql, Long(5_000))
    )
    assert row.asked == 0


async def test_number_that_no_statement_can_have(db):
    row = Long(2_000_000_000)
    _, text = await refusal(db.execute("select ?2000000000", row))
    assert text.startswith("variable number must be between ?1 and ?")
    assert row.asked == 0


async def test_rows_before_it_are_executed(db):
    await db.execute("create table t (a)")
    rows = [(1,), (2,), Long(10**9), (4,)]
    assert await refusal(db.executemany("insert into t values (?)", rows)) == wrong_number(1, 10**9)
    assert await db.execute_fetchall("select a from t") == [(1,), (2,)]
    assert rows[2].asked == 0


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="names need a mapping")
@pytest.mark.filterwarnings("ignore:Binding:DeprecationWarning")
@pytest.mark.parametrize("count", [1023, 1024, 1025, 3_000])
@pytest.mark.parametrize("form", ["?", ":a{}", "?{}", "@b{}", "$c::{}(x)"])
async def test_as_many_as_the_statement_takes_are_bound(db, form, count):
    names = "), (".join(form.format(number) for number in range(1, count + 1))
    sql = f"select count(*), sum(column1) from (values ({names}))"
    assert await db.execute_fetchall(sql, range(count)) == [(count, count * (count - 1) // 2)]
    for wrong in (count - 1, count + 1):
        assert await refusal(db.execute(sql, range(wrong))) == wrong_number(count, wrong)


async def test_one_number_makes_all_below_it_parameters(db):
    assert await db.execute_fetchall("select ?3000", range(3000)) == [(2999,)]


@pytest.mark.parametrize("length", [-1, "x", 2**64])
async def test_length_that_is_none(db, length):
    assert await outcome(db.execute("select ?", Long(length))) == stdlib_outcome(
        lambda connection: connection.execute("select ?", Long(length))
    )
