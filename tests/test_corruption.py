"""Damaged files: an error of sqlite3's or rows, never a crash or a hang.

The cases come from a seed, CSQLITE_SEED. They run in processes of their own, so that a crash
names its case; the same bytes are given to the standard module, which says what is right. The
short dose has the same cases each time, the full one others.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from damage import BASES, WAYS, build, damage
from damaged_reader import CHECKS, QUERIES, WRITES
from doses import FULL, dose

import csqlite

CASES = int(os.environ.get("CSQLITE_CASES", "0"))
BATCH = 40
SEED = 20
SAME_SQLITE = csqlite.sqlite_version == sqlite3.sqlite_version

# What an operation on a damaged file may raise. A size that it claims may not be there.
EXPECTED = {
    "DatabaseError",
    "OperationalError",
    "IntegrityError",
    "DataError",
    "InternalError",
    "NotSupportedError",
    "MemoryError",
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """A directory with the base files."""
    directory = tmp_path_factory.mktemp("bases")
    scratch = tmp_path_factory.mktemp("scratch")
    for base in BASES:
        for suffix, data in build(scratch / base, base).items():
            (directory / f"{base}{suffix}").write_bytes(data)
    return directory


def run(module, bases, seed, first, count):
    """Run a batch; return {case: (outcomes, what was damaged)}. A crash fails the test."""
    program = Path(__file__).parent / "damaged_reader.py"
    command = [sys.executable, "-X", "faulthandler", str(program), module, str(bases)]
    done = subprocess.run(
        [*command, str(seed), str(first), str(count)],
        capture_output=True,
        text=True,
        timeout=120 + 20 * count,
        check=False,
    )
    cases = {}
    for line in done.stdout.splitlines():
        case, outcomes, damaged = json.loads(line)
        cases[case] = (outcomes, damaged)
    culprit = f"{module}, seed {seed}, case {first + len(cases)}, bases in {bases}"
    assert (done.returncode, done.stderr) == (0, ""), (culprit, done.stderr[-3000:])
    assert len(cases) == count, culprit
    return cases


def unexpected(outcomes):
    """Return the outcomes that are neither an answer nor an error that may be."""
    return [
        (operation, outcome)
        for operation, outcome in outcomes
        if isinstance(outcome, list) and outcome[0] not in EXPECTED
    ]


def differences(outcomes, others):
    """Return where two modules have read different things from the same bytes.

    Two versions of SQLite may notice damage in different places and word it otherwise; rows
    that both of them give are the same, but where it depends on the plan which of two copies
    of a value is looked at. Of two bad rows, csqlite, which fetches ahead, may
    name the second one, when the first only cannot be decoded.
    """
    found = []
    theirs = dict(map(tuple_of, others))
    for operation, ours in map(tuple_of, outcomes):
        other = theirs.get(operation, ours)
        if "slow" in (ours, other) or ours == other:
            continue
        if isinstance(ours, tuple) and other[1].startswith("Could not decode to UTF-8"):
            continue
        if operation == "pragma foreign_key_check" and not SAME_SQLITE:
            continue
        if SAME_SQLITE or (isinstance(ours, str) and isinstance(other, str)):
            found.append((operation, ours, other))
    return found


def tuple_of(pair):
    operation, outcome = pair
    return operation, tuple(outcome) if isinstance(outcome, list) else outcome


async def sound(db):
    """Whether the file is sound."""
    return await db.execute_fetchall("pragma integrity_check") == [("ok",)]


@pytest.mark.parametrize("base", BASES)
async def test_undamaged_file_answers_everything(bases, base, path):
    for file in sorted(bases.iterdir()):
        if file.name == base or file.name.startswith(f"{base}-"):
            path.with_name(path.name + file.name[len(base) :]).write_bytes(file.read_bytes())
    async with csqlite.connect(path, isolation_level=None) as db:
        for sql in QUERIES + CHECKS + WRITES:
            await db.execute_fetchall(sql)
        assert await sound(db)


def test_damage_is_the_same_for_the_same_dice(bases):
    files = {"": (bases / "plain").read_bytes()}
    once, again = (damage(files, 1024, random.Random(7)) for _ in range(2))
    assert once == again
    assert once[0][""] != files[""]
    for way in WAYS:
        data = bytearray(files[""])
        for i in range(20):
            way(data, 1024, random.Random(i))
        assert data != files[""]


def test_what_must_not_be_is_noticed():
    outcomes = [["a", ["SystemError", "x"]], ["b", ["DatabaseError", "x"]], ["c", "2 rows"]]
    assert unexpected(outcomes) == [("a", ["SystemError", "x"])]
    assert differences([["c", "1 rows"]], outcomes) == [("c", "1 rows", "2 rows")]
    assert differences([["c", "slow"]], outcomes) == []


@pytest.mark.parametrize("part", range(4))
def test_damaged_files(bases, part):
    seed = int(os.environ.get("CSQLITE_SEED", random.randrange(2**32) if FULL else SEED))
    cases = (CASES or dose(160, 10_000)) // 4
    print(f"CSQLITE_SEED={seed}")
    answers = errors = slow = 0
    for first in range(part * cases, (part + 1) * cases, BATCH):
        count = min(BATCH, (part + 1) * cases - first)
        ours = run("csqlite", bases, seed, first, count)
        others = run("sqlite3", bases, seed, first, count)
        for case, (outcomes, damaged) in ours.items():
            where = f"seed {seed}, case {case} ({', '.join(damaged)}), bases in {bases}"
            assert outcomes[-2] == ["close", None], where
            assert not unexpected(outcomes), (where, unexpected(outcomes))
            different = differences(outcomes, others[case][0])
            assert not different, (where, different)
            slow += sum(outcome == "slow" for _, outcome in outcomes)
            errors += sum(isinstance(outcome, list) for _, outcome in outcomes)
            answers += len(outcomes)
    print(f"{cases} cases, {answers} operations, {errors} errors, {slow} stopped for their time")
    assert errors > cases
    assert errors < answers / 2
