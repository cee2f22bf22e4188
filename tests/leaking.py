"""Does a little of every kind, for a sanitizer that looks for leaks when the process ends.

    LD_PRELOAD=... PYTHONMALLOC=malloc python leaking.py [--lose]

`make test-asan` runs it, and then once more with --lose, which loses a block on purpose: a check
that cannot fail would say nothing.
"""

import asyncio
import ctypes
import gc
import sys
import warnings

from memory_kinds import KINDS, prepared

TIMES = 20


async def main():
    async with prepared() as scene:
        for operation in KINDS.values():
            for _ in range(TIMES):
                await operation(scene)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asyncio.run(main())
    gc.collect()
    if "--lose" in sys.argv:
        ctypes.CDLL(None).malloc(1234)
    print(f"{len(KINDS)} kinds, {TIMES} times each")
