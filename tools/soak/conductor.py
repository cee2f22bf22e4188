"""Starting, watching, killing and stopping the processes of a soak."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import csqlite

from . import bank

# Seconds without a word, and of one operation, after which a process counts as hung.
SILENCE = 60
SLOWEST = 120

# How the processes are dealt out, over and over. Only what is "steady" lives to the end.
ROLES = ("steady", "mortal", "other", "mortal", "cramped", "mortal")


class Soak:
    """One run, and what came of it."""

    def __init__(
        self, directory: Path, seconds: float, processes: int, seed: int, beside: bool = False
    ) -> None:
        self.directory = directory
        self.seconds = seconds
        self.processes = processes
        self.beside = beside
        self.dice = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.sizes: dict[int, list[tuple[int, int]]] = {}  # Of steady ones: resident, descriptors.
        self.begun = time.monotonic()
        self._started = 0

    def left(self) -> float:
        """Return how many seconds remain."""
        return self.begun + self.seconds - time.monotonic()

    def complain(self, text: str) -> None:
        """Note what must not be, and tell at once."""
        self.violations.append(text)
        print(f"VIOLATION: {text}", flush=True)

    async def prepare(self) -> None:
        """Make the two files."""
        for name, journal in (("wal", "wal"), ("rollback", "delete")):
            path = self.directory / f"{name}.db"
            async with csqlite.connect(path, isolation_level=None) as db:
                await db.execute(f"pragma journal_mode = {journal}")
                await db.executescript(bank.SCHEMA)

    async def run(self) -> None:
        """Run all of it."""
        await self.prepare()
        places = [self.place(ROLES[number % len(ROLES)]) for number in range(self.processes)]
        progress = asyncio.ensure_future(self.progress())
        await asyncio.gather(*places)
        progress.cancel()

    async def place(self, role: str) -> None:
        """Keep one process running, and others after it when it is killed."""
        while self.left() > 0:
            steady = role in ("steady", "other")
            await self.life(role, None if steady else self.dice.uniform(0.2, 8))
            if steady:
                break

    async def life(self, role: str, seconds: float | None) -> None:
        """Run one process to its end: killed after `seconds`, or stopped when time is up."""
        self._started += 1
        number = self._started
        module = "soak.other" if role == "other" else "soak.load"
        errors = self.directory / f"stderr-{number}-{role}"
        with errors.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, str(self.directory), str(number),
                str(self.dice.randrange(2**32)), *(["--cramped"] if role == "cramped" else []),
                *(["--beside"] if self.beside else []),
                stdout=asyncio.subprocess.PIPE, stderr=stderr,
                cwd=Path(__file__).parent.parent, limit=2**24,
            )  # fmt: skip
        self.counts[f"started {role}"] += 1
        listening = asyncio.ensure_future(self.listen(process, role, number))
        lived = self.left() if seconds is None else min(seconds, self.left())
        try:
            done, _ = await asyncio.wait([listening], timeout=max(0, lived))
            wanted = 0
            # What has ended by itself must not get a signal: asyncio would lose its status.
            if not done and seconds is not None and self.left() > 0:
                process.kill()
                self.counts[f"killed {role}"] += 1
                wanted = -signal.SIGKILL
            elif not done:
                process.terminate()
            await listening
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        # One that is asked to stop before it has begun dies of the question.
        if code != wanted and not (code == -signal.SIGTERM and number not in self.sizes):
            self.complain(f"{role} {number} ended with {code}, not {wanted}")
        said = errors.read_text(errors="replace")
        if said:
            self.complain(f"{role} {number} wrote to stderr: {said[:3000]}")

    async def listen(self, process: asyncio.subprocess.Process, role: str, number: int) -> None:
        """Take in a process's reports until it ends; end it when it hangs."""
        assert process.stdout is not None
        while True:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), SILENCE)
            except asyncio.TimeoutError:
                self.complain(f"{role} {number} hangs")
                process.send_signal(signal.SIGABRT)
                await process.wait()
                return
            if not line.endswith(b"\n"):
                return
            report = json.loads(line)
            self.counts.update(report["counts"])
            for text in report["violations"]:
                self.complain(f"{role} {number}: {text}")
            age, name = report["slowest"]
            if age > SLOWEST:
                self.complain(f"{role} {number}: {name} runs for {age} s")
                process.send_signal(signal.SIGABRT)
                await process.wait()
                return
            self.sizes.setdefault(number, [])
            if role in ("steady", "other"):
                self.measure(process.pid, number)

    def measure(self, pid: int, number: int) -> None:
        """Note how much a process holds (Linux)."""
        with contextlib.suppress(OSError, ValueError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            self.sizes[number].append((pages * os.sysconf("SC_PAGE_SIZE"), descriptors))

    async def progress(self) -> None:
        """Print a line every ten seconds."""
        while True:
            await asyncio.sleep(10)
            passed = time.monotonic() - self.begun
            print(
                f"{passed:6.0f} s  {summary(self.counts)}, {len(self.violations)} violations",
                flush=True,
            )


def total(counts: Counter[str], prefix: str) -> int:
    """Return the sum of the counts whose names begin so."""
    return sum(count for name, count in counts.items() if name.startswith(prefix))


def summary(counts: Counter[str]) -> str:
    """Return the most important counts in one line."""
    cancelled = total(counts, "error CancelledError") + total(counts, "error TimeoutError")
    numbers: dict[str, Any] = {
        "transfers": total(counts, "done transfer") + total(counts, "done sqlite3 transfer"),
        "reads": total(counts, "done read") + counts["done sqlite3 sum"],
        "cancelled": cancelled,
        "faults": total(counts, "done fault"),
        "errors": total(counts, "error") - cancelled,
        "kills": total(counts, "killed"),
    }
    return ", ".join(f"{value:,} {name}" for name, value in numbers.items())
