"""How long to measure, and with how many."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    seconds: float | None = None
    """How long each case measures; None: as long as it needs for its demands to mean something."""

    def seconds_or(self, usual: float) -> float:
        """Return how long to measure, *usual* where nothing else is asked for."""
        return usual if self.seconds is None else self.seconds

    def warm_s(self, usual: float) -> float:
        """Return how long to run before measuring: shorter where measuring is short, too."""
        return usual if self.seconds is None else min(usual, self.seconds / 2)
