"""How all limits stand: what the settings say, what was set live, what Redis and SQL know of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from math import inf

import msgspec

from promptmill.producer.limits.learned import LearnedModel, learned_model
from promptmill.producer.limits.memory import Account, LimitMemory
from promptmill.schema.backlog import BatchBacklog, backlog
from promptmill.schema.ceilings import DIMENSIONS, ModelLimits, limits_of, section_of
from promptmill.schema.connection import Source
from promptmill.schema.limit_day import day_number
from promptmill.schema.limit_level import DimensionLevel, Level, read_level
from promptmill.schema.limit_state import LimitState
from promptmill.schema.live_limits import (
    ACCOUNT,
    EVERY_MODEL,
    NONE_LIVE,
    LiveCeilings,
    LiveLimit,
    live_ceilings,
    read_limits,
)
from promptmill.schema.pauses import Pause, pauses_now
from promptmill.schema.presence import NO_KEY, WorkerSeen, live_workers
from promptmill.schema.settings import ProviderKind, ProviderSettings, Settings

_NOBODY_ASKS_S = 10.0
"""after so long without a booking nobody waits for one, whatever is left of the queue"""
_FOR_EVER_S = 300 * 86_400.0
"""the limiter writes a pause without end as one of 400 days"""


class Known(msgspec.Struct, frozen=True):
    """What SQL knows that has to do with limits."""

    live: Sequence[LiveLimit] = ()
    left: Sequence[BatchBacklog] = ()
    pauses: Sequence[Pause] = ()
    workers: Sequence[WorkerSeen] = ()


class DimensionStanding(msgspec.Struct, frozen=True):
    """One limit of one scope."""

    dimension: str
    configured: float | None
    """by the settings, or live"""
    is_live: bool
    """it was set live, to something else than the settings say"""
    level: DimensionLevel | None
    """None: not used yet, or Redis is away"""


class ScopeStanding(msgspec.Struct, frozen=True):
    """The limits of a model, of a family or of an account, and who is held back by them."""

    account: Account
    name: str
    """a model, a family's pattern, ACCOUNT, or EVERY_MODEL: any model that has not been used yet"""
    dimensions: tuple[DimensionStanding, ...]
    concurrency: int | None
    """of the account; None: the provider is not in these settings"""
    in_flight: int | None
    """of the account; None: Redis is away"""
    level: Level | None
    whole_again_s: float
    """until the rate has recovered from a 429; 0 where it has"""
    idle_s: float | None
    """since it was last used"""
    pauses: tuple[Pause, ...]
    """those in SQL, which hold until told or for long"""
    waits: tuple[BatchBacklog, ...]
    """of any key of the provider: SQL does not know which one a job will be called with"""
    learned: Mapping[str, LearnedModel]
    """by model"""
    charged_by_max_tokens: bool

    def paused_s(self, now: datetime) -> float:
        """Tell for how many seconds nothing of this scope by itself goes out; inf: until told."""
        told = (pause for pause in self.pauses if pause.fingerprint != NO_KEY)
        ends = (inf if each.until_at is None else _seconds(now, each.until_at) for each in told)
        ours = self.level.paused_s if self.level is not None else 0.0
        return max(inf if ours > _FOR_EVER_S else ours, *ends, 0.0)

    @property
    def queued_s(self) -> float:
        """Work of those that wait for a start, in seconds of the limit."""
        if self.level is None or self.idle_s is None or self.idle_s > _NOBODY_ASKS_S:
            return 0.0
        return self.level.queued_s

    @property
    def held_by_max_tokens(self) -> dict[str, LearnedModel]:
        """Models whose max_tokens costs them calls."""
        limited = {each.dimension for each in self.dimensions}
        if not (self.charged_by_max_tokens and limited & {"tpm", "tpd"}):
            return {}
        return {name: one for name, one in self.learned.items() if one.calls_lost is not None}


def read_known(database: Source) -> Known:
    """Read what SQL knows."""
    with database.read() as connection:
        return Known(
            live=read_limits(connection),
            left=backlog(connection),
            pauses=pauses_now(connection),
            workers=live_workers(connection),
        )


def stand(
    settings: Settings,
    known: Known,
    memory: LimitMemory | None,
    *,
    provider: str | None = None,
    model: str = "",
) -> list[ScopeStanding]:
    """Tell of every scope: by provider and key, the account first. *memory* None: Redis is away.

    Of one *provider* only, or of the scope of its *model* and the account, used or not.
    """
    found: list[ScopeStanding] = []
    used = _providers(settings, known, memory)
    for name in sorted(used if provider is None else {provider}):
        view = _ProviderView(name, settings.providers.get(name), known, memory, model)
        for key in view.keys:
            found += view.scopes(Account(name, key))
    return found


