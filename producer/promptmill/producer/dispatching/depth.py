"""How deep the queue of a scope should be: what can start soon, and no more."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from promptmill.schema.backlog import Scope
from promptmill.schema.ceilings import ModelLimits
from promptmill.schema.pauses import Pause
from promptmill.schema.presence import NO_KEY, WorkerSeen
from promptmill.schema.settings import DispatchSettings, Settings

SOON_S = 2.0
"""as far ahead as workers book the starts of bulk"""


class StartRates:
    """How many jobs a second of each scope were started lately, averaged over some *over_s*."""

    def __init__(self, *, over_s: float) -> None:
        self._over_s = over_s
        self._at: float | None = None
        self._started: dict[tuple[int, Scope], int] = {}
        self._newest = 0
        self._rates: dict[Scope, float] = {}

    def observe(self, now: float, started: Mapping[tuple[int, Scope], int]) -> None:
        """Take in how many jobs of each batch were ever started; *now* in seconds, monotonic."""
        if self._at is not None and now > self._at:
            passed = now - self._at
            weight = 1 - math.exp(-passed / self._over_s)
            fresh = self._fresh(started)
            for scope in {*self._rates, *fresh}:
                rate = self._rates.get(scope, 0.0)
                self._rates[scope] = rate + weight * (fresh[scope] / passed - rate)
        self._at, self._started = now, dict(started)
        self._newest = max((self._newest, *(batch_id for batch_id, _ in started)))

    def _fresh(self, started: Mapping[tuple[int, Scope], int]) -> Counter[Scope]:
        """Count what was started since the last look."""
        known = {batch_id for batch_id, _ in self._started}
        fresh = Counter[Scope]()
        for (batch_id, scope), count in started.items():
            # One that had ended, and of which something is done again, started nothing by that.
            is_back = batch_id <= self._newest and batch_id not in known
            before = count if is_back else self._started.get((batch_id, scope), 0)
            # Less than before where jobs were put back: that starts nothing either.
            fresh[scope] += max(0, count - before)
        return fresh

    def of(self, scope: Scope) -> float:
        """Tell the rate of *scope*, in jobs a second."""
        return self._rates.get(scope, 0.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast calls of one scope can start: by what it did lately, its workers and its limits."""

    rate: float = 0.0
    """starts a second, lately"""
    places: float = 0.0
    """calls that can be open at once"""
    running: int = 0
    limit: float = math.inf
    """requests a second that its known limits let through"""
    burst_s: float = 0.0
    """how many seconds of the limit may come at once"""

    def let_through(self, seconds: float) -> float:
        """Tell how many requests its known limits let through in that time."""
        return self.limit * (seconds + self.burst_s)

    def depth(self, seconds: float) -> int:
        """Say how many jobs are that many seconds of work, beside what is open."""
        return math.ceil(self.rate * seconds + min(self.places, self.let_through(seconds)))

    @property
    def soon(self) -> int:
        """How many calls it can start in `SOON_S`."""
        able = self.rate * SOON_S + max(0.0, self.places - self.running)
        return math.floor(min(able, self.let_through(SOON_S)))

    @property
    def soon_at_limit(self) -> int:
        """How many it starts in that time, while a limit is what holds it back."""
        return math.floor(min(self.rate, self.limit) * SOON_S)


def request_limit(limits: ModelLimits, *, keys: int) -> float:
    """Tell how many requests a second the limits let through; with several keys each has them."""
    known = (limits.limits.get("rpm"), limits.shared.get("rpm"))
    return min((one / 60 * max(1, keys) for one in known if one), default=math.inf)


def target_depth(pace: Pace, settings: DispatchSettings) -> int:
    """Say how many jobs to keep queued."""
    wanted = pace.depth(settings.depth_s)
    return min(max(wanted, settings.depth_min), settings.depth_max)


def member_depth(pace: Pace, settings: DispatchSettings) -> int:
    """Say so of a member of a pool: no more than its limits let through, for there are others."""
    most = max(1.0, pace.rate * settings.depth_s, pace.let_through(settings.depth_s))
    return min(target_depth(pace, settings), math.ceil(min(most, settings.depth_max)))


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


def is_known(provider: str, settings: Settings, workers: Iterable[WorkerSeen]) -> bool:
    """Say whether anybody could read its queue: the settings have it, or a live worker's have."""
    known = provider in settings.providers
    return known or any(provider in worker.keys for worker in workers)


def keys_of(provider: str, workers: Iterable[WorkerSeen]) -> set[str]:
    """List the keys that live workers have for *provider*."""
    found = {worker.keys.get(provider, NO_KEY) for worker in workers}
    return found - {NO_KEY}


def _stopped_keys(scope: Scope, pauses: Sequence[Pause]) -> set[str]:
    """Collect the fingerprints that may not call *scope* now; '' stands for all keys."""
    return {
        pause.fingerprint
        for pause in pauses
        if pause.provider == scope.provider and pause.model in ("", scope.model)
    }
