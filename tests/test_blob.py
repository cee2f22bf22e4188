"""blobopen() and Blob: what sqlite3's blobs do, awaited, and what they do beyond that."""

import array
import asyncio
import gc
import os
import sqlite3
import sys
import threading
import warnings
import weakref

import pytest
from parity.outcomes import fetchall, outcome, scalar
from processes import run_program

import csqlite
from csqlite.raw import RawBlob

ORACLE_NEEDS = ["blobopen"]

DIGITS = b"0123456789"
ABORTED = (sqlite3.OperationalError, "query aborted")
CLOSED_BLOB = (sqlite3.ProgrammingError, "Cannot operate on a closed blob.")
CLOSED_DATABASE = (sqlite3.ProgrammingError, "Cannot operate on a closed database.")


async def fill(db):
    """Make tables t (1: ten digits, 2: a text, 3: a number, 4: NULL, 5: empty) and others."""
    await db.executescript(
        """
        create table t (id integer primary key, b);
        insert into t values (1, x'30313233343536373839'), (2, 'text'), (3, 5), (4, null), (5, x'');
        create table w (a primary key, b) without rowid; insert into w values (1, x'00');
        create view v as select * from t;
        create table i (b unique); insert into i values (x'00');
        create table g (a, b as (a)); insert into g (a) values (x'00');
        """
    )


@pytest.fixture
def opened(twin):
    """Return a function that gives a filled database of the twin."""

    class Filled:
        def __init__(self, *args):
            self.db = twin(*args)

        async def __aenter__(self):
            db = await self.db.__aenter__()
            await fill(db)
            return db

        async def __aexit__(self, *exc_info):
            await self.db.__aexit__(*exc_info)

    return lambda path=":memory:": Filled(path)


async def all_of(db, rowid=1):
    return await db.execute_fetchall("select b from t where id = ?", (rowid,))


# -- as sqlite3 does it


async def test_read_moves_the_position(opened):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        assert len(blob) == 10
        assert await blob.tell() == 0
        assert await blob.read(3) == b"012"
        assert await blob.tell() == 3
        assert await blob.read(0) == b""
        assert await blob.read() == b"3456789"
        assert await blob.read(5) == b""
        assert await blob.tell() == 10


async def test_read_ends_at_the_end(opened):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        assert await blob.read(100) == DIGITS
        await blob.seek(0)
        assert await blob.read(-5) == DIGITS


async def test_text_is_read_as_its_bytes(opened):
    async with opened() as db, db.blobopen("t", "b", 2) as blob:
        assert await blob.read() == b"text"
        await blob.seek(0)
        await blob.write(b"n")
    async with opened() as db:
        assert await all_of(db, 2) == [("text",)]


async def test_empty_blob(opened):
    async with opened() as db, db.blobopen("t", "b", 5) as blob:
        assert len(blob) == 0
        assert not blob
        assert await blob.read() == b""
        assert await blob[:] == b""
        await blob.write(b"")
        assert await outcome(blob.write(b"x")) == (ValueError, "data longer than blob length")
        assert await outcome(blob[0]) == (IndexError, "Blob index out of range")


@pytest.mark.parametrize(
    "data",
    [b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4], array.array("B", b"abc")],
    ids=lambda data: type(data).__name__,
)
async def test_write_of_anything_that_holds_bytes(opened, data):
    async with opened() as db:
        async with db.blobopen("t", "b", 1) as blob:
            await blob.seek(2)
            assert await blob.write(data) is None
            assert await blob.tell() == 5
        assert await all_of(db) == [(b"01abc56789",)]


async def test_write_to_the_end_and_not_further(opened):
    async with opened() as db:
        async with db.blobopen("t", "b", 1) as blob:
            await blob.seek(7)
            refused = (ValueError, "data longer than blob length")
            assert await outcome(blob.write(b"abcd")) == refused
            assert await blob.tell() == 7
            await blob.write(b"abc")
            assert await blob.tell() == 10
            assert await outcome(blob.write(b"x")) == refused
            await blob.write(b"")
        assert await all_of(db) == [(b"0123456abc",)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("text", (TypeError, "a bytes-like object is required, not 'str'")),
        (5, (TypeError, "a bytes-like object is required, not 'int'")),
        (None, (TypeError, "a bytes-like object is required, not 'NoneType'")),
        (
            memoryview(b"abcdef")[::2],
            (BufferError, "memoryview: underlying buffer is not C-contiguous"),
        ),
    ],
)
async def test_what_cannot_be_written(opened, data, expected):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:

        async def write():
            await blob.write(data)

        assert await outcome(write()) == expected
        assert await blob.tell() == 0


