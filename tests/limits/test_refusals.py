"""What a refusal does to the calls of all workers, and how a pause ends."""

import asyncio

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.limits.limit import (
    Postponed,
)
from promptmill.workers.limits.permits import Permits
from tests.limits.worker import (
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


def test_a_refusal_on_an_empty_store_pauses(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        await booked(permits, QUICK)
        valkey.client.flushall()
        await permits.penalise(QUICK, kind=ErrorKind.OVERLOADED, pause_s=60, reason="503")
        answer = await permits.book(QUICK, SMALL)
        assert isinstance(answer, Postponed)
        assert answer.reason == "pause:503"

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
