"""What aiosqlite's users see of its thread and its queue, over csqlite's native worker."""

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

if TYPE_CHECKING:
    import asyncio

    from ._csqlite import Connection, _Handle

_T = TypeVar("_T")


def set_result(fut: "asyncio.Future[_T]", result: _T) -> None:
    """Set the result of a future that has none yet."""
    if not fut.done():
        fut.set_result(result)


def set_exception(fut: "asyncio.Future[Any]", e: BaseException) -> None:
    """Set the exception of a future that has none yet."""
    if not fut.done():
        fut.set_exception(e)


def _connection_worker_thread(tx: Any) -> None:
    """Name the worker's thread, as aiosqlite's is named; csqlite's runs no Python function."""


class WorkerThread(threading.Thread):
    """A connection's worker as a Thread: whether it runs, who it is, and waiting for its end.

    The thread is native and not started by this object. It never keeps the process alive,
    whatever `daemon` says.
    """

    def __init__(self, connection: "Connection") -> None:
        super().__init__(target=_connection_worker_thread, args=(None,))
        self._connection = weakref.ref(connection)
        self._handle = connection._handle()

    def _worker(self) -> "Optional[_Handle]":
        """Return the native worker's handle, None while it is not started."""
        connection = self._connection()
        if self._handle is None and connection is not None:
            self._handle = connection._handle()
        return self._handle

    @property
    def daemon(self) -> bool:
        """Kept for programs that set it; the worker never keeps the process alive."""
        return self._daemonic

    @daemon.setter
    def daemon(self, value: bool) -> None:
        self._daemonic = bool(value)

    @property
    def ident(self) -> Optional[int]:
        """threading.get_ident() on the worker, None while it is not started."""
        worker = self._worker()
        return None if worker is None else worker.ident()

    def start(self) -> None:
        """Refuse: awaiting the connection starts the worker."""
        raise RuntimeError("threads can only be started once")

    def is_alive(self) -> bool:
        """Whether the worker was started and has not ended."""
        worker = self._worker()
        return worker is not None and worker.is_alive()

    def join(self, timeout: Optional[float] = None) -> None:
        """Block until the worker has ended, at most `timeout` seconds."""
        worker = self._worker()
        if worker is None:
            raise RuntimeError("cannot join thread before it is started")
        worker.join(timeout)

    def __repr__(self) -> str:
        state = "started" if self.is_alive() else "initial" if self.ident is None else "stopped"
        return f"<{type(self).__name__}({self.name}, {state})>"


class Transactions:
    """The queue of a connection's worker, for putting Python callables into it."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def put_nowait(self, item: "tuple[Optional[asyncio.Future[Any]], Callable[[], Any]]") -> None:
        """Let the worker call `function` in its turn; item is (future, function).

        The future, if there is one, gets the result or the exception on its own loop. Raises
        ValueError when the worker does not run.
        """
        future, function = item
        self._connection._enqueue(lambda: _call_for(future, function))

    put = put_nowait

    def empty(self) -> bool:
        """Whether nothing waits for the worker."""
        return self._connection._idle


def _call_for(future: "Optional[asyncio.Future[Any]]", function: Callable[[], Any]) -> None:
    """Call `function` and tell the future's loop what came of it, if it still runs."""
    settle: Callable[..., None]
    try:
        outcome: Any = function()
        settle = set_result
    except BaseException as exception:
        outcome = exception
        settle = set_exception
    if future is None:
        return
    # Where the loop is closed, nobody waits for the answer any more.
    with contextlib.suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(settle, future, outcome)
