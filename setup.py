"""Builds the extension and puts the type stubs beside it.

pyproject.toml says what the package is; this file says only what it cannot. Nothing
here touches the network. Environment variables choose among builds:

    CSQLITE_SQLITE=bundled|system|DIR   which SQLite: see tools/sqlite_build.py
    CSQLITE_DEBUG=1                     no optimisation, assertions, failing allocations
    CSQLITE_DEBUG=2                     SQLite's own assertions as well
    CSQLITE_SANITIZE=address,undefined  or `thread`: the checks of that name, which need
                                        their run-time library preloaded into Python
    CSQLITE_SYMBOLS=1                   the extension keeps its symbols, as with the two above
    CSQLITE_WERROR=1                    a warning of the C compiler is an error
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

import sqlite_build  # noqa: E402

FLOORS = ("engine", "bridge", "binding")

COMPILE_ARGS = [
    "-std=c11",
    "-D_GNU_SOURCE",  # -std=c11 alone hides eventfd() and what POSIX adds to pthreads.
    "-pthread",
    "-O2",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    # Three that CPython's API gives rise to and no code can avoid: callbacks take
    # arguments that they have no use for, tables end in a short entry, and a
    # PyCFunction is a cast of a function with more parameters.
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
    "-Wno-cast-function-type",
]


def switches() -> tuple[list[str], list[str]]:
    """The compiler's and the linker's arguments for the builds that variables ask for."""
    compiling: list[str] = []
    linking: list[str] = []
    sanitizers = os.environ.get("CSQLITE_SANITIZE")
    if os.environ.get("CSQLITE_DEBUG") in ("1", "2"):
        compiling += ["-O0", "-g3", "-UNDEBUG", "-DCSQ_FAULTS=1"]
    if sanitizers:
        compiling += ["-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={sanitizers}"]
        compiling += ["-fno-sanitize-recover=all"]
        linking += [f"-fsanitize={sanitizers}"]
    # Python's own flags may ask for debug information, which is as large as the rest.
    symbols = os.environ.get("CSQLITE_SYMBOLS") == "1" or compiling
    if sys.platform == "linux" and not symbols:
        linking += ["-Wl,--strip-all"]
    if os.environ.get("CSQLITE_WERROR") == "1":
        compiling += ["-Werror"]
    return compiling, linking


def only_the_module_exported() -> list[str]:
    """The linker's arguments that hide everything but PyInit__csqlite.

    Hidden visibility does this for csqlite's own sources; a library that is linked in
    statically might still export its symbols.
    """
    if sys.platform == "darwin":
        return ["-Wl,-exported_symbol,_PyInit__csqlite"]
    return [f"-Wl,--version-script={ROOT / 'tools' / 'exports.map'}"]


class BuildExtension(build_ext):
    """Compiles in parallel, only what has changed, and links with the chosen SQLite."""

    def build_extension(self, ext: Extension) -> None:
        sqlite = sqlite_build.choose()
        compiling, linking = switches()
        print(sqlite.describe(), file=sys.stderr)
        origin = sqlite.name.replace("\\", "\\\\").replace('"', '\\"')
        arguments = [*COMPILE_ARGS, *compiling, *sqlite.cflags, f'-DCSQLITE_SOURCE="{origin}"']
        # Libraries stand among the arguments: setuptools looks for the age of an object.
        ext.extra_objects = self.compile_all(ext, arguments)
        ext.extra_link_args = ["-pthread", *linking, *sqlite.link_args()]
        ext.extra_link_args += only_the_module_exported()
        # The version script is the one input of the linker that is not an object.
        ext.depends = [*ext.extra_objects[: len(ext.sources)], "setup.py", "tools/exports.map"]
        # What remains for setuptools is to link: the sources are objects by now. It
        # skips even that if the result is newer, also one linked with other arguments.
        ext.sources = []
        self.force = True
        super().build_extension(ext)

    def compile_all(self, ext: Extension, arguments: list[str]) -> list[str]:
        """Compiles the sources of an extension into objects, and returns their names."""
        # Objects of different arguments live in different directories, so that a
        # sanitized build and a plain one do not take each other's.
        kind = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:8]
        directory = os.path.join(self.build_temp, kind)
        shared = [*ROOT.glob("src/*/*.h"), ROOT / "setup.py"]
        newest_shared = max(path.stat().st_mtime for path in shared)

        def compile_one(source: str) -> str:
            (target,) = self.compiler.object_filenames([source], output_dir=directory)
            needed = max(newest_shared, os.stat(source).st_mtime)
            if not os.path.exists(target) or os.stat(target).st_mtime <= needed:
                self.compiler.compile(
                    [source],
                    output_dir=directory,
                    include_dirs=ext.include_dirs,
                    extra_postargs=arguments,
                )
            return target

        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            return list(threads.map(compile_one, ext.sources))


def link(file: Path, target: Path) -> None:
    """Makes `target` a link to `file`, which stays right when the checkout is moved."""
    target.symlink_to(os.path.relpath(file, target.parent))


class BuildPackage(build_py):
    """Puts the type stubs into the package, and the marker that PEP 561 asks for."""

    def run(self) -> None:
        if getattr(self, "editable_mode", False):
            # The package is used where it lies: the stubs have to lie there, too.
            super().run()
            self.put_stubs(ROOT / "csqlite", link)
            return
        package = Path(self.build_lib) / "csqlite"
        # A module that is gone from the sources must not stay in an older build.
        for stale in package.rglob("*.py"):
            stale.unlink()
        super().run()
        self.put_stubs(package, shutil.copyfile)

    def put_stubs(self, package: Path, put: Callable[[Path, Path], object]) -> None:
        """Puts each stub, by copying or linking it, beside the module that it is about."""
        stubs = ROOT / "stubs" / "csqlite"
        for stale in package.rglob("*.pyi"):
            stale.unlink()
        (package / "py.typed").unlink(missing_ok=True)
        for stub in sorted([*stubs.rglob("*.pyi"), stubs / "py.typed"]):
            target = package / stub.relative_to(stubs)
            target.parent.mkdir(parents=True, exist_ok=True)
            put(stub, target)


setup(
    ext_modules=[
        Extension(
            "csqlite._csqlite",
            sources=sorted(
                path.relative_to(ROOT).as_posix()
                for floor in FLOORS
                for path in ROOT.glob(f"src/{floor}/*.c")
            ),
            include_dirs=["src"],
            language="c",
        )
    ],
    cmdclass={"build_ext": BuildExtension, "build_py": BuildPackage},
)
