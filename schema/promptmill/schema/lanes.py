"""The two ways to ask: live, one call a job, or by a provider's batch API at half the price.

A job of the lane is `waiting` at `LANE_AT`, an instant that never comes: so no statement on the way
of a live job has to know of it. From there it is taken into a provider batch, or let go to be asked
live.
"""

from enum import StrEnum
from typing import Final

import msgspec

LANE_AT: Final = "'9000-01-01T00:00:00.000Z'"
"""In SQL, the `run_at` of a job that waits to be taken into a provider batch."""
IN_LANE: Final = f"state = 3 and run_at >= {LANE_AT}"
"""In SQL, by the index of just these jobs: with `=` SQLite takes that of all that wait."""
REVISION: Final = "0019"
"""the first that knows of the lane"""


class Lane(StrEnum):
    """How the jobs of a batch are asked, as stored in `batches.lane`."""

    LIVE = "live"
    BATCH = "batch"
    """by the providers' batch APIs, where there is one"""
    AUTO = "auto"
    """each job as its deadline, its price and the limits allow"""


class LaneTerms(msgspec.Struct, frozen=True):
    """What a batch was told about its lane."""

    lane: Lane
    left_s: float | None
    """to its deadline, below 0 after it; None: it has none"""
