"""What a case measured, what was demanded of it, and whether that was met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Demand:
    """A bound of one figure."""

    bound: float
    at_most: bool

    def is_met_by(self, figure: float) -> bool:
        """Tell whether *figure* is within the bound."""
        return figure <= self.bound if self.at_most else figure >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.at_most else '>='} {round(self.bound, 4):g}"


def at_most(bound: float) -> Demand:
    """Demand no more than *bound*."""
    return Demand(bound, at_most=True)


def at_least(bound: float) -> Demand:
    """Demand no less than *bound*."""
    return Demand(bound, at_most=False)


def judged(
    case: str, figures: Mapping[str, Any], demands: Mapping[str, Demand], **more: Any
) -> dict[str, Any]:
    """Make the object that is printed: *figures*, the demands by the names of figures, *more*."""
    missed = [name for name, demand in demands.items() if not demand.is_met_by(figures[name])]
    return {
        "case": case,
        **{name: rounded(figure) for name, figure in figures.items()},
        "demand": {name: str(demand) for name, demand in demands.items()},
        "ok": not missed,
        "missed": missed,
        **more,
    }


def rounded(figure: Any) -> Any:
    """Round a float to four digits behind the point; leave all else."""
    return round(figure, 4) if isinstance(figure, float) else figure


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of *ordered* that *share* of them do not exceed; 0 for none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
