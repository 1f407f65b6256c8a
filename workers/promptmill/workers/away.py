"""A service that does not do what it is asked: told once, and when it does again."""

from collections.abc import Callable
from time import monotonic

import structlog

_log = structlog.get_logger(__name__)
_CALM_S = 1.0
"""without a failure; a Redis that is full refuses one command and takes the next"""


class Away:
    """Whether *service* is away, as this process sees it. *clock* is monotonic, in seconds."""

    def __init__(
        self, service: str, *, calm_s: float = _CALM_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._service, self._calm_s, self._clock = service, calm_s, clock
        self._since: float | None = None
        self._failed_at = 0.0

    def saw(self, error: Exception) -> None:
        """Take in a failure. Of the error only its kind is told: its text may quote anything."""
        self._failed_at = self._clock()
        if self._since is None:
            self._since = self._failed_at
            _log.warning("service lost", service=self._service, error=_kind(error))

    def answered(self) -> None:
        """Take in that the service did what it was asked."""
        if self._since is not None and self._clock() - self._failed_at >= self._calm_s:
            away_s = round(self._clock() - self._since, 1)
            _log.warning("service back", service=self._service, away_s=away_s)
            self._since = None


def _kind(error: Exception) -> str:
    """Name an error; Redis begins the text of one that has no class of its own with its code."""
    code = str(error).partition(" ")[0]
    name = type(error).__name__
    return code if name == "ResponseError" and code.isupper() else name
