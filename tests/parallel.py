"""Coroutine tests for `make test-parallel`: pytest-run-parallel calls a test in several threads.

It knows nothing of coroutines. So each of them becomes a plain function, which makes a loop of its
own for each thread, and makes anew what the threads must not share: a connection, a path.
"""

import asyncio
import functools
import inspect
import itertools

import pytest


def threads_wanted(config):
    """Return how many threads are to run each test; 1 without pytest-run-parallel."""
    wanted = config.getoption("parallel_threads", 1)
    return wanted if wanted == "auto" else int(wanted)


def is_oracle(item):
    """Whether the test runs on aiosqlite or sqlite3, to say what is right."""
    parameters = getattr(item, "callspec", None) and item.callspec.params
    return parameters and (
        parameters.get("aiosqlite") == "aiosqlite" or parameters.get("twin") == "sqlite3"
    )


def _makers(item):
    """Return what made the fixtures that each thread needs for itself: those of csqlite's tests."""
    makers = {}
    for name in item._fixtureinfo.argnames:
        for maker in item._fixtureinfo.name2fixturedefs.get(name, ())[-1:]:
            ours = not maker.func.__module__.startswith("_pytest")
            if ours and maker.scope == "function" and "request" not in maker.argnames:
                makers[name] = maker
    return makers


def prepare(item, seconds):
    """Turn a coroutine test into a function that any number of threads may call at once."""
    if not inspect.iscoroutinefunction(getattr(item, "obj", None)):
        return
    test = item.obj
    makers = _makers(item)
    if any(inspect.isgeneratorfunction(maker.func) for maker in makers.values()):
        item.add_marker(pytest.mark.thread_unsafe(reason="a fixture cannot be made twice"))
        makers = {}
    numbers = itertools.count()

    @functools.wraps(test)
    def run(**arguments):
        number = next(numbers)
        for name, maker in makers.items():
            given = {argument: item.funcargs[argument] for argument in maker.argnames}
            if "tmp_path" in given:
                given["tmp_path"] /= f"own_{number}"
                given["tmp_path"].mkdir()
            arguments[name] = maker.func(**given)

        async def body():
            if "db" not in arguments:
                return await test(**arguments)
            async with arguments["db"]:
                return await test(**arguments)

        async def guarded():
            await asyncio.wait_for(body(), seconds)

        asyncio.run(guarded())

    item.obj = run
