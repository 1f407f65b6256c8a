"""A worker process as the limiter sees it: its permits, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from promptmill.schema.limit_level import Level
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.desk import Seeder
from promptmill.workers.limits.limit import (
    Booked,
    Dimension,
    Estimate,
    Scope,
    Seed,
)
from promptmill.workers.limits.permits import Permits
from tests.services.valkey import Valkey

KINDS = {"openai": ProviderKind.OPENAI, "anthropic": ProviderKind.ANTHROPIC}
SMALL = Estimate(100, 100)
QUICK = Scope("openai", "quick", "acc", ((Dimension.RPM, 60_000),), 1000)
ONE_AT_A_TIME = Scope("openai", "single", "acc", ((Dimension.RPM, 60_000),), 1)
SLOW = Scope("openai", "slow", "acc", ((Dimension.RPM, 60),), 1000)


async def knows_nothing(_: Scope) -> Seed:
    return Seed()


@asynccontextmanager
async def permits_on(
    url: str,
    *,
    lease_s: float = 30.0,
    seed: Seeder = knows_nothing,
    clock: Callable[[], int] | None = None,
) -> AsyncIterator[Permits]:
    redis = connect(url)
    permits = Permits(redis, prefix="t:", kinds=KINDS, lease_s=lease_s, seed=seed, clock=clock)
    try:
        yield permits
    finally:
        await permits.close()
        await redis.aclose()


def with_permits(valkey: Valkey, story: Callable[[Permits], Awaitable[None]]) -> None:
    async def run() -> None:
        async with permits_on(valkey.url) as permits:
            await story(permits)

    asyncio.run(run())


async def booked(
    permits: Permits, scope: Scope, estimate: Estimate = SMALL, **options: float
) -> Booked:
    answer = await permits.book(scope, estimate, **options)
    assert isinstance(answer, Booked), answer
    return answer


async def level_of(permits: Permits, scope: Scope) -> Level:
    standing = await permits.level(scope)
    assert standing is not None
    return standing.scope


async def in_flight(permits: Permits, scope: Scope) -> int:
    standing = await permits.level(scope)
    assert standing is not None
    return standing.in_flight


async def until(instant: float) -> None:
    """Wait for a moment on `loop.time()`."""
    loop = asyncio.get_running_loop()
    reached = loop.create_future()
    loop.call_at(instant, reached.set_result, None)
    await reached
