"""How often a tenant may ask: counted in Redis, over all gateways, in one script.

While Redis is away, or none is named, everybody is let in: what costs money has limits of its own.
"""

import asyncio
from typing import TYPE_CHECKING

from promptmill.schema.settings import Settings
from promptmill.schema.tenants import Caller

if TYPE_CHECKING:
    from promptmill.gateway.rate_counter import RateCounter


class Rates:
    """The rates of all tenants. What counts is opened by the first that has one: Redis' client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._counter: RateCounter | None = None

    async def wait_s(self, caller: Caller) -> float:
        """Say how many seconds *caller* has to wait; 0 lets the request in."""
        rpm = caller.rpm or self._settings.gateway.rpm
        if rpm is None or self._settings.redis_url is None:
            return 0.0
        async with self._opening:
            if self._counter is None:
                self._counter = await asyncio.to_thread(self._opened)
        return await self._counter.wait_s(caller.tenant_id, rpm)

    def _opened(self) -> "RateCounter":
        from promptmill.gateway.rate_counter import RateCounter  # noqa: PLC0415  8 MB, of redis-py

        return RateCounter(self._settings)

    async def close(self) -> None:
        """Close the connections."""
        if self._counter is not None:
            await self._counter.close()
