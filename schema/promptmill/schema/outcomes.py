"""What an attempt came to, and what each kind of error means.

`ErrorKind` is the left column of the one error table (docs/errors.md); what each provider answers
is mapped to it in that provider's file.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ErrorKind(StrEnum):
    """Why a call gave no answer, as stored in `attempts.error_kind`."""

    RATE = "rate"
    """The provider's rate limit: shared pause and cut, no attempt used."""
    OVERLOADED = "overloaded"
    """The provider is busy (503, 529): short shared pause, no attempt used."""
    TRANSIENT = "transient"
    """Worth another try after a backoff: 408, 409, 500, 502, 504, no connection."""
    UNKNOWN = "unknown"
    """Sent, and no complete answer came: it may have been billed."""
    BAD_RESPONSE = "bad_response"
    """A complete answer that cannot be used: paid, kept raw."""
    MONEY = "money"
    """No credit left: the provider is paused, the jobs are kept."""
    KEY = "key"
    """The key is refused: the provider is paused, the jobs are kept."""
    DAILY = "daily"
    """A daily quota is used up: wait until its reset."""
    REQUEST = "request"
    """This request can never succeed: the job fails."""


class AttemptOutcome(IntEnum):
    """How an attempt ended, as stored in `attempts.outcome`."""

    OPEN = 0
    """The intent: committed before the request goes out."""
    SUCCEEDED = 1
    REFUSED = 2
    """The provider answered with an error."""
    UNKNOWN = 3
    """Sent (or perhaps sent), no complete answer."""
    NOT_SENT = 4
    """Claimed, but the request never went out."""
    LATE = 5
    """An answer that came after somebody else had claimed the job: its cost is booked."""

    @property
    def word(self) -> str:
        """The outcome as people read it in views."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. Totals are inclusive: `input_tokens` has cache reads and writes in it,
    `output_tokens` has reasoning in it.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    """of `cache_write_tokens`, what is kept for an hour, which costs more"""
    service_tier: str = ""
    """as the provider names what the call was priced by; '': it did not say"""
    image_tokens: int = 0
    """of `output_tokens`, images, which cost more"""

    @property
    def counts(self) -> tuple[int, ...]:
        """All numbers of tokens."""
        cached = (self.cache_read_tokens, self.cache_write_tokens, self.cache_write_1h_tokens)
        answered = (self.output_tokens, self.reasoning_tokens, self.image_tokens)
        return (self.input_tokens, *answered, *cached)
