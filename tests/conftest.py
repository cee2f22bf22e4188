"""What the Python tests share: coroutine tests, the two modules under test, a path and a connection."""

import asyncio
import faulthandler
import gc
import importlib
import inspect
import os

import pytest

TEST_SECONDS = 30
HANG_SECONDS = 60

STDERR = pytest.StashKey()


def pytest_configure(config):
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

    async def guarded():
        await asyncio.wait_for(body(), TEST_SECONDS)

    # The guard above needs a running loop; this one also ends a test whose loop thread is stuck.
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=pyfuncitem.config.stash[STDERR])
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