class _ProviderView:
    """All that is known of one provider."""

    def __init__(
        self,
        name: str,
        settings: ProviderSettings | None,
        known: Known,
        memory: LimitMemory | None,
        only_model: str,
    ) -> None:
        self._name, self._settings, self._known, self._memory = name, settings, known, memory
        self._live = live_ceilings(known.live, name)
        self._left = [each for each in known.left if each.scope.provider == name]
        self._pauses = [each for each in known.pauses if each.provider == name]
        self._only = self._section(only_model) if only_model else None

    @property
    def keys(self) -> list[str]:
        """Fingerprints of the keys that were used, or will be."""
        keys = {worker.keys[self._name] for worker in self._known.workers if self._serves(worker)}
        if self._memory is not None:
            seen = (*self._memory.accounts, *(account for account, _ in self._memory.scopes))
            keys |= {account.key for account in seen if account.provider == self._name}
        if not keys and self._settings is not None and self._settings.fingerprint:
            keys.add(self._settings.fingerprint)
        return sorted(keys) or [""]

    def scopes(self, account: Account) -> Iterator[ScopeStanding]:
        """Tell of the account, then of its models and families, then of any other model."""
        memory = self._memory
        yield self._scope(account, ACCOUNT, memory.accounts.get(account) if memory else None)
        names = self._names(account) if self._only is None else [self._only]
        for name in names:
            state = memory.scopes.get((account, name)) if memory is not None else None
            yield self._scope(account, name, state)

    def _names(self, account: Account) -> list[str]:
        used = self._memory.scopes if self._memory is not None else ()
        names = sorted({name for whose, name in used if whose == account} | self._sections())
        any_other = self._settings is not None and self._limits(EVERY_MODEL).limits
        return [*names, EVERY_MODEL] if any_other else names

    def _scope(self, account: Account, name: str, state: LimitState | None) -> ScopeStanding:
        held = self._limits(name) if self._settings is not None else None
        level, whole_again_s, idle_s = None, 0.0, None
        if state is not None and self._memory is not None:
            now_us = self._memory.now_us(account)
            zone = self._settings.day_zone.key if self._settings is not None else "UTC"
            day = day_number(self._memory.server_us, zone)
            level = read_level(state, now_us=now_us, day=day)
            if level.multiplier < 1 and state.get("recover") > 0:
                whole_again_s = (1 - level.multiplier) / state.get("recover") / 1e6
            idle_s = max(0.0, now_us - state.get("seen")) / 1e6
        return ScopeStanding(
            account=account,
            name=name,
            dimensions=tuple(self._dimensions(name, level)),
            concurrency=held.concurrency if held else None,
            in_flight=self._memory.in_flight.get(account, 0) if self._memory else None,
            level=level,
            whole_again_s=whole_again_s,
            idle_s=idle_s,
            pauses=tuple(self._pauses_of(account, name)),
            waits=tuple(each for each in self._left if self._section(each.scope.model) == name),
            learned=self._learned(account, name),
            charged_by_max_tokens=self._charges_max_tokens(held),
        )

    def _dimensions(self, name: str, level: Level | None) -> Iterator[DimensionStanding]:
        holds, written = self._ceilings(name, self._live), self._ceilings(name, NONE_LIVE)
        for dimension in DIMENSIONS:
            configured = holds.get(dimension)
            now = level.of(dimension) if level is not None else None
            if configured is not None or now is not None:
                is_live = configured is not None and configured != written.get(dimension)
                yield DimensionStanding(dimension, configured, is_live, now)

    def _ceilings(self, name: str, live: LiveCeilings) -> Mapping[str, float]:
        if self._settings is None:
            return {}
        if name == ACCOUNT:
            return limits_of(self._settings, EVERY_MODEL, live).shared
        return limits_of(self._settings, name, live).limits

    def _limits(self, name: str) -> ModelLimits:
        assert self._settings is not None  # noqa: S101  asked of configured providers only
        return limits_of(self._settings, "" if name == ACCOUNT else name, self._live)

    def _sections(self) -> set[str]:
        """Name what has limits of its own, or work to do."""
        named = {model for model, _ in self._live} - {EVERY_MODEL, ACCOUNT}
        written = set(self._settings.models) if self._settings is not None else set()
        return named | written | {self._section(each.scope.model) for each in self._left}

    def _section(self, model: str) -> str:
        return section_of(self._settings, model, self._live) if self._settings else model

    def _learned(self, account: Account, name: str) -> dict[str, LearnedModel]:
        if self._memory is None:
            return {}
        ours = (
            (model, learned_model(sums))
            for (whose, model), sums in sorted(self._memory.learned.items())
            if whose == account and name in (model, self._section(model))
        )
        return {model: learned for model, learned in ours if learned is not None}

    def _pauses_of(self, account: Account, name: str) -> Iterator[Pause]:
        for pause in self._pauses:
            if pause.fingerprint in ("", NO_KEY, account.key) and name == (
                self._section(pause.model) if pause.model else ACCOUNT
            ):
                yield pause

    def _charges_max_tokens(self, held: ModelLimits | None) -> bool:
        """Say whether tokens are charged by max_tokens, as those of OpenAI's kind are."""
        if held is None or self._settings is None:
            return False
        if held.tokens is not None:
            return held.tokens == "max_tokens"
        return self._settings.kind is ProviderKind.OPENAI

    def _serves(self, worker: WorkerSeen) -> bool:
        return worker.keys.get(self._name, NO_KEY) != NO_KEY


def _providers(settings: Settings, known: Known, memory: LimitMemory | None) -> Iterable[str]:
    """Name the providers that were used, are to be used, or have limits."""
    used = {each.scope.provider for each in known.left} | {each.provider for each in known.live}
    used |= {pause.provider for pause in known.pauses}
    used |= {name for worker in known.workers for name in worker.keys}
    if memory is not None:
        used |= {account.provider for account in memory.accounts}
        used |= {account.provider for account, _ in memory.scopes}
    return used | {name for name, each in settings.providers.items() if _has_limits(each)}


def _has_limits(settings: ProviderSettings) -> bool:
    ceilings = (settings.limits, settings.account, *settings.models.values())
    return any(getattr(each, name) is not None for each in ceilings for name in DIMENSIONS)


def _seconds(now: datetime, then: datetime) -> float:
    return (then - now).total_seconds()
