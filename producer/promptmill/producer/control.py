"""What people order: pause, resume, cancel and retry a batch, pause and resume a provider.

A flag is committed first, and holds for every claim from then on; rows are moved in chunks after.
"""

from collections.abc import Callable, Collection, Iterable

from promptmill.schema.answers import job_span
from promptmill.schema.connection import Connection
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.steering import (
    EVERYTHING,
    Only,
    cancel_batch,
    cancel_jobs,
    pause_batch,
    replay_jobs,
    resume_batch,
)
from promptmill.schema.moves.steering import set_priority as change_priority
from promptmill.schema.pauses import lift_pauses
from promptmill.schema.pauses import pause_provider as add_pause
from promptmill.schema.reading import BatchRow, ScopeCount, batch_counts, batch_row
from promptmill.schema.settings import Settings
from promptmill.schema.states import FINAL_STATES, BatchState, JobState

Report = Callable[[int, int], object]
"""told (jobs moved, how many there are at most) after each chunk"""

BY_USER = "user"
"""the kind of a pause that a person ordered"""
MOST_PRIORITY = 100
_CHUNK = 5000
"""rows in a transaction: some 50 ms of SQLite's only writer"""
_OPEN = (JobState.PENDING, JobState.QUEUED, JobState.WAITING)
_DEAD = (JobState.FAILED, JobState.QUARANTINED)


def pause(database: Database, batch_id: int, *, reason: str = "paused by hand") -> bool:
    """Pause a batch until told; what runs is finished. False: it was not open, or has ended."""
    batch = _known(database, batch_id)
    with database.write() as connection:
        return not _has_ended(connection, batch) and pause_batch(connection, batch_id, reason)


def resume(database: Database, batch_id: int) -> bool:
    """Let a paused batch go on. False: it was not paused."""
    _known(database, batch_id)
    with database.write() as connection:
        return resume_batch(connection, batch_id)


def cancel(database: Database, batch_id: int, *, report: Report = lambda _done, _of: None) -> int:
    """Cancel a batch; return how many jobs were cancelled. What runs is finished and stored.

    Nothing of it is claimed from the first *report* on; the dispatcher does what a broken-off one
    leaves. One that has ended stays as it is. Raises UsageError for a batch that is still being
    loaded: its submit would go on.
    """
    batch = _known(database, batch_id)
    if batch.state == BatchState.LOADING:
        msg = f"batch {batch_id} is still being loaded: finish its submit first (type it again)"
        raise UsageError(msg)
    with database.write() as connection:
        if _has_ended(connection, batch):
            return 0
        cancel_batch(connection, batch_id)
    return _cancel_rest(database, batch_id, report)


def retry(
    database: Database,
    batch_id: int,
    *,
    states: Collection[JobState] = _DEAD,
    only: Only = EVERYTHING,
    report: Report = lambda _done, _of: None,
) -> int:
    """Put the jobs of a batch that ended in *states* back to be done; return how many.

    Workers take the first of them while later ones are still moved.
    """
    batch = _known(database, batch_id)
    if batch.pruned is not None:
        msg = f"batch {batch_id} was pruned: its prompts are gone; submit its input again"
        raise UsageError(msg)
    if batch.state == BatchState.CANCELLED:
        _cancel_rest(database, batch_id)  # or reopening it would set these going again
    with database.read() as connection:
        ended = _count(batch_counts(connection, batch_id), states)
        span = job_span(connection, batch_id) or (0, 0)
    replayed, last = 0, 0
    while True:
        with database.write() as connection:
            jobs = replay_jobs(
                connection,
                batch_id,
                sorted(states),
                only=only,
                after=last,
                last=span[1],
                most=_CHUNK,
            )
        if not jobs:
            return replayed
        replayed, last = replayed + len(jobs), jobs[-1]
        report(replayed, ended)


def set_priority(database: Database, batch_id: int, priority: int) -> bool:
    """Change the priority of a batch while it runs; False: it was that. Raises UsageError."""
    _known(database, batch_id)
    if abs(priority) > MOST_PRIORITY:
        msg = f"the priority {priority} is not from -{MOST_PRIORITY} to {MOST_PRIORITY}"
        raise UsageError(msg)
    with database.write() as connection:
        return change_priority(connection, batch_id, priority)


def pause_provider(
    database: Database,
    settings: Settings,
    provider: str,
    *,
    model: str = "",
    reason: str = "paused by hand",
    seconds: float | None = None,
) -> None:
    """Let nobody call *provider* (or only its *model*) for *seconds*, or until told."""
    _configured(settings, provider)
    with database.write() as connection:
        add_pause(
            connection,
            provider=provider,
            model=model,
            kind=BY_USER,
            reason=reason,
            seconds=seconds,
        )


def resume_provider(database: Database, settings: Settings, provider: str) -> int:
    """Lift all pauses of *provider*, its models and its keys; return how many there were."""
    _configured(settings, provider)
    with database.write() as connection:
        return lift_pauses(connection, provider=provider)


def _cancel_rest(
    database: Database, batch_id: int, report: Report = lambda _done, _of: None
) -> int:
    with database.read() as connection:
        left = _count(batch_counts(connection, batch_id), _OPEN)
    cancelled = 0
    report(0, left)
    while True:
        with database.write() as connection:
            moved = cancel_jobs(connection, batch_id, most=_CHUNK)
        cancelled += moved
        if not moved:
            return cancelled
        report(cancelled, left)


def _count(counts: Iterable[ScopeCount], states: Collection[JobState]) -> int:
    return sum(count.jobs for count in counts if count.state in states)


def _has_ended(connection: Connection, batch: BatchRow) -> bool:
    if batch.state == BatchState.LOADING:
        return False
    left = [one for one in batch_counts(connection, batch.id) if one.state not in FINAL_STATES]
    return not any(one.jobs for one in left)


def _known(database: Database, batch_id: int) -> BatchRow:
    with database.read() as connection:
        row = batch_row(connection, batch_id)
    if row is None:
        msg = f"there is no batch {batch_id}: `promptmill ls` lists them"
        raise UsageError(msg)
    return row


def _configured(settings: Settings, provider: str) -> None:
    if provider not in settings.providers:
        known = ", ".join(sorted(settings.providers))
        msg = f"there is no provider {provider!r}: the settings name {known}"
        raise UsageError(msg)
