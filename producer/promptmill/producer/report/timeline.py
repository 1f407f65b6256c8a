"""The axis of time: how wide its bins are, where its ticks stand, and what moved fastest on it."""

from collections.abc import Sequence
from datetime import datetime
from math import ceil

from promptmill.schema.course import Bins

MOST_BINS = 72
_MOST_TICKS = 9
_DAY_S = 86_400
_WIDTHS_S = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60 * n for n in (1, 2, 5, 10, 15, 30)),
    *(3600 * n for n in (1, 2, 3, 6, 12)),
    *(_DAY_S * n for n in (1, 2, 7, 14, 28)),
)


def choose_bins(first: datetime, last: datetime, now: datetime) -> tuple[Bins, int]:
    """Cut the time from *first* to *last* into bins of a round width; return also their number.

    They begin at a round instant where they are a minute wide or more. *now* bounds a *last* of a
    clock that is ahead.
    """
    span_s = max(0.0, (min(last, max(now, first)) - first).total_seconds())
    width_s = next((each for each in _WIDTHS_S if span_s / each < MOST_BINS - 1), None)
    if width_s is None:
        width_s = ceil(span_s / (MOST_BINS - 1) / _DAY_S) * _DAY_S
    origin = first
    if width_s >= 60:
        since = first.timestamp() % width_s
        origin = datetime.fromtimestamp(first.timestamp() - since, tz=first.tzinfo)
    count = int((span_s + (first - origin).total_seconds()) // width_s) + 1
    return Bins(origin, width_s), count


def time_ticks(span_s: float) -> list[tuple[float, str]]:
    """List round times of an axis of *span_s* seconds: (seconds, label)."""
    step = next((each for each in _WIDTHS_S if span_s / each <= _MOST_TICKS), None)
    if step is None:
        step = ceil(span_s / _MOST_TICKS / _DAY_S) * _DAY_S
    count = int(span_s / step + 1e-9) + 1
    return [(n * step, elapsed(n * step)) for n in range(count)]


def elapsed(seconds: float) -> str:
    """Name a round time since the beginning: 0, 30s, 5m, 1h30m, 2d."""
    if not seconds:
        return "0"
    if seconds < 60:
        return f"{seconds:g}s"
    minutes, hours, days = round(seconds / 60), seconds / 3600, seconds / _DAY_S
    if seconds < 7200 and seconds % 60:
        return f"{int(seconds // 60)}m{seconds % 60:02.0f}s"
    if minutes < 60:
        return f"{minutes}m"
    if days >= 2 and days.is_integer():
        return f"{days:.0f}d"
    return f"{hours:.0f}h" if hours.is_integer() else f"{minutes // 60}h{minutes % 60:02d}m"


def busiest_minute(counts: Sequence[int], width_s: float) -> float:
    """Find the most in a minute: of any that begins with a bin, or the mean of a longer bin."""
    if width_s >= 60:
        return max(counts, default=0) * 60 / width_s
    bins = round(60 / width_s)
    return max((sum(counts[at : at + bins]) for at in range(len(counts))), default=0)
