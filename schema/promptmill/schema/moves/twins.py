"""Twins: jobs that are not asked, since another job of their batch asks the same (`--dedupe`).

A twin waits without end (`run_at` is far away) for the job that `twin_of` names, and ends as that
one ends: with the same answer or the same failure, at no cost. Nothing in a worker's way knows of
it: the dispatcher ends it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from promptmill.schema.statement import Column, RowSet, Statement

NEVER_S = 100 * 365.25 * 86400
"""how far away the `run_at` of a twin is"""
_CHOSEN = RowSet("chosen", (Column("id", "bigint"),))

# Before the batch opens, so nothing of it is dispatched meanwhile.
_mark = Statement(
    """
update jobs set state = 3, twin_of = equal.first_id, run_at = {after:cast(:never_s as float)}
from (select j.id, min(j.id) over (partition by p.request_hash) as first_id
  from jobs j join job_payloads p on p.job_id = j.id where j.batch_id = :batch_id) as equal
where jobs.id = equal.id and equal.id <> equal.first_id and jobs.state = 0"""
)
# The trigger counted their moves; a batch's jobs are counted when it opens.
_uncount = Statement("delete from batch_counts where batch_id = :batch_id")
_look = Statement(
    """
select t.id, o.state >= 4 as ended
from (select id, twin_of from jobs where twin_of is not null and state = 3 and id > :after
  order by id limit :most) as t
join jobs o on o.id = t.twin_of
order by t.id"""
)
_end = Statement(
    """
update jobs set state = o.state, run_at = null, finished_at = {now}
from {chosen} join jobs o on +o.state >= 4
where jobs.id = chosen.id and o.id = jobs.twin_of and jobs.state = 3
returning jobs.id""",
    _CHOSEN,
)
_copy_result = Statement(
    """
insert into results (job_id, batch_id, fence, text, tool_calls, finish_reason, response_model,
  response_id, created_at)
select t.id, t.batch_id, t.fence, r.text, r.tool_calls, r.finish_reason, r.response_model,
  r.response_id, {now}
from {chosen} join jobs t on t.id = chosen.id and t.state = 4
join results r on r.job_id = t.twin_of""",
    _CHOSEN,
)
_copy_body = Statement(
    """
insert into result_bodies (job_id, endpoint, body)
select t.id, b.endpoint, b.body from {chosen} join jobs t on t.id = chosen.id and t.state = 4
join result_bodies b on b.job_id = t.twin_of""",
    _CHOSEN,
)
_copy_files = Statement(
    """
insert into result_files (job_id, position, media_type, bytes, sha256, path)
select t.id, f.position, f.media_type, f.bytes, f.sha256, f.path
from {chosen} join jobs t on t.id = chosen.id and t.state = 4
join result_files f on f.job_id = t.twin_of""",
    _CHOSEN,
)
# Tokens belong to the call, which was the other's: of this one nothing was sent.
_copy_attempt = Statement(
    """
insert into attempts (job_id, fence, batch_id, provider, model, worker_id, started_at, http_status,
  error_kind, error_code, error_text, request_id, cost_micros)
select t.id, t.fence, t.batch_id, t.provider, t.model, 'twin', {now}, a.http_status,
  a.error_kind, a.error_code, a.error_text, a.request_id, 0
from {chosen} join jobs t on t.id = chosen.id
join jobs o on o.id = t.twin_of
left join results r on r.job_id = o.id
join attempts a on a.job_id = o.id and a.fence = coalesce(r.fence, o.fence) and a.outcome <> 0""",
    _CHOSEN,
)
# A step of its own, since usage is summed up when attempts are closed.
_close_attempt = Statement(
    """
update attempts set outcome = 4, ended_at = {now} from {chosen} join jobs t on t.id = chosen.id
where attempts.job_id = t.id and attempts.fence = t.fence and attempts.outcome = 0""",
    _CHOSEN,
)


@dataclass(frozen=True, slots=True)
class TwinsSeen:
    """A look at some twins that wait."""

    ended: tuple[int, ...]
    """those whose other has ended, by id"""
    last: int | None
    """the last that was looked at; None where there are no more"""


def mark_twins(connection: Connection, batch_id: int) -> int:
    """Let the jobs of a loading batch whose request was there before wait for the first of it.

    Reads all requests of the batch: 3 s for a million. Returns how many jobs wait.
    """
    twins = _mark.run(connection, batch_id=batch_id, never_s=NEVER_S)
    _uncount.run(connection, batch_id=batch_id)
    return twins


def look_at_twins(connection: Connection, *, after: int, most: int) -> TwinsSeen:
    """Look at the first *most* waiting twins with ids above *after*."""
    rows = _look.fetch(connection, after=after, most=most)
    ended = tuple(row[0] for row in rows if row[1])
    return TwinsSeen(ended, rows[-1][0] if len(rows) == most else None)


def end_twins(connection: Connection, twins: tuple[int, ...]) -> int:
    """End those of *twins* whose other has ended as that one did; return how many."""
    chosen = {"chosen": [(twin,) for twin in twins]}
    ended = {"chosen": [(row[0],) for row in _end.fetch(connection, chosen)]}
    if ended["chosen"]:
        _copy_result.run(connection, ended)
        _copy_body.run(connection, ended)
        _copy_files.run(connection, ended)
        _copy_attempt.run(connection, ended)
        _close_attempt.run(connection, ended)
    return len(ended["chosen"])
