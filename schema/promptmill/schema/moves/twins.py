"""Twins: jobs that are not asked, since another job asks the same (`--dedupe`, `--cache`).

A twin waits without end (`run_at` is far away) for the job that `twin_of` names, and gets a copy of
its answer, at no cost. The dispatcher ends it. Where the other comes to nothing, a twin by
`--dedupe` ends as that one did; of those by `--cache` one is asked, and the others wait for it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.errors import ServiceError
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.states import JobState

NEVER_S = 100 * 365.25 * 86400
"""how far away the `run_at` of a twin is"""
_CHOSEN = RowSet("chosen", (Column("id", "bigint"),))
_MOVED = RowSet(
    "moved", (Column("id", "bigint"), Column("twin_of", "bigint"), Column("next", "bigint"))
)

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
# By the cache, or since its batch had one: that the other comes to nothing is no answer for it.
_BY_CACHE = "(b.cache_s is not null or o.id is null or o.batch_id <> t.batch_id)"
# The other has the answer, or will be asked for it. One that took its answer, or will, is nobody to
# wait for: whose answer that is would not be told, nor that it was similar only. Nor is one that
# fell back: another model answers it.
_HOPEFUL = """coalesce(o.twin_of is null and o.fell_back_from is null and (o.state in (2, 4)
  or o.state in (0, 1, 3) and (ob.state = 'open' or o.batch_id = t.batch_id)), false)"""
# For the next of those that waited for the same it may be less similar.
_IS_SIMILAR = """exists (select 1 from similar_hits s
  where s.job_id = t.id and s.twin_of = t.twin_of)"""
_look = Statement(
    f"""
select t.id, t.twin_of, b.state = 'open',
  o.state = 4 and (o.twin_of is null and o.fell_back_from is null or not {_BY_CACHE})
    or o.state > 4 and not {_BY_CACHE},
  {_BY_CACHE} and not {_HOPEFUL}, {_IS_SIMILAR}
from (select id, batch_id, twin_of from jobs where twin_of is not null and state = 3
  and id > :after order by id limit :most) as t
join batches b on b.id = t.batch_id
left join jobs o on o.id = t.twin_of
left join batches ob on ob.id = o.batch_id
order by t.id"""
)
# Its fence is raised: an answer that comes late to an earlier call of its own is `late`. Who
# answered is who was asked of the other, which may have fallen back.
_end = Statement(
    """
update jobs set state = o.state, fence = jobs.fence + 1, run_at = null, finished_at = {now},
  provider = o.provider, model = o.model, pool = o.pool, fell_back_from = o.fell_back_from
from {chosen} join jobs o on +o.state >= 4
where jobs.id = chosen.id and o.id = jobs.twin_of and jobs.state = 3
returning jobs.id, jobs.state""",
    _CHOSEN,
)
_promote = Statement(
    """
update jobs set state = 0, twin_of = null, run_at = null, provider = coalesce(pool, provider)
from {moved}
where jobs.id = moved.id and jobs.twin_of = moved.twin_of and +jobs.state = 3""",
    _MOVED,
)
_follow_next = Statement(
    """
update jobs set twin_of = moved.next from {moved}
where jobs.id = moved.id and jobs.twin_of = moved.twin_of and +jobs.state = 3""",
    _MOVED,
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
_copy_check = Statement(
    """
insert into result_checks (job_id, validity, problem)
select t.id, c.validity, c.problem from {chosen} join jobs t on t.id = chosen.id and t.state = 4
join result_checks c on c.job_id = t.twin_of""",
    _CHOSEN,
)
# What words of the answer stand for; those of the prompt are the twin's own.
_copy_masked = Statement(
    """
insert into pii_map (job_id, word, value)
select t.id, m.word, m.value from {chosen} join jobs t on t.id = chosen.id and t.state = 4
join pii_map m on m.job_id = t.twin_of and m.word like :of_answer escape '!'
where true on conflict (job_id, word) do nothing""",
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


class Left(msgspec.Struct, frozen=True):
    """A twin whose other came to nothing."""

    id: int
    twin_of: int
    is_open: bool
    """its batch goes on, so it can be asked now"""
    is_similar: bool = False
    """what it asks is not equal: another twin of the same is none of its own"""


class TwinsSeen(msgspec.Struct, frozen=True):
    """A look at some twins that wait."""

    ended: tuple[int, ...]
    """those that end as their other did, by id"""
    left: tuple[Left, ...]
    """those that are to be asked, or to wait for the next that is, by id"""
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
    return TwinsSeen(
        ended=tuple(row[0] for row in rows if row[3]),
        left=tuple(Left(row[0], row[1], bool(row[2]), bool(row[5])) for row in rows if row[4]),
        last=rows[-1][0] if len(rows) == most else None,
    )


def end_twins(connection: Connection, twins: Sequence[int]) -> int:
    """End those of *twins* whose other has ended as that one did; return how many."""
    rows = _end.fetch(connection, {"chosen": [(twin,) for twin in twins]})
    copy_ends(connection, {row[0]: JobState(row[1]) for row in rows})
    return len(rows)


def promote_twins(connection: Connection, left: Iterable[Left]) -> int:
    """Let twins be asked whose other came to nothing: of each other's the first, the rest wait on.

    Returns how many are to be asked.
    """
    by_other: defaultdict[int, list[Left]] = defaultdict(list)
    for twin in left:
        by_other[twin.twin_of].append(twin)
    promoted, following = [], []
    for twins in by_other.values():
        first = next((twin for twin in twins if twin.is_open and not twin.is_similar), None)
        for twin in twins:
            if first is None or twin is first or twin.is_similar or not twin.is_open:
                promoted.append((twin.id, twin.twin_of, None))
            else:
                following.append((twin.id, twin.twin_of, first.id))
    if following:
        _follow_next.run(connection, {"moved": following})
    return _promote.run(connection, {"moved": promoted})


def copy_ends(connection: Connection, ended: dict[int, JobState]) -> None:
    """Give jobs that just ended as the job `twin_of` did, to these states, its answer or error.

    Raises ServiceError, and is to be tried again, where an answer was pruned in that moment.
    """
    if not ended:
        return
    chosen = {"chosen": [(twin,) for twin in ended]}
    answered = sum(state is JobState.SUCCEEDED for state in ended.values())
    if answered and _copy_result.run(connection, chosen) != answered:
        msg = "an answer was pruned while it was copied"
        raise ServiceError(msg)
    _copy_body.run(connection, chosen)
    _copy_files.run(connection, chosen)
    _copy_check.run(connection, chosen)
    _copy_masked.run(connection, chosen, of_answer="%!_A%")
    _copy_attempt.run(connection, chosen)
    _close_attempt.run(connection, chosen)
