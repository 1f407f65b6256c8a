"""Who may call now: all windows of one key and model, asked together, all or nothing."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from promptmill.simulator.config import Dimension, Limits, SimulatorConfig
from promptmill.simulator.provider import Provider
from promptmill.simulator.windows import DAY, FixedWindow, Window, window_for


class Cost(NamedTuple):
    """What a call takes from each dimension, in the order of `Dimension`."""

    rpm: float = 0
    tpm: float = 0
    itpm: float = 0
    otpm: float = 0
    rpd: float = 0


@dataclass(frozen=True, slots=True)
class Excess:
    """The limit that refused a call."""

    dimension: Dimension
    limit: float
    used: float
    requested: float
    wait_s: float
    """until the call would fit; infinity: it never will"""


class Standing(NamedTuple):
    """Where one limit stands, as headers tell it."""

    limit: float
    remaining: float
    reset_s: float
    """until the whole limit is there again: not the time to wait"""


Standings = dict[Dimension, Standing]


class Scope:
    """The windows of one key and model."""

    __slots__ = ("_windows",)

    def __init__(self, limits: Limits) -> None:
        self._windows: list[tuple[int, Dimension, Window]] = []
        for index, dimension in enumerate(Dimension):
            limit = getattr(limits, dimension.value)
            if limit is not None:
                self._windows.append((index, dimension, _window(limits, dimension, limit)))

    def admit(self, now: float, cost: Cost) -> Excess | None:
        """Take *cost* from every window, or from none and return the one with the longest wait."""
        worst: Excess | None = None
        for index, dimension, window in self._windows:
            # A window with nothing left admits nothing, not even a call whose cost comes later.
            requested = max(1.0, cost[index])
            wait = window.wait(now, requested)
            if wait > 0 and (worst is None or wait > worst.wait_s):
                used = window.limit - window.remaining(now)
                worst = Excess(dimension, window.limit, used, requested, wait)
        if worst is None:
            self.add(now, cost)
        return worst

    def add(self, now: float, cost: Cost) -> None:
        """Take *cost* without asking: it is known only now."""
        for index, _, window in self._windows:
            if cost[index]:
                window.take(now, cost[index])

    def standings(self, now: float) -> Standings:
        """Return where each limit stands."""
        return {
            dimension: Standing(window.limit, window.remaining(now), max(0.0, window.reset(now)))
            for _, dimension, window in self._windows
        }


def _window(limits: Limits, dimension: Dimension, limit: float) -> Window:
    if dimension is Dimension.RPD:
        return FixedWindow(limit, period_s=DAY)
    return window_for(limits.shape, limit, burst_s=limits.burst_s)


class Limiter:
    """The scopes of all keys and models, made when first seen."""

    def __init__(self, config: SimulatorConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._scopes: dict[tuple[Provider, str, str], Scope] = {}

    def scope(self, provider: Provider, key: str, model: str) -> Scope:
        """Return the scope of *model* under the key with fingerprint *key*."""
        identity = (provider, key, model)
        scope = self._scopes.get(identity)
        if scope is None:
            scope = Scope(self._config.limits_of(provider, model))
            self._scopes[identity] = scope
        return scope

    def admit(self, scope: Scope, cost: Cost) -> Excess | None:
        """Ask *scope* at the present time."""
        return scope.admit(self._clock(), cost)

    def add(self, scope: Scope, cost: Cost) -> None:
        """Take a cost that is known only now."""
        scope.add(self._clock(), cost)

    def standings(self, scope: Scope) -> Standings:
        """Return where the limits of *scope* stand."""
        return scope.standings(self._clock())


def retry_after_s(excess: Excess) -> int | None:
    """Return whole seconds to wait, as headers carry them; None where waiting is no help."""
    return None if math.isinf(excess.wait_s) else max(1, math.ceil(excess.wait_s))
