"""The values of all metrics at one moment, read from SQL and Redis when somebody asks for them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from promptmill.producer.limits.memory import LimitMemory
from promptmill.producer.limits.reading import LimitReader
from promptmill.producer.limits.standing import Known, ScopeStanding, read_known, stand
from promptmill.producer.metrics import table as metrics
from promptmill.producer.metrics.queue_reading import QueueReader
from promptmill.producer.metrics.spread import Spread, spread_of
from promptmill.producer.metrics.table import Metric
from promptmill.schema.backlog import Scope
from promptmill.schema.database import Database, DatabaseError
from promptmill.schema.errors import ServiceError
from promptmill.schema.live_limits import ACCOUNT, EVERY_MODEL
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.presence import NO_KEY
from promptmill.schema.reading import ScopeUsage
from promptmill.schema.schedules import count_schedules
from promptmill.schema.settings import Settings
from promptmill.schema.spool_files import SpoolKind, spool_files
from promptmill.schema.states import JobState
from promptmill.schema.totals import (
    batches_under_way,
    beating_workers,
    cache_totals,
    first_token_totals,
    job_totals,
    latency_totals,
    oldest_waiting,
    usage_totals,
)
from promptmill.schema.webhook_deliveries import count_deliveries

_BATCHES = 50
"""the newest ones under way; each makes some eight series"""
_ANSWERED = (AttemptOutcome.SUCCEEDED, AttemptOutcome.LATE)


class Sample(NamedTuple):
    """One value of one metric."""

    metric: Metric
    labels: tuple[str, ...]
    """in the order of the metric's"""
    value: float | Spread
    """a spread where the metric is a histogram"""


@dataclass(frozen=True, slots=True)
class MetricsReader:
    """Reads all samples. For one thread at a time."""

    settings: Settings
    database: Database
    limits: LimitReader
    queues: QueueReader
    leads: Callable[[], bool]

    def read(self) -> list[Sample]:
        """Read what can be read; a service that is away costs its own samples only."""
        known, totals = self._read_sql()
        memory = self._read_redis()
        return [
            Sample(metrics.LEADER, (), self.leads()),
            Sample(metrics.SERVICE_UP, ("sql",), known is not None),
            Sample(metrics.SERVICE_UP, ("redis",), memory is not None),
            *totals,
            *self._read_queues(),
            *self._read_spool(),
            *_limits(stand(self.settings, known or Known(), memory)),
        ]

    def _read_sql(self) -> tuple[Known | None, list[Sample]]:
        try:
            known = read_known(self.database)
            with self.database.read() as connection:
                jobs = job_totals(connection)
                oldest = oldest_waiting(connection)
                usage = usage_totals(connection)
                cache = cache_totals(connection)
                latencies = latency_totals(connection)
                first_tokens = first_token_totals(connection)
                under_way = batches_under_way(connection, most=_BATCHES)
                webhooks = count_deliveries(connection)
                schedules = count_schedules(connection)
                beating = beating_workers(connection, within_s=self.settings.dispatch.lease_s)
        except (DatabaseError, ServiceError):
            return None, []
        workers = Counter(name for keys in beating for name, key in keys.items() if key != NO_KEY)
        for scope, _ in jobs:
            workers[scope.provider] += 0
        return known, [
            *(
                Sample(metrics.JOBS, (*scope, JobState(state).word), count)
                for (scope, state), count in jobs.items()
            ),
            *(Sample(metrics.OLDEST, scope, age_s) for scope, age_s in oldest.items()),
            *(Sample(metrics.WORKERS, (name,), count) for name, count in sorted(workers.items())),
            *_usage(usage),
            *(Sample(metrics.CACHE_HITS, scope, hits) for scope, (hits, _) in cache.items()),
            *(Sample(metrics.CACHE_MISSES, scope, misses) for scope, (_, misses) in cache.items()),
            *(
                Sample(metrics.LLM_LATENCY, (model,), spread_of(counts))
                for model, counts in latencies.items()
            ),
            *(
                Sample(metrics.FIRST_TOKEN, (model,), spread_of(counts))
                for model, counts in first_tokens.items()
            ),
            *(
                Sample(metrics.BATCH_JOBS, (str(batch), JobState(state).word), count)
                for batch, state, count in under_way
            ),
            *(Sample(metrics.SCHEDULES, (state,), n) for state, n in schedules.items()),
            *(Sample(metrics.WEBHOOKS, (state.value,), n) for state, n in webhooks.items()),
        ]

    def _read_queues(self) -> list[Sample]:
        try:
            depths = self.queues.depths(self.settings.providers)
        except ServiceError:
            return []
        return [Sample(metrics.HINTS, (name,), depth) for name, depth in depths.items()]

    def _read_spool(self) -> list[Sample]:
        try:
            counts = Counter(file.kind for file in spool_files(self.settings.spool_dir))
        except OSError:
            return []
        return [Sample(metrics.SPOOL_FILES, (kind.value,), counts[kind]) for kind in SpoolKind]

    def _read_redis(self) -> LimitMemory | None:
        try:
            return self.limits.read()
        except ServiceError:
            return None


