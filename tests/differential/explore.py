"""Run random programs for some time and list what differs, each kind once, in its shortest form.

    cd tests && PYTHONPATH=. ../.venv/bin/python differential/explore.py SUBJECTS SECONDS SEED

SUBJECTS: names of programs.SUBJECTS, with commas between, or "all".
"""

import re
import sys
import time

from differential.comparing import difference
from differential.programs import SUBJECTS
from differential.views import Loop, Raw
from hypothesis import HealthCheck, Phase, given, seed, settings


def kind(subject, want, got):
    """Return what two differences of the same kind have in common."""
    text = re.sub(r"'[^'\"]{0,10}'", "''", repr((want, got))[:400])
    return subject, re.sub(r"\d+", "0", text)


def explore(subject, seconds, first_seed, found):
    """Run programs of one subject; return how many."""
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        first_seed += 1

        @seed(first_seed)
        @settings(
            max_examples=20,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(SUBJECTS[subject])
        def check(program):
            nonlocal count
            if time.monotonic() > end:
                return
            count += 1
            for view in (Loop, Raw):
                difference_ = difference(program, view)
                if difference_:
                    lines, want, got = difference_
                    key = kind(subject, want, got)
                    old, times = found.get(key, (None, 0))
                    if old is None or len(old[0]) > len(lines):
                        old = (lines, want, got, view.name)
                    found[key] = (old, times + 1)

        check()
    return count


def main():
    names = list(SUBJECTS) if sys.argv[1] == "all" else sys.argv[1].split(",")
    seconds, first_seed = float(sys.argv[2]), int(sys.argv[3])
    found = {}
    for name in names:
        count = explore(name, seconds / len(names), first_seed, found)
        print(f"{name}: {count} programs", flush=True)
    for (subject, _), ((lines, want, got, view), times) in found.items():
        print(
            f"==== {subject}, {times} times; in {view}",
            f"sqlite3: {want}",
            f"csqlite: {got}",
            sep="\n",
        )
        print(*lines, sep="\n    ")


if __name__ == "__main__":
    main()
