"""docs/design.md and docs/threads.md say what is there: the units, the mutexes, their order."""

import re
from collections import Counter
from pathlib import Path

import locks
import pytest
from csources import blanked, read_sources
from imports import ROOT

FLOORS = {"src/engine": "**Engine**", "src/bridge": "**Bridge.**", "src/binding": "**Binding.**"}
FOLDERS = {**FLOORS, "csqlite": "**The package**"}


def read(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def table(page, heading):
    """Return the rows of the first table behind a heading, each a list of cells."""
    _, found, rest = page.partition(f"\n{heading}")
    assert found, f"no {heading}"
    rows = re.search(r"\n\|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", rest)[1]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]


def named(rows):
    """Return how often the first column names each unit: `db` and `db.c` are the same."""
    return Counter(Path(name).stem for row in rows for name in re.findall(r"`([\w.]+)`", row[0]))


def complaints(rows, there):
    """Yield what a table of units and a folder tell differently."""
    units = named(rows)
    for unit in sorted({*units, *there}):
        if unit not in there:
            yield f"{unit} is in the table and not in the folder"
        elif units[unit] != 1:
            yield f"{unit} is {units[unit]} times in the table"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_unit_is_in_the_table_of_its_folder_once(folder):
    there = {path.stem for path in (ROOT / folder).glob("*.[chp]*") if path.suffix != ".pyi"}
    assert there
    assert list(complaints(table(read("design.md"), FOLDERS[folder]), there)) == []


def test_a_unit_that_is_missing_gone_or_there_twice_is_noticed():
    page = "\n**Engine**, all\n\n| unit | what |\n|---|---|\n| `a.c`, `b` | `c` |\n| `a` | x |\n"
    assert list(complaints(table(page, "**Engine**"), {"b", "c"})) == [
        "a is in the table and not in the folder",
        "c is 0 times in the table",
    ]
    assert list(complaints(table(page, "**Engine**"), {"a", "b"})) == ["a is 2 times in the table"]


def sources():
    return {name: blanked(text) for name, text in read_sources().items()}


def mutexes_in(cell):
    return set(re.findall(r"`(csq_\w+\.\w+)`", cell))


def test_every_mutex_is_in_the_table():
    listed = [row[0] for row in table(read("threads.md"), "## The mutexes")]
    assert {name for cell in listed for name in mutexes_in(cell)} == locks.mutexes(sources())


def listed_orders(page):
    """Return the pairs that the page lists: (what is held, what is locked meanwhile)."""
    return {
        (outer, inner)
        for row in table(page, "What may be held together")
        for outer in mutexes_in(row[0])
        for inner in mutexes_in(row[1])
    }


def test_every_order_of_two_mutexes_is_listed():
    listed = listed_orders(read("threads.md"))
    found = locks.orders(sources())
    assert {pair: where for pair, where in found.items() if pair not in listed} == {}
    assert {name for pair in listed for name in pair} <= locks.mutexes(sources())


def test_no_order_that_is_listed_goes_both_ways():
    """But for two of a kind, which the page says how to lock."""
    listed = listed_orders(read("threads.md"))
    assert [pair for pair in listed if pair[::-1] in listed and pair[0] != pair[1]] == []


BODY = """
static void
low(struct csq_flow *flow)
{
    pthread_mutex_lock(&flow->lock);
    pthread_mutex_unlock(&flow->lock);
}

void
%s(struct csq_db *db)
{
    pthread_mutex_lock(&db->lock);
    if (db == NULL) {
        pthread_mutex_unlock(&db->lock);
        return;
    }
    %s
    pthread_mutex_unlock(&db->lock);
    %s
}
"""
PAIR = {("csq_db.lock", "csq_flow.lock"): "run -> low"}


@pytest.mark.parametrize(
    ("inside", "outside", "pairs"),
    [
        ("low(db);", "", PAIR),
        ("if (low(db)) {\n    }", "", PAIR),
        ("static const f table[] = {[0] = low};", "", PAIR),
        ("pthread_mutex_lock(&job->flow.lock);", "", {("csq_db.lock", "csq_flow.lock"): "run"}),
        ("", "low(db);", {}),
        ("db->low(db);", "", {}),
        ("pthread_mutex_unlock(&db->lock);\n    pthread_mutex_lock(&db->lock);", "", {}),
        (
            "pthread_mutex_unlock(&db->lock);\n    low(db);\n    pthread_mutex_lock(&db->lock);",
            "",
            {},
        ),
        (
            "pthread_mutex_unlock(&db->lock);\n    pthread_mutex_lock(&db->lock);\n    low(db);",
            "",
            PAIR,
        ),
        ("given();", "", {}),
        ("pthread_mutex_lock(&target->lock);", "", {("csq_db.lock", "csq_db.lock"): "run"}),
        ("elsewhere();", "", {("csq_db.lock", "csq_worker.lock"): "run -> elsewhere -> other"}),
        ("mine();", "", {}),
    ],
)
def test_what_is_locked_meanwhile_is_seen(inside, outside, pairs):
    files = {
        "engine/db.c": BODY % ("run", inside, outside),
        "engine/worker.c": (
            "void\nelsewhere(void)\n{\n    other();\n}\n"
            "static void\nother(void)\n{\n    pthread_mutex_lock(&worker->lock);\n}\n"
            "void\ngiven(void)\n{\n    pthread_mutex_unlock(&db->lock);\n"
            "    pthread_mutex_lock(&db->lock);\n}\n"
            "static void\nmine(void)\n{\n    pthread_mutex_lock(&worker->lock);\n}\n"
        ),
    }
    assert locks.orders(files) == pairs


def test_mutexes_of_structs_are_seen():
    text = "struct csq_db {\n    sqlite3 *handle;\n    pthread_mutex_t lock; /* it */\n};\n"
    assert locks.mutexes({"engine/db.h": text}) == {"csq_db.lock"}
