"""The shape of src/ and of the Python folders: which unit may use which, how large a room may grow.

Every rule is a function from the sources to a list of complaints. Beside each stands a
sample that breaks it, and a test that the rule notices.
"""

import re

import pytest
from csources import blanked, read_sources
from imports import BUILT, common_folder, imports, read_files, unit

# Floors may include themselves and what stands before them.
FLOORS = ("engine", "bridge", "binding")

# Inside these floors a unit may include itself and what stands in an earlier row. A new
# unit is a new name in one row.
ORDER = {
    "engine": (
        ("list", "scan", "clock"),
        ("alloc", "effect", "journal", "number", "savepoint", "target"),
        ("array", "inode", "interest", "writers"),
        ("watched", "places"),
        ("idle",),
        ("inodes",),
        ("vfs",),
        ("fork",),
        ("blocker",),
        ("error", "cells", "columns", "changes"),
        ("stmt", "flow", "hooks", "vtable", "extension", "harden", "parting", "shadow"),
        ("commit", "reads"),
        ("watches",),
        ("recorded",),
        ("dump", "describe", "record"),
        ("cursor", "blob", "session"),
        ("db",),
        ("claim", "control", "reset", "snapshot"),
        ("backup", "serialize"),
        ("job",),
        ("queue", "mailbox", "crew"),
        ("turn",),
        ("look", "rows", "transaction", "bounds"),
        ("batch",),
        ("execute",),
        ("hold",),
        ("ops", "executor"),
        ("worker", "watcher"),
        ("group",),
        ("native",),
    ),
    "bridge": (
        ("compat",),
        ("context", "gate", "host", "stop", "stretch"),
        ("asyncio",),
        ("state", "waiter"),
        ("host_asyncio", "ready", "reactor"),
        ("callback_task",),
        ("request_object",),
        ("lease", "line"),
        ("request",),
        ("await", "delivery"),
        ("deadline",),
        ("coroutine", "direct"),
        ("bridge",),
    ),
    "binding": (
        ("attributes", "codes", "jsonb", "module"),
        (
            "args",
            "carray",
            "changes",
            "connection",
            "constants",
            "handle",
            "jsonb_text",
            "numbers",
            "signature",
            "told",
            "visit",
        ),
        ("notes",),
        ("convert", "cursor", "errors", "jsonb_decode", "jsonb_encode", "recording"),
        ("change", "library", "locks", "method", "repr", "rows", "trampolines"),
        ("backup", "blob", "calls", "changeset", "cursor_properties", "extensions", "fetch"),
        (
            "foreign",
            "hook_calls",
            "iterate",
            "registry",
            "serialize",
            "settings",
            "status",
            "upkeep",
            "vtable_table",
        ),
        (
            "watchdog",
            "blob_data",
            "blob_position",
            "closing",
            "file_control",
            "functions",
            "hold",
            "hooks",
            "session",
            "vtable",
            "watch",
        ),
        ("statement", "properties", "execute", "opening", "callbacks", "apply"),
        ("cursor_type", "executemany", "fetching", "hold_type"),
        ("pooled",),
        ("pool_call",),
        ("pool_object",),
        ("connection_type", "init"),
    ),
}