@pytest.mark.parametrize(
    ("arguments", "position"),
    [
        ((0,), 0),
        ((10,), 10),
        ((4, os.SEEK_SET), 4),
        ((2, os.SEEK_CUR), 5),
        ((-3, os.SEEK_CUR), 0),
        ((0, os.SEEK_END), 10),
        ((-10, os.SEEK_END), 0),
    ],
)
async def test_seek(opened, arguments, position):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        await blob.seek(3)
        assert await blob.seek(*arguments) is None
        assert await blob.tell() == position


OUTSIDE = (ValueError, "offset out of blob range")
OVERFLOW = (OverflowError, "seek offset results in overflow")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((-1,), OUTSIDE),
        ((11,), OUTSIDE),
        ((8, os.SEEK_CUR), OUTSIDE),
        ((-4, os.SEEK_CUR), OUTSIDE),
        ((1, os.SEEK_END), OUTSIDE),
        ((-11, os.SEEK_END), OUTSIDE),
        ((2**31 - 1, os.SEEK_CUR), OVERFLOW),
        ((2**31 - 1, os.SEEK_END), OVERFLOW),
        ((2**31,), (OverflowError, "Python int too large to convert to C int")),
        (
            (0, 7),
            (ValueError, "'origin' should be os.SEEK_SET, os.SEEK_CUR, or os.SEEK_END"),
        ),
        (("1",), (TypeError, "'str' object cannot be interpreted as an integer")),
        ((0, None), (TypeError, "'NoneType' object cannot be interpreted as an integer")),
        ((), (TypeError, "seek expected at least 1 argument, got 0")),
        ((1, 2, 3), (TypeError, "seek expected at most 2 arguments, got 3")),
    ],
)
async def test_seek_that_is_refused(opened, arguments, expected):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        await blob.seek(3)

        async def seek():
            await blob.seek(*arguments)

        assert await outcome(seek()) == expected
        assert await blob.tell() == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("x",), (TypeError, "'str' object cannot be interpreted as an integer")),
        ((1.5,), (TypeError, "'float' object cannot be interpreted as an integer")),
        ((2**40,), (OverflowError, "Python int too large to convert to C int")),
        ((1, 2), (TypeError, "read expected at most 1 argument, got 2")),
    ],
)
async def test_read_that_is_refused(opened, arguments, expected):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:

        async def read():
            await blob.read(*arguments)

        assert await outcome(read()) == expected


KEYS = [0, 9, -1, -10, True]
SLICES = [
    slice(None),
    slice(2, 5),
    slice(5, 2),
    slice(0, 0),
    slice(-3, None),
    slice(-3, 100),
    slice(100, 200),
    slice(0, 10, 3),
    slice(9, None, 3),
    slice(8, None, 5),
    slice(-100, 3),
    slice(1, 9, 100),
]


@pytest.mark.parametrize("key", [*KEYS, *SLICES], ids=str)
async def test_index_and_slice_are_those_of_bytes(opened, key):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        await blob.seek(4)
        assert await blob[key] == DIGITS[key]
        assert await blob.tell() == 4


NO_INDEX = (TypeError, "Blob indices must be integers")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (10, (IndexError, "Blob index out of range")),
        (-11, (IndexError, "Blob index out of range")),
        (2**70, (IndexError, "cannot fit 'int' into an index-sized integer")),
        ("x", NO_INDEX),
        (1.0, NO_INDEX),
        (None, NO_INDEX),
        ((1, 2), NO_INDEX),
        (slice(0, 5, 0), (ValueError, "slice step cannot be zero")),
        (
            slice("a", 2),
            (TypeError, "slice indices must be integers or None or have an __index__ method"),
        ),
    ],
    ids=str,
)
async def test_index_that_is_refused(opened, key, expected):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:

        async def get():
            return await blob[key]

        async def put():
            await blob.set(key, b"" if isinstance(key, slice) else 0)

        assert await outcome(get()) == expected
        assert await outcome(put()) == expected


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        (0, 255, b"\xff123456789"),
        (-1, 65, b"012345678A"),
        (1, True, b"0\x0123456789"),
        (slice(0, 2), b"ab", b"ab23456789"),
        (slice(-2, None), bytearray(b"ab"), b"01234567ab"),
        (slice(0, 10, 3), b"abcd", b"a12b45c78d"),
        (slice(9, None, 3), b"z", b"012345678z"),
        (slice(3, 3), b"", DIGITS),
    ],
    ids=str,
)
async def test_set(opened, key, value, result):
    async with opened() as db:
        async with db.blobopen("t", "b", 1) as blob:
            await blob.seek(4)
            assert await blob.set(key, value) is None
            assert await blob.tell() == 4
        assert await all_of(db) == [(result,)]


