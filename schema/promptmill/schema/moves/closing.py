"""End attempts: store the answer, or put the job off, or give it up.

All writes match the fence. A writer whose fence is old changes nothing of the job; what its call
cost is still booked on its attempt, as `late`.
"""

from collections.abc import Sequence
from dataclasses import astuple

from promptmill.schema.connection import Connection
from promptmill.schema.moves.endings import Closing
from promptmill.schema.moves.failing import pause_where_too_many_failed
from promptmill.schema.moves.storing import store_results
from promptmill.schema.pools import BACK
from promptmill.schema.statement import Column, RowSet, Statement
from promptmill.schema.states import JobState

_DEAD = (JobState.FAILED, JobState.QUARANTINED)
_MOVES = RowSet(
    "moves",
    (
        Column("job_id", "bigint"),
        Column("fence", "bigint"),
        Column("state", "smallint"),
        Column("delay_s", "double precision"),
        Column("attempts", "smallint"),
        Column("refusals", "integer"),
        Column("provider", "text"),
        Column("model", "text"),
    ),
)
_CUTS = RowSet(
    "cuts",
    (
        Column("job_id", "bigint"),
        Column("fence", "bigint"),
        Column("how", "text"),
        Column("cut_tokens", "bigint"),
        Column("cut_turns", "integer"),
        Column("sent_tokens", "bigint"),
        Column("refused", "smallint"),
        Column("told_tokens", "bigint"),
        Column("told_most", "bigint"),
    ),
)
_ENDED = RowSet(
    "ended",
    (
        Column("job_id", "bigint"),
        Column("fence", "bigint"),
        Column("outcome", "smallint"),
        Column("http_status", "smallint"),
        Column("error_kind", "text"),
        Column("error_code", "text"),
        Column("error_text", "text"),
        Column("request_id", "text"),
        Column("latency_ms", "integer"),
        Column("input_tokens", "bigint"),
        Column("output_tokens", "bigint"),
        Column("cache_read_tokens", "bigint"),
        Column("cache_write_tokens", "bigint"),
        Column("reasoning_tokens", "bigint"),
        Column("cost_micros", "bigint"),
        Column("first_token_ms", "integer"),
    ),
)
_BODIES = RowSet(
    "bodies",
    (Column("job_id", "bigint"), Column("fence", "bigint"), Column("body_base64", "text")),
)

_CLAIMED_BY = RowSet(
    "claimed_by",
    (Column("job_id", "bigint"), Column("fence", "bigint"), Column("worker_id", "text")),
)

# An answer that was rescued from us, and that nobody has claimed since, is still ours to store:
# also where the job was held or cancelled meanwhile, which is undone by the move of a replay.
_reopen = Statement(
    """
update jobs set state = 0, finished_at = null
from {moves}
where jobs.id = moves.job_id and jobs.fence = moves.fence and +jobs.state in (6, 7)
  and moves.state = 4""",
    _MOVES,
)
# Of a pool's job another member may have been given it meanwhile: who answered is who was asked.
_adopt = Statement(
    """
update jobs set state = 2, lease_owner = :worker_id, queued_at = null, run_at = null,
  twin_of = null, provider = case when jobs.pool is null then jobs.provider
    else coalesce((select a.provider from attempts a
      where a.job_id = jobs.id and a.fence = jobs.fence), jobs.provider) end
from {moves}
where jobs.id = moves.job_id and jobs.fence = moves.fence and +jobs.state in (0, 1, 3)
  and moves.state = 4""",
    _MOVES,
)
_move = Statement(
    f"""
update jobs set state = moves.state, attempts = jobs.attempts + moves.attempts,
  refusals = jobs.refusals + moves.refusals, lease_owner = null,
  queued_at = case when moves.state = 1 then {{now}} end,
  run_at = case when moves.state = 3 then {{after:moves.delay_s}} end,
  finished_at = case when moves.state >= 4 then {{now}} end,
  provider = coalesce(moves.provider,
    case when moves.state in (0, 3) then {BACK} else jobs.provider end),
  pool = case when moves.provider is null then jobs.pool end,
  model = coalesce(moves.model, jobs.model), fell_back_from = coalesce(jobs.fell_back_from,
    case when moves.provider is not null
      then coalesce(jobs.pool, jobs.provider) || '/' || jobs.model end)
from {{moves}}
where jobs.id = moves.job_id and jobs.fence = moves.fence and +jobs.state = 2
returning jobs.id""",
    _MOVES,
)
# Outcome 3 (unknown) may still be told better: the rescuer wrote it while the call went on.
_end = Statement(
    """
update attempts set
  outcome = case when ended.outcome = 1 and not exists (select 1 from jobs j
    where j.id = ended.job_id and j.fence = ended.fence and +j.state = 4)
    then 5 else ended.outcome end,
  ended_at = {now}, http_status = ended.http_status, error_kind = ended.error_kind,
  error_code = ended.error_code, error_text = ended.error_text, request_id = ended.request_id,
  latency_ms = ended.latency_ms, input_tokens = ended.input_tokens,
  output_tokens = ended.output_tokens, cache_read_tokens = ended.cache_read_tokens,
  cache_write_tokens = ended.cache_write_tokens, reasoning_tokens = ended.reasoning_tokens,
  cost_micros = ended.cost_micros, first_token_ms = ended.first_token_ms
from {ended}
where attempts.job_id = ended.job_id and attempts.fence = ended.fence
  and (attempts.outcome = 0 or attempts.outcome = 3
    and (ended.outcome <> 3 or attempts.error_code = 'worker_lost'))""",
    _ENDED,
)
_keep_bodies = Statement(
    """
insert into attempt_bodies (job_id, fence, body_base64)
select bodies.job_id, bodies.fence, bodies.body_base64 from {bodies}
where true on conflict (job_id, fence) do nothing""",
    _BODIES,
)
_keep_cuts = Statement(
    """
insert into truncations (job_id, fence, how, cut_tokens, cut_turns, sent_tokens, refused,
  told_tokens, told_most)
select cuts.job_id, cuts.fence, cuts.how, cuts.cut_tokens, cuts.cut_turns, cuts.sent_tokens,
  cuts.refused, cuts.told_tokens, cuts.told_most from {cuts}
where true on conflict (job_id, fence) do nothing""",
    _CUTS,
)

