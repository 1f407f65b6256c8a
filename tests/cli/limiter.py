"""A worker's real limiter, to make the state that `promptmill limits` and metrics read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from promptmill.schema.limit_state import EPOCH_2025_S
from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import Settings
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.limit import Booked, Estimate, Scope
from promptmill.workers.limits.permits import Permits
from promptmill.workers.served import Served
from tests.services.valkey import Valkey


class Limiter:
    """Books, settles and is refused, with the limits of these settings; *ago_s* in the past."""

    def __init__(self, settings: Settings, permits: Permits) -> None:
        self.permits = permits
        self._settings = settings

    def scope(self, provider: str, model: str, key: str) -> Scope:
        known = self._settings.providers[provider]
        return Served(provider, known.kind, key, cast("Any", None), known).scope(model)

    async def booked(self, scope: Scope, estimate: Estimate) -> Booked:
        answer = await self.permits.book(scope, estimate)
        assert isinstance(answer, Booked), answer
        return answer

    async def answered(self, scope: Scope, estimate: Estimate, usage: Usage) -> None:
        await self.permits.settle(await self.booked(scope, estimate), usage)


def with_limiter(
    settings: Settings,
    valkey: Valkey,
    story: Callable[[Limiter], Awaitable[None]],
    *,
    ago_s: float = 0,
) -> None:
    """Run *story* with a limiter whose clock stands still, *ago_s* before the server's."""
    seconds, micros = valkey.client.time()
    now_us = round((seconds - EPOCH_2025_S - ago_s) * 1e6) + micros

    async def run() -> None:
        redis = connect(valkey.url)
        kinds = {name: each.kind for name, each in settings.providers.items()}
        permits = Permits(redis, prefix=settings.key_prefix, kinds=kinds, clock=lambda: now_us)
        try:
            await story(Limiter(settings, permits))
        finally:
            await permits.close()
            await redis.aclose()

    asyncio.run(run())
