"""What is done to the files of databases. Everything here may wait for the disk: not for a loop.

No function opens a file that SQLite may have open in this process: closing it would take SQLite's
locks away, those of other connections too.
"""

import contextlib
import fcntl
import os
import stat
import subprocess
import sys
import tempfile

from .names import SIDECARS

# Makes the second file share the blocks of the first: ioctl(FICLONE).
_FICLONE = 0x40049409

# The child that does it with a file that SQLite has open: it has none of this process's locks.
_REFLINK = f"""
import fcntl, os, sys
source, target = sys.argv[1:]
with open(source, "rb") as old, open(target, "xb") as new:
    fcntl.ioctl(new, {_FICLONE}, old.fileno())
"""
_REFLINK_SECONDS = 60


def check_regular(path: str) -> None:
    """Raise ValueError where a path is a link or no file, FileNotFoundError where nothing is there."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
        raise ValueError(f"{path!r} is {kind}: no database is opened by it")


def sync_folder_of(path: str) -> None:
    """See to it that what was made, removed or moved beside a path stays so without power."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(path: str) -> None:
    """Remove a database's file, if it is there, and what SQLite has put beside it.

    The database goes first: what is beside one that is gone is never taken for another's.
    A super-journal stays: other databases may have to be rolled back by it.
    """
    for name in (path, *(path + sidecar for sidecar in SIDECARS)):
        if os.path.lexists(name):
            os.unlink(name)
    sync_folder_of(path)


def remove_if_there(path: str) -> None:
    """Remove one file, which may be gone."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def move(source: str, target: str, *, over_itself: bool = False) -> None:
    """Give a closed database another name, never one that is there: FileExistsError.

    over_itself: both may be one file to the file system, in which names have no case.
    """
    if over_itself:
        if os.path.lexists(target) and not is_same(source, target):
            raise FileExistsError(f"{target!r} is there already")
        os.rename(source, target)
    else:
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # The file system has no links.
            if os.path.lexists(target):
                raise FileExistsError(f"{target!r} is there already") from None
            os.rename(source, target)
        else:
            os.unlink(source)
    sync_folder_of(target)


def publish(made: str, target: str) -> None:
    """Give a database that was made under another name, and is closed, its own: FileExistsError."""
    file = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    if not os.path.lexists(target):
        # What a database that is gone has left would be taken for this one's.
        for sidecar in SIDECARS:
            if os.path.lexists(target + sidecar):
                os.unlink(target + sidecar)
    move(made, target)


def is_same(first: str, second: str) -> bool:
    """Tell whether two names are those of one file; both have to be there."""
    return os.path.samestat(os.lstat(first), os.lstat(second))


def is_journal_cold(path: str) -> bool:
    """Tell whether nothing beside a closed database belongs to it.

    A rollback journal that is kept (journal_mode=PERSIST) has nothing but zeros where it begins.
    """
    if os.path.lexists(path + "-wal") and os.path.getsize(path + "-wal"):
        return False
    if not os.path.lexists(path + "-journal"):
        return True
    check_regular(path + "-journal")
    with open(path + "-journal", "rb") as journal:
        return not any(journal.read(8))


def drop_sidecars(path: str) -> None:
    """Remove what is beside a closed database and cold."""
    for sidecar in SIDECARS:
        if os.path.lexists(path + sidecar):
            os.unlink(path + sidecar)


def can_reflink(folder: str) -> bool:
    """Tell whether files of a folder can share their blocks."""
    if not sys.platform.startswith("linux"):
        return False
    with tempfile.TemporaryFile(dir=folder) as old, tempfile.TemporaryFile(dir=folder) as new:
        old.write(bytes(4096))
        old.flush()
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError:
            return False
    return True


def reflink(source: str, target: str) -> bool:
    """Make a new file that shares the blocks of another one, in a process of its own; tell whether it did."""
    command = [sys.executable, "-I", "-S", "-c", _REFLINK, source, target]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_REFLINK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
