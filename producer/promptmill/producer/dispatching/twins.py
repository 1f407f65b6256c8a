"""End the twins of jobs that have ended, or have one of them asked, some at a time."""

from collections.abc import Callable

from promptmill.schema.database import Database
from promptmill.schema.moves.twins import end_twins, look_at_twins, promote_twins

_LOOK = 10_000
"""twins that are looked at in a turn: 50 ms on SQLite where they all wait"""
_CHUNK = 1000
_INTERVAL_S = 1.0


class TwinEnder:
    """Goes round over all waiting twins, from turn to turn. For one thread."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        self._at, self._after = clock(), 0

    def turn(self) -> int:
        """Go on with what can go on among the next twins, if it is time; return how many ended."""
        if self._clock() < self._at:
            return 0
        with self._database.read() as connection:
            seen = look_at_twins(connection, after=self._after, most=_LOOK)
        self._after = seen.last or 0
        if seen.last is None:
            self._at = self._clock() + _INTERVAL_S
        ended = 0
        for start in range(0, len(seen.ended), _CHUNK):
            with self._database.write() as connection:
                ended += end_twins(connection, seen.ended[start : start + _CHUNK])
        if seen.left:
            with self._database.write() as connection:
                promote_twins(connection, seen.left)
        return ended
