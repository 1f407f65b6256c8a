"""Waiting for a turn: the limiter as a worker uses it, behind the one shape that peers have too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from time import monotonic

from promptmill.schema.outcomes import Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.limit import Booked, Estimate, Postponed, Scope
from promptmill.workers.limits.permits import Permits

Done = Callable[[], Awaitable[object]]
"""To be called when the call has ended."""
Turn = Callable[[int, float], Awaitable[Done | None]]
"""Wait until so many tokens may be sent, at most until a moment on the monotonic clock. None: that
has come."""
Opener = Callable[[str], AbstractAsyncContextManager[Turn]]
"""Open a limiter on the Valkey at a URL. It can be pickled."""
CallOf = Callable[[int], tuple[Estimate, Usage]]
"""What a call of so many tokens is expected to use, and what it does use."""

BULK_S, URGENT_S = 2.0, 10.0
"""horizons, as attempts have them"""
_PATIENCE_S = 30.0
_LONGEST_POSTPONED_S = 1.0


def as_input(tokens: int) -> tuple[Estimate, Usage]:
    """Charge input alone, known beforehand: Gemini's tokens a minute."""
    return Estimate(tokens, None), Usage(tokens, 1)


@asynccontextmanager
async def open_permits(url: str, *, scope: Scope, kind: ProviderKind) -> AsyncIterator[Permits]:
    """Open the limiter as a worker process does."""
    redis = connect(url)
    permits = Permits(redis, prefix="bench:", kinds={scope.provider: kind})
    try:
        yield permits
    finally:
        await permits.close()
        await redis.aclose()


@asynccontextmanager
async def open_ours(
    url: str,
    *,
    scope: Scope,
    kind: ProviderKind = ProviderKind.GEMINI,
    call_of: CallOf = as_input,
    horizon_s: float = BULK_S,
) -> AsyncIterator[Turn]:
    """Open the limiter as a way to wait for turns."""
    async with open_permits(url, scope=scope, kind=kind) as permits:

        async def turn(tokens: int, until: float) -> Done | None:
            estimate, usage = call_of(tokens)
            booked = await take_turn(permits, scope, estimate, until=until, horizon_s=horizon_s)
            return None if booked is None else partial(permits.settle, booked, usage)

        yield turn


async def take_turn(
    permits: Permits, scope: Scope, estimate: Estimate, *, until: float, horizon_s: float = BULK_S
) -> Booked | None:
    """Book, wait and confirm, again and again until it may be sent; None when the time is over."""
    loop = asyncio.get_running_loop()
    while (left := until - monotonic()) > 0:
        booked = await permits.book(
            scope, estimate, horizon_s=horizon_s, patience_s=min(_PATIENCE_S, left)
        )
        if isinstance(booked, Booked):
            wait = booked.start - loop.time()
            if monotonic() + wait > until:
                await permits.cancel(booked)
                return None
            await asyncio.sleep(wait)
            if await permits.confirm(booked):
                return booked
        elif isinstance(booked, Postponed):
            # A worker puts the job back into SQL; here it comes again when it may.
            await asyncio.sleep(min(booked.seconds, _LONGEST_POSTPONED_S, left))
        else:
            msg = f"a benchmark asked for more than its limit: {booked}"
            raise ValueError(msg)
    return None
