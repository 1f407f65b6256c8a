"""A plot as values: where ticks, areas, bars and words stand. The template writes it as SVG.

Lengths are in units of the plot's view box: pixels at its natural size. y grows downwards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Path:
    """A line or an area, by SVG's path commands."""

    d: str
    style: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text at a place."""

    x: float
    y: float
    text: str
    style: str


@dataclass(frozen=True, slots=True)
class Spot:
    """A part of the plot that tells its figures when it is pointed at."""

    d: str
    tip: str


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot."""

    label: str
    """what it shows, for who cannot see it"""
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    """edges of the frame in which it is drawn"""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    paths: tuple[Path, ...]
    words: tuple[Words, ...] = ()
    spots: tuple[Spot, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """The place in which a plot is drawn, and its scales, which begin at 0."""

    width: float
    height: float
    x_most: float
    y_most: float
    left: float = 46.0
    margin_right: float = 12.0
    top: float = 14.0
    margin_bottom: float = 24.0

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.width - self.margin_right

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.height - self.margin_bottom

    def x(self, value: float) -> float:
        """Place *value* on the horizontal scale; what lies beyond its end is put at its end."""
        return self.left + min(1.0, value / self.x_most) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Place *value* on the vertical scale."""
        return self.bottom - min(1.0, value / self.y_most) * (self.bottom - self.top)

    def steps(self, lower: Sequence[float], upper: Sequence[float], width: float) -> str:
        """Draw an area between two rows of steps, each *width* wide."""
        there = self._stairs(upper, width)
        back = list(reversed(self._stairs(lower, width)))
        return f"M{_joined(there)}L{_joined(back)}Z"

    def outline(self, values: Sequence[float], width: float) -> str:
        """Draw the upper edge of a row of steps."""
        return f"M{_joined(self._stairs(values, width))}"

    def curve(self, values: Sequence[float], width: float) -> str:
        """Draw a line through points that are *width* apart from 0 on."""
        points = [(self.x(n * width), self.y(value)) for n, value in enumerate(values)]
        return f"M{_joined(points)}"

    def between(self, lower: Sequence[float], upper: Sequence[float], width: float) -> str:
        """Draw an area between two lines, whose points are *width* apart from 0 on."""
        there = [(self.x(n * width), self.y(value)) for n, value in enumerate(upper)]
        back = [(self.x(n * width), self.y(value)) for n, value in enumerate(lower)]
        return f"M{_joined(there)}L{_joined(reversed(back))}Z"

    def level(self, value: float) -> str:
        """Draw a line across at *value*."""
        return f"M{self.left:.1f} {self.y(value):.1f}H{self.right:.1f}"

    def bars(self, values: Sequence[float], floors: Sequence[float], width: float) -> str:
        """Draw a bar for each value on its floor, all as one path; those of 0 are left out."""
        parts = []
        for n, (value, floor_) in enumerate(zip(values, floors, strict=True)):
            if value:
                left, right = self.x(n * width), self.x((n + 1) * width)
                gap = min(1.0, (right - left) * 0.15)
                top, bottom = self.y(floor_ + value), self.y(floor_)
                top = min(top, bottom - 0.8)  # or one call beside thousands is not seen
                parts.append(
                    f"M{left:.1f} {bottom:.1f}V{top:.1f}H{max(left + 0.5, right - gap):.1f}"
                    f"V{bottom:.1f}Z"
                )
        return "".join(parts)

    def spots(self, tips: Iterable[str], width: float) -> tuple[Spot, ...]:
        """Cover the frame with a spot for each bin; one without a tip is left out."""
        return tuple(
            Spot(
                f"M{self.x(n * width):.1f} {self.top:.0f}V{self.bottom:.0f}"
                f"H{self.x((n + 1) * width):.1f}V{self.top:.0f}Z",
                tip,
            )
            for n, tip in enumerate(tips)
            if tip
        )

    def _stairs(self, values: Sequence[float], width: float) -> list[tuple[float, float]]:
        points: list[tuple[float, float]] = []
        for n, value in enumerate(values):
            y = self.y(value)
            points += [(self.x(n * width), y), (self.x((n + 1) * width), y)]
        return points


def round_ticks(most: float, *, about: int = 4, whole: bool = True) -> list[float]:
    """List round numbers from 0 up to the first at or above *most*."""
    raw = max(most, 1e-9) / about
    power = 10 ** floor(log10(raw))
    step = next(n * power for n in (1, 2, 2.5, 5, 10) if n * power >= raw * 0.999)
    if whole:
        step = max(1.0, step if step >= 10 or float(step).is_integer() else round(step + 0.5))
    ticks = [0.0]
    while ticks[-1] < most * 0.999:
        ticks.append(ticks[-1] + step)
    return ticks


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
