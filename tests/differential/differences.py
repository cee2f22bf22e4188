"""Which differences between sqlite3 and csqlite are meant. Each is a line of docs/compat.md."""

import enum
import re


class Verdict(enum.Enum):
    SAME = "the same, or different as docs/compat.md says"
    OPEN = "different as docs/compat.md says, and what comes after it depends on it"
    DIFFERENT = "different"


# "Errors": what is wrong with the number or the names of arguments is worded as by aiosqlite's
# functions, which are written in Python, or as by newer Pythons.
ARITY = re.compile(
    r"\b(takes|expected at|expected \d|missing|positional|keyword|required|at most|exactly)\b"
)
# "Errors": values that cannot be bound. sqlite3 asks SQLite for its last error, which may be the
# one of a statement before.
UNBOUND = {"OverflowError", "UnicodeEncodeError", "BufferError", "ProgrammingError"}
# "Executing": parameters are packed before the statement is prepared.
PACKING = {"conform", "adapt", "missing"}
# "Errors": sqlite3 may tell of the error of a statement before when there is nothing to execute.
EMPTY = re.compile(r"""execute\((['"])(\s|\\[nt]|;|--.*?(\\n|(?=\1\)))|/\*.*)*\1\)""")
# "Functions, dump, backup": NUL characters, infinity, negative zero.
MENDED = re.compile(r"CAST\(X|9\.0e\+999|-0\.0")
# "Beyond aiosqlite": what is no database, in place of one.
GARBAGE = re.compile(r"deserialize\(b?'x'")
NOT_A_DATABASE = 26
# "Reading": a result that has been fetched to its end holds no lock. "Callbacks": they can be
# replaced while one is half-read.
LOCKED = re.compile(
    r"is locked|in progress|open savepoint|cannot change|Error creating|active statements"
)
# What serialize() runs within SQLite, which depends on the version.
WITHIN = re.compile(r"PRAGMA .*page_count")

# "Beyond aiosqlite", "Errors": a connection that is not open, and a mistake on one that is not.
CLOSED = [
    ("sqlite3.ProgrammingError", "Cannot operate on a closed database."),
    ("builtins.ValueError", "no active connection"),
    ("builtins.ValueError", "Connection closed"),
    ("sqlite3.ProgrammingError", "Cannot operate on a closed cursor."),
]
BEFORE_CLOSED = {"builtins.TypeError", "builtins.ValueError", "builtins.OverflowError"}


def verdict(line, want, got, before):
    """Compare what sqlite3 and csqlite let be seen of a line; `before` are the lines before it."""
    if want == got:
        return Verdict.SAME
    if "iterdump" in line and want["result"][0] == got["result"][0] == "list":
        if not same_dump(want["result"], got["result"]):
            return Verdict.DIFFERENT
        got = {**got, "result": want["result"]}
    if "iterdump" in line and any("setlimit" in item for item in before):
        return Verdict.SAME
    if is_open(line, want["result"], got["result"], before):
        return Verdict.OPEN
    if set(want) != set(got) or not same_outcome(want["result"], got["result"]):
        return Verdict.DIFFERENT
    raised = want["result"][0] == "raised"
    if any(told(want, key, raised) != told(got, key, raised) for key in ("warnings", "log")):
        return Verdict.DIFFERENT
    for name in set(want) - {"result", "warnings", "log"}:
        for attribute, value in want[name].items():
            if same_outcome(value, got[name][attribute]):
                continue
            if attribute == "total_changes" and half_returned(before, line):
                continue
            if attribute == "rowcount" and half_counted(name, [*before, line]):
                continue
            return Verdict.DIFFERENT
    return Verdict.SAME


def same_dump(want, got):
    """Compare two dumps, but for what "Functions, dump, backup" lists."""
    want, got = (
        [line for line in result if line != ("str", "'PRAGMA foreign_keys=OFF;'")]
        for result in (want, got)
    )
    return len(want) == len(got) and all(
        one == other or MENDED.search(other[1]) for one, other in zip(want, got)
    )


def told(seen, key, raised):
    """Return what was seen, without what packing alone has caused, or warned of."""
    if key == "log":
        return [
            item
            for item in seen[key]
            if not (raised and item[0] in PACKING) and not WITHIN.search(item[-1])
        ]
    # "Errors": one warning for all the named placeholders of a statement.
    named = [item for item in seen[key] if "is a named parameter" in item[1]]
    return [] if raised else [item for item in seen[key] if item not in named[1:]]


def same_outcome(want, got):
    """Compare two results, or two failures."""
    if want == got:
        return True
    if got[0] != "raised":
        return False
    if want[0] != "raised":
        return want[0] in ("NoneType", "callable") and got[1:3] == CLOSED[1]
    _, kind, text, code, name, context = want
    if (kind, text) in CLOSED and got[1] in BEFORE_CLOSED:
        return True
    # "Errors": deleting an attribute.
    if (kind, got[1]) == ("builtins.TypeError", "builtins.AttributeError"):
        return "delete" in text
    if got[1:3] in CLOSED:
        return (kind, text) in CLOSED or kind in BEFORE_CLOSED
    if context in UNBOUND and got[1].endswith("." + context):
        return True
    if kind != got[1]:
        return False
    # "Errors": there are codes where sqlite3 has none, and a name where it knows none.
    if text == got[2] and (name in (None, "unknown")) and code in (None, got[3]):
        return True
    if kind == "builtins.TypeError":
        return bool(ARITY.search(text)) and bool(ARITY.search(got[2]))
    return kind == "builtins.AttributeError"


def executed(line):
    """Return the cursor that a line leaves half-read, perhaps."""
    found = re.match(r"(c\d)(\.execute\(| = db\.execute\()", line)
    return found and not line.endswith(".fetchall()") and found[1]


def half_returned(before, line):
    """Whether DML with RETURNING may be half-read, whose changes SQLite has not yet counted."""
    return any(executed(item) and "returning" in item for item in [*before, line])


def half_counted(name, lines):
    """Whether the last rows of DML with RETURNING may be taken, and its end not yet seen."""
    for line in reversed(lines):
        if executed(line) == name:
            return False
        if name in line:
            return bool(re.search(r"fetchone|fetchmany|next\(", line)) and "returning" in "".join(
                item for item in lines if executed(item) == name
            )
    return False


# "Reading": what changes a table that is being read.
CHANGE = re.compile(
    r"insert|update|delete|replace|drop|alter|create|vacuum|commit|rollback|release|script|many"
    r"|reindex|attach|isolation_level|autocommit|begin|savepoint|deserialize|end|pragma",
    re.IGNORECASE,
)


def written_since(before, line):
    """Whether a line reads on in a result whose tables may have been changed since it began."""
    for name in re.findall(r"c\d", line):
        for number in reversed(range(len(before))):
            if executed(before[number]) == name:
                if any(CHANGE.search(item) for item in before[number + 1 :]):
                    return True
                break
    return False


def is_open(line, want, got, before):
    half_read = [item for item in before if executed(item)]
    if "deserialize(" in line and got[0] == "raised" and got[3] == 5:
        return True
    if got[3:4] == (NOT_A_DATABASE,) and any(GARBAGE.search(item) for item in before):
        return True
    if "blob" in line and got[2:3] == ("query aborted",) and any(map(CHANGE.search, before)):
        return True
    if want[0] == "raised" and got[0] != "raised" and EMPTY.search(line):
        return True
    if written_since(before, line):
        return True
    # Also the other way about: `_conn` cannot wait for the worker to let a dropped cursor go.
    return bool(half_read) and any(
        result[0] == "raised" and LOCKED.search(result[2]) for result in (want, got)
    )