RANGE = (ValueError, "byte must be in range(0, 256)")
WRONG_SIZE = (IndexError, "Blob slice assignment is wrong size")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (0, 256, RANGE),
        (0, -1, RANGE),
        (0, 2**70, RANGE),
        (0, b"x", (TypeError, "'bytes' object cannot be interpreted as an integer")),
        (0, 1.0, (TypeError, "'float' object cannot be interpreted as an integer")),
        (99, "x", (TypeError, "'str' object cannot be interpreted as an integer")),
        (slice(0, 2), b"abc", WRONG_SIZE),
        (slice(0, 2), b"a", WRONG_SIZE),
        (slice(0, 10, 3), b"a", WRONG_SIZE),
        (slice(0, 2), "ab", (TypeError, "a bytes-like object is required, not 'str'")),
        (slice(0, 2), 5, (TypeError, "a bytes-like object is required, not 'int'")),
    ],
    ids=str,
)
async def test_set_that_is_refused(opened, key, value, expected):
    async with opened() as db:
        async with db.blobopen("t", "b", 1) as blob:

            async def put():
                await blob.set(key, value)

            assert await outcome(put()) == expected
        assert await all_of(db) == [(DIGITS,)]


@pytest.mark.parametrize(
    ("place", "options", "message"),
    [
        (("x", "b", 1), {}, "no such table: main.x"),
        (("t", "x", 1), {}, 'no such column: "x"'),
        (("t", "b", 99), {}, "no such rowid: 99"),
        (("t", "b", 3), {}, "cannot open value of type integer"),
        (("t", "b", 4), {}, "cannot open value of type null"),
        (("w", "b", 1), {}, "cannot open table without rowid: w"),
        (("v", "b", 1), {}, "cannot open view: v"),
        (("i", "b", 1), {}, "cannot open indexed column for writing"),
        (("t", "b", 1), {"name": "x"}, "no such table: x.t"),
    ],
)
async def test_what_cannot_be_opened(opened, place, options, message):
    async with opened() as db:
        with pytest.raises(sqlite3.OperationalError) as caught:
            await db.blobopen(*place, **options)
        assert str(caught.value) == message
        assert caught.value.sqlite_errorname == "SQLITE_ERROR"


NO_TEXT = "blobopen() argument {} must be str, not {}"


@pytest.mark.parametrize(
    ("arguments", "options", "expected"),
    [
        ((), {}, (TypeError, "blobopen() takes exactly 3 positional arguments (0 given)")),
        (("t", "b"), {}, (TypeError, "blobopen() takes exactly 3 positional arguments (2 given)")),
        (
            ("t", "b", 1, True),
            {},
            (TypeError, "blobopen() takes exactly 3 positional arguments (4 given)"),
        ),
        (("t", "b", "1"), {}, (TypeError, "expected 'int'")),
        (("t", "b", 1.0), {}, (TypeError, "expected 'int'")),
        (("t", "b", None), {}, (TypeError, "expected 'int'")),
        (
            ("t", "b", 2**63),
            {},
            (OverflowError, "Python int too large to convert to SQLite INTEGER"),
        ),
        ((1, "b", 1), {}, (TypeError, NO_TEXT.format(1, "int"))),
        ((None, "b", 1), {}, (TypeError, NO_TEXT.format(1, "None"))),
        (("t", b"b", 1), {}, (TypeError, NO_TEXT.format(2, "bytes"))),
        (("t", "b", 1), {"name": None}, (TypeError, NO_TEXT.format("'name'", "None"))),
        (("t\0", "b", 1), {}, (ValueError, "embedded null character")),
    ],
)
async def test_blobopen_with_wrong_arguments(opened, arguments, options, expected):
    async with opened() as db:

        async def open_blob():
            await db.blobopen(*arguments, **options)

        assert await outcome(open_blob()) == expected


