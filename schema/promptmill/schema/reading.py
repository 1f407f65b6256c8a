"""Read jobs for a worker, and progress for people. No statement here writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.errors import UsageError
from promptmill.schema.hint import Hint
from promptmill.schema.moves.spending import ROOM, Spending, read_spending
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.statement import Column, RowSet, Statement

if TYPE_CHECKING:
    from promptmill.schema.database import Database


@dataclass(frozen=True, slots=True)
class DueJob:
    """What a worker needs to know of a job before it books permits for it."""

    job_id: int
    dispatch_no: int
    batch_id: int
    position: int
    provider: str
    model: str
    attempts: int
    refusals: int
    on_unknown: str
    age_s: float
    """since its batch was opened"""
    body: str
    """JSON of the request"""
    priority: int = 0
    """of its batch; above 0 goes before all others"""
    crashes: int = 0
    """workers lost with it in hand"""
    has_budget: bool | int = False
    """whether its batch has one: a claim must reserve what the call can cost"""
    cache_s: int | None = None
    """how old an answer of another job may be that it takes; None: it takes none"""
    request_hash: str = ""
    """of what is asked, where it may take another's answer; of another tenant it takes none"""
    cache_similar: float | None = None
    """how similar a request must be whose answer it takes; None: equal"""
    on_invalid: str = "keep"
    """an `answer_forms.OnInvalid`"""
    truncate: str | None = None
    """a `truncation.Truncate`"""
    max_input_tokens: int | None = None
    """how many tokens of its prompt are sent at most; None: as many as its model takes"""
    mask_answer: bool | int = False
    """whether personal data in its answer is masked"""
    fallbacks: str | None = None
    """of its batch, as they are stored: see `schema.fallbacks`"""
    fell_back_from: str | None = None
    """`provider/model` that was asked first; None: this one"""
    pool: str | None = None
    """of which it was dealt to this provider; None: of none"""

    @property
    def now(self) -> str:
        """Name who is asked now, as `provider/model`; of a pool that one, whoever its member is."""
        return f"{self.pool or self.provider}/{self.model}"


class BatchRow(msgspec.Struct, frozen=True):
    """A batch and how far it is."""

    id: int
    name: str
    state: str
    paused_reason: str | None
    input_name: str
    total: int
    created_at: Any
    opened_at: Any
    pauses_at_failures: int | None = None
    """it pauses when so many jobs have failed; None: never"""
    pruned: str | None = None
    """what of it was deleted because it is old: `prompts` or `all`"""
    fallbacks: str | None = None
    """as they are stored: see `schema.fallbacks`"""
    run_limits: str | None = None
    """that its latest run was given over the settings, as JSON by dimension"""
    spending: Spending | None = None
    """None: it never had a budget"""


class ScopeCount(msgspec.Struct, frozen=True):
    """How many jobs of one batch, provider and model are in one state."""

    batch_id: int
    provider: str
    model: str
    state: int
    jobs: int


class ScopeUsage(msgspec.Struct, frozen=True):
    """What the attempts of one batch, provider and model came to."""

    provider: str
    model: str
    outcome: int
    error_kind: str
    calls: int
    unpriced_calls: int
    input_tokens: int
    output_tokens: int
    cost_micros: int

    @property
    def hits(self) -> int:
        """Jobs that took the answer of another: not sent, no error, and known to be free."""
        taken = self.outcome == AttemptOutcome.NOT_SENT and not self.error_kind
        return self.calls - self.unpriced_calls if taken else 0


_HINTS = RowSet("hints", (Column("job_id", "bigint"), Column("dispatch_no", "integer")))
_AGE: Final = {
    "sqlite": "(julianday({now}) - julianday(b.opened_at)) * 86400.0",
    "postgresql": "extract(epoch from {now} - b.opened_at)::double precision",
}
"""In SQL, how many seconds ago batch b was opened."""


def due_columns(dialect: str) -> str:
    """Select a `DueJob`, in SQL over jobs j, batches b and job_payloads p."""
    body = "p.body" if dialect == "sqlite" else "p.body::text"
    return f"""
select j.id, j.dispatch_no, j.batch_id, j.position, j.provider, j.model, j.attempts, j.refusals,
  b.on_unknown, {_AGE[dialect]}, {body}, b.priority,
  j.crashes, cast(b.budget_micros is not null as integer),
  case when j.fell_back_from is null then nullif(b.cache_s, 0) end,
  case when b.cache_s is null then '' else p.request_hash || coalesce(':' || b.tenant_id, '') end,
  b.cache_similar, b.on_invalid,
  b.truncate, b.max_input_tokens,
  cast(coalesce(b.mask_pii in ('answers', 'both'), false) as integer),
  b.fallbacks, j.fell_back_from, j.pool"""


