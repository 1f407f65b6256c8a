"""What the limiter makes of limits it does not know, or knows wrongly, in virtual time."""

import math
import random
from collections.abc import Iterator

import pytest

from promptmill.workers.limits.limit import Dimension, Scope
from tests.limits.virtual import BucketOfTokens, SlidingMinute, TokenBucket, Told, VirtualCallers
from tests.services.valkey import Valkey

UNKNOWN = Scope("openai", "m", "a", (), 1000)
FIFTY_A_SECOND = 3000.0
IDEAL_S = (600 - 50) / 50
"""600 calls at fifty a second, fifty of them at once."""


class AwayForAWhile(TokenBucket):
    """Refuses everything from the tenth to the thirtieth second."""

    def refuses(self, at_s: float, tokens: int, /) -> float | None:
        return 1.0 if 10 <= at_s < 30 else super().refuses(at_s, tokens)


class NowAndThen(TokenBucket):
    """Refuses a call every ten seconds, whatever the rate."""

    refused_at_s = 0.0

    def refuses(self, at_s: float, tokens: int, /) -> float | None:
        if at_s < self.refused_at_s + 10:
            return super().refuses(at_s, tokens)
        self.refused_at_s = at_s
        return 1.0


def told(rpm: float) -> Scope:
    return Scope("openai", "m", "a", ((Dimension.RPM, rpm),), 1000)


def log_uniform(rng: random.Random) -> Iterator[int]:
    while True:
        yield round(math.exp(rng.uniform(math.log(100), math.log(8000))))


def test_a_limit_that_headers_tell_is_used_from_the_first_answer_on(valkey: Valkey) -> None:
    callers = VirtualCallers(
        valkey.client, UNKNOWN, TokenBucket(50, 50), tells=lambda _: {"rpm": FIFTY_A_SECOND}
    )
    came = callers.run(600)
    assert not came.refused
    assert came.answered[-1] <= 12.6


@pytest.mark.parametrize("latency_s", [0.05, 1.0])
def test_a_limit_that_nobody_tells_is_found(valkey: Valkey, latency_s: float) -> None:
    callers = VirtualCallers(valkey.client, UNKNOWN, TokenBucket(50, 50), latency_s=latency_s)
    came = callers.run(600)
    assert len(came.refused) <= 10
    assert came.answered[-1] <= 1.5 * IDEAL_S


def test_a_limit_by_the_minute_that_nobody_tells_is_kept_in_the_next_minute(
    valkey: Valkey,
) -> None:
    came = VirtualCallers(valkey.client, UNKNOWN, SlidingMinute(600)).run(1500)
    assert len(came.refused) <= 0.05 * 1500
    assert came.answered[-1] <= 1.25 * 150


def test_half_of_the_configured_limit_is_found_and_used(valkey: Valkey) -> None:
    came: list[tuple[Told, float]] = []
    for seed in range(3):
        scope = Scope("openai", "m", "a", ((Dimension.TPM, 2_000_000),), 1000)
        callers = VirtualCallers(valkey.client, scope, BucketOfTokens(1e6 / 60), latency_s=0.3)
        each = callers.run(600, tokens=log_uniform(random.Random(seed)))
        came.append((each, each.tokens / (1e6 / 60 * each.answered[-1])))
    assert sum(len(each.refused) for each, _ in came) <= 0.01 * 1800
    assert sum(used for _, used in came) / 3 >= 0.94


def test_half_of_an_accounts_limit_is_found_by_a_model_that_has_none_of_its_own(
    valkey: Valkey,
) -> None:
    shared = ((Dimension.RPM, 2 * FIFTY_A_SECOND),)
    scope = Scope("openai", "m", "a", (), 1000, shared=shared)
    came = VirtualCallers(valkey.client, scope, TokenBucket(50, 50), latency_s=0.3).run(1500)
    assert len(came.refused) <= 0.005 * 1500
    assert 1500 / came.answered[-1] >= 0.9 * 50


def test_a_burst_that_was_told_is_used_and_not_exceeded(valkey: Valkey) -> None:
    scope = Scope("openai", "m", "a", ((Dimension.RPM, FIFTY_A_SECOND),), 1000, burst_s=1.0)
    came = VirtualCallers(valkey.client, scope, TokenBucket(50, 50)).run(600)
    assert not came.refused
    assert came.answered[-1] <= 11.6


def test_an_outage_costs_few_calls_and_no_rate(valkey: Valkey) -> None:
    came = VirtualCallers(valkey.client, told(FIFTY_A_SECOND), AwayForAWhile(50, 50)).run(1200)
    assert len(came.refused) <= 8
    after = [at for at in came.answered if at >= 30]
    assert after[0] <= 45, "the gate opens with the first call that is accepted"
    assert len(after) / (after[-1] - after[0]) >= 0.9 * 50, "the rate is not cut for it"


def test_refusals_for_another_reason_than_the_rate_slow_nobody_down_for_long(
    valkey: Valkey,
) -> None:
    """One every ten seconds, and a second's pause for it."""
    server = NowAndThen(10, 10)
    came = VirtualCallers(valkey.client, told(600), server, latency_s=0.3).run(1200)
    assert 12 <= len(came.refused) <= 15
    assert came.answered[-1] <= 1.25 * 120


def test_calls_that_take_long_are_no_outage_when_two_are_refused(valkey: Valkey) -> None:
    """No answer has come since the first refusal; but others were sent, and not refused."""
    came = VirtualCallers(valkey.client, told(1200), TokenBucket(10, 10), latency_s=30).run(1500)
    assert len(came.refused) <= 0.01 * 1500
    assert came.answered[-1] - 30 <= 1.1 * 150
