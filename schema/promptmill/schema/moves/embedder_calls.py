"""Calls of a provider for vectors: an intent before each, what it came to after it, and its cost.

They are no attempts, since they are of no job: one call is for texts of several jobs of a batch.
What they cost is the batch's all the same, by a trigger as that of attempts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from promptmill.schema.connection import Connection
from promptmill.schema.moves.endings import Attempted
from promptmill.schema.moves.spending import reserve_beside
from promptmill.schema.statement import Column, RowSet, Statement


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that is to be made."""

    batch_id: int
    provider: str
    model: str
    fingerprint: str
    """of the key that will be used"""
    worker_id: str
    texts: int
    most_micros: int | None
    """what it can cost at most; None: nobody can say, so a batch with a budget makes none"""


_intend = Statement(
    """
insert into embedder_calls (batch_id, provider, model, worker_id, texts, started_at,
  reserved_micros)
select b.id, :provider, :model, :worker_id, :texts, {now},
  case when b.budget_micros is not null then cast(:most_micros as bigint) end
from batches b
where b.id = :batch_id and b.state = 'open'
  and (b.budget_micros is null or cast(:most_micros as bigint) is not null)
  and not exists (select 1 from pauses p where p.provider = :provider
    and p.model in ('', :model) and p.fingerprint in ('', :fingerprint)
    and (p.until_at is null or p.until_at > {now}))
returning id, reserved_micros"""
)
_forget = Statement("delete from embedder_calls where id = :call_id")
_end = Statement(
    """
update embedder_calls set outcome = :outcome, ended_at = {now}, http_status = :http_status,
  error_kind = :error_kind, error_code = :error_code, error_text = :error_text,
  request_id = :request_id, latency_ms = :latency_ms, input_tokens = :input_tokens,
  output_tokens = :output_tokens, cost_micros = :cost_micros
where id = :call_id and (outcome = 0 or outcome = 3 and error_code = 'worker_lost')"""
)
_CALLS = RowSet("lost", (Column("id", "bigint"),))
_lost = Statement(
    """
select c.id from embedder_calls c where c.outcome = 0 and not exists
  (select 1 from workers w where w.id = c.worker_id and w.stopped_at is null)
order by c.id limit :most"""
)
_end_lost = Statement(
    """
update embedder_calls set outcome = 3, ended_at = {now}, error_kind = 'unknown',
  error_code = 'worker_lost', error_text = :reason
where outcome = 0 and id in (select lost.id from {lost})""",
    _CALLS,
)


def intend_call(connection: Connection, intent: Intent) -> int | None:
    """Write that a call is to be made; return its number.

    None: its batch or its key is paused, or a budget has no room for it. Nothing is sent then.
    """
    rows = _intend.fetch(
        connection,
        batch_id=intent.batch_id,
        provider=intent.provider,
        model=intent.model,
        fingerprint=intent.fingerprint,
        worker_id=intent.worker_id,
        texts=intent.texts,
        most_micros=intent.most_micros,
    )
    if not rows:
        return None
    call_id, reserved = int(rows[0][0]), rows[0][1]
    if reserved is not None and not reserve_beside(connection, intent.batch_id, reserved):
        _forget.run(connection, call_id=call_id)
        return None
    return call_id


def end_call(connection: Connection, call_id: int, attempted: Attempted) -> bool:
    """Write what a call came to. False: that is written already."""
    usage = attempted.usage
    changed = _end.run(
        connection,
        call_id=call_id,
        outcome=int(attempted.outcome),
        http_status=attempted.http_status,
        error_kind=attempted.error_kind,
        error_code=attempted.error_code,
        error_text=attempted.error_text,
        request_id=attempted.request_id,
        latency_ms=attempted.latency_ms,
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        cost_micros=attempted.cost_micros,
    )
    return bool(changed)


def lost_calls(connection: Connection, *, most: int) -> list[int]:
    """List open calls whose worker has stopped or is dead."""
    return [row[0] for row in _lost.fetch(connection, most=most)]


def end_lost_calls(connection: Connection, calls: Sequence[int], *, reason: str) -> int:
    """Say of calls that nobody knows what came of them; return of how many."""
    return _end_lost.run(connection, {"lost": [(call_id,) for call_id in calls]}, reason=reason)