# The same for Python. In each folder a file, or a folder in it, imports only what stands in an
# earlier row: at its top, within a function, and for its types alone. Tests stand at the top of theirs.
PYTHON_ORDER = {
    "": (
        ("csqlite",),
        ("benchmarks", "examples", "tools"),
        ("setup", "tests"),
    ),
    "csqlite": (
        ("_csqlite", "__version__", "notes", "rows", "values"),
        ("callers",),
        (
            "context",
            "copies",
            "cursor",
            "deadlines",
            "fetching",
            "groups",
            "hooks",
            "locking",
            "pragmas",
            "readers",
            "settling",
            "signatures",
            "tables",
            "waits",
            "worker",
        ),
        ("backup", "foreign", "gathering"),
        ("live", "statement", "transactions"),
        ("observing",),
        ("core",),
        ("pool", "raw"),
        ("databases",),
        ("__init__",),
        ("shell",),
        ("__main__",),
    ),
    "csqlite/databases": (
        ("endings", "errors", "locks", "names"),
        ("connecting", "files", "slots"),
        ("making", "registry"),
        ("several",),
        ("repair",),
        ("databases",),
        ("__init__",),
    ),
    "csqlite/pool": (
        ("errors", "member", "routing", "statistics", "wal"),
        ("shelf",),
        ("gaps", "lending"),
        ("base",),
        ("blocks", "calls"),
        ("pool",),
        ("__init__",),
    ),
    "csqlite/live": (("changes", "polling"), ("observation", "subscription"), ("__init__",)),
    "csqlite/shell": (
        ("errors", "modes", "pages", "statements", "values"),
        ("arguments", "formats", "interrupts", "output", "vocabulary"),
        ("expert", "explain", "lines", "page_sources", "stats", "tables"),
        ("pretty", "prompting", "recover"),
        ("session",),
        ("command",),
        ("command_recover", "command_schema", "command_settings", "script"),
        ("command_files",),
        ("command_import",),
        ("commands",),
        ("application",),
        ("__init__",),
    ),
    "benchmarks": (
        ("__init__", "clock", "drivers", "machine", "quiet", "resident", "targets"),
        ("awake", "fixture", "hotpaths", "instructions", "ways"),
        ("workloads",),
        ("child",),
        ("run",),
        ("report",),
        ("concurrency", "observers", "plots", "scaling", "writers"),
        ("__main__",),
    ),
    "benchmarks/drivers": (
        ("base",),
        ("aiosqlite_api", "apsw_api", "asqlite_api", "cysqlite_aio"),
        ("executor", "rapsqlite_api", "stdlib", "turso_aio"),
        ("__init__",),
    ),
    "benchmarks/workloads": (
        ("base",),
        ("concurrency", "functions", "memory", "results", "selects", "stalls", "writes"),
        ("__init__",),
    ),
    "examples": (("library_search", "serving"), ("event_log", "notes_service")),
    "tools": (
        ("sqlite_build",),
        ("fetch_sqlite",),
        ("fetch_sqlalchemy", "soak"),
    ),
    "tools/soak": (
        ("__init__", "bank", "ledger", "tally"),
        ("conductor", "process"),
        ("other", "pools", "tenants", "watch"),
        ("verdict",),
        ("faults",),
        ("load",),
        ("__main__",),
    ),
    "tests": (
        (
            "csources",
            "cursor_model",
            "damage",
            "doses",
            "grouping",
            "imports",
            "killed_writer",
            "labels",
            "locks",
            "memory_kinds",
            "writing",
        ),
        ("nomemory", "parallel", "sealing", "shells", "twins", "two_sqlites", "unraisable"),
        ("cleanliness", "damaged_reader", "leaking", "nomemory_steps", "processes"),
        ("clients", "conftest", "differential", "parity"),
    ),
    "tests/clients": (),
    "tests/differential": (
        ("differences", "programs", "vocabulary", "views"),
        ("running",),
        ("comparing",),
        ("explore",),
    ),
    "tests/parity": (("outcomes",),),
}

# What is imported against that order, as {(importing, imported): why}.
DELIBERATE = {}

# What asyncio calls what the bridge asks of its loops, futures and tasks. Behind bridge/host.h
# these files speak of it, and no others.
ASYNCIO_FILES = ("bridge/asyncio.h", "bridge/host_asyncio.c", "bridge/waiter.c")
ASYNCIO_NAMES = {
    *("asyncio", "get_running_loop", "CancelledError", "InvalidStateError", "ensure_future"),
    *("add_reader", "remove_reader", "call_soon", "call_soon_threadsafe", "call_later", "call_at"),
    *("create_future", "create_task", "is_running", "is_closed", "run_in_executor", "_ready"),
    *("add_done_callback", "remove_done_callback", "set_result", "set_exception", "cancelling"),
    "_asyncio_future_blocking",
}
# The same, where a method is called by such a name: elsewhere it is a word like others.
ASYNCIO_WORDS = {"done", "result", "exception", "cancel", "cancelled"}

