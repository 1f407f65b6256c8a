"""Limits, and what a booking answers: values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import msgspec


class Dimension(StrEnum):
    """What a published ceiling counts. Their order is that of all lists by dimension."""

    RPM = "rpm"
    TPM = "tpm"
    ITPM = "itpm"
    OTPM = "otpm"
    RPD = "rpd"
    TPD = "tpd"

    @property
    def window_s(self) -> int:
        """The window the ceiling is published for: a minute or a day."""
        return 86_400 if self.value.endswith("d") else 60


_DAYS = frozenset(each for each in Dimension if each.window_s == 86_400)


@dataclass(frozen=True, slots=True)
class Charging:
    """How a provider counts tokens, where that differs from what its kind does."""

    tokens: Literal["max_tokens", "usage", "input"] | None = None
    """What tokens a minute are: the larger of max_tokens and usage, usage alone, or input alone."""
    cached_input: Literal["counts", "free"] | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a set of limits holds: one account (key) of one provider, and one model of it."""

    provider: str
    model: str
    account: str
    """The key's fingerprint."""
    limits: tuple[tuple[Dimension, float], ...]
    """Ceilings of the model; a header may lower them."""
    concurrency: int
    """Calls in flight over all workers."""
    shared: tuple[tuple[Dimension, float], ...] = ()
    """Ceilings of the whole account, over all its models."""
    pool: str = ""
    """Name of the models that share `limits`; empty: this model alone."""
    burst_s: float = 0.0
    """What the provider's own bucket is told to hold, in seconds of the limit; 0: not told."""
    charging: Charging = Charging()
    day_starts: str = "UTC"
    """Time zone at whose midnight a day's limit is set anew."""

    @property
    def shared_by(self) -> str:
        """Name of what has `limits`: the pool, or the model."""
        return self.pool or self.model


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call is expected to use, before it is made."""

    input_tokens: int
    max_output_tokens: int | None
    """What the request allows, or None where it names no maximum."""


@dataclass(frozen=True, slots=True)
class Example:
    """A call that was answered before: what the limiter's memory is rebuilt from."""

    estimate: Estimate
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Seed:
    """What a store that knows nothing of a scope is told first."""

    used_today: Mapping[Dimension, float] = field(default_factory=dict)
    """Of the model's (or its pool's) limits by the day."""
    shared_today: Mapping[Dimension, float] = field(default_factory=dict)
    """Of the account's."""
    examples: tuple[Example, ...] = ()


class Booked(msgspec.Struct, frozen=True, gc=False):
    """A reserved start. Send at `start`, after `confirm`; then `settle`, or `cancel` if unused."""

    booking_id: str
    scope: Scope
    estimate: Estimate
    costs: tuple[float, ...]
    """What was booked, by dimension; 0 where nothing is counted."""
    start: float
    """When to send, on `loop.time()`, in seconds."""
    start_us: int
    """The same on the limiter's clock."""
    plan: int
    """Number of the plan it belongs to; a penalty starts a new plan and voids this one."""
    serial: int
    """Its number among the bookings of the scope; 0: not known."""
    before_us: int
    """The start booked before it."""
    epoch: int
    """Which life of the store it was booked in."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not now: come back in `seconds`. Nothing is booked."""

    seconds: float
    reason: str
    """`pause:<why>`, or the dimension whose day is used up."""

    @property
    def for_the_day(self) -> bool:
        """Whether a day's limit is used up; `seconds` then is until it is set anew."""
        return self.reason in _DAYS


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Never: the request is larger than a limit itself."""

    dimension: Dimension
    cost: float
    limit: float
