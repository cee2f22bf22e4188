"""Puts SQLAlchemy's pinned source distribution, which has its tests, into the cache.

    python tools/fetch_sqlalchemy.py

`requirements/sqlalchemy.txt` pins it by hash; pip fetches it, as it does SQLite's source (see
fetch_sqlite.py). The installed package has no tests. A second run finds it in place and does
nothing.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path

import fetch_sqlite
import sqlite_build

REQUIREMENT = fetch_sqlite.REQUIREMENT.with_name("sqlalchemy.txt")

# What running the tests takes: the library as it is in the distribution, and their settings.
PARTS = ("lib", "test", "setup.cfg")


def pinned_hash() -> str:
    """Returns the hash in the requirement."""
    return REQUIREMENT.read_text().rpartition("sha256:")[2].strip()


def extract(archive: Path, directory: Path) -> None:
    """Copies PARTS, without the distribution's own directory around them."""
    with tarfile.open(archive) as members:
        for member in members:
            _, _, name = member.name.partition("/")
            if member.isfile() and name.split("/")[0] in PARTS and ".." not in name.split("/"):
                content = members.extractfile(member)
                assert content is not None
                place = directory / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with content:
                    place.write_bytes(content.read())


def fetch() -> Path:
    """Returns the directory of the distribution, after fetching it if need be."""
    target = sqlite_build.cache_dir() / f"sqlalchemy-{pinned_hash()[:16]}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fresh = Path(scratch) / "fresh"
        extract(fetch_sqlite.download(REQUIREMENT, Path(scratch)), fresh)
        try:
            os.rename(fresh, target)
        except OSError:
            if not target.is_dir():  # else another run was quicker
                raise
    return target


if __name__ == "__main__":
    print(fetch())
