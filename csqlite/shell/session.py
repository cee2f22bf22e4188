"""A session: the connection, how results are shown, and what running a statement means."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TextIO
from urllib.parse import quote

from .. import _csqlite
from ..core import Connection, connect
from . import expert, explain, statements, stats
from .errors import CommandError, Interrupted, ReaderGone
from .formats import WRITERS, Writer
from .interrupts import Interrupts
from .modes import MODES, Settings
from .output import Output
from .tables import ColumnWriter, MarkdownWriter, TableWriter

if TYPE_CHECKING:
    from .statements import Statement

# How many rows are fetched ahead, and written at once.
BATCH_ROWS = 256

# A mistake is shown with so many characters of SQL before it, and so many in all.
CONTEXT_BEFORE = 50
CONTEXT_WIDTH = 78

# No SQLite takes more parameters.
MOST_PARAMETERS = 250_000

# Commands that people give without their dot. At a prompt they work, alone in a line.
BARE_COMMANDS = ("EXIT", "HELP", "QUIT")

TABLES = {
    "box": TableWriter,
    "column": ColumnWriter,
    "markdown": MarkdownWriter,
    "qbox": TableWriter,
    "table": TableWriter,
}


def decode(text: bytes) -> str:
    """Return a TEXT value; bytes that are no UTF-8 come out as they went in."""
    return text.decode("utf-8", "surrogateescape")


class Parameters(Mapping[str, Any]):
    """What is bound to `:name`, `@name` and `$name`: NULL where nothing was set."""

    def __init__(self, found: dict[str, Any]) -> None:
        self._values = {name[1:]: value for name, value in found.items()}

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def mark(sql: str, offset: int) -> str:
    """Return the lines that show where in a statement a mistake is. offset: in bytes of UTF-8."""
    place = len(sql.encode("utf-8")[:offset].decode("utf-8", "ignore"))
    if offset < 0 or place >= len(sql):
        return ""
    start = max(0, place - CONTEXT_BEFORE)
    shown = "".join(" " if c.isspace() else c for c in sql[start : start + CONTEXT_WIDTH])
    place -= start
    if place < CONTEXT_BEFORE // 2:
        return f"\n  {shown}\n  {'^--- error here':>{place + 15}}"
    return f"\n  {shown}\n  {'error here ---^':>{place + 1}}"


class Session:
    """What statements and dot-commands work on.

    interactive: somebody types. plain: do not use rich, even where it is installed.
    """

    def __init__(
        self, stdout: TextIO, stderr: TextIO, *, interactive: bool = False, plain: bool = False
    ) -> None:
        self.stderr = stderr
        self.output = Output(stdout)
        self.interactive = interactive
        self.plain = plain
        self.settings = Settings()
        self.interrupts = Interrupts(self.tell)
        self.parameters: dict[str, Any] = {}
        self.errors = 0
        # How long .backup and .restore wait for a lock, in seconds: .timeout says so.
        self.patience = 1.0
        # How many scripts are being read, each by the one before.
        self.depth = 0
        self.file = ":memory:"
        self.readonly = False
        self._db: Connection | None = None

    # -- the connection

    @property
    def db(self) -> Connection:
        """The connection, which is open."""
        if self._db is None:
            raise CommandError("Error: no database is open")
        return self._db

    async def open(self, file: str, readonly: bool = False) -> None:
        """Open a database in place of the one that is open. CommandError: that stays."""
        fresh = await open_database(file, readonly)
        await self.close()
        self._db = fresh
        self.file = file
        self.readonly = readonly

    async def close(self) -> None:
        """Close the connection, if one is open."""
        if self._db is not None:
            await self._db.close()
            self._db = None

    # -- what is printed beside results

    def tell(self, text: str) -> None:
        """Print something that is no result."""
        self.output.stdout.flush()
        self.stderr.write(text)
        self.stderr.flush()

    def fail(self, text: str) -> None:
        """Print what went wrong, and count it."""
        self.errors += 1
        self.tell(text + "\n")

    # -- running

    async def guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what uses the connection, so that Ctrl-C stops it: Interrupted."""
        await self.interrupts.guard(work, self.db)

    async def run(self, statement: Statement, where: str = "") -> bool:
        """Run a statement and print what comes of it. False: it failed, and that was printed.

        where: what stands behind "Parse error" to say where the statement is. Raises Interrupted,
        which was printed, too.
        """
        sql = statement.sql
        if self.settings.echo:
            self.output.write(sql + "\n")
        before = self.errors
        with self.timed():
            try:
                sql = await self.sayable(sql)
                await self.guard(self._run(sql))
            except sqlite3.Error as error:
                await self._explain_error(error, sql, where)
            except ReaderGone:
                pass
            except CommandError as error:
                self.fail(str(error))
            except UnicodeEncodeError:
                self.fail(f"Error{where}: the value of a parameter is not UTF-8")
            except MemoryError:
                self.fail(f"Error{where}: out of memory")
            except ValueError as error:
                self.fail(f"Error{where}: {error}")
            except Interrupted:
                self.fail(f"Runtime error{where}: interrupted (9)")
                raise
            finally:
                self.end_output(self.output.done)
        return self.errors == before

    async def sayable(self, sql: str) -> str:
        """Return SQL as SQLite can be given it; ValueError. See statements.as_utf8()."""
        if not statements.has_strays(sql):
            return sql
        ((encoding,),) = await self.db.execute_fetchall("PRAGMA encoding")
        return statements.as_utf8(sql, wide=encoding != "UTF-8")

    def end_output(self, end: Callable[[], None]) -> None:
        """Call what may close a file, and print what is wrong with that file."""
        try:
            end()
        except CommandError as error:
            self.fail(str(error))

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Print how long something took, where that is asked for."""
        started, used = time.perf_counter(), os.times()
        yield
        if self.settings.timer:
            real, now = time.perf_counter() - started, os.times()
            self.output.write(
                f"Run Time: real {real:.3f} user {now.user - used.user:.6f} "
                f"sys {now.system - used.system:.6f}\n"
            )

    async def _run(self, sql: str) -> None:
        bound = self.bound(sql)
        if self.settings.expert:
            await self._advise(sql, bound)
            return
        measured = self.settings.stats
        before = await stats.look(self.db, sql) if measured != "off" else None
        if self.settings.eqp and statements.first_word(sql) != "EXPLAIN":
            await self._print(f"EXPLAIN QUERY PLAN {sql}", bound)
        await self._print(sql, bound)
        if before is not None:
            self.output.write(await stats.report(self.db, before, measured))
        if self.settings.changes:
            ((now, total),) = await self.db.execute_fetchall("SELECT changes(), total_changes()")
            self.output.write(f"changes: {now}   total_changes: {total}\n")

    async def _advise(self, sql: str, bound: Any) -> None:
        """Say which indexes would help a statement, in place of running it."""
        self.settings.expert = False
        advice = await expert.suggest(self.db, sql, bound)
        indexes = advice.indexes or ["(no new indexes)"]
        self.output.write("\n".join([*indexes, "", *advice.plan, "", ""]))

    async def _print(self, sql: str, bound: Any) -> None:
        """Execute a statement and write its rows."""
        cursor = await self.db.execute(sql, bound)
        try:
            if cursor.description is None:
                return
            columns = [column[0] for column in cursor.description]
            await self._write_rows(cursor, self.writer(columns, sql))
        finally:
            await cursor.close()

    async def _write_rows(self, cursor: Any, writer: Writer) -> None:
        """Write the rows of a cursor as they come."""
        batch: list[Any] = []
        writable = True
        steps = cursor.__aiter__()
        try:
            while True:
                step = steps.__anext__()
                # What is not there yet may take its time: nothing is held back meanwhile.
                if batch and (isinstance(step, _csqlite.Request) or len(batch) >= BATCH_ROWS):
                    ready, batch = batch, []
                    try:
                        writer.rows(ready)
                    except BaseException:
                        if isinstance(step, _csqlite.Request):
                            step.close()
                        raise
                batch.append(await step)
        except StopAsyncIteration:
            pass
        except CommandError:
            writable = False
            raise
        finally:
            # The rows before an error are results, too.
            if writable:
                writer.rows(batch)
                writer.end()
                self.output.flush()

    def writer(self, columns: list[str], sql: str) -> Writer:
        """Return what writes a result as the settings say."""
        settings, output, clean = self.settings, self.output, self.output.cleaner()
        if self._laid_out(sql):
            if columns == explain.PROGRAM_COLUMNS:
                return explain.ProgramWriter(output.write)
            if columns == explain.PLAN_COLUMNS:
                return explain.PlanWriter(output.write)
        if settings.mode in WRITERS:
            return WRITERS[settings.mode](output.write, columns, settings, clean)
        if MODES[settings.mode].drawn and output.is_terminal and not self.plain:
            try:
                from .pretty import RichWriter
            except ImportError:
                self.plain = True
            else:
                return RichWriter(output.stream, columns, settings, clean)
        return TABLES[settings.mode](output.write, columns, settings, clean)

    def _laid_out(self, sql: str) -> bool:
        """Whether the result of a statement may be shown as what EXPLAIN gives."""
        settings = self.settings
        if settings.explain == "off" or MODES[settings.mode].machine:
            return False
        return settings.explain == "on" or statements.first_word(sql) == "EXPLAIN"

    def bound(self, sql: str) -> Any:
        """Return what to bind to the parameters of a statement; what was not set is NULL."""
        names = statements.parameters(sql)
        if not names:
            return None
        if any(name[0] != "?" for name in names):
            return Parameters(self.parameters)
        count = 0
        for name in names:
            # A number that SQLite refuses anyway may have any length.
            count = max(count, int(name[1:8])) if name[1:] else count + 1
        if count > MOST_PARAMETERS:
            return None
        return [self.parameters.get(f"?{number}") for number in range(1, count + 1)]

    # -- errors

    async def _explain_error(self, error: sqlite3.Error, sql: str, where: str) -> None:
        """Print an error of a statement as SQLite's own shell does."""
        code = getattr(error, "sqlite_errorcode", 1) & 0xFF
        if await self._is_in_sql(error, sql):
            offset = getattr(error, "sqlite_error_offset", -1)
            hint = ""
            if statements.first_word(sql) in BARE_COMMANDS:
                hint = f'\n  Did you mean ".{statements.first_word(sql).lower()}"?'
            self.fail(f"Parse error{where}: {error}{mark(sql, offset)}{hint}")
        else:
            number = f" ({code})" if code != _csqlite.SQLITE_ERROR else ""
            self.fail(f"Runtime error{where}: {error}{number}")

    async def _is_in_sql(self, error: sqlite3.Error, sql: str) -> bool:
        """Whether SQLite did not understand a statement, rather than fail to carry it out."""
        if getattr(error, "sqlite_error_offset", -1) >= 0:
            return True
        if getattr(error, "sqlite_errorcode", None) != _csqlite.SQLITE_ERROR:
            return False
        # Some pragmas work while they are being prepared.
        if statements.first_word(sql) == "PRAGMA":
            return False
        try:
            await (await self.db.execute(f"EXPLAIN {sql}", self.bound(sql))).close()
        except sqlite3.Error:
            return True
        return False


async def open_database(file: str, readonly: bool = False, patience: float = 5.0) -> Connection:
    """Open a database: a path, a URI that begins with `file:`, or ":memory:". CommandError.

    patience: how long to wait for a lock, in seconds.
    """
    location = file
    uri = file.startswith("file:")
    if readonly and uri:
        location += ("&" if "?" in file else "?") + "mode=ro"
    elif readonly and file not in ("", ":memory:"):
        location = f"file:{quote(str(Path(file).absolute()))}?mode=ro"
        uri = True
    try:
        db = await connect(
            location, timeout=patience, uri=uri, isolation_level=None, iter_chunk_size=BATCH_ROWS
        )
    except (sqlite3.Error, ValueError) as error:
        raise CommandError(f'Error: unable to open database "{file}": {error}') from error
    db.text_factory = decode
    return db
