"""Running a program, which is a list of lines of Python, in a view, and telling what was seen."""

import os
import sqlite3
import tempfile
import warnings
from contextlib import nullcontext

from differential import vocabulary

# What a program calls its connections, cursors and blobs.
NAMES = ("db", "other", "c0", "c1", "c2", "blob")
STATE = {
    "db": (
        "in_transaction",
        "total_changes",
        "isolation_level",
        "row_factory",
        "text_factory",
    ),
    "c": ("description", "rowcount", "lastrowid", "arraysize", "row_factory"),
    "blob": (),
}
ATTRIBUTES = {
    "db": STATE["db"],
    "other": STATE["db"],
    "blob": (),
    **{f"c{number}": STATE["c"] for number in range(3)},
}


def shown(value):
    """Return a value as something that compares equal only to the same value of the same type."""
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, *map(shown, value))
    if isinstance(value, dict):
        return ("dict", *((shown(key), shown(item)) for key, item in value.items()))
    if isinstance(value, sqlite3.Row):
        return ("Row", shown(value.keys()), shown(tuple(value)), hash(value) == hash(value))
    for kind in ("Cursor", "Connection", "Blob"):
        target = getattr(value, "_target", value)
        if kind in type(target).__name__ or type(target).__name__ in ("Oracle",):
            return ("an object of the module",)
    if isinstance(value, (int, float, str, bytes, bytearray, type(None))):
        return (type(value).__name__, repr(value))
    if callable(value):
        return ("callable", getattr(value, "__name__", "?"))
    return (type(value).__name__, "object")


def failure(error):
    """Return what a program can see of an exception."""
    return (
        "raised",
        type(error).__module__ + "." + type(error).__qualname__,
        str(error),
        getattr(error, "sqlite_errorcode", None),
        getattr(error, "sqlite_errorname", None),
        type(error.__context__).__name__,
    )


def attempt(function):
    """Return what `function` gives, or how it fails."""
    try:
        return shown(function())
    except Exception as error:
        return failure(error)


class Run:
    """A program that runs in a view."""

    def __init__(self, view, directory):
        self.view = view
        self.names = vocabulary.fresh()
        self.names["connect"] = view.connect
        self.names["path"] = os.path.join(directory, "test.db")
        vocabulary.LOG.clear()

    def step(self, line):
        """Run one line; return its result, warnings, log and the state of all objects."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", ResourceWarning)
            result = self._result(line)
        told = [(item.category.__name__, str(item.message)) for item in caught]
        log = list(vocabulary.LOG)
        vocabulary.LOG.clear()
        return {"result": result, "warnings": told, "log": log, **self._state()}

    def _result(self, line):
        try:
            code = compile(line, "<program>", "eval")
        except SyntaxError:
            return attempt(lambda: exec(line, self.names))
        return attempt(lambda: eval(code, self.names))

    def _state(self):
        state = {}
        for name in NAMES:
            if name in self.names:
                value = self.names[name]
                state[name] = {
                    attribute: attempt(lambda v=value, a=attribute: getattr(v, a))
                    for attribute in ATTRIBUTES[name]
                }
        return state

    def end(self):
        """Close what is open."""
        for name in NAMES:
            value = self.names.pop(name, None)
            if value is not None:
                attempt(value.close)
        if hasattr(self.view, "forget"):
            self.view.forget()
        self.view.close()


def run(lines, view):
    """Return what is seen of each line in a view."""
    with tempfile.TemporaryDirectory() if "path" in lines[0] else nullcontext("") as directory:
        execution = Run(view(), directory)
        try:
            return [execution.step(line) for line in lines]
        finally:
            execution.end()


def script(lines):
    """Return the program as a script that runs by itself, with tests/ on sys.path."""
    return "\n".join(
        [
            "from differential import views, vocabulary",
            "globals().update(vocabulary.fresh(), path='/tmp/differential.db')",
            "connect = views.Loop().connect  # or Sqlite3(), Raw()",
            *lines,
        ]
    )
