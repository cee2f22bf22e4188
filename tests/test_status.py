"""What SQLite tells of a connection, a file and itself, and which VFS opens a file."""

import asyncio
import contextlib
import os
import sqlite3
import threading

import pytest
from parity.outcomes import fetchall, outcome, scalar

import csqlite

NUMBERS = "with recursive n(i) as (select 1 union all select i + 1 from n limit {}) select i from n"
UNKNOWN = (sqlite3.OperationalError, "unknown database nowhere")


@pytest.fixture
def db():
    return csqlite.connect(":memory:")


@contextlib.asynccontextmanager
async def open_wal(path, **options):
    """Open a connection to a database in WAL mode, with a table and an empty log."""
    async with csqlite.connect(path, **options) as db:
        await fetchall(db, "pragma journal_mode = wal")
        await db.execute("create table t (a)")
        await db.commit()
        await fetchall(db, "pragma wal_checkpoint(truncate)")
        yield db


# -- what all methods have in common


METHODS = {
    "cache_stats": (),
    "cacheflush": (),
    "db_filename": (),
    "db_status": (csqlite.SQLITE_DBSTATUS_CACHE_USED,),
    "file_control": (csqlite.SQLITE_FCNTL_DATA_VERSION,),
    "limits": (),
    "readonly": (),
    "release_memory": (),
    "txn_state": (),
    "wal_autocheckpoint": (100,),
    "wal_checkpoint": (),
}


@pytest.mark.parametrize("name", METHODS)
async def test_closed_connection(name):
    db = await csqlite.connect(":memory:")
    await db.close()
    with pytest.raises(ValueError, match="(?m)^no active connection$"):
        await getattr(db, name)(*METHODS[name])


@pytest.mark.parametrize("name", METHODS)
async def test_connection_that_is_not_open_yet(name):
    with pytest.raises(ValueError, match="(?m)^no active connection$"):
        await getattr(csqlite.connect(":memory:"), name)(*METHODS[name])


@pytest.mark.parametrize("name", METHODS)
async def test_connection_of_another_module(name):
    async with csqlite.Connection(lambda: sqlite3.connect(":memory:"), 64) as db:
        with pytest.raises(sqlite3.NotSupportedError, match=rf"^{name}\(\) needs csqlite's own"):
            await getattr(db, name)(*METHODS[name])


@pytest.mark.parametrize("name", METHODS)
async def test_arguments_that_there_are_not(db, name):
    with pytest.raises(TypeError):
        getattr(db, name)(*METHODS[name], wrong=1)
    with pytest.raises(TypeError):
        getattr(db, name)(1, 2, 3, 4)


@pytest.mark.parametrize("name", ["db_status", "file_control", "wal_autocheckpoint"])
async def test_argument_that_is_missing(db, name):
    with pytest.raises(
        TypeError, match=rf"(?m)^{name}\(\) missing required argument '(op|n)' \(pos 1\)$"
    ):
        getattr(db, name)()


@pytest.mark.parametrize("name", ["db_filename", "readonly", "txn_state"])
@pytest.mark.parametrize(
    ("value", "error"), [(5, TypeError), (b"main", TypeError), ("a\0b", ValueError)]
)
async def test_names_of_databases_that_cannot_be(db, name, value, error):
    with pytest.raises(error):
        await getattr(db, name)(value)


@pytest.mark.parametrize("name", ["db_filename", "readonly", "txn_state"])
async def test_databases_that_there_are_not(db, name):
    assert await outcome(getattr(db, name)("nowhere")) == UNKNOWN
    assert await outcome(getattr(db, name)("")) == (sqlite3.OperationalError, "unknown database ")


# -- counters


async def test_db_status(db):
    current, highest = await db.db_status(csqlite.SQLITE_DBSTATUS_CACHE_USED)
    assert current > 0
    assert highest == 0
    await db.execute("create table t (a)")
    await db.execute(f"insert into t {NUMBERS.format(20000)}")
    assert (await db.db_status(op=csqlite.SQLITE_DBSTATUS_CACHE_USED))[0] > current
    hits, _ = await db.db_status(csqlite.SQLITE_DBSTATUS_CACHE_HIT, True)
    assert hits > 0
    assert await db.db_status(csqlite.SQLITE_DBSTATUS_CACHE_HIT, reset=False) == (0, 0)


