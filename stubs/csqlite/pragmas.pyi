from collections.abc import Mapping
from typing import Final

from typing_extensions import TypeAlias

Pragmas: TypeAlias = str | Mapping[str, str | int | float] | None

PRESETS: Final[dict[str, dict[str, str | int | float]]]

# What csqlite itself uses.
def settings(pragmas: Pragmas, read_only: bool = False) -> dict[str, str | int | float]: ...
def scripts(named: Mapping[str, str | int | float]) -> tuple[str, str | None]: ...
