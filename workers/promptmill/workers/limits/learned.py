"""What the calls of a model taught: true tokens for estimated ones, and how long answers are."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from promptmill.workers.limits.limit import Estimate, Example

UNKNOWN_ANSWER = 256
"""Tokens of answer that are expected before anything is known."""
PRIOR = 1.0
"""Calls' worth of trust in the estimate at the start."""
MEMORY = 0.98
"""Of what was learned, at each call: the last fifty count."""
LEAST, MOST = 0.02, 4.0
_FAR = 8.0
"""max_tokens this many times the usual answer is worth a warning."""
_ENOUGH = 20.0


@dataclass(frozen=True, slots=True)
class Learned:
    """Decayed sums over settled calls; shared by all workers, see lua/settle.lua."""

    calls: float = 0.0
    input_estimated: float = 0.0
    input_used: float = 0.0
    output_used: float = 0.0
    allowed: float = 0.0
    """Sum of max_tokens, over the calls that named it."""
    allowed_used: float = 0.0
    """Output of those calls."""

    @property
    def sums(self) -> tuple[float, ...]:
        """All of it, in the order of the fields."""
        return astuple(self)

    @property
    def input_ratio(self) -> float:
        """True input tokens for an estimated one."""
        if not self.input_estimated:
            return 1.0
        return min(MOST, max(LEAST, self.input_used / self.input_estimated))

    @property
    def output_ratio(self) -> float:
        """Tokens of answer for one that max_tokens allows."""
        return min(1.0, max(LEAST, self.allowed_used / self.allowed)) if self.allowed else 1.0

    @property
    def answer(self) -> float:
        """Tokens of a usual answer."""
        return self.output_used / self.calls if self.calls else UNKNOWN_ANSWER

    def expect_input(self, estimate: Estimate) -> int:
        """Expect the input tokens of a call."""
        return round(estimate.input_tokens * self.input_ratio)

    def expect_output(self, estimate: Estimate) -> int:
        """Expect the tokens of a call's answer."""
        if estimate.max_output_tokens is None:
            return max(1, round(self.answer))
        return max(1, round(estimate.max_output_tokens * self.output_ratio))

    def is_far_above(self, estimate: Estimate) -> bool:
        """Tell whether a request allows far more than answers take here."""
        allowed = estimate.max_output_tokens
        return allowed is not None and self.calls >= _ENOUGH and allowed > _FAR * self.answer

    def with_example(self, example: Example) -> "Learned":
        """Learn from one call; lua/settle.lua does the same."""
        first = self if self.calls else prior(example.estimate)
        old = [each * MEMORY for each in first.sums]
        new = lesson(example.estimate, example.input_tokens, example.output_tokens)
        return Learned(*(was + now for was, now in zip(old, new, strict=True)))


def prior(estimate: Estimate) -> Learned:
    """Begin with some trust in the first estimate."""
    allowed = estimate.max_output_tokens
    likely = UNKNOWN_ANSWER if allowed is None else allowed
    once = lesson(estimate, estimate.input_tokens, likely)
    return Learned(*(PRIOR * each for each in once))


def lesson(estimate: Estimate, input_tokens: int, output_tokens: int) -> Sequence[float]:
    """List what one call adds to each sum, in the order of the fields."""
    allowed = estimate.max_output_tokens
    return (
        1.0,
        estimate.input_tokens,
        input_tokens,
        output_tokens,
        allowed or 0,
        output_tokens if allowed else 0,
    )


def from_examples(examples: Iterable[Example]) -> Learned:
    """Learn from calls made before, the oldest first."""
    learned = Learned()
    for example in examples:
        learned = learned.with_example(example)
    return learned
