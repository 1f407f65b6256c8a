"""Fill a database with one large batch, in SQL alone: a million jobs take half a minute or two.

Three models of three providers in turn; an answer of 400 bytes to a request of 500. Of each
thousand that ended 10 failed (in four ways), 1 is held, and 50 were refused once before. What
triggers would have kept is summed up at the end.
"""

from dataclasses import dataclass
from enum import StrEnum

from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from promptmill.schema.moves.loading import NewBatch, create_batch

__all__ = ["Shape", "fill"]


class Shape(StrEnum):
    """How far the batch is."""

    PENDING = "pending"
    HALF = "half"
    """60 % ended, 500 running, 4,500 queued, 15,000 waiting"""
    DONE = "done"


_ENDED = "case when i % 1000 = 13 then 7 when i % 100 = 7 then 5 else 4 end"
_STATES = {
    Shape.PENDING: "0",
    Shape.DONE: _ENDED,
    Shape.HALF: f"""case when i <= {{jobs}} * 6 / 10 then {_ENDED}
    when i <= {{jobs}} * 6 / 10 + 500 then 2 when i <= {{jobs}} * 6 / 10 + 5000 then 1
    when i <= {{jobs}} * 6 / 10 + 20000 then 3 else 0 end""",
}


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What the two engines write differently. `{s}` is a number of seconds."""

    instant: str
    json: str
    hour: str
    day: str


_EPOCH = 1_795_000_000
"""2026-11-18, in seconds"""
_DIALECTS = {
    "sqlite": _Dialect(
        instant=f"strftime('%Y-%m-%dT%H:%M:%fZ', {_EPOCH} + {{s}}, 'unixepoch')",
        json="{}",
        hour="substr(started_at, 1, 13) || ':00:00.000Z'",
        day="substr(started_at, 1, 10) || 'T00:00:00.000Z'",
    ),
    "postgresql": _Dialect(
        instant=f"to_timestamp({_EPOCH} + {{s}})",
        json="({})::json",
        hour="date_trunc('hour', started_at, 'UTC')",
        day="date_trunc('day', started_at, 'UTC')",
    ),
}


def _statements(dialect: _Dialect, shape: Shape, jobs: int, batch_id: int) -> list[str]:
    def at(seconds: str) -> str:
        return dialect.instant.format(s=seconds)

    latency = "300 + id * 7919 % 1700"
    names = "('openai', 'gpt-4o-mini', 0), ('anthropic', 'claude-haiku-4-5', 1)"
    body = (
        """'{"messages":[{"role":"user","content":"' || position || """
        f"'{' word' * 90}'"
        """ ||
  '"}],"model":"gpt-4o-mini"}'"""
    )
    said = f"'The answer to ' || position || ':' || '{' word' * 76}'"
    failing = "case id / 100 % 4"
    return [
        f"""create temporary table numbers as
with recursive n(i) as (select 1 union all select i + 1 from n where i < {jobs}),
models(provider, model, k) as (values {names}, ('gemini', 'gemini-2.5-flash', 2))
select i, provider, model, {_STATES[shape].format(jobs=jobs)} as state
from n join models on k = i % 3""",
        f"""insert into jobs (batch_id, position, custom_id, provider, model, state, attempts,
  refusals, dispatch_no, fence, lease_owner, queued_at, run_at, finished_at)
select {batch_id}, i, 'row-' || i, provider, model, state, case when state > 1 then 1 else 0 end,
  case when state >= 4 and i % 20 = 0 then 1 else 0 end, case when state > 0 then 1 else 0 end,
  case when state >= 4 and i % 20 = 0 then 2 when state > 1 then 1 else 0 end,
  case when state = 2 then 'w' || i % 4 end, case when state = 1 then {at("i * 0.03")} end,
  case when state = 3 then {at("i * 0.03 + 3600")} end,
  case when state >= 4 then {at("i * 0.03 + 3")} end
from numbers order by i""",
        f"""insert into job_payloads (job_id, body, request_hash)
