"""One provider as this process serves it: its adapter, its key's fingerprint, its limits."""

from dataclasses import dataclass

import httpx2

from promptmill.schema.settings import LimitSettings, ProviderKind, ProviderSettings
from promptmill.workers.limits.limit import Dimension, Scope
from promptmill.workers.providers.base import Provider
from promptmill.workers.providers.registry import make_provider


@dataclass(frozen=True, slots=True)
class Served:
    """A provider that can be called."""

    name: str
    kind: ProviderKind
    fingerprint: str
    adapter: Provider
    settings: ProviderSettings

    @property
    def price_list(self) -> str:
        """Whose prices hold: an OpenAI-compatible vendor has its own, known by its name or not."""
        return self.kind if self.name == self.kind else self.name

    def scope(self, model: str) -> Scope:
        """Tell which limits hold for *model*: its own, and the provider's where it has none."""
        own = self.settings.models.get(model, LimitSettings())
        limits = []
        for dimension in Dimension:
            ceiling = getattr(own, dimension) or getattr(self.settings.limits, dimension)
            if ceiling is not None:
                limits.append((dimension, ceiling))
        return Scope(
            provider=self.name,
            model=model,
            account=self.fingerprint,
            limits=tuple(limits),
            concurrency=self.settings.concurrency,
        )


def serve(name: str, settings: ProviderSettings, http: httpx2.AsyncClient) -> Served:
    """Build what is needed to call provider *name*. Raises SettingsError for a missing key."""
    adapter = make_provider(name, settings, http)
    fingerprint = settings.api_key.fingerprint if settings.api_key else ""
    return Served(name, settings.kind, fingerprint, adapter, settings)