def _due_statement(dialect: str) -> Statement:
    return Statement(
        f"""{due_columns(dialect)}
from {{hints}}
join jobs j on j.id = hints.job_id and j.dispatch_no = hints.dispatch_no
  and (+j.state = 1 or +j.state = 3 and j.run_at <= {{now}} and j.pool is null)
join batches b on b.id = j.batch_id and b.state = 'open'
  and (b.budget_micros is null or not exists (select 1 from batch_spending s
    where s.batch_id = b.id and s.wanted_micros > {ROOM}))
join job_payloads p on p.job_id = j.id""",
        _HINTS,
    )


_due = {dialect: _due_statement(dialect) for dialect in _AGE}
_BATCH = (
    "id, name, state, paused_reason, input_name, total, created_at, opened_at,"
    " failures_before + max_failures, pruned, fallbacks, run_limits"
)
LIVE_NAME: Final = "live_"
"""Begin of the name of a batch that is one live call of the gateway's."""
_NOT_LIVE = f"(tenant_id is null or substr(name, 1, {len(LIVE_NAME)}) <> '{LIVE_NAME}')"
_batch = Statement(f"select {_BATCH} from batches where id = :batch_id")
_latest = Statement(
    f"select {_BATCH} from batches where :with_live = 1 or {_NOT_LIVE} order by id desc limit :most"
)
_counts = Statement(
    "select batch_id, provider, model, state, jobs from batch_counts where jobs > 0"
    " and batch_id = :batch_id"
)
_usage = Statement(
    """
select provider, model, outcome, error_kind, sum(calls), sum(unpriced_calls), sum(input_tokens),
  sum(output_tokens), sum(cost_micros)
from usage_hourly where batch_id = :batch_id
group by provider, model, outcome, error_kind having sum(calls) > 0
order by provider, model, outcome, error_kind"""
)


def due_jobs(connection: Connection, hints: Sequence[Hint]) -> list[DueJob]:
    """Read the jobs that these hints are still good for; stale and paused ones are left out."""
    rows = [(hint.job_id, hint.dispatch_no) for hint in hints]
    found = _due[connection.dialect.name].fetch(connection, {"hints": rows})
    return [DueJob(*row) for row in found]


def batch_row(connection: Connection, batch_id: int) -> BatchRow | None:
    """Read one batch."""
    rows = _batch.fetch(connection, batch_id=batch_id)
    if not rows:
        return None
    spending = read_spending(connection, [batch_id]).get(batch_id)
    return msgspec.structs.replace(BatchRow(*rows[0]), spending=spending)


def latest_batches(
    connection: Connection, *, most: int = 20, with_live: bool = False
) -> list[BatchRow]:
    """List batches, the newest first; *with_live*: also those that are one live call."""
    return [
        BatchRow(*row) for row in _latest.fetch(connection, most=most, with_live=int(with_live))
    ]


def batch_counts(connection: Connection, batch_id: int) -> list[ScopeCount]:
    """Read the counters of a batch; empty until it is open."""
    return [ScopeCount(*row) for row in _counts.fetch(connection, batch_id=batch_id)]


def batch_usage(connection: Connection, batch_id: int) -> list[ScopeUsage]:
    """Read the rollup of a batch's attempts."""
    return [
        ScopeUsage(*row[:4], *map(int, row[4:]))
        for row in _usage.fetch(connection, batch_id=batch_id)
    ]


def query(database: "Database", sql: str) -> Iterator[tuple[list[str], Iterator[Sequence[Any]]]]:
    """Run a person's read-only SQL; yield once the column names and the rows, streamed.

    Raises UsageError for a statement that returns no rows, DatabaseError for one that is refused.
    """
    with database.read() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("set transaction read only")
        options = {"stream_results": True, "no_parameters": True}
        with connection.execution_options(**options).exec_driver_sql(sql) as found:
            if not found.returns_rows:
                msg = "this statement selects nothing: write a select"
                raise UsageError(msg)
            yield list(found.keys()), iter(found)