_closed_before = Statement(
    """
select jobs.id from {moves} join jobs on jobs.id = moves.job_id and jobs.fence = moves.fence
where jobs.state = moves.state and exists (select 1 from attempts a
  where a.job_id = moves.job_id and a.fence = moves.fence and a.outcome <> 0)""",
    _MOVES,
)
_intended = Statement(
    """
select a.job_id, a.fence from {claimed_by} join attempts a
on a.job_id = claimed_by.job_id and a.fence = claimed_by.fence
  and a.worker_id = claimed_by.worker_id""",
    _CLAIMED_BY,
)


def close(connection: Connection, closings: Sequence[Closing], *, worker_id: str) -> set[int]:
    """Close attempts and move their jobs. May be repeated: a commit whose answer was lost.

    Returns the ids of the jobs that moved now. One that is missing had been taken from us (or this
    is a repetition); its attempt is closed all the same.
    """
    moves = _moves(closings)
    moved = {row[0] for row in _move.fetch(connection, {"moves": moves})}
    missed = [move for move in moves if move[0] not in moved and move[2] == JobState.SUCCEEDED]
    if missed:
        _reopen.run(connection, {"moves": missed})
        _adopt.run(connection, {"moves": missed}, worker_id=worker_id)
        moved |= {row[0] for row in _move.fetch(connection, {"moves": missed})}
    store_results(connection, [(c, c.result) for c in closings if c.result])
    _end.run(connection, {"ended": [_ended_row(c) for c in closings]})
    bodies = [
        (c.job_id, c.fence, c.attempted.body_base64) for c in closings if c.attempted.body_base64
    ]
    if bodies:
        _keep_bodies.run(connection, {"bodies": bodies})
    cuts = [(c.job_id, c.fence, *astuple(c.attempted.cut)) for c in closings if c.attempted.cut]
    if cuts:
        _keep_cuts.run(connection, {"cuts": cuts})
    dead = [c.job_id for c in closings if c.state in _DEAD and c.job_id in moved]
    if dead:
        pause_where_too_many_failed(connection, dead)
    return moved


def closed_before(connection: Connection, closings: Sequence[Closing]) -> set[int]:
    """Find the jobs that are where these ends put them: a commit whose answer was lost."""
    return {row[0] for row in _closed_before.fetch(connection, {"moves": _moves(closings)})}


def intended(
    connection: Connection, attempts: Sequence[tuple[int, int, str]]
) -> set[tuple[int, int]]:
    """Of (job id, fence, worker id), tell the (job id, fence) that this database has an intent of.

    A worker's id is like no other, so what comes from another database is not in it.
    """
    return {(row[0], row[1]) for row in _intended.fetch(connection, {"claimed_by": attempts})}


def _moves(closings: Sequence[Closing]) -> list[tuple[object, ...]]:
    return [
        (c.job_id, c.fence, int(c.state), c.delay_s, c.attempts, c.refusals, *_target(c))
        for c in closings
    ]


def _target(closing: Closing) -> tuple[str | None, str | None]:
    if closing.falls_back_to is None:
        return None, None
    provider, _, model = closing.falls_back_to.partition("/")
    return provider, model


def _ended_row(closing: Closing) -> tuple[object, ...]:
    a = closing.attempted
    usage = (
        (
            a.usage.input_tokens,
            a.usage.output_tokens,
            a.usage.cache_read_tokens,
            a.usage.cache_write_tokens,
            a.usage.reasoning_tokens,
        )
        if a.usage
        else (None,) * 5
    )
    return (
        closing.job_id,
        closing.fence,
        int(a.outcome),
        a.http_status,
        a.error_kind,
        a.error_code,
        a.error_text,
        a.request_id,
        a.latency_ms,
        *usage,
        a.cost_micros,
        a.first_token_ms,
    )
