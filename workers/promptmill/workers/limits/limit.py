"""Limits, and what a booking answers: values only."""

from dataclasses import dataclass
from enum import StrEnum


class Dimension(StrEnum):
    """What a published ceiling counts."""

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


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a set of limits holds: one account (key) of one provider, and one model of it."""

    provider: str
    model: str
    account: str
    """The key's fingerprint."""
    limits: tuple[tuple[Dimension, float], ...]
    """Configured ceilings; a header may lower them."""
    concurrency: int
    """Calls in flight over all workers."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call is expected to use, before it is made."""

    input_tokens: int
    max_output_tokens: int | None
    """What the request allows, or None where it names no maximum."""


@dataclass(frozen=True, slots=True)
class Booked:
    """A reserved start. Send at `start`, after `confirm`; then `settle`, or `cancel` if unused."""

    booking_id: str
    scope: Scope
    costs: tuple[float, ...]
    """What was booked, by `charges.dimensions`; 0 where no limit is known."""
    start: float
    """When to send, on `loop.time()`, in seconds."""
    plan: int
    """Number of the plan it belongs to; a penalty starts a new plan and voids this one."""
    epoch: str
    """Which life of the store it was booked in."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not now: come back in `seconds`. Nothing is booked."""

    seconds: float
    reason: str
    """`pause:<why>`, or the dimension whose daily window is used up."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Never: the request is larger than a limit itself."""

    dimension: Dimension
    cost: float
    limit: float
