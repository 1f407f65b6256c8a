"""How long a call may take: learned from what answers of its model took, never a blind maximum.

A provider that lost a request says nothing for ever, and a call of it keeps its slot until then.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers.base import Answer, Refusal

FLOOR_S: Final = 60.0
LEAST: Final = 100
"""answers before anything is concluded from them"""
_MEMORY: Final = 1000
_ANEW: Final = 25
"""answers after which the quantile is taken anew"""
_QUANTILE: Final = 0.99


class _Latencies:
    """What the last calls of a model took, in seconds."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=_MEMORY)
        self._count = 0
        self.slow_s: float | None = None
        """what 99 of 100 stay below"""

    def add(self, seconds: float) -> None:
        self._seen.append(seconds)
        self._count += 1
        if len(self._seen) >= LEAST and self._count % _ANEW == 0:
            self.slow_s = sorted(self._seen)[int(_QUANTILE * (len(self._seen) - 1))]


class Deadlines:
    """The deadlines of this process. For one thread.

    A call has *factor* times what 99 of 100 calls of its model took, at least a minute and at most
    *most_s*; twice as much with each attempt, so that a prompt that thinks for long is not cut for
    ever. With a *factor* of 0 it always has *most_s*.
    """

    def __init__(self, *, most_s: float, factor: float) -> None:
        self._most_s, self._factor = most_s, factor
        self._models: dict[tuple[str, str], _Latencies] = {}

    def of(self, provider: str, model: str, *, attempts: int) -> float:
        """Return the seconds for a call after *attempts* that counted."""
        known = self._models.get((provider, model))
        if known is None or known.slow_s is None or not self._factor:
            return self._most_s
        return min(
            self._most_s, max(FLOOR_S, self._factor * known.slow_s) * 2.0 ** min(attempts, 9)
        )

    def seed(self, provider: str, model: str, histogram: Sequence[tuple[int, int]]) -> None:
        """Begin with what answers took before this start: (milliseconds, how many), ascending."""
        share = min(1.0, _MEMORY / max(1, sum(calls for _, calls in histogram)))
        seen = self._models.setdefault((provider, model), _Latencies())
        done = 0.0
        for latency_ms, calls in histogram:
            before, done = done, done + calls * share
            for _ in range(int(done) - int(before)):
                seen.add(latency_ms / 1000)

    def observe(
        self, provider: str, model: str, reply: Answer | Refusal, *, took_s: float, given_s: float
    ) -> None:
        """Learn from a call. One that was cut counts with what it was given.

        So when more than one of a hundred are cut, deadlines grow by the factor until they suffice.
        """
        was_cut = (
            isinstance(reply, Refusal) and reply.kind is ErrorKind.UNKNOWN and took_s >= given_s
        )
        if isinstance(reply, Answer) or was_cut:
            self._models.setdefault((provider, model), _Latencies()).add(took_s)
