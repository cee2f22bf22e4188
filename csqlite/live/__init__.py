"""Live queries: what is committed, as it is committed. See docs/live.md."""

from .changes import Change as Change, ChangeBatch as ChangeBatch
from .observation import (
    Observation as Observation,
    observe as observe,
    observe_many as observe_many,
)
from .subscription import Subscription as Subscription
