"""Permits on a real Valkey: what a worker process relies on."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import structlog

from promptmill.schema.limit_level import Level
from promptmill.schema.limit_state import limit_keys, unpack_state
from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.settings import ProviderKind
from promptmill.workers.limits import pump
from promptmill.workers.limits.connection import connect
from promptmill.workers.limits.desk import Seeder
from promptmill.workers.limits.limit import (
    Booked,
    Dimension,
    Estimate,
    Example,
    Postponed,
    Scope,
    Seed,
    TooLarge,
)
from promptmill.workers.limits.permits import Permits
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until

KINDS = {"openai": ProviderKind.OPENAI, "anthropic": ProviderKind.ANTHROPIC}
SMALL = Estimate(100, 100)
QUICK = Scope("openai", "quick", "acc", ((Dimension.RPM, 60_000),), 1000)
ONE_AT_A_TIME = Scope("openai", "single", "acc", ((Dimension.RPM, 60_000),), 1)
SLOW = Scope("openai", "slow", "acc", ((Dimension.RPM, 60),), 1000)


async def knows_nothing(_: Scope) -> Seed:
    return Seed()


@asynccontextmanager
async def permits_on(
    url: str, lease_s: float = 30.0, seed: Seeder = knows_nothing
) -> AsyncIterator[Permits]:
    redis = connect(url)
    permits = Permits(redis, prefix="t:", kinds=KINDS, lease_s=lease_s, seed=seed)
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
        assert await in_flight(permits, QUICK) == 0
        assert (
            await level_of(permits, QUICK)
        ).multiplier == 1  # overloaded pauses, and cuts nothing

    with_permits(valkey, story)


def test_a_rate_refusal_cuts_the_rate_of_all_workers(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await permits.penalise(QUICK, kind=ErrorKind.RATE, pause_s=0, reason="429")
        async with permits_on(valkey.url) as others:
            assert (await level_of(others, QUICK)).multiplier < 0.96

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
        await booked(permits, QUICK)
        assert await in_flight(permits, QUICK) == 2
        await permits.settle(booking, Usage(1, 1))
        assert await in_flight(permits, QUICK) == 1

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
            assert await in_flight(permits, QUICK) == 0

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
        await booked(permits, SLOW)
        for told, enforced in ((50.0, 50.0), (100.0, 60.0)):
            await permits.observe(SLOW, {"rpm": told, "unheard": 1.0})
            await booked(permits, SLOW)
            (rpm,) = (await level_of(permits, SLOW)).dimensions
            assert (rpm.told, rpm.limit) == (told, enforced)

    with_permits(valkey, story)


def test_without_any_limit_a_scope_probes_from_a_careful_start(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        scope = Scope("openai", "untold", "acc", (), 1000)
        bookings = [await booked(permits, scope) for _ in range(8)]
        (before,) = (await level_of(permits, scope)).dimensions
        assert (before.dimension, before.probing) == ("rpm", True)
        for booking in bookings:
            await permits.settle(booking, Usage(1, 1))
        await booked(permits, scope)
        (after,) = (await level_of(permits, scope)).dimensions
        assert after.limit > before.limit
        await permits.observe(scope, {"tpm": 5000.0})
        await booked(permits, scope)
        (told,) = (await level_of(permits, scope)).dimensions
        assert (told.dimension, told.limit, told.probing) == ("tpm", 5000, False)

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
            booking = Booked("id", QUICK, SMALL, (1,) * 6, 0.0, 0, 0, 1, 0, 1)
            assert not await permits.confirm(booking)

    asyncio.run(run())


def test_a_flushed_script_is_loaded_again(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await booked(permits, QUICK)
        valkey.client.script_flush()
        await booked(permits, QUICK)

    with_permits(valkey, story)


def test_nothing_is_known_of_a_scope_that_nobody_used(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        assert await permits.level(QUICK) is None

    with_permits(valkey, story)


def test_a_resumed_model_goes_on_at_once(valkey: Valkey) -> None:
    """Whatever paused it: the buckets that were emptied for the end of the pause fill from now."""

    async def story(permits: Permits) -> None:
        for kind in (ErrorKind.RATE, ErrorKind.KEY):
            await booked(permits, QUICK)
            await permits.penalise(QUICK, kind=kind, pause_s=3600, reason="no")
            assert isinstance(await permits.book(QUICK, SMALL), Postponed)
            assert await permits.resume(QUICK) == 1
            booking = await booked(permits, QUICK, patience_s=5)
            assert booking.start - asyncio.get_running_loop().time() < 1

    with_permits(valkey, story)


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


def test_limits_that_are_changed_reach_who_waits_already(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        waiters = [asyncio.create_task(permits.book(SLOW, SMALL)) for _ in range(30)]
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        permits.configure(Scope("openai", "slow", "acc", ((Dimension.RPM, 60_000),), 1000))
        answers = await asyncio.wait_for(asyncio.gather(*waiters), 10)
        assert all(isinstance(each, Booked) for each in answers)

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


def test_a_refusal_on_an_empty_store_pauses(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await booked(permits, QUICK)
        valkey.client.flushall()
        await permits.penalise(QUICK, kind=ErrorKind.OVERLOADED, pause_s=60, reason="503")
        answer = await permits.book(QUICK, SMALL)
        assert isinstance(answer, Postponed)
        assert answer.reason == "pause:503"

    with_permits(valkey, story)


def test_an_emptied_store_is_told_again_what_headers_told(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await booked(permits, SLOW)
        await permits.observe(SLOW, {"rpm": 50.0})
        valkey.client.flushall()
        await booked(permits, SLOW)
        assert [each.told for each in (await level_of(permits, SLOW)).dimensions] == [50]

    with_permits(valkey, story)


def test_people_are_told_once_that_max_tokens_is_far_above_the_answers(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        scope = Scope("openai", "m", "acc", ((Dimension.TPM, 100_000_000),), 1000)
        greedy = Estimate(100, 4000)
        with structlog.testing.capture_logs() as logs:
            for calls in range(100):
                if calls == 10:
                    assert not logs
                booking = await permits.book(scope, greedy)
                assert isinstance(booking, Booked)
                await permits.settle(booking, Usage(100, 20))
        warnings = [each for each in logs if each["event"] == "max_tokens_far_above_answers"]
        assert [(each["model"], each["max_tokens"]) for each in warnings] == [("m", 4000)]

    with_permits(valkey, story)


def test_models_of_a_family_share_a_limit_and_learn_apart(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        limits = ((Dimension.RPM, 600), (Dimension.TPM, 10_000_000))
        first, second = (
            Scope("openai", name, "acc", limits, 1000, pool="family") for name in ("a", "b")
        )
        starts = []
        for _ in range(5):
            for scope in (first, second):
                booking = await booked(permits, scope)
                starts.append(booking.start)
                used = Usage(200, 100) if scope is first else Usage(50, 20)
                await permits.settle(booking, used)
        assert starts == sorted(starts)
        assert starts[-1] - starts[0] >= (10 - 2.5) / 10 - 0.02
        costs = [(await booked(permits, scope)).costs[2] for scope in (first, second)]
        assert costs[0] > 100 > costs[1]

    with_permits(valkey, story)


def test_an_accounts_limit_holds_over_its_models(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        own, shared = ((Dimension.RPM, 60_000),), ((Dimension.RPM, 600),)
        scopes = [Scope("openai", name, "acc", own, 1000, shared=shared) for name in ("a", "b")]
        asked = itertools.islice(itertools.cycle(scopes), 20)
        bookings = await asyncio.gather(*(booked(permits, scope) for scope in asked))
        starts = sorted(booking.start for booking in bookings)
        assert starts[-1] - starts[0] >= (20 - 2.5) / 10 - 0.02
        standing = await permits.level(scopes[0])
        assert standing is not None
        assert [each.limit for each in standing.account.dimensions] == [600]

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


def test_a_new_process_books_by_what_others_have_learned(valkey: Valkey) -> None:
    scope = Scope("anthropic", "taught", "acc", ((Dimension.OTPM, 60_000_000),), 1000)

    async def teach(permits: Permits) -> None:
        for _ in range(60):
            booking = await booked(permits, scope)
            assert await permits.confirm(booking)
            await permits.settle(booking, Usage(100, 10))

    async def first_booking(permits: Permits) -> None:
        costs = (await booked(permits, scope)).costs
        assert costs[list(Dimension).index(Dimension.OTPM)] < 20, "100 are allowed, 10 are used"

    with_permits(valkey, teach)
    with_permits(valkey, first_booking)
