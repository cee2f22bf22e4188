"""What one cursor is, asked one request after the other: the model of tests/test_cursor_line.py.

A request that is cancelled was run or was not, and nobody can say which; so the model is the set
of the states in which the cursor may be, and each answer leaves those that agree with it.
"""

from typing import NamedTuple, Optional

SQL = (
    "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < {rows})"
    " select {columns} from n limit {rows}"
)


class Result(NamedTuple):
    """A result set: its rows are (tag, 0), (tag, 1) … in `width` columns."""

    tag: int
    rows: int
    width: int

    def sql(self):
        """Return the query that gives it."""
        columns = ", ".join(["i", f"{self.tag}", "'text ' || i"][: self.width])
        return SQL.format(rows=self.rows, columns=columns)

    def row(self, number):
        """Return one of its rows."""
        return (number, self.tag, f"text {number}")[: self.width]


class State(NamedTuple):
    """Where a cursor stands: `position` rows of `result` are taken."""

    result: Optional[Result] = None
    position: int = 0
    closed: bool = False
    doomed: bool = False  # Whoever executed, or fetched, was cancelled behind that.

    @property
    def left(self):
        """How many rows are left."""
        return 0 if self.result is None else self.result.rows - self.position

    def ended(self):
        """Return the state without rows."""
        return State(closed=self.closed)


def fetch(state, size):
    """Return what fetchmany(size) gives, and the state behind it."""
    count = min(size, state.left)
    rows = [state.result.row(state.position + number) for number in range(count)]
    return rows, state._replace(position=state.position + count)


CLOSED = "Cannot operate on a closed cursor."
RECURSIVE = "Recursive use of cursors not allowed."


def apply(state, operation, argument):
    """Return what the operation answers in this state, and the state behind it."""
    if operation == "close":
        return None, state.ended()._replace(closed=True)
    if state.closed:
        return CLOSED, state
    if operation in ("execute", "raw execute"):
        return "executed", State(argument)
    if operation == "executemany":
        return "executed", State()
    if operation == "executescript":
        return "executed", state  # It leaves the cursor's result set alone.
    if operation in ("fetchone", "raw fetchone"):
        rows, after = fetch(state, 1)
        return (rows[0] if rows else None), after
    if operation == "anext":
        rows, after = fetch(state, 1)
        return (rows[0] if rows else "end"), after
    return fetch(state, argument if operation == "fetchmany" else state.left)


def possible(state, operation, argument, answer, dawdling=False):
    """Yield the states behind an operation that was begun in `state` and answered so.

    dawdling: a row factory lets other threads run, so that the worker may come in between.
    """
    if answer == "cancelled":
        # It never began; or it did, and left no rows. A call on the worker may have come between
        # its answer and its end. Who closes has closed all the same.
        yield state
        yield state.ended()
        yield apply(state, operation, argument)[1]._replace(doomed=True)
        return
    if dawdling and answer == RECURSIVE and operation.startswith("raw "):
        yield state  # A row was being made: a call in place does not wait for that.
        return
    for before in {state, state.ended()} if state.doomed else {state}:
        expected, after = apply(before, operation, argument)
        if expected == answer:
            yield after
