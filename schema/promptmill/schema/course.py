"""What became of a batch over time, for its report: counted in bins, so memory does not grow.

Each function reads the batch's jobs or attempts once, through the range of their ids (see
`answers`): about a second for a million on a laptop. It goes by chunks where SQLite would sort, in
memory, all rows that it counts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant
from promptmill.schema.statement import Column, RowSet, Statement

Scope = tuple[str, str]
"""(provider, model)"""


class Bins(msgspec.Struct, frozen=True):
    """Equal spans of time, numbered from 0."""

    origin: datetime
    width_s: float


class Calls(msgspec.Struct, frozen=True):
    """Calls that were begun in one bin and came to the same, for one group of models."""

    bin: int
    group: int
    """as the caller numbered them; -1 for all others"""
    outcome: int
    error_kind: str
    """empty: it was answered"""
    calls: int
    input_tokens: int
    output_tokens: int


class PromptCost(msgspec.Struct, frozen=True):
    """What one prompt took, over all its calls."""

    job_id: int
    custom_id: str
    position: int
    provider: str
    model: str
    calls: int
    latency_ms: int
    """of its slowest call; 0 where none is known"""
    input_tokens: int
    output_tokens: int
    cost_micros: int
    """of the calls whose price is known"""


_CHUNK = 100_000
"""ids that are counted at once"""
_GROUPS = RowSet(
    "grouped", (Column("provider", "text"), Column("model", "text"), Column("no", "bigint"))
)
_CHOSEN = RowSet("chosen", (Column("id", "bigint"),))
_SECONDS = {
    "sqlite": "(julianday({0}) - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from {0})::double precision",
}
_BIN = {
    "sqlite": "cast(({0} - :origin) / :width as integer)",
    "postgresql": "floor(({0} - :origin) / :width)::bigint",
}
_OF_BATCH = "a.job_id between :first and :last and a.batch_id = :batch_id"


def _bin_of(dialect: str, instant: str) -> str:
    return _BIN[dialect].format(_SECONDS[dialect].format(instant))


_worked = Statement(
    f"""
select min(a.started_at), max(coalesce(a.ended_at, a.started_at)), {{now}}
from attempts a where {_OF_BATCH}"""  # noqa: S608
)
_ended = {
    dialect: Statement(
        f"""
select {_bin_of(dialect, "j.finished_at")} as bin, j.state, count(*) from jobs j
where j.id between :first and :last and +j.batch_id = :batch_id and j.state >= 4
group by 1, 2"""  # noqa: S608
    )
    for dialect in _SECONDS
}
# An open or an unsent attempt is no call that a limit counted; what is open is no news either.
_calls = {
    dialect: Statement(
        f"""
select {_bin_of(dialect, "a.started_at")} as bin, coalesce(grouped.no, -1), a.outcome,
  coalesce(a.error_kind, ''), count(*), sum(coalesce(a.input_tokens, 0)),
  sum(coalesce(a.output_tokens, 0))
from attempts a
left join {{grouped}} on grouped.provider = a.provider and grouped.model = a.model
where {_OF_BATCH} and a.outcome not in (0, 4)
group by 1, 2, 3, 4""",  # noqa: S608
        _GROUPS,
    )
    for dialect in _SECONDS
}
_latencies = Statement(
    "select provider, model, latency_ms, sum(calls) from latency_daily where batch_id = :batch_id"
    " group by provider, model, latency_ms order by provider, model, latency_ms"
)
_first_tokens = Statement(
    "select provider, model, first_token_ms, sum(calls) from first_token_daily"
    " where batch_id = :batch_id group by provider, model, first_token_ms"
    " order by provider, model, first_token_ms"
)


def _top(measure: str) -> Statement:
    return Statement(
        f"""
select a.job_id from attempts a where {_OF_BATCH}
group by a.job_id having {measure} > 0 order by {measure} desc, a.job_id limit :most"""  # noqa: S608
    )


_slowest = _top("max(case when a.outcome = 1 then a.latency_ms else 0 end)")
_dearest = _top("sum(a.cost_micros)")
_prompts = Statement(
    """
select j.id, j.custom_id, j.position, j.provider, j.model, count(*),
  coalesce(max(a.latency_ms), 0), coalesce(sum(a.input_tokens), 0),
  coalesce(sum(a.output_tokens), 0), coalesce(sum(a.cost_micros), 0)
