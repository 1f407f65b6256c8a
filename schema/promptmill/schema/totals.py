"""What all batches came to, for metrics. No statement here writes, and none reads jobs or attempts.

Counters and rollups are read instead: some rows a batch, and some rows a batch and hour.
"""

import json
from collections.abc import Mapping

from promptmill.schema.backlog import Scope
from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant
from promptmill.schema.reading import ScopeUsage
from promptmill.schema.statement import Statement

_jobs = Statement(
    "select provider, model, state, sum(jobs) from batch_counts"
    " group by provider, model, state order by provider, model, state"
)
_usage = Statement(
    """
select provider, model, outcome, error_kind, sum(calls), sum(unpriced_calls), sum(input_tokens),
  sum(output_tokens), sum(cost_micros)
from usage_hourly
group by provider, model, outcome, error_kind order by provider, model, outcome, error_kind"""
)
_cache = Statement(
    """
select u.provider, u.model,
  sum(case when u.outcome = 4 and u.error_kind = '' then u.calls - u.unpriced_calls else 0 end),
  sum(case when u.outcome in (1, 5) then u.calls else 0 end)
from usage_hourly u join batches b on b.id = u.batch_id and b.cache_s is not null
where exists (select 1 from batch_counts c where c.batch_id = u.batch_id
  and c.provider = u.provider and c.model = u.model)
group by u.provider, u.model order by u.provider, u.model"""
)
_latency = Statement(
    "select model, latency_ms, sum(calls) from latency_daily"
    " group by model, latency_ms order by model, latency_ms"
)
_first_token = Statement(
    "select model, first_token_ms, sum(calls) from first_token_daily"
    " group by model, first_token_ms order by model, first_token_ms"
)
_under_way = Statement(
    """
select c.batch_id, c.state, sum(c.jobs)
from batch_counts c
where c.batch_id in (
  select o.batch_id from batch_counts o where o.state in (0, 1, 2, 3) and o.jobs > 0
  group by o.batch_id order by o.batch_id desc limit :most)
group by c.batch_id, c.state order by c.batch_id, c.state"""
)
_oldest = Statement(
    """
select c.provider, c.model, min(b.opened_at), {now}
from batch_counts c join batches b on b.id = c.batch_id and b.state = 'open'
where c.state in (0, 1, 3) and c.jobs > 0
group by c.provider, c.model order by c.provider, c.model"""
)
_beating = Statement(
    "select keys from workers where stopped_at is null and beat_at > {after:-:within_s} order by id"
)


def job_totals(connection: Connection) -> dict[tuple[Scope, int], int]:
    """Count the jobs of all batches by scope and state."""
    return {
        (Scope(provider, model), state): int(jobs)
        for provider, model, state, jobs in _jobs.fetch(connection)
    }


def usage_totals(connection: Connection) -> list[ScopeUsage]:
    """Sum up the attempts of all batches that have ended."""
    return [ScopeUsage(*row[:4], *map(int, row[4:])) for row in _usage.fetch(connection)]


def cache_totals(connection: Connection) -> dict[Scope, tuple[int, int]]:
    """Count hits and misses, by scope, of the batches that have or had a cache."""
    return {
        Scope(provider, model): (int(hits), int(misses))
        for provider, model, hits, misses in _cache.fetch(connection)
    }


def latency_totals(connection: Connection) -> dict[str, list[tuple[int, int]]]:
    """Count answers by model and latency in ms, rounded down to two digits, shortest first."""
    return _by_model(_latency, connection)


def first_token_totals(connection: Connection) -> dict[str, list[tuple[int, int]]]:
    """Count streamed answers by model and by what their first token took, as `latency_totals`."""
    return _by_model(_first_token, connection)


def _by_model(counts: Statement, connection: Connection) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for model, milliseconds, calls in counts.fetch(connection):
        found.setdefault(model, []).append((milliseconds, int(calls)))
    return found


def batches_under_way(connection: Connection, *, most: int) -> list[tuple[int, int, int]]:
    """List (batch, state, jobs) of the newest *most* batches that have jobs left."""
    return [(*row[:2], int(row[2])) for row in _under_way.fetch(connection, most=most)]


def oldest_waiting(connection: Connection) -> dict[Scope, float]:
    """Tell for how many seconds the oldest open batch has had jobs of a scope to be called."""
    return {
        Scope(provider, model): (known_instant(now) - known_instant(opened)).total_seconds()
        for provider, model, opened, now in _oldest.fetch(connection)
    }


def beating_workers(connection: Connection, *, within_s: float) -> list[Mapping[str, str]]:
    """List the keys (provider to fingerprint) of each worker that beat within *within_s*.

    By the clock of SQL, which writes the beats too; a metric may be wrong for a moment where that
    jumps. Who is rescued is never decided by it.
    """
    found = (row[0] for row in _beating.fetch(connection, within_s=within_s))
    return [json.loads(keys) if isinstance(keys, str) else keys for keys in found]
