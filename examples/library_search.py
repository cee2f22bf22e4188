"""Search the source of Python's standard library while it is still being loaded.

The program reads every .py file of the running Python's standard library into an SQLite database
file with a full-text index, one row a line, and answers searches from many tasks meanwhile. All
of it happens on one event loop: one task loads through one connection, each searcher has a
connection of its own, and a ticker wakes every millisecond and notes how long the loop let it
wait. Write-ahead logging (WAL) is what lets the searchers read while the loader writes.

Run ``python examples/library_search.py``. With aiosqlite installed, ``--driver aiosqlite`` runs
the same code on it: the answers at the end are the same, only the figures above them differ.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import sqlite3
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # While the program runs, --driver says which of the two modules it is.
    import csqlite as aiosqlite

SCHEMA = """
CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT NOT NULL, length INTEGER NOT NULL);
CREATE VIRTUAL TABLE lines USING fts5 (text, file UNINDEXED, number UNINDEXED);
"""
COUNT = "SELECT count(*) FROM lines WHERE lines MATCH ?"
BEST = """
SELECT lines.rowid, path, number, highlight(lines, 0, '[', ']')
FROM lines JOIN files ON files.id = lines.file
WHERE lines MATCH ? ORDER BY rank, lines.rowid LIMIT 3
"""
AROUND = "SELECT text FROM lines WHERE rowid BETWEEN ? AND ?"
QUESTIONS = (
    '"event loop"',
    '"race condition"',
    '"thread safe"',
    '"world domination"',
    '"explicit is better"',
    "deprecated AND removed",
    "garbage AND collector",
    "leap AND second*",
    "spam AND eggs",
    "sqlite*",
    "walrus OR nudge",
    "NEAR(must not, 1) AND coroutine",
)
FILES_PER_COMMIT = 20
PAUSE = 0.02  # Seconds between two searches of one task while the files are loaded.
BURST = 10  # How often each task asks every question, without a pause, once they are loaded.


class Demo:
    """One run: what to load and where to, and everything that is measured on the way."""

    def __init__(self, driver: Any, database: str, searchers: int, progress: bool) -> None:
        self.connect = driver.connect
        self.database = database
        self.searchers = searchers
        self.progress = progress
        self.loading = True
        self.files = self.lines = self.burst = 0
        self.load_seconds = self.burst_seconds = 0.0
        self.latencies: list[float] = []
        self.gaps: list[float] = []

    async def run(self, root: Path, paths: Sequence[Path]) -> list[str]:
        """Load the files while tasks search, let these go on alone; return the answers."""
        async with contextlib.AsyncExitStack() as stack:  # It closes them one by one.
            db, *others = [
                await stack.enter_async_context(self.connect(self.database))
                for _ in range(1 + self.searchers)
            ]
            await db.execute("PRAGMA journal_mode = WAL")
            await db.execute("PRAGMA synchronous = NORMAL")
            await db.executescript(SCHEMA)
            ticker = asyncio.create_task(self.tick())
            work = [asyncio.create_task(self.load(db, root, paths))]
            work += [asyncio.create_task(self.ask(other)) for other in others]
            try:
                await asyncio.gather(*work)
            finally:  # On Ctrl-C as well, no task is left when the connections are closed.
                for task in (ticker, *work):
                    task.cancel()
                await asyncio.gather(ticker, *work, return_exceptions=True)
            return [line for question in QUESTIONS for line in await self.answer(db, question)]

    async def load(self, db: aiosqlite.Connection, root: Path, paths: Sequence[Path]) -> None:
        """Store every file and its lines that are not blank; commit every so many files."""
        started = shown = time.perf_counter()
        for file, path in enumerate(paths, 1):
            lines = await asyncio.to_thread(read_lines, path)
            name = path.relative_to(root).as_posix()
            await db.execute("INSERT INTO files VALUES (?, ?, ?)", (file, name, len(lines)))
            rows = ((text, file, number) for number, text in enumerate(lines, 1) if text.strip())
            await db.executemany("INSERT INTO lines VALUES (?, ?, ?)", rows)
            if file % FILES_PER_COMMIT == 0:
                await db.commit()
            self.files, self.lines = file, self.lines + len(lines)
            if self.progress and time.perf_counter() - shown > 0.5:
                shown = time.perf_counter()
                show(f"{file:,} of {len(paths):,} files, {len(self.latencies):,} searches answered")
        await db.commit()
        self.load_seconds = time.perf_counter() - started
        self.loading = False

    async def ask(self, db: aiosqlite.Connection) -> None:
        """Ask the questions in turn until the files are loaded, then all without a pause."""
        while self.loading:
            for question in QUESTIONS:
                started = time.perf_counter()
                await self.search(db, question)
                self.latencies.append(time.perf_counter() - started)
                await asyncio.sleep(PAUSE if self.loading else 0)
        started = time.perf_counter()
        for question in QUESTIONS * BURST:
            await self.search(db, question)
            self.burst += 1
        self.burst_seconds = max(self.burst_seconds, time.perf_counter() - started)

    async def search(self, db: aiosqlite.Connection, question: str) -> tuple[int, list[Any]]:
        """Return how many lines match, and the best with the lines around: five small queries."""
        async with db.execute(COUNT, (question,)) as cursor:
            count = await cursor.fetchone()
        hits = []
        async with db.execute(BEST, (question,)) as cursor:
            async for rowid, path, number, text in cursor:
                around = await db.execute_fetchall(AROUND, (rowid - 1, rowid + 1))
                hits.append((path, number, text.strip(), around))
        return (count[0] if count else 0), hits

    async def answer(self, db: aiosqlite.Connection, question: str) -> list[str]:
        """Return what a search found as lines of text, the words that match in brackets."""
        count, hits = await self.search(db, question)
        found = [f"    {path}:{number}: {text[:80]}" for path, number, text, _ in hits]
        return [f"  {question}: {count:,} lines", *found]

    async def tick(self) -> None:
        """Wake every millisecond and note how long the event loop took to get here."""
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.gaps.append(now - last)
            last = now

    def report(self) -> str:
        """Return the figures of the run, a line each."""
        files, lines = self.files / self.load_seconds, self.lines / self.load_seconds
        speed = self.burst / self.burst_seconds if self.burst else 0
        return (
            f"  loading     {self.load_seconds:.2f} s: "
            f"{files:,.0f} files/s, {lines:,.0f} lines/s\n"
            f"  meanwhile   {len(self.latencies):,} searches by {self.searchers} tasks: "
            f"{spread(self.latencies)}\n"
            f"  afterwards  {speed:,.0f} searches/s "
            f"({self.burst:,} without a pause, of 5 queries)\n"
            f"  loop stalls between two ticks of 1 ms: {spread(self.gaps)}"
        )


def library_files(limit: int | None) -> tuple[Path, list[Path]]:
    """Return the folder of the standard library and its first ``limit`` .py files by name."""
    root = Path(sysconfig.get_path("stdlib"))
    skipped = {"site-packages", "dist-packages", "__pycache__"}
    found = [path for path in root.rglob("*.py") if skipped.isdisjoint(path.parts)]
    return root, list(islice(sorted(found), limit))


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file; bytes that are not UTF-8, as in some tests, become marks."""
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def spread(seconds: Sequence[float]) -> str:
    """Return the median, the 99th percentile and the worst of some times."""
    ordered = sorted(seconds) or [0.0]
    median, p99, worst = (ordered[int((len(ordered) - 1) * part)] * 1000 for part in (0.5, 0.99, 1))
    return f"median {median:.2f} ms, p99 {p99:.2f} ms, worst {worst:.2f} ms"