def _usage(usage: Iterable[ScopeUsage]) -> list[Sample]:
    """Sum up attempts. Counters only grow: what may be known better later is a gauge."""
    sums: Counter[tuple[Metric, tuple[str, ...]]] = Counter()
    for each in usage:
        scope = Scope(each.provider, each.model)
        for direction, tokens in ("input", each.input_tokens), ("output", each.output_tokens):
            sums[metrics.TOKENS, (*scope, direction)] += tokens
            sums[metrics.LLM_TOKENS, (scope.model, direction)] += tokens
        sums[metrics.COST, scope] += each.cost_micros
        if each.outcome != AttemptOutcome.NOT_SENT:
            sums[metrics.ATTEMPTS, scope] += each.calls
        if each.outcome in _ANSWERED:
            sums[metrics.ANSWERS, scope] += each.calls
            sums[metrics.LLM_REQUESTS, (scope.model, "success")] += each.calls
            sums[metrics.UNPRICED, scope] += each.unpriced_calls
        elif each.outcome == AttemptOutcome.REFUSED:
            sums[metrics.REFUSALS, (*scope, each.error_kind)] += each.calls
            sums[metrics.LLM_REQUESTS, (scope.model, "error")] += each.calls
        elif each.outcome == AttemptOutcome.UNKNOWN:
            sums[metrics.UNKNOWN, scope] += each.calls
    return [
        Sample(metric, tuple(labels), count / 1e6 if metric is metrics.COST else count)
        for (metric, labels), count in sums.items()
    ]


def _limits(standings: Iterable[ScopeStanding]) -> Iterator[Sample]:
    now = datetime.now(UTC)
    for standing in standings:
        if standing.name == EVERY_MODEL:
            continue
        account = (standing.account.provider, standing.account.key)
        scope = (standing.account.provider, standing.name, standing.account.key)
        yield from _dimensions(standing, scope)
        if standing.level is not None:
            yield Sample(metrics.RATE_RATIO, scope, standing.level.multiplier)
            yield Sample(metrics.QUEUED, scope, standing.queued_s)
        if standing.level is not None or standing.pauses:
            yield Sample(metrics.PAUSED, scope, standing.paused_s(now))
        if standing.name == ACCOUNT and standing.in_flight is not None:
            yield Sample(metrics.IN_FLIGHT, account, standing.in_flight)
        if standing.name == ACCOUNT and standing.concurrency is not None:
            yield Sample(metrics.CONCURRENCY, account, standing.concurrency)


def _dimensions(standing: ScopeStanding, scope: tuple[str, ...]) -> Iterator[Sample]:
    for each in standing.dimensions:
        labels = (*scope, each.dimension)
        if each.configured is not None:
            yield Sample(metrics.LIMIT_CONFIGURED, labels, each.configured)
        if each.level is None:
            continue
        if each.level.told is not None:
            yield Sample(metrics.LIMIT_TOLD, labels, each.level.told)
        yield Sample(metrics.LIMIT_ENFORCED, labels, each.level.limit)
        if each.dimension.endswith("d"):
            yield Sample(metrics.LIMIT_USED, labels, each.level.level)
        else:
            yield Sample(metrics.LIMIT_LEVEL, labels, each.level.level)
            yield Sample(metrics.LIMIT_RATE, labels, each.level.rate_s)
