"""What the Python files of a checkout import of one another, read from their text."""

import ast
import posixpath
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Where there is Python, but for what one file alone is about (tests/clients/programs, tests/typing).
FOLDERS = ("csqlite", "benchmarks", "tools", "tests", "examples")
STRANGERS = ("tests/clients/programs/", "tests/typing/")

# Where an absolute name is looked for: the checkout, and what its programs and tests have on sys.path.
PATH = ("", "tools", "tests", "tests/parity", "tests/clients")

# Modules that are no Python file here.
BUILT = ("csqlite/_csqlite",)


def read_files():
    """Return {"csqlite/core.py": text} of all Python files."""
    paths = [ROOT / "setup.py", *(path for name in FOLDERS for path in (ROOT / name).rglob("*.py"))]
    files = {path.relative_to(ROOT).as_posix(): path for path in sorted(paths)}
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in files.items()
        if not name.startswith(STRANGERS)
    }


def find(module, files):
    """Return the file of a module, whose name is a path without its ending; None: not here."""
    if module in BUILT:
        return module
    for name in (f"{module}.py", f"{module}/__init__.py"):
        if name in files:
            return name
    return None


def absolute(dotted, files):
    """Return the file of `import dotted`, None for a module of somebody else's."""
    for folder in PATH:
        found = find(posixpath.join(folder, dotted.replace(".", "/")), files)
        if found:
            return found
    return None


def of_from(name, node, files):
    """Return the files that `from module import names` reads."""
    if node.level:
        folder = name
        for _ in range(node.level):
            folder = posixpath.dirname(folder)
        base = posixpath.join(folder, (node.module or "").replace(".", "/")).rstrip("/")
        return [find(f"{base}/{alias.name}", files) or find(base, files) for alias in node.names]
    return [
        absolute(f"{node.module}.{alias.name}", files) or absolute(node.module, files)
        for alias in node.names
    ]


def of_call(node, files):
    """Return the file that import_module("name") or __import__("name") reads."""
    called = getattr(node.func, "attr", getattr(node.func, "id", None))
    if called in ("import_module", "__import__") and node.args:
        [first, *_] = node.args
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return [absolute(first.value, files)]
    return []


def imports(name, files):
    """Return the files that one of them imports: at its top, in functions, for its types alone."""
    found = []
    for node in ast.walk(ast.parse(files[name])):
        if isinstance(node, ast.ImportFrom):
            found += of_from(name, node, files)
        elif isinstance(node, ast.Import):
            found += [absolute(alias.name, files) for alias in node.names]
        elif isinstance(node, ast.Call):
            found += of_call(node, files)
    return sorted({other for other in found if other and other != name})


def common_folder(name, other):
    """Return the innermost folder that both are in, "" for the checkout."""
    ours, theirs = posixpath.dirname(name).split("/"), posixpath.dirname(other).split("/")
    shared = []
    for one, another in zip(ours, theirs):
        if one != another:
            break
        shared.append(one)
    return "/".join(shared)


def unit(name, folder):
    """Return what stands for a file in a folder: the file without its ending, or the subfolder."""
    inside = name[len(folder) + 1 :] if folder else name
    first = inside.partition("/")[0]
    return first[:-3] if first.endswith(".py") else first
