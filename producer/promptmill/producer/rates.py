"""How fast a batch moves: answers a second over the last while, and what is left of it."""

from collections import deque
from dataclasses import dataclass, field

_WINDOW_S = 20.0


@dataclass(slots=True)
class Rates:
    """Remembers what was done when, by name (a provider, or all)."""

    window_s: float = _WINDOW_S
    _seen: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)

    def saw(self, name: str, done: int, *, at: float) -> None:
        """Note that *done* jobs had ended at *at*, in seconds of a monotonic clock."""
        seen = self._seen.setdefault(name, deque())
        seen.append((at, done))
        while len(seen) > 2 and at - seen[0][0] > self.window_s:
            seen.popleft()

    def per_second(self, name: str) -> float:
        """Jobs a second over the window; 0 while nothing is known."""
        seen = self._seen.get(name, deque())
        if len(seen) < 2 or seen[-1][0] <= seen[0][0]:
            return 0.0
        return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])

    def left_s(self, name: str, left: int) -> float | None:
        """Seconds until *left* jobs are done at this rate; None while nothing moves."""
        rate = self.per_second(name)
        return left / rate if rate > 0 else None
