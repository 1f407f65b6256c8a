"""Plots of how long answers took, all on one log scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from promptmill.producer.figures import milliseconds, plural
from promptmill.producer.report.facts import Facts, Group
from promptmill.producer.report.plot import Frame, Path, Plot, Tick, Words
from promptmill.producer.watching.latency import Percentiles, percentiles

_ROW, _LAST = (700.0, 76.0), (700.0, 90.0)
_STEPS = (10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68)
_DECADE = (*_STEPS, 75, 82, 91)
"""the E24 series: equal steps on a log scale, each a number of two digits as the histogram's"""


@dataclass(frozen=True, slots=True)
class Spread:
    """How long the answers of one group of models took."""

    group: Group
    plot: Plot
    percentiles: Percentiles


def spreads(facts: Facts) -> list[Spread]:
    """Draw how long the answers of each group of models took, all on one scale."""
    known = [(group, percentiles(group.histogram)) for group in facts.groups]
    shown = [(group, found) for group, found in known if found]
    if not shown:
        return []
    low = min(min(each for each in group.histogram) for group, _ in shown)
    high = max(found.max_ms for _, found in shown)
    edges = _edges(max(low, 1), max(high, 1))
    return [
        Spread(group, _spread_plot(group, found, edges, is_last=group is shown[-1][0]), found)
        for group, found in shown
    ]


def _edges(low: int, high: int) -> list[int]:
    series = sorted({step * 10**n // 10 for n in range(9) for step in _DECADE})
    begin = max((edge for edge in series if edge <= low), default=1)
    end = next((edge for edge in series if edge > high), series[-1])
    edges = [edge for edge in series if begin <= edge <= end]
    while len(edges) < 8:  # one answer makes no scale
        begin = max((edge for edge in series if edge < begin), default=begin)
        end = next(edge for edge in series if edge > end)
        edges = [edge for edge in series if begin <= edge <= end]
    return edges


def _spread_plot(group: Group, found: Percentiles, edges: Sequence[int], *, is_last: bool) -> Plot:
    counts = [0] * (len(edges) - 1)
    place = 0
    for latency_ms in sorted(group.histogram):
        while place < len(counts) - 1 and latency_ms >= edges[place + 1]:
            place += 1
        counts[place] += group.histogram[latency_ms]
    # Bins are not quite equal on the log scale: their area tells, as in any histogram.
    heights = [count / log10(edges[n + 1] / edges[n]) for n, count in enumerate(counts)]
    begin, scale = log10(edges[0]), log10(edges[-1]) - log10(edges[0])
    frame = Frame(
        *(_LAST if is_last else _ROW),
        x_most=1,
        y_most=max(heights),
        left=8,
        top=20,
        margin_bottom=22 if is_last else 8,
    )

    def at(latency_ms: float) -> float:
        return frame.x((log10(max(latency_ms, edges[0])) - begin) / scale)

    bars = "".join(
        f"M{at(edges[n]):.1f} {frame.bottom:.1f}V{min(frame.y(height), frame.bottom - 0.8):.1f}"
        f"H{at(edges[n + 1]) - 0.6:.1f}V{frame.bottom:.1f}Z"
        for n, height in enumerate(heights)
        if height
    )
    marks = [("p50", found.p50_ms, "note end"), ("p95", found.p95_ms, "note")]
    paths = [Path(bars, "area answered soft")]
    paths += [
        Path(f"M{at(value):.1f} {frame.top - 6:.1f}V{frame.bottom:.1f}", "mark")
        for _, value, _ in marks
    ]
    words = tuple(
        Words(at(value) + (-4 if "end" in style else 4), frame.top - 6, text, style)
        for name, value, style in marks
        for text in [f"{name} {milliseconds(value)}"]
    )
    ticks = [
        Tick(at(step * 10**n), _tick(step * 10**n) if is_last else "")
        for n in range(8)
        for step in ((1, 2, 5) if scale < 2.6 else (1,))
        if edges[0] <= step * 10**n <= edges[-1]
    ]
    label = (
        f"Latency of {plural(found.answers, 'answer')} of {group.provider} {group.name}:"
        f" half within {milliseconds(found.p50_ms)}, 95% within {milliseconds(found.p95_ms)}"
    )
    return Plot(
        label=label,
        width=frame.width,
        height=frame.height,
        left=frame.left,
        right=frame.right,
        top=frame.top,
        bottom=frame.bottom,
        x_ticks=tuple(ticks),
        y_ticks=(Tick(frame.bottom, ""),),
        paths=tuple(paths),
        words=words,
    )


def _tick(latency_ms: int) -> str:
    return f"{latency_ms} ms" if latency_ms < 1000 else f"{latency_ms / 1000:g} s"
