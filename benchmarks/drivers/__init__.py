"""Hold the drivers that can be measured, in the order in which a table shows them.

A rival is one more file here with a subclass of ``Driver``, and one more line below. One that is
not installed is left out of a run.
"""

from __future__ import annotations

from .aiosqlite_api import AiosqliteApi, CsqliteSystem
from .apsw_api import Apsw, ApswAio, ApswAsyncRun
from .asqlite_api import Asqlite
from .base import Driver, Row, Unsupported
from .cysqlite_aio import CysqliteAio
from .executor import Executor
from .rapsqlite_api import Rapsqlite
from .stdlib import Stdlib
from .turso_aio import TursoAio

__all__ = ["COMMON", "DRIVERS", "REFERENCE", "Driver", "Row", "Unsupported"]

# What the others are compared with.
REFERENCE = "csqlite"
# Measured unless others are asked for.
COMMON = (REFERENCE, "aiosqlite", "sqlite3")
DRIVERS: dict[str, Driver] = {
    driver.name: driver
    for driver in (
        AiosqliteApi(REFERENCE),
        CsqliteSystem(),
        AiosqliteApi("aiosqlite"),
        Stdlib(),
        Executor(),
        Apsw(),
        ApswAio(),
        ApswAsyncRun(),
        CysqliteAio(),
        Asqlite(),
        Rapsqlite(),
        TursoAio(),
    )
}
