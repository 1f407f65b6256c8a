"""The counts of requests in Redis: all gateways ask the same script."""

import time
from pathlib import Path

from redis.exceptions import RedisError

from promptmill.producer.outage import Outage
from promptmill.schema.broker import redis_url
from promptmill.schema.settings import Settings
from promptmill.workers.limits.connection import connect

_SCRIPT = Path(__file__).with_name("rate.lua")
_BURST_S = 10
"""so many seconds of a tenant's rate may come at once"""


class RateCounter:
    """The counts, as one gateway asks for them. The settings name a Redis."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = f"{settings.key_prefix}gateway:rate:"
        self._redis = connect(redis_url(settings))
        self._script = self._redis.register_script(_SCRIPT.read_text("utf-8"))
        self._outage = Outage("redis", clock=time.monotonic)

    async def wait_s(self, tenant_id: int, rpm: float) -> float:
        """Count a request; say how many seconds it has to wait. 0 lets it in, as an outage does."""
        if self._outage.rests:
            return 0.0
        each_us, burst = 60e6 / rpm, max(1, rpm * _BURST_S // 60)
        try:
            waits = await self._script(keys=[f"{self._prefix}{tenant_id}"], args=[each_us, burst])
        except (RedisError, OSError) as error:
            self._outage.goes_on(error)
            return 0.0
        self._outage.is_over()
        return int(waits) / 1e6

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
