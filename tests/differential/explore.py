import re, sys, time
from hypothesis import settings, given, HealthCheck, Phase, seed as hseed
import test_programs as T
import running

subject, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
found = {}
count = [0]
names = subject.split(",") if subject != "all" else list(T.SUBJECTS)
share = seconds / len(names)
def general(x):
    x = re.sub(r"'[^'\"]*?'", lambda m: m.group() if len(m.group()) > 12 else "''", repr(x)[:220])
    return re.sub(r"\d+", "0", x)
for name in names:
    stop = time.time() + share
    s = seed
    while time.time() < stop:
        s += 1
        @hseed(s)
        @settings(max_examples=50, database=None, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
        @given(T.SUBJECTS[name])
        def go(program):
            if time.time() > stop: return
            count[0] += 1
            for view in T.VIEWS:
                diff = T.difference(program, view)
                if diff:
                    line, key, want, got, lines = diff
                    k = (name, key, general(want), general(got))
                    old = found.get(k)
                    n = 1 + (old[5] if old else 0)
                    if old is None or len(old[0]) > len(lines):
                        found[k] = (lines, line, view.name, want, got, n)
                    else:
                        found[k] = (*old[:5], n)
        go()
print("examples", count[0], "stopped", T.STOPPED[0], "kinds", len(found))
for k, (program, line, view, want, got, n) in sorted(found.items(), key=lambda i: -i[1][5]):
    print("=====", n, k[0], view, k[1], "   ", line)
    print("   want", repr(want)[:400]); print("   got ", repr(got)[:400])
    print("   prog:", program[0], *program[9:], sep="\n        ")
