"""Other limiters on Redis, as their own documents show them: a bucket that holds a minute.

Installed for this benchmark only, by `benchmarks/requirements.txt`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from time import monotonic

from redis.asyncio import Redis

from benchmarks.limits_cases.turns import Done, Opener, Turn

HOW_TO_INSTALL = "uv pip install --python .venv -r benchmarks/requirements.txt"


async def _nothing() -> None:
    """Neither of them settles."""


@asynccontextmanager
async def open_throttled(url: str, *, a_minute: int) -> AsyncIterator[Turn]:
    """Open throttled-py: its token bucket; waiters sleep as long as it says and ask again."""
    throttled = import_module("throttled.asyncio")
    throttle = throttled.Throttled(
        key="bench",
        using=throttled.RateLimiterType.TOKEN_BUCKET.value,
        quota=throttled.rate_limiter.per_min(a_minute, burst=a_minute),
        store=throttled.store.RedisStore(server=url),
    )

    async def turn(tokens: int, until: float) -> Done | None:
        result = await throttle.limit(cost=tokens, timeout=max(0.001, until - monotonic()))
        return None if result.limited else _nothing

    yield turn


@asynccontextmanager
async def open_pyrate(url: str, *, a_minute: int) -> AsyncIterator[Turn]:
    """Open pyrate-limiter: its bucket by GCRA in Redis; one waiter a process asks at a time."""
    pyrate, redis = import_module("pyrate_limiter"), Redis.from_url(url)
    rate = pyrate.Rate(a_minute, pyrate.Duration.MINUTE)
    limiter = pyrate.Limiter(
        pyrate.StateBucket([rate], store=pyrate.RedisStateStore(redis, "bench"))
    )

    async def turn(tokens: int, until: float) -> Done | None:
        left = max(0.001, until - monotonic())
        allowed = await limiter.try_acquire_async("bench", tokens, timeout=left)
        return _nothing if allowed else None

    yield turn
    limiter.close()
    await redis.aclose()


def installed_peers(a_minute: int) -> dict[str, Opener | None]:
    """Map each peer's name to what opens it; None where it is not installed."""
    peers = {
        "throttled-py": ("throttled", open_throttled),
        "pyrate-limiter": ("pyrate_limiter", open_pyrate),
    }
    return {
        name: partial(opener, a_minute=a_minute) if find_spec(module) else None
        for name, (module, opener) in peers.items()
    }
