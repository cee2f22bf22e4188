"""The command line: a superset of `python -m sqlite3`, with the options of SQLite's own shell.

Long options may begin with one dash or two, as SQLite's do.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

from .. import _csqlite
from ..__version__ import __version__
from .modes import MODES

DESCRIPTION = """\
Run SQL and dot-commands on an SQLite database. Without SQL, read them from standard input, or
prompt for them at a terminal. Without FILE, use a database in memory.
"""

EPILOG = """\
Exit status: 0; 1 after an SQL error or a failed command; 2 for wrong arguments; 130 when a script was
interrupted; or what .exit says. `.help` lists the dot-commands.
"""


@dataclass
class Arguments:
    """What the command line asks for. None: it does not say."""

    file: str | None = None
    sql: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    init: str | None = None
    mode: str | None = None
    headers: bool | None = None
    separator: str | None = None
    newline: str | None = None
    nullvalue: str | None = None
    readonly: bool = False
    bail: bool = False
    echo: bool = False
    plain: bool = False
    interactive: bool | None = None


def spelled(name: str) -> tuple[str, str]:
    """Return the two spellings of a long option."""
    return f"-{name}", f"--{name}"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m csqlite",
        usage="python -m csqlite [OPTIONS] [FILE [SQL ...]]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("file", nargs="?", metavar="FILE", help="a database, which is made where it is not there")
    add("sql", nargs="*", metavar="SQL", help="statements or a dot-command; several may follow")
    add("-h", *spelled("help"), action="help", help="show this and exit")
    version = f"csqlite {__version__}, SQLite {_csqlite.sqlite_version}"
    add("-v", *spelled("version"), action="version", version=version, help="show versions and exit")
    for mode in MODES:
        add(
            *spelled(mode),
            dest="mode",
            action="store_const",
            const=mode,
            help=f"output mode {mode}",
        )
    add(*spelled("header"), *spelled("headers"), dest="headers", action="store_true", default=None)
    add(
        *spelled("noheader"),
        *spelled("noheaders"),
        dest="headers",
        action="store_false",
        help="names of columns above the rows, or not",
    )
    add(*spelled("separator"), metavar="SEP", help="what stands between columns; default: |")
    add(*spelled("newline"), metavar="SEP", help="what stands between rows")
    add(*spelled("nullvalue"), metavar="TEXT", help="what stands for NULL; default: nothing")
    add(*spelled("readonly"), action="store_true", help="open the database read-only")
    add(*spelled("bail"), action="store_true", help="stop after the first error")
    add(*spelled("echo"), action="store_true", help="print statements before they run")
    add(
        *spelled("cmd"),
        dest="commands",
        action="append",
        default=[],
        metavar="COMMAND",
        help="run this before anything else; may be given several times",
    )
    add(*spelled("init"), metavar="FILE", help="read this first, instead of ~/.csqliterc")
    add(*spelled("batch"), dest="interactive", action="store_false", default=None)
    add(
        *spelled("interactive"),
        dest="interactive",
        action="store_true",
        help="prompt, or not, whatever standard input is",
    )
    add(*spelled("plain"), action="store_true", help="use neither prompt_toolkit nor rich")
    return made


def parse(argv: Sequence[str] | None = None) -> Arguments:
    """Read a command line; SystemExit with status 2 where it makes no sense."""
    # Options may stand between FILE and SQL, which parse_args() would take for the end of them.
    return Arguments(**vars(parser().parse_intermixed_args(argv)))
