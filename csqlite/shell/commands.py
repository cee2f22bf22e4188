"""Every dot-command: those that are about the shell itself, and by import all others."""

from __future__ import annotations

from .. import _csqlite
from ..__version__ import __version__
from . import (  # noqa: F401  They register their commands.
    command_files,
    command_import,
    command_recover,
    command_schema,
    command_settings,
)
from .command import COMMANDS, Command, number
from .errors import CommandError, Quit
from .session import Session

__all__ = ["COMMANDS"]


async def leave(session: Session, arguments: list[str]) -> None:
    """End the shell."""
    raise Quit(number(arguments[0]) & 0xFF if arguments else None)


async def end(session: Session, arguments: list[str]) -> None:
    """End the shell, whatever the arguments are."""
    raise Quit


async def print_words(session: Session, arguments: list[str]) -> None:
    """Print words."""
    session.output.write(" ".join(arguments) + "\n")


async def version(session: Session, arguments: list[str]) -> None:
    """Show versions."""
    session.output.write(f"csqlite {__version__}, SQLite {_csqlite.sqlite_version}\n")


async def show_help(session: Session, arguments: list[str]) -> None:
    """Show what commands there are, or all about those that match."""
    everything = arguments[:1] in (["-all"], ["--all"])
    pattern = arguments[-1].lstrip(".").lower() if arguments and not everything else ""
    found = sorted(COMMANDS.all.items())
    if pattern:
        found = [
            (name, command)
            for name, command in found
            if name.startswith(pattern) or pattern in command.summary.lower()
        ]
        exact = [item for item in found if item[0] == pattern]
        found = exact or found
    if not found:
        raise CommandError(f"Nothing matches '{arguments[-1]}'")
    for name, command in found:
        session.output.write(f"{f'.{name} {command.usage}':<24} {command.summary}\n")
        if command.details and (everything or pattern):
            session.output.write(command.details + "\n")


COMMANDS.add(
    Command(
        "exit", leave, "Exit this program with return-code CODE", "?CODE?", 0, 1, guarded=False
    ),
    Command("help", show_help, "Show help text for PATTERN", "?-all? ?PATTERN?", 0, 2),
    Command("print", print_words, "Print literal STRING", "STRING...", 0, None),
    Command("quit", end, "Exit this program", "", 0, None, guarded=False),
    Command("version", version, "Show the versions of csqlite and SQLite"),
)
