"""How far a batch is, as one value: counters, usage and pauses, read together."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from promptmill.schema.backlog import Scope
from promptmill.schema.connection import Source
from promptmill.schema.errors import UsageError
from promptmill.schema.fallbacks import leads_on, read_rules
from promptmill.schema.moves.spending import BUDGET
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind
from promptmill.schema.pauses import Pause, pauses_now
from promptmill.schema.pools import NO_POOLS, Pools, members_of
from promptmill.schema.presence import WorkerSeen, live_workers
from promptmill.schema.provider_batches import ProviderBatch, open_provider_batches
from promptmill.schema.reading import (
    BatchRow,
    ScopeCount,
    ScopeUsage,
    batch_counts,
    batch_row,
    batch_usage,
    latest_batches,
)
from promptmill.schema.states import FINAL_STATES, BatchState, JobState

ALL = "all"
"""in place of a provider's name: all of them together"""
ENDED, AWAY = "ended", "away"
"""what people are told of an open batch, see `Progress.state`"""
_LATEST = 1000
_REFUSALS = (ErrorKind.RATE, ErrorKind.OVERLOADED, ErrorKind.DAILY)


class Tally(msgspec.Struct, frozen=True):
    """Counts of one provider, or of all."""

    name: str
    total: int
    succeeded: int
    failed: int
    cancelled: int
    running: int
    waiting: int
    pending: int
    """pending or queued"""
    calls: int
    """requests that went out and have ended"""
    retries: int
    """attempts that failed and were, or will be, tried again"""
    refusals: int
    """429 and 503: of those, no attempt is used up"""
    input_tokens: int
    output_tokens: int
    cost_micros: int
    unpriced_calls: int
    """answers whose price is unknown: the cost has them not in it"""
    hits: int = 0
    """jobs that took the answer of another, and were not called"""

    @property
    def ended(self) -> int:
        """Jobs in a final state."""
        return self.succeeded + self.failed + self.cancelled


class Progress(msgspec.Struct, frozen=True):
    """A batch at one moment."""

    batch: BatchRow
    providers: tuple[Tally, ...]
    models: tuple[Scope, ...]
    overall: Tally
    pauses: tuple[Pause, ...]
    """of this batch's providers, and of the members of its pools"""
    workers: tuple[WorkerSeen, ...]
    away: tuple[ProviderBatch, ...] = ()
    """what of it is at a provider's batch API, or on its way there"""
    pools: Pools = msgspec.field(default_factory=lambda: NO_POOLS)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        loading = self.batch.state == BatchState.LOADING
        return not loading and self.overall.ended >= self.overall.total

    @property
    def state(self) -> str:
        """The batch's state in a word for people.

        `ended` once nothing is left of an open one, `away` where all that is left of it is at a
        provider's batch API.
        """
        if self.finished and self.batch.state != BatchState.CANCELLED:
            return ENDED
        left = self.overall.total - self.overall.ended
        is_away = 0 < left == self.overall.running == sum(one.jobs for one in self.away)
        return AWAY if is_away and self.batch.state == BatchState.OPEN else self.batch.state

    @property
    def stuck(self) -> tuple[Pause, ...]:
        """The pauses without end that hold all that is left, where nothing runs any more."""
        if self.finished or self.overall.running:
            return ()
        left = {tally.name for tally in self.providers if tally.ended < tally.total}
        lasting = [pause for pause in self.pauses if self._holds(pause)]
        held = {pause.provider for pause in lasting}
        away = {one for pool in self.pools.values() for one in pool.members} - self._served
        held |= {
            name
            for name, pool in self.pools.items()
            if held & set(pool.members) and set(pool.members) <= held | away
        }
        if left <= held and not leads_on(read_rules(self.batch.fallbacks), left=left, held=held):
            return tuple(lasting)
        return ()

    @property
    def unattended(self) -> tuple[str, ...]:
        """Providers and pools that have jobs left, and no worker."""
        served = self._served
        served |= {name for name in self.pools if members_of([name], self.pools) & served}
        left = {one.name for one in self.providers if one.ended < one.total}
        return tuple(sorted(left - served))

    @property
    def held(self) -> bool:
        """Whether nothing can move until somebody acts: all of it is paused, nothing runs."""
        if self.finished or self.overall.running:
            return False
        return self.batch.state == BatchState.PAUSED or bool(self.stuck)

    @property
    def budget_reached(self) -> bool:
        """Whether it is paused since its next call does not fit its budget."""
        reason = self.batch.paused_reason or ""
        return self.batch.state == BatchState.PAUSED and reason.startswith(f"{BUDGET}:")

    @property
    def _served(self) -> set[str]:
        return {name for worker in self.workers for name in worker.keys}

    def _holds(self, pause: Pause) -> bool:
        """Say whether no live worker can call its provider under *pause*."""
        if pause.until_at is not None or pause.model:
            return False
        keys = {
            worker.keys[pause.provider] for worker in self.workers if pause.provider in worker.keys
        }
        stopped = {
            other.fingerprint
            for other in self.pauses
            if other.provider == pause.provider and other.until_at is None
        }
        return "" in stopped or keys <= stopped


