"""Which limits hold: set, told, of a family, of the account, of the day, or not known."""

import asyncio
import itertools

from promptmill.schema.outcomes import Usage
from promptmill.workers.limits.limit import (
    Booked,
    Dimension,
    Postponed,
    Scope,
)
from promptmill.workers.limits.permits import Permits
from tests.limits.worker import QUICK, SLOW, SMALL, booked, level_of, with_permits
from tests.services.valkey import Valkey


def test_nothing_is_known_of_a_scope_that_nobody_used(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        assert await permits.level(QUICK) is None

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


def test_limits_that_are_changed_reach_who_waits_already(valkey: Valkey) -> None:
    async def story(permits: Permits) -> None:
        waiters = [asyncio.create_task(permits.book(SLOW, SMALL)) for _ in range(30)]
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
        permits.configure(Scope("openai", "slow", "acc", ((Dimension.RPM, 60_000),), 1000))
        answers = await asyncio.wait_for(asyncio.gather(*waiters), 10)
        assert all(isinstance(each, Booked) for each in answers)

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