select id, {dialect.json.format(body)}, '' from jobs where batch_id = {batch_id} order by id""",
        f"""insert into attempts (job_id, fence, batch_id, provider, model, worker_id, started_at,
  ended_at, outcome, http_status, error_kind, error_code, error_text, request_id)
select id, 1, batch_id, provider, model, 'w1', {at("position * 0.03")},
  {at("position * 0.03 + 1")}, 2, 429, 'rate', 'rate_limit_exceeded', 'slow down', 'req-' || id
from jobs where batch_id = {batch_id} and state >= 4 and fence = 2""",
        f"""insert into attempts (job_id, fence, batch_id, provider, model, worker_id, started_at,
  ended_at, outcome, http_status, error_kind, error_code, error_text, request_id, latency_ms,
  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_micros)
select id, fence, batch_id, provider, model, 'w' || id % 4, {at("position * 0.03 + 1")},
  case when state >= 4 then {at("position * 0.03 + 3")} end,
  case state when 4 then 1 when 5 then 2 when 7 then 3 else 0 end,
  case state when 4 then 200 when 5 then 400 end,
  case state when 5 then 'request' when 7 then 'unknown' end,
  case state when 5 then {failing} when 0 then 'content_policy' when 1 then 'context_length'
    when 2 then 'invalid_request' else 'model_not_found' end when 7 then 'timeout' end,
  case state when 5 then 'the request is refused' end, 'req-' || id,
  case when state = 4 then {latency} end, case when state = 4 then 120 end,
  case when state = 4 then 90 end, case when state = 4 then 0 end, case when state = 4 then 0 end,
  case when state = 4 then 0 end, case when state = 4 then 72 end
from jobs where batch_id = {batch_id} and state > 1 order by id""",
        f"""insert into results (job_id, batch_id, fence, text, finish_reason, response_model,
  response_id, created_at)
select id, batch_id, fence, {said}, case when id % 50 = 0 then 'length' else 'stop' end,
  model || '-2026', 'resp-' || id, finished_at
from jobs where batch_id = {batch_id} and state = 4 order by id""",
        f"""insert into batch_counts select batch_id, provider, model, state, count(*) from jobs
where batch_id = {batch_id} group by 1, 2, 3, 4""",
        f"""insert into usage_hourly
select {dialect.hour}, batch_id, provider, model, outcome, coalesce(error_kind, ''), count(*),
  sum(case when cost_micros is null then 1 else 0 end), coalesce(sum(input_tokens), 0),
  coalesce(sum(output_tokens), 0), coalesce(sum(cost_micros), 0)
from attempts where batch_id = {batch_id} and outcome <> 0 group by 1, 2, 3, 4, 5, 6""",
        f"""insert into latency_daily
select batch_id, {dialect.day}, provider, model,
  latency_ms / (case when latency_ms < 1000 then 10 else 100 end)
    * (case when latency_ms < 1000 then 10 else 100 end) as ms, count(*)
from attempts where batch_id = {batch_id} and outcome = 1 group by 1, 2, 3, 4, ms""",
        f"""update batches set state = 'open', opened_at = {at("0")},
  first_job_id = (select min(id) from jobs where batch_id = {batch_id}),
  last_job_id = (select max(id) from jobs where batch_id = {batch_id})
where id = {batch_id}""",
        "drop table numbers",
    ]


def fill(database: Database, shape: Shape, *, jobs: int = 1_000_000) -> int:
    """Bring *database* to this release and add a batch of *jobs* jobs; return the batch's id."""
    upgrade(database)
    with database.write() as connection:
        name = f"{shape} {jobs:,}"
        batch = NewBatch(
            name, identity=f"{name} of nothing", input_name="made.jsonl", options="{}", total=0
        )
        batch_id = create_batch(connection, batch)
        verbatim = connection.execution_options(no_parameters=True)
        for statement in _statements(_DIALECTS[database.dialect], shape, jobs, batch_id):
            verbatim.exec_driver_sql(statement)
    with database.write() as connection:
        connection.exec_driver_sql("analyze")
    if database.dialect == "postgresql":  # what its autovacuum does within minutes
        with database.autocommit() as connection:
            connection.exec_driver_sql("vacuum")
    return batch_id
