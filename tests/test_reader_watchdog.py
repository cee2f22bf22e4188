"""The stuck-reader watchdog: a cursor that stays half-read is warned of, once, by its SQL and
the place that executed it. What was ended in any way is not.
"""

import asyncio
import contextlib
import gc
import math
import sqlite3
import subprocess
import sys
import threading
import warnings
import weakref
from decimal import Decimal

import pytest
from parity.outcomes import scalar

import csqlite
from csqlite import readers

SECONDS = 20
SHORT = 0.02  # What these tests wait for …
MIDDLE = 0.3
LONG = 3600  # … and what they do not.
ROWS = 10_000  # More than are fetched ahead.

FILL = f"""
    create table t(i);
    with recursive n(i) as (select 1 union all select i + 1 from n limit {ROWS})
    insert into t select i from n
"""
SELECT = "select i from t"
STUCK = "a cursor has been half-read for more than 0.02 s and keeps a read transaction open"


@contextlib.asynccontextmanager
async def opened(path=":memory:", **options):
    options = {"reader_warning": SHORT, **options}
    async with csqlite.connect(path, **options) as db:
        await db.executescript(FILL)
        yield db


class Recorded(list):
    """The messages of warnings, as they come."""

    def __init__(self):
        super().__init__()
        self.came = threading.Event()

    def show(self, message, category, filename, lineno, file=None, line=None, source=None):
        self.append((category, str(message), filename, lineno, threading.get_ident()))
        self.came.set()

    @property
    def messages(self):
        return [message for _, message, *_ in self]

    async def wait(self, count=1):
        """Wait until so many have come."""
        async with in_time():
            while len(self) < count:
                await asyncio.sleep(SHORT / 4)


@contextlib.asynccontextmanager
async def in_time():
    task = asyncio.current_task()
    timer = asyncio.get_running_loop().call_later(SECONDS, task.cancel)
    try:
        yield
    finally:
        timer.cancel()


@pytest.fixture
def recorded(monkeypatch):
    record = Recorded()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", record.show)
        yield record


def watches():
    """The watches of this loop."""
    return list(readers._watchdogs[asyncio.get_running_loop()]._watches)


async def come(db):
    """Let the time of all that is watched come, and what is asked of the worker be answered."""
    watchdog = readers._watchdogs[asyncio.get_running_loop()]
    for watch in watches():
        watch.due = 0
    watchdog._ring(watchdog._timer)
    assert watches() == []
    with contextlib.suppress(ValueError):  # It may be closed.
        await db.execute_fetchall("select 1")
    await turns()


async def settle(record, text):
    """Wait until a warning says `text`."""
    async with in_time():
        while not any(text in message for message in record.messages):
            await asyncio.sleep(SHORT / 4)


def nothing_is_watched():
    return asyncio.get_running_loop() not in readers._watchdogs


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


def line_of(function):
    """The line of `execute` in it."""
    return function.__code__.co_firstlineno + 1


# -- what it says


async def load(db):
    return await db.execute(SELECT)


async def test_warning_names_the_sql_and_the_place(recorded):
    async with opened() as db:
        cursor = await load(db)
        await recorded.wait()
        assert (await cursor.fetchone()) == (1,)
    [(category, message, filename, line, thread)] = recorded
    assert category is ResourceWarning
    assert (filename, line) == (__file__, line_of(load))
    assert message.startswith(STUCK)
    assert message.endswith(f": {SELECT} (started at {__file__}:{line} in load)")
    assert thread == threading.get_ident()


async def test_place_is_where_it_was_called_not_where_it_is_awaited(recorded):
    def call(db):
        return db.execute(SELECT)

    async with opened() as db:
        request = call(db)
        cursor = await asyncio.ensure_future(request)
        await recorded.wait()
        assert recorded[0][2:4] == (__file__, line_of(call))
        await cursor.close()


