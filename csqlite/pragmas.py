"""connect(pragmas=...): settings that a connection begins with, by name or as a preset."""

import re
from collections.abc import Mapping
from typing import Any, Optional, Union

Pragmas = Union[str, Mapping[str, Any], None]

# What a name stands for. docs/pragmas.md says why, and what it takes.
PRESETS: "dict[str, dict[str, Any]]" = {
    "server": {
        "journal_mode": "wal",
        "synchronous": "normal",
        "foreign_keys": True,
        "temp_store": "memory",
        "cache_size": -16000,  # KiB
        "mmap_size": 128 * 1024 * 1024,
        "journal_size_limit": 64 * 1024 * 1024,
        "optimize": "close",
    },
}

# What writes to the file, which a connection that only reads does not.
_WRITING = frozenset({"journal_mode", "synchronous", "journal_size_limit", "optimize"})

# What "optimize": "close" means. The mask adds tables that only other connections have read; the limit
# is what SQLite suggests for one that does not tell how long it takes.
_OPTIMIZE = "PRAGMA analysis_limit = 400; PRAGMA optimize = 0x10002"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?", re.ASCII)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def settings(pragmas: Pragmas, read_only: bool = False) -> "dict[str, Any]":
    """Return the pragmas that a preset or a mapping means.

    Of a preset, a connection that only reads takes what does not write. Raises ValueError for
    a preset that there is not, TypeError for what is neither.
    """
    if pragmas is None:
        return {}
    if isinstance(pragmas, str):
        if pragmas not in PRESETS:
            raise ValueError(
                f"no preset of pragmas is called {pragmas!r}; there is {', '.join(PRESETS)}"
            )
        preset = PRESETS[pragmas]
        return {name: preset[name] for name in preset if not (read_only and name in _WRITING)}
    if not isinstance(pragmas, Mapping):
        raise TypeError(f"pragmas must be a preset or a mapping, not {type(pragmas).__name__}")
    return dict(pragmas)


def scripts(named: "Mapping[str, Any]") -> "tuple[str, Optional[str]]":
    """Return the SQL that sets pragmas, "" for none, and what is tried before closing, or None.

    Raises TypeError and ValueError for names and values that no pragma has.
    """
    parting = [name for name in named if _is_parting(name, named[name])]
    setup = "".join(
        f"PRAGMA {_checked(name)} = {_literal(name, named[name])};"
        for name in named
        if name not in parting
    )
    return setup, _OPTIMIZE if parting else None


def _is_parting(name: Any, value: Any) -> bool:
    return name == "optimize" and isinstance(value, str) and value.lower() == "close"


def _checked(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of a pragma must be str, not {type(name).__name__}")
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not the name of a pragma")
    return name


def _literal(name: str, value: Any) -> str:
    """Return a value as SQL: a bool as ON or OFF, a word as it is, other text quoted."""
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        raise TypeError(
            f"the value of the pragma {name!r} must be str, bool, int or float, "
            f"not {type(value).__name__}"
        )
    if "\0" in value:
        raise ValueError(f"embedded null character in the value of the pragma {name!r}")
    if _WORD.fullmatch(value) is not None:
        return value
    return "'" + value.replace("'", "''") + "'"
