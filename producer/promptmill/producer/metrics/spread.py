"""A histogram as Prometheus wants it, out of latencies that SQL counts to two digits."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0)


class Spread(NamedTuple):
    """How many values lie up to each bound, and their sum."""

    buckets: tuple[tuple[str, float], ...]
    """upper bound in seconds and the count up to it; the last bound is +Inf"""
    sum_s: float
    """within 5 %, as the values are known to two digits"""


def spread_of(counts: Iterable[tuple[int, int]]) -> Spread:
    """Sort (latency in ms, rounded down to two digits; count) into buckets."""
    inside = [0] * (len(BOUNDS_S) + 1)
    sum_s = 0.0
    for latency_ms, count in counts:
        middle_s = (latency_ms + _step(latency_ms) / 2) / 1000
        inside[bisect_left(BOUNDS_S, middle_s)] += count
        sum_s += count * middle_s
    bounds = (*(str(bound) for bound in BOUNDS_S), "+Inf")
    reached = 0
    buckets = []
    for bound, count in zip(bounds, inside, strict=True):
        reached += count
        buckets.append((bound, float(reached)))
    return Spread(tuple(buckets), sum_s)


def _step(latency_ms: int) -> int:
    """Tell what was rounded off at most: 1 below 100 ms, 10 below 1,000 ms, and so on."""
    return int(10 ** (len(str(latency_ms)) - 2)) if latency_ms >= 100 else 1