async def test_place_of_a_cursor_and_of_a_subclass(recorded):
    class Own(csqlite.Cursor):
        async def execute(self, sql):
            return await super().execute(sql)

    async def start(cursor):
        await cursor.execute(SELECT)

    async with opened() as db:
        cursor = await db.cursor()
        await start(cursor)
        await recorded.wait()
        own = await db.cursor(Own)
        await own.execute(SELECT)
        await recorded.wait(2)
    assert recorded[0][2:4] == (__file__, line_of(start))
    assert recorded[1][2:4] == (__file__, line_of(Own.execute))


async def test_dump_is_named_with_the_line_that_iterates(recorded):
    async def read(db):
        async for _ in db.iterdump():
            await recorded.wait()
            return

    async with opened() as db:
        await read(db)
        gc.collect()
    assert f": iterdump() (started at {__file__}:{line_of(read)} in " in recorded.messages[0]
    assert recorded[0][2:4] == (__file__, line_of(read))


async def test_source_is_the_cursor(recorded, monkeypatch):
    sources = []
    monkeypatch.setattr(
        warnings, "_showwarnmsg", lambda message: sources.append(message.source), raising=True
    )
    async with opened() as db:
        cursor = await db.execute(SELECT)
        async with in_time():
            while not sources:
                await asyncio.sleep(SHORT)
        assert sources == [cursor]
        sources.clear()


async def test_long_sql_is_cut(recorded):
    async with opened() as db:
        cursor = await db.execute(SELECT + " -- " + "x" * 10_000)
        await recorded.wait()
        await cursor.close()
    assert "xxx… (started at" in recorded.messages[0]
    assert len(recorded.messages[0]) < 600


async def test_filters_by_module_apply(recorded):
    warnings.filterwarnings("ignore", module=__name__.replace(".", r"\."))
    async with opened() as db:
        cursor = await db.execute(SELECT)
        names = dict(globals(), __name__="elsewhere")
        exec("def start(db): return db.execute('select i as other from t')", names)
        other = await names["start"](db)
        await recorded.wait()
        await turns()
        assert len(recorded) == 1
        assert "other" in recorded.messages[0]
        await cursor.close()
        await other.close()


# -- when it comes, and when not


async def test_once_per_execution(recorded):
    async with opened() as db:
        cursor = await db.execute(SELECT)
        await recorded.wait()
        await cursor.fetchmany(3)
        other = await db.execute("select i as marker from t")
        await settle(recorded, "marker")
        await cursor.execute("select i as again from t")
        await settle(recorded, "again")
        await turns()
        await other.close()
    assert len(recorded) == 3


async def test_several_cursors(recorded):
    async with opened(reader_warning=LONG) as db:
        cursors = [await db.execute(f"select i as c{n} from t") for n in range(5)]
        await cursors[1].close()
        await cursors[3].fetchall()
        await come(db)
        del cursors
    assert len(recorded) == 3
    for n in (0, 2, 4):
        assert sum(f"as c{n} " in message for message in recorded.messages) == 1


async def test_the_earliest_comes_first(recorded):
    async with opened(reader_warning=LONG) as db:
        late = await db.execute("select i as late from t")
        db.reader_warning = SHORT
        early = await db.execute("select i as early from t")
        await recorded.wait()
        await turns()
        assert ["early" in message for message in recorded.messages] == [True]
        await late.close()
        await early.close()


async def read_all(db, cursor):
    await cursor.fetchall()


async def iterate(db, cursor):
    async for _ in cursor:
        pass


async def close(db, cursor):
    await cursor.close()


async def execute_again(db, cursor):
    await cursor.execute("select 1")


async def fail_to_execute(db, cursor):
    with pytest.raises(sqlite3.OperationalError):
        await cursor.execute("select nothing")


async def reset(db, cursor):
    await db.reset()


async def cancel_fetch(db, cursor):
    entered, release = threading.Event(), threading.Event()

    def block(i):
        entered.set()
        release.wait(SECONDS)

    await db.create_function("block", 1, block)
    await cursor.execute(f"select iif(i = {ROWS}, block(i), i) from t")
    task = asyncio.ensure_future(cursor.fetchall())
    assert await asyncio.get_running_loop().run_in_executor(None, entered.wait, SECONDS)
    task.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def turn_off(db, cursor):
    db.reader_warning = None


