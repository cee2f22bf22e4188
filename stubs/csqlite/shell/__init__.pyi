from collections.abc import Sequence

__all__ = ["main"]

# The exit status. `argv` is what stands behind the program's name; None: the process's own.
def main(argv: Sequence[str] | None = None) -> int: ...
