"""Take back the jobs of a worker that is gone. What it had open is `unknown`.

The live calls of a gateway that is gone are cancelled, whoever was to make them: nobody waits for
their answers any more. One that was taken for gone, and is not, waits on under another name.

Which of them killed it nobody can tell, so a crash with others open is no proof. A job whose next
crash would be its last is run alone in its process (see `is_on_trial`); one that then kills its
worker is quarantined, and those that only ran beside it never are.
"""

from collections.abc import Sequence

from promptmill.schema.connection import Connection
from promptmill.schema.moves.failing import pause_where_too_many_failed
from promptmill.schema.pools import BACK
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.states import JobState

_MOST_TRIALS = 2
"""A worker of an older release runs nothing alone; so many times `max_crashes` are enough."""

_LOST = RowSet("lost", (Column("job_id", "bigint"), Column("fence", "bigint")))

_running = Statement(
    "select id, fence from jobs where lease_owner = :worker_id and state = 2 order by id"
    " limit :most"
)
# What goes on in the background is no unknown: the next claim asks for it.
_HELD = """b.on_unknown = 'hold' and not exists (select 1 from background_responses r
    where r.job_id = jobs.id and r.generation = jobs.generation)"""
_release = Statement(
    f"""
update jobs set crashes = crashes + 1, lease_owner = null,
  provider = case when {_HELD} or crashes + 1 >= :max_crashes then jobs.provider else {BACK} end,
  state = case when {_HELD} or crashes + 1 >= :max_crashes then 7 else 0 end,
  finished_at = case when {_HELD} or crashes + 1 >= :max_crashes then {{now}} end
from {{lost}}, batches b
where jobs.id = lost.job_id and jobs.fence = lost.fence and +jobs.state = 2
  and jobs.lease_owner = :worker_id and b.id = jobs.batch_id
returning jobs.id, jobs.state""",
    _LOST,
)
_IS_GONE = """not exists (
    select 1 from workers w where w.id = {0}.waited_by and w.stopped_at is null)"""
# A comparison, or SQLite takes the index for no way in.
_unwaited = Statement(
    f"""
select b.id from batches b where b.waited_by > '' and b.carried is null
  and {_IS_GONE.format("b")}
  and (b.state = 'loading' or b.state in ('open', 'paused') and exists (select 1
    from batch_counts c where c.batch_id = b.id and c.state < 4 and c.jobs > 0))
limit :most"""
)
_forsake = Statement(
    f"""
update batches set state = 'cancelled', paused_reason = null
where state in ('open', 'paused') and id in (select unwaited.batch_id from {{unwaited}})
  and {_IS_GONE.format("batches")}""",
    RowSet("unwaited", (Column("batch_id", "bigint"),)),
)
_wait_on = Statement(
    "update batches set waited_by = :name"
    " where waited_by = :before and carried is null and state <> 'cancelled'"
)
_end = Statement(
    """
update attempts set outcome = 3, ended_at = {now}, error_kind = 'unknown',
  error_code = 'worker_lost', error_text = :reason
from {lost}
where attempts.job_id = lost.job_id and attempts.fence = lost.fence and attempts.outcome = 0""",
    _LOST,
)


def is_on_trial(crashes: int, *, max_crashes: int) -> bool:
    """Tell whether a job with so many crashes must be the only one open in its process."""
    return crashes > 0 and crashes + 1 >= max_crashes


def running_of(connection: Connection, worker_id: str, *, most: int) -> list[tuple[int, int]]:
    """List (job id, fence) of what *worker_id* has claimed and not closed."""
    return [(row[0], row[1]) for row in _running.fetch(connection, worker_id=worker_id, most=most)]


def unwaited_calls(connection: Connection, *, most: int) -> list[int]:
    """List the batches of live calls that have not ended, and whose gateway is gone."""
    return sorted(row[0] for row in _unwaited.fetch(connection, most=most))


def wait_on(connection: Connection, *, before: str, name: str) -> int:
    """Let a gateway wait as *name* for what it waited for *before*; return for how many calls."""
    return _wait_on.run(connection, before=before, name=name)


def forsake(connection: Connection, batch_ids: Sequence[int]) -> None:
    """Cancel those of `unwaited_calls` that are open: what was not sent of them is not sent.

    One that is still loading is to be discarded (`loading.discard_loading`).
    """
    _forsake.run(connection, {"unwaited": [(batch_id,) for batch_id in batch_ids]})


def rescue(
    connection: Connection,
    lost: Sequence[tuple[int, int]],
    *,
    worker_id: str,
    alone: bool,
    max_crashes: int,
    reason: str,
) -> set[int]:
    """Take (job id, fence) pairs from *worker_id*: to pending, or quarantined by policy.

    A job that its worker closed meanwhile, or that was claimed again, is left as it is. *alone*: it
    was all that its worker had, so at its crash number *max_crashes* it is quarantined.
    """
    if not lost:
        return set()
    most = max_crashes if alone else _MOST_TRIALS * max_crashes
    rows = _release.fetch(connection, {"lost": lost}, worker_id=worker_id, max_crashes=most)
    moved = dict(map(tuple, rows))
    gone = [pair for pair in lost if pair[0] in moved]
    if gone:
        _end.run(connection, {"lost": gone}, reason=reason)
    dead = [job_id for job_id, state in moved.items() if state == JobState.QUARANTINED]
    pause_where_too_many_failed(connection, dead)
    return set(moved)
