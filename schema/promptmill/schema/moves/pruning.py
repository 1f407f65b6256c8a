"""Delete what is old of batches that have ended, in chunks; the batch itself and its sums stay.

A batch is marked first: from that commit on nothing of it is done again. Then its rows go, and the
mark gets its time. A prune that was broken off is gone on with by the next one. Counters and
rollups stay as they were, and `batches.pruned` says that their rows are gone.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant
from promptmill.schema.statement import Column, RowSet, Statement


class Pruned(StrEnum):
    """What of a batch is gone."""

    PROMPTS = "prompts"
    """prompts, bytes that came with failures, all attempts but the last, and calls for vectors:
    answers stay"""
    ALL = "all"
    """all but the batch's row and its sums; its template too"""


class OldBatch(msgspec.Struct, frozen=True):
    """A batch that may be pruned."""

    id: int
    name: str
    total: int
    created_at: datetime
    calls: int


_CAN_GO = """b.state <> 'loading'
  and (b.pruned is null or b.pruned_at is null or b.pruned = 'prompts' and :level = 'all')
  and not exists (select 1 from batch_counts c where c.batch_id = b.id and c.state < 4
    and c.jobs > 0)
  and b.created_at <= {after:-:age_s}
  and not exists (select 1 from jobs j where j.batch_id = b.id and j.finished_at > {after:-:age_s})
"""
_old = Statement(
    f"""
select b.id, b.name, b.total, b.created_at, coalesce(u.calls, 0)
from batches b left join (
  select batch_id, sum(calls) as calls, max(hour_at) as hour_at from usage_hourly
  group by batch_id) u on u.batch_id = b.id
where (u.hour_at is null or u.hour_at <= {{after:-:age_s}}) and {_CAN_GO}
order by b.id"""
)
_hold = Statement("update batches set total = total where id = :batch_id")
_mark = Statement(
    f"""
update batches set pruned = :level, pruned_at = null,
  options = case when :level = 'all' then {{json:'{{{{}}}}'}} else options end,
  first_job_id = coalesce(first_job_id, (select min(j.id) from jobs j
    where j.batch_id = batches.id)),
  last_job_id = coalesce(last_job_id, (select max(j.id) from jobs j
    where j.batch_id = batches.id))
where id in (select b.id from batches b where b.id = :batch_id and {_CAN_GO})"""
)
_IDS = RowSet("gone", (Column("job_id", "bigint"),))
_chunk = Statement(
    """
select j.id from batches b join jobs j on j.id between b.first_job_id and b.last_job_id
where b.id = :batch_id and +j.batch_id = :batch_id and j.id > :after order by j.id limit :most"""
)
_IN_CHUNK = "in (select gone.job_id from {gone})"
_delete_prompts = [
    Statement(f"delete from job_payloads where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from attempt_bodies where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from similar_entries where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from pii_map where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from prompt_flags where job_id {_IN_CHUNK}", _IDS),
]
_delete_earlier_attempts = Statement(
    f"""
delete from attempts where job_id {_IN_CHUNK} and not exists (
  select 1 from jobs j where j.id = attempts.job_id and j.fence = attempts.fence)
  and not exists (select 1 from results r
    where r.job_id = attempts.job_id and r.fence = attempts.fence)""",
    _IDS,
)
_delete_all = [
    Statement(f"delete from attempts where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from results where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from result_bodies where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from result_files where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from similar_hits where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from truncations where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from result_checks where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from background_responses where job_id {_IN_CHUNK}", _IDS),
    Statement(f"delete from jobs where id {_IN_CHUNK}", _IDS),
]
_delete_calls = Statement(
    """
delete from embedder_calls where id in (select e.id from embedder_calls e
  where e.batch_id = :batch_id order by e.id limit :most)"""
)
_finish = Statement("update batches set pruned_at = {now} where id = :batch_id")
_forget_workers = Statement("delete from workers where stopped_at <= {after:-:age_s}")


def old_batches(connection: Connection, level: Pruned, *, age_s: float) -> list[OldBatch]:
    """List the batches of which all ended more than *age_s* ago, and that have something to go."""
    return [
        OldBatch(row[0], row[1], row[2], known_instant(row[3]), int(row[4]))
        for row in _old.fetch(connection, level=level, age_s=age_s)
    ]


def mark_pruned(connection: Connection, batch_id: int, level: Pruned, *, age_s: float) -> bool:
    """Begin to prune a batch. False: there is something left to do of it, or it is not that old."""
    _hold.run(connection, batch_id=batch_id)  # or a retry that commits now would not be seen
    return bool(_mark.run(connection, batch_id=batch_id, level=level, age_s=age_s))


def prune_chunk(
    connection: Connection, batch_id: int, level: Pruned, *, after: int, most: int
) -> Sequence[int]:
    """Delete what is to go of *most* jobs of a marked batch, with ids above *after*.

    Returns the ids, in order; none when none is left.
    """
    ids = [row[0] for row in _chunk.fetch(connection, batch_id=batch_id, after=after, most=most)]
    if ids:
        rows = {"gone": [(job_id,) for job_id in ids]}
        last = _delete_all if level is Pruned.ALL else [_delete_earlier_attempts]
        for statement in (*_delete_prompts, *last):
            statement.run(connection, rows)
        _delete_calls.run(connection, batch_id=batch_id, most=most)
    return ids


def finish_pruning(connection: Connection, batch_id: int) -> None:
    """Say when the last of it went."""
    _finish.run(connection, batch_id=batch_id)


def forget_workers(connection: Connection, *, age_s: float) -> int:
    """Delete the rows of workers that stopped more than *age_s* ago; return how many."""
    return _forget_workers.run(connection, age_s=age_s)