FILE_LINES = 600
FUNCTION_LINES = 60

# CPython's functions take these tables without const. Nothing here writes to them.
CPYTHON_TABLES = (
    "PyGetSetDef",
    "PyMemberDef",
    "PyMethodDef",
    "PyModuleDef",
    "PyModuleDef_Slot",
    "PyType_Slot",
    "PyType_Spec",
)

# What concerns the process as a whole, and not an interpreter in it: SQLite's system calls are one
# table, whose functions get no argument of their own, and it is a process that forks, and one to
# which files are locked.
# Nothing else may follow these examples.
PROCESS_STATE = (
    "engine/vfs.c: static struct process {} process",
    "engine/fork.c: static pthread_once_t watched",
    "engine/fork.c: static int failure",
    "engine/fork.c: static _Thread_local bool held",
    "engine/writers.c: static struct csq_lines lines",
    "engine/watched.c: static struct csq_watches watches",
    "engine/watched.c: atomic_uint csq_watch_turns",
)


def place(name):
    """Return the floor and the unit of "engine/db.c": "engine", "db"."""
    floor, _, file = name.rpartition("/")
    return floor, file.rpartition(".")[0]


def includes(text):
    """Return the names in `#include "name"`, in order."""
    return re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.MULTILINE)


def system_includes(text):
    """Return the names in `#include <name>`, in order."""
    return re.findall(r"^\s*#\s*include\s*<([^>]+)>", text, re.MULTILINE)


def declarations(text):
    """Yield the file-level declarations of a text, each with {} for what is in braces."""
    depth = 0
    current = ""
    for character in blanked(text):
        if character == "{":
            depth += 1
            current += "{" if depth == 1 else ""
        elif character == "}":
            depth -= 1
            if depth == 0:
                current += "}"
                if re.search(r"\)\s*\{\}$", current):
                    # The body of a function; what follows is a new declaration.
                    current = ""
        elif depth == 0:
            if character == ";":
                yield " ".join(current.split())
                current = ""
            else:
                current += character


def functions(text):
    """Yield (name, number of lines) of the functions that begin and end in column 0."""
    name = None
    start = 0
    inside = False
    for number, line in enumerate(text.splitlines()):
        heading = re.match(r"(?:[\w*]+\s+\**)*?(\w+)\(", line)
        if not inside and heading and not line.startswith("#"):
            name, start = heading.group(1), number
        elif line == "{" and name:
            inside = True
        elif line == "}" and inside:
            yield name, number - start + 1
            name, inside = None, False


def is_constant(declaration):
    """Whether the object declared is const: where it is a pointer, the pointer itself."""
    if "(*" in declaration:
        return bool(re.search(r"\(\*\s*const\b", declaration))
    return bool(re.search(r"\bconst\b", declaration.rpartition("*")[2]))


def floors_only_downward(sources):
    for name, text in sources.items():
        floor, _ = place(name)
        if floor not in FLOORS:
            yield f"{name} is on no floor"
            continue
        for included in includes(text):
            target, _ = place(included)
            if target not in FLOORS:
                yield f'{name} includes "{included}", which does not begin with a floor'
            elif FLOORS.index(target) > FLOORS.index(floor):
                yield f"{name} includes {included}, a floor above"
            elif included not in sources:
                yield f"{name} includes {included}, which does not exist"


def units_only_downward(sources):
    ranks = {
        (floor, unit): rank
        for floor, rows in ORDER.items()
        for rank, row in enumerate(rows)
        for unit in row
    }
    for name, text in sources.items():
        here = place(name)
        if here[0] not in ORDER:
            continue
        if here not in ranks:
            yield f"{name} has no row in ORDER"
            continue
        for included in includes(text):
            there = place(included)
            if there[0] == here[0] and there != here and ranks.get(there, -1) >= ranks[here]:
                yield f"{name} includes {included}, which is not below it"


