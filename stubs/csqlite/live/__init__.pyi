from .changes import Change as Change, ChangeBatch as ChangeBatch
from .subscription import Subscription as Subscription
