"""Which SQLite csqlite is built on, and how that SQLite is compiled.

setup.py and the Makefile both ask here, so that the extension and the engine's
own tests are built on the same library. Nothing in this file touches the network:
`fetch_sqlite.py` beside it does, and leaves the pinned source in the cache.

CSQLITE_SQLITE chooses:

    bundled   the pinned amalgamation from the cache, compiled into the extension
    system    the system's libsqlite3, found through pkg-config
    DIR       somebody's own sqlite3.c and sqlite3.h, compiled like the pinned ones
    (unset)   bundled if the cache holds the source, else system

CSQLITE_SANITIZE and CSQLITE_DEBUG=2 (see setup.py) concern an SQLite from source, too.

Run as a program, `sqlite_build.py cflags` and `sqlite_build.py libs` print what a
compiler and a linker need.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

# The pinned release. The directory of this name in the cache holds the two files.
PINNED = "sqlite-3.53.4"
PINNED_SHA256 = {
    "sqlite3.c": "f6d54c906fefdc09124c845cb8f45145a8049aee32c0e5aad95c042b9e4dc8d3",
    "sqlite3.h": "8a9d1bff44d75174ca6dea3ea9bac50a6104d86facb566647b8bb839375b7b3a",
}

# The option that needs a parser made for it.
UPDATE_DELETE_LIMIT = "SQLITE_ENABLE_UPDATE_DELETE_LIMIT"

# What SQLite is compiled with: what the usual builds of the sqlite3 module have and that
# only adds something. An option that changes what SQL or a file name means is not here, as
# SQLITE_DQS or SQLITE_LIKE_DOESNT_MATCH_BLOBS: some of these builds have it and others have
# not. What can be chosen for each connection (SQLITE_USE_URI, SQLITE_SECURE_DELETE) is as in
# the sqlite3 module beside it: csqlite/copies.py; docs/compat.md lists what differs.
# SQLITE_OMIT_SHARED_CACHE is not here either: without a shared cache, two connections to
# "file::memory:?cache=shared", which programs use for tests, would silently see two
# databases; and leaving it in costs nothing that could be measured.
OPTIONS = [
    # One thread, the worker, uses a handle, so a handle needs no mutex of its own.
    "SQLITE_THREADSAFE=2",
    # Memory statistics take a global mutex at every allocation, which connections on
    # different threads would share: docs/introspection.md has what that costs.
    "SQLITE_DEFAULT_MEMSTATUS=0",
    # A long IN list that works with a distribution's library (Debian's has this limit)
    # must work here; the default is 32,766.
    "SQLITE_MAX_VARIABLE_NUMBER=250000",
    # What a program may expect because the usual builds of sqlite3 have it.
    "SQLITE_ENABLE_FTS3",
    "SQLITE_ENABLE_FTS3_PARENTHESIS",
    "SQLITE_ENABLE_FTS4",
    "SQLITE_ENABLE_FTS5",
    "SQLITE_ENABLE_RTREE",
    "SQLITE_ENABLE_MATH_FUNCTIONS",
    "SQLITE_ENABLE_DBSTAT_VTAB",
    "SQLITE_ENABLE_DBPAGE_VTAB",
    "SQLITE_ENABLE_STMTVTAB",
    "SQLITE_ENABLE_COLUMN_METADATA",
    "SQLITE_SOUNDEX",
    # DELETE and UPDATE with ORDER BY and LIMIT; see options().
    UPDATE_DELETE_LIMIT,
    # Features that few builds have, and that cost nothing where they are not used.
    "SQLITE_ENABLE_GEOPOLY",  # Polygons on top of RTREE.
    "SQLITE_ENABLE_STAT4",  # ANALYZE keeps histograms, so the planner errs less.
    "SQLITE_ENABLE_SESSION",  # Changesets; they need the hook on the next line.
    "SQLITE_ENABLE_PREUPDATE_HOOK",
    "SQLITE_ENABLE_CARRAY",  # A table-valued function over a bound array.
    "SQLITE_ENABLE_PERCENTILE",  # median() and percentile().
    "SQLITE_ENABLE_NORMALIZE",  # sqlite3_normalized_sql(), to group statements.
    # What a configure script would have found out. Without them SQLite takes a
    # global mutex around localtime().
    "HAVE_GMTIME_R=1",
    "HAVE_LOCALTIME_R=1",
    "HAVE_ISNAN=1",
]
if sys.platform == "linux":
    # A commit then flushes the data of a file, but not a change of its times alone.
    # macOS has the function too, but not its guarantee.
    OPTIONS.append("HAVE_FDATASYNC=1")

# Hidden symbols keep this copy apart from the one that the sqlite3 module has loaded
# into the same process.
COMPILE_FLAGS = ["-O2", "-fPIC", "-fvisibility=hidden"]

# What is compiled: sqlite3.c, and what csqlite adds behind it.
UNIT = Path(__file__).resolve().parent / "sqlite_bundled.c"

NOTHING_TO_BUILD_ON = (
    "csqlite: no SQLite to build on; run `python tools/fetch_sqlite.py`, or install "
    "pkg-config and libsqlite3-dev (sqlite-devel, sqlite-dev)"
)


class Sqlite(NamedTuple):
    """One choice of SQLite, as arguments for a compiler and a linker."""

    # The directory of sqlite3.c and sqlite3.h, or None for the system's library.
    source: Path | None
    cflags: list[str]
    libs: list[str]
    # What csqlite.build.source says: "bundled", "system", or the directory.
    name: str
    version: str

    def describe(self) -> str:
        """One line that says which SQLite is built on."""
        line = f"csqlite: building on SQLite {self.version}, "
        if self.name == "bundled":
            return line + "the pinned source"
        if self.name != "system":
            return line + f"the source in {self.name}"
        line += "the system's library"
        if not os.environ.get("CSQLITE_SQLITE"):
            line += (
                f", because the pinned source is not in {cache_dir()}: "
                "`python tools/fetch_sqlite.py` puts it there"
            )
        return line

    def link_args(self) -> list[str]:
        """Everything a linker needs; compiles SQLite first if it is to be compiled."""
        if self.source is None:
            return self.libs
        return [str(compiled(self.source)), *self.libs]


def cache_dir() -> Path:
    """Where the pinned source and the compiled objects are kept."""
    chosen = os.environ.get("CSQLITE_CACHE")
    if chosen:
        return Path(chosen)
    parent = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(parent) / "csqlite"


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_pinned(directory: Path) -> bool:
    """Whether a directory holds the pinned source, and holds it unchanged."""
    try:
        return all(digest(directory / name) == sha for name, sha in PINNED_SHA256.items())
    except OSError:
        return False


def pinned_source() -> Path | None:
    """The directory of the pinned source, or None if the cache does not hold it."""
    directory = cache_dir() / PINNED
    return directory if is_pinned(directory) else None


def options(source: Path) -> list[str]:
    """What the amalgamation in a directory is compiled with.

    SQLite's parser is generated, and not every amalgamation has one that knows what
    SQLITE_ENABLE_UPDATE_DELETE_LIMIT is for. The one that does says so.
    """
    text = (source / "sqlite3.c").read_bytes()
    capable = (
        b"#define SQLITE_UDL_CAPABLE_PARSER" in text
        or b"-D%b" % UPDATE_DELETE_LIMIT.encode() in text
    )
    return [option for option in OPTIONS if capable or option != UPDATE_DELETE_LIMIT]


def version_of(source: Path) -> str:
    """The version of the amalgamation in a directory."""
    found = re.search(rb'#define SQLITE_VERSION +"([\d.]+)"', (source / "sqlite3.h").read_bytes())
    return found[1].decode() if found else "of unknown version"


def from_source(directory: Path, name: str) -> Sqlite:
    """SQLite as a private copy, compiled from an amalgamation."""
    # sqlite3.h declares the session API only where these are defined, and the
    # engine asks them what it may call.
    features = ["-D" + option for option in options(directory) if "_ENABLE_" in option]
    libs = ["-lm", "-lpthread"] + (["-ldl"] if sys.platform == "linux" else [])
    cflags = [f"-I{directory}", "-DCSQLITE_BUNDLED=1", *features]
    return Sqlite(directory, cflags, libs, name, version_of(directory))


def from_system() -> Sqlite | None:
    """The system's libsqlite3, or None if pkg-config does not know one."""
    command = [*shlex.split(os.environ.get("PKG_CONFIG") or "pkg-config"), "sqlite3"]
    try:
        answers = [
            subprocess.run([*command, what], check=True, capture_output=True, text=True)
            for what in ("--cflags", "--libs", "--modversion")
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    cflags, libs, version = (shlex.split(answer.stdout) for answer in answers)
    return Sqlite(None, cflags, [*libs, "-lpthread"], "system", " ".join(version))


def choose() -> Sqlite:
    """The SQLite that CSQLITE_SQLITE asks for; SystemExit with one line if it is not there."""
    wanted = os.environ.get("CSQLITE_SQLITE", "")
    found: Sqlite | None = None
    if wanted in ("", "bundled"):
        source = pinned_source()
        found = from_source(source, "bundled") if source else None
        complaint = (
            "csqlite: CSQLITE_SQLITE=bundled, but the source of SQLite is not in "
            f"{cache_dir()}; run `python tools/fetch_sqlite.py`"
        )
    if wanted in ("", "system") and found is None:
        found = from_system()
        complaint = (
            "csqlite: CSQLITE_SQLITE=system, but pkg-config finds no sqlite3; install "
            "pkg-config and libsqlite3-dev (sqlite-devel, sqlite-dev)"
        )
    if wanted not in ("", "bundled", "system"):
        directory = Path(wanted).resolve()
        if all((directory / name).is_file() for name in PINNED_SHA256):
            found = from_source(directory, str(directory))
        complaint = (
            f"csqlite: CSQLITE_SQLITE={wanted} is neither `bundled` nor `system` nor a "
            "directory with sqlite3.c and sqlite3.h"
        )
    if found is None:
        raise SystemExit(complaint if wanted else NOTHING_TO_BUILD_ON)
    return found


def compiler() -> list[str]:
    """The C compiler, without the flags that each Python adds in its own way.

    Several Pythons share one compiled SQLite because of that.
    """
    named = os.environ.get("CC")
    if named:
        return shlex.split(named)
    return shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]