ENDS = [
    *(read_all, iterate, close, execute_again, fail_to_execute),
    *(reset, cancel_fetch, turn_off),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_not_when_it_was_ended(recorded, end):
    async with opened(reader_warning=LONG) as db:
        cursor = await db.execute(SELECT)
        await end(db, cursor)
        await come(db)
        assert recorded == []
        del cursor


async def test_not_when_it_was_forgotten(recorded):
    async with opened(reader_warning=LONG) as db:
        cursor = weakref.ref(await db.execute(SELECT))
        gc.collect()
        assert cursor() is None
        await come(db)
        assert recorded == []


async def test_not_when_all_rows_were_fetched_ahead():
    async with opened(reader_warning=LONG) as db:
        cursor = await db.execute(SELECT + " limit 3")
        assert nothing_is_watched()
        assert len(await cursor.fetchall()) == 3


async def test_not_without_a_transaction(recorded):
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
    async with opened(reader_warning=LONG) as db:
        cursor = await db.execute(numbers)
        await come(db)
        assert recorded == []
        await cursor.close()


async def test_not_when_the_connection_was_closed(recorded):
    async with opened(reader_warning=LONG) as db:
        cursor = await db.execute(SELECT)
    await come(db)
    assert recorded == []
    del cursor


async def test_executing_again_starts_the_clock_anew(recorded):
    async with opened(reader_warning=LONG) as db:
        cursor = await db.execute(SELECT)
        first = weakref.ref(next(iter(watches())))
        await cursor.execute("select i as second from t")
        assert first() is None
        [second] = watches()
        assert second.sql == "select i as second from t"
        await cursor.close()


async def test_a_cursor_executed_again_while_it_is_off_is_not_named_by_its_old_sql(recorded):
    async with opened(reader_warning=LONG) as db:
        cursor = await db.execute(SELECT)
        db.reader_warning = None
        await cursor.execute("select i as unwatched from t")
        db.reader_warning = SHORT
        await come(db)
        assert recorded == []
        await cursor.close()


async def test_fetching_does_not_start_the_clock_anew(recorded):
    async with opened() as db:
        cursor = await db.execute(SELECT)
        async with in_time():
            while not recorded:
                await cursor.fetchone()
                await asyncio.sleep(SHORT / 4)
        await cursor.close()


async def test_fetch_under_way_reads_on_while_the_worker_is_asked(recorded):
    async with opened(reader_warning=LONG) as db:
        cursor = await db.execute(SELECT)
        [watch] = watches()
        cursor._tell_if_open(watch)
        assert [row[0] async for row in cursor] == list(range(1, ROWS + 1))
        assert len(recorded) == 1


async def test_another_watch_than_the_cursors_is_not_told(recorded):
    async with opened(reader_warning=LONG) as db:
        cursor = await db.execute(SELECT)
        cursor._tell_if_open(object())
        await db.execute_fetchall("select 1")
        await turns()
        assert recorded == []
        await cursor.close()


async def test_inserts_and_fetchalls_of_a_connection_are_not_watched(recorded):
    async with opened(reader_warning=LONG) as db:
        await db.execute_fetchall(SELECT)
        await db.execute_insert("insert into t select i from t limit 200 returning i")
        await db.commit()
        assert nothing_is_watched()


# -- what it is for


async def test_checkpoint_is_busy_until_the_cursor_is_closed(recorded, tmp_path):
    path = tmp_path / "wal.db"
    async with opened(path, timeout=0) as db, csqlite.connect(path, timeout=0) as writer:
        await db.execute("pragma journal_mode = wal")
        cursor = await db.execute(SELECT)
        await writer.execute("insert into t values(0)")
        await writer.commit()
        await recorded.wait()
        assert (await writer.execute_fetchall("pragma wal_checkpoint(truncate)"))[0][0] == 1
        assert (tmp_path / "wal.db-wal").stat().st_size > 0
        await cursor.close()
        assert (await writer.execute_fetchall("pragma wal_checkpoint(truncate)"))[0][0] == 0
        assert (tmp_path / "wal.db-wal").stat().st_size == 0


# -- loops


def test_two_loops_warn_each_in_its_own_thread(recorded):
    async def use(db, name):
        cursor = await db.execute(f"select i as {name} from t")
        await settle(recorded, name)
        await cursor.close()
        return threading.get_ident()

    async def both():
        idents = {}
        async with opened() as db:

            def elsewhere():
                idents["there"] = asyncio.run(use(db, "there"))

            loop = asyncio.get_running_loop()
            thread = loop.run_in_executor(None, elsewhere)
            idents["here"] = await use(db, "here")
            await thread
        return idents

    idents = asyncio.run(both())
    assert len(recorded) == 2
    for _, message, *_, ident in recorded:
        assert ident == idents["here" if "as here" in message else "there"]


def test_closed_loop_is_silent(recorded):
    async def leave():
        db = await csqlite.connect(":memory:", reader_warning=MIDDLE)
        await db.executescript(FILL)
        return db, await db.execute(SELECT)

    db, cursor = asyncio.run(leave())

    async def end():
        await asyncio.sleep(2 * MIDDLE)
        assert recorded == []
        await cursor.close()
        await db.close()

    asyncio.run(end())
    assert recorded == []


def test_loop_is_not_kept(recorded):
    async def leave():
        async with opened(reader_warning=LONG) as db:
            cursor = await db.execute(SELECT)
            assert asyncio.get_running_loop() in readers._watchdogs
            await cursor.close()
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(leave())
    gc.collect()
    assert loop() is None


async def test_cursor_is_not_kept(recorded):
    async with opened(reader_warning=LONG) as db:
        cursor = weakref.ref(await db.execute(SELECT))
        assert watches() == []
        assert cursor() is None


async def test_executions_share_a_timer(recorded, monkeypatch):
    loop = asyncio.get_running_loop()
    times = []
    call_later = loop.call_later

    def counting(delay, callback, *args, **kwargs):
        if getattr(callback, "__func__", None) is readers.Watchdog._ring:
            times.append(delay)
        return call_later(delay, callback, *args, **kwargs)

    monkeypatch.setattr(loop, "call_later", counting)
    async with opened(reader_warning=LONG) as db:
        for _ in range(100):
            async with db.execute(SELECT) as cursor:
                await cursor.fetchone()
    assert len(times) == 1


async def test_long_times_are_waited_for_in_turns(recorded, monkeypatch):
    monkeypatch.setattr(readers, "LONGEST", SHORT)
    async with opened(reader_warning=math.inf) as db:
        endless = await db.execute("select i as endless from t")
        db.reader_warning = 5 * SHORT
        cursor = await db.execute(SELECT)
        await recorded.wait()
        assert SELECT in recorded.messages[0]
        assert len(recorded) == 1
        await endless.close()
        await cursor.close()


# -- when warnings are errors


async def test_error_goes_to_the_loops_exception_handler(recorded):
    warnings.simplefilter("error", ResourceWarning)
    contexts = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    async with opened() as db:
        cursor = await db.execute(SELECT)
        async with in_time():
            while not contexts:
                assert await scalar(db, "select 1") == 1
                await asyncio.sleep(SHORT / 4)
        assert (await cursor.fetchone()) == (1,)
        await cursor.close()
    [context] = contexts
    assert type(context["exception"]) is ResourceWarning
    assert str(context["exception"]).startswith(STUCK)
    assert recorded == []


DEVELOPMENT = """
import asyncio
import csqlite

async def main():
    async with csqlite.connect(":memory:") as db:
        print(db.reader_warning)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("options", "expected"), [([], "None"), (["-X", "dev", "-W", "error"], "60.0")]
)
def test_default(options, expected, tmp_path):
    done = subprocess.run(
        [sys.executable, "-E", *options, "-c", DEVELOPMENT],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=SECONDS,
    )
    assert (done.stdout.strip(), done.stderr) == (expected, "")


# -- the option and the property


WRONG = [
    *[("1", TypeError), (b"1", TypeError), ([], TypeError), (1j, TypeError)],
    *[(0, ValueError), (-1, ValueError), (math.nan, ValueError), (-math.inf, ValueError)],
    *[(False, ValueError), (-(10**400), ValueError)],
]


@pytest.mark.parametrize(("wrong", "error"), WRONG)
async def test_wrong_values(wrong, error):
    with pytest.raises(error, match="reader_warning must be a "):
        await csqlite.connect(":memory:", reader_warning=wrong)
    async with csqlite.connect(":memory:", reader_warning=5) as db:
        with pytest.raises(error, match="reader_warning must be a "):
            db.reader_warning = wrong
        assert db.reader_warning == 5


@pytest.mark.parametrize("value", [1, 0.5, True, Decimal("0.5"), 10**400, math.inf, None])
async def test_values(value):
    async with csqlite.connect(":memory:", reader_warning=value) as db:
        given = db.reader_warning
        assert given is None if value is None else (type(given) is float and given > 0)
        db.reader_warning = None
        assert db.reader_warning is None
        db.reader_warning = value
        assert db.reader_warning == given


async def test_property_of_a_connection_that_is_not_open():
    db = csqlite.connect(":memory:")
    for use in (lambda: db.reader_warning, lambda: setattr(db, "reader_warning", 1)):
        with pytest.raises(ValueError, match="no active connection"):
            use()
    await db
    await db.close()
    with pytest.raises(ValueError, match="no active connection"):
        db.reader_warning = 1


async def test_property_cannot_be_deleted():
    async with csqlite.connect(":memory:") as db:
        with pytest.raises(AttributeError, match="cannot delete attribute"):
            del db.reader_warning


async def test_property_holds_for_what_is_executed_from_then_on():
    async with opened(reader_warning=None) as db:
        before = await db.execute("select i as before from t")
        db.reader_warning = SHORT
        assert nothing_is_watched()
        await before.close()


async def test_foreign_connections_are_not_watched():
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        assert db.reader_warning is None
        db.reader_warning = None
        with pytest.raises(
            sqlite3.NotSupportedError,
            match=r"^reader_warning needs csqlite's own connection, not sqlite3\.Connection$",
        ):
            db.reader_warning = 1
    with pytest.raises(sqlite3.NotSupportedError, match="csqlite's own connection"):
        await csqlite.connect(":memory:", factory=Factory, reader_warning=1)
    async with csqlite.connect(":memory:", factory=Factory, reader_warning=None) as db:
        assert await scalar(db, "select 1") == 1


class Factory(sqlite3.Connection):
    pass


async def test_synchronous_view_is_not_watched():
    async with opened(reader_warning=LONG) as db:
        raw = await db._execute(lambda: db._conn.execute(SELECT))
        assert nothing_is_watched()
        await db._execute(raw.close)


# -- what may go wrong in it


async def test_what_fails_in_the_watchdog_is_not_the_callers(recorded, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    def fail(*args):
        raise LookupError("no watch")

    monkeypatch.setattr(readers, "watch", fail)
    async with opened() as db:
        cursor = await db.execute(SELECT)
        assert await cursor.fetchone() == (1,)
        await cursor.close()
    assert [type(error.exc_value) for error in unraisable] == [LookupError]
    unraisable.clear()


async def test_handler_of_warnings_may_close_everything(recorded, monkeypatch):
    tasks = []

    def show(*args, **kwargs):
        tasks.append(asyncio.ensure_future(end()))

    async def end():
        await cursor.close()
        await db.close()

    monkeypatch.setattr(warnings, "showwarning", show)
    async with opened() as db:
        cursor = await db.execute(SELECT)
        async with in_time():
            while not tasks:
                await asyncio.sleep(SHORT / 4)
        await asyncio.gather(*tasks)
    assert len(tasks) == 1


async def test_no_frame_of_the_users(monkeypatch):
    monkeypatch.setattr(readers, "_is_ours", lambda frame: True)
    assert readers.place() == ("<unknown>", 0, "<unknown>", {})
