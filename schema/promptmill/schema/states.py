"""Where a job is, and which moves are legal.

The same map is enforced twice: by `moves` in its WHERE clauses, and by a trigger in SQL that
refuses an illegal move even from hand-written SQL.
"""

from enum import IntEnum, StrEnum


class JobState(IntEnum):
    """A job's state, as stored in `jobs.state`."""

    PENDING = 0
    """To be done; known to SQL only."""
    QUEUED = 1
    """A hint was published; still to be claimed."""
    RUNNING = 2
    """Claimed by one worker, under one fence."""
    WAITING = 3
    """To be done again at `run_at`."""
    SUCCEEDED = 4
    FAILED = 5
    CANCELLED = 6
    QUARANTINED = 7
    """Held for a person: its outcome is unknown, or it killed its workers."""

    @property
    def word(self) -> str:
        """The state as people read it in views and on the terminal."""
        return self.name.lower()


FINAL_STATES = frozenset(
    {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED}
)

LEGAL_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.PENDING: frozenset(
        {JobState.QUEUED, JobState.RUNNING, JobState.CANCELLED, JobState.QUARANTINED}
        | {JobState.WAITING}  # a twin, for the job that is asked in its place
    ),
    JobState.QUEUED: frozenset(
        {JobState.PENDING, JobState.RUNNING, JobState.WAITING, JobState.FAILED}
        | {JobState.CANCELLED, JobState.QUARANTINED}
        | {JobState.SUCCEEDED}  # by the answer that another job has
    ),
    JobState.RUNNING: frozenset(
        {JobState.PENDING, JobState.QUEUED, JobState.WAITING, JobState.SUCCEEDED}
        | {JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED}
    ),
    JobState.WAITING: frozenset(
        {JobState.PENDING, JobState.QUEUED, JobState.RUNNING, JobState.FAILED}
        | {JobState.CANCELLED, JobState.QUARANTINED}
        | {JobState.SUCCEEDED}  # a twin, by the other's answer
    ),
    JobState.SUCCEEDED: frozenset(),
    # Replayed: to be asked again, or as a twin to wait again.
    JobState.FAILED: frozenset({JobState.PENDING, JobState.WAITING}),
    JobState.CANCELLED: frozenset({JobState.PENDING, JobState.WAITING}),
    JobState.QUARANTINED: frozenset({JobState.PENDING, JobState.WAITING}),
}


class BatchState(StrEnum):
    """A batch's state, as stored in `batches.state`. Progress is in the counts, not here."""

    LOADING = "loading"
    """Its rows are still being committed; nothing of it is dispatched."""
    OPEN = "open"
    PAUSED = "paused"
    """Goes on when told; `batches.paused_reason` says why."""
    CANCELLED = "cancelled"
