"""The limiter's own connection: it must answer soon or say that it cannot."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

TIMEOUT_S = 1.5
CONNECTIONS = 32
"""Commands open at once; more wait for a free connection, as a plain pool would refuse them."""


def connect(url: str, *, password: str | None = None) -> Redis:
    """Open the limiter's client. The caller closes it, by `aclose`.

    One retry, at once, for a connection that went stale. redis-py itself would try up to ten more
    times, which makes a hung server cost most of a minute before anybody hears of it.
    """
    options = {} if password is None else {"password": password}
    pool = BlockingConnectionPool.from_url(
        url,
        **options,
        max_connections=CONNECTIONS,
        timeout=TIMEOUT_S,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(ConstantBackoff(0.05), 1),
    )
    return Redis.from_pool(pool)
