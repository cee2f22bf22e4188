"""Random programs do in csqlite what they do in sqlite3; docs/compat.md names the exceptions."""

import faulthandler
import sys

import pytest
from differential.comparing import LAST, difference
from differential.programs import SUBJECTS
from differential.running import run, script
from differential.views import Loop, Raw, Sqlite3
from doses import dose
from hypothesis import HealthCheck, Phase, given, settings

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="csqlite does as Python 3.11's sqlite3"
)

EXAMPLES = dose(25, 2500)
SECONDS = dose(300, 3600)


@pytest.fixture(autouse=True)
def watchdog(request):
    """End the process, and say where it was, when a program hangs."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_programs_do_the_same(subject):
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(SUBJECTS[subject])
    def check(program):
        oracle = run([*program, *LAST], Sqlite3)
        for view in (Loop, Raw):
            found = difference(program, view, oracle)
            if found is not None:
                lines, want, got = found
                pytest.fail(
                    f"in {view.name}, the last line of\n{script(lines)}\n"
                    f"sqlite3: {want}\n{view.name}: {got}",
                    pytrace=False,
                )

    check()


def test_a_difference_is_found():
    """The comparison would tell: what csqlite is known to do otherwise is seen."""
    program = ["db = connect(':memory:')", "db.create_function('f', 0, None)"]
    lines, want, got = difference([*program, "db.execute('select f()')"], Loop)
    assert lines[-1] == "db.execute('select f()')"
    assert "user-defined function raised exception" in want["result"]
    assert "no such function: f" in got["result"]
