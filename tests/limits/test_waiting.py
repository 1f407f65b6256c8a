"""Nobody starves and nothing lies idle: callers in a closed loop, each doing as it was told."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from promptmill.workers.limits.ledger import HINT_SHARE
from promptmill.workers.limits.limit import Dimension, Scope
from tests.limits.waiters import BULK_US, START_US, Loop, Wait
from tests.services.valkey import Valkey

TPM = 2_000_000
POLL_US = BULK_US * HINT_SHARE
SCOPE = Scope("gemini", "m", "a", ((Dimension.TPM, TPM),), 1000)
CAPPED = Scope("gemini", "capped", "a", ((Dimension.TPM, 100 * TPM),), 20)
BIG = Scope("gemini", "m", "a", ((Dimension.TPM, 60_000),), 1000)


def run(valkey: Valkey, seed: int, *, scope: Scope = SCOPE) -> Loop:
    return Loop(valkey.client, (scope,), Random(seed))


def share_used(waits: Sequence[Wait], *, of: float = TPM) -> float:
    """What was started after the first seconds, of what the limit allows."""
    some = [each for each in waits if each.start_us > START_US + 10_000_000]
    span_s = (some[-1].start_us - some[0].start_us) / 1e6
    return sum(each.cost for each in some) / (of * span_s / 60)


@pytest.mark.parametrize("seed", range(2))
def test_nobody_waits_much_longer_than_the_others(valkey: Valkey, seed: int) -> None:
    waits = run(valkey, seed).run(80, seconds=40)
    steady = [each for each in waits if each.since_us > START_US + 5_000_000]
    took = [each.start_us - each.since_us for each in steady]
    assert max(took) <= 1.5 * sum(took) / len(took) + POLL_US
    assert share_used(waits) >= 0.97


@pytest.mark.parametrize("seed", range(2))
def test_nothing_lies_idle_longer_than_a_poll(valkey: Valkey, seed: int) -> None:
    """Even when all use a quarter of what was expected, and give the rest back."""
    loop = run(valkey, seed)
    loop.used = 0.25
    waits = sorted(loop.run(80, seconds=30), key=lambda each: each.start_us)
    for first, second in pairwise(waits):
        work_us = first.cost / (TPM * 0.95) * 60e6
        assert second.start_us - first.start_us <= work_us + POLL_US
    assert share_used(waits) * loop.used >= 0.9


def test_waiters_that_die_hold_nobody_back(valkey: Valkey) -> None:
    """Their turns stay in the queue until somebody behind them is booked."""
    loop = run(valkey, 5)
    loop.at(10_000_000, lambda: loop.die(50))
    waits = sorted(loop.run(80, seconds=25), key=lambda each: each.start_us)
    assert loop.dying == 0
    for first, second in pairwise(waits):
        work_us = first.cost / (TPM * 0.95) * 60e6
        assert second.start_us - first.start_us <= work_us + POLL_US
    assert share_used(waits) >= 0.97


@pytest.mark.parametrize("back_s", [2, 60, 4 * 3600])
def test_a_clock_that_goes_back_stops_nobody(valkey: Valkey, back_s: int) -> None:
    loop = run(valkey, back_s)
    for at_s, by_s in ((15, -back_s), (23, back_s), (31, -back_s)):
        loop.at(at_s * 1_000_000, lambda by_s=by_s: loop.set_clock(by_s * 1_000_000))  # type: ignore[misc]
    waits = sorted(loop.run(80, seconds=40), key=lambda each: each.start_us)
    assert max(b.start_us - a.start_us for a, b in pairwise(waits)) <= BULK_US
    # Where the clock jumps ahead what was booked is late, and is given back to a full bucket.
    assert 0.9 <= share_used(waits) <= 1 + (BULK_US + 250_000) / 30e6


def test_a_refusal_stops_all_for_its_pause_and_not_longer(valkey: Valkey) -> None:
    loop = run(valkey, 1)
    loop.at(15_000_000, lambda: loop.refuse(5_000_000))
    waits = sorted(loop.run(80, seconds=30), key=lambda each: each.start_us)
    paused = [each for each in waits if 15e6 < each.start_us - START_US < 20e6]
    assert not paused
    again = next(each for each in waits if each.start_us > START_US + 15_000_000)
    assert again.start_us - START_US <= 20e6 + 1e6 + POLL_US


def test_a_large_request_is_not_overtaken_for_ever(valkey: Valkey) -> None:
    """It waits for a full bucket and goes into debt; the small ones wait behind it."""
    waits = run(valkey, 2, scope=BIG).run(10, seconds=200)
    large = [each.start_us - each.since_us for each in waits if each.cost > 4000]
    small = [each.start_us - each.since_us for each in waits if each.cost < 400]
    assert large
    assert max(large) <= 2.5 * (sum(small) / len(small)) + 8e6


def test_the_cap_is_shared_by_all_who_ask_again(valkey: Valkey) -> None:
    loop = run(valkey, 3, scope=CAPPED)
    loop.takes_us = 2_000_000
    waits = loop.run(40, seconds=40)
    assert len(waits) >= 0.6 * 20 * 40 / 2


@pytest.mark.parametrize(("slow_rpm", "callers"), [(12, 1), (12, 20), (60, 20)])
def test_models_of_an_account_do_not_starve_each_other(
    valkey: Valkey, slow_rpm: int, callers: int
) -> None:
    """A slow one gets what its own limit allows, nearly, and a fast one gets the rest."""
    slow, fast = (
        Scope("gemini", name, "a", ((Dimension.RPM, own),), 1000, shared=((Dimension.RPM, 600),))
        for name, own in (("slow", slow_rpm), ("fast", 6000))
    )
    waits = Loop(valkey.client, (slow, fast), Random(4)).run(callers, 60, seconds=60)
    steady = [each for each in waits if each.start_us > START_US + 20_000_000]
    slow_ones = sum(each.model == "slow" for each in steady)
    least = 0.9 if callers > 1 else 0.5
    assert slow_ones >= least * slow_rpm * 40 / 60
    assert len(steady) >= 0.95 * 600 * 40 / 60
