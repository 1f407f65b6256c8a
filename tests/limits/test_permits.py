"""Permits on a real Valkey: what a worker process relies on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.limit import (
    Booked,
    Dimension,
    Estimate,
    Postponed,
    Scope,
    TooLarge,
)
from promptmill.workers.limits.permits import Permits
from tests.services.valkey import Valkey

KINDS = {"openai": ProviderKind.OPENAI, "anthropic": ProviderKind.ANTHROPIC}
SMALL = Estimate(100, 100)
QUICK = Scope("openai", "quick", "acc", ((Dimension.RPM, 60_000),), 1000)
ONE_AT_A_TIME = Scope("openai", "single", "acc", ((Dimension.RPM, 60_000),), 1)
SLOW = Scope("openai", "slow", "acc", ((Dimension.RPM, 60),), 1000)


@asynccontextmanager
async def permits_on(url: str, lease_s: float = 30.0) -> AsyncIterator[Permits]:
    redis = connect(url)
    permits = Permits(redis, prefix="t:", kinds=KINDS, lease_s=lease_s)
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


async def booked(permits: Permits, scope: Scope, **options: float) -> Booked:
    answer = await permits.book(scope, SMALL, **options)
    assert isinstance(answer, Booked), answer
    return answer


async def until(instant: float) -> None:
    """Wait for a moment on `loop.time()`."""
    loop = asyncio.get_running_loop()
    reached = loop.create_future()
    loop.call_at(instant, reached.set_result, None)
    await reached


def test_a_booking_is_confirmed_and_settled(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        booking = await booked(permits, QUICK)
        await until(booking.start)
        assert await permits.confirm(booking)
        assert (await permits.level(QUICK)).in_flight == 1
        await permits.settle(booking, Usage(100, 50))
        assert (await permits.level(QUICK)).in_flight == 0

    with_permits(valkey, story)


def test_starts_keep_the_pace_of_the_limit(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        scope = Scope("openai", "paced", "acc", ((Dimension.RPM, 6000),), 1000)
        bookings = await asyncio.gather(*(booked(permits, scope) for _ in range(100)))
        starts = [booking.start for booking in bookings]
        assert starts == sorted(starts)
        assert starts[-1] - starts[0] >= (100 - 25) / 100 - 0.02  # a quarter second may go at once

    with_permits(valkey, story)


def test_who_asks_for_more_than_the_limit_is_told_so(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        scope = Scope("openai", "m", "acc", ((Dimension.TPM, 1000),), 10)
        answer = await permits.book(scope, Estimate(1001, None))
        assert answer == TooLarge(Dimension.TPM, 1001, 1000)

    with_permits(valkey, story)


def test_a_pause_longer_than_ones_patience_postpones_at_once(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await permits.penalise(QUICK, kind=ErrorKind.RATE, pause_s=100, reason="429")
        answer = await permits.book(QUICK, SMALL, patience_s=30)
        assert isinstance(answer, Postponed)
        assert answer.reason == "pause:429"
        assert 99 < answer.seconds <= 100

    with_permits(valkey, story)


def test_a_refusal_voids_what_is_not_sent(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        booking = await booked(permits, QUICK)
        await permits.penalise(QUICK, kind=ErrorKind.OVERLOADED, pause_s=0, reason="503")
        assert not await permits.confirm(booking)
        level = await permits.level(QUICK)
        assert level.in_flight == 0
        assert level.multiplier == 1  # overloaded pauses, and cuts nothing

    with_permits(valkey, story)


def test_a_rate_refusal_cuts_the_rate_of_all_workers(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await permits.penalise(QUICK, kind=ErrorKind.RATE, pause_s=0, reason="429")
        async with permits_on(valkey.url) as others:
            assert (await others.level(QUICK)).multiplier == pytest.approx(0.5, abs=0.02)

    with_permits(valkey, story)


def test_a_refused_key_pauses_every_model_of_the_account_until_resumed(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await permits.penalise(QUICK, kind=ErrorKind.KEY, pause_s=1, reason="401")
        answer = await permits.book(SLOW, SMALL)
        assert isinstance(answer, Postponed)
        assert answer.reason == "pause:401"
        assert await permits.resume("openai") == 1
        await booked(permits, SLOW)

    with_permits(valkey, story)


def test_a_late_booking_is_not_sent(valkey: Valkey) -> None:
    async def run() -> None:
        redis = connect(valkey.url)
        now = 60_000_000_000_000
        permits = Permits(redis, prefix="t:", kinds=KINDS, clock=lambda: now)
        on_time, late = await booked(permits, QUICK), await booked(permits, QUICK)
        now += 250_000
        assert await permits.confirm(on_time)
        now += 1
        assert not await permits.confirm(late)
        await permits.close()
        await redis.aclose()

    asyncio.run(run())


def test_an_emptied_store_voids_older_bookings(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        booking = await booked(permits, QUICK)
        valkey.client.flushall()
        valkey.client.script_flush()
        again = await booked(permits, QUICK)
        assert again.epoch != booking.epoch
        assert not await permits.confirm(booking)
        assert await permits.confirm(again)

    with_permits(valkey, story)


def test_renewing_brings_leases_back_to_an_emptied_store(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        booking = await booked(permits, QUICK)
        assert await permits.confirm(booking)
        valkey.client.flushall()
        await permits.renew()
        assert (await permits.level(QUICK)).in_flight == 1
        await permits.settle(booking, Usage(1, 1))
        assert (await permits.level(QUICK)).in_flight == 0

    with_permits(valkey, story)


def test_a_waiter_gets_the_lease_that_frees(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        first = await booked(permits, ONE_AT_A_TIME)
        waiter = asyncio.create_task(booked(permits, ONE_AT_A_TIME))
        await asyncio.wait([waiter], timeout=0.01)
        assert not waiter.done()
        await permits.settle(first, None)
        second = await asyncio.wait_for(waiter, 5)
        await permits.cancel(second)

    with_permits(valkey, story)


def test_the_lease_of_a_dead_worker_frees(valkey: Valkey) -> None:
    async def run() -> None:
        async with permits_on(valkey.url, lease_s=0.05) as dead:
            await booked(dead, ONE_AT_A_TIME)
        async with permits_on(valkey.url) as alive:
            await booked(alive, ONE_AT_A_TIME, patience_s=5)

    asyncio.run(run())


def test_a_cancelled_waiter_leaves_nothing_booked(valkey: Valkey) -> None:
    async def run() -> None:
        async with permits_on(valkey.url) as permits:
            waiters = [asyncio.create_task(permits.book(QUICK, SMALL)) for _ in range(50)]
            for turns, waiter in enumerate(waiters):
                for _ in range(turns % 7):
                    await asyncio.sleep(0)
                waiter.cancel()
            await asyncio.wait(waiters)
            for waiter in waiters:
                if not waiter.cancelled():
                    answer = waiter.result()
                    assert isinstance(answer, Booked)
                    await permits.cancel(answer)
        async with permits_on(valkey.url) as permits:
            level = await permits.level(QUICK)
            assert level.in_flight == 0
            assert level.dimensions[0].level == pytest.approx(level.dimensions[0].depth)

    asyncio.run(run())


def test_patience_ends(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        first = await booked(permits, ONE_AT_A_TIME)
        answer = await permits.book(ONE_AT_A_TIME, SMALL, patience_s=0.02)
        assert isinstance(answer, Postponed)
        assert answer.reason == "concurrency"
        await permits.cancel(first)

    with_permits(valkey, story)


def test_a_days_limit_postpones_until_its_reset(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        scope = Scope("openai", "daily", "acc", ((Dimension.RPD, 1),), 10)
        await booked(permits, scope)
        answer = await permits.book(scope, SMALL)
        assert isinstance(answer, Postponed)
        assert answer.reason == "rpd"
        assert 0 < answer.seconds <= 86_400

    with_permits(valkey, story)


def test_headers_lower_a_limit_and_never_raise_it(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        for told, enforced in ((50.0, 50.0), (100.0, 60.0)):
            await permits.observe(SLOW, {"rpm": told, "unheard": 1.0})
            rpm = (await permits.level(SLOW)).dimensions[0]
            assert (rpm.configured, rpm.told, rpm.limit) == (60, told, enforced)

    with_permits(valkey, story)


def test_without_any_limit_a_scope_probes_from_a_careful_start(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        scope = Scope("openai", "untold", "acc", (), 1000)
        bookings = [await booked(permits, scope) for _ in range(20)]
        before = (await permits.level(scope)).dimensions[0]
        assert before.probing
        for booking in bookings:
            await permits.settle(booking, Usage(1, 1))
        after = (await permits.level(scope)).dimensions[0]
        assert after.limit > before.limit
        await permits.observe(scope, {"tpm": 5000.0})
        told = (await permits.level(scope)).dimensions
        assert [(each.dimension, each.limit) for each in told] == [(Dimension.TPM, 5000)]

    with_permits(valkey, story)


def test_an_urgent_call_passes_a_long_queue(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        scope = Scope("openai", "busy", "acc", ((Dimension.RPM, 600),), 1000)
        bulk = [asyncio.create_task(permits.book(scope, SMALL)) for _ in range(100)]
        await asyncio.wait(bulk, timeout=0.05)
        urgent = await booked(permits, scope, horizon_s=10)
        assert sum(task.done() for task in bulk) < 50
        assert urgent.start - asyncio.get_running_loop().time() < 3
        for task in bulk:
            task.cancel()
        await asyncio.wait(bulk)

    with_permits(valkey, story)


def test_nothing_goes_out_while_redis_is_away() -> None:
    async def run() -> None:
        async with permits_on("unix:///nonexistent/socket") as permits:
            answer = await permits.book(QUICK, SMALL, patience_s=0.2)
            assert isinstance(answer, Postponed)
            assert answer.reason == "limiter unreachable"
            booking = Booked("id", QUICK, (1,), 0.0, 0, "epoch")
            assert not await permits.confirm(booking)

    asyncio.run(run())


def test_a_flushed_script_is_loaded_again(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await booked(permits, QUICK)
        valkey.client.script_flush()
        await booked(permits, QUICK)

    with_permits(valkey, story)
