"""Make the rows that are read and written, and the database file that reading workloads share.

``python -m benchmarks.fixture PATH ROWS`` writes the file. It is a program of its own because it
uses the ``sqlite3`` module: where csqlite carries its own copy of SQLite, the two must not have
one file open in one process.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Iterator

from .drivers import Row

COLUMNS = "id INTEGER PRIMARY KEY, name TEXT, email TEXT, score REAL, quantity INTEGER, note TEXT"
INSERT = "INSERT INTO {table} (name, email, score, quantity, note) VALUES (?, ?, ?, ?, ?)"


def make_rows(count: int) -> Iterator[Row]:
    """Yield the same rows each time: two texts, a float, a small integer, a text or None."""
    for number in range(1, count + 1):
        yield (
            f"user {number}",
            f"user.{number}@example.org",
            number / 8,
            number % 1000,
            None if number % 4 == 0 else f"note {number % 50} of some length",
        )


def random_keys(count: int, rows: int) -> list[int]:
    """Return ``count`` keys of the first rows, the same ones each time.

    They stay among the first 10,000, which SQLite's page cache holds: what is measured is the
    driver and not the file system.
    """
    generator = random.Random(count)
    return [generator.randint(1, min(rows, 10_000)) for _ in range(count)]


def write_database(path: str, rows: int) -> None:
    """Write a database file in WAL mode with ``rows`` rows in the table item."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"CREATE TABLE item ({COLUMNS})")
    connection.executemany(INSERT.format(table="item"), make_rows(rows))
    connection.commit()
    connection.execute("ANALYZE")
    connection.close()


if __name__ == "__main__":
    write_database(sys.argv[1], int(sys.argv[2]))