from {chosen} join jobs j on j.id = chosen.id
join attempts a on a.job_id = j.id and a.outcome <> 4
group by j.id, j.custom_id, j.position, j.provider, j.model""",
    _CHOSEN,
)
_bodies = Statement(
    "select p.job_id, cast(p.body as text) from {chosen}"
    " join job_payloads p on p.job_id = chosen.id",
    _CHOSEN,
)


def worked(
    connection: Connection, batch_id: int, *, span: tuple[int, int]
) -> tuple[datetime, datetime, datetime] | None:
    """Tell when the first call began and the last one ended, and what time it is now."""
    first, last, now = _worked.fetch(connection, batch_id=batch_id, first=span[0], last=span[1])[0]
    if first is None:
        return None
    return known_instant(first), known_instant(last), known_instant(now)


def ended_by_time(
    connection: Connection, batch_id: int, bins: Bins, *, span: tuple[int, int]
) -> dict[tuple[int, int], int]:
    """Count the jobs that ended: (bin, state) to jobs."""
    count = _ended[connection.dialect.name]
    found: Counter[tuple[int, int]] = Counter()
    for first, last in _chunks(span):
        of = {"batch_id": batch_id, "first": first, "last": last}
        for no, state, jobs in count.fetch(connection, None, **of, **_bound(bins)):
            found[int(no), int(state)] += int(jobs)
    return found


def calls_by_time(
    connection: Connection,
    batch_id: int,
    bins: Bins,
    groups: Mapping[Scope, int],
    *,
    span: tuple[int, int],
) -> list[Calls]:
    """Count the calls that have ended, by when they began; *groups* numbers the models."""
    count = _calls[connection.dialect.name]
    numbered = {"grouped": [(*scope, no) for scope, no in groups.items()]}
    found: dict[tuple[int, int, int, str], list[int]] = {}
    for first, last in _chunks(span):
        for no, group, outcome, kind, *sums in count.fetch(
            connection, numbered, batch_id=batch_id, first=first, last=last, **_bound(bins)
        ):
            key = (int(no), int(group), int(outcome), kind)
            before = found.get(key, (0, 0, 0))
            found[key] = [old + int(new) for old, new in zip(before, sums, strict=True)]
    return [Calls(*key, *sums) for key, sums in sorted(found.items())]


def latencies(connection: Connection, batch_id: int) -> dict[Scope, dict[int, int]]:
    """Give the histogram of each model: milliseconds, rounded down to two digits, to answers."""
    return _histograms(_latencies, connection, batch_id)


def first_tokens(connection: Connection, batch_id: int) -> dict[Scope, dict[int, int]]:
    """Give the same of the first tokens of each model's streamed answers."""
    return _histograms(_first_tokens, connection, batch_id)


def _histograms(
    statement: Statement, connection: Connection, batch_id: int
) -> dict[Scope, dict[int, int]]:
    found: dict[Scope, dict[int, int]] = {}
    for provider, model, milliseconds, calls in statement.fetch(connection, batch_id=batch_id):
        found.setdefault((provider, model), {})[milliseconds] = int(calls)
    return found


def slowest_prompts(
    connection: Connection, batch_id: int, *, span: tuple[int, int], most: int
) -> list[PromptCost]:
    """List the prompts whose answer took longest, slowest first."""
    found = _prompts_of(connection, _slowest, batch_id, span, most)
    return sorted(found, key=lambda one: (-one.latency_ms, one.job_id))


def dearest_prompts(
    connection: Connection, batch_id: int, *, span: tuple[int, int], most: int
) -> list[PromptCost]:
    """List the prompts whose calls cost most together, dearest first."""
    found = _prompts_of(connection, _dearest, batch_id, span, most)
    return sorted(found, key=lambda one: (-one.cost_micros, one.job_id))


def bodies_of(connection: Connection, job_ids: list[int]) -> dict[int, str]:
    """Read what these jobs ask, as JSON."""
    rows = _bodies.fetch(connection, {"chosen": [(job_id,) for job_id in job_ids]})
    return {row[0]: row[1] for row in rows}


def _prompts_of(
    connection: Connection, top: Statement, batch_id: int, span: tuple[int, int], most: int
) -> list[PromptCost]:
    rows = top.fetch(connection, batch_id=batch_id, first=span[0], last=span[1], most=most)
    chosen = [(row[0],) for row in rows]
    found = _prompts.fetch(connection, {"chosen": chosen})
    return [PromptCost(*row[:5], *map(int, row[5:])) for row in found]


def _chunks(span: tuple[int, int]) -> Iterator[tuple[int, int]]:
    for first in range(span[0], span[1] + 1, _CHUNK):
        yield first, min(first + _CHUNK - 1, span[1])


def _bound(bins: Bins) -> dict[str, float]:
    return {"origin": bins.origin.timestamp(), "width": float(bins.width_s)}
