"""Which mutexes the C sources lock while they hold another, read from their text.

What is seen are calls by name, and those through a table in the caller. Where a pointer leads that
somebody has put into a struct, a callback of the user's above all, is not seen.
"""

import re
from collections import defaultdict
from typing import NamedTuple

LOCK = re.compile(r"^( *).*?\bpthread_mutex_(lock|trylock|unlock)\(\s*&([\w.>-]+)\)", re.MULTILINE)

# A call, or a function in a table.
CALL = re.compile(r"(?<![.>\w])(\w+)\s*\(|\]\s*=\s*(\w+)\b")

# What runs while X is unlocked and not locked again yet; not behind the unlock of a way out.
GIVEN_AWAY = r"_unlock\(&X\)((?!\breturn\b)[\s\S])*?_(try)?lock\(&X\)"

# How a db is called where it is one of two.
NAMES = {"target": "db", "source": "db", "first": "db", "second": "db"}


class Function(NamedTuple):
    """A function of a file; its name alone may be another file's static one, too."""

    file: str
    static: bool
    body: str


def mutexes(sources):
    """Return the mutexes that the structs have: {"csq_db.lock", ...}."""
    found = set()
    for text in sources.values():
        struct = None
        for line in text.splitlines():
            opened = re.match(r"(?:typedef )?struct (\w+)? ?\{", line)
            struct = opened[1] if opened else struct
            found |= {f"{struct}.{name}" for name in re.findall(r"pthread_mutex_t (\w+);", line)}
    return found


def mutex(expression):
    """Return the mutex that `worker->db.lock` is: "csq_db.lock"."""
    owner, name = re.split(r"->|\.", expression)[-2:]
    return f"csq_{NAMES.get(owner, owner)}.{name}"


def functions(sources):
    """Return {name: [Function]} of sources whose comments are blank."""
    found = defaultdict(list)
    for file, text in sources.items():
        name, static, lines = None, False, None
        previous = ""
        for line in text.splitlines():
            heading = re.match(r"(?:[\w*]+\s+\**)*?(\w+)\(", line)
            if lines is None and heading:
                name, static = heading[1], "static" in line + previous
            elif line == "{" and name:
                lines = []
            elif line == "}" and lines is not None:
                found[name].append(Function(file, static, "\n".join(lines)))
                name, lines = None, None
            elif lines is not None:
                lines.append(line)
            previous = line
    return found


def called(text, file, known):
    """Return the functions that a piece of a body calls, as (name, Function)."""
    for name in {first or second for first, second in CALL.findall(text)}:
        there = known.get(name, [])
        own = [function for function in there if function.file == file]
        for function in own or [function for function in there if not function.static]:
            yield name, function


def locked(text, file, known):
    """Return {mutex: the names of the calls that lead to it} of a piece of a body."""
    found = {}
    seen = set()
    waiting = [(text, file, ())]
    while waiting:
        text, file, way = waiting.pop()
        for expression in {each[2] for each in LOCK.findall(text)}:
            kinds = [kind for _, kind, other in LOCK.findall(text) if other == expression]
            # Who unlocks first has it locked by the caller, and only gives it away for a while.
            if kinds[0] != "unlock":
                found.setdefault(mutex(expression), way)
        for name, function in called(text, file, known):
            if function not in seen:
                seen.add(function)
                waiting.append((function.body, function.file, (*way, name)))
    return found


def held(body):
    """Yield (mutex, the text that runs with it held) of a body.

    An unlock further inside than the lock is taken for that of a way out.
    """
    for lock in LOCK.finditer(body):
        if lock[2] == "unlock":
            continue
        later = LOCK.finditer(body, lock.end())
        ends = [each for each in later if each[2] == "unlock" and each[3] == lock[3]]
        last = [end for end in ends if len(end[1]) <= len(lock[1])] or ends[-1:]
        text = body[lock.end() : last[0].start() if last else lock.end()]
        yield mutex(lock[3]), re.sub(GIVEN_AWAY.replace("X", re.escape(lock[3])), "", text)


def orders(sources):
    """Return {(mutex, one that is locked while it is held): where}."""
    known = functions(sources)
    found = {}
    for name, there in known.items():
        for function in there:
            for outer, text in held(function.body):
                for inner, way in locked(text, function.file, known).items():
                    found.setdefault((outer, inner), " -> ".join([name, *way]))
    return found
