"""Let jobs fall back that wait for a paused provider, or too long: some at a time."""

from collections.abc import Callable, Iterator, Sequence

import structlog

from promptmill.producer.dispatching.depth import concurrency_of, is_paused
from promptmill.schema.backlog import Scope
from promptmill.schema.database import Database
from promptmill.schema.fallbacks import When
from promptmill.schema.moves.rerouting import Detour, Ruled, reroute, ruled_batches
from promptmill.schema.pauses import Pause, lasting_pauses
from promptmill.schema.pools import NO_POOLS, Pools, members_of
from promptmill.schema.presence import WorkerSeen, live_workers
from promptmill.schema.settings import RetrySettings

_CHUNK = 1000
_INTERVAL_S = 1.0
_log = structlog.get_logger(__name__)


class Detours:
    """Looks for what waits for a model and should go elsewhere. For one thread.

    *clock* is monotonic, in seconds.
    """

    def __init__(
        self,
        policy: RetrySettings,
        database: Database,
        *,
        clock: Callable[[], float],
        pools: Pools = NO_POOLS,
    ) -> None:
        self._policy, self._database, self._clock = policy, database, clock
        self._pools = pools
        self._at = clock()

    def turn(self) -> int:
        """Move a chunk of each model that is paused, if it is time; return how many jobs."""
        if self._clock() < self._at:
            return 0
        moved = sum(self._move(detour) for detour in self._found())
        if not moved:
            self._at = self._clock() + _INTERVAL_S
        return moved

    def _found(self) -> list[Detour]:
        with self._database.read() as connection:
            batches = ruled_batches(connection, near_s=self._policy.fallback_deadline_s)
            if not batches:
                return []
            pauses = lasting_pauses(connection, seconds=self._policy.fallback_after_s)
            workers = live_workers(connection)
        return [
            detour for batch in batches for detour in detours(batch, workers, pauses, self._pools)
        ]

    def _move(self, detour: Detour) -> int:
        with self._database.write() as connection:
            moved = reroute(connection, detour, most=_CHUNK)
        if moved:
            _log.info("fell back", batch=detour.batch_id, jobs=moved, of=detour.now, to=detour.to)
        return moved


def detours(
    batch: Ruled,
    workers: Sequence[WorkerSeen],
    pauses: Sequence[Pause],
    pools: Pools = NO_POOLS,
) -> Iterator[Detour]:
    """Say, of each model that jobs of *batch* wait for in vain, where those go.

    That is one that is paused, of a pool some member while nobody can call another; and before
    the deadline the one that was asked first.
    """

    def holds(name: str) -> bool:
        provider, _, model = name.partition("/")
        asked = [Scope(one, model) for one in members_of([provider], pools)]
        paused = any(is_paused(one, workers, pauses) for one in asked)
        return paused and not any(concurrency_of(one, workers, pauses, ceiling=1) for one in asked)

    for asked, way in batch.rules.items():
        for at, now in enumerate([asked, *(one.to for one in way)]):
            late = batch.is_late and not at
            if not late and not holds(now):
                continue
            when = {When.DEADLINE} if late else set()
            when |= {When.PAUSED} if holds(now) else set()
            later = (one.to for one in way[at:] if when & set(one.when))
            to = next((name for name in later if not holds(name)), None)
            if to is not None:
                yield Detour(batch.id, asked, now, to)
