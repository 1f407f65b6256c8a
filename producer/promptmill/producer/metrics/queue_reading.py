"""How many messages wait in each provider's queue, read out of Redis for metrics."""

from collections.abc import Iterable

import redis

from promptmill.producer.looking_redis import looking_client
from promptmill.producer.redis_glance import LOOK_S
from promptmill.producer.redis_trouble import trouble_of
from promptmill.schema.broker import list_keys, redis_url
from promptmill.schema.errors import ServiceError
from promptmill.schema.hint import queue_name
from promptmill.schema.redis_urls import shown
from promptmill.schema.settings import Settings


class QueueReader:
    """Reads the depths of queues in one round trip. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._url = settings, redis_url(settings)
        self._redis = looking_client(self._url, timeout_s=LOOK_S)

    def depths(self, providers: Iterable[str]) -> dict[str, int]:
        """Count the messages by provider. Raises ServiceError where Redis does not answer."""
        names = sorted(providers)
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for name in names:
                    for key in list_keys(self._settings, queue_name(name)):
                        pipeline.llen(key)
                lengths = iter(pipeline.execute())
        except (redis.RedisError, OSError) as error:
            msg = f"{shown(self._url)} {trouble_of(error)}"
            raise ServiceError(msg) from None
        return {
            name: sum(next(lengths) for _ in list_keys(self._settings, queue_name(name)))
            for name in names
        }

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()
