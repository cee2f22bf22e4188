"""The C sources of src/, as text."""

import re
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"


def read_sources():
    """Return {"engine/db.c": text} of all C files in src/."""
    return {
        path.relative_to(SRC).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(SRC.rglob("*.[ch]"))
    }


def blanked(text):
    """Return the text with comments, literals and preprocessor lines blank, lines kept.

    What is compiled only for CSQ_FAULTS is blank too: it exists in test builds alone.
    """
    text = re.sub(
        r"^#ifdef CSQ_FAULTS$.*?^#(?:else|endif)",
        lambda match: "\n" * match.group().count("\n"),
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
    return re.sub(
        r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|^[ \t]*#(?:\\\n|[^\n])*""",
        lambda match: "\n" * match.group().count("\n"),
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
