import os
from dataclasses import dataclass
from typing import Literal

@dataclass(frozen=True)
class Lock:
    state: Literal["writes", "waits", "reads"]
    process: int | None
    sql: str | None = None
    seconds: float | None = None

def locks(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], /) -> list[Lock]: ...
