"""create_window_function(): as in sqlite3, which has it since Python 3.11, and where that crashes."""

import sqlite3
import sys

import pytest
from parity.outcomes import fetchall, outcome, stdlib_outcome

import csqlite

oracle = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="sqlite3 has window functions since Python 3.11"
)

SLIDING = "select w(a) over (order by a rows between 1 preceding and 1 following) from t"
FRAMES = [
    "rows between unbounded preceding and current row",
    "rows between unbounded preceding and unbounded following",
    "rows between current row and unbounded following",
    "rows between 1 preceding and 1 following",
    "rows between 1 preceding and 1 following exclude current row",
    "rows between current row and current row exclude current row",
    "rows between current row and 2 following exclude group",
    "groups between 1 preceding and 1 following exclude ties",
    "range between unbounded preceding and current row exclude no others",
    "range between 1 preceding and current row",
    "groups between 1 preceding and 1 following",
]


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


class Total:
    def __init__(self):
        self.total = 0

    def step(self, number):
        self.total += number

    def inverse(self, number):
        self.total -= number

    def value(self):
        return self.total

    def finalize(self):
        return self.total


def fill(connection):
    connection.execute("create table t (a, b)")
    connection.executemany("insert into t values (?, ?)", [(n, n % 2) for n in range(1, 7)])
    connection.commit()


async def both(db, program):
    """Run `program(connection)` with sqlite3 and on the worker; the outcomes must be the same."""

    def filled(connection):
        fill(connection)
        return program(connection)

    expected = stdlib_outcome(filled)
    assert await outcome(db._execute(filled, db._conn)) == expected
    return expected


@oracle
@pytest.mark.parametrize("frame", FRAMES)
async def test_frames(db, frame):
    calls = []

    class Noting(Total):
        def __init__(self):
            calls.append("init")
            super().__init__()

        def step(self, number):
            calls.append(("step", number))
            super().step(number)

        def inverse(self, number):
            calls.append(("inverse", number))
            super().inverse(number)

    def program(connection):
        del calls[:]
        connection.create_window_function("w", 1, Noting)
        sql = f"select a, w(a) over (partition by b order by a {frame}) from t"
        try:
            return connection.execute(sql).fetchall(), calls[:]
        except sqlite3.OperationalError as error:
            return str(error)

    rows, seen = await both(db, program)
    assert len(rows) == 6 and ("init" in seen) == (rows[0][1] is not None)


async def test_frame_with_exclude_and_without_rows_is_null(db):
    """No instance is made for it, and neither inverse() nor value() of any is called."""

    class Plain:
        step, finalize = Total.step, Total.finalize

        def __init__(self):
            self.total = 0

        def inverse(self, number):
            raise AssertionError("inverse() was called")

        value = None

    await db._execute(fill, db._conn)
    await db.create_window_function("w", 1, Plain)
    sql = "select w(a) over (order by a rows between 1 following and 1 following exclude {}) from t"
    for excluded in ("current row", "group", "ties"):
        rows = await fetchall(db, sql.format(excluded))
        assert rows == [(2,), (3,), (4,), (5,), (6,), (None,)]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("rows between 3 preceding and 2 preceding", [0, 0, 1, 3, 5, 7]),
        ("rows between 2 following and 3 following", [7, 9, 11, 6, 0, 0]),
    ],
)
async def test_window_without_rows_has_the_value_of_a_new_instance(db, frame, expected):
    # Asked for the value of an instance that there is not, sqlite3 crashes.
    await db._execute(fill, db._conn)
    await db.create_window_function("w", 1, Total)
    rows = await fetchall(db, f"select w(a) over (order by a {frame}) from t")
    assert [row[0] for row in rows] == expected


@oracle
async def test_as_a_plain_aggregate(db):
    def program(connection):
        connection.create_window_function("w", 1, Total)
        return (
            connection.execute("select w(a) from t").fetchall(),
            connection.execute("select b, w(a) from t group by b").fetchall(),
            connection.execute("select w(a) from t where 0").fetchall(),
        )

    assert (await both(db, program))[0] == [(21,)]


def misbehaving(method, how):
    """Make a class one of whose methods does not do what it should."""

    def bad(self, *arguments):
        if how == "raises":
            raise LookupError("inside")
        if how == "raises AttributeError":
            raise AttributeError("inside")
        if how == "has no memory":
            raise MemoryError
        return {"gives an object": object(), "gives too large a number": 2**70}[how]

    members = {name: value for name, value in vars(Total).items() if callable(value)}
    if how == "is missing":
        del members[method]
    else:
        members[method] = bad
    return type("Misbehaving", (), members)


@oracle
@pytest.mark.parametrize(
    "how",
    [
        "raises",
        "raises AttributeError",
        "has no memory",
        "gives an object",
        "gives too large a number",
        "is missing",
    ],
)
@pytest.mark.parametrize("method", ["__init__", "step", "inverse", "value", "finalize"])
@pytest.mark.parametrize("sql", [SLIDING, "select w(a) from t"], ids=["window", "aggregate"])
async def test_method_that_misbehaves(db, sql, method, how):
    if (method, how) == ("__init__", "is missing"):
        pytest.skip("every class has one")

    def program(connection):
        connection.create_window_function("w", 1, misbehaving(method, how))
        return connection.execute(sql).fetchall()

    expected = await both(db, program)
    assert isinstance(expected, list) or expected[0] in (
        sqlite3.OperationalError,
        sqlite3.DataError,
        MemoryError,
    )


