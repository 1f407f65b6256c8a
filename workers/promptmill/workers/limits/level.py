"""How a scope stands, for people and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from promptmill.workers.limits.limit import Dimension


@dataclass(frozen=True, slots=True)
class DimensionLevel:
    """One dimension of a scope that has a limit."""

    dimension: Dimension
    configured: float | None
    told: float | None
    """By the provider's headers."""
    limit: float
    """What is enforced: the smaller of both, or what is probed."""
    probing: bool
    """No limit is known, so requests a minute are tried out."""
    rate_s: float
    """What is really let through a second, after pacing and cuts; 0 for a day's limit."""
    depth: float
    level: float
    """Permits at hand now; negative is debt. For a day's limit: what is used."""
    learned: float
    """True cost / estimate."""
    resets_in_s: float
    """A day's limit: seconds until it is set anew."""


@dataclass(frozen=True, slots=True)
class Level:
    """A scope."""

    epoch: str
    plan: int
    in_flight: int
    """Booked or under way, over all workers and models of the account."""
    concurrency: int
    paused_s: float
    paused_why: str
    multiplier: float
    """1 = the whole limit; lower after a penalty, and recovering."""
    booked_ahead_s: float
    queued_s: float
    """Work of all waiters beyond the horizon, in seconds of the limit."""
    waiting: int
    """Callers in this process."""
    dimensions: tuple[DimensionLevel, ...]


def read_level(
    reply: bytes, *, configured: dict[Dimension, float], concurrency: int, waiting: int
) -> Level:
    """Turn the reply of `level` into values."""
    epoch, plan, in_flight, paused_us, why, multiplier, ahead_us, queued_us, levels = (
        msgspec.msgpack.decode(reply)
    )
    return Level(
        epoch=epoch,
        plan=plan,
        in_flight=in_flight,
        concurrency=concurrency,
        paused_s=paused_us / 1e6,
        paused_why=why,
        multiplier=multiplier,
        booked_ahead_s=ahead_us / 1e6,
        queued_s=queued_us / 1e6,
        waiting=waiting,
        dimensions=tuple(_read_dimension(each, configured) for each in levels),
    )


def _read_dimension(answer: Sequence[Any], configured: dict[Dimension, float]) -> DimensionLevel:
    name, limit, told, probing, rate_us, depth, level, learned, reset_us = answer
    dimension = Dimension(name)
    return DimensionLevel(
        dimension=dimension,
        configured=configured.get(dimension),
        told=told or None,
        limit=limit,
        probing=probing,
        rate_s=rate_us * 1e6,
        depth=depth,
        level=level,
        learned=learned,
        resets_in_s=reset_us / 1e6,
    )