def no_cycle(sources):
    finished = set()

    def walk(name, path):
        if name in path:
            yield " -> ".join([*path[path.index(name) :], name])
        elif name not in finished and name in sources:
            for included in includes(sources[name]):
                yield from walk(included, [*path, name])
            finished.add(name)

    for name in sources:
        yield from walk(name, [])


def no_umbrella_header(sources):
    for name, text in sources.items():
        if name.endswith(".h") and not blanked(text).strip():
            yield f"{name} declares nothing"


def no_source_included(sources):
    for name, text in sources.items():
        for included in [*includes(text), *system_includes(text)]:
            if not included.endswith(".h"):
                yield f"{name} includes {included}"


def no_python_in_the_engine(sources):
    for name, text in sources.items():
        if place(name)[0] == "engine":
            for included in [*includes(text), *system_includes(text)]:
                if re.match(r"(?:cpython/|python)|(?:Python|structmember|datetime)\.h", included):
                    yield f"{name} includes {included}"


def asyncio_behind_the_host(sources):
    for name, text in sources.items():
        if place(name)[0] == "engine" or name in ASYNCIO_FILES:
            continue
        called = re.findall(r'\b(?:Py\w+|module_attribute)\([^;"]*"(\w+)"', text)
        for literal in {*re.findall(r'"(\w+)"', text)}:
            if literal in ASYNCIO_NAMES or (literal in ASYNCIO_WORDS and literal in called):
                yield f'{name} says "{literal}", which bridge/host.h is for'
        if re.search(r"\b(?:\.|->)asyncio\.(?!host\b)", blanked(text)):
            yield f"{name} uses what only host_asyncio.c knows of asyncio"


def no_db_above_the_engine(sources):
    """Who is above knows an executor; the db of a native one has one door, csq_native_db()."""
    for name, text in sources.items():
        if place(name)[0] == "engine":
            continue
        code = blanked(text)
        for way in re.findall(r"\b(?:worker|executor|native)\w*(?:->|\.)db\b", code):
            yield f"{name} reaches into {way}"
        for type_ in re.findall(r"\bstruct (?:csq_worker|csq_queue)\b", code):
            if name != "binding/foreign.c":  # An executor, which begins with one.
                yield f"{name} knows {type_}"


# Who may ask whether there is an object of another module below: what stands for it is one attribute or
# view of that, what is made of it one cursor.
FOREIGN = (
    "binding/attributes.c",
    "binding/cursor_properties.c",
    "binding/cursor_type.c",
    "binding/foreign.c",
    "binding/properties.c",
    "binding/repr.c",
)


def no_branch_on_foreign(sources):
    """Everywhere else an executor answers: through its verbs, or csq_connection.answers."""
    for name, text in sources.items():
        if name in FOREIGN:
            continue
        code = blanked(text)
        branches = re.findall(r"\bforeign\s*(?:[!=]=|\?|&&|\|\|)|!\s*[\w>.-]*\bforeign\b", code)
        branches += re.findall(r"\b(?:if|while) \([^;{]*->foreign\b", code)
        if branches:
            yield f"{name} branches on foreign"


def no_large_file(sources):
    for name, text in sources.items():
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield f"{name} has {lines} lines"


def no_long_function(sources):
    for name, text in sources.items():
        for function, lines in functions(text):
            if lines > FUNCTION_LINES:
                yield f"{function}() in {name} has {lines} lines"