@pytest.mark.parametrize("method", ["__init__", "step", "inverse", "value"])
async def test_exception_is_the_cause(db, method):
    await db._execute(fill, db._conn)
    await db.create_window_function("w", 1, misbehaving(method, "raises"))
    with pytest.raises(sqlite3.OperationalError) as caught:
        await db.execute_fetchall(SLIDING)
    assert str(caught.value) == f"user-defined aggregate's '{method}' method raised error"
    assert repr(caught.value.__cause__) == "LookupError('inside')"


@oracle
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("w", 1),
        ("w", 1, Total, 1),
        (1, 1, Total),
        (b"w", 1, Total),
        ("w", "1", Total),
        ("w", 1.5, Total),
        ("w\0", 1, Total),
    ],
    ids=ascii,
)
async def test_wrong_arguments(db, arguments):
    expected = stdlib_outcome(lambda connection: connection.create_window_function(*arguments))
    assert issubclass(expected[0], Exception)
    with pytest.raises(expected[0]) as caught:
        db.create_window_function(*arguments)
    assert str(caught.value) == expected[1]


async def test_arguments_have_no_names(db):
    with pytest.raises(TypeError, match=r"takes exactly 3 positional arguments \(0 given\)"):
        db.create_window_function(name="w", num_params=1, aggregate_class=Total)


@oracle
@pytest.mark.parametrize("count", [-100, -2, 5000])
async def test_number_of_arguments_that_cannot_be(db, count):
    def program(connection):
        connection.create_window_function("w", count, Total)

    assert await both(db, program) == (
        sqlite3.ProgrammingError,
        "bad parameter or other API misuse",
    )


@oracle
async def test_number_of_arguments(db):
    class Count:
        def __init__(self):
            self.count = 0

        def step(self, *arguments):
            self.count += len(arguments)

        def inverse(self, *arguments):
            self.count -= len(arguments)

        def value(self):
            return self.count

        finalize = value

    def program(connection):
        connection.create_window_function("w", -1, Count)
        connection.create_window_function("two", 2, Count)
        over = "over (order by a rows 1 preceding)"
        rows = connection.execute(
            f"select w() {over}, w(1) {over}, w(1, 2, 3) {over}, two(1, 2) {over} from t"
        ).fetchall()
        try:
            connection.execute(f"select two(1) {over} from t")
        except sqlite3.OperationalError as error:
            return rows, str(error)

    assert (await both(db, program))[1] == "wrong number of arguments to function two()"


@oracle
async def test_none_removes_it(db):
    def program(connection):
        connection.create_window_function("w", 1, Total)
        connection.create_window_function("w", 1, None)
        connection.create_window_function("never", 1, None)
        return connection.execute(SLIDING).fetchall()

    assert await both(db, program) == (sqlite3.OperationalError, "no such function: w")


@oracle
async def test_what_is_not_callable_fails_when_it_is_used(db):
    def program(connection):
        connection.create_window_function("w", 1, 5)
        return connection.execute(SLIDING).fetchall()

    assert await both(db, program) == (
        sqlite3.OperationalError,
        "user-defined aggregate's '__init__' method raised error",
    )


async def test_an_aggregate_replaces_it_and_is_replaced(db):
    await db._execute(fill, db._conn)
    await db.create_window_function("w", 1, Total)
    await db.create_aggregate("w", 1, Total)
    assert await outcome(fetchall(db, SLIDING)) == (
        sqlite3.OperationalError,
        "w() may not be used as a window function",
    )
    await db.create_window_function("w", 1, Total)
    assert len(await fetchall(db, SLIDING)) == 6


async def test_replaced_and_removed_while_a_statement_uses_it(db):
    class Negative(Total):
        def value(self):
            return -self.total

    await db._execute(fill, db._conn)
    await db.create_window_function("w", 1, Total)
    async with db.execute("select w(a) over (partition by a) from t") as cursor:
        cursor.iter_chunk_size = 1
        await db.create_window_function("w", 1, Negative)
        await db.create_window_function("w", 1, None)
        await cursor.fetchall()
    assert await outcome(fetchall(db, SLIDING)) == (
        sqlite3.OperationalError,
        "no such function: w",
    )


async def test_closed_connection(path):
    async with csqlite.connect(path) as db:
        pass
    with pytest.raises(ValueError, match="no active connection"):
        await db.create_window_function("w", 1, Total)


async def test_foreign_connection(path):
    if sys.version_info < (3, 11):
        pytest.skip("sqlite3 has window functions since Python 3.11")
    async with csqlite.connect(path, factory=type("Own", (sqlite3.Connection,), {})) as db:
        await db._execute(fill, db._conn)
        await db.create_window_function("w", 1, Total)
        assert len(await fetchall(db, SLIDING)) == 6
