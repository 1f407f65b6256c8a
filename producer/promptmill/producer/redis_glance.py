"""Which client of Redis takes a look: a bare socket where that will do, else redis-py."""

from typing import TYPE_CHECKING

from promptmill.producer.bare_redis import BareRedis
from promptmill.schema.redis_urls import redis_py_url

if TYPE_CHECKING:
    from promptmill.producer.looking_redis import LookingRedis

LOOK_S = 1.5
"""how long a server may say nothing to one who looks"""


def glance_at(url: str, *, timeout_s: float = LOOK_S) -> "BareRedis | LookingRedis":
    """Prepare one look at the server at *url*, for one thread."""
    return BareRedis.at(redis_py_url(url), timeout_s=timeout_s) or look_at(url, timeout_s=timeout_s)


def look_at(url: str, *, timeout_s: float = LOOK_S) -> "LookingRedis":
    """Prepare to look again and again, from any thread; or where the URL takes redis-py."""
    # Its import takes a tenth of a second.
    from promptmill.producer.looking_redis import LookingRedis  # noqa: PLC0415

    return LookingRedis(url, timeout_s=timeout_s)
