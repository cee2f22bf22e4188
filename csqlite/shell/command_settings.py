"""Dot-commands that change how things are shown and done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import stats
from .command import COMMANDS, Command, Handler, boolean, number
from .errors import CommandError, UsageError
from .modes import MODES
from .session import Session
from .values import literal

# The widest column, and the longest time in milliseconds that SQLite takes.
WIDEST = 10_000
LONGEST = 2**31 - 1


def switch(attribute: str) -> Handler:
    """Return what turns a setting on or off."""

    async def run(session: Session, arguments: list[str]) -> None:
        setattr(session.settings, attribute, boolean(session, arguments[0]))

    return run


def text(*attributes: str) -> Handler:
    """Return what sets one text after the other."""

    async def run(session: Session, arguments: list[str]) -> None:
        for attribute, word in zip(attributes, arguments):
            setattr(session.settings, attribute, word)

    return run


async def mode(session: Session, arguments: list[str]) -> None:
    """Show or change the output mode."""
    settings = session.settings
    if not arguments:
        wrapping = ""
        if not MODES[settings.mode].machine and settings.mode not in ("line", "list"):
            wrapping = f" --wrap {settings.wrap} --wordwrap {'on' if settings.wordwrap else 'off'}"
            wrapping += " --quote" if settings.quote else " --noquote"
        session.output.write(f"current output mode: {settings.mode}{wrapping}\n")
        return
    # A mistake must not leave half of it behind.
    session.settings = _read_mode(replace(settings), arguments)


def _read_mode(settings: Any, arguments: list[str]) -> Any:
    words = iter(arguments)
    chosen = named = ""
    for word in words:
        option = word.lstrip("-")
        if not word.startswith("-"):
            if chosen == "insert" and not named:
                settings.insert_table = named = word
            elif chosen:
                raise UsageError(f"Error: extra argument: {word}")
            elif word not in MODES:
                raise CommandError(f"Error: mode should be one of: {' '.join(MODES)}")
            else:
                chosen = word
                settings.set_mode(word)
                settings.insert_table = "table"
        elif option in ("quote", "noquote"):
            settings.quote = option == "quote"
        elif option == "ww":
            settings.wordwrap = True
        elif option in ("wrap", "wordwrap"):
            value = next(words, None)
            if value is None:
                raise UsageError(f"Error: missing argument on {word}")
            if option == "wrap":
                settings.wrap = max(0, number(value, -WIDEST, WIDEST)) if value != "off" else 0
            else:
                settings.wordwrap = value in ("on", "yes", "true", "1")
        else:
            raise UsageError(f"Error: unknown option: {word}")
    return settings


async def width(session: Session, arguments: list[str]) -> None:
    """Set how wide columns are at least."""
    session.settings.widths = [number(word, -WIDEST, WIDEST) for word in arguments]


async def explain(session: Session, arguments: list[str]) -> None:
    """Choose when EXPLAIN is laid out."""
    word = arguments[0].lower() if arguments else "on"
    if word != "auto":
        word = "on" if boolean(session, word) else "off"
    session.settings.explain = word


async def advise(session: Session, arguments: list[str]) -> None:
    """Say of the next statement which indexes would help it."""
    session.settings.expert = True


async def statistics(session: Session, arguments: list[str]) -> None:
    """Show what SQLite has counted, or choose whether to show it behind each statement."""
    if not arguments:
        session.output.write(await stats.summary(session.db))
        return
    word = arguments[0].lower()
    if word not in ("stmt", "vmstep"):
        word = "on" if boolean(session, word) else "off"
    session.settings.stats = word


async def timeout(session: Session, arguments: list[str]) -> None:
    """Set how long to wait for a lock."""
    milliseconds = max(0, number(arguments[0], -LONGEST, LONGEST))
    session.patience = milliseconds / 1000
    await (await session.db.execute(f"PRAGMA busy_timeout = {milliseconds}")).close()


async def show(session: Session, arguments: list[str]) -> None:
    """Show the settings."""
    settings = session.settings
    shown = {
        "bail": settings.bail,
        "changes": settings.changes,
        "echo": settings.echo,
        "eqp": settings.eqp,
        "explain": settings.explain,
        "stats": settings.stats,
        "headers": settings.shows_headers,
        "mode": settings.mode,
        "nullvalue": quote(settings.nullvalue),
        "output": session.output.name,
        "colseparator": quote(settings.column_separator),
        "rowseparator": quote(settings.row_separator),
        "timer": settings.timer,
        "width": " ".join(map(str, settings.widths)),
        "filename": session.file,
    }
    for name, value in shown.items():
        word = value if isinstance(value, str) else "on" if value else "off"
        session.output.write(f"{name:>12}: {word}\n")


def quote(word: str) -> str:
    """Return a text in double quotes, with what cannot be seen written out."""
    return '"' + word.encode("unicode_escape").decode().replace('"', '\\"') + '"'


PARAMETER_DETAILS = """\
   clear                   Erase all bindings
   init                    Accepted for scripts of SQLite's shell; does nothing
   list                    List the current parameter bindings
   set PARAMETER VALUE     Give PARAMETER the value of an SQL expression, or else a text
                           PARAMETER should start with one of: $ : @ ?
   unset PARAMETER         Forget PARAMETER"""


async def parameter(session: Session, arguments: list[str]) -> None:
    """Manage the values of SQL parameters."""
    what, *rest = arguments or [""]
    bound = session.parameters
    if what in ("clear", "init") and not rest:
        if what == "clear":
            bound.clear()
    elif what == "list" and not rest:
        longest = max(map(len, bound), default=0)
        for name in sorted(bound):
            session.output.write(f"{name:<{longest}} {literal(bound[name])}\n")
    elif what == "set" and len(rest) == 2:
        if rest[0][:1] not in tuple("$:@?") or len(rest[0]) < 2:
            raise UsageError(f"Error: a parameter begins with one of $ : @ ?, not {rest[0]}")
        bound[rest[0]] = await _evaluated(session, rest[1])
    elif what == "unset" and len(rest) == 1:
        bound.pop(rest[0], None)
    else:
        raise UsageError(
            ".parameter CMD ...       Manage SQL parameter bindings\n" + PARAMETER_DETAILS
        )


async def _evaluated(session: Session, word: str) -> Any:
    """Return the value of an expression; the word itself where it is none."""
    import sqlite3

    try:
        ((value,),) = await session.db.execute_fetchall(f"SELECT {word}")
    except (sqlite3.Error, ValueError):
        return word
    return value


STATS_DETAILS = """\
   on                      Show counters of the connection and of each statement
   stmt                    The same, and what the columns of its result are
   vmstep                  Show only the steps of SQLite's virtual machine"""

