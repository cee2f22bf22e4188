"""The example program: it runs, and says the same on csqlite as on aiosqlite."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent / "examples" / "library_search.py"
FILES = 90
TIMEOUT = 120  # Seconds.


def search(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the example in a folder and return what it printed."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def answers(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the part of the output that depends on the files alone."""
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    return lines[lines.index("Answers") :]


@pytest.fixture(scope="module")
def on_csqlite(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The output of one run on csqlite."""
    return search(tmp_path_factory.mktemp("search"), "--limit", str(FILES), "--quiet")


def test_it_answers_every_question(on_csqlite: subprocess.CompletedProcess[str]) -> None:
    *found, total = answers(on_csqlite)
    assert re.fullmatch(rf"12 questions answered from {FILES} files, [\d,]+ lines\.", total)
    assert len([line for line in found if re.fullmatch(r"  \S.*: [\d,]+ lines", line)]) == 12
    # asyncio is among the first files of every version's library.
    assert any(re.match(r"    asyncio/\w+\.py:\d+: .*\[", line) for line in found)


def test_it_prints_what_it_measures(on_csqlite: subprocess.CompletedProcess[str]) -> None:
    first, *figures = on_csqlite.stdout.partition("Answers")[0].splitlines()
    assert re.fullmatch(r"csqlite \S+, SQLite \S+, Python \S+", first)
    assert len(figures) == 4
    for figure, pattern in zip(
        figures,
        (
            r"  loading  .* files/s, .* lines/s",
            r"  meanwhile  .* searches by 8 tasks: median .*, p99 .*, worst .*",
            r"  afterwards  .* searches/s \(960 .*",
            r"  loop stalls .*: median .*, p99 .*, worst .*",
        ),
    ):
        assert re.match(pattern, figure)
    assert on_csqlite.stderr == ""


def test_aiosqlite_gives_the_same_answers(
    on_csqlite: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    if importlib.util.find_spec("aiosqlite") is None:
        pytest.skip("aiosqlite is not installed")
    done = search(tmp_path, "--limit", str(FILES), "--quiet", "--driver", "aiosqlite")
    if "has no FTS5" in done.stdout:
        pytest.skip("the sqlite3 module's SQLite has no FTS5")
    assert answers(done) == answers(on_csqlite)


def test_it_keeps_the_database_where_it_is_told(tmp_path: Path) -> None:
    arguments = ("--limit", "3", "--searchers", "2", "--quiet", "--database", "library.db")
    assert answers(search(tmp_path, *arguments))[-1] == "The database is kept in library.db."
    assert os.listdir(tmp_path) == ["library.db"]
    again = search(tmp_path, *arguments)
    assert again.returncode == 2
    assert "library.db exists already" in again.stderr


def test_it_stops_cleanly_on_an_interrupt(tmp_path: Path) -> None:
    # A shell without job control starts what it puts in the background deaf to this signal.
    launch = (
        "import pathlib, runpy, signal, time; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        # Slow enough that it tells how far it is before it is done.
        "read = pathlib.Path.read_text; "
        "pathlib.Path.read_text = lambda *a, **b: time.sleep(0.001) or read(*a, **b); "
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launch, "--database", "library.db"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert re.match(r"[\d,]+ of ", process.stderr.readline())  # Half a second after the first.
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    assert re.search(r"Stopped after [\d,]+ of [\d,]+ files\.", output)
    assert "Traceback" not in errors
    assert "Warning" not in errors
    assert os.listdir(tmp_path) == ["library.db"], "a connection was left open"


def test_it_names_a_driver_that_is_missing(tmp_path: Path) -> None:
    done = search(tmp_path, "--driver", "no_such_driver")
    assert done.returncode == 2
    assert "cannot import no_such_driver" in done.stderr