def no_mutable_state(sources):
    for name, text in sources.items():
        for declaration in declarations(text):
            left = declaration.split("=", 1)[0].strip()
            if re.match(r"(?:typedef|extern)\b|_Static_assert|static_assert", left):
                continue
            if re.match(r"(?:struct|union|enum)\b(?:\s*\w+)?(?:\s*\{\})?$", left):
                continue  # A type without an object.
            if re.match(r"[^(]*\w\s*\((?!\*)", left):
                continue  # A prototype, or a macro that reads like one.
            if any(re.search(rf"\b{table}\b", left) for table in CPYTHON_TABLES):
                continue
            if left and not is_constant(left) and f"{name}: {left}" not in PROCESS_STATE:
                yield f"{name}: {left}"
        # A static inside a function is state of the file as well. PyArg_* takes the
        # names of keywords without const.
        for line in blanked(text).splitlines():
            hidden = re.match(r"\s+static\s+([^=;]*)", line)
            if hidden and not is_constant(hidden[1]) and "keywords[]" not in hidden[1]:
                yield f"{name}: {line.strip()}"


def python_ranks(folder):
    """Return {unit: row} of a Python folder."""
    return {name: rank for rank, row in enumerate(PYTHON_ORDER[folder]) for name in row}


def python_rank(folder, name):
    """Return the row of a unit; a test is above all others, what has no row is nowhere."""
    if folder.startswith("tests") and name.startswith("test_"):
        return len(PYTHON_ORDER[folder])
    return python_ranks(folder).get(name)


def python_only_downward(files):
    for name in files:
        for other in imports(name, files):
            folder = common_folder(name, other)
            if folder not in PYTHON_ORDER or (name, other) in DELIBERATE:
                continue
            above = python_rank(folder, unit(name, folder))
            below = python_rank(folder, unit(other, folder))
            if above is not None and below is not None and below >= above:
                yield f"{name} imports {other}, which is not below it"


def python_in_a_row(files):
    for name in files:
        folder = name.rpartition("/")[0]
        if folder not in PYTHON_ORDER:
            yield f"{name} is in a folder without an order"
        elif python_rank(folder, unit(name, folder)) is None:
            yield f"{name} has no row in PYTHON_ORDER"


LONG = "int\nlong_one(void)\n{\n" + "    step();\n" * FUNCTION_LINES + "}\n"

# Each rule, and samples that it must complain about.
RULES = {
    floors_only_downward: [
        {"engine/db.c": '#include "bridge/reactor.h"\n', "bridge/reactor.h": ""},
        {"bridge/reactor.c": '# include "binding/module.h"\n', "binding/module.h": ""},
        {"engine/db.c": '#include "db.h"\n'},
        {"engine/db.c": '#include "engine/gone.h"\n'},
        {"common.h": ""},
    ],
    units_only_downward: [
        {"engine/alloc.h": '#include "engine/db.h"\n', "engine/db.h": ""},
        {"engine/queue.c": '#include "engine/worker.h"\n', "engine/worker.h": ""},
        {"engine/cells.c": '#include "engine/error.h"\n', "engine/error.h": ""},
        {"engine/unheard_of.c": ""},
        {"bridge/reactor.c": '#include "bridge/request.h"\n', "bridge/request.h": ""},
    ],
    no_cycle: [
        {"binding/a.h": '#include "binding/b.h"\n', "binding/b.h": '#include "binding/a.h"\n'},
    ],
    no_umbrella_header: [
        {"engine/all.h": '/* All. */\n#ifndef A\n#define A\n#include "engine/db.h"\n#endif\n'},
    ],
    no_source_included: [
        {"binding/module.c": '#include "binding/cursor.c"\n'},
        {"binding/module.c": "#include <table.inc>\n"},
    ],
    no_python_in_the_engine: [
        {"engine/db.c": "#include <Python.h>\n"},
        {"engine/db.c": '#include "Python.h"\n'},
    ],
    asyncio_behind_the_host: [
        {"bridge/reactor.c": 'call(loop, "call_soon_threadsafe", NULL);\n'},
        {"bridge/await.c": 'module = PyImport_ImportModule("asyncio");\n'},
        {"binding/errors.c": 'PyObject_GetAttrString(task, "done");\n'},
        {"bridge/host.h": '#define SOON "call_soon"\n'},
        {"binding/errors.c": "raise(request->bridge->asyncio.InvalidStateError);\n"},
    ],
    no_db_above_the_engine: [
        {"bridge/direct.c": "struct csq_db *db = &request->worker->db;\n"},
        {"binding/hooks.c": "int rc = use(&request->executor->db.hooks);\n"},
        {"binding/opening.c": "atomic_load(&native.db.timeout);\n"},
        {"bridge/request.h": "struct request { struct csq_worker *worker; };\n"},
    ],
    no_branch_on_foreign: [
        {"binding/fetch.c": "if (self->closed || self->connection->foreign != NULL) {\n"},
        {"binding/closing.c": "if (self->foreign) {\n    close(self);\n}\n"},
        {"bridge/request.c": "op = connection->foreign == NULL ? CSQ_CLOSE : CSQ_CALL;\n"},
        {"binding/method.c": "bool native = !connection->foreign;\n"},
    ],
    no_large_file: [{"engine/db.c": "\n" * (FILE_LINES + 1)}],
    no_long_function: [
        {"engine/db.c": LONG},
        {"engine/db.c": LONG.replace("int\n", "static int ")},
    ],
    no_mutable_state: [
        {"engine/db.c": "static int counter;\n"},
        {"engine/db.c": "static struct item *head = NULL;\n"},
        {"engine/db.c": "static const char *last;\n"},
        {"engine/db.c": "int table[] = {1, 2};\n"},
        {"engine/db.c": "static int (*step)(int);\n"},
        {"engine/db.c": "static struct { int a; } both = {1};\n"},
        {"engine/vfs.c": "static int generation;\n"},
        {"engine/db.c": "static struct process { int a; } process = {0};\n"},
        {"engine/db.c": "int\nnext(void)\n{\n    static int n = 0;\n    return n++;\n}\n"},
    ],
}

