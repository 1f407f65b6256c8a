"""Redis away, hung, emptied, or without its scripts: nothing goes out that should not."""

import asyncio
from dataclasses import replace

import pytest

from promptmill.schema.outcomes import Usage
from promptmill.workers.limits.limit import (
    Booked,
    Dimension,
    Estimate,
    Example,
    Postponed,
    Scope,
    Seed,
)
from promptmill.workers.limits.permits import Permits
from tests.limits.worker import (
    ONE_AT_A_TIME,
    QUICK,
    SLOW,
    SMALL,
    booked,
    in_flight,
    level_of,
    permits_on,
    with_permits,
)
from tests.services.valkey import Valkey


def test_nothing_goes_out_while_redis_is_away() -> None:
    async def run() -> None:
        async with permits_on("unix:///nonexistent/socket") as permits:
            answer = await permits.book(QUICK, SMALL, patience_s=0.2)
            assert isinstance(answer, Postponed)
            assert answer.reason == "limiter unreachable"
            booking = Booked("id", QUICK, SMALL, (1,) * 6, 0.0, 0, 0, 1, 0, 1)
            assert not await permits.confirm(booking)

    asyncio.run(run())


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_store_that_hung_forgets_no_call_of_a_worker_that_lives(
    valkey: Valkey, is_alive: bool
) -> None:
    """It was longer than a lease, in which nobody could renew; who does so soon keeps its place."""

    async def run() -> None:
        now = 60_000_000_000_000
        async with permits_on(valkey.url, clock=lambda: now) as one:
            assert await one.confirm(await booked(one, ONE_AT_A_TIME))
            async with permits_on(valkey.url, clock=lambda: now) as other:
                now += 70_000_000
                refused = await other.book(ONE_AT_A_TIME, SMALL, patience_s=0.1)
                assert isinstance(refused, Postponed)
                if is_alive:
                    now += 9_000_000
                    await one.renew()
                now += 11_000_000
                answer = await other.book(ONE_AT_A_TIME, SMALL, patience_s=0.1)
                assert isinstance(answer, Postponed if is_alive else Booked)

    asyncio.run(run())


def test_a_flushed_script_is_loaded_again(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await booked(permits, QUICK)
        valkey.client.script_flush()
        await booked(permits, QUICK)

    with_permits(valkey, story)


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
        await booked(permits, QUICK)
        assert await in_flight(permits, QUICK) == 2
        await permits.settle(booking, Usage(1, 1))
        assert await in_flight(permits, QUICK) == 1

    with_permits(valkey, story)


def test_nothing_goes_out_until_somebody_tells_an_empty_store_what_is_known(
    valkey: Valkey,
) -> None:
    knows = False

    async def seeder(_: Scope) -> Seed:
        if not knows:
            msg = "no database"
            raise ConnectionError(msg)
        return Seed()

    async def run() -> None:
        nonlocal knows
        async with permits_on(valkey.url, seed=seeder) as permits:
            answer = await permits.book(QUICK, SMALL, patience_s=0.2)
            assert isinstance(answer, Postponed)
            assert answer.reason == "limiter unreachable"
            assert not valkey.client.keys("t:*")
            knows = True
            await booked(permits, QUICK)

    asyncio.run(run())


def test_an_empty_store_is_told_what_was_used_today_and_what_calls_taught(valkey: Valkey) -> None:
    scope = Scope("openai", "daily", "acc", ((Dimension.RPD, 6), (Dimension.TPM, 100_000)), 10)

    async def seeder(asked: Scope) -> Seed:
        assert asked == scope
        past = Example(Estimate(100, 100), 50, 10)
        return Seed(used_today={Dimension.RPD: 4}, examples=(past,) * 100)

    async def run() -> None:
        async with permits_on(valkey.url, seed=seeder) as permits:
            await permits.settle(await booked(permits, scope), Usage(50, 10))
            cost = (await booked(permits, scope)).costs[1]
            assert cost == 100  # its max_tokens, where 50 + 10 are expected
            rpd = (await level_of(permits, scope)).of("rpd")
            assert rpd is not None
            assert rpd.level == 6
            refused = await permits.book(scope, SMALL)
            assert isinstance(refused, Postponed)
            assert refused.reason == "rpd"

    asyncio.run(run())


def test_an_emptied_store_is_told_again_what_headers_told(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await booked(permits, SLOW)
        await permits.observe(SLOW, {"rpm": 50.0})
        valkey.client.flushall()
        await booked(permits, SLOW)
        assert [each.told for each in (await level_of(permits, SLOW)).dimensions] == [50]

    with_permits(valkey, story)


def test_a_dead_workers_place_comes_free_with_its_lease_while_others_renew(valkey: Valkey) -> None:
    """Their renewals show that the store did not hang."""
    two = replace(ONE_AT_A_TIME, concurrency=2)

    async def run() -> None:
        now = 60_000_000_000_000
        async with (
            permits_on(valkey.url, clock=lambda: now) as dead,
            permits_on(valkey.url, clock=lambda: now) as other,
        ):
            assert await dead.confirm(await booked(dead, two))
            assert await other.confirm(await booked(other, two))
            for _ in range(3):
                now += 10_000_000
                await other.renew()
            now += 1_000_000
            await booked(other, two, patience_s=0.1)

    asyncio.run(run())
