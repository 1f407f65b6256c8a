"""What a person orders: cancel, pause, resume, replay. Rows are moved in chunks after the flag."""

from collections.abc import Sequence

from sqlalchemy import Connection

from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.states import JobState

_cancel_batch = Statement(
    "update batches set state = 'cancelled', paused_reason = null"
    " where id = :batch_id and state in ('open', 'paused')"
)
# One branch a state, for its own partial index; `+` keeps SQLite from reading the whole batch.
_cancel_jobs = Statement(
    """
update jobs set state = 6, finished_at = {now}, queued_at = null, run_at = null
where state in (0, 1, 3) and id in (
  select id from (select id from jobs where batch_id = :batch_id and state = 0 limit :most) as p
  union all
  select id from (select id from jobs where +batch_id = :batch_id and state = 1 limit :most) as q
  union all
  select id from (select id from jobs where +batch_id = :batch_id and state = 3 limit :most) as w
  limit :most)"""
)
_pause_batch = Statement(
    "update batches set state = 'paused', paused_reason = :reason"
    " where id = :batch_id and state = 'open'"
)
_resume_batch = Statement(
    "update batches set state = 'open', paused_reason = null"
    " where id = :batch_id and state = 'paused'"
)
_STATES = RowSet("wanted", (Column("state", "smallint"),))
_replay_jobs = Statement(
    """
update jobs set state = 0, generation = generation + 1, fence = fence + 1, attempts = 0,
  refusals = 0, crashes = 0, finished_at = null
where state in (select wanted.state from {wanted}) and state in (5, 6, 7)
  and id in (select id from jobs where batch_id = :batch_id and id > :after
    and state in (select wanted.state from {wanted}) order by id limit :most)
returning id""",
    _STATES,
)
_reopen_batch = Statement(
    "update batches set state = 'open' where id = :batch_id and state = 'cancelled'"
)


def cancel_batch(connection: Connection, batch_id: int) -> bool:
    """Stop a batch: from this commit on nothing of it is claimed.

    False if it was already, or is still loading: that is undone by `discard_loading`.
    """
    return bool(_cancel_batch.run(connection, batch_id=batch_id))


def cancel_jobs(connection: Connection, batch_id: int, *, most: int = 10_000) -> int:
    """Move a chunk of a cancelled batch's open jobs to cancelled; 0 when none is left.

    What is running goes on, and is stored.
    """
    return _cancel_jobs.run(connection, batch_id=batch_id, most=most)


def pause_batch(connection: Connection, batch_id: int, reason: str) -> bool:
    """Pause an open batch until told."""
    return bool(_pause_batch.run(connection, batch_id=batch_id, reason=reason))


def resume_batch(connection: Connection, batch_id: int) -> bool:
    """Let a paused batch go on."""
    return bool(_resume_batch.run(connection, batch_id=batch_id))


def replay_jobs(
    connection: Connection,
    batch_id: int,
    states: Sequence[JobState],
    *,
    after: int = 0,
    most: int = 10_000,
) -> list[int]:
    """Move a chunk of ended jobs with ids above *after* back to pending, as a new generation.

    Returns their ids in order, none when none is left. The first chunk reopens a cancelled batch;
    a later one would undo a cancel that came between.
    """
    rows = [(int(state),) for state in states]
    if after == 0:
        _reopen_batch.run(connection, batch_id=batch_id)
    moved = _replay_jobs.fetch(
        connection, {"wanted": rows}, batch_id=batch_id, after=after, most=most
    )
    return sorted(row[0] for row in moved)
