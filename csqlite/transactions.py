"""Transactions that tasks cannot mix: docs/transactions.md has what is guaranteed.

Who waits for whom is decided by the extension (bridge/lease.c), where the waiting is done, too. Here are
the blocks, what may be tried again, and the search for those who would wait for ever.
"""

import asyncio
import functools
import inspect
import itertools
import random
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from . import _csqlite, deadlines, fetching, gathering, waits
from .callers import coroutine_function

if TYPE_CHECKING:
    from types import TracebackType

_T = TypeVar("_T")

_MODES = {
    "deferred": "BEGIN DEFERRED",
    "immediate": "BEGIN IMMEDIATE",
    "exclusive": "BEGIN EXCLUSIVE",
    "concurrent": "BEGIN CONCURRENT",
}

# How long is waited between two attempts, in seconds, at most: it doubles from the first to the last.
_SHORTEST = 0.005
_LONGEST = 1.0

_names = itertools.count(1)


def _sql(mode: str, read_only: bool) -> str:
    """Return the statement that begins a transaction, or raise ValueError."""
    if not isinstance(mode, str) or mode.lower() not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(map(repr, _MODES))}, not {mode!r}")
    if not read_only:
        return _MODES[mode.lower()]
    if mode.lower() not in ("deferred", "immediate"):
        raise ValueError("read_only=True is deferred: it takes no other mode")
    return _MODES["deferred"]


def _is_busy(error: Optional[BaseException]) -> bool:
    """Whether it is SQLITE_BUSY, or one of its kinds such as SQLITE_BUSY_SNAPSHOT."""
    code = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, sqlite3.OperationalError) and code & 0xFF == _csqlite.SQLITE_BUSY


