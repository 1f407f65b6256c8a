"""The shapes a limit can have. Pure: the time is an argument, in seconds of one clock.

A cost that was found to fit is taken; a cost known only later (output tokens) is taken without
asking and may drive a window into debt.
"""

import math
from collections import deque
from typing import Protocol

from promptmill.simulator.config import Shape

MINUTE = 60.0
DAY = 86_400.0
# Float arithmetic may leave a bucket a hair short after exactly the wait it asked for.
_HAIR = 1e-6


class Window(Protocol):
    """One limit's memory of what was admitted."""

    limit: float

    def wait(self, now: float, cost: float) -> float:
        """Return the seconds until *cost* fits: 0 is now, infinity is never."""
        ...

    def take(self, now: float, cost: float) -> None:
        """Count *cost*, whether it fits or not."""
        ...

    def remaining(self, now: float) -> float:
        """Return what is left, at least 0."""
        ...

    def reset(self, now: float) -> float:
        """Return the seconds until the whole limit is there again."""
        ...


def window_for(shape: Shape, limit: float, *, burst_s: float | None = None) -> Window:
    """Return an unused window for *limit* a minute; a bucket holds *burst_s* seconds of it."""
    match shape:
        case Shape.TOKEN_BUCKET:
            return TokenBucket(limit, depth_s=burst_s or MINUTE)
        case Shape.FIXED_MINUTE:
            return FixedWindow(limit, period_s=MINUTE)
        case Shape.SLIDING_MINUTE:
            return SlidingWindow(limit, period_s=MINUTE)
        case Shape.PER_SECOND:
            return TokenBucket(limit, depth_s=burst_s or 1.0)


class TokenBucket:
    """A bucket *depth_s* deep, refilled continuously at *limit* a minute.

    A cost above the depth waits for a full bucket and leaves it in debt, else a per-second bucket
    could never admit a request of more than a second's tokens. A cost above *limit* never fits.
    """

    __slots__ = ("_depth", "_level", "_rate", "_updated", "limit")

    def __init__(self, limit: float, *, depth_s: float) -> None:
        self.limit = limit
        self._rate = limit / MINUTE
        self._depth = max(1.0, self._rate * depth_s)
        self._level = self._depth
        self._updated = -math.inf

    def wait(self, now: float, cost: float) -> float:
        if cost > self.limit:
            return math.inf
        missing = min(cost, self._depth) - self._refill(now)
        return missing / self._rate if missing > _HAIR else 0.0

    def take(self, now: float, cost: float) -> None:
        self._level = self._refill(now) - cost

    def remaining(self, now: float) -> float:
        return max(0.0, self._refill(now))

    def reset(self, now: float) -> float:
        return (self._depth - self._refill(now)) / self._rate

    def _refill(self, now: float) -> float:
        if now > self._updated:
            self._level = min(self._depth, self._level + (now - self._updated) * self._rate)
            self._updated = now
        return self._level


class FixedWindow:
    """A counter that starts again every *period_s*, counted from the first cost."""

    __slots__ = ("_period", "_start", "_used", "limit")

    def __init__(self, limit: float, *, period_s: float) -> None:
        self.limit = limit
        self._period = period_s
        self._start: float | None = None
        self._used = 0.0

    def wait(self, now: float, cost: float) -> float:
        if cost > self.limit:
            return math.inf
        self._roll(now)
        return 0.0 if self._used + cost <= self.limit else self.reset(now)

    def take(self, now: float, cost: float) -> None:
        if self._start is None:
            self._start = now
        self._roll(now)
        self._used += cost

    def remaining(self, now: float) -> float:
        self._roll(now)
        return max(0.0, self.limit - self._used)

    def reset(self, now: float) -> float:
        self._roll(now)
        return 0.0 if self._start is None else self._start + self._period - now

    def _roll(self, now: float) -> None:
        if self._start is not None and now >= self._start + self._period:
            self._start += (now - self._start) // self._period * self._period
            self._used = 0.0


class SlidingWindow:
    """A log of costs: never more than *limit* in any *period_s*. Memory: one entry a cost."""

    __slots__ = ("_log", "_period", "_used", "limit")

    def __init__(self, limit: float, *, period_s: float) -> None:
        self.limit = limit
        self._period = period_s
        self._log: deque[tuple[float, float]] = deque()
        self._used = 0.0

    def wait(self, now: float, cost: float) -> float:
        if cost > self.limit:
            return math.inf
        self._expire(now)
        excess = self._used + cost - self.limit
        freed_in = 0.0
        for at, taken in self._log:
            if excess <= 0:
                break
            excess -= taken
            freed_in = at + self._period - now
        return freed_in

    def take(self, now: float, cost: float) -> None:
        self._expire(now)
        if cost:
            self._log.append((now, cost))
            self._used += cost

    def remaining(self, now: float) -> float:
        self._expire(now)
        return max(0.0, self.limit - self._used)

    def reset(self, now: float) -> float:
        self._expire(now)
        return self._log[-1][0] + self._period - now if self._log else 0.0

    def _expire(self, now: float) -> None:
        log = self._log
        while log and log[0][0] + self._period <= now:
            self._used -= log.popleft()[1]
        if not log:
            self._used = 0.0
