"""Decide what the answer to an attempt means for a delivery."""

from dataclasses import dataclass
from random import Random

from promptmill.schema.webhook_deliveries import DeliveryState

_GONE = 410
_MINUTE_S, _HOUR_S = 60.0, 3600.0
WAITS_S = (
    5.0,
    5 * _MINUTE_S,
    30 * _MINUTE_S,
    2 * _HOUR_S,
    5 * _HOUR_S,
    10 * _HOUR_S,
    14 * _HOUR_S,
    20 * _HOUR_S,
    24 * _HOUR_S,
)
"""After each attempt that failed, as Standard Webhooks proposes: three days in all."""
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int | None
    """None: nothing did"""
    why: str = ""
    """it did not: in words that hold nothing of the address"""

    def __str__(self) -> str:
        return self.why if self.status is None else str(self.status)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a delivery goes."""

    state: DeliveryState
    again_s: float = 0.0
    """where it is pending still"""


def judge(answer: Answer, attempts: int, *, dice: Random) -> Verdict:
    """Say what comes of the answer to attempt number *attempts*."""
    if answer.status is not None and 200 <= answer.status < 300:
        return Verdict(DeliveryState.DELIVERED)
    if answer.status == _GONE:
        return Verdict(DeliveryState.GONE)
    if attempts > len(WAITS_S):
        return Verdict(DeliveryState.FAILED)
    wait_s = WAITS_S[attempts - 1]
    return Verdict(DeliveryState.PENDING, wait_s * dice.uniform(1, 1 + _JITTER))
