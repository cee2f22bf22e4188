"""The final check of what a soak has left behind, and the report."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import csqlite

from . import bank, ledger, tenants
from .conductor import Soak, summary
from .process import BANKS

# How much more a process may hold in the last quarter of its life than in the second.
GROWTH_BYTES = 24_000_000
GROWTH_DESCRIPTORS = 10
# Reports (five a second) below which nothing can be said of growth.
SAMPLES = 300


async def audit(directory: Path) -> tuple[list[str], list[str]]:
    """Check both files against the invariant and the ledgers; return remarks and complaints."""
    written = ledger.read(directory)
    remarks = []
    wrong = []
    for name in BANKS:
        async with csqlite.connect(directory / f"{name}.db") as db:
            checked = await db.execute_fetchall("pragma integrity_check")
            if checked != [("ok",)]:
                wrong.append(f"{name}: {checked[:5]}")
            found = await db.execute_fetchall(bank.SUM)
            if found != [(bank.TOTAL, bank.ACCOUNTS)]:
                wrong.append(f"{name}: the sum is {found}")
            balances = await db.execute_fetchall(bank.AUDIT)
            if balances:
                wrong.append(f"{name}: balances without transfers: {balances[:5]}")
            there = {id for (id,) in await db.execute_fetchall("select id from transfer")}
        kept = written.get((ledger.KEPT, name), set())
        undone = written.get((ledger.UNDONE, name), set())
        if kept - there:
            wrong.append(
                f"{name}: {len(kept - there)} acknowledged and lost: {sorted(kept - there)[:5]}"
            )
        if undone & there:
            wrong.append(f"{name}: rolled back and there: {sorted(undone & there)[:5]}")
        remarks.append(
            f"{name}: {len(there):,} transfers, {len(kept):,} acknowledged, {len(undone):,} certainly undone"
        )
    return remarks, wrong


def growth(soak: Soak) -> tuple[list[str], list[str]]:
    """Compare what the steady processes held early and late; return remarks and complaints."""
    remarks = []
    wrong = []
    for number, samples in soak.sizes.items():
        quarter = len(samples) // 4
        if len(samples) < SAMPLES:
            continue
        early, late = samples[quarter : 2 * quarter], samples[-quarter:]
        sizes = [median(size for size, _ in part) for part in (early, late)]
        descriptors = [median(count for _, count in part) for part in (early, late)]
        text = (
            f"process {number}: {sizes[0] / 1e6:.1f} MB, later {sizes[1] / 1e6:.1f} MB;"
            f" {descriptors[0]:.0f} descriptors, later {descriptors[1]:.0f}"
        )
        remarks.append(text)
        if (
            sizes[1] - sizes[0] > GROWTH_BYTES
            or descriptors[1] - descriptors[0] > GROWTH_DESCRIPTORS
        ):
            wrong.append(f"grows: {text}")
    return remarks, wrong


async def verdict(soak: Soak) -> bool:
    """Print the report; return whether all is well."""
    remarks, wrong = await audit(soak.directory)
    tenants_left, tenants_wrong = await tenants.audit(soak.directory)
    more, growing = growth(soak)
    for line in wrong + tenants_wrong + growing:
        soak.complain(line)
    for name, count in sorted(soak.counts.items()):
        print(f"{count:12,}  {name}")
    print(summary(soak.counts))
    for line in remarks + tenants_left + more:
        print(line)
    for line in soak.violations:
        print(f"violation: {line}")
    print("failed" if soak.violations else "clean", flush=True)
    return not soak.violations
