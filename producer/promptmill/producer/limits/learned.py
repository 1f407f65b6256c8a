"""What the limiter learned of a model's calls, as people read it."""

from collections.abc import Sequence

import msgspec

from promptmill.schema.limit_state import LEARNED

_ENOUGH = 20.0
"""calls before anything is advised"""
_FAR = 8.0
"""max_tokens so many times the answers is worth a word, as in the worker's warning"""
_WORTH = 1.2
"""so many times as many calls, or it is not"""


class LearnedModel(msgspec.Struct, frozen=True):
    """Means over the last fifty or so calls of a model, the latest counting most."""

    calls: float
    """how many they are worth: 50 at most"""
    input_ratio: float
    """true input tokens for an estimated one"""
    input_tokens: float
    """of a usual call"""
    answer_tokens: float
    """of a usual answer"""
    max_tokens: float | None
    """that a usual call allows; None where calls name no maximum"""
    allowed_for_used: float
    """tokens of answer that are allowed, for one that is used; 0 where calls name no maximum"""

    @property
    def calls_lost(self) -> float | None:
        """How many times as many calls would fit if max_tokens were not charged; None: no matter.

        Where tokens are charged by max_tokens, and calls allow far more than answers take.
        """
        if self.calls < _ENOUGH or self.max_tokens is None or self.allowed_for_used < _FAR:
            return None
        times = self.max_tokens / (self.input_tokens + self.answer_tokens)
        return times if times >= _WORTH else None


def learned_model(sums: Sequence[float]) -> LearnedModel | None:
    """Read the sums that the limiter keeps; None where it learned nothing."""
    each = dict(zip(LEARNED, sums, strict=True))
    calls, estimated = each["calls"], each["input_estimated"]
    if not calls:
        return None
    used = each["allowed_used"]
    return LearnedModel(
        calls=calls,
        input_ratio=each["input_used"] / estimated if estimated else 1.0,
        input_tokens=each["input_used"] / calls,
        answer_tokens=each["output_used"] / calls,
        max_tokens=each["allowed"] / calls if each["allowed"] else None,
        allowed_for_used=each["allowed"] / used if used else 0.0,
    )


def advise(learned: LearnedModel) -> str | None:
    """Say in a sentence what to do about max_tokens; None where it is well."""
    times = learned.calls_lost
    if times is None or learned.max_tokens is None:
        return None
    return (
        f"max_tokens of {learned.max_tokens:,.0f} is charged, though an answer takes"
        f" {learned.answer_tokens:,.0f}: with less, up to {times:.2g} times as many calls fit"
        " (`promptmill submit … -o max_tokens N`, N above the longest answer you need)"
    )
