"""Random programs do in csqlite what they do in sqlite3; docs/compat.md names the exceptions."""

import programs as p
from running import Run, temporary
from views import Loop, Raw, Sqlite3
from differences import Verdict, verdict

SUBJECTS = {
    "parameters": p.programs(p.opening("isolation_level"), p.bindings(), p.bindings(), p.many()),
    "statements": p.programs(
        p.opening("isolation_level", "autocommit", "cached_statements"),
        p.once(p.statements), p.once(p.statements), p.scripts(), p.endings, p.levels,
    ),
    "types": p.programs(
        p.opening("detect_types"), p.once(p.typed), p.calls(p.typed), p.fetches, p.text_factories
    ),
    "factories": p.programs(
        p.opening("detect_types"),
        p.calls(p.queries), p.calls(p.typed), p.fetches, p.fetches, p.text_factories, p.row_factories, p.rows,
    ),
    "cursors": p.programs(
        p.opening("isolation_level", "autocommit"),
        p.calls(p.queries), p.calls(p.writes), p.fetches, p.fetches, p.endings, p.cursor_lines,
        p.calls(p.statements),
    ),
    "transactions": p.programs(
        p.opening("isolation_level", "autocommit"),
        p.once(p.control), p.once(p.writes), p.once(p.refused), p.endings, p.levels, p.scripts(),
        p.many(), *([p.autocommits] if "autocommit" in p.OPTIONS else []),
    ),
    "callbacks": p.programs(p.opening(), p.registrations(), p.registrations(), p.uses, p.uses),
    "blobs": p.programs(p.opening(), p.blobs, longest=16),
    "tools": p.programs(p.opening("isolation_level"), p.tools, p.once(p.writes), p.endings),
    "misuse": p.programs(
        p.opening(*p.OPTIONS, odd=True), p.misuse, p.misuse, p.misuse, p.closing, p.fetches, p.calls(p.queries),
        p.registrations(), p.tools, p.blobs,
    ),
}
VIEWS = [Loop, Raw]


LAST = ["db.text_factory = str", "db.row_factory = None", "db.set_authorizer(None)", "db.set_progress_handler(None, 0)", "db.set_trace_callback(None)", "c0.close()", "c1.close()", "c2.close()",
    "list(db.iterdump())"]


STOPPED = [0]


def run(lines, view):
    with temporary() as directory:
        execution = Run(view(), directory)
        try:
            return [execution.step(line) for line in lines]
        finally:
            execution.end()


def difference(program, view):
    lines = [line for line in [*program, *LAST] if view.has(line)]
    want = run(lines, Sqlite3)
    got = run(lines, view)
    for number, (line, expected, actual) in enumerate(zip(lines, want, got)):
        answer = verdict(line, expected, actual, lines[:number])
        if answer is Verdict.OPEN:
            STOPPED[0] += 1
            return None
        if answer is Verdict.DIFFERENT:
            for key in expected:
                a, b = expected[key], actual.get(key)
                if a != b:
                    if isinstance(a, dict) and isinstance(b, dict):
                        key = (key, [x for x in a if a[x] != b.get(x)])
                        a, b = {x: a[x] for x in key[1]}, {x: b.get(x) for x in key[1]}
                    return line, str(key), a, b, lines[: number + 1]
    return None
