"""Hold the drivers that can be measured, in the order in which a table shows them.

A rival is one more file here with a subclass of ``Driver``, and one more line below. One that is
not installed is left out of a run.
"""

from __future__ import annotations

from .aiosqlite_api import AiosqliteApi
from .base import Driver, Row, Unsupported
from .stdlib import Stdlib

__all__ = ["DRIVERS", "Driver", "Row", "Unsupported"]

DRIVERS: dict[str, Driver] = {
    driver.name: driver
    for driver in (
        AiosqliteApi("csqlite"),
        AiosqliteApi("aiosqlite"),
        Stdlib(),
    )
}
