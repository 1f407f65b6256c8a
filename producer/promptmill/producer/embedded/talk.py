"""What is said to a server of ours: are you there, and stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_PING_S = 1.0


@contextmanager
def pinging(url: str) -> Iterator[Callable[[], bool]]:
    """Give what asks the server at *url*, over one connection, whether it answers."""

    def is_up() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    with _client(url, timeout_s=_PING_S) as client:
        yield is_up


def shut_down(url: str, *, timeout_s: float) -> bool:
    """Tell the server to end; False: it is dead already."""
    with _client(url, timeout_s=timeout_s) as client:
        try:
            client.shutdown()
        except redis.RedisError:
            return False
    return True


def _client(url: str, *, timeout_s: float) -> redis.Redis:
    """Make a client that tries once; redis-py's own default sleeps and tries three times more."""
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(
        url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s, retry=once
    )
