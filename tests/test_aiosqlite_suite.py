"""aiosqlite's own tests, from its installed wheel, with csqlite in aiosqlite's place."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("aiosqlite", reason="the wheel that holds the tests is not installed")

SECONDS = 50

# Runs in a process of its own: the name aiosqlite is taken there before anything imports it, and
# its package is left out, so that only the tests come from the wheel.
RUNNER = r"""
import faulthandler, importlib, importlib.util, json, os, sys, unittest

name, seconds = sys.argv[1], float(sys.argv[2])
faulthandler.dump_traceback_later(seconds, exit=True)
folder = os.path.join(os.path.dirname(importlib.util.find_spec("aiosqlite").origin), "tests")

module = importlib.import_module(name)
sys.modules["aiosqlite"] = module
for part in ("core", "cursor", "context"):
    sys.modules["aiosqlite." + part] = importlib.import_module(name + "." + part)

spec = importlib.util.spec_from_file_location(
    "aiosqlite.tests", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
)
tests = importlib.util.module_from_spec(spec)
sys.modules["aiosqlite.tests"] = tests
spec.loader.exec_module(tests)
assert sys.modules["aiosqlite.tests.smoke"].aiosqlite is module

suite = unittest.defaultTestLoader.loadTestsFromModule(tests)
result = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(suite)
report = {
    "ran": result.testsRun,
    "failed": sorted(test.id() for test, _ in result.failures + result.errors),
    "skipped": sorted(test.id() for test, _ in result.skipped),
}
print("\n" + json.dumps(report))
"""


def run(name, folder):
    # In a folder of its own, where `import csqlite` cannot find a source tree by accident.
    process = subprocess.run(
        [sys.executable, "-c", RUNNER, name, str(SECONDS)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS + 30,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1]), process.stderr


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    report, log = run("aiosqlite", tmp_path_factory.mktemp("aiosqlite"))
    assert report["failed"] == [], log
    return report


@pytest.fixture(scope="module")
def replacement(tmp_path_factory):
    return run("csqlite", tmp_path_factory.mktemp("csqlite"))


def test_every_test_passes(replacement):
    report, log = replacement
    assert report["failed"] == [], log


def test_as_many_tests_run_as_on_aiosqlite(oracle, replacement):
    report, _ = replacement
    assert report["ran"] == oracle["ran"] >= 30


def test_nothing_is_skipped_even_where_aiosqlite_has_to(replacement):
    # aiosqlite skips one where the interpreter's sqlite3 cannot load extensions.
    report, _ = replacement
    assert report["skipped"] == []
