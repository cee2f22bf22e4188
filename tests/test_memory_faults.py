"""Memory runs out in CPython's allocators, wherever csqlite asks for some.

Each scenario of nomemory_steps.py is run in a process of its own, again and again, with
another allocation failing each time. A crash, a hang, a SystemError, a wrong result or a
connection that does not answer afterwards ends it with a line that says where.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from doses import dose

pytest.importorskip("_testcapi", reason="CPython's own test helpers are not installed")

from nomemory_steps import SCENARIOS

PROGRAM = Path(__file__).with_name("nomemory_steps.py")
# A few processes for many scenarios: starting one costs as much as a hundred runs.
GROUPS = 6
# CPython 3.13 itself crashes where it makes a function and has no memory for it, and these
# have Python code that makes one.
MAKE_FUNCTIONS = {
    *("cancelling", "dumps", "errors", "many", "statements", "synchronous", "tables"),
}
NAMES = sorted(SCENARIOS.keys() - (MAKE_FUNCTIONS if sys.version_info[:2] == (3, 13) else set()))


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the loop is driven through poll()"
)
@pytest.mark.parametrize("names", [NAMES[i::GROUPS] for i in range(GROUPS)], ids=" ".join)
def test_no_memory_is_an_error_and_nothing_else(names, tmp_path):
    progress = tmp_path / "progress"
    done = subprocess.run(
        [
            *(sys.executable, "-X", "faulthandler", str(PROGRAM)),
            *(*names, str(dose(13, 1)), str(progress)),
        ],
        cwd=PROGRAM.parent,
        capture_output=True,
        text=True,
        timeout=dose(100, 1500),
        check=False,
    )
    where = progress.read_text().splitlines()[:1] if progress.exists() else []
    assert done.returncode == 0, f"{where}\n{done.stdout}\n{done.stderr}"
    assert done.stdout.endswith("done\n")
