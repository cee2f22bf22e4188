"""Live queries: what is committed, as it is committed. See docs/live.md."""

from .changes import Change as Change, ChangeBatch as ChangeBatch
from .subscription import Subscription as Subscription
