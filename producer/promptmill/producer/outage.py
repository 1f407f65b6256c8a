"""A service that is away: told once, and asked less and less often until it is back."""

from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)
_FIRST_S = 0.25
_MOST_S = 5.0


class Outage:
    """Whether *service* is away, as seen by one process."""

    def __init__(self, service: str, *, clock: Callable[[], float]) -> None:
        self._service, self._clock = service, clock
        self._began_at: float | None = None
        self._rest_s = _FIRST_S
        self._rest_until = clock()

    def goes_on(self, error: Exception) -> None:
        """Take in that the service failed with *error*; leave it alone for a while."""
        now = self._clock()
        if self._began_at is None:
            self._began_at, self._rest_s = now, _FIRST_S
            _log.warning("service lost", service=self._service, error=_first_line(error))
        else:
            self._rest_s = min(2 * self._rest_s, _MOST_S)
        self._rest_until = now + self._rest_s

    def is_over(self) -> None:
        """Take in that the service answered."""
        if self._began_at is not None:
            away_s = round(self._clock() - self._began_at, 1)
            _log.warning("service back", service=self._service, away_s=away_s)
            self._began_at, self._rest_until = None, self._clock()

    @property
    def rests(self) -> bool:
        """Whether it is too early to ask again."""
        return self._clock() < self._rest_until


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
