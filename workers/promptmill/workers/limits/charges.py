"""What a call costs in each dimension, as each provider counts it.

Sources: OpenAI's guide "Rate limits" (tokens a minute count "the maximum of max_tokens and the
estimated number of tokens based on the character count of your request", up front); Anthropic's
page "Rate limits" (input without cache reads; output as it is produced, max_tokens does not
count); Gemini's page "Rate limits" (tokens a minute are input tokens).
"""

from typing import assert_never

import msgspec

from promptmill.schema.charging import COUNTED
from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.learned import Learned
from promptmill.workers.limits.limit import Charging, Dimension, Estimate

_CACHED_INPUT = {
    ProviderKind.OPENAI: "counts",
    ProviderKind.ANTHROPIC: "free",
    ProviderKind.GEMINI: "counts",
}
_SURE_INPUT = {ProviderKind.OPENAI: 1.0, ProviderKind.ANTHROPIC: 0.5, ProviderKind.GEMINI: 0.5}
"""Share of the input estimate that it takes at least: only OpenAI's tokens are counted exactly."""


class Charge(msgspec.Struct, frozen=True, gc=False):
    """What a call is expected to cost in one dimension."""

    cost: int
    least: int
    """What it costs for certain. More than the limit: the call can never be made."""


class Charges:
    """How one provider counts."""

    def __init__(self, kind: ProviderKind, charging: Charging | None = None) -> None:
        charging = charging or Charging()
        self._tokens = charging.tokens or COUNTED[kind]
        self._cached_is_free = (charging.cached_input or _CACHED_INPUT[kind]) == "free"
        self._sure = _SURE_INPUT[kind]

    @property
    def by_max_tokens(self) -> bool:
        """Whether what a request allows is charged, used or not."""
        return self._tokens == "max_tokens"

    def expected(self, estimate: Estimate, learned: Learned) -> tuple[Charge, ...]:
        """Charge a call before it is made, in each dimension."""
        given = learned.expect_input(estimate)
        answer = learned.expect_output(estimate)
        sure = int(estimate.input_tokens * self._sure)
        one, tokens = Charge(1, 1), self._tokens_expected(estimate, given, answer, sure)
        return (one, tokens, Charge(given, sure), Charge(answer, 0), one, tokens)

    def settled(self, estimate: Estimate, usage: Usage) -> tuple[int, ...]:
        """Charge a call by what it really used, in each dimension."""
        given = self.input_of(usage)
        match self._tokens:
            case "max_tokens":
                tokens = max(estimate.max_output_tokens or 0, given + usage.output_tokens)
            case "usage":
                tokens = given + usage.output_tokens
            case _:
                tokens = given
        return (1, tokens, given, usage.output_tokens, 1, tokens)

    def input_of(self, usage: Usage) -> int:
        """Count the input that is charged."""
        free = usage.cache_read_tokens if self._cached_is_free else 0
        return max(0, usage.input_tokens - free)

    def tokens_of(self, input_tokens: int, output_tokens: int) -> int:
        """Count the tokens of calls of which no more is known than their sums."""
        return input_tokens if self._tokens == "input" else input_tokens + output_tokens

    def _tokens_expected(self, estimate: Estimate, given: int, answer: int, sure: int) -> Charge:
        match self._tokens:
            case "max_tokens":
                allowed = estimate.max_output_tokens or 0
                return Charge(max(allowed, given + answer), max(allowed, sure))
            case "usage":
                return Charge(given + answer, sure)
            case _:
                return Charge(given, sure)


def counts(dimension: Dimension, kind: ProviderKind) -> bool:
    """Tell whether a provider's headers, where it tells limits, may set *dimension*."""
    match kind:
        case ProviderKind.OPENAI | ProviderKind.GEMINI:
            return dimension not in {Dimension.ITPM, Dimension.OTPM}
        case ProviderKind.ANTHROPIC:
            return dimension not in {Dimension.RPD, Dimension.TPD}
    assert_never(kind)
