"""How thorough a run of the tests is: as part of `make test`, or of `make test-long`, which sets ARB_PROOFS=full."""

from __future__ import annotations

import os
from typing import Final

FULL: Final = os.environ.get("ARB_PROOFS") == "full"
MACHINES: Final = 5_000
"""Lives of each state machine in the long tests."""


def lives(usual: int) -> int:
    """How many lives of a state machine are played."""
    return int(os.environ.get("ARB_EXAMPLES", MACHINES)) if FULL else usual
