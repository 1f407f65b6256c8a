"""What people order: pause, resume, cancel and retry a batch, pause and resume a provider.

A flag is committed first, and holds for every claim from then on; rows are moved in chunks after.
"""

from collections.abc import Collection

from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.steering import (
    cancel_batch,
    cancel_jobs,
    pause_batch,
    replay_jobs,
    resume_batch,
)
from promptmill.schema.pauses import lift_pauses
from promptmill.schema.pauses import pause_provider as add_pause
from promptmill.schema.reading import BatchRow, batch_row
from promptmill.schema.settings import Settings
from promptmill.schema.states import BatchState, JobState

BY_USER = "user"
"""the kind of a pause that a person ordered"""
_CHUNK = 2000
"""rows in a transaction: some 40 ms of SQLite's only writer"""
_DEAD = (JobState.FAILED, JobState.QUARANTINED)


def pause(database: Database, batch_id: int, *, reason: str = "paused by hand") -> bool:
    """Pause a batch until told; what runs is finished. False: it was not open."""
    _known(database, batch_id)
    with database.write() as connection:
        return pause_batch(connection, batch_id, reason)


def resume(database: Database, batch_id: int) -> bool:
    """Let a paused batch go on. False: it was not paused."""
    _known(database, batch_id)
    with database.write() as connection:
        return resume_batch(connection, batch_id)


def cancel(database: Database, batch_id: int) -> int:
    """Cancel a batch; return how many jobs were cancelled. What runs is finished and stored.

    Raises UsageError for a batch that is still being loaded: its submit would go on.
    """
    if _known(database, batch_id).state == BatchState.LOADING:
        msg = f"batch {batch_id} is still being loaded: finish its submit first (type it again)"
        raise UsageError(msg)
    with database.write() as connection:
        cancel_batch(connection, batch_id)
    return _cancel_rest(database, batch_id)


def retry(database: Database, batch_id: int, *, states: Collection[JobState] = _DEAD) -> int:
    """Put the jobs of a batch that ended in *states* back to be done; return how many."""
    batch = _known(database, batch_id)
    if batch.pruned is not None:
        msg = f"batch {batch_id} was pruned: its prompts are gone; submit its input again"
        raise UsageError(msg)
    if batch.state == BatchState.CANCELLED:
        _cancel_rest(database, batch_id)  # or reopening it would set these going again
    replayed, last = 0, 0
    while True:
        with database.write() as connection:
            jobs = replay_jobs(connection, batch_id, sorted(states), after=last, most=_CHUNK)
        if not jobs:
            return replayed
        replayed, last = replayed + len(jobs), jobs[-1]


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


def _cancel_rest(database: Database, batch_id: int) -> int:
    cancelled = 0
    while True:
        with database.write() as connection:
            moved = cancel_jobs(connection, batch_id, most=_CHUNK)
        cancelled += moved
        if not moved:
            return cancelled


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
