"""redis-py for one that only looks, again and again, perhaps from several threads."""

from typing import Any, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from promptmill.producer.bare_redis import Command
from promptmill.schema.redis_urls import redis_py_url


class LookingRedis:
    """Asks by redis-py, whose connections are pooled."""

    errors: ClassVar[tuple[type[Exception], ...]] = (redis.RedisError, OSError)
    """what `ask` raises"""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._client = looking_client(url, timeout_s=timeout_s)

    def ask(self, *commands: Command) -> list[Any]:
        """Send *commands* at once, and read what each comes to."""
        with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = pipeline.execute()
        return answers

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def looking_client(url: str, *, timeout_s: float) -> Any:
    """Make a client of Redis for one that only looks: it tries once, and does not wait long."""
    timeouts = {"socket_timeout": timeout_s}
    if not redis_py_url(url).startswith("unix:"):  # redis-py refuses it for a socket
        timeouts["socket_connect_timeout"] = timeout_s
    return redis.Redis.from_url(redis_py_url(url), retry=Retry(NoBackoff(), 0), **timeouts)
