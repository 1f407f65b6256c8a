"""What attempts of late used: from it the limiter's memory is rebuilt after an emptied Redis.

Nothing here writes, and nothing reads a whole table: it is asked when many workers start at once.
Attempts do not tell their key, so two keys of one provider are counted together.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from promptmill.schema.connection import Connection
from promptmill.schema.instants import iso
from promptmill.schema.statement import Statement

_BATCHES = 3
"""How many of the newest batches with answers of a model are looked at for examples."""
_LOOK_BELOW = 20_000
"""Jobs below the first pending one that are looked at: more than a queue holds at most."""
_LOOK_IN = 5_000
"""Jobs that are looked at in a batch of which none is pending."""


@dataclass(frozen=True, slots=True)
class Used:
    """What the calls of some models used, in requests and tokens."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )


@dataclass(frozen=True, slots=True)
class PastAnswer:
    """A request that was answered, and what it really used. Totals are inclusive, as in Usage."""

    body: str = field(repr=False)
    """JSON of the request"""
    input_tokens: int
    cache_read_tokens: int
    output_tokens: int


_closed = Statement(
    """
select model, sum(calls), sum(input_tokens), sum(output_tokens),
  sum(case when outcome in (1, 5) then calls else 0 end)
from usage_hourly where hour_at >= :hour and provider = :provider and outcome <> 4
group by model having sum(calls) > 0"""
)
# A running job has one open attempt: both are written by the claim.
_open = Statement(
    "select model, count(*) from jobs where state = 2 and provider = :provider group by model"
)


def used_by_model(connection: Connection, provider: str, since: datetime) -> dict[str, Used]:
    """Tell what each model used since *since*, counted from the full hour it lies in.

    All calls that were sent count, as the provider counts them, and those that are open now: each
    of these is taken to use what an answered call of its model did on average.
    """
    hour = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    used: dict[str, Used] = {}
    means: dict[str, tuple[float, float]] = {}
    rows = _closed.fetch(connection, provider=provider, hour=iso(hour))
    for model, calls, given, answered, successes in rows:
        used[model] = Used(int(calls), int(given), int(answered))
        if successes:
            means[model] = (int(given) / int(successes), int(answered) / int(successes))
    for model, calls in _open.fetch(connection, provider=provider):
        given, answered = means.get(model, (0, 0))
        under_way = Used(calls, round(calls * given), round(calls * answered))
        used[model] = used.get(model, Used()) + under_way
    return used


def used_since(
    connection: Connection, provider: str, models: Collection[str] | None, since: datetime
) -> Used:
    """Sum up what *models* used since *since* (see `used_by_model`); None is all models."""
    used = used_by_model(connection, provider, since)
    wanted = used if models is None else models
    return sum((each for model, each in used.items() if model in wanted), Used())


_batches = Statement(
    """
select c.batch_id, (select min(j.id) from jobs j where j.state = 0 and j.batch_id = c.batch_id
  and j.provider = :provider and j.model = :model)
from batch_counts c
where c.provider = :provider and c.model = :model and c.state = 4 and c.jobs > 0
order by c.batch_id desc limit :most"""
)


_latencies = Statement(
    """
select provider, model, latency_ms, sum(calls) from latency_daily
where batch_id > (select coalesce(max(id), 0) from batches) - :most
group by provider, model, latency_ms order by provider, model, latency_ms"""
)


def recent_latencies(
    connection: Connection, *, batches: int = 20
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Tell how long answers took in the newest *batches*: (milliseconds, how many), ascending.

    By (provider, model). Milliseconds are rounded down to two digits.
    """
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for provider, model, latency_ms, calls in _latencies.fetch(connection, most=batches):
        found.setdefault((provider, model), []).append((latency_ms, int(calls)))
    return found


def _answers_among(jobs: str, order: str) -> Statement:
    return Statement(
        f"""
select cast(p.body as text), a.input_tokens, coalesce(a.cache_read_tokens, 0),
  coalesce(a.output_tokens, 0)
from (select id, batch_id, provider, model, state from jobs where {jobs}
  order by {order} limit :look) j
join results r on r.job_id = j.id
join attempts a on a.job_id = r.job_id and a.fence = r.fence and a.input_tokens is not null
join job_payloads p on p.job_id = j.id
where j.state = 4 and j.batch_id = :batch_id and j.provider = :provider and j.model = :model
limit :count"""  # noqa: S608  our own constants
    )


# Jobs are queued by their ids, so the last answers lie below the first job that is still pending.
_answers_below = _answers_among("id < :below", "id desc")
# Where none is pending, nearly all are answered: any will do, and this index is there.
_answers_in = _answers_among("batch_id = :batch_id", "custom_id")


def recent_answers(
    connection: Connection, provider: str, model: str, count: int = 50
) -> tuple[PastAnswer, ...]:
    """Give requests of *model* that were answered of late, with their true usage.

    From its newest batches; at most *count*, and fewer where a batch had to be searched for long.
    """
    found: list[PastAnswer] = []
    for batch_id, next_id in _batches.fetch(
        connection, provider=provider, model=model, most=_BATCHES
    ):
        of = {"batch_id": batch_id, "provider": provider, "model": model}
        left = count - len(found)
        rows = []
        if next_id is not None:
            rows = _answers_below.fetch(
                connection, below=next_id, look=_LOOK_BELOW, count=left, **of
            )
        rows = rows or _answers_in.fetch(connection, look=_LOOK_IN, count=left, **of)
        found += [PastAnswer(*row) for row in rows]
        if len(found) == count:
            break
    return tuple(found)
