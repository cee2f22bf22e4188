"""What callbacks raise where no statement can fail: sys.unraisablehook hears of it."""

import contextlib
import sys


@contextlib.contextmanager
def unraisables():
    """Collect (exception, object) of what is reported while the block runs.

    In the body of a test, because pytest sets a hook of its own around it.
    """
    seen = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda report: seen.append((report.exc_value, report.object))
    try:
        yield seen
    finally:
        sys.unraisablehook = before
