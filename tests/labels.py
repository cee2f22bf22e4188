"""Names of parameters in the ids of tests."""

import re


def shown(value):
    """Return repr() without addresses, which are others in each process: for `ids=`."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