async def test_readonly(opened):
    refused = (sqlite3.OperationalError, "attempt to write a readonly database")
    async with opened() as db:
        async with db.blobopen("t", "b", 1, readonly=True) as blob:
            assert await outcome(blob.write(b"x")) == refused
            assert await outcome(blob.write(b"")) == refused
            assert await outcome(blob.set(0, 1)) == refused
            assert await blob.read(2) == b"01"
        assert await all_of(db) == [(DIGITS,)]


async def test_readonly_blob_of_an_indexed_column(opened):
    async with opened() as db, db.blobopen("i", "b", 1, readonly=True) as blob:
        assert await blob.read() == b"\0"


async def test_name_of_an_attached_database(opened):
    async with opened() as db:
        await db.executescript(
            "attach ':memory:' as other; create table other.t (b); insert into other.t values ('x')"
        )
        async with db.blobopen("t", "b", 1, name="other") as blob:
            assert await blob.read() == b"x"


USES = {
    "read": lambda blob: blob.read(),
    "write": lambda blob: blob.write(b"x"),
    "seek": lambda blob: blob.seek(0),
    "tell": lambda blob: blob.tell(),
    "index": lambda blob: blob[0],
    "slice": lambda blob: blob[0:1],
    "set": lambda blob: blob.set(0, 1),
    "aenter": lambda blob: blob.__aenter__(),
    "aexit": lambda blob: blob.__aexit__(None, None, None),
}


@pytest.mark.parametrize("use", USES)
async def test_closed_blob(opened, use):
    async with opened() as db:
        blob = await db.blobopen("t", "b", 1)
        assert await blob.close() is None
        assert await outcome(USES[use](blob)) == CLOSED_BLOB
        assert await blob.close() is None
        with pytest.raises(sqlite3.ProgrammingError, match=r"closed blob"):
            len(blob)


MISTAKES = {
    "key": lambda blob: blob["x"],
    "bound": lambda blob: blob[1.5:2],
    "large key": lambda blob: blob[2**80],
    "step": lambda blob: blob[0:1:0],
    "set key": lambda blob: blob.set("x", b""),
    "set byte": lambda blob: blob.set(0, 300),
    "set str": lambda blob: blob.set(0, "x"),
    "set slice": lambda blob: blob.set(slice(0, 1), 5),
    "origin": lambda blob: blob.seek(0, 9),
}


WHAT_IS_CLOSED = {"blob": "closed blob", "connection": "closed database"}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("closed", WHAT_IS_CLOSED)
async def test_what_is_closed_is_told_of_before_a_wrong_key_or_value(opened, mistake, closed):
    async with opened() as db:
        blob = await db.blobopen("t", "b", 1)
        with pytest.raises((TypeError, ValueError, IndexError)):
            await MISTAKES[mistake](blob)
        await (blob if closed == "blob" else db).close()
        with pytest.raises(sqlite3.ProgrammingError, match=WHAT_IS_CLOSED[closed]):
            await MISTAKES[mistake](blob)


@pytest.mark.parametrize("use", [*USES, "close"])
async def test_closed_connection(opened, use):
    async with opened() as db:
        blob = await db.blobopen("t", "b", 1)
        await db.close()
        function = USES.get(use, lambda blob: blob.close())
        assert await outcome(function(blob)) == CLOSED_DATABASE
        with pytest.raises(sqlite3.ProgrammingError, match=r"closed database"):
            len(blob)


async def test_closing_the_connection_closes_its_blobs(opened, path):
    async with opened(path) as db:
        await db.commit()
        blob = await db.blobopen("t", "b", 1)
        await blob.write(b"abc")
        await db.close()
    with sqlite3.connect(path) as check:
        assert check.execute("select b from t").fetchone() == (b"abc3456789",)
    check.close()


