"""How much to measure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    rounds: int = 3
    """how often each of those that are compared has its turn"""
    jobs: int | None = None
    """of one run; None: as many as the figures need to mean something"""
    in_flight: int | None = None
    """this one only"""

    def jobs_or(self, usual: int) -> int:
        """Return how many jobs to do, *usual* where nothing else is asked for."""
        return usual if self.jobs is None else self.jobs

    def of(self, usual: Iterable[int]) -> list[int]:
        """Pick from *usual* the numbers in flight that are asked for."""
        return [each for each in usual if self.in_flight in {None, each}]
