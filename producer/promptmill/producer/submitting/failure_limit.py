"""How many prompts of a batch may fail before it pauses, as people write it: 200, 5%, none."""

import re
from dataclasses import dataclass
from math import ceil

from promptmill.producer.figures import plural
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.steering import allow_failures
from promptmill.schema.reading import batch_counts, batch_row
from promptmill.schema.states import FINAL_STATES, JobState

_NONE = "none"
_FAILED = (JobState.FAILED, JobState.QUARANTINED)
_COUNT = re.compile(r"[0-9]{1,12}")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")


@dataclass(frozen=True, slots=True)
class FailureLimit:
    """A number of prompts, a share of a batch, or neither: it never pauses for failures."""

    count: int | None = None
    percent: float | None = None

    def of(self, total: int) -> int | None:
        """Count what that is of *total* prompts; a share is at least one prompt."""
        if self.percent is not None:
            return max(1, ceil(total * self.percent / 100))
        return self.count


def parse_failure_limit(text: str) -> FailureLimit:
    """Read what was typed. Raises UsageError."""
    if text == _NONE:
        return FailureLimit()
    if _COUNT.fullmatch(text) and int(text) > 0:
        return FailureLimit(count=int(text))
    percent = _PERCENT.fullmatch(text)
    if percent and 0 < float(percent[1]) <= 100:
        return FailureLimit(percent=float(percent[1]))
    msg = f"--max-failures {text!r} is neither a number above 0 nor a share: write 200, 5% or none"
    raise UsageError(msg)


def limit_failures(database: Database, batch_id: int, limit: FailureLimit) -> bool:
    """Let a batch pause at *limit*; one that is paused for its failures goes on: say so.

    Raises UsageError where as many have failed already.
    """
    with database.write() as connection:
        batch = batch_row(connection, batch_id)
        if batch is None:
            msg = f"there is no batch {batch_id}: `promptmill ls` lists them"
            raise UsageError(msg)
        most = limit.of(batch.total)
        counts = batch_counts(connection, batch_id)
        failed = sum(one.jobs for one in counts if one.state in _FAILED)
        goes_on = any(one.state not in FINAL_STATES for one in counts)
        if most is not None and failed >= most and goes_on:
            msg = (
                f"{failed:,} of {plural(batch.total, 'prompt')} of batch {batch_id} failed already,"
                f" and --max-failures allows {most:,}: allow more, or `promptmill resume"
                f" {batch_id}` goes on until as many again as before"
            )
            raise UsageError(msg)
        return allow_failures(connection, batch_id, most)
