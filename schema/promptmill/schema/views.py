"""The views that people query. Every column is a word of the glossary; states are text.

Written once for both engines, but for the calls in a JSON array; documented in docs/results.md.
"""

from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.requests import Endpoint
from promptmill.schema.states import JobState


def _words(column: str, members: type[JobState] | type[AttemptOutcome]) -> str:
    whens = " ".join(f"when {member.value} then '{member.word}'" for member in members)
    return f"case {column} {whens} end"


def _jobs_in(*states: JobState) -> str:
    numbers = ", ".join(str(state.value) for state in states)
    return _total(f"case when c.state in ({numbers}) then c.jobs else 0 end")


def _total(column: str) -> str:
    """Sum whole numbers to a whole number: PostgreSQL's sum of bigints is a numeric."""
    return f"cast(coalesce(sum({column}), 0) as bigint)"


def _usd(micros: str) -> str:
    """Show micro-dollars as dollars: PostgreSQL's numeric quotient has 20 digits."""
    return f"{micros} / cast(1000000 as double precision)"


def _by_model(table: str, column: str) -> str:
    """Read percentiles, by batch and model, out of a table of how many calls took how long."""
    marks = ", ".join(
        f"min(case when s.up_to >= {share / 100} * s.calls then s.{column} end) as p{share}_ms"
        for share in (50, 95, 99)
    )
    return f"""
select s.batch_id, s.provider, s.model, cast(max(s.up_to) as bigint) as answers,
  {marks}, max(s.{column}) as slowest_ms
from (
  select h.batch_id, h.provider, h.model, h.{column},
    sum(h.calls) over (partition by h.batch_id, h.provider, h.model) as calls,
    sum(h.calls) over (partition by h.batch_id, h.provider, h.model order by h.{column}) as up_to
  from (
    select batch_id, provider, model, {column}, sum(calls) as calls from {table}
    group by batch_id, provider, model, {column}) h) s
group by s.batch_id, s.provider, s.model"""


_LEFT = (JobState.PENDING, JobState.QUEUED, JobState.RUNNING, JobState.WAITING)
_BATCH_STATE = f"""case when b.state in ('open', 'paused') and {_jobs_in(*_LEFT)} = 0 then 'ended'
    when b.state = 'open' and p.jobs = {_jobs_in(JobState.RUNNING)}
      and p.jobs = {_jobs_in(*_LEFT)} then 'away' else b.state end"""
"""As `promptmill ls` tells it."""

_HITS = """case when u.outcome = 4 and u.error_kind = '' then u.calls - u.unpriced_calls
  else 0 end"""

