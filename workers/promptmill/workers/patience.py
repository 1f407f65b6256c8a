"""Try again while SQL is away: for ever, but for a worker that is told to stop."""

import logging
import random
import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from promptmill.schema.database import DatabaseError, is_passing
from promptmill.schema.errors import ServiceError

_FIRST_S, _LONGEST_S = 0.05, 5.0
_WHEN_LEAVING_S = 2.0
"""How long SQL may be away before one who leaves stops waiting for it."""

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Patience:
    """One thread's wait for SQL. The other threads tell it when to hurry, and ask how it is."""

    def __init__(self) -> None:
        self._hurry = threading.Event()
        self._stop = threading.Event()
        self._away_since: float | None = None

    @property
    def is_away(self) -> bool:
        """Tell whether the last try found SQL away."""
        return self._away_since is not None

    def hurry(self) -> None:
        """From now on wait for SQL only a moment, or for what must not be lost."""
        self._hurry.set()

    @property
    def hurries(self) -> bool:
        return self._hurry.is_set()

    def stop(self) -> None:
        """From now on wait for nothing."""
        self._stop.set()
        self._hurry.set()

    def keep_trying(
        self, step: Callable[[bool], Result], *, may_give_up: Callable[[], bool]
    ) -> Result:
        """Run *step* until SQL does it; it is told whether a try went before it.

        Raises what SQL refuses; and that it is away, once this is stopped, or hurries where
        *may_give_up* says so.
        """
        delay_s, again = _FIRST_S, False
        while True:
            try:
                result = step(again)
            except (DatabaseError, ServiceError) as error:
                if not is_passing(error) or self._gives_up(may_give_up):
                    raise
                _log.warning("sql away, trying again in %.1f s: %s", delay_s, type(error).__name__)
            else:
                self._away_since = None
                return result
            again = True
            self._pause(delay_s * random.uniform(0.5, 1))
            delay_s = min(_LONGEST_S, delay_s * 2)

    def _gives_up(self, may_give_up: Callable[[], bool]) -> bool:
        now = monotonic()
        if self._away_since is None:
            self._away_since = now
        if self._stop.is_set():
            return True
        waited_s = now - self._away_since
        return self._hurry.is_set() and waited_s >= _WHEN_LEAVING_S and may_give_up()

    def _pause(self, seconds: float) -> None:
        if self._hurry.is_set():
            self._stop.wait(min(seconds, _WHEN_LEAVING_S / 4))
        else:
            self._hurry.wait(seconds)
