"""Who waits for whom: a task that waits for the end of a transaction whose task waits for it, is told.

asyncio does not say what a task waits for. So from the task that waits one goes upwards, over the callbacks of what is
not done yet, to the tasks and futures that will hear of it; and from a task that has a transaction open, to
those that wait for the end of that.
"""

import asyncio
import contextlib
import gc
import sqlite3
import types
import weakref
from collections.abc import Iterator
from typing import Any, Optional

# How long until it is looked for the first time, and at most between two times, in seconds.
_FIRST = 0.005
_LONGEST = 0.1

# How far a callback's references are followed: a function's cells, a bound method's object and its attributes.
_DEPTH = 4

# What is behind these is everything.
_OPAQUE: tuple[Any, ...] = (
    type,
    types.ModuleType,
    types.FrameType,
    types.CodeType,
    types.BuiltinFunctionType,
)

# The holds that somebody waits for, by the task that has each. Nothing here keeps a hold or its task: what
# nobody else refers to is to be collected, and so rolled back, while it is waited for.
_held: "weakref.WeakKeyDictionary[Any, weakref.WeakSet[Any]]" = weakref.WeakKeyDictionary()


def watch(hold: Any) -> None:
    """Look from time to time whether who waits for the hold's end waits for ever.

    Called by the extension when the first one begins to wait, and when the hold itself does: for a transaction
    that a statement has begun.
    """
    if hold._stage == "new":
        with contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            limit = loop.time() + hold._connection._timeout
            _be_patient(loop, weakref.ref(hold), limit, _FIRST)
        return
    task = hold._task
    if task is None:
        return
    _held.setdefault(task, weakref.WeakSet()).add(hold)
    with contextlib.suppress(RuntimeError):  # No loop runs in this thread: nobody could be told.
        loop = asyncio.get_running_loop()
        loop.call_later(_FIRST, _look, loop, weakref.ref(hold), _FIRST)


def unended() -> sqlite3.OperationalError:
    """Return the error of who has waited too long for a transaction that a statement has begun."""
    error = sqlite3.OperationalError(
        "a transaction is open that was begun outside of any transaction(),"
        " and was not ended while it was waited for"
    )
    error.unended = True  # type: ignore[attr-defined]
    return error


def _be_patient(
    loop: asyncio.AbstractEventLoop, waiting: "weakref.ref[Any]", limit: float, pause: float
) -> None:
    """Let a hold wait for what a statement has begun, but no longer than for a lock.

    It hears of the end from the call that brings it; only of one that nobody awaits, from here.
    """
    hold = waiting()
    if hold is None or hold._stage != "new":
        return
    left = limit - loop.time()
    hold._tire(unended() if left <= 0 else None)
    if left > 0:
        following = min(2 * pause, _LONGEST)
        loop.call_later(min(left, pause), _be_patient, loop, waiting, limit, following)


def _look(loop: asyncio.AbstractEventLoop, held: "weakref.ref[Any]", pause: float) -> None:
    """Tell those who wait in vain; come again while anybody waits."""
    hold = held()
    if hold is None:
        return
    owner = hold._task
    if hold._stage not in ("open", "opening", "ending"):
        _forget(hold, owner)
        return
    for task in () if _goes_on(owner, hold) else hold._waiters():
        reason = _reason(owner, task)
        if reason is not None:
            hold._refuse(task, sqlite3.OperationalError(reason))
    pause = min(2 * pause, _LONGEST)
    loop.call_later(pause, _look, loop, held, pause)


def _goes_on(owner: Any, hold: Any) -> bool:
    """Whether the task is seen at once to wait for nobody: it runs, or a statement of its own does."""
    if owner.done():
        return False
    if hold._stage != "open":
        return True
    awaited = getattr(owner, "_fut_waiter", None)
    return awaited is None or (
        len(_held) == 1 and type(awaited).__module__ == __package__ + "._csqlite"
    )


def _forget(hold: Any, owner: Any) -> None:
    holds = _held.get(owner)
    if holds is not None:
        holds.discard(hold)
    if not holds:
        _held.pop(owner, None)


def _name(task: Any) -> str:
    return f"{task.get_name()!r}" if hasattr(task, "get_name") else repr(task)


def _reason(owner: Any, task: Any) -> Optional[str]:
    """Return why `task` waits in vain, None where it does not."""
    if owner.done():
        return (
            f"task {_name(task)} waits for a transaction that task {_name(owner)} has begun, which is"
            " done, and has left it open"
        )
    if owner is not task and waits_for(owner, task):
        return (
            f"deadlock: task {_name(task)} waits for the end of a transaction of task"
            f" {_name(owner)}, which waits for {_name(task)}; call it on the transaction"
            " (`async with db.transaction() as tx`) to be part of it"
        )
    return None


def waits_for(owner: Any, task: Any) -> bool:
    """Whether `owner` waits, over however many, for `task` to be done."""
    seen = {id(task)}
    queue = [task]
    while queue:
        current = queue.pop()
        for other in _waiting(current):
            if other is owner:
                return True
            if id(other) not in seen:
                seen.add(id(other))
                queue.append(other)
    return False


def _waiting(current: Any) -> Iterator[Any]:
    """Give the tasks and futures that go on only when `current` is done."""
    for callback in _callbacks(current):
        if _is_one_of_many(callback):
            continue
        for other in _reached(callback):
            if isinstance(other, asyncio.Task):
                if getattr(other, "_fut_waiter", None) is current:
                    yield other
            elif other is not current and not other.done():
                yield other
    for hold in _held.get(current, ()) if isinstance(current, asyncio.Task) else ():
        yield from hold._waiters()


def _callbacks(current: Any) -> "list[Any]":
    found = getattr(current, "_callbacks", None) or ()
    return [each[0] if isinstance(each, tuple) else each for each in found]


def _is_one_of_many(callback: Any) -> bool:
    """Whether it wakes somebody who waits for the first of several to be done."""
    code = getattr(callback, "__code__", None)
    if code is None or callback.__closure__ is None:
        return False
    cells = {}
    for name, cell in zip(code.co_freevars, callback.__closure__):
        with contextlib.suppress(ValueError):  # It is empty.
            cells[name] = cell.cell_contents
    first = cells.get("return_when") in (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION)
    return first and cells.get("counter", 1) > 1


def _reached(callback: Any) -> "list[Any]":
    """Return the tasks and futures that a callback refers to, directly or not."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Future):
        return [owner]
    found = []
    seen = set()
    layer = [callback]
    for _ in range(_DEPTH):
        following = []
        for each in layer:
            for other in _referents(each):
                if id(other) in seen or isinstance(other, _OPAQUE):
                    continue
                seen.add(id(other))
                if asyncio.isfuture(other):
                    found.append(other)
                elif not isinstance(other, asyncio.AbstractEventLoop):
                    following.append(other)
        layer = following
    return found


def _referents(each: Any) -> "list[Any]":
    """Return what an object refers to, but not the globals of a function."""
    if isinstance(each, types.FunctionType):
        return [*(each.__closure__ or ()), *(each.__defaults__ or ())]
    return gc.get_referents(each)
