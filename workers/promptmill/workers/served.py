"""One provider as this process serves it: its adapter, its key's fingerprint, its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from promptmill.schema.bounds import Terms
from promptmill.schema.ceilings import limits_of
from promptmill.schema.live_limits import NONE_LIVE, LiveCeilings
from promptmill.schema.network import DIRECT, NetworkSettings
from promptmill.schema.prices import PriceList, price_list_of
from promptmill.schema.settings import ProviderKind, ProviderSettings
from promptmill.workers.limits.limit import Charging, Dimension, Scope
from promptmill.workers.providers.base import Provider
from promptmill.workers.providers.lean import LeanClient
from promptmill.workers.providers.registry import make_provider


@dataclass(frozen=True, slots=True)
class Served:
    """A provider that can be called."""

    name: str
    kind: ProviderKind
    fingerprint: str
    adapter: Provider
    settings: ProviderSettings
    live: LiveCeilings = field(default_factory=lambda: NONE_LIVE)
    """Limits that were set live, over those of the settings."""
    _scopes: dict[str, Scope] = field(default_factory=dict, repr=False, compare=False)
    """Those that were asked for before, by model."""
    _windows: dict[str, int | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def price_list(self) -> PriceList:
        """Whose prices hold."""
        return price_list_of(self.name, self.settings)

    def terms(self, model: str) -> Terms:
        """Tell by what the most that a call of *model* can cost is found."""
        return Terms(self.price_list, self.kind, model)

    def window(self, model: str) -> int | None:
        """Tell the most tokens that *model* takes, where that is known."""
        if model not in self._windows:
            self._windows[model] = self.price_list.window(model)
        return self._windows[model]

    def with_live(self, live: LiveCeilings) -> "Served":
        """Tell the same provider with other live limits (see `live_limits.live_ceilings`)."""
        return replace(self, live=live, _scopes={})

    def scope(self, model: str) -> Scope:
        """Tell which limits hold for *model*."""
        if model not in self._scopes:
            self._scopes[model] = self._scope(model)
        return self._scopes[model]

    def _scope(self, model: str) -> Scope:
        held = limits_of(self.settings, model, self.live)
        return Scope(
            provider=self.name,
            model=model,
            account=self.fingerprint,
            limits=_by_dimension(held.limits),
            concurrency=held.concurrency,
            shared=_by_dimension(held.shared),
            pool=held.pool,
            burst_s=held.burst_s,
            charging=Charging(tokens=held.tokens, cached_input=held.cached_input),
            day_starts=self.settings.day_zone.key,
        )


def serve(
    name: str,
    settings: ProviderSettings,
    http: LeanClient,
    network: NetworkSettings = DIRECT,
) -> Served:
    """Build what is needed to call provider *name*. Raises SettingsError for a missing key."""
    adapter = make_provider(name, settings, http, network)
    return Served(name, settings.kind, settings.fingerprint, adapter, settings)


def _by_dimension(ceilings: Mapping[str, float]) -> tuple[tuple[Dimension, float], ...]:
    return tuple((each, ceilings[each]) for each in Dimension if each in ceilings)