def _is_unknown(error: BaseException) -> bool:
    """Whether a COMMIT that failed so may have been done all the same."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == _csqlite.SQLITE_IOERR


def _add_note(error: BaseException, note: str) -> None:
    if hasattr(error, "add_note"):  # since Python 3.11
        error.add_note(note)


class Transaction(fetching.Fetching):
    """What is called on it runs inside the transaction, from any task.

    Given by `async with db.transaction() as tx`, by `db.savepoint()`, and by `await db.begin()`. Its methods are
    those of the connection. Once it is over, each raises OperationalError.

    outcome: None while it is open, then "committed", "rolled back", or "unknown": COMMIT failed in a way
    that does not tell.
    """

    def __init__(self, connection: Any, hold: Any, by_hand: bool = False) -> None:
        self._connection = connection
        self._hold = hold
        self._by_hand = by_hand
        self.outcome: Optional[str] = None

    def __repr__(self) -> str:
        state = self.outcome or self._hold._stage
        return f"<csqlite.Transaction of {self._connection!r}, {state}>"

    @property
    def connection(self) -> Any:
        """The connection that it is a transaction of."""
        return self._connection

    @property
    def is_open(self) -> bool:
        """Whether it was neither committed nor rolled back, as far as is known."""
        return bool(self._hold._stage == "open")

    @property
    def row_factory(self) -> Any:
        """The connection's: what makes rows of tuples."""
        return self._connection.row_factory

    # -- what the connection has, too ------------------------------------------

    def execute(self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None) -> Any:
        """As Connection.execute()."""
        return self._hold._lend(self._connection.execute(sql, parameters, deadline=deadline))

    def executemany(self, sql: str, parameters: Any, *, deadline: Optional[float] = None) -> Any:
        """As Connection.executemany()."""
        if isinstance(parameters, AsyncIterable) and not isinstance(parameters, Iterable):
            return gathering.executemany(self, sql, parameters, deadline=deadline)
        return self._hold._lend(self._connection.executemany(sql, parameters, deadline=deadline))

    def execute_insert(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> Any:
        """As Connection.execute_insert()."""
        return self._hold._lend(self._connection.execute_insert(sql, parameters, deadline=deadline))

    def execute_fetchall(
        self, sql: str, parameters: Any = None, *, deadline: Optional[float] = None
    ) -> Any:
        """As Connection.execute_fetchall()."""
        return self._hold._lend(
            self._connection.execute_fetchall(sql, parameters, deadline=deadline)
        )

    def executescript(self, sql_script: str, *, deadline: Optional[float] = None) -> Any:
        """Raise ProgrammingError: a script may end the transaction. Execute one statement after the other."""
        raise sqlite3.ProgrammingError("executescript() cannot be used inside a transaction()")

    def cursor(self, factory: Any = None, *, row_factory: Any = ...) -> Any:
        """As Connection.cursor(); what the cursor executes runs inside, too."""
        return self._hold._lend(self._connection.cursor(factory, row_factory=row_factory))

    def blobopen(
        self,
        table: str,
        column: str,
        rowid: int,
        /,
        *,
        readonly: bool = False,
        name: str = "main",
    ) -> Any:
        """As Connection.blobopen()."""
        request = self._connection.blobopen(table, column, rowid, readonly=readonly, name=name)
        return self._hold._lend(request)

    # -- inside it ---------------------------------------------------------------

    def transaction(
        self,
        mode: str = "immediate",
        *,
        read_only: bool = False,
        deadline: Optional[float] = None,
    ) -> "Block":
        """Return a savepoint's block: as Connection.transaction() within a transaction."""
        _sql(mode, read_only)
        return Block(self._connection, None, deadline=deadline, around=self._hold)

    def savepoint(self, name: Optional[str] = None, *, deadline: Optional[float] = None) -> "Block":
        """Return the block of a savepoint in this transaction."""
        return Block(self._connection, None, name=name, deadline=deadline, around=self._hold)

    # -- its end -------------------------------------------------------------------

    async def commit(self) -> None:
        """Commit what `await db.begin()` has begun.

        Raises what COMMIT fails with; where the transaction is open still, as after SQLITE_BUSY, it can be
        committed again or rolled back. Raises ProgrammingError in a block, which commits by itself, and while
        the task has a savepoint of it open.
        """
        self._refuse_in_block("commit")
        if self._connection._holder() not in (None, self._hold):
            raise sqlite3.ProgrammingError(
                "a savepoint is open in the transaction: leave its block"
            )
        await self._commit()

    async def rollback(self) -> None:
        """Roll back what `await db.begin()` has begun; do nothing where it is over."""
        self._refuse_in_block("rollback")
        if self.outcome is None:
            await self._rollback()

    def _refuse_in_block(self, name: str) -> None:
        if not self._by_hand:
            raise sqlite3.ProgrammingError(
                f"{name}() cannot be used inside the block of a transaction(): leave the block"
            )

    async def _commit(self, retries: int = 0) -> None:
        """Commit, again where that is busy; wait for the outcome even when cancelled, and tell it then."""
        hold = self._hold
        if hold._stage == "over":
            self.outcome = self.outcome or "rolled back"
            raise sqlite3.OperationalError("The transaction is over.")
        error = await hold._end(True)
        cancelled = hold._cancelled()
        if error is not None and cancelled is None and retries:
            error, cancelled = await self._commit_again(error, retries)
        if error is None:
            self.outcome = "committed"
        elif _is_unknown(error):
            self.outcome = "unknown"
            _add_note(error, "It is not known whether the transaction was committed.")
        elif not self.is_open:
            self.outcome = "rolled back"
        if cancelled is not None:
            _add_note(cancelled, f"The transaction was {self.outcome or 'not committed'}.")
            raise cancelled from error
        if error is not None:
            raise error

    async def _commit_again(
        self, error: Optional[BaseException], retries: int
    ) -> "tuple[Optional[BaseException], Optional[BaseException]]":
        """Commit while that is busy; return what it failed with at last, and was cancelled with."""
        cancelled: Optional[BaseException] = None
        for attempt in range(retries):
            if cancelled is not None or not _is_busy(error) or not self.is_open:
                break
            try:
                await _pause(attempt)
            except asyncio.CancelledError as now:
                return error, now
            error = await self._hold._end(True)
            cancelled = self._hold._cancelled()
        return error, cancelled

    async def _rollback(self) -> None:
        """Roll back; wait for that even when cancelled."""
        hold = self._hold
        if hold._stage != "over":
            await hold._end(False)
        self.outcome = self.outcome or "rolled back"
        cancelled = hold._cancelled()
        if cancelled is not None:
            raise cancelled

    def _drop(self) -> None:
        self._hold._drop()
        self.outcome = self.outcome or "rolled back"


class Block:
    """What `async with` enters: a transaction, or a savepoint within one."""

    def __init__(
        self,
        connection: Any,
        sql: Optional[str],
        *,
        name: Optional[str] = None,
        read_only: bool = False,
        deadline: Optional[float] = None,
        around: Any = None,
        retries: int = 0,
    ) -> None:
        if deadline is not None and deadline < 0:
            raise ValueError("a deadline cannot be negative")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be str or None, not {type(name).__name__}")
        self._connection = connection
        self._sql = sql
        self._name = name
        self._read_only = read_only
        self._deadline = deadline
        self._around = around
        self._retries = retries
        self._hold: Any = None
        self._transaction: Optional[Transaction] = None
        self.outermost = False

    def __aenter__(self) -> "Coroutine[Any, Any, Transaction]":
        # What is asked for is asked for here: it goes by the task that calls this.
        if self._transaction is not None or self._hold is not None:
            raise RuntimeError("a transaction's block is entered once")
        connection = self._connection
        around = self._around or connection._holder()
        if around is not None:
            return self._save(around)
        self.outermost = True
        sql = _MODES["deferred"] if self._sql is None else self._sql
        hold = self._hold = connection._hold(None, waits.watch)
        request = hold._begin(sql, self._read_only, deadline=self._deadline)
        return self._enter(request, sql)

    async def _enter(self, request: Any, sql: str) -> Transaction:
        hold = self._hold
        try:
            if not await request:
                await _begin_again(hold, sql, self._read_only, self._deadline)
        except sqlite3.OperationalError as error:
            _refuse_concurrent(error, sql)
            raise
        transaction = self._transaction = Transaction(self._connection, hold)
        return transaction

    def _save(self, around: Any) -> "Coroutine[Any, Any, Transaction]":
        if self._read_only:
            raise sqlite3.ProgrammingError("read_only=True is for the outermost transaction()")
        name = f"csqlite_{next(_names)}" if self._name is None else self._name
        hold = self._hold = self._connection._hold(name, waits.watch)
        request = hold._begin(name, deadline=self._deadline)
        return self._enter(request if self._around is None else around._lend(request), "")

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> Optional[bool]:
        transaction = self._transaction
        if transaction is None:
            raise RuntimeError("the block was not entered")
        if exc_type is None:
            try:
                await transaction._commit(self._retries)
            except BaseException:
                if transaction._hold._stage != "over":
                    await transaction._rollback()
                raise
        elif issubclass(exc_type, GeneratorExit):
            transaction._drop()  # Nothing can be awaited.
        else:
            await transaction._rollback()
        return None


def _refuse_concurrent(error: BaseException, sql: str) -> None:
    if sql == _MODES["concurrent"] and "CONCURRENT" in str(error):
        raise sqlite3.NotSupportedError("this SQLite has no BEGIN CONCURRENT") from error


async def _begin_again(hold: Any, sql: str, read_only: bool, deadline: Optional[float]) -> None:
    """Begin where a transaction is open that a statement has begun: raise, or wait, as long as for a lock.

    The extension waits for its end by itself, but where it had no way to know of it before.
    """
    loop = asyncio.get_running_loop()
    limit = loop.time() + hold._connection._timeout
    if deadline is not None:
        limit = min(limit, loop.time() + deadline)
    for pause in itertools.chain((0.0, 0.001, 0.002, 0.005), itertools.repeat(0.01)):
        if hold._began_here():
            raise sqlite3.ProgrammingError(
                "this task has a transaction open, begun by a statement outside of any transaction():"
                " commit() or rollback() it first"
            )
        if loop.time() >= limit:
            raise waits.unended()
        await asyncio.sleep(pause)
        if await hold._begin(sql, read_only, deadline=deadline):
            return


async def begin(
    connection: Any, mode: str, read_only: bool, deadline: Optional[float]
) -> Transaction:
    """Begin a transaction by hand."""
    sql = _sql(mode, read_only)
    if connection._holder() is not None:
        raise sqlite3.ProgrammingError(
            "this task has a transaction open: use savepoint() or transaction() in it"
        )
    transaction = await Block(connection, sql, read_only=read_only, deadline=deadline).__aenter__()
    transaction._by_hand = True
    return transaction


def block(
    connection: Any, mode: str, read_only: bool, deadline: Optional[float], retries: int = 0
) -> Block:
    """Return the block of a transaction."""
    sql = _sql(mode, read_only)
    return Block(connection, sql, read_only=read_only, deadline=deadline, retries=retries)


def maker(connection: Any, mode: str, retries: int) -> "Callable[[], Block]":
    """Return what makes the block of each attempt: within the transaction of who calls this, if it has one."""
    sql = _sql(mode, False)
    around = connection._holder()
    return lambda: Block(connection, sql, around=around, retries=retries)


# -- trying again ----------------------------------------------------------------------


async def _pause(attempt: int) -> None:
    """Wait after so many attempts: at random, up to twice as long each time, but not past the deadline."""
    delay = random.uniform(0, min(_LONGEST, _SHORTEST * 2 ** min(attempt, 20)))
    left = deadlines.remaining()
    await asyncio.sleep(delay if left is None else min(delay, left))


class Attempt:
    """One of the attempts of Connection.attempts(): a block that swallows what is tried again.

    number: how many were made before it.
    """

    def __init__(self, make: "Callable[[], Block]", number: int, retries: int) -> None:
        self._make = make
        self._block: Optional[Block] = None
        self._retries = retries
        self.number = number
        self.again = False

    async def __aenter__(self) -> Transaction:
        while True:
            self._block = self._make()
            try:
                return await self._block.__aenter__()
            except sqlite3.OperationalError as error:
                if not self._may_try_again(error):
                    raise
            await _pause(self.number)
            self.number += 1

    def _may_try_again(self, error: Optional[BaseException]) -> bool:
        outermost = self._block is not None and self._block.outermost
        return outermost and self.number < self._retries and _is_busy(error)

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc: Optional[BaseException],
        tb: "Optional[TracebackType]",
    ) -> bool:
        if self._block is None:
            raise RuntimeError("the attempt was not entered")
        await self._block.__aexit__(exc_type, exc, tb)
        self.again = self._may_try_again(exc)
        return self.again


