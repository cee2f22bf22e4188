"""Names of databases: which there may be, and the file that each has.

A name becomes a part of a path, and a schema's name in SQL. So it is checked before anything is
done with it, and by one function.
"""

import os
import unicodedata

SUFFIX = ".db"

# What SQLite puts behind a database's name.
SIDECARS = ("-wal", "-shm", "-journal")

# Longer ones have no room for what is put behind them: a file's name has 255 bytes.
MOST_BYTES = 200

# SQLite's longest path (SQLITE_MAX_PATHNAME), and what it puts behind one at most.
_LONGEST_PATH = 512
_BEHIND = len("-mjXXXXXX9XX") + 1

# The schemas that each connection has: a transaction over several knows them by their names.
_RESERVED = frozenset({"main", "temp"})


def fold(name: str) -> str:
    """Return what two names have in common that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _fault(name: str) -> str:
    """Return what is wrong with a name, "" for nothing."""
    if not name:
        return "it is empty"
    if name.startswith("."):
        return "it begins with a dot"
    if "/" in name or "\\" in name:
        return "it has a separator of paths in it"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "it has a control character in it, or half a character"
    if name != name.strip():
        return "it begins or ends with white space"
    if len(name.encode()) > MOST_BYTES:
        return f"it has more than {MOST_BYTES} bytes"
    if fold(name) in _RESERVED:
        return "it is reserved"
    return ""


def check(name: str) -> str:
    """Return the name, or raise ValueError; TypeError for what is no str.

    A subclass of str may say one thing here and another one later: what is returned is str itself.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a database must be str, not {type(name).__name__}")
    name = str.__str__(name)
    fault = _fault(name)
    if fault:
        raise ValueError(f"{name!r} cannot be the name of a database: {fault}")
    return name


def path_of(directory: str, name: str) -> str:
    """Return the path of a database's file. Raises ValueError where it is too long for SQLite."""
    path = os.path.join(directory, name + SUFFIX)
    if len(os.fsencode(path)) + _BEHIND > _LONGEST_PATH:
        raise ValueError(f"{name!r} cannot be the name of a database: its path is too long")
    return path


def of_file(file: str) -> str:
    """Return the name of the database that a file of the directory is, "" for none."""
    name = file[: -len(SUFFIX)]
    return name if file.endswith(SUFFIX) and not _fault(name) else ""
