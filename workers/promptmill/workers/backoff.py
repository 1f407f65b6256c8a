"""How long to wait before another try: a pure function of what happened and of a dice."""

from random import Random
from typing import Final

_MOST_DOUBLINGS: Final = 60


def next_delay(
    attempt: int, *, retry_after_s: float | None, base_s: float, cap_s: float, rng: Random
) -> float:
    """Return seconds until try *attempt* + 1; the first try is 1.

    Full jitter under min(cap, base * 2^(attempt - 1)), after Retry-After where one was told. The
    jitter comes on top of it, since all who were told the same would else come back together.
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)
    """
    doublings = min(max(attempt - 1, 0), _MOST_DOUBLINGS)
    ceiling = min(cap_s, base_s * 2**doublings)
    return (retry_after_s or 0.0) + rng.uniform(0.0, ceiling)
