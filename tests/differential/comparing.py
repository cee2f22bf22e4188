"""Running a program in sqlite3 and in a view of csqlite, and finding the first line that differs."""

from differential.differences import Verdict, verdict
from differential.running import run
from differential.views import Sqlite3

# How a program ends: what stands in the way of a dump is taken away.
LAST = [
    "db.text_factory = str",
    "db.row_factory = None",
    "db.set_authorizer(None)",
    "db.set_progress_handler(None, 0)",
    "db.set_trace_callback(None)",
    "c0.close()",
    "c1.close()",
    "c2.close()",
    "list(db.iterdump())",
]


def differing(want, got):
    """Return what of an observation is not the same, in both."""
    if not isinstance(want, dict) or not isinstance(got, dict):
        return want, got
    pairs = {key: differing(want.get(key), got.get(key)) for key in {*want, *got}}
    pairs = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    return tuple({key: pair[side] for key, pair in pairs.items()} for side in (0, 1))


def difference(program, view, oracle=None):
    """Return the first line that is not the same in `view`, with both answers; None: all are."""
    lines = [line for line in [*program, *LAST] if view.has(line)]
    want = oracle if oracle and len(oracle) == len(lines) else run(lines, Sqlite3)
    for number, seen in enumerate(zip(lines, want, run(lines, view))):
        answer = verdict(*seen, lines[:number])
        if answer is Verdict.OPEN:
            return None
        if answer is Verdict.DIFFERENT:
            return lines[: number + 1], *differing(*seen[1:])
    return None
