"""Dot-commands: what one is, how it registers, and how a line becomes a call of one.

This module knows no command. Each module of commands adds its own to COMMANDS when it is imported, and
commands.py imports them all.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Callable

from .errors import CommandError, Interrupted, ReaderGone, UsageError
from .session import Session

Handler = Callable[[Session, list[str]], Awaitable[None]]

_ARGUMENT = re.compile(r"""\s*(?:'([^']*)'?|"((?:\\.|[^"\\])*)"?|(\S+))""", re.DOTALL)
# What SQLite's integers can be.
LARGEST = 2**63 - 1

_NUMBER = re.compile(r"[+-]?(?:0x[0-9a-f]+|[0-9]+)", re.IGNORECASE | re.ASCII)
_ESCAPE = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True)
class Command:
    """A dot-command.

    usage: its arguments, as .help shows them. least and most: how many it takes; None: any number.
    details: what .help adds when it is asked for this command. guarded: Ctrl-C stops it.
    """

    name: str
    run: Handler
    summary: str
    usage: str = ""
    least: int = 0
    most: int | None = 0
    details: str = ""
    guarded: bool = True


class Commands:
    """Dot-commands by their names."""

    def __init__(self) -> None:
        self.all: dict[str, Command] = {}

    def add(self, *commands: Command) -> None:
        """Register commands. ValueError: one of that name is there."""
        for command in commands:
            if command.name in self.all:
                raise ValueError(f"there are two commands .{command.name}")
            self.all[command.name] = command

    def find(self, name: str) -> Command:
        """Return the command of this name, or the only one that begins so; CommandError."""
        if name in self.all:
            return self.all[name]
        found = [command for known, command in self.all.items() if known.startswith(name)]
        if len(found) == 1 and name:
            return found[0]
        if found and name:
            names = ", ".join("." + command.name for command in found)
            raise CommandError(f'Error: ambiguous command: ".{name}" may be {names}')
        close = get_close_matches(name.lower(), self.all, n=1)
        hint = f'Did you mean ".{close[0]}"?' if close else 'Enter ".help" for help'
        raise CommandError(f'Error: unknown command or invalid arguments:  "{name}". {hint}')


COMMANDS = Commands()


def words(line: str) -> list[str]:
    """Return the words of a line: single quotes keep what is in them, elsewhere `\\t` is a tab."""
    found = []
    for single, double, bare in _ARGUMENT.findall(line):
        found.append(single or _ESCAPE.sub(_unescape, double or bare))
    return found


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return _ESCAPED.get(code, code)


def usage(command: Command) -> str:
    """Return how a command is called."""
    return f"Usage: .{command.name} {command.usage}".rstrip()


async def dispatch(session: Session, line: str) -> bool:
    """Run a line that begins with a dot. False: it failed, and that was printed.

    Raises Quit and Interrupted.
    """
    before = session.errors
    try:
        name, *arguments = words(line[1:]) or [""]
        command = COMMANDS.find(name)
        if len(arguments) < command.least or (
            command.most is not None and len(arguments) > command.most
        ):
            raise UsageError(usage(command))
        if command.guarded:
            await session.guard(_run(command, session, arguments))
        else:
            await _run(command, session, arguments)
    except ReaderGone:
        pass
    except UsageError as error:
        session.fail(str(error) or usage(command))
    except CommandError as error:
        session.fail(str(error))
    except UnicodeEncodeError:
        session.fail("Error: an argument is not UTF-8")
    except MemoryError:
        session.fail("Error: out of memory")
    except (sqlite3.Error, ValueError) as error:
        session.fail(f"Error: {error}")
    except BrokenPipeError:
        raise  # Nobody reads the results any more.
    except OSError as error:
        session.fail(
            f"Error: {error}"
            if error.filename is None
            else f'Error: "{error.filename}": {error.strerror}'
        )
    except Interrupted:
        if command.guarded:
            session.fail("Error: interrupted")
        raise
    if name not in ("once", "output"):
        session.end_output(session.output.done)
    return session.errors == before


async def _run(command: Command, session: Session, arguments: list[str]) -> None:
    await command.run(session, arguments)


def boolean(session: Session, text: str) -> bool:
    """Return what a word says: on, off, yes, no, true, false or a number."""
    lowered = text.lower()
    if lowered in ("on", "yes", "true"):
        return True
    if lowered in ("off", "no", "false"):
        return False
    if text.isdecimal():
        return text.strip("0") != ""
    session.tell(f'ERROR: Not a boolean value: "{text}". Assuming "no".\n')
    return False


def number(text: str, least: int = -LARGEST, most: int = LARGEST) -> int:
    """Return a word as an integer from `least` to `most`; UsageError."""
    if not _NUMBER.fullmatch(text):
        raise UsageError(f'Error: not a number: "{text}"')
    # What is longer is out of any range, and may be too long for int().
    found = int(text, 16 if "x" in text.lower() else 10) if len(text) < 40 else most + 1
    if not least <= found <= most:
        raise UsageError(f'Error: not between {least} and {most}: "{text[:40]}"')
    return found


def options(arguments: list[str], flags: Iterable[str]) -> tuple[set[str], list[str]]:
    """Return the options among words, without their dashes, and the other words; UsageError."""
    known = set(flags)
    given, rest = set(), []
    for word in arguments:
        if not word.startswith("-") or word == "-":
            rest.append(word)
        elif word.lstrip("-") in known:
            given.add(word.lstrip("-"))
        else:
            raise UsageError(f"Error: unknown option: {word}")
    return given, rest