# What none of the rules may complain about.
GOOD = {
    "engine/list.h": "#ifndef L\n#define L\nstruct item { struct item *next; };\n#endif\n",
    "engine/alloc.h": "int csq_alloc(void);\n",
    "engine/alloc.c": (
        '#include "engine/alloc.h"\n\n#include <stdlib.h>\n\n#include "engine/list.h"\n'
        "/* static int in a comment; */\n"
        "#ifdef CSQ_FAULTS\nstatic int countdown;\n#endif\n"
        'static const char *const NAMES[] = {"a;", "b"};\nenum { A, B };\n'
        'typedef int (*step)(void);\n_Static_assert(A == 0, "A");\n'
        "struct later;\nstatic int later(int a, int (*f)(void));\n"
        "static int (*const TABLE[])(struct later *) = {0};\n"
        "int\ncsq_alloc(void)\n{\n    static const int one = 1;\n    return one;\n}\n"
    ),
    "bridge/reactor.h": '#include <Python.h>\n#include "engine/alloc.h"\nint reactor(void);\n',
    "engine/native.c": "struct csq_db *\ndb(struct native *native)\n{\n    return &native->db;\n}\n",
    "binding/module.c": (
        '#include "bridge/reactor.h"\n'
        'static const char *const STAGES[] = {"pending", "done"};\n'
        'static PyMethodDef methods[] = {{NULL}};\nPyDoc_STRVAR(doc, "text");\n'
        "static int\nload(void)\n{\n    static char *keywords[] = {NULL};\n    return 0;\n}\n"
    ),
}

