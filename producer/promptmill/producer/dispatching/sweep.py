"""Put right what crashes and cancels left behind, in small transactions.

Dead workers' jobs are rescued, lost hints taken back, cancelled batches emptied. Live calls that
nobody waits for any more are cancelled. Batches that have ended are set apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from promptmill.producer.dispatching.broker import BrokerLostError, HintSender
from promptmill.producer.dispatching.depth import is_known
from promptmill.producer.dispatching.lost_hints import LostHints
from promptmill.schema.backlog import aged_hints, backlog, cancelled_batches
from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.host import host_identity, process_is_gone
from promptmill.schema.moves.carrying import ended_of_nobody, set_apart
from promptmill.schema.moves.embedder_calls import end_lost_calls, lost_calls
from promptmill.schema.moves.loading import discard_loading
from promptmill.schema.moves.queueing import give_back, has_dealt, unqueue, unqueue_scope
from promptmill.schema.moves.rescuing import forsake, rescue, running_of, unwaited_calls
from promptmill.schema.moves.steering import cancel_jobs
from promptmill.schema.presence import WorkerSeen, declare_dead, live_workers, orphaned_owners
from promptmill.schema.settings import Settings
from promptmill.schema.standstill import Standstill

_log = structlog.get_logger(__name__)
_CHUNK = 1000
"""rows in a transaction: some 20 ms of SQLite's only writer"""
_CANCEL_CHUNKS = 20
"""for a sweep: the rest of a large batch waits for the next one, since nothing of it is claimed"""
_LOST = "its worker was lost while the call was open"


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep came to."""

    dead_workers: int = 0
    rescued: int = 0
    lost_hints: int = 0
    cancelled: int = 0


class Sweeper:
    """Sweeps. Standbys observe the beats too, so that a new leader need not begin to wait."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sender: HintSender,
        *,
        clock: Callable[[], float],
    ) -> None:
        dispatch = settings.dispatch
        self._settings, self._database, self._sender = settings, database, sender
        self._clock, self._host = clock, host_identity()
        # Two readings at least, however short the lease.
        self._beats = Standstill(longest_gap_s=min(2 * dispatch.sweep_s, dispatch.lease_s / 2))
        self._lost = LostHints(patience_s=2 * settings.worker.beat_s)

    def observe(self) -> list[WorkerSeen]:
        """Read the workers' beats."""
        with self._database.read() as connection:
            workers = live_workers(connection)
        self._beats.observe(self._clock(), {worker.id: worker.beat for worker in workers})
        return workers

    def missed(self) -> None:
        """Take in that SQL could not be read: that time does not count against the workers."""
        self._beats.missed()

    def sweep(self) -> Swept:
        """Sweep once. Only for the leader, though two at once do no harm."""
        dead = [worker for worker in self.observe() if self._declare_dead(worker)]
        self._forsake()  # before what is rescued could be hinted again
        swept = Swept(
            dead_workers=len(dead),
            rescued=self._rescue_orphans(),
            lost_hints=self._take_back_lost_hints(),
            cancelled=self._empty_cancelled(),
        )
        self._take_back_what_nobody_reads()
        self._end_lost_calls()
        self._set_apart()
        if swept != Swept():
            _log.info(
                "swept",
                dead_workers=swept.dead_workers,
                rescued=swept.rescued,
                lost_hints=swept.lost_hints,
                cancelled=swept.cancelled,
            )
        return swept

    def _declare_dead(self, worker: WorkerSeen) -> bool:
        still_s = self._beats.still_s(worker.id)
        is_gone = worker.host == self._host and process_is_gone(worker.pid)
        if not is_gone and still_s < self._settings.dispatch.lease_s:
            return False
        with self._database.write() as connection:
            died = declare_dead(connection, worker.id, beat=worker.beat)
        if died:
            why = "process gone" if is_gone else "beat stood still"
            _log.warning("worker lost", worker=worker.id, why=why, still_s=round(still_s, 1))
        return died

    def _forsake(self) -> None:
        """Have no more asked of the live calls of a gateway that has stopped, or died."""
        with self._database.read() as connection:
            calls = unwaited_calls(connection, most=_CHUNK)
        if calls:
            with self._database.write() as connection:
                forsake(connection, calls)
                for batch_id in calls:
                    while not discard_loading(connection, batch_id):
                        pass
            _log.info("live calls cancelled, their gateway is gone", calls=len(calls))

    def _rescue_orphans(self) -> int:
        """Take the jobs of workers that have stopped: those that died, and those that left some."""
        with self._database.read() as connection:
            owners = orphaned_owners(connection)
        return sum(self._rescue_all(owner) for owner in owners)

    def _rescue_all(self, worker_id: str) -> int:
        rescued = 0
        while True:
            with self._database.write() as connection:
                lost = running_of(connection, worker_id, most=_CHUNK)
                moved = rescue(
                    connection,
                    lost,
                    worker_id=worker_id,
                    alone=rescued + len(lost) == 1,
                    max_crashes=self._settings.retry.max_crashes,
                    reason=_LOST,
                )
            rescued += len(moved)
            if not moved:
                return rescued

    def _end_lost_calls(self) -> None:
        """Close what a worker that is gone had open for vectors: it may have been charged."""
        with self._database.read() as connection:
            lost = lost_calls(connection, most=_CHUNK)
        if lost:
            with self._database.write() as connection:
                end_lost_calls(connection, lost, reason=_LOST)

    def _set_apart(self) -> None:
        """Let nobody look any more at batches that have ended. The gateway sees to its tenants'."""
        with self._database.read() as connection:
            ended = ended_of_nobody(connection, most=_CHUNK)
        if ended:
            with self._database.write() as connection:
                set_apart(connection, ended)

    def _take_back_lost_hints(self) -> int:
        dispatch = self._settings.dispatch
        with self._database.read() as connection:
            aged = [
                pair
                for provider in self._settings.providers
                for pair in aged_hints(
                    connection, provider, age_s=dispatch.hint_age_s, most=2 * dispatch.depth_max
                )
            ]
        try:
            in_broker = self._in_broker({provider for provider, _ in aged})
        except BrokerLostError:
            return 0  # it was told by the feeder; what cannot be seen is not lost
        with self._database.read() as connection:
            in_hand = {job for worker in live_workers(connection) for job in worker.in_hand}
        held = in_broker | in_hand
        missing = [hint for _, hint in aged if hint.job_id not in held]
        return self._unqueue(self._lost.observe(self._clock(), missing))

    def _in_broker(self, providers: set[str]) -> set[int]:
        return {job for provider in providers for job in self._sender.held_jobs(provider)}

    def _unqueue(self, hints: Sequence[Hint]) -> int:
        back = 0
        for start in range(0, len(hints), _CHUNK):
            with self._database.write() as connection:
                back += len(unqueue(connection, hints[start : start + _CHUNK]))
        return back

    def _take_back_what_nobody_reads(self) -> None:
        """Put back, a chunk of each, what is queued at who is no member of its pool, or unknown."""
        with self._database.read() as connection:
            queued = sorted({one.scope for one in backlog(connection) if one.queued})
            workers = live_workers(connection)
            of_pools = [
                (name, scope)
                for name, pool in self._settings.pools.items()
                for scope in queued
                if scope.provider not in {name, *pool.members}
                and has_dealt(connection, **scope._asdict(), pool=name)
            ]
        for name, scope in of_pools:
            with self._database.write() as connection:
                jobs = give_back(connection, **scope._asdict(), pool=name, most=_CHUNK)
            _log.info("given back", jobs=jobs, pool=name, **scope._asdict())
        for scope in queued:
            if is_known(scope.provider, self._settings, workers):
                continue
            with self._database.write() as connection:
                jobs = unqueue_scope(connection, **scope._asdict(), most=_CHUNK)
            _log.warning("put back, nobody knows the provider", jobs=jobs, **scope._asdict())

    def _empty_cancelled(self) -> int:
        with self._database.read() as connection:
            batches = cancelled_batches(connection)
        cancelled = 0
        for batch_id in batches:
            for _ in range(_CANCEL_CHUNKS):
                with self._database.write() as connection:
                    moved = cancel_jobs(connection, batch_id, most=_CHUNK)
                cancelled += moved
                if moved < _CHUNK:
                    break
        return cancelled