MODE_DETAILS = f"""\
   MODE is one of: {" ".join(list(MODES)[:8])}
                   {" ".join(list(MODES)[8:])}
   insert TABLE            Name the table that INSERT statements are for
   OPTIONS of box, column, markdown, qbox and table:
     --wrap N              Break lines that are longer than N
     --wordwrap on|off     Break them at words; --ww is --wordwrap on
     --quote, --noquote    Show values as SQL literals, or not"""

COMMANDS.add(
    Command("bail", switch("bail"), "Stop after the first error; default off", "on|off", 1, 1),
    Command("changes", switch("changes"), "Show number of rows changed by SQL", "on|off", 1, 1),
    Command("echo", switch("echo"), "Turn command echo on or off", "on|off", 1, 1),
    Command("eqp", switch("eqp"), "Show the query plan before each statement", "on|off", 1, 1),
    Command("expert", advise, "Suggest indexes for the next statement, and do not run it"),
    Command("explain", explain, "Change how EXPLAIN is shown; default auto", "?on|off|auto?", 0, 1),
    Command("headers", switch("headers"), "Turn names of columns on or off", "on|off", 1, 1),
    Command("mode", mode, "Set output mode", "?MODE? ?OPTIONS?", 0, None, MODE_DETAILS),
    Command("nullvalue", text("nullvalue"), "Use STRING in place of NULL values", "STRING", 1, 1),
    Command(
        "parameter",
        parameter,
        "Manage SQL parameter bindings",
        "CMD ...",
        0,
        None,
        PARAMETER_DETAILS,
    ),
    Command(
        "prompt", text("prompt", "continuation"), "Replace the prompts", "MAIN ?CONTINUE?", 1, 2
    ),
    Command(
        "separator",
        text("column_separator", "row_separator"),
        "Change the column and row separators",
        "COL ?ROW?",
        1,
        2,
    ),
    Command("show", show, "Show the current settings"),
    Command(
        "stats",
        statistics,
        "Show counters, or turn them on or off",
        "?on|off|stmt|vmstep?",
        0,
        1,
        STATS_DETAILS,
    ),
    Command("timeout", timeout, "Wait for locks up to MS milliseconds", "MS", 1, 1),
    Command("timer", switch("timer"), "Turn SQL timer on or off", "on|off", 1, 1),
    Command("width", width, "Set minimum column widths", "NUM1 NUM2 ...", 0, None),
)