SAMPLES = [
    pytest.param(rule, sample, id=f"{rule.__name__}-{number}")
    for rule, samples in RULES.items()
    for number, sample in enumerate(samples)
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_sources_keep(rule):
    sources = read_sources()
    assert sources, "there are no sources"
    assert list(rule(sources)) == []


@pytest.mark.parametrize(("rule", "sample"), SAMPLES)
def test_rule_notices(rule, sample):
    assert list(rule(sample))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_leaves_good_sources_alone(rule):
    assert list(rule(GOOD)) == []


def test_a_complaint_names_the_function_and_its_length():
    assert list(no_long_function({"engine/db.c": LONG})) == [
        f"long_one() in engine/db.c has {FUNCTION_LINES + 3} lines"
    ]


# As RULES: the files of Python, and samples.
PYTHON_RULES = {
    python_only_downward: [
        {"csqlite/values.py": "from . import core\n", "csqlite/core.py": ""},
        {"csqlite/foreign.py": "from .core import connect\n", "csqlite/core.py": ""},
        {"csqlite/worker.py": "import csqlite.core as core\n", "csqlite/core.py": ""},
        {"csqlite/core.py": "from . import connect\n", "csqlite/__init__.py": ""},
        {"csqlite/core.py": "def f():\n    from .raw import x\n", "csqlite/raw.py": ""},
        {
            "csqlite/core.py": "if TYPE_CHECKING:\n    from .raw import x\n",
            "csqlite/raw.py": "",
        },
        {
            "csqlite/core.py": "raw = importlib.import_module('csqlite.raw')\n",
            "csqlite/raw.py": "",
        },
        {"csqlite/backup.py": "from .foreign import x\n", "csqlite/foreign.py": ""},
        {"csqlite/core.py": "from .shell.errors import x\n", "csqlite/shell/errors.py": ""},
        {"csqlite/core.py": "import benchmarks\n", "benchmarks/__init__.py": ""},
        {"benchmarks/drivers/base.py": "from ..run import x\n", "benchmarks/run.py": ""},
        {"tools/soak/process.py": "from . import faults\n", "tools/soak/faults.py": ""},
        {"tools/sqlite_build.py": "import fetch_sqlite\n", "tools/fetch_sqlite.py": ""},
        {"tests/doses.py": "from processes import x\n", "tests/processes.py": ""},
        {"tests/test_a.py": "from test_b import x\n", "tests/test_b.py": ""},
    ],
    python_in_a_row: [
        {"csqlite/unheard_of.py": ""},
        {"csqlite/unheard/of.py": ""},
        {"tests/unheard_of.py": ""},
        {"csqlite/test_of_itself.py": ""},
    ],
}

GOOD_PYTHON = {
    "csqlite/__init__.py": "from . import _csqlite, core\nfrom .core import connect\n",
    "csqlite/core.py": "import os, sqlite3\nfrom . import _csqlite\nfrom .values import x\n",
    "csqlite/values.py": "import asyncio.events\nfrom collections.abc import Sized\n",
    "tools/soak/bank.py": "import csqlite\nfrom csqlite.core import connect\n",
    "tests/doses.py": "TEXT = 'from processes import x'\n",
    "tests/processes.py": "from doses import x\n",
    "tests/test_a.py": "import parity.outcomes\nfrom processes import x\n",
    "tests/parity/outcomes.py": "",
    "tests/parity/test_b.py": "from doses import x\nfrom parity.outcomes import y\n",
}

PYTHON_SAMPLES = [
    pytest.param(rule, sample, id=f"{rule.__name__}-{number}")
    for rule, samples in PYTHON_RULES.items()
    for number, sample in enumerate(samples)
]


@pytest.mark.parametrize("rule", PYTHON_RULES, ids=lambda rule: rule.__name__)
def test_python_files_keep(rule):
    assert list(rule(read_files())) == []


@pytest.mark.parametrize(("rule", "sample"), PYTHON_SAMPLES)
def test_python_rule_notices(rule, sample):
    assert list(rule(sample))


@pytest.mark.parametrize("rule", PYTHON_RULES, ids=lambda rule: rule.__name__)
def test_python_rule_leaves_good_files_alone(rule):
    assert list(rule(GOOD_PYTHON)) == []


def test_rows_are_of_units_that_there_are():
    files = [*read_files(), *BUILT]
    for folder in PYTHON_ORDER:
        there = {
            unit(name, folder) for name in files if name.startswith(f"{folder}/" if folder else "")
        }
        assert set(python_ranks(folder)) - there == set(), folder


def test_what_is_deliberate_is_there():
    files = read_files()
    for name, other in DELIBERATE:
        assert other in imports(name, files)
