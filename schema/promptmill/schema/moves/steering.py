"""What a person orders: cancel, pause, resume, replay. Rows are moved in chunks after the flag."""

from collections.abc import Sequence

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.moves.twins import NEVER_S
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.states import JobState

REACHED = "max-failures reached: "
"""Begin of the reason of a batch that paused for its failures."""

_NO_END = (1 << 63) - 1


class Only(msgspec.Struct, frozen=True):
    """Which of the jobs that ended, by their model and by why their last attempt failed.

    Empty: any. A twin has no attempts: those of the job that was asked in its place count.
    """

    model: str = ""
    kind: str = ""
    code: str = ""


EVERYTHING = Only()

_cancel_batch = Statement(
    "update batches set state = 'cancelled', paused_reason = null"
    " where id = :batch_id and state in ('open', 'paused')"
)
# One branch a state, for its own partial index, in whose order it goes. What is queued is little,
# and `+` keeps SQLite from reading the whole batch for it.
_cancel_jobs = Statement(
    """
update jobs set state = 6, finished_at = {now}, queued_at = null, run_at = null
where state in (0, 1, 3)
  and exists (select 1 from batches where id = :batch_id and state = 'cancelled') and id in (
  select id from (select id from jobs where batch_id = :batch_id and state = 0
    order by provider, model, id limit :most) as p
  union all
  select id from (select id from jobs where +batch_id = :batch_id and state = 1 limit :most) as q
  union all
  select id from (select id from jobs where batch_id = :batch_id and state = 3
    order by provider, model, run_at limit :most) as w
  limit :most)""",
    in_order=True,
)
_pause_batch = Statement(
    "update batches set state = 'paused', paused_reason = :reason"
    " where id = :batch_id and state = 'open'"
)
_FAILED = """(select coalesce(sum(c.jobs), 0) from batch_counts c
  where c.batch_id = batches.id and c.state in (5, 7))"""
