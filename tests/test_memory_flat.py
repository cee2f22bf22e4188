"""What is repeated a hundred thousand times takes no more memory than what is done once.

Each kind runs in a process of its own, whose resident memory, descriptors and threads are read
several times: the slope between the readings is what counts, so that what Python and malloc()
keep for later is not mistaken for a leak. test_leaks.py counts objects and blocks of fewer
repetitions, exactly; here is what such counts do not see.
"""

import asyncio
import gc
import json
import sys
from pathlib import Path

import pytest
from doses import dose
from memory_kinds import FULL_TIMES, KINDS, SHORT_TIMES, prepared
from processes import run_program

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts through /proc")

READINGS = 6

# Bytes for each operation: in full one lost object would be noticed, in short what is gross.
BOUND = dose(1000, 24)

PROGRAM = """
import asyncio, gc, json, os, sys, warnings
sys.path.insert(0, {directory!r})
warnings.simplefilter("ignore")
from memory_kinds import KINDS, prepared
from processes import comes_to, descriptors, least, resident, threads

async def main(kind, times, readings):
    async with prepared() as scene:
        async def repeat(count):
            for _ in range(count):
                await KINDS[kind](scene)

        async def settled():
            for _ in range(3):
                for db in (scene.db, scene.other):
                    await db._execute(int)
                await asyncio.sleep(0)
                gc.collect()

        await repeat(max(times // 4, 20))
        await settled()
        wanted = least(threads, 0.08), descriptors()  # A free thread of the crew waits for 50 ms.
        sizes = [resident()]
        for _ in range(readings):
            await repeat(max(times // readings, 1))
            await settled()
            sizes.append(resident())
        comes_to(lambda: (threads() <= wanted[0], descriptors() <= wanted[1]), (True, True))
        print(json.dumps([sizes, wanted, [least(threads, 0.03), descriptors()]]))

asyncio.run(main({kind!r}, {times}, {readings}))
"""


def slope(sizes):
    """Return the bytes that each reading adds: the median of the slopes between any two."""
    steps = sorted(
        (late - early) / (j - i)
        for i, early in enumerate(sizes)
        for j, late in enumerate(sizes)
        if i < j
    )
    return steps[len(steps) // 2]


@pytest.mark.parametrize("kind", KINDS)
def test_memory_stays_flat(kind, tmp_path):
    times = dose(SHORT_TIMES.get(kind, 300), FULL_TIMES.get(kind, 100_000))
    program = PROGRAM.format(
        directory=str(Path(__file__).parent), kind=kind, times=times, readings=READINGS
    )
    # A page, or an arena of Python's or malloc()'s, may come at any time; what is lost, always.
    for _ in range(3):
        done = run_program(program, tmp_path, options=(), seconds=dose(60, 1800))
        assert done.returncode == 0, done.stderr
        sizes, wanted, found = json.loads(done.stdout)
        each = slope(sizes) * READINGS / times
        if each < BOUND + 300_000 / times:
            break
    assert each < BOUND + 300_000 / times, sizes
    assert (found[0] <= wanted[0], found[1] <= wanted[1]) == (True, True), (found, wanted)


@pytest.mark.skipif(
    not hasattr(sys, "gettotalrefcount"), reason="counted by a debug interpreter alone"
)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.seconds(120)
async def test_total_of_references_stays_flat(kind):
    times = dose(100, 2000)
    async with prepared() as scene:

        async def count():
            for _ in range(3):
                for db in (scene.db, scene.other):
                    await db._execute(int)
                await asyncio.sleep(0)
                gc.collect()
            return sys.gettotalrefcount()

        grown = []
        for _ in range(5):
            before = await count()
            for _ in range(times):
                await KINDS[kind](scene)
            grown.append(await count() - before)
    # What Python keeps for later comes in the first rounds; what is lost is lost in each.
    assert min(grown) < times / 2, grown


def test_a_lost_object_would_be_noticed():
    sizes = [50_000_000 + number * 100_000 * 48 // READINGS for number in range(READINGS + 1)]
    assert slope(sizes) * READINGS / 100_000 > 24
    # One step up, and nothing behind it, is none.
    assert slope([1_000_000] * 2 + [3_000_000] * 5) == 0
