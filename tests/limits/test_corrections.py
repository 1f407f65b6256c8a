"""What a settled call gives back, and to which limit and day."""

import asyncio
from collections.abc import Awaitable, Callable

from promptmill.schema.outcomes import Usage
from promptmill.workers.limits.limit import Dimension, Estimate, Scope
from promptmill.workers.limits.permits import Permits
from tests.limits.worker import booked, level_of, permits_on
from tests.services.valkey import Valkey

MIDNIGHT_US = 690 * 86_400_000_000
GREEDY, LITTLE = Estimate(100, 4000), Usage(100, 10)
UNTOLD = Scope("anthropic", "m", "acc", (), 100)
A_DAY = Scope("anthropic", "m", "acc", ((Dimension.TPD, 20_000),), 100)


class Clock:
    """Redis' clock, which stands still until it is moved."""

    def __init__(self) -> None:
        self.now_us = MIDNIGHT_US - 60_000_000

    def later(self, seconds: float) -> None:
        self.now_us += round(seconds * 1e6)


def on_a_clock(valkey: Valkey, story: Callable[[Permits, Clock], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = Clock()
        async with permits_on(valkey.url, clock=lambda: clock.now_us) as permits:
            await story(permits, clock)

    asyncio.run(run())


async def at_hand(permits: Permits, scope: Scope, dimension: str) -> float:
    found = (await level_of(permits, scope)).of(dimension)
    assert found is not None
    return found.level


def test_a_call_gives_nothing_back_to_a_limit_that_was_told_after_it(valkey: Valkey) -> None:
    async def story(permits: Permits, clock: Clock) -> None:
        sent = await booked(permits, UNTOLD, GREEDY)
        assert await permits.confirm(sent)
        await permits.observe(UNTOLD, {"otpm": 60_000.0})
        await booked(permits, UNTOLD, GREEDY)
        before = await at_hand(permits, UNTOLD, "otpm")
        assert before < 0
        await permits.settle(sent, LITTLE)
        assert await at_hand(permits, UNTOLD, "otpm") == before

    on_a_clock(valkey, story)


def test_what_was_booked_without_a_limit_is_booked_again_when_one_is_told(valkey: Valkey) -> None:
    async def story(permits: Permits, clock: Clock) -> None:
        early = await booked(permits, UNTOLD)
        await permits.observe(UNTOLD, {"otpm": 60_000.0})
        later = await booked(permits, UNTOLD)
        assert not await permits.confirm(early)
        clock.later(max(0, later.start_us - clock.now_us) / 1e6)
        assert await permits.confirm(later)

    on_a_clock(valkey, story)


def test_a_limit_that_only_changes_voids_nothing(valkey: Valkey) -> None:
    async def story(permits: Permits, clock: Clock) -> None:
        scope = Scope("anthropic", "m", "acc", ((Dimension.RPM, 60_000),), 100)
        early = await booked(permits, scope)
        await permits.observe(scope, {"rpm": 30_000.0})
        await booked(permits, scope)
        assert await permits.confirm(early)

    on_a_clock(valkey, story)


def test_yesterdays_call_gives_nothing_back_to_today(valkey: Valkey) -> None:
    async def story(permits: Permits, clock: Clock) -> None:
        yesterdays = await booked(permits, A_DAY, GREEDY)
        clock.later(90)
        todays = await booked(permits, A_DAY, GREEDY)
        assert await at_hand(permits, A_DAY, "tpd") == 4100
        await permits.settle(yesterdays, LITTLE)
        assert await at_hand(permits, A_DAY, "tpd") == 4100
        await permits.settle(todays, LITTLE)
        assert await at_hand(permits, A_DAY, "tpd") == 110

    on_a_clock(valkey, story)


def test_what_was_used_yesterday_is_not_shown_today(valkey: Valkey) -> None:
    async def story(permits: Permits, clock: Clock) -> None:
        await booked(permits, A_DAY, GREEDY)
        assert await at_hand(permits, A_DAY, "tpd") == 4100
        clock.later(61)
        assert await at_hand(permits, A_DAY, "tpd") == 0

    on_a_clock(valkey, story)