_resume_batch = Statement(
    f"""
update batches set state = 'open', paused_reason = null,
  failures_before = case when paused_reason like :reached then {_FAILED} else failures_before end
where id = :batch_id and state = 'paused'"""
)
_allow_failures = Statement(
    "update batches set max_failures = :most, failures_before = 0 where id = :batch_id"
)
_resume_reached = Statement(
    "update batches set state = 'open', paused_reason = null"
    " where id = :batch_id and state = 'paused' and paused_reason like :reached"
)
_count_replayed = Statement(
    f"""
update batches set failures_before = {_FAILED}
where id = :batch_id and failures_before > {_FAILED}"""
)
_hold_whole = Statement("update batches set total = total where id = :batch_id and pruned is null")
_STATES = RowSet("wanted", (Column("state", "smallint"),))
_replay_jobs = Statement(
    """
update jobs set state = case when twin_of is null then 0 else 3 end,
  run_at = case when twin_of is not null then {after:cast(:never_s as float)} end,
  generation = generation + 1, fence = fence + 1, attempts = 0,
  refusals = 0, crashes = 0, finished_at = null, provider = coalesce(pool, provider)
where state in (select wanted.state from {wanted}) and state in (5, 6, 7)
  and id in (select j.id from jobs j where +j.batch_id = :batch_id
    and j.id > :after and j.id <= :last
    and j.state in (select wanted.state from {wanted}) and (:model = '' or j.model = :model)
    and (:kind = '' and :code = '' or exists (select 1 from attempts a
      where (a.job_id = j.id and a.fence = j.fence or a.job_id = j.twin_of)
        and (:kind = '' or a.error_kind = :kind) and (:code = '' or a.error_code = :code)))
    order by j.id limit :most)
returning id""",
    _STATES,
)
_unannounce = Statement("update batches set announced = null where id = :batch_id")
_set_cache = Statement(
    "update batches set cache_s = :cache_s, cache_similar = :similar where id = :batch_id"
)
_set_truncation = Statement(
    "update batches set truncate = :how, max_input_tokens = :most where id = :batch_id"
)
_set_fallbacks = Statement("update batches set fallbacks = :fallbacks where id = :batch_id")
_set_run_limits = Statement(
    "update batches set run_limits = nullif(:limits, '')"
    " where id = :batch_id and coalesce(run_limits, '') <> :limits"
)
_set_priority = Statement(
    "update batches set priority = :priority where id = :batch_id and priority <> :priority"
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
    """Move a chunk of a cancelled batch's open jobs to cancelled; 0 when there is none.

    What is running goes on, and is stored.
    """
    return _cancel_jobs.run(connection, batch_id=batch_id, most=most)


def pause_batch(connection: Connection, batch_id: int, reason: str) -> bool:
    """Pause an open batch until told."""
    return bool(_pause_batch.run(connection, batch_id=batch_id, reason=reason))


def resume_batch(connection: Connection, batch_id: int) -> bool:
    """Let a paused batch go on; one that paused for its failures, until as many again."""
    return bool(_resume_batch.run(connection, batch_id=batch_id, reached=f"{REACHED}%"))


def allow_failures(connection: Connection, batch_id: int, most: int | None) -> bool:
    """Let a batch pause when *most* of its jobs, of all that failed, have failed; None: never.

    A batch that is paused for its failures goes on; say whether it was.
    """
    _allow_failures.run(connection, batch_id=batch_id, most=most)
    return bool(_resume_reached.run(connection, batch_id=batch_id, reached=f"{REACHED}%"))


def set_cache(
    connection: Connection, batch_id: int, cache_s: int, similar: float | None = None
) -> None:
    """Let jobs of a batch take answers of others that are so old at most; 0: none any more.

    *similar*: to requests that are so similar at least, too; None: to equal ones only.
    """
    _set_cache.run(connection, batch_id=batch_id, cache_s=cache_s, similar=similar)


def set_truncation(
    connection: Connection, batch_id: int, how: str | None, most: int | None
) -> None:
    """Let prompts of a batch be cut from now on by *how*, a `truncation.Truncate`, to *most*."""
    _set_truncation.run(connection, batch_id=batch_id, how=how, most=most)


def set_fallbacks(connection: Connection, batch_id: int, fallbacks: str | None) -> None:
    """Change which other models are asked from now on. Jobs that fell back stay where they are."""
    _set_fallbacks.run(connection, batch_id=batch_id, fallbacks=fallbacks)


def set_run_limits(connection: Connection, batch_id: int, limits: str | None) -> None:
    """Note which limits the run that begins was given, as JSON; None: those of the settings."""
    _set_run_limits.run(connection, batch_id=batch_id, limits=limits or "")


def set_priority(connection: Connection, batch_id: int, priority: int) -> bool:
    """Change the priority of a batch, for what is queued from now on. False: it was that."""
    return bool(_set_priority.run(connection, batch_id=batch_id, priority=priority))


def replay_jobs(
    connection: Connection,
    batch_id: int,
    states: Sequence[JobState],
    *,
    only: Only = EVERYTHING,
    after: int = 0,
    last: int = _NO_END,
    most: int = 10_000,
) -> list[int]:
    """Move a chunk of ended jobs with ids above *after* back to pending, as a new generation.

    A twin waits again, for the job that is asked in its place. *last*: the greatest id of the
    batch, so that nothing beyond is looked at. Returns their ids in order, none when none is left,
    or where the batch was pruned. The first chunk reopens a cancelled batch; a later one would undo
    a cancel that came between.
    """
    if not _hold_whole.run(connection, batch_id=batch_id):  # or a prune that begins now would
        return []  # delete what is to be done again
    rows = [(int(state),) for state in states]
    if after == 0:
        _reopen_batch.run(connection, batch_id=batch_id)
    moved = _replay_jobs.fetch(
        connection,
        {"wanted": rows},
        batch_id=batch_id,
        model=only.model,
        kind=only.kind,
        code=only.code,
        after=after,
        last=last,
        most=most,
        never_s=NEVER_S,
    )
    _count_replayed.run(connection, batch_id=batch_id)
    if moved:
        _unannounce.run(connection, batch_id=batch_id)  # it ends once more: `announcing`
    return sorted(row[0] for row in moved)
