"""Whole programs of other people's libraries, each in a process of its own, on either module."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
SECONDS = 50

CLIENTS = {
    "aiohttp_client_cache_backend": "aiohttp_client_cache",
    "encode_databases": "databases",
    "langgraph_checkpoint_sqlite": "langgraph",
    "piccolo_orm": "piccolo",
    "pool_of_connections": "aiosqlitepool",
    "tortoise_orm": "tortoise",
}


@pytest.mark.parametrize("program", sorted(CLIENTS))
def test_program_runs(aiosqlite, program, path):
    # Looked for and not imported: this process shall not load what only its children use.
    if importlib.util.find_spec(CLIENTS[program]) is None:
        pytest.skip(f"{CLIENTS[program]} is not installed")
    process = subprocess.run(
        [
            sys.executable,
            str(PROGRAMS / "substitute.py"),
            aiosqlite.__name__,
            str(PROGRAMS / f"{program}.py"),
            str(path),
        ],
        capture_output=True,
        text=True,
        cwd=path.parent,
        timeout=SECONDS,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert path.exists()
