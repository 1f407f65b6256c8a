"""Pause a batch of which too many prompts have failed: counted in SQL, so over all workers.

What counts is failed or quarantined. `max_failures` of them are allowed beyond `failures_before`,
which is raised when a batch that was paused for them is told to go on: until as many again.
"""

from collections.abc import Iterable

from promptmill.schema.connection import Connection
from promptmill.schema.moves.steering import REACHED, pause_batch
from promptmill.schema.statement import Column, RowSet, Statement

_LONGEST_EXAMPLE = 300
_IDS = RowSet("dead", (Column("job_id", "bigint"),))

# Locks the batch until the commit: of two who fail at once, the second counts the first's, too.
_limited = Statement(
    """
update batches set max_failures = max_failures
where max_failures is not null and state = 'open'
  and id in (select j.batch_id from {dead} join jobs j on j.id = dead.job_id)
returning id""",
    _IDS,
)
_reached = Statement(
    """
select f.failed, b.total from batches b join (
  select batch_id, sum(case when state in (5, 7) then jobs else 0 end) as failed,
    sum(case when state < 4 then jobs else 0 end) as left_over
  from batch_counts where batch_id = :batch_id group by batch_id) f on f.batch_id = b.id
where f.failed >= b.failures_before + b.max_failures and f.left_over > 0"""
)
_example = Statement(
    """
select j.position, coalesce(a.error_text, a.error_code, a.error_kind, 'no attempt')
from {dead} join jobs j on j.id = dead.job_id
left join attempts a on a.job_id = j.id and a.fence = j.fence
where j.batch_id = :batch_id order by j.position limit 1""",
    _IDS,
)


def pause_where_too_many_failed(connection: Connection, dead: Iterable[int]) -> list[int]:
    """Pause the batches of these jobs, which were given up in this transaction, at their limit.

    Returns the ids of the batches that paused now.
    """
    rows = [(job_id,) for job_id in dead]
    limited = [row[0] for row in _limited.fetch(connection, {"dead": rows})] if rows else []
    return [batch_id for batch_id in limited if _pause(connection, batch_id, rows)]


def _pause(connection: Connection, batch_id: int, dead: list[tuple[int]]) -> bool:
    reached = _reached.fetch(connection, batch_id=batch_id)
    if not reached:
        return False
    failed, total = reached[0]
    ((position, error),) = _example.fetch(connection, {"dead": dead}, batch_id=batch_id)
    example = " ".join(error.split())[:_LONGEST_EXAMPLE]
    reason = (
        f"{REACHED}{failed:,} of {total:,} prompts failed, for example prompt {position}: {example}"
    )
    return pause_batch(connection, batch_id, reason)
