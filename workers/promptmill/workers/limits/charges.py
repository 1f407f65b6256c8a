"""What a call costs in each dimension, as each provider counts it.

Sources: OpenAI's guide "Rate limits" (tokens a minute count "the maximum of max_tokens and the
estimated number of tokens based on the character count of your request", up front); Anthropic's
page "Rate limits" (input without cache reads; output as it is produced, max_tokens does not
count); Gemini's page "Rate limits" (tokens a minute are input tokens).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.limit import Dimension, Estimate

DEFAULT_OUTPUT_TOKENS = 256
"""Expected answer where the request names no maximum; the learned ratio corrects it."""

_COUNTED = {
    ProviderKind.OPENAI: (Dimension.RPM, Dimension.TPM, Dimension.RPD, Dimension.TPD),
    ProviderKind.ANTHROPIC: (Dimension.RPM, Dimension.ITPM, Dimension.OTPM, Dimension.TPM),
    ProviderKind.GEMINI: (Dimension.RPM, Dimension.TPM, Dimension.RPD),
}
_REQUESTS = frozenset({Dimension.RPM, Dimension.RPD})


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call is expected to cost in one dimension."""

    cost: int
    """The estimate; the limiter scales it by what it has learned, except for requests."""
    least: int
    """What it costs for certain. More than the limit: the call can never be made."""


def dimensions(kind: ProviderKind, configured: Iterable[Dimension]) -> tuple[Dimension, ...]:
    """List what is counted for a provider: what its headers may tell, and what is configured."""
    return tuple(dict.fromkeys((*_COUNTED[kind], *configured)))


def is_learned(dimension: Dimension) -> bool:
    """Tell whether estimates of *dimension* can be off. A request is always one request."""
    return dimension not in _REQUESTS


def day_offset_s(kind: ProviderKind) -> int:
    """Seconds after midnight UTC at which a day's limit is set anew (Gemini: midnight Pacific)."""
    return 8 * 3600 if kind is ProviderKind.GEMINI else 0


def expected(kind: ProviderKind, dimension: Dimension, estimate: Estimate) -> Charge:
    """Charge a call before it is made."""
    given, allowed = estimate.input_tokens, estimate.max_output_tokens
    answer = DEFAULT_OUTPUT_TOKENS if allowed is None else allowed
    match dimension:
        case Dimension.RPM | Dimension.RPD:
            return Charge(1, 1)
        case Dimension.ITPM:
            return Charge(given, given)
        case Dimension.OTPM:
            return Charge(answer, 0)
        case Dimension.TPM | Dimension.TPD:
            return _tokens_expected(kind, given, allowed)
    assert_never(dimension)


def settled(kind: ProviderKind, dimension: Dimension, estimate: Estimate, usage: Usage) -> int:
    """Charge a call by what it really used."""
    uncached = usage.input_tokens
    if kind is ProviderKind.ANTHROPIC:
        uncached -= usage.cache_read_tokens
    match dimension:
        case Dimension.RPM | Dimension.RPD:
            return 1
        case Dimension.ITPM:
            return uncached
        case Dimension.OTPM:
            return usage.output_tokens
        case Dimension.TPM | Dimension.TPD:
            if kind is ProviderKind.GEMINI:
                return uncached
            total = uncached + usage.output_tokens
            if kind is ProviderKind.OPENAI:
                return max(estimate.max_output_tokens or 0, total)
            return total
    assert_never(dimension)


def _tokens_expected(kind: ProviderKind, given: int, allowed: int | None) -> Charge:
    if kind is ProviderKind.GEMINI:
        return Charge(given, given)
    likely = DEFAULT_OUTPUT_TOKENS if allowed is None else min(allowed, DEFAULT_OUTPUT_TOKENS)
    if kind is ProviderKind.OPENAI and allowed is not None:
        return Charge(max(allowed, given + likely), max(allowed, given))
    answer = likely if allowed is None else allowed
    return Charge(given + answer, given)
