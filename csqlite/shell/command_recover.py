"""`.recover`: SQL for what can still be read in a damaged database."""

from __future__ import annotations

from ..core import connect
from .command import COMMANDS, Command
from .errors import UsageError
from .page_sources import FilePages, open_pages
from .recover import Options, recover
from .session import Session

DETAILS = """\
   --ignore-freelist       Leave out what is on pages that are free
   --lost-and-found TABLE  Another name for the table of rows that belong to no table
   --no-rowids             Leave out rowids that no column shows"""


def read_arguments(arguments: list[str]) -> Options:
    """Return what the words of a command ask for; UsageError."""
    options = Options()
    words = iter(arguments)
    for word in words:
        option = word.lstrip("-") if word.startswith("-") else ""
        if option == "ignore-freelist":
            options = options._replace(freelist=False)
        elif option == "no-rowids":
            options = options._replace(rowids=False)
        elif option == "lost-and-found":
            table = next(words, None)
            if table is None:
                raise UsageError(f"Error: missing argument on {word}")
            options = options._replace(lost=table)
        else:
            raise UsageError(f"Error: unknown option: {word}")
    return options


async def run(session: Session, arguments: list[str]) -> None:
    """Write SQL that makes anew what can be read of the main database."""
    options = read_arguments(arguments)
    db = session.db
    ((writable,),) = await db.execute_fetchall("PRAGMA writable_schema")
    # SQLite reads on where the schema makes no sense.
    await db.execute("PRAGMA writable_schema = ON")
    try:
        source = await open_pages(db)
        try:
            async with connect(":memory:", isolation_level=None) as scratch:
                await recover(source, scratch, session.output.write, options)
        finally:
            if isinstance(source, FilePages):
                source.close()
    finally:
        await db.execute(f"PRAGMA writable_schema = {'ON' if writable else 'OFF'}")


COMMANDS.add(
    Command(
        "recover",
        run,
        "Render what can be read of a damaged database as SQL",
        "?OPTIONS?",
        0,
        None,
        DETAILS,
    )
)
