from .databases import Databases as Databases
from .errors import (
    DatabaseExists as DatabaseExists,
    DatabaseInUse as DatabaseInUse,
    DatabaseNotFound as DatabaseNotFound,
)

__all__ = ["DatabaseExists", "DatabaseInUse", "DatabaseNotFound", "Databases"]