def checking_flags() -> list[str]:
    """What SQLite is compiled with in a build that checks itself; nothing otherwise.

    What csqlite lends SQLite is read and freed by SQLite: a sanitizer that did not see it would
    miss what is let go too early, and races for it. Undefined behaviour is SQLite's own matter.
    """
    asked = os.environ.get("CSQLITE_SANITIZE", "").split(",")
    sanitizers = [name for name in asked if name in ("address", "thread")]
    flags = []
    if sanitizers:
        flags += ["-O1", "-g", "-fno-omit-frame-pointer", f"-fsanitize={','.join(sanitizers)}"]
    if os.environ.get("CSQLITE_DEBUG") == "2":
        flags += ["-g", "-DSQLITE_DEBUG=1", "-DSQLITE_ENABLE_API_ARMOR=1"]
    return flags


def compiled(source: Path) -> Path:
    """The object file of the amalgamation in a directory, compiled once and then cached.

    Its name is a hash of all that goes into it. A lock makes a second build wait for
    the first one's result instead of compiling the same file beside it, and a rename
    puts the object in place, so a build that is killed leaves nothing half-written.
    """
    cc = compiler()
    # ARCHFLAGS is how a build of a universal binary is asked for on macOS.
    extra = shlex.split(os.environ.get("ARCHFLAGS", ""))
    flags = [
        *COMPILE_FLAGS,
        *extra,
        *checking_flags(),
        *("-D" + option for option in options(source)),
    ]
    version = subprocess.run([*cc, "--version"], check=True, capture_output=True, text=True)
    target = subprocess.run([*cc, "-dumpmachine"], check=True, capture_output=True, text=True)
    # sqlite3.c contains its own copy of sqlite3.h and never reads the file. UNIT includes it.
    # A compiler's version begins with the name it was called by, which says nothing.
    version_alone = version.stdout.split(" ", 1)[-1]
    ingredients = [digest(source / "sqlite3.c"), digest(UNIT), *flags, version_alone, target.stdout]
    key = hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:16]

    objects = cache_dir() / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    result = objects / f"sqlite3-{key}.o"
    with open(objects / f"sqlite3-{key}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            print("csqlite: compiling SQLite, once; this takes a minute", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=objects) as scratch:
                fresh = Path(scratch) / "sqlite3.o"
                command = [*cc, *flags, f"-I{source}", "-c", str(UNIT), "-o", str(fresh)]
                subprocess.run(command, check=True)
                os.replace(fresh, result)
    return result


def main() -> None:
    """Prints what a makefile needs: see the top of this file."""
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    if what not in ("cflags", "libs"):
        raise SystemExit("usage: sqlite_build.py cflags|libs")
    sqlite = choose()
    print(shlex.join(sqlite.cflags if what == "cflags" else sqlite.link_args()))


if __name__ == "__main__":
    main()
