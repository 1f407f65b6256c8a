"""Messages that were dropped: told at once, then by their number, each ten seconds at most."""

from collections.abc import Callable
from time import monotonic

import structlog

_log = structlog.get_logger(__name__)
_TELL_EACH_S = 10.0


class Dropped:
    """Counts them. What they held is told nowhere: it may be anything."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._untold: list[str] = []
        self._told_at = clock() - _TELL_EACH_S

    def add(self, error: Exception) -> None:
        """Take in one that failed with *error*."""
        self._untold.append(type(error).__name__)
        self.tell()

    def tell(self) -> None:
        """Log what is not told yet, if it is time. Call it now and then."""
        if self._untold and self._clock() - self._told_at >= _TELL_EACH_S:
            errors = ", ".join(sorted(set(self._untold)))
            _log.warning("messages dropped", number=len(self._untold), errors=errors)
            self._untold, self._told_at = [], self._clock()