def show(text: str) -> None:
    """Write progress to stderr: over the last line on a terminal, as one more line in a log."""
    print(f"\r\x1b[K{text}" if sys.stderr.isatty() else f"{text}\n", end="", file=sys.stderr)
    sys.stderr.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with the given command line and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--driver", default="csqlite", help="csqlite (default) or aiosqlite")
    parser.add_argument("--database", type=Path, help="keep the database in this new file")
    parser.add_argument("--limit", type=int, metavar="N", help="load only the first N files")
    parser.add_argument("--searchers", type=int, default=8, metavar="N", help="tasks (default: 8)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(argv)
    if options.database and options.database.exists():
        parser.error(f"{options.database} exists already: name a new file")
    try:
        driver = importlib.import_module(options.driver)
    except ImportError as error:
        parser.error(f"cannot import {options.driver}: {error}")
    root, paths = library_files(options.limit)
    versions = f"SQLite {driver.sqlite_version}, Python {sys.version.split()[0]}"
    print(f"{driver.__name__} {driver.__version__}, {versions}", flush=True)
    with tempfile.TemporaryDirectory(prefix="library_search-") as folder:
        database = str(options.database or Path(folder, "library.db"))
        demo = Demo(driver, database, options.searchers, not options.quiet)
        try:
            answers = asyncio.run(demo.run(root, paths))
        except KeyboardInterrupt:
            print(f"\nStopped after {demo.files:,} of {len(paths):,} files.")
            return 130
        except sqlite3.OperationalError as error:
            if "no such module: fts5" not in str(error):
                raise
            print(f"SQLite {driver.sqlite_version}, which {options.driver} uses, has no FTS5.")
            return 1
    if demo.progress and sys.stderr.isatty():
        show("")
    print(demo.report(), "Answers", *answers, sep="\n")
    print(f"{len(QUESTIONS)} questions answered from {demo.files:,} files, {demo.lines:,} lines.")
    if options.database:
        print(f"The database is kept in {options.database}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
