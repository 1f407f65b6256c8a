"""Limits that people change while work goes on: what is asked for, checked; and what then holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from promptmill.schema.ceilings import DIMENSIONS, limits_of, section_of
from promptmill.schema.database import Connection, Database
from promptmill.schema.errors import UsageError
from promptmill.schema.live_limits import (
    ACCOUNT,
    CONCURRENCY,
    EVERY_MODEL,
    LiveCeilings,
    live_ceilings,
    read_limits,
    set_limit,
    unset_limit,
)
from promptmill.schema.settings import ProviderSettings, Settings, parse_amount

_KNOWN = (*DIMENSIONS, CONCURRENCY)


@dataclass(frozen=True, slots=True)
class Target:
    """Whose limits: those of a provider, of one of its models or families, or of its account."""

    provider: str
    model: str
    """EVERY_MODEL, ACCOUNT, a model or a pattern"""

    def __str__(self) -> str:
        """Name it for people."""
        if self.model == ACCOUNT:
            return f"{self.provider}, all models together"
        return f"{self.provider}/{self.model}" if self.model else self.provider


@dataclass(frozen=True, slots=True)
class Change:
    """What a limit was, and is now; None: there is none."""

    dimension: str
    old: float | None
    new: float | None


def parse_target(settings: Settings, text: str, *, account: bool = False) -> Target:
    """Read `PROVIDER` or `PROVIDER/MODEL`. Raises UsageError for a provider that is not known."""
    provider, slash, model = text.partition("/")
    if provider not in settings.providers:
        near = get_close_matches(provider, settings.providers, n=1)
        known = ", ".join(sorted(settings.providers))
        hint = f"did you mean {near[0]!r}?" if near else f"the settings name {known}"
        msg = f"there is no provider {provider!r}: {hint}"
        raise UsageError(msg)
    if slash and not model:
        msg = f"{text!r} names no model: write {provider}, or {provider}/MODEL"
        raise UsageError(msg)
    if account and model:
        msg = f"--account is over all models of a key: write {provider} without {model!r}"
        raise UsageError(msg)
    if model == ACCOUNT:
        msg = (
            f"write {provider} for each model that has no limits of its own,"
            f" or {provider} --account for all models together"
        )
        raise UsageError(msg)
    return Target(provider, ACCOUNT if account else model)


def parse_ceilings(words: Sequence[str]) -> dict[str, float]:
    """Read `rpm=500 tpm=200k`. Raises UsageError that names the word."""
    ceilings: dict[str, float] = {}
    for word in words:
        dimension, equals, amount = word.partition("=")
        if not equals:
            msg = f"{word!r} is no limit: write it as rpm=500 or tpm=200k"
            raise UsageError(msg)
        check_dimension(dimension)
        if dimension in ceilings:
            msg = f"{dimension} is given twice"
            raise UsageError(msg)
        ceilings[dimension] = _amount(dimension, amount)
    return ceilings


def check_dimension(dimension: str) -> None:
    """Raise UsageError for a word that is no limit."""
    if dimension not in _KNOWN:
        near = get_close_matches(dimension.lower(), _KNOWN, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(_KNOWN)}"
        msg = f"there is no limit {dimension!r}: {hint}"
        raise UsageError(msg)


def set_limits(
    database: Database, settings: Settings, target: Target, ceilings: Mapping[str, float]
) -> list[Change]:
    """Set all of *ceilings*, or none. Raises UsageError for what cannot be set."""
    provider = settings.providers[target.provider]
    with database.write() as connection:
        before = _live(connection, target)
        _refuse_member(provider, target, before)
        for dimension, ceiling in ceilings.items():
            set_limit(
                connection,
                provider=target.provider,
                model=target.model,
                dimension=dimension,
                ceiling=ceiling,
            )
        after = _live(connection, target)
    return _changes(provider, target, ceilings, before, after)


def unset_limits(
    database: Database, settings: Settings, target: Target, dimensions: Sequence[str]
) -> list[Change]:
    """Let the settings hold again, in all dimensions if none is named; list what was unset."""
    provider = settings.providers[target.provider]
    with database.write() as connection:
        before = _live(connection, target)
        ours = [name for model, name in before if model == target.model]
        unset = [name for name in ours if not dimensions or name in dimensions]
        for dimension in unset:
            unset_limit(
                connection, provider=target.provider, model=target.model, dimension=dimension
            )
        after = _live(connection, target)
    return _changes(provider, target, unset, before, after)


def own_ceilings(
    settings: ProviderSettings, live: LiveCeilings, dimension: str
) -> dict[str, float]:
    """Find the models and families whose own limit comes before that of the provider."""
    written = {
        name: ceiling
        for name, each in settings.models.items()
        if (ceiling := getattr(each, dimension, None)) is not None
    }
    set_live = {
        model: ceiling
        for (model, name), ceiling in live.items()
        if name == dimension and model not in (EVERY_MODEL, ACCOUNT)
    }
    return written | set_live


def _refuse_member(provider: ProviderSettings, target: Target, live: LiveCeilings) -> None:
    """Refuse a model of a family: alone it would lose the family's other limits."""
    if target.model in (EVERY_MODEL, ACCOUNT) or set("*?[") & set(target.model):
        return
    family = section_of(provider, target.model, live)
    if family != target.model:
        msg = (
            f"{target.model} shares the limits of its family {family!r}: "
            f"change those, as '{target.provider}/{family}'"
        )
        raise UsageError(msg)


def _changes(
    provider: ProviderSettings,
    target: Target,
    dimensions: Sequence[str] | Mapping[str, float],
    before: LiveCeilings,
    after: LiveCeilings,
) -> list[Change]:
    old, new = (_holding(provider, target.model, live) for live in (before, after))
    return [Change(name, old.get(name), new.get(name)) for name in dimensions]


def _holding(provider: ProviderSettings, model: str, live: LiveCeilings) -> Mapping[str, float]:
    if model == ACCOUNT:
        return limits_of(provider, EVERY_MODEL, live).shared
    held = limits_of(provider, model, live)
    return {**held.limits, CONCURRENCY: held.concurrency}


def _live(connection: Connection, target: Target) -> LiveCeilings:
    return live_ceilings(read_limits(connection), target.provider)


def _amount(dimension: str, text: str) -> float:
    try:
        parsed = parse_amount(text)
    except ValueError:  # two points
        parsed = text
    if not isinstance(parsed, float):
        msg = f"{dimension}={text} is no number: write it as 500, 200k, 1.5M or 30,000"
        raise UsageError(msg)
    return parsed