CHANGES = {
    "changed": "update t set b = 'other' where id = 1",
    "deleted": "delete from t where id = 1",
    "replaced": "insert or replace into t values (1, 'x')",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("use", ["read", "write", "index", "slice", "set"])
async def test_row_that_is_changed_or_gone(opened, change, use):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        await db.execute(CHANGES[change])
        with pytest.raises(sqlite3.OperationalError) as caught:
            await USES[use](blob)
        assert str(caught.value) == "query aborted"
        assert caught.value.sqlite_errorname == "SQLITE_ABORT"
        assert len(blob) == 0


async def test_change_of_another_row_does_no_harm(opened):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        await db.execute("update t set b = 'other' where id = 2")
        assert await blob.read() == DIGITS


async def test_rollback_ends_a_blob(opened):
    async with opened() as db:
        await db.execute("begin")
        async with db.blobopen("t", "b", 1) as blob:
            await blob.write(b"abc")
            await db.rollback()
            for _ in range(2):
                with pytest.raises(sqlite3.OperationalError) as caught:
                    await blob.read()
                assert str(caught.value) == "abort due to ROLLBACK"
                assert caught.value.sqlite_errorname == "SQLITE_ABORT_ROLLBACK"
        assert await all_of(db) == [(DIGITS,)]


async def test_blob_begins_no_transaction_and_closing_commits(opened, path):
    async with opened(path) as db, opened(":memory:"):
        await db.commit()
        blob = await db.blobopen("t", "b", 1)
        await blob.write(b"abc")
        assert not db.in_transaction
        await blob.close()
        assert await all_of(db) == [(b"abc3456789",)]
        await db.rollback()
        assert await all_of(db) == [(b"abc3456789",)]


async def test_open_blob_holds_a_transaction_open(opened):
    async with opened() as db:
        await db.execute("begin")
        blob = await db.blobopen("t", "b", 1)
        await blob.write(b"abc")
        assert await outcome(db.commit()) == (
            sqlite3.OperationalError,
            "cannot commit transaction - SQL statements in progress",
        )
        await blob.close()
        await db.commit()
        assert not db.in_transaction
        assert await all_of(db) == [(b"abc3456789",)]


async def test_item_deletion(opened):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        target = getattr(blob, "_target", blob)
        with pytest.raises(TypeError, match=r"(?m)^Blob doesn't support item deletion$"):
            del target[0]
        with pytest.raises(TypeError, match=r"(?m)^Blob doesn't support slice deletion$"):
            del target[0:1]


async def test_blob_is_no_iterable(opened):
    async with opened() as db, db.blobopen("t", "b", 1) as blob:
        with pytest.raises(TypeError, match=r"is not iterable"):
            iter(getattr(blob, "_target", blob))


# -- beyond sqlite3


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


ALL_SLICES = [
    slice(start, stop, step)
    for start in (None, 0, 3, 9, 10, 12, -1, -4, -11)
    for stop in (None, 0, 3, 9, 10, 12, -1, -4, -11)
    for step in (None, 1, 2, 3, 7, 20, -1, -2, -3, -20, sys.maxsize, -sys.maxsize)
]


async def test_all_slices_are_those_of_bytes(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        for key in ALL_SLICES:
            assert await blob[key] == DIGITS[key], key


async def test_setting_all_slices_is_as_with_a_bytearray(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        for key in ALL_SLICES:
            expected = bytearray(DIGITS)
            value = b"abcdefghij"[: len(expected[key])]
            if len(value) > 0:  # A bytearray would grow.
                expected[key] = value
            await blob.set(slice(None), DIGITS)
            await blob.set(key, value)
            assert await blob[:] == expected, key


async def test_setting_an_empty_slice_to_something_is_refused(db):
    """sqlite3 drops what was given, without a word."""
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        assert await outcome(blob.set(slice(0, 0), b"x")) == WRONG_SIZE


async def test_assignment_says_what_to_do_instead(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        with pytest.raises(TypeError, match=r"use 'await blob\.set\(key, value\)'"):
            blob[0] = 5


async def test_aborted_blob_goes_on_saying_so(db):
    """sqlite3 finds an empty value, and some calls succeed or raise SystemError."""
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        await blob.seek(4)
        await db.execute("delete from t")
        for use in ("read", "write", "index", "slice", "set", "read"):
            assert await outcome(USES[use](blob)) == ABORTED
        assert await outcome(blob.reopen(2)) == ABORTED


async def test_reopen_goes_to_another_row(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        await blob.seek(5)
        assert await blob.reopen(2) is None
        assert (len(blob), await blob.length(), await blob.tell()) == (4, 4, 0)
        assert await blob.read() == b"text"
        await blob.reopen(1)
        await blob.write(b"abc")
    assert await fetchall(db, "select b from t where id < 3") == [(b"abc3456789",), ("text",)]


@pytest.mark.parametrize(
    ("rowid", "message"),
    [(99, "no such rowid: 99"), (3, "cannot open value of type integer")],
)
async def test_reopen_that_fails_leaves_nothing_to_read(db, rowid, message):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        assert await outcome(blob.reopen(rowid)) == (sqlite3.OperationalError, message)
        assert len(blob) == 0
        assert await outcome(blob.read()) == ABORTED
        assert await outcome(blob.reopen(1)) == ABORTED


@pytest.mark.parametrize("rowid", ["1", 1.0, None])
async def test_reopen_with_no_rowid(db, rowid):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        with pytest.raises(TypeError, match=r"(?m)^expected 'int'$"):
            blob.reopen(rowid)


async def test_calls_that_are_queued_together_run_in_their_order(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        answers = await asyncio.gather(
            blob.read(2),
            blob.read(2),
            blob.tell(),
            blob.seek(-1, os.SEEK_END),
            blob.read(),
            blob.seek(0),
            blob.write(b"ab"),
            blob[0:3],
            blob.reopen(2),
            blob.length(),
            blob.read(),
            blob[-1],
            blob[::-1],
            blob.reopen(1),
            blob.read(),
            blob.seek(11),
            blob[10],
            return_exceptions=True,
        )
    assert answers[:-2] == [
        *(b"01", b"23", 4, None, b"9", None, None, b"ab2"),
        *(None, 4, b"text", ord("t"), b"txet", None, b"ab23456789"),
    ]
    assert [(type(error), str(error)) for error in answers[-2:]] == [
        OUTSIDE,
        (IndexError, "Blob index out of range"),
    ]


async def test_reading_from_a_larger_row_that_is_not_reached_yet(db):
    """The bytes that were made for the answer are too few then."""
    await fill(db)
    large = os.urandom(300_000)
    await db.execute("insert into t values (6, ?)", (large,))
    async with db.blobopen("t", "b", 2) as blob:
        _, whole, part = await asyncio.gather(blob.reopen(6), blob.read(), blob[-1:0:-2])
    assert whole == large
    assert part == large[-1:0:-2]


async def test_blob_of_many_pieces(db):
    data = os.urandom(5_000_000)
    await db.execute("create table large (b)")
    await db.execute("insert into large values (zeroblob(?))", (len(data),))
    async with db.blobopen("large", "b", 1) as blob:
        await blob.write(data)
        await blob.seek(0)
        assert await blob.read() == data
        assert await blob[1:-1] == data[1:-1]
    assert await scalar(db, "select b from large") == data


class Held:
    """Keeps the worker of a connection busy while it is entered."""

    def __init__(self, db):
        self.db = db
        self.free = threading.Event()

    async def __aenter__(self):
        begun = threading.Event()

        def wait():
            begun.set()
            self.free.wait()

        self.task = asyncio.ensure_future(self.db._execute(wait))
        while not begun.is_set():
            await asyncio.sleep(0)

    async def __aexit__(self, *exc_info):
        self.free.set()
        await self.task


async def cancel(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_cancelled_calls_that_have_not_begun_do_nothing(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        async with Held(db):
            calls = [blob.read(3), blob.write(b"abc"), blob.set(0, 65), blob.reopen(2)]
            tasks = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0)
            await cancel(*tasks)
            assert all(task.cancelled() for task in tasks)
        assert await blob.tell() == 0
        assert await blob.read() == DIGITS


async def test_cancelled_opening_leaves_nothing_open(db):
    await fill(db)
    await db.execute("begin")
    async with Held(db):
        task = asyncio.ensure_future(db.blobopen("t", "b", 1))
        await asyncio.sleep(0)
        await cancel(task)
    del task
    await db.commit()


async def test_cancelled_close_closes(db):
    await fill(db)
    await db.execute("begin")
    blob = await db.blobopen("t", "b", 1)
    async with Held(db):
        task = asyncio.ensure_future(blob.close())
        await asyncio.sleep(0)
        await cancel(task)
    await db.commit()
    assert await outcome(blob.read()) == CLOSED_BLOB


async def test_forgotten_blob_is_closed(db):
    await fill(db)
    await db.execute("begin")
    blob = await db.blobopen("t", "b", 1)
    await blob.write(b"abc")
    gone = weakref.ref(blob)
    del blob
    gc.collect()
    assert gone() is None
    await db.commit()
    assert await all_of(db) == [(b"abc3456789",)]


async def test_opening_that_is_never_awaited(db):
    await fill(db)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        db.blobopen("t", "b", 1)
        gc.collect()
    assert [str(warning.message) for warning in caught] == [
        "coroutine 'Connection.blobopen' was never awaited"
    ]


async def test_blobopen_on_a_connection_that_is_not_open():
    db = csqlite.connect(":memory:")
    assert await outcome(db.blobopen("t", "b", 1)) == (ValueError, "no active connection")
    async with db:
        pass
    assert await outcome(db.blobopen("t", "b", 1)) == (ValueError, "no active connection")


async def test_closing_queued_with_the_connections_closing():
    async with csqlite.connect(":memory:") as db:
        await fill(db)
        blob = await db.blobopen("t", "b", 1)
        first, second, third = await asyncio.gather(
            blob.read(1), db.close(), blob.read(1), return_exceptions=True
        )
    assert (first, second) == (b"0", None)
    assert (type(third), str(third)) == CLOSED_DATABASE


async def test_failing_commit_at_close_is_told(path):
    """sqlite3 does not tell, and what was written is lost without a word."""
    async with csqlite.connect(path, timeout=0) as db, csqlite.connect(path) as reader:
        await fill(db)
        await db.execute("pragma journal_mode = delete")
        await db.commit()
        reader._iter_chunk_size = 1
        cursor = await reader.execute("select * from t")
        await cursor.fetchone()
        blob = await db.blobopen("t", "b", 1)
        await blob.write(b"abc")
        with pytest.raises(sqlite3.OperationalError, match=r"(?m)^database is locked$"):
            await blob.close()
        await cursor.close()
        assert await all_of(db) == [(DIGITS,)]
        assert await blob.close() is None


async def test_leaving_does_not_repeat_an_error(db):
    await fill(db)
    async with db.blobopen("t", "b", 1, readonly=True) as blob:
        with pytest.raises(sqlite3.OperationalError, match=r"readonly"):
            await blob.write(b"x")


async def test_buffer_cannot_be_resized_while_it_is_written(db):
    await fill(db)
    data = bytearray(b"abc")
    async with db.blobopen("t", "b", 1) as blob:
        async with Held(db):
            task = asyncio.ensure_future(blob.write(data))
            await asyncio.sleep(0)
            with pytest.raises(BufferError):
                data.append(0)
        await task
        data.append(0)
    assert await all_of(db) == [(b"abc3456789",)]


async def test_length_waits_its_turn_and_len_does_not(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob, Held(db):
        reopened = asyncio.ensure_future(blob.reopen(2))
        length = asyncio.ensure_future(blob.length())
        await asyncio.sleep(0)
        assert len(blob) == 10
        assert not length.done()
    await reopened
    assert await length == 4


async def test_position_needs_no_waiting_while_nothing_is_under_way(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        for call, answer in ((blob.seek(3), None), (blob.tell(), 3), (blob.length(), 10)):
            with pytest.raises(StopIteration) as stopped:
                call.send(None)
            assert stopped.value.value == answer


async def test_blob_that_a_callback_of_its_own_uses(db):
    await fill(db)
    answers = []
    async with db.blobopen("t", "b", 1) as blob:

        def progress():
            for use in (lambda raw: raw.read(), lambda raw: raw.close()):
                try:
                    answers.append(use(RawBlob(db, blob)))
                except sqlite3.ProgrammingError as error:
                    answers.append(str(error))
            return 0

        await db.set_progress_handler(progress, 1)
        await blob.reopen(2)
        await db.set_progress_handler(None, 0)
        assert await blob.read() == b"text"
    assert answers[:2] == ["Recursive use of blobs not allowed."] * 2


async def test_context_manager_of_a_blob(db):
    await fill(db)
    blob = await db.blobopen("t", "b", 1)
    async with blob as entered:
        assert entered is blob
    assert await outcome(blob.tell()) == CLOSED_BLOB


async def test_blobs_cannot_be_made_by_hand():
    with pytest.raises(TypeError, match=r"cannot create 'csqlite\.Blob' instances"):
        csqlite.Blob()


async def test_blob_is_of_the_exported_type(db):
    await fill(db)
    async with db.blobopen("t", "b", 1) as blob:
        assert type(blob) is csqlite.Blob
        assert repr(blob).startswith("<csqlite.Blob object")


async def test_many_blobs_at_once(db):
    await fill(db)
    blobs = [await db.blobopen("t", "b", 1, readonly=True) for _ in range(50)]
    assert await asyncio.gather(*(blob.read() for blob in blobs)) == [DIGITS] * 50
    for blob in blobs[::2]:
        await blob.close()
    assert await asyncio.gather(*(blob[0] for blob in blobs[1::2])) == [ord("0")] * 25


# -- the synchronous view, and connections of other modules


def use_synchronously(connection):
    """What a program does with a blob of sqlite3."""
    with connection.blobopen("t", "b", 1) as blob:
        answers = [len(blob), blob.read(2), blob.tell(), blob[3], blob[2:4]]
        blob.seek(-2, os.SEEK_END)
        blob.write(b"yz")
        blob[0] = 65
        blob[1:3] = b"BC"
    for use in (blob.read, blob.__len__, blob.__enter__, lambda: blob[0]):
        try:
            answers.append(use())
        except sqlite3.Error as error:
            answers.append((type(error), str(error)))
    blob.close()
    return [*answers, connection.execute("select b from t where id = 1").fetchall()]


EXPECTED = [
    *(10, b"01", 2, ord("3"), b"23"),
    *(CLOSED_BLOB, CLOSED_BLOB, CLOSED_BLOB, CLOSED_BLOB),
    [(b"ABC34567yz",)],
]


async def test_synchronous_view(db):
    await fill(db)
    assert await db._execute(use_synchronously, db._conn) == EXPECTED


async def test_synchronous_view_in_another_thread():
    async with csqlite.connect(":memory:", check_same_thread=False) as db:
        await fill(db)
        assert use_synchronously(db._conn) == EXPECTED


async def test_synchronous_view_can_reopen(db):
    await fill(db)

    def use():
        with db._conn.blobopen("t", "b", 1, readonly=True, name="main") as blob:
            blob.reopen(2)
            return blob.read()

    assert await db._execute(use) == b"text"


@pytest.mark.skipif(not hasattr(sqlite3, "Blob"), reason="this sqlite3 has no blobs")
async def test_foreign_connection():
    def connector():
        return sqlite3.connect(":memory:", check_same_thread=False)

    async with csqlite.Connection(connector, 64) as db:
        await fill(db)
        async with db.blobopen("t", "b", 1) as blob:
            assert await blob.read(2) == b"01"
            assert await blob.tell() == 2
            await blob.seek(0)
            await blob.write(b"ab")
            await blob.set(2, 67)
            assert (await blob[0], await blob[0:3]) == (ord("a"), b"abC")
            assert (len(blob), await blob.length()) == (10, 10)
        assert await outcome(blob.read()) == CLOSED_BLOB
        blob = await db.blobopen("t", "b", 2, readonly=True, name="main")
        async with blob:
            assert await blob.read() == b"text"
            with pytest.raises(AttributeError):
                await blob.reopen(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork here")
def test_blob_in_a_forked_child(tmp_path):
    done = run_program(
        """
        import asyncio, gc, os, warnings
        import csqlite
        warnings.simplefilter("ignore")

        async def main():
            async with csqlite.connect("x.db") as db:
                await db.execute("create table t (b)")
                await db.execute("insert into t values ('text')")
                await db.commit()
                blob = await db.blobopen("t", "b", 1)
                pid = os.fork()
                if pid == 0:
                    for use in (blob.read, blob.tell, blob.close):
                        try:
                            use().send(None)
                        except csqlite.ProgrammingError as error:
                            assert "fork" in str(error), error
                        else:
                            os._exit(1)
                    del blob
                    gc.collect()
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
                print(await blob.read())

        asyncio.run(main())
        """,
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "b'text'\n"), done.stderr


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("turns", range(4))
async def test_cancelled_opening_keeps_nothing_open(kept, turns):
    async with csqlite.connect(":memory:") as db:
        await db.execute("create table t (b blob)")
        await db.execute("insert into t values (zeroblob(10))")
        await db.commit()
        for _ in range(50):
            await db.execute("update t set b = zeroblob(10)")
            request = db.blobopen("t", "b", 1)

            async def use(request=request):
                async with request as blob:
                    await blob.write(b"abc")

            task = asyncio.ensure_future(use())
            if not kept:
                del request
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await db.commit()  # "SQL statements in progress", while a blob is open for writing
