"""How deep the queue of a scope should be: what can start soon, and no more."""

import math
from collections.abc import Mapping, Sequence

from promptmill.schema.backlog import Scope
from promptmill.schema.pauses import Pause
from promptmill.schema.presence import WorkerSeen
from promptmill.schema.settings import DispatchSettings


class StartRates:
    """How many jobs a second of each scope were started lately, averaged over some *over_s*."""

    def __init__(self, *, over_s: float) -> None:
        self._over_s = over_s
        self._at: float | None = None
        self._started: dict[Scope, int] = {}
        self._rates: dict[Scope, float] = {}

    def observe(self, now: float, started: Mapping[Scope, int]) -> None:
        """Take in how many jobs were ever started; *now* in seconds, monotonic."""
        if self._at is not None and now > self._at:
            passed = now - self._at
            weight = 1 - math.exp(-passed / self._over_s)
            for scope, count in started.items():
                # Less than before where jobs were put back: that starts nothing either.
                fresh = max(0, count - self._started.get(scope, 0)) / passed
                rate = self._rates.get(scope, 0.0)
                self._rates[scope] = rate + weight * (fresh - rate)
        self._at, self._started = now, dict(started)

    def of(self, scope: Scope) -> float:
        """Tell the rate of *scope*, in jobs a second."""
        return self._rates.get(scope, 0.0)


def target_depth(rate: float, concurrency: float, settings: DispatchSettings) -> int:
    """Say how many jobs to keep queued at *rate* starts a second and so many calls at once."""
    wanted = math.ceil(rate * settings.depth_s + concurrency)
    return min(max(wanted, settings.depth_min), settings.depth_max)


def share_depth(wanted: Mapping[Scope, int], settings: DispatchSettings) -> dict[Scope, int]:
    """Cut what the scopes want by one share, where it is more than `depth_max` in all."""
    share = min(1.0, settings.depth_max / max(1, sum(wanted.values())))
    return {scope: max(1, int(depth * share)) for scope, depth in wanted.items()}


def concurrency_of(
    scope: Scope, workers: Sequence[WorkerSeen], pauses: Sequence[Pause], *, ceiling: int
) -> int:
    """Add up how many calls live workers can have open in *scope*; 0 when nobody can call it."""
    stopped = _stopped_keys(scope, pauses)
    if "" in stopped:
        return 0
    able = (
        worker.concurrency
        for worker in workers
        if scope.provider in worker.keys and worker.keys[scope.provider] not in stopped
    )
    return min(sum(able), ceiling)


def is_paused(scope: Scope, workers: Sequence[WorkerSeen], pauses: Sequence[Pause]) -> bool:
    """Say whether *scope* is paused as a whole, or every key that a live worker has for it."""
    stopped = _stopped_keys(scope, pauses)
    keys = {worker.keys[scope.provider] for worker in workers if scope.provider in worker.keys}
    return "" in stopped or bool(keys and keys <= stopped)


def _stopped_keys(scope: Scope, pauses: Sequence[Pause]) -> set[str]:
    """Collect the fingerprints that may not call *scope* now; '' stands for all keys."""
    return {
        pause.fingerprint
        for pause in pauses
        if pause.provider == scope.provider and pause.model in ("", scope.model)
    }
