"""Which limits hold for a model: by the settings, and by what was set live over them."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from promptmill.schema.live_limits import ACCOUNT, CONCURRENCY, EVERY_MODEL, LiveCeilings
from promptmill.schema.provider_settings import Ceilings, LimitSettings, ProviderSettings

DIMENSIONS: Final = tuple(Ceilings.model_fields)
_WILD: Final = frozenset("*?[")


class ModelLimits(msgspec.Struct, frozen=True):
    """The limits of one model. Amounts are by the minute (rpm …) or the day (rpd, tpd)."""

    pool: str
    """The pattern whose models share `limits`; empty: the model alone."""
    limits: Mapping[str, float]
    """Of the model, or of its family."""
    shared: Mapping[str, float]
    """Of the account, over all models of the key."""
    concurrency: int
    burst_s: float
    tokens: Literal["max_tokens", "usage", "input"] | None
    cached_input: Literal["counts", "free"] | None


def limits_of(settings: ProviderSettings, model: str, live: LiveCeilings) -> ModelLimits:
    """Tell which limits hold for *model*; a live one is as if it stood in the settings.

    Each is taken from the model's own section (see `section_of`), and where that has none from the
    provider's.
    """
    section = section_of(settings, model, live)
    own = settings.models.get(section, LimitSettings.unset())
    wide = settings.limits
    return ModelLimits(
        pool=section if section != model else "",
        limits=_known(
            {
                name: live.get((section, name))
                or getattr(own, name)
                or live.get((EVERY_MODEL, name))
                or getattr(wide, name)
                for name in DIMENSIONS
            }
        ),
        shared=_known(
            {
                name: live.get((ACCOUNT, name)) or getattr(settings.account, name)
                for name in DIMENSIONS
            }
        ),
        concurrency=int(live.get((EVERY_MODEL, CONCURRENCY), settings.concurrency)),
        burst_s=(own.burst_s if own.burst_s is not None else wide.burst_s) or 0.0,
        tokens=own.tokens or wide.tokens,
        cached_input=own.cached_input or wide.cached_input,
    )


def section_of(settings: ProviderSettings, model: str, live: LiveCeilings) -> str:
    """Name the section that has the limits of *model*: its own name, or the pattern of its family.

    An exact name comes before any pattern, and of the patterns that match the longest. A model
    that no section names has its own.
    """
    named = {name for name, _ in live if name not in (EVERY_MODEL, ACCOUNT)} | set(settings.models)
    return best_name(model, named) or model


def best_name(model: str, names: Collection[str]) -> str | None:
    """Choose of *names* and patterns the one that says most of *model*; None: none is of it."""
    if model in names:
        return model
    matching = [name for name in names if _WILD & set(name) and fnmatchcase(model, name)]
    return max(matching, key=lambda name: (len(name), name), default=None)


def _known(ceilings: Mapping[str, float | None]) -> dict[str, float]:
    return {name: ceiling for name, ceiling in ceilings.items() if ceiling is not None}
