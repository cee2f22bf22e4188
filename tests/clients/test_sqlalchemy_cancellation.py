"""SQLAlchemy's own tests of cancelled tasks, from its source distribution, on csqlite.

It skips four of them for aiosqlite, which deadlocks when a task is cancelled again while the
first cancellation settles. On csqlite they run, and all pass.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doses import dose

pytest.importorskip("greenlet")
pytest.importorskip("typing_extensions")

SECONDS = dose(200, 600)

# A cancellation at each await of a session; and a second one at each await of what follows. In the
# whole dose everything of the file, which tries each pair of awaits of four programs.
WHICH = dose(
    "(test_cancel_anywhere_recycle and 1) or (test_cancel_anywhere_twice and True)", "cancel"
)

TOOL = Path(__file__).resolve().parents[2] / "tools" / "fetch_sqlalchemy.py"

# Loaded by pytest before SQLAlchemy: the name aiosqlite is taken, and what is skipped only because
# of aiosqlite runs.
PLUGIN = r"""
import importlib, sys

module = sys.modules["aiosqlite"] = importlib.import_module("csqlite")
for part in ("core", "cursor", "context"):
    sys.modules["aiosqlite." + part] = importlib.import_module("csqlite." + part)

import sqlalchemy.testing
from sqlalchemy.testing import exclusions

only_on = exclusions.only_on

def lift(dbs, reason=None):
    if reason is not None and "aiosqlite deadlocks" in reason:
        return exclusions.skip_if([])
    return only_on(dbs, reason)

sqlalchemy.testing.only_on = lift

def pytest_unconfigure(config):
    from sqlalchemy.dialects.sqlite import aiosqlite
    assert aiosqlite.SQLiteDialect_aiosqlite.import_dbapi().aiosqlite is module
"""


@pytest.fixture(scope="module")
def distribution():
    if sys.version_info < (3, 10):
        pytest.skip("SQLAlchemy 2.1 needs Python 3.10")
    fetched = subprocess.run(
        [sys.executable, str(TOOL)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if fetched.returncode != 0:
        pytest.skip(f"SQLAlchemy's source distribution is not to be had: {fetched.stderr[-300:]}")
    return Path(fetched.stdout.strip())


def run(distribution, folder, which):
    """Give how many tests have passed, and what pytest says."""
    (folder / "csqlite_for_sqlalchemy.py").write_text(PLUGIN)
    command = [sys.executable, "-m", "pytest", "-p", "csqlite_for_sqlalchemy", "-k", which]
    command += ["--rootdir", str(distribution), "-c", str(distribution / "setup.cfg")]
    command += ["-p", "no:cacheprovider", "-q", "-rs", "--db", "aiosqlite"]
    command += ["test/ext/asyncio/test_cancellation.py"]
    process = subprocess.run(
        command,
        cwd=distribution,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(distribution / "lib"), str(folder)])},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    passed = re.search(r"(\d+) passed", process.stdout)
    return int(passed[1]) if passed else 0, process.stdout


def test_a_task_cancelled_anywhere_costs_no_connection_even_when_cancelled_twice(
    distribution, tmp_path
):
    passed, said = run(distribution, tmp_path, WHICH)
    assert passed >= dose(2, 13), said
    assert "skipped" not in said
