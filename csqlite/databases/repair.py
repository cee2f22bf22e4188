"""Finishing, or undoing, what somebody has left half done who is gone."""

import asyncio
import os
import random
import time
from typing import Optional

from . import files, several
from .endings import run
from .errors import DatabaseInUse
from .registry import CREATING, DROPPING, READY, RENAMING, WANTED, Registry, Row


async def repair(registry: Registry, row: Row) -> bool:
    """Put a row and its files in order, where nobody works on them; tell whether that was so.

    A database that was being created is there if its file was complete; one that was being dropped
    is gone; one that was being renamed has the name that its file has.
    """
    number = row.number
    if number in registry.mine or not registry.locks.take(number, exclusive=True):
        return False
    registry.mine.add(number)
    try:
        for now in await registry.rows():  # It may be done by now.
            if now.number == number:
                await _put_in_order(registry, now)
    finally:
        registry.let_go(number)
    return True


async def _put_in_order(registry: Registry, row: Row) -> None:
    path = registry.path(row.name)
    if row.state == CREATING:
        if await _is_published(registry, row):
            await run(files.remove_if_there, registry.made_path(row.number))
            await registry.set_state(row.number, READY)
        else:
            await run(files.remove, registry.made_path(row.number))
            await registry.delete(row.number)
    elif row.state == DROPPING:
        await run(files.remove, path)
        await registry.delete(row.number)
    elif row.state == RENAMING:
        assert row.target is not None
        target: Optional[str] = registry.path(row.target)
        if target is None or not os.path.lexists(target):
            await registry.renamed(row.number, row.name)
            return
        if os.path.lexists(path):
            if not files.is_same(path, target):  # The target is somebody else's.
                await registry.renamed(row.number, row.name)
                return
            await run(_finish_move, path, target)
        await registry.renamed(row.number, row.target)
    elif not os.path.lexists(path):
        await registry.delete(row.number)


async def _is_published(registry: Registry, row: Row) -> bool:
    """Tell whether a database that was being created has its name already."""
    path, made = registry.path(row.name), registry.made_path(row.number)
    if not os.path.lexists(path):
        return False
    return not os.path.lexists(made) or files.is_same(path, made)


def _finish_move(source: str, target: str) -> None:
    """End what files.move() has begun: a file has both names, of which only the case may differ."""
    listed = os.listdir(os.path.dirname(source))
    if os.path.basename(source) in listed and os.path.basename(target) in listed:
        os.unlink(source)
        files.sync_folder_of(target)


async def settled(registry: Registry, name: str, ends: float, *, exclusive: bool) -> Optional[Row]:
    """Return the row of a database with which nothing is being done, locked; None where there is none.

    What others do to it is waited for, and put in order where they are gone. Who has it open is asked
    to close it, where `exclusive` needs that. Raises DatabaseInUse.
    """
    loop = asyncio.get_running_loop()
    asked = -WANTED
    while True:
        row = await registry.find(name)
        if row is None:
            return None
        if row.state != READY:
            if await repair(registry, row):
                continue
        elif row.name == name and (exclusive or row.wanted < time.time()):
            if await registry.lock(row, exclusive=exclusive):
                return row
            if exclusive and loop.time() - asked > WANTED / 2:
                asked = loop.time()
                await registry.want(row.number)
        if loop.time() >= ends:
            raise DatabaseInUse(
                f"the database {name!r} was not free in time: somebody else, perhaps another "
                "process, has it open or changes it"
            )
        await asyncio.sleep(max(0.0, min(random.uniform(0.005, 0.03), ends - loop.time())))


async def repair_all(registry: Registry) -> None:
    """Put a directory in order that is being opened."""
    for row in await registry.rows():
        if row.state != READY or not os.path.lexists(registry.path(row.name)):
            await repair(registry, row)
    await registry.adopt()
    await run(several.remove_left, registry.directory, registry.locks)