@pytest.mark.parametrize("op", [99, -1, 2**80])
async def test_db_status_that_there_is_not(db, op):
    with pytest.raises(
        sqlite3.OperationalError, match="(?m)^SQLite has no status of a connection -?[0-9]+$"
    ):
        await db.db_status(op)


@pytest.mark.parametrize("op", ["1", None, 1.5])
async def test_db_status_of_another_type(db, op):
    with pytest.raises(TypeError):
        await db.db_status(op)


async def test_status_of_the_library(db):
    current, highest = csqlite.status(csqlite.SQLITE_STATUS_MEMORY_USED)
    assert highest >= current >= 0
    # A bundled SQLite counts no memory; one of the system usually does.
    if "DEFAULT_MEMSTATUS=0" in csqlite.compile_options:
        assert (current, highest) == (0, 0)
    assert csqlite.status(csqlite.SQLITE_STATUS_MALLOC_COUNT, reset=True)[0] >= 0


def test_status_of_the_library_that_there_is_not():
    with pytest.raises(sqlite3.InterfaceError, match="(?m)^SQLite has no status 99$"):
        csqlite.status(99)
    for wrong in (("1",), (), (1, 2, 3)):
        with pytest.raises(TypeError):
            csqlite.status(*wrong)


async def test_limits(db):
    limits = await db.limits()
    assert limits["SQLITE_LIMIT_COLUMN"] == 2000
    assert limits["SQLITE_LIMIT_ATTACHED"] == 10
    assert all(name.startswith("SQLITE_LIMIT_") and value >= 0 for name, value in limits.items())
    count = limits["SQLITE_LIMIT_VARIABLE_NUMBER"]
    await fetchall(db, f"select ?{count}", (None,) * count)
    with pytest.raises(sqlite3.OperationalError, match="variable number must be between"):
        await db.execute(f"select ?{count + 1}")


async def test_compile_options(db):
    assert csqlite.compile_options == tuple(
        option for (option,) in await fetchall(db, "pragma compile_options")
    )
    assert any(option.startswith("THREADSAFE=") for option in csqlite.compile_options)


def test_constants_are_sqlites():
    assert csqlite.SQLITE_TXN_NONE == 0
    assert csqlite.SQLITE_TRACE_CLOSE == 8
    assert csqlite.SQLITE_CHECKPOINT_TRUNCATE == 3
    assert csqlite.SQLITE_CHECKPOINT_NOOP == -1
    assert csqlite.SQLITE_FCNTL_PERSIST_WAL == 10
    assert csqlite.SQLITE_DBSTATUS_CACHE_SPILL == 12
    assert csqlite.SQLITE_STATUS_MALLOC_COUNT == 9
    assert csqlite.SQLITE_STMTSTATUS_MEMUSED == 99


# -- transactions and schemas


async def test_txn_state(path):
    async with csqlite.connect(path) as db:
        assert await db.txn_state() == csqlite.SQLITE_TXN_NONE
        await db.execute("create table t (a)")
        await db.execute("begin")
        assert db.in_transaction
        assert await db.txn_state("main") == csqlite.SQLITE_TXN_NONE
        await fetchall(db, "select * from t")
        assert await db.txn_state("main") == csqlite.SQLITE_TXN_READ
        await db.execute("insert into t values (1)")
        assert await db.txn_state() == await db.txn_state("main") == csqlite.SQLITE_TXN_WRITE
        assert await db.txn_state(schema="temp") == csqlite.SQLITE_TXN_NONE
        assert await db.txn_state(None) == csqlite.SQLITE_TXN_WRITE
        await db.commit()
        assert await db.txn_state() == csqlite.SQLITE_TXN_NONE


async def test_readonly(path):
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        assert await db.readonly() is False
    async with csqlite.connect(f"file:{path}?mode=ro", uri=True) as db:
        assert await db.readonly() is True
        assert await db.readonly(name="main") is True
        assert await db.readonly("temp") is False
        await db.execute("attach ':memory:' as other")
        assert await db.readonly("other") is False


