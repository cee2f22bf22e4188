"""How much of a long test runs: a short dose in `make test`, the whole in `make test-full`."""

import os

FULL = os.environ.get("CSQLITE_TEST_FULL") == "1"

# How many times longer than usual anything may take: under a sanitizer, in a debug build.
PATIENCE = float(os.environ.get("CSQLITE_TEST_PATIENCE", "1"))


def dose(short, full):
    """Return how often, how long or how many: short, unless all of it is asked for."""
    return full if FULL else short
