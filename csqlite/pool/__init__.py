"""create_pool(): one connection that writes, several that read, handed out in turn."""

from .calls import Executed as Executed
from .errors import PoolClosed as PoolClosed, PoolTimeout as PoolTimeout, TooManyRequests
from .pool import Pool as Pool, create_pool as create_pool

__all__ = ["Executed", "Pool", "PoolClosed", "PoolTimeout", "TooManyRequests", "create_pool"]
