"""Percentiles out of a histogram whose bins are two significant digits wide."""

from collections.abc import Iterable, Mapping
from math import ceil

import msgspec

Histogram = Mapping[int, int]
"""milliseconds, rounded down to two significant digits, to answers"""


class Percentiles(msgspec.Struct, frozen=True):
    """How long answers took, in milliseconds, to two significant digits."""

    answers: int
    p50_ms: int
    p90_ms: int
    p95_ms: int
    p99_ms: int
    max_ms: int


def percentiles(histogram: Histogram) -> Percentiles | None:
    """Read the percentiles of *histogram*; None where nothing was answered."""
    answers = sum(histogram.values())
    if not answers:
        return None
    marks = (0.5, 0.9, 0.95, 0.99, 1.0)
    found = [_at(histogram, ceil(mark * answers)) for mark in marks]
    return Percentiles(answers, *found)


def merged(histograms: Iterable[Histogram]) -> dict[int, int]:
    """Add histograms up."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for latency_ms, answers in histogram.items():
            total[latency_ms] = total.get(latency_ms, 0) + answers
    return total


def _at(histogram: Histogram, rank: int) -> int:
    """Return the latency of the answer that has *rank*, counted from 1."""
    seen = 0
    for latency_ms in sorted(histogram):
        seen += histogram[latency_ms]
        if seen >= rank:
            return latency_ms
    return max(histogram)
