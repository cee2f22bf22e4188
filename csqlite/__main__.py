"""`python -m csqlite`: the shell. See csqlite.shell and docs/shell.md."""

import sys

from .shell import main

if __name__ == "__main__":
    sys.exit(main())
