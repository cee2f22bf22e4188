import asyncio
import sqlite3
import sys
from contextlib import AbstractContextManager
from types import TracebackType

if sys.version_info >= (3, 11):
    class DeadlineExceeded(sqlite3.OperationalError, TimeoutError):
        sqlite_errorcode: int
        sqlite_errorname: str
        sqlite_error_offset: int

else:
    class DeadlineExceeded(sqlite3.OperationalError, TimeoutError, asyncio.TimeoutError):
        sqlite_errorcode: int
        sqlite_errorname: str
        sqlite_error_offset: int

class timeout:
    def __init__(self, seconds: float | None) -> None: ...
    def __enter__(self) -> timeout: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...
    async def __aenter__(self) -> timeout: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...

# What csqlite itself uses.
def limited(seconds: float | None) -> timeout: ...
def remaining() -> float | None: ...
def lifted() -> AbstractContextManager[None]: ...
