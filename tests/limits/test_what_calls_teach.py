"""What answers teach, and who hears of it."""

import structlog

from promptmill.schema.outcomes import Usage
from promptmill.workers.limits.limit import (
    Booked,
    Dimension,
    Estimate,
    Scope,
)
from promptmill.workers.limits.permits import Permits
from tests.limits.worker import booked, with_permits
from tests.services.valkey import Valkey


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
