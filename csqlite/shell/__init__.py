"""The shell: `python -m csqlite [OPTIONS] [FILE [SQL ...]]`.

It runs SQL and dot-commands from the command line, from standard input, or, at a terminal,
as they are typed. The dot-commands are those of SQLite's own shell, as far as they make sense here;
docs/shell.md lists them and what differs.

prompt_toolkit and rich, the extra `csqlite[shell]`, are used where they are installed. Importing
csqlite imports neither them nor this package.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the shell and return its exit status.

    argv: the arguments without the program's name; those of the process by default. The status
    is 0, 1 after an SQL error or a failed command, 2 for arguments that make no sense, 130
    when a script was interrupted, or what `.exit` was given.
    """
    from .application import run_process

    return run_process(argv)
