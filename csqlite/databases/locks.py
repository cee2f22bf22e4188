"""Who has a database open, told across processes: locks on single bytes of one file.

The byte is the database's number in the registry. The locks belong to the open file, and not to
the process as POSIX's do: two objects in one process keep each other out, and other files of the
process may be closed meanwhile. The kernel takes them away with a process that dies.
"""

import errno
import fcntl
import os
import struct
import sys
import weakref

_SET = getattr(fcntl, "F_OFD_SETLK", fcntl.F_SETLK)


def _packed(kind: int, number: int, length: int = 1) -> bytes:
    """Return a struct flock for one byte, or for so many; 0 for all that follow."""
    if sys.platform == "darwin":
        return struct.pack("qqihh", number, length, 0, kind, os.SEEK_SET)
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, number, length, 0)


# Those of this process. A child has the same open files: it would keep what its parent had
# locked, when the parent has died.
_every: "weakref.WeakSet[Locks]" = weakref.WeakSet()


def _forget_in_child() -> None:
    for locks in [*_every]:
        locks._drop()


os.register_at_fork(after_in_child=_forget_in_child)


class Locks:
    """The locks of one object. Nothing here waits."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        _every.add(self)

    def __del__(self) -> None:
        self._drop()

    def take(self, number: int, *, exclusive: bool) -> bool:
        """Take a lock, or change the kind of one that is held; tell whether that was done."""
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        try:
            fcntl.fcntl(self._file, _SET, _packed(kind, number))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def release(self, number: int) -> None:
        """Give a lock back, if it is held."""
        if self._file >= 0:
            fcntl.fcntl(self._file, _SET, _packed(fcntl.F_UNLCK, number))

    def close(self) -> None:
        """Give all of them back."""
        if self._file >= 0:
            fcntl.fcntl(self._file, _SET, _packed(fcntl.F_UNLCK, 0, 0))
        self._drop()

    def _drop(self) -> None:
        """Close the file; the locks stay where another process has it open as well."""
        file, self._file = getattr(self, "_file", -1), -1
        if file >= 0:
            os.close(file)
