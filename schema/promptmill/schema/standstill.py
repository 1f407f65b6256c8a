"""Judge for how long beats have stood still, on the observer's own monotonic clock.

Only time between two successful readings counts, and of one gap no more than was to be expected:
while SQL was away, or this process was suspended, nobody's beat could be seen to move.
"""

from collections.abc import Mapping


class Standstill:
    """Watches numbers that their owners raise. Times are in seconds."""

    def __init__(self, *, longest_gap_s: float) -> None:
        self._longest_gap_s = longest_gap_s
        self._read_at: float | None = None
        self._beats: dict[str, int] = {}
        self._still: dict[str, float] = {}

    def observe(self, now: float, beats: Mapping[str, int]) -> None:
        """Take in a reading of all beats; owners that are not in it are forgotten."""
        gap = 0.0 if self._read_at is None else min(now - self._read_at, self._longest_gap_s)
        self._still = {
            owner: self._still[owner] + gap if self._beats.get(owner) == beat else 0.0
            for owner, beat in beats.items()
        }
        self._beats = dict(beats)
        self._read_at = now

    def missed(self) -> None:
        """Take in that a reading failed: the time since the last one does not count."""
        self._read_at = None

    def still_s(self, owner: str) -> float:
        """Tell for how long the beat of *owner* has stood still."""
        return self._still.get(owner, 0.0)
