"""What the Python tests share: coroutine tests, the two modules under test, a path and a connection."""

import asyncio
import faulthandler
import gc
import importlib
import inspect
import os
import sqlite3
import sys

import parallel
import pytest
from doses import PATIENCE

# A test that may take longer says so: @pytest.mark.seconds(120).
TEST_SECONDS = 30 * PATIENCE

STDERR = pytest.StashKey()
FROZEN = pytest.StashKey()

# What `make test`, which deals the files out to two processes, begins with: the last file to end
# should be a short one. Half of the run's time is theirs.
LONGEST = (
    *("test_leaks.py", "test_cancellation_everywhere.py", "test_soak.py", "test_memory_flat.py"),
    *("test_end_of_life.py", "test_coroutine_callbacks.py", "test_typing.py", "test_benchmarks.py"),
    *("test_cancellation_matrix.py", "test_shell_terminal.py", "test_instructions.py"),
    *("test_fork.py", "test_streaming.py", "test_deadlines.py", "test_finalization.py"),
    "test_sqlalchemy_cancellation.py",
)

# Tests of what sqlite3 itself does otherwise before Python 3.11: which exception it raises, how
# it words it, and a few results. csqlite does as the newer one on every Python (docs/compat.md).
SINCE_PYTHON_311 = {
    "test_adapter_is_for_the_exact_class",
    "test_buffer_with_gaps_is_refused_as_sqlite3_refuses_it",
    "test_collection_that_is_neither_sequence_nor_mapping",
    "test_conform_that_gives_nothing_to_bind",
    "test_dump_is_that_of_sqlite3",
    "test_empty_statement_does_nothing",
    "test_fetchmany_refuses_what_is_no_c_int",
    "test_insert_behind_something_else_is_as_in_sqlite3",
    "test_isolation_level_can_be_set",
    "test_isolation_level_that_does_not_exist",
    "test_isolation_level_that_does_not_exist_in_connect",
    "test_lone_surrogate_in_the_statement",
    "test_missing_name",
    "test_name_that_does_not_exist",
    "test_null_character",
    "test_odd_options_are_taken_or_refused_as_sqlite3_does",
    "test_other_return_values_are_as_in_sqlite3",
    "test_rowcount_of_returning_once_all_rows_are_read",
    "test_rowcount_of_returning_once_it_was_iterated_to_its_end",
    "test_rows_after_the_one_that_the_factory_refused",
    "test_script_that_is_no_string",
    "test_sql_that_is_no_string",
    "test_second_statement_is_refused_as_sqlite3_refuses_it",
    "test_statement_with_a_null_character",
    "test_two_statements",
    "test_unsupported_value_of_a_named_parameter",
    "test_value_of_an_unsupported_type_is_refused_as_sqlite3_refuses_it",
    "test_what_changes_no_row_is_refused_as_sqlite3_refuses_it",
}

# A debug interpreter ends itself where an assertion within the sqlite3 module does not hold, which
# is so for a few of these tests. sqlite3 is not what is tested there.
DEBUG = hasattr(sys, "gettotalrefcount")


def pytest_collection_modifyitems(config, items):
    in_threads = parallel.threads_wanted(config) != 1
    if DEBUG or in_threads:
        items[:] = [item for item in items if not parallel.is_oracle(item)]
    addressed = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if addressed:
        raise pytest.UsageError(f"an id that the next process has not: {addressed}; labels.shown()")
    if hasattr(config, "workerinput"):
        ranks = {name: rank for rank, name in enumerate(LONGEST)}
        items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))
    for item in items:
        if in_threads:
            parallel.prepare(item, seconds_of(item))
        module = getattr(item, "callspec", None) and item.callspec.params.get("aiosqlite")
        name = getattr(item, "originalname", None)
        if module == "csqlite" and name in SINCE_PYTHON_311 and sys.version_info < (3, 11):
            item.add_marker(pytest.mark.skip(reason="csqlite does as Python 3.11's sqlite3"))


def seconds_of(item):
    """Return how long a coroutine test may take."""
    marker = item.get_closest_marker("seconds")
    return marker.args[0] * PATIENCE if marker else TEST_SECONDS


def pytest_runtest_setup(item):
    """Let the garbage collector pass over what the run has gathered before this file.

    Thousands of tests and their reports would be gone through each time that a test collects.
    """
    if item.config.stash.get(FROZEN, None) != item.path:
        item.config.stash[FROZEN] = item.path
        gc.collect()
        gc.freeze()


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): how long a coroutine test may take")
    config.addinivalue_line("markers", "thread_unsafe: not for pytest-run-parallel")
    # Capturing replaces descriptor 2 during a test; a hang must still be seen.
    config.stash[STDERR] = os.dup(2)


def pytest_unconfigure(config):
    stop_leftover_threads()
    os.close(config.stash[STDERR])


def stop_leftover_threads():
    """Stop the aiosqlite connections that a failed test's traceback still holds.

    Their threads are not daemons and would keep the process from exiting.
    """
    try:
        from aiosqlite import Connection
    except ImportError:
        return
    gc.unfreeze()
    for connection in [item for item in gc.get_objects() if type(item) is Connection]:
        if connection._thread.is_alive() and connection._connection is not None:
            connection.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a coroutine test in a loop of its own; an argument named `db` is open while it runs."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    async def body():
        if "db" not in arguments:
            return await pyfuncitem.obj(**arguments)
        async with arguments["db"]:
            return await pyfuncitem.obj(**arguments)

    seconds = seconds_of(pyfuncitem)

    async def guarded():
        await asyncio.wait_for(body(), seconds)

    # The guard above needs a running loop; this one also ends a test whose loop thread is stuck.
    faulthandler.dump_traceback_later(2 * seconds, exit=True, file=pyfuncitem.config.stash[STDERR])
    try:
        asyncio.run(guarded())
    finally:
        faulthandler.cancel_dump_traceback_later()
    return True


@pytest.fixture(params=["aiosqlite", "csqlite"])
def aiosqlite(request):
    """The module under test: aiosqlite says what is right, csqlite has to agree."""
    if request.param == "aiosqlite":
        return pytest.importorskip("aiosqlite", reason="the oracle is not installed")
    return importlib.import_module(request.param)


@pytest.fixture
def path(tmp_path):
    """The path of a database file that does not exist yet."""
    return tmp_path / "test.db"


@pytest.fixture
def db(aiosqlite):
    """A connection to an empty database in memory, opened and closed around a coroutine test."""
    return aiosqlite.connect(":memory:")


@pytest.fixture(params=["sqlite3", "csqlite"])
def twin(request):
    """connect() of csqlite, or of sqlite3 with csqlite's face: the oracle."""
    from twins import TWINS

    if request.param == "sqlite3" and sys.version_info < (3, 11):
        pytest.skip("csqlite does as Python 3.11's sqlite3")
    for name in getattr(request.module, "ORACLE_NEEDS", ()):
        if request.param == "sqlite3" and not hasattr(sqlite3.Connection, name):
            pytest.skip(f"this Python's sqlite3 has no {name}()")
    return TWINS[request.param]
