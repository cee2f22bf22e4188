"""Databases: a directory of named databases, each opened as a pool when it is wanted."""

from .databases import Databases as Databases
from .errors import DatabaseExists, DatabaseInUse, DatabaseNotFound

__all__ = ["DatabaseExists", "DatabaseInUse", "DatabaseNotFound", "Databases"]
