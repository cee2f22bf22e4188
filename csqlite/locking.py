"""Who writes to a database file, and who waits to."""

import os
from dataclasses import dataclass
from typing import Optional, Union

from . import _csqlite


@dataclass(frozen=True)
class Lock:
    """One that has a lock on a database file, or waits for it.

    state: "writes": its transaction writes, or is about to. "waits": it waits for its turn to write; those that do are
    listed in their order. "reads": it is another process, or nothing of csqlite's, and has a lock to read.
    process: the id of its process; None where the system does not tell. sql: the beginning of what it has written
    last, or waits to write. seconds: since when. Both are None but for csqlite's connections of this process.
    """

    state: str
    process: Optional[int]
    sql: Optional[str] = None
    seconds: Optional[float] = None


def locks(path: "Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]", /) -> "list[Lock]":
    """Return who has a lock on the database file at `path`, and who waits for it.

    Of this process it knows the connections that write or wait, of others what the system tells: Linux alone does, of
    processes that one may look at. It is what was at one moment: by now it may have changed. The file is looked up, not
    opened. FileNotFoundError: there is none.
    """
    name = os.fsencode(path)
    os.stat(name)
    found = []
    own = os.getpid()
    for state, *about in _csqlite._locks(name):
        if len(about) == 2:
            found.append(Lock(state, own, about[0].decode("utf-8", "ignore"), about[1]))
        elif about[0] != own or not any(lock.state == "writes" for lock in found):
            found.append(Lock(state, about[0] or None))
    return found
