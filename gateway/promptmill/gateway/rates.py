"""How often a tenant may ask: counted in Redis, over all gateways, in one script.

While Redis is away, or none is named, everybody is let in: what costs money has limits of its own.
"""

import time
from pathlib import Path

from redis.exceptions import RedisError

from promptmill.producer.outage import Outage
from promptmill.schema.broker import redis_url
from promptmill.schema.settings import Settings
from promptmill.schema.tenants import Caller
from promptmill.workers.limits.connection import connect

_SCRIPT = Path(__file__).with_name("rate.lua")
_BURST_S = 10
"""so many seconds of a tenant's rate may come at once"""


class Rates:
    """The rates of all tenants, as one gateway asks for them."""

    def __init__(self, settings: Settings) -> None:
        self._usual = settings.gateway.rpm
        self._prefix = f"{settings.key_prefix}gateway:rate:"
        self._redis = self._script = None
        if settings.redis_url is not None:
            self._redis = connect(redis_url(settings))
            self._script = self._redis.register_script(_SCRIPT.read_text("utf-8"))
        self._outage = Outage("redis", clock=time.monotonic)

    async def wait_s(self, caller: Caller) -> float:
        """Say how many seconds *caller* has to wait; 0 lets the request in."""
        rpm = caller.rpm or self._usual
        if rpm is None or self._script is None or self._outage.rests:
            return 0.0
        each_us, burst = 60e6 / rpm, max(1, rpm * _BURST_S // 60)
        try:
            key = f"{self._prefix}{caller.tenant_id}"
            waits = await self._script(keys=[key], args=[each_us, burst])
        except (RedisError, OSError) as error:
            self._outage.goes_on(error)
            return 0.0
        self._outage.is_over()
        return int(waits) / 1e6

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()
