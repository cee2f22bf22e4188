"""Run a program with another module in aiosqlite's place: `substitute.py MODULE PROGRAM DATABASE`.

The programs beside this file are ordinary programs that know nothing of it: each defines `main(path)`.
"""

import asyncio
import faulthandler
import importlib
import runpy
import sys

SECONDS = 40


def main(name, program, database):
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    module = importlib.import_module(name)
    sys.modules["aiosqlite"] = module
    for part in ("core", "cursor", "context"):
        sys.modules["aiosqlite." + part] = importlib.import_module(f"{name}.{part}")

    opened = []
    connect = module.connect

    def noted(*args, **kwargs):
        opened.append(connect(*args, **kwargs))
        return opened[-1]

    module.connect = noted
    asyncio.run(runpy.run_path(program)["main"](database))
    assert opened, "the program opened no connection of " + name
    assert all(connection._connection is None for connection in opened), "a connection is open"


if __name__ == "__main__":
    main(*sys.argv[1:])
