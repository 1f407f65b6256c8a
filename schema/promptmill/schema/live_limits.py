"""Limits that a person changes while work goes on: they replace those of the settings."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Final

import msgspec

from promptmill.schema.connection import Connection
from promptmill.schema.errors import UsageError
from promptmill.schema.instants import known_instant
from promptmill.schema.provider_settings import Ceilings
from promptmill.schema.statement import Statement

EVERY_MODEL: Final = ""
"""In place of a model: each model of the provider that has no limit of its own."""
ACCOUNT: Final = "*"
"""In place of a model: all models of the key together."""
CONCURRENCY: Final = "concurrency"
"""Calls in flight over all models of the key; as in the settings, it is the provider's."""

LiveCeilings = Mapping[tuple[str, str], float]
"""The live limits of one provider: (model, dimension) -> ceiling."""
NONE_LIVE: Final[LiveCeilings] = MappingProxyType({})


class LiveLimit(msgspec.Struct, frozen=True):
    """A limit that was set live."""

    provider: str
    model: str
    """A name, a pattern, EVERY_MODEL or ACCOUNT."""
    dimension: str
    """rpm, tpm, itpm, otpm, rpd, tpd, or concurrency"""
    ceiling: float
    set_at: datetime


_set = Statement(
    """
insert into limits (provider, model, dimension, ceiling, set_at)
values (:provider, :model, :dimension, :ceiling, {now})
on conflict (provider, model, dimension) do update set ceiling = excluded.ceiling,
  set_at = excluded.set_at"""
)
_unset = Statement(
    "delete from limits where provider = :provider and model = :model"
    " and (:dimension = '' or dimension = :dimension)"
)
_all = Statement(
    "select provider, model, dimension, ceiling, set_at from limits"
    " order by provider, model, dimension"
)


def set_limit(
    connection: Connection, *, provider: str, model: str, dimension: str, ceiling: float
) -> None:
    """Set a limit for all workers, in place of what the settings or an earlier one say.

    Raises UsageError for a dimension or a ceiling that is none.
    """
    _check(model, dimension, ceiling)
    _set.run(
        connection, provider=provider, model=model, dimension=dimension, ceiling=float(ceiling)
    )


def unset_limit(
    connection: Connection, *, provider: str, model: str, dimension: str | None = None
) -> int:
    """Let the settings hold again, in one dimension or in all; return how many were unset."""
    return _unset.run(connection, provider=provider, model=model, dimension=dimension or "")


def read_limits(connection: Connection) -> tuple[LiveLimit, ...]:
    """Read all live limits, ordered by provider, model and dimension."""
    return tuple(
        LiveLimit(provider, model, dimension, ceiling, known_instant(set_at))
        for provider, model, dimension, ceiling, set_at in _all.fetch(connection)
    )


def live_ceilings(limits: Iterable[LiveLimit], provider: str) -> LiveCeilings:
    """Pick those of one provider, as `ceilings.limits_of` takes them; they do not change."""
    return MappingProxyType(
        {
            (limit.model, limit.dimension): limit.ceiling
            for limit in limits
            if limit.provider == provider
        }
    )


def _check(model: str, dimension: str, ceiling: float) -> None:
    known = (*Ceilings.model_fields, CONCURRENCY)
    if dimension not in known:
        msg = f"there is no limit {dimension!r}: it is one of {', '.join(known)}"
        raise UsageError(msg)
    if dimension == CONCURRENCY and model != EVERY_MODEL:
        msg = "concurrency is counted over all models of a key: set it without a model"
        raise UsageError(msg)
    if not (isfinite(ceiling) and ceiling > 0):
        msg = f"a limit is a number above 0, not {ceiling:g}; to stop calls, pause the provider"
        raise UsageError(msg)
    if dimension == CONCURRENCY and not float(ceiling).is_integer():
        msg = f"concurrency is a whole number of calls, at least 1, not {ceiling:g}"
        raise UsageError(msg)