def read_progress(database: Source, batch_id: int, pools: Pools = NO_POOLS) -> Progress:
    """Read how far a batch is. Raises UsageError for one that is not there.

    *pools*: of the settings, to tell whether anything can move.
    """
    with database.read() as connection:
        batch = batch_row(connection, batch_id)
        if batch is None:
            msg = f"there is no batch {batch_id}: `promptmill ls` lists them"
            raise UsageError(msg)
        counts = batch_counts(connection, batch_id)
        usage = batch_usage(connection, batch_id)
        pauses = pauses_now(connection)
        workers = live_workers(connection)
        away = open_provider_batches(connection, batch_id=batch_id)
    names = sorted({count.provider for count in counts})
    asked = members_of(names, pools) | set(names)
    tallies = tuple(
        tally_of(
            name,
            [count for count in counts if count.provider == name],
            [used for used in usage if used.provider == name],
        )
        for name in names
    )
    return Progress(
        batch=batch,
        providers=tallies,
        models=tuple(sorted({Scope(count.provider, count.model) for count in counts})),
        overall=tally_of(ALL, counts, usage),
        pauses=tuple(pause for pause in pauses if pause.provider in asked),
        workers=tuple(workers),
        away=tuple(away),
        pools=pools,
    )


class OpenBatch(msgspec.Struct, frozen=True):
    """A batch that has something left."""

    id: int
    name: str
    left: int


def open_besides(database: Source, batch_id: int, *, providers: Collection[str]) -> list[OpenBatch]:
    """List the open batches of the latest 1,000 but *batch_id* that wait for one of *providers*."""
    with database.read() as connection:
        others = [
            (batch, _left(batch_counts(connection, batch.id), providers))
            for batch in latest_batches(connection, most=_LATEST)
            if batch.id != batch_id and batch.state == BatchState.OPEN
        ]
    return [OpenBatch(batch.id, batch.name, left) for batch, left in others if left]


def tally_of(name: str, counts: Sequence[ScopeCount], usage: Sequence[ScopeUsage]) -> Tally:
    """Add up the counts and the usage of one provider, or of one model, or of all."""
    paid = [
        used for used in usage if used.outcome in (AttemptOutcome.SUCCEEDED, AttemptOutcome.LATE)
    ]
    refused = [used for used in usage if used.error_kind in _REFUSALS]
    scopes = {(count.provider, count.model) for count in counts}
    missed = [
        used
        for used in usage
        if used.error_kind
        and used.error_kind not in _REFUSALS
        and (used.provider, used.model) in scopes  # else it was a call for vectors
    ]
    failed = _jobs(counts, (JobState.FAILED, JobState.QUARANTINED))
    return Tally(
        name=name,
        total=sum(count.jobs for count in counts),
        succeeded=_jobs(counts, (JobState.SUCCEEDED,)),
        failed=failed,
        cancelled=_jobs(counts, (JobState.CANCELLED,)),
        running=_jobs(counts, (JobState.RUNNING,)),
        waiting=_jobs(counts, (JobState.WAITING,)),
        pending=_jobs(counts, (JobState.PENDING, JobState.QUEUED)),
        calls=sum(used.calls for used in usage if used.outcome != AttemptOutcome.NOT_SENT),
        retries=max(0, sum(used.calls for used in missed) - failed),
        refusals=sum(used.calls for used in refused),
        input_tokens=sum(used.input_tokens for used in usage),
        output_tokens=sum(used.output_tokens for used in usage),
        cost_micros=sum(used.cost_micros for used in usage),
        unpriced_calls=sum(used.unpriced_calls for used in paid),
        hits=sum(used.hits for used in usage),
    )


def _left(counts: Iterable[ScopeCount], providers: Collection[str]) -> int:
    ours = [count for count in counts if count.provider in providers]
    return _jobs(ours, set(JobState) - FINAL_STATES)


def _jobs(counts: Iterable[ScopeCount], states: Iterable[JobState]) -> int:
    wanted = set(states)
    return sum(count.jobs for count in counts if count.state in wanted)
