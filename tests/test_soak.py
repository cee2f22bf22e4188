"""A few seconds of the soak; `make soak MINUTES=10` is the whole of it (tools/soak/)."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doses import FULL, dose

import csqlite

TOOLS = Path(__file__).resolve().parent.parent / "tools"
SECONDS = dose(5, 60)


def run(directory, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "soak", "--directory", str(directory), *arguments],
        cwd=TOOLS,
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )


@pytest.fixture(scope="module")
def soak():
    """The package in tools/, which is not installed."""
    spec = importlib.util.spec_from_file_location("soak", TOOLS / "soak" / "__init__.py")
    package = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = package
    spec.loader.exec_module(package)
    for name in ("bank", "ledger", "conductor", "verdict"):
        importlib.import_module(f"soak.{name}")
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "soak"]:
        del sys.modules[name]


def test_load_cancellations_kills_and_faults(tmp_path):
    done = run(tmp_path, "--minutes", str(SECONDS / 60), "--processes", "3")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-5000:]
    assert re.match(r"seed \d+, SQLite ", done.stdout)
    assert "\nclean\n" in done.stdout
    assert "started steady" in done.stdout
    # On a busy machine a few seconds may be too short for more.
    for what in ("transfer", "read", "sqlite3 transfer", "fault") if FULL else ():
        assert f"done {what}" in done.stdout


async def prepared(soak, directory):
    """Return a soak whose files are there and in order, with one acknowledged transfer in each."""
    run = soak.conductor.Soak(directory, 0, 1, 1)
    await run.prepare()
    for name in ("wal", "rollback"):
        async with csqlite.connect(directory / f"{name}.db") as db:
            await soak.bank.implicit(db, [(1, 2, 3, 10)], soak.bank.Attempt())
    ledger = soak.ledger.Ledger(directory / "ledger-1", 1)
    for name in ("wal", "rollback"):
        ledger.write(soak.ledger.KEPT, name, [1])
        ledger.write(soak.ledger.UNDONE, name, [2])
    return run


async def test_audit_of_what_is_in_order(soak, tmp_path):
    await prepared(soak, tmp_path)
    remarks, wrong = await soak.verdict.audit(tmp_path)
    assert wrong == []
    assert remarks == [
        f"{name}: 1 transfers, 1 acknowledged, 1 certainly undone" for name in ("wal", "rollback")
    ]


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("update account set balance = balance + 1 where id = 7", "the sum is"),
        ("update transfer set amount = 20", "balances without transfers"),
        ("delete from transfer", "1 acknowledged and lost"),
        ("update transfer set id = 2", "rolled back and there"),
        ("delete from account where id = 9", "the sum is"),
    ],
)
async def test_audit_notices(soak, tmp_path, sql, complaint):
    await prepared(soak, tmp_path)
    async with csqlite.connect(tmp_path / "wal.db", isolation_level=None) as db:
        await db.execute(sql)
    _, wrong = await soak.verdict.audit(tmp_path)
    assert any(complaint in text for text in wrong)
    assert all(text.startswith("wal") for text in wrong)


def test_growth_is_noticed(soak, tmp_path):
    run = soak.conductor.Soak(tmp_path, 0, 1, 1)
    samples = soak.verdict.SAMPLES
    run.sizes = {
        1: [(50_000_000, 20)] * samples,
        2: [(50_000_000 + 200_000 * i, 20) for i in range(samples)],
        3: [(50_000_000, 20 + i // 4) for i in range(samples)],
        4: [(i * 10**9, i) for i in range(samples - 1)],
    }
    remarks, wrong = soak.verdict.growth(run)
    assert len(remarks) == 3
    assert [text.partition(":")[2][:10] for text in wrong] == [" process 2", " process 3"]


async def test_violations_and_hangs_fail_the_soak(soak, tmp_path, capsys):
    run = await prepared(soak, tmp_path)
    assert await soak.verdict.verdict(run)
    run.complain("steady 1 hangs")
    assert not await soak.verdict.verdict(run)
    assert "violation: steady 1 hangs" in capsys.readouterr().out