async def attempts(make: "Callable[[], Block]", retries: int) -> AsyncIterator[Attempt]:
    """Give attempts until one is through."""
    number = 0
    while True:
        attempt = Attempt(make, number, retries)
        yield attempt
        if not attempt.again:
            return
        await _pause(attempt.number)
        number = attempt.number + 1


async def run(
    make: "Callable[[], Block]",
    retries: int,
    function: "Callable[..., Awaitable[_T]]",
    arguments: tuple[Any, ...],
) -> _T:
    """Call `function(tx, *arguments)` in a transaction, again while that is busy; give its result."""
    async for attempt in attempts(make, retries):
        async with attempt as transaction:
            coming = function(transaction, *arguments)
            if not inspect.isawaitable(coming):
                raise TypeError(
                    f"a coroutine function is needed, and {_title(function)} gave"
                    f" {type(coming).__name__}"
                )
            result = await coming
    return result


def transactional(function: Any = None, /, *, retries: int = 5, mode: str = "immediate") -> Any:
    """Let a coroutine function run in a transaction of the connection that it is called with.

        @csqlite.transactional(retries=5)
        async def move(tx, source, target, amount): ...

        await move(db, 1, 2, 10)

    Its first argument, of a method the first behind self, is a Connection, or a Transaction, of which it
    becomes a part; what it is run with is the Transaction. It may be run several times: see
    Connection.run_transaction().
    """
    if function is None:
        return functools.partial(transactional, retries=retries, mode=mode)
    _check_function(function)
    _sql(mode, False)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        place = _place(function, arguments)
        on = arguments[place]

        def body(*behind: Any) -> Any:
            return function(*arguments[:place], *behind, **named)

        body.__qualname__ = getattr(function, "__qualname__", body.__qualname__)
        if isinstance(on, Transaction):
            return run(lambda: on.transaction(mode), 0, body, arguments[place + 1 :])
        return on.run_transaction(body, *arguments[place + 1 :], mode=mode, retries=retries)

    return coroutine_function(call)


def _check_function(function: Any) -> None:
    """TypeError where calling it gives nothing that could be awaited."""
    if not callable(function):
        raise TypeError(f"a coroutine function is needed, not {type(function).__name__}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"a coroutine function is needed, and {_title(function)} is a generator")


def _place(function: Any, arguments: "tuple[Any, ...]") -> int:
    """Return which argument is the connection, or the transaction."""
    for place, argument in enumerate(arguments[:2]):
        if isinstance(argument, (Transaction, _csqlite.Connection, _csqlite.Pool)):
            return place
    raise TypeError(
        f"the first argument of {_title(function)}, behind self in a method, must be a Connection, a"
        " Pool or a Transaction"
    )


def _title(function: Any) -> str:
    return f"{getattr(function, '__qualname__', None) or repr(function)}()"
