"""The limiter's own connection: it must answer soon or say that it cannot."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

TIMEOUT_S = 1.5
CONNECTIONS = 32


def connect(url: str, *, password: str | None = None) -> Redis:
    """Open the limiter's client. The caller closes it.

    One retry, at once, for a connection that went stale. redis-py itself would try up to ten more
    times, which makes a hung server cost most of a minute before anybody hears of it.
    """
    return Redis.from_url(
        url,
        password=password,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        max_connections=CONNECTIONS,
        retry=Retry(ConstantBackoff(0.05), 1),
    )
