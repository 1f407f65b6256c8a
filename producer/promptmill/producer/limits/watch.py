"""How limits stand, read again and again while somebody watches: seldom, and never in the way."""

from collections.abc import Iterator
from contextlib import contextmanager

from promptmill.producer.embedded.valkey import find_redis
from promptmill.producer.limits.memory import LimitMemory
from promptmill.producer.limits.reading import LimitReader
from promptmill.producer.limits.standing import ScopeStanding, read_known, stand
from promptmill.schema.connection import Source
from promptmill.schema.errors import ServiceError
from promptmill.schema.settings import Settings

_EVERY_S = 1.0
_AGAIN_S = 10.0
"""after Redis did not answer"""


@contextmanager
def watching(settings: Settings, url: str | None) -> Iterator["LimitWatch"]:
    """Watch the limits in the Redis at *url*; None: only those that settings and SQL know."""
    if url is None:
        yield LimitWatch(settings, None)
        return
    reader = LimitReader(url, prefix=settings.key_prefix, for_a_glance=True)
    try:
        yield LimitWatch(settings, reader)
    finally:
        reader.close()


def redis_in_use(settings: Settings) -> str | None:
    """Name the Redis that is there; without one, limits are told by settings and SQL."""
    try:
        return find_redis(settings)
    except ServiceError:
        return None


class LimitWatch:
    """Reads how limits stand at most once a second. Made by `watching`."""

    def __init__(self, settings: Settings, reader: LimitReader | None) -> None:
        self._settings, self._reader = settings, reader
        self._standings: list[ScopeStanding] = []
        self._next_at = self._ask_at = 0.0

    def read(self, database: Source, *, monotonic: float) -> list[ScopeStanding]:
        """Tell how they stand, or stood within the last second."""
        if monotonic >= self._next_at:
            self._standings = stand(self._settings, read_known(database), self._memory(monotonic))
            self._next_at = monotonic + _EVERY_S
        return self._standings

    def _memory(self, monotonic: float) -> LimitMemory | None:
        if self._reader is None or monotonic < self._ask_at:
            return None
        try:
            return self._reader.read()
        except ServiceError:
            self._ask_at = monotonic + _AGAIN_S
            return None
