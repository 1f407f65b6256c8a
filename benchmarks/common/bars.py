"""Draw what a job costs, ours beside theirs, as a small SVG, from what a benchmark printed.

    ./run bench path grid > grid.jsonl
    python benchmarks/common/bars.py grid.jsonl docs/worker-grid.svg

It draws each object of `path` and `peers` that has the CPU of a job of both: medians as bars, and
with more than one round the least and the most as a line through their ends.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

_WIDTH, _LEFT, _RIGHT = 720, 190, 70
_ROW, _BAR, _TOP = 34, 12, 26
_OTHERS = {"bare_cpu_us": "a bare loop of the SDK", "peer_cpu_us": "the other"}
_STYLE = """<style>
text { font: 12px sans-serif; fill: #24292f } .small { font-size: 11px; fill: #57606a }
.ours { fill: #2f6fb5 } .theirs { fill: #b9bec5 } .spread { stroke: #24292f; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 } .theirs { fill: #6e7681 }
.ours { fill: #58a6ff } .spread { stroke: #e6edf3 } }
</style>"""


@dataclass(frozen=True, slots=True)
class Side:
    """The CPU of a job, in microseconds."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Row:
    """What stands beside each other."""

    label: str
    ours: Side
    theirs: Side
    whose: str
    """who the other is"""


def rows_of(lines: Iterable[str]) -> list[Row]:
    """Read what was measured; objects without two sides are passed over."""
    rows = []
    for line in lines:
        measured = json.loads(line)
        theirs = next((name for name in _OTHERS if name in measured), None)
        if theirs is not None:
            sides = _side(measured, "cpu_us"), _side(measured, theirs)
            rows.append(Row(_label(measured), *sides, _OTHERS[theirs]))
    return rows


def draw(rows: Sequence[Row]) -> str:
    """Write the SVG of some *rows*."""
    scale = (_WIDTH - _LEFT - _RIGHT) / max(max(row.ours.most, row.theirs.most) for row in rows)
    height = _TOP + len(rows) * _ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">{_STYLE}',
        _legend("ours", _LEFT, "promptmill, all in"),
        _legend("theirs", _LEFT + 130, f"{rows[0].whose}: CPU of a job, µs"),
    ]
    for number, row in enumerate(rows):
        parts += _drawn(row, _TOP + number * _ROW, scale)
    return "\n".join([*parts, "</svg>", ""])


def _legend(style: str, x: float, words: str) -> str:
    return (
        f'<rect class="{style}" x="{x}" y="5" width="10" height="10"/>'
        f'<text class="small" x="{x + 14}" y="14">{words}</text>'
    )


def _drawn(row: Row, top: float, scale: float) -> Iterator[str]:
    yield f'<text x="{_LEFT - 8}" y="{top + 16}" text-anchor="end">{escape(row.label)}</text>'
    for side, style, y in ((row.ours, "ours", top), (row.theirs, "theirs", top + _BAR)):
        width, middle = side.median * scale, y + _BAR / 2
        yield f'<rect class="{style}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 1}"/>'
        if side.most > side.least:
            yield (
                f'<line class="spread" x1="{_LEFT + side.least * scale:.1f}" y1="{middle}"'
                f' x2="{_LEFT + side.most * scale:.1f}" y2="{middle}"/>'
            )
        end = _LEFT + max(width, side.most * scale) + 5
        yield f'<text class="small" x="{end:.1f}" y="{y + 10}">{side.median:,.0f}</text>'


def _label(measured: Mapping[str, Any]) -> str:
    if "latency_s" in measured:
        return f"{measured['in_flight']:,} in flight at {measured['latency_s']:g} s"
    return str(measured["case"])


def _side(measured: Mapping[str, Any], name: str) -> Side:
    return Side(measured[name], measured[f"{name}_min"], measured[f"{name}_max"])


if __name__ == "__main__":
    figures, picture = map(Path, sys.argv[1:])
    with figures.open() as printed:
        found = rows_of(printed)
    if not found:
        sys.exit(f"{figures}: nothing to draw: give what `path` or `peers` printed")
    picture.write_text(draw(found), encoding="utf-8")
