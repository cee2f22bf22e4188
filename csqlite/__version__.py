"""The version of csqlite."""

__version__ = "0.1.0"
