"""Permits on a real Valkey: a call books a start, confirms it, and is settled."""

import asyncio

import pytest

from promptmill.schema.limit_state import limit_keys, unpack_state
from promptmill.schema.outcomes import Usage
from promptmill.workers.limits import pump
from promptmill.workers.limits.limit import (
    Booked,
    Dimension,
    Estimate,
    Postponed,
    Scope,
    TooLarge,
)
from promptmill.workers.limits.permits import Permits
from tests.limits.worker import (
    ONE_AT_A_TIME,
    QUICK,
    SMALL,
    booked,
    in_flight,
    permits_on,
    until,
    with_permits,
)
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until


def test_a_booking_is_confirmed_and_settled(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        booking = await booked(permits, QUICK)
        await until(booking.start)
        assert await permits.confirm(booking)
        assert await in_flight(permits, QUICK) == 1
        await permits.settle(booking, Usage(100, 50))
        assert await in_flight(permits, QUICK) == 0

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


def test_a_late_booking_is_not_sent(valkey: Valkey) -> None:
    async def run() -> None:
        now = 60_000_000_000_000
        async with permits_on(valkey.url, clock=lambda: now) as permits:
            on_time, late = await booked(permits, QUICK), await booked(permits, QUICK)
            now += 250_000
            assert await permits.confirm(on_time)
            now += 1
            assert not await permits.confirm(late)

    asyncio.run(run())


def test_a_cancelled_waiter_leaves_nothing_booked(valkey: Valkey) -> None:
    async def run() -> None:
        async with permits_on(valkey.url) as permits:
            await permits.cancel(await booked(permits, QUICK))
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
            assert await in_flight(permits, QUICK) == 0

    asyncio.run(run())


def test_waiters_that_leave_together_are_given_back_together(valkey: Valkey) -> None:
    async def run() -> int:
        async with permits_on(valkey.url) as permits:
            await permits.cancel(await booked(permits, QUICK))  # the scripts are known by now
            before = scripts_run(valkey)
            waiters = [asyncio.create_task(permits.book(QUICK, SMALL)) for _ in range(50)]
            for _ in range(3):
                await asyncio.sleep(0)  # until they are asked for; no answer is here yet
            for waiter in waiters:
                waiter.cancel()
            await asyncio.wait(waiters)
        return scripts_run(valkey) - before

    assert asyncio.run(run()) < 10


def scripts_run(valkey: Valkey) -> int:
    return int(valkey.client.info("commandstats")["cmdstat_evalsha"]["calls"])


def test_patience_ends(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        first = await booked(permits, ONE_AT_A_TIME)
        answer = await permits.book(ONE_AT_A_TIME, SMALL, patience_s=0.02)
        assert isinstance(answer, Postponed)
        assert answer.reason == "concurrency"
        await permits.cancel(first)

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


def test_who_waits_for_a_place_hears_of_it_from_another_process(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "CAP_POLL_S", 3600.0)  # only news can help
    key = limit_keys("t:", provider="openai", account="acc", shared_by="single", model="single")

    def somebody_waits() -> bool:
        raw = valkey.client.get(key.account)
        assert isinstance(raw, bytes)
        return unpack_state(raw).get("capped") > 0 and valkey.client.pubsub_numpat() == 1

    async def story(permits: Permits) -> None:
        async with permits_on(valkey.url) as others:
            first = await booked(permits, ONE_AT_A_TIME)
            waiter = asyncio.create_task(booked(others, ONE_AT_A_TIME))
            await asyncio.to_thread(
                wait_until, somebody_waits, "the waiter to be told and to listen"
            )
            await permits.settle(first, None)
            await permits.cancel(await asyncio.wait_for(waiter, 5))

    with_permits(valkey, story)


@pytest.mark.parametrize(("burst_s", "least", "most"), [(0.0, 8, 13), (1.0, 35, 50)])
def test_as_many_start_at_once_as_the_provider_is_told_to_hold(
    valkey: Valkey, burst_s: float, least: int, most: int
) -> None:
    async def story(permits: Permits) -> None:
        limits = ((Dimension.RPM, 3000.0),)
        scope = Scope("openai", "burst", "acc", limits, 1000, burst_s=burst_s)
        bookings = await asyncio.gather(*(booked(permits, scope) for _ in range(60)))
        starts = [booking.start_us for booking in bookings]
        assert least <= sum(start - starts[0] < 5000 for start in starts) <= most

    with_permits(valkey, story)
