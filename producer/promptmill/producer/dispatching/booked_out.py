"""Which members of pools could start nothing at once, since their limits are booked out."""

from collections.abc import Callable, Iterable, Sequence

import structlog

from promptmill.producer.dispatching.depth import keys_of
from promptmill.producer.limits.memory import Account, LimitMemory
from promptmill.producer.limits.reading import LimitReader
from promptmill.schema.backlog import Scope
from promptmill.schema.broker import redis_url
from promptmill.schema.ceilings import section_of
from promptmill.schema.errors import ServiceError
from promptmill.schema.limit_level import DimensionLevel, read_level
from promptmill.schema.limit_state import LimitState
from promptmill.schema.live_limits import LiveLimit, live_ceilings
from promptmill.schema.presence import WorkerSeen
from promptmill.schema.settings import Settings

_EVERY_S, _AGAIN_S = 0.5, 10.0
"""between two looks; after Redis did not answer"""
_AHEAD_S = 1.0
"""starts that are booked so far ahead are of a limit that is full, and not only paced"""
_FRESH_S = 10.0
"""of a state that nobody wrote for so long, nobody waits for a start"""
_log = structlog.get_logger(__name__)


class BookedOut:
    """Looks at the limiter's state of some scopes. For one thread; *clock* in seconds."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float]) -> None:
        self._settings, self._clock = settings, clock
        self._reader: LimitReader | None = None
        self._memory: LimitMemory | None = None
        self._at = clock()

    def among(
        self,
        scopes: Iterable[Scope],
        workers: Sequence[WorkerSeen],
        live: Sequence[LiveLimit],
    ) -> set[Scope]:
        """Tell which of *scopes* are booked out with every key that a live worker has for them."""
        keys = {
            scope: [
                (Account(scope.provider, key), self._section(scope, live))
                for key in sorted(keys_of(scope.provider, workers))
            ]
            for scope in scopes
        }
        self._look({one for accounts in keys.values() for one in accounts})
        return {
            scope
            for scope, accounts in keys.items()
            if accounts and all(self._is_out(*one) for one in accounts)
        }

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._reader is not None:
            self._reader.close()

    def _look(self, scopes: set[tuple[Account, str]]) -> None:
        if not scopes or self._clock() < self._at:
            return
        self._at = self._clock() + _EVERY_S
        if self._reader is None:
            self._reader = LimitReader(redis_url(self._settings), prefix=self._settings.key_prefix)
        try:
            self._memory = self._reader.read_only(scopes)
        except ServiceError as error:
            _log.warning("limits not known", error=str(error))
            self._memory, self._at = None, self._clock() + _AGAIN_S

    def _section(self, scope: Scope, live: Sequence[LiveLimit]) -> str:
        provider = self._settings.providers[scope.provider]
        return section_of(provider, scope.model, live_ceilings(live, scope.provider))

    def _is_out(self, account: Account, section: str) -> bool:
        memory = self._memory
        if memory is None:
            return False
        now_us = memory.now_us(account)
        states = (memory.scopes.get((account, section)), memory.accounts.get(account))
        return any(state is not None and is_booked_out(state, now_us=now_us) for state in states)


def is_booked_out(state: LimitState, *, now_us: float) -> bool:
    """Tell whether a call that is booked now would start late, or wait for a place in flight."""
    if now_us - state.get("seen") > _FRESH_S * 1e6:
        return False
    level = read_level(state, now_us=now_us, day=0)
    ahead_s = max(level.booked_ahead_s, level.paused_s, *map(_ready_s, level.dimensions), 0.0)
    return ahead_s >= _AHEAD_S or state.get("capped") > now_us


def _ready_s(one: DimensionLevel) -> float:
    """Tell in how many seconds a bucket holds what a call needs at least: one request."""
    if not one.rate_s:  # of a day: a pause says when that is over
        return 0.0
    least = min(1.0, one.depth) if one.dimension == "rpm" else 0.0
    return (least - one.level) / one.rate_s
