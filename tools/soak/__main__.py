"""The command line: python -m soak --minutes 10."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

import csqlite

from .conductor import Soak
from .verdict import verdict


async def soak(options: argparse.Namespace, directory: Path) -> bool:
    """Run the load and judge what it has left."""
    run = Soak(directory, options.minutes * 60, options.processes, options.seed, options.beside)
    await run.run()
    return await verdict(run)


def main() -> int:
    """Return 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long; 10")
    parser.add_argument("--processes", type=int, default=6, help="how many at a time; 6")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the dice")
    parser.add_argument(
        "--beside",
        action="store_true",
        help="let sqlite3 take part in csqlite's processes, too, and not only in one of its own",
    )
    parser.add_argument("--directory", type=Path, help="where to work, and to leave all files")
    options = parser.parse_args()
    print(f"seed {options.seed}, SQLite {csqlite.sqlite_version}", flush=True)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="soak-"))
    well = asyncio.run(soak(options, directory))
    if well and options.directory is None:
        shutil.rmtree(directory)
    else:
        print(f"files are in {directory}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