VIEWS: dict[str, str] = {
    "promptmill_results": f"""
select j.batch_id, j.custom_id, j.position, {_words("j.state", JobState)} as state,
  j.provider, j.model, r.text, r.tool_calls, r.finish_reason, r.response_model,
  a.input_tokens, a.output_tokens, a.cache_read_tokens, a.cache_write_tokens, a.reasoning_tokens,
  {_usd("a.cost_micros")} as cost_usd, a.latency_ms, j.attempts, j.finished_at, j.id as job_id,
  j.twin_of, coalesce(b.endpoint, '{Endpoint.CHAT}') as endpoint, b.body,
  s.similarity, a.first_token_ms, c.validity, c.problem, j.fell_back_from
from jobs j
join results r on r.job_id = j.id
join attempts a on a.job_id = r.job_id and a.fence = r.fence
left join result_bodies b on b.job_id = j.id
left join similar_hits s on s.job_id = j.id and s.twin_of = j.twin_of
left join result_checks c on c.job_id = j.id""",
    "promptmill_tool_calls": """
select r.batch_id, j.custom_id, j.position, j.provider, j.model, {call_no} as call_no,
  coalesce({call:function.name}, {call:custom.name}) as name,
  coalesce({call:function.arguments}, {call:custom.input}) as arguments, {call:id} as call_id,
  r.job_id
from results r
join jobs j on j.id = r.job_id
{calls}""",
    "promptmill_files": """
select j.batch_id, j.custom_id, j.provider, j.model, f.position as file_no, f.media_type, f.bytes,
  f.sha256, f.path, f.job_id
from result_files f
join jobs j on j.id = f.job_id""",
    "promptmill_flags": """
select j.batch_id, j.custom_id, j.position, j.provider, j.model, f.flag, f.job_id
from prompt_flags f
join jobs j on j.id = f.job_id""",
    "promptmill_truncations": """
select j.batch_id, j.custom_id, j.provider, j.model, t.how, t.cut_tokens, t.cut_turns,
  t.sent_tokens, t.refused, t.told_tokens, t.told_most, t.job_id, t.fence
from truncations t
join jobs j on j.id = t.job_id""",
    "promptmill_failures": f"""
select j.batch_id, j.custom_id, j.position, {_words("j.state", JobState)} as state,
  j.provider, j.model, a.error_kind, a.error_code, a.http_status, a.error_text, a.request_id,
  j.attempts, j.refusals, j.crashes, j.finished_at, j.id as job_id, j.twin_of,
  j.fell_back_from
from jobs j
left join attempts a on a.job_id = j.id and a.fence = j.fence
where j.state in (5, 7)""",
    "promptmill_attempts": f"""
select j.batch_id, j.custom_id, a.job_id, a.fence, {_words("a.outcome", AttemptOutcome)} as outcome,
  a.provider, a.model, a.http_status, a.error_kind, a.error_code, a.error_text, a.request_id,
  a.started_at, a.ended_at, a.latency_ms, a.input_tokens, a.output_tokens, a.cache_read_tokens,
  a.cache_write_tokens, a.reasoning_tokens, {_usd("a.cost_micros")} as cost_usd, a.worker_id,
  a.first_token_ms
from attempts a
join jobs j on j.id = a.job_id""",
    "promptmill_embedder_calls": f"""
select c.batch_id, {_words("c.outcome", AttemptOutcome)} as outcome, c.provider, c.model, c.texts,
  c.http_status, c.error_kind, c.error_code, c.error_text, c.request_id, c.started_at, c.ended_at,
  c.latency_ms, c.input_tokens, {_usd("c.cost_micros")} as cost_usd, c.worker_id, c.id as call_id
from embedder_calls c""",
    "promptmill_batches": f"""
select b.id as batch_id, b.name, {_BATCH_STATE} as state, b.paused_reason, b.total,
  {_jobs_in(JobState.PENDING, JobState.QUEUED)} as pending, {_jobs_in(JobState.RUNNING)} as running,
  {_jobs_in(JobState.WAITING)} as waiting, {_jobs_in(JobState.SUCCEEDED)} as succeeded,
  {_jobs_in(JobState.FAILED)} as failed, {_jobs_in(JobState.CANCELLED)} as cancelled,
  {_jobs_in(JobState.QUARANTINED)} as quarantined, b.priority, b.input_name, b.created_at,
  b.max_failures, b.pruned, b.pruned_at, {_usd("u.cost_micros")} as cost_usd
from batches b
left join batch_counts c on c.batch_id = b.id
left join (select batch_id, sum(cost_micros) as cost_micros from usage_hourly group by batch_id) u
  on u.batch_id = b.id
left join (select batch_id, sum(jobs) as jobs from provider_batches where ended_at is null
  group by batch_id) p on p.batch_id = b.id
group by b.id, b.name, b.state, b.paused_reason, b.total, b.priority, b.input_name, b.created_at,
  b.max_failures, b.pruned, b.pruned_at, u.cost_micros, p.jobs""",
    "promptmill_usage_by_model": f"""
select u.batch_id, u.provider, u.model,
  {_total("case when u.outcome <> 4 then u.calls else 0 end")} as calls,
  {_total("case when u.outcome = 1 then u.calls else 0 end")} as succeeded_calls,
  {_total("u.input_tokens")} as input_tokens, {_total("u.output_tokens")} as output_tokens,
  {_usd("sum(u.cost_micros)")} as cost_usd,
  {_total("case when u.outcome in (1, 5) then u.unpriced_calls else 0 end")} as unpriced_calls,
  {_total(_HITS)} as hits
from usage_hourly u
group by u.batch_id, u.provider, u.model""",
    "promptmill_usage_by_hour": f"""
select u.hour_at, u.batch_id, u.provider, u.model, {_words("u.outcome", AttemptOutcome)} as outcome,
  nullif(u.error_kind, '') as error_kind, u.calls, u.input_tokens, u.output_tokens,
  {_usd("u.cost_micros")} as cost_usd
from usage_hourly u
where u.calls > 0""",
    "promptmill_latency_by_model": _by_model("latency_daily", "latency_ms"),
    "promptmill_first_token_by_model": _by_model("first_token_daily", "first_token_ms"),
}


_CALLS = {
    "sqlite": "join json_each(r.tool_calls) c",
    "postgresql": "cross join lateral json_array_elements(r.tool_calls)"
    " with ordinality as c(value, no)",
}
"""The calls of tools in an answer, one a row."""
_CALL_NO = {"sqlite": "c.key + 1", "postgresql": "cast(c.no as integer)"}


class _Call:
    """A text in one of them, by its path."""

    def __init__(self, dialect: str) -> None:
        self._is_sqlite = dialect == "sqlite"

    def __format__(self, path: str) -> str:
        if self._is_sqlite:  # by a table of it: in views its functions of JSON are forbidden us
            within, _, key = path.rpartition(".")
            root = f"'$.{within}'" if within else "'$'"
            return f"(select e.value from json_each(c.value, {root}) e where e.key = '{key}')"
        return f"c.value #>> '{{{path.replace('.', ',')}}}'"


def view_statements(dialect: str) -> list[str]:
    """All statements that (re)create the views on *dialect*."""
    drops = [f"drop view if exists {name}" for name in VIEWS]
    parts = {"calls": _CALLS[dialect], "call_no": _CALL_NO[dialect], "call": _Call(dialect)}
    return drops + [
        f"create view {name} as {query.format(**parts).strip()}" for name, query in VIEWS.items()
    ]