async def test_db_filename(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with csqlite.connect("näme.db") as db:
        await db.execute("create table t (a)")
        assert await db.db_filename() == os.path.realpath("näme.db")
        assert await db.db_filename("temp") == ""
        await db.execute("attach 'other.db' as other")
        await db.execute("create table other.t (a)")
        assert await db.db_filename("other") == os.path.realpath("other.db")
    async with csqlite.connect(":memory:") as db:
        assert await db.db_filename() == ""


@pytest.mark.skipif(os.fsencode("\udcff") != b"\xff", reason="needs file names of any bytes")
async def test_db_filename_of_bytes_that_are_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.db"
    try:
        os.close(os.open(path, os.O_CREAT))
    except OSError:
        pytest.skip("the file system refuses such names")
    async with csqlite.connect(os.fsdecode(path)) as db:
        await db.execute("create table t (a)")
        assert os.fsencode(await db.db_filename()) == os.path.realpath(path)


# -- the log


@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
async def test_checkpoint(path, mode):
    async with open_wal(path) as db:
        await db.execute("insert into t values (zeroblob(20000))")
        await db.commit()
        before = path.stat().st_size
        log, done = await db.wal_checkpoint(getattr(csqlite, f"SQLITE_CHECKPOINT_{mode}"))
        assert log == done
        assert (log == 0) == (mode == "TRUNCATE")
        assert path.stat().st_size > before


def write_log(path):
    """Make a database with a log that nobody has checkpointed; keep it open, so that it stays."""
    writer = sqlite3.connect(path)
    writer.execute("pragma journal_mode = wal")
    writer.execute("create table if not exists u (a)")
    writer.execute("insert into u values (zeroblob(20000))")
    writer.commit()
    return writer


@pytest.mark.parametrize("name", [None, "main"])
@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
async def test_checkpoint_by_a_connection_that_has_read_nothing(path, mode, name):
    with contextlib.closing(write_log(path)):
        async with csqlite.connect(path) as db:
            log, done = await db.wal_checkpoint(getattr(csqlite, f"SQLITE_CHECKPOINT_{mode}"), name)
            assert log == done
            assert (log == 0) == (mode == "TRUNCATE")
            assert os.path.getsize(f"{path}-wal") > 0 or mode == "TRUNCATE"


async def test_checkpoint_of_a_log_that_another_connection_has_made(path):
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        assert await db.wal_checkpoint() == (-1, -1)
        with contextlib.closing(write_log(path)):
            assert await db.wal_checkpoint(csqlite.SQLITE_CHECKPOINT_TRUNCATE) == (0, 0)
            assert os.path.getsize(f"{path}-wal") == 0


async def test_checkpoint_of_all_databases_that_nothing_was_read_of(path, tmp_path):
    attached = tmp_path / "attached.db"
    with contextlib.closing(write_log(path)), contextlib.closing(write_log(attached)):
        async with csqlite.connect(path) as db:
            await db.execute("attach ? as other", (str(attached),))
            assert await db.wal_checkpoint(csqlite.SQLITE_CHECKPOINT_TRUNCATE) == (0, 0)
            if csqlite.sqlite_version_info >= (3, 39):
                assert os.path.getsize(f"{attached}-wal") == 0
            assert await db.wal_checkpoint(3, "other") == (0, 0)
            assert os.path.getsize(f"{attached}-wal") == 0


async def test_nobody_hears_of_looking_for_a_log(path):
    seen = []
    with contextlib.closing(write_log(path)):
        async with csqlite.connect(path) as db:
            await db.set_trace_callback(seen.append)
            await db.set_authorizer(lambda *what: seen.append(what) or sqlite3.SQLITE_DENY)
            await db.set_progress_handler(lambda: seen.append("progress"), 1)
            log, done = await db.wal_checkpoint()
            assert log == done > 0
            assert [what for what in seen if what != "progress"] == []


async def test_passive_checkpoint_waits_for_nobody(path):
    """Neither for who has locked a database without a log."""
    async with csqlite.connect(path, timeout=60) as db:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("create table t (a)")
            other.execute("begin exclusive")
            assert await asyncio.wait_for(db.wal_checkpoint(), 30) == (-1, -1)


async def test_checkpoint_by_name_and_by_default(path):
    async with open_wal(path) as db:
        await db.execute("insert into t values (zeroblob(20000))")
        await db.commit()
        assert await db.wal_checkpoint(name="temp") == (-1, -1)
        log, done = await db.wal_checkpoint(mode=0, name="main")
        assert log == done > 0
        assert await db.wal_checkpoint() == (log, done)
        assert await db.wal_checkpoint(0, None) == (log, done)
        assert await outcome(db.wal_checkpoint(name="nowhere")) == (
            sqlite3.OperationalError,
            "unknown database: nowhere",
        )


async def test_checkpoint_without_a_log(db):
    assert await db.wal_checkpoint() == (-1, -1)


async def test_checkpoint_that_a_reader_is_in_the_way_of(path):
    async with open_wal(path, timeout=0) as db, csqlite.connect(path) as reader:
        await db.executescript("insert into t values (1)")
        await reader.execute("begin")
        await fetchall(reader, "select * from t")
        await db.executescript("insert into t values (zeroblob(20000))")
        log, done = await db.wal_checkpoint()
        assert log > done > 0
        with pytest.raises(sqlite3.OperationalError, match="(?m)^database is locked$"):
            await db.wal_checkpoint(csqlite.SQLITE_CHECKPOINT_TRUNCATE)


async def test_checkpoint_that_waits_can_be_cancelled(path):
    async with open_wal(path, timeout=1000) as db, csqlite.connect(path) as reader:
        await reader.execute("begin")
        await fetchall(reader, "select * from t")
        await db.executescript("insert into t values (1)")
        task = asyncio.ensure_future(db.wal_checkpoint(csqlite.SQLITE_CHECKPOINT_TRUNCATE))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await scalar(db, "select a from t") == 1


async def test_checkpoint_within_a_transaction_of_its_own(path):
    async with open_wal(path) as db:
        await db.execute("insert into t values (1)")
        with pytest.raises(sqlite3.OperationalError, match="(?m)^database table is locked$"):
            await db.wal_checkpoint()


@pytest.mark.parametrize("mode", [4, 99, -2, 2**70])
async def test_checkpoint_of_a_mode_that_there_is_not(db, mode):
    with pytest.raises(sqlite3.InterfaceError):
        await db.wal_checkpoint(mode)


@pytest.mark.parametrize(
    "arguments", [{"mode": "FULL"}, {"mode": None}, {"name": 5}, {"name": b"main"}]
)
async def test_checkpoint_of_wrong_types(db, arguments):
    with pytest.raises(TypeError):
        await db.wal_checkpoint(**arguments)


# -- the cache of pages


async def test_cacheflush_writes_before_the_commit(path):
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        await db.commit()
        before = path.stat().st_size
        await db.execute("insert into t values (zeroblob(100000))")
        assert path.stat().st_size == before
        assert await db.cacheflush() is None
        assert path.stat().st_size > before
        await db.rollback()
        assert path.stat().st_size == before


async def test_cacheflush_with_a_reader_in_the_way(path):
    async with csqlite.connect(path, timeout=0) as db, csqlite.connect(path) as reader:
        await db.execute("create table t (a)")
        await db.commit()
        await reader.execute("begin")
        await fetchall(reader, "select * from t")
        await db.execute("insert into t values (zeroblob(100000))")
        with pytest.raises(sqlite3.OperationalError, match="(?m)^database is locked$"):
            await db.cacheflush()
        await db.rollback()


async def test_release_memory(path):
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        await db.execute(f"insert into t {NUMBERS.format(50000)}")
        await db.commit()
        await fetchall(db, "select count(*) from t")
        used, _ = await db.db_status(csqlite.SQLITE_DBSTATUS_CACHE_USED)
        assert await db.release_memory() is None
        assert (await db.db_status(csqlite.SQLITE_DBSTATUS_CACHE_USED))[0] < used
        assert await scalar(db, "select count(*) from t") == 50000


# -- file controls


async def test_persist_wal(path):
    log = path.with_name(path.name + "-wal")
    for persist in (0, 1):
        async with open_wal(path) as db:
            assert await db.file_control(csqlite.SQLITE_FCNTL_PERSIST_WAL) == 0
            assert await db.file_control(csqlite.SQLITE_FCNTL_PERSIST_WAL, persist) == persist
            assert await db.file_control(csqlite.SQLITE_FCNTL_PERSIST_WAL, None) == persist
            await db.execute("drop table t")
            await db.commit()
        assert log.exists() == bool(persist)


async def test_data_version_tells_of_other_connections(path):
    async with csqlite.connect(path) as db, csqlite.connect(path) as other:
        await db.execute("create table t (a)")
        await db.commit()
        before = await db.file_control(csqlite.SQLITE_FCNTL_DATA_VERSION)
        await fetchall(db, "select * from t")
        assert await db.file_control(csqlite.SQLITE_FCNTL_DATA_VERSION) == before
        await other.executescript("insert into t values (1)")
        await fetchall(db, "select * from t")
        assert await db.file_control(csqlite.SQLITE_FCNTL_DATA_VERSION) != before


async def test_chunk_size(path):
    async with csqlite.connect(path) as db:
        assert await db.file_control(csqlite.SQLITE_FCNTL_CHUNK_SIZE, 1 << 20) is None
        await db.execute("create table t (a)")
        await db.commit()
        assert path.stat().st_size == 1 << 20


async def test_size_limit():
    async with csqlite.connect("file:/limited?vfs=memdb", uri=True) as db:
        await db.execute("create table t (a)")
        assert await db.file_control(csqlite.SQLITE_FCNTL_SIZE_LIMIT, 100_000) == 100_000
        assert await db.file_control(csqlite.SQLITE_FCNTL_SIZE_LIMIT) == 100_000
        with pytest.raises(sqlite3.OperationalError, match="(?m)^database or disk is full$"):
            await db.execute("insert into t values (zeroblob(200000))")
            await db.commit()


async def test_other_controls(path):
    async with csqlite.connect(path) as db:
        await db.execute("create table t (a)")
        await db.commit()
        assert await db.file_control(csqlite.SQLITE_FCNTL_VFSNAME) in csqlite.vfs_list()
        assert os.path.isabs(await db.file_control(csqlite.SQLITE_FCNTL_TEMPFILENAME))
        assert await db.file_control(csqlite.SQLITE_FCNTL_HAS_MOVED) == 0
        path.rename(path.with_name("moved.db"))
        assert await db.file_control(csqlite.SQLITE_FCNTL_HAS_MOVED) == 1
        assert await db.file_control(csqlite.SQLITE_FCNTL_LAST_ERRNO) >= 0
        assert await db.file_control(csqlite.SQLITE_FCNTL_RESERVE_BYTES) == 0
        assert await db.file_control(csqlite.SQLITE_FCNTL_POWERSAFE_OVERWRITE) in (0, 1)
        assert await db.file_control(csqlite.SQLITE_FCNTL_RESET_CACHE) is None
        assert await db.file_control(csqlite.SQLITE_FCNTL_SIZE_HINT, 1 << 16) is None


async def test_control_of_another_schema(path, tmp_path):
    async with csqlite.connect(":memory:") as db:
        await db.execute("attach ? as other", (str(path),))
        await db.execute("create table other.t (a)")
        assert await db.file_control(csqlite.SQLITE_FCNTL_PERSIST_WAL, 1, name="other") == 1
        assert (
            await outcome(db.file_control(csqlite.SQLITE_FCNTL_PERSIST_WAL, name="nowhere"))
            == UNKNOWN
        )


async def test_control_that_the_vfs_does_not_know(db):
    with pytest.raises(
        sqlite3.NotSupportedError,
        match=r"(?m)^The VFS of database main does not know file control 10\.$",
    ):
        await db.file_control(csqlite.SQLITE_FCNTL_PERSIST_WAL)


@pytest.mark.parametrize(
    "op",
    [
        csqlite.SQLITE_FCNTL_NULL_IO,
        csqlite.SQLITE_FCNTL_FILE_POINTER,
        csqlite.SQLITE_FCNTL_PRAGMA,
        csqlite.SQLITE_FCNTL_BUSYHANDLER,
        csqlite.SQLITE_FCNTL_SYNC,
        csqlite.SQLITE_FCNTL_COMMIT_PHASETWO,
        csqlite.SQLITE_FCNTL_CKSM_FILE,
        0,
        -1,
        12345,
        2**80,
    ],
)
async def test_controls_that_are_not_offered(db, op):
    with pytest.raises(ValueError, match=rf"(?m)^file_control\(\) does not offer operation {op}$"):
        await db.file_control(op, 1)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("10",), TypeError),
        ((csqlite.SQLITE_FCNTL_PERSIST_WAL, "1"), TypeError),
        ((csqlite.SQLITE_FCNTL_PERSIST_WAL, 1.0), TypeError),
        ((csqlite.SQLITE_FCNTL_PERSIST_WAL, 2**31), OverflowError),
        ((csqlite.SQLITE_FCNTL_SIZE_HINT, 2**63), OverflowError),
        ((csqlite.SQLITE_FCNTL_CHUNK_SIZE,), TypeError),
        ((csqlite.SQLITE_FCNTL_DATA_VERSION, 1), TypeError),
        ((csqlite.SQLITE_FCNTL_RESET_CACHE, 1), TypeError),
        ((csqlite.SQLITE_FCNTL_DATA_VERSION, None, "main"), TypeError),
    ],
)
async def test_control_of_wrong_values(db, arguments, error):
    with pytest.raises(error):
        await db.file_control(*arguments)


@pytest.mark.parametrize("name", [5, None, b"main"])
async def test_control_of_a_schema_of_another_type(db, name):
    with pytest.raises(TypeError):
        await db.file_control(csqlite.SQLITE_FCNTL_DATA_VERSION, name=name)


# -- VFSs


def test_list_of_vfss():
    names = csqlite.vfs_list()
    assert names[0] == "unix"
    assert {"unix-none", "unix-dotfile", "memdb"} <= set(names)
    assert len(names) == len(set(names))
    with pytest.raises(TypeError):
        csqlite.vfs_list(1)


def test_list_of_vfss_from_many_threads():
    lists = []
    threads = [
        threading.Thread(target=lambda: lists.extend(csqlite.vfs_list() for _ in range(100)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lists) == 400
    assert all(names == lists[0] for names in lists)


@pytest.mark.parametrize("vfs", [None, "unix", "unix-none"])
async def test_connecting_with_a_vfs(path, vfs):
    async with csqlite.connect(path, vfs=vfs) as db:
        await db.execute("create table t (a)")
        assert await db.file_control(csqlite.SQLITE_FCNTL_VFSNAME) == (vfs or "unix")


async def test_vfs_of_a_uri_comes_first(path):
    async with csqlite.connect(f"file:{path}?vfs=unix-none", uri=True, vfs="unix") as db:
        await db.execute("create table t (a)")
        assert await db.file_control(csqlite.SQLITE_FCNTL_VFSNAME) == "unix-none"


async def test_two_connections_to_one_memdb():
    async with csqlite.connect("/shared", vfs="memdb") as one:
        async with csqlite.connect("/shared", vfs="memdb") as two:
            await one.executescript("create table t (a); insert into t values (1)")
            assert await scalar(two, "select a from t") == 1


@pytest.mark.parametrize(
    "arguments", [(":memory:", {"vfs": "nowhere"}), ("file:x?vfs=nowhere", {"uri": True})]
)
async def test_vfs_that_there_is_not(arguments):
    database, options = arguments
    with pytest.raises(sqlite3.OperationalError, match="(?m)^no such vfs: nowhere$"):
        await csqlite.connect(database, **options)


@pytest.mark.parametrize(
    ("vfs", "error"), [(5, TypeError), (b"unix", TypeError), ("a\0b", ValueError)]
)
async def test_vfs_of_another_type(vfs, error):
    with pytest.raises(error):
        await csqlite.connect(":memory:", vfs=vfs)


async def test_vfs_of_a_connection_that_sqlite3_opens():
    with pytest.raises(TypeError):
        await csqlite.connect(":memory:", vfs="unix", factory=type("C", (sqlite3.Connection,), {}))
