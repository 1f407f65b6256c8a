"""Which lane is chosen: by deadline, price and what the live limits can carry."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.producer.dispatching.lane_choice import Outlook, is_to_leave, live_jobs
from promptmill.producer.dispatching.lane_load import Load, Sample, Scales, rate_carried
from promptmill.producer.dispatching.lane_sieve import make_sieve
from promptmill.producer.submitting.lane_order import LaneOrder, parse_lane, require_batch_api
from promptmill.schema.backlog import Scope
from promptmill.schema.ceilings import limits_of
from promptmill.schema.errors import UsageError
from promptmill.schema.lanes import Lane, LaneTerms
from promptmill.schema.settings import ProviderKind, ProviderSettings, Settings

HOUR, DAY = 3600.0, 86_400.0
THOUSAND = Outlook(pending=1000, left=1000, rate=1.0)


def live(lane: Lane, left_s: float | None, outlook: Outlook = THOUSAND) -> int:
    return live_jobs(LaneTerms(lane, left_s), outlook, window_s=DAY, margin_s=HOUR)


def test_without_a_deadline_all_goes_where_it_is_cheap() -> None:
    assert live(Lane.LIVE, None) == 1000
    assert live(Lane.BATCH, None) == live(Lane.AUTO, None) == 0


def test_auto_hands_in_what_could_still_be_asked_live_if_it_came_back_empty() -> None:
    assert live(Lane.AUTO, DAY + HOUR + 1001) == 0
    assert live(Lane.AUTO, DAY + HOUR + 999) == 1000


def test_auto_hands_in_what_the_live_limits_cannot_carry_in_time() -> None:
    assert live(Lane.AUTO, 5 * HOUR, Outlook(pending=10_000, left=10_000, rate=1.0)) == 10_000
    assert live(Lane.AUTO, 5 * HOUR, Outlook(pending=50_000, left=50_000, rate=1.0)) == 18_000


def test_where_a_part_goes_live_it_is_as_many_as_the_limits_carry_of_the_cheapest() -> None:
    # Of four quarters the first takes a tenth of what the last takes.
    uneven = Outlook(pending=1000, left=1000, rate=0.02, rates=(0.1, 0.05, 0.03, 0.02))
    assert live(Lane.AUTO, 2 * HOUR, uneven) == 500 - 140
    assert live(Lane.AUTO, 3 * HOUR, uneven) == 500
    assert live(Lane.AUTO, 5 * HOUR, replace(uneven, ahead=10**6, others=9)) == 180


def test_a_sieve_lets_no_fewer_rows_through_than_can_go_live() -> None:
    bodies: list[dict[str, Any]] = [
        {"messages": [], "max_tokens": n} for n in (10, 10, 20, 20, 20, 30, 30, 40)
    ]
    scales = Scales(ProviderKind.OPENAI, None, None)
    costs = [scales.cost(body) for body in bodies]
    sample = Sample(scales, costs, [], None)
    for live_rows in range(1, 8):
        sieve = make_sieve(1, Scope("openai", "gpt-4o"), sample, pending=8, live=live_rows)
        dear = sieve.dear((n, json.dumps(body)) for n, body in enumerate(bodies))
        kept = [cost for n, cost in enumerate(costs) if n not in dear]
        assert len(kept) == live_rows
        assert sorted(kept) == costs[:live_rows], "the cheapest"


def test_what_others_ask_by_the_same_limits_leaves_less_and_a_fair_share_at_least() -> None:
    crowded = Outlook(pending=50_000, left=50_000, rate=1.0, ahead=8_000, others=1)
    assert live(Lane.AUTO, 5 * HOUR, crowded) == 10_000
    assert live(Lane.AUTO, 5 * HOUR, replace(crowded, ahead=1_000_000)) == 9_000


OUTLOOKS = st.builds(
    Outlook,
    pending=st.integers(0, 10**6),
    left=st.integers(0, 10**6),
    rate=st.none() | st.floats(1e-4, 1e4),
    rates=st.lists(st.floats(1e-4, 1e4), max_size=5).map(lambda rates: sorted(rates, reverse=True)),
    saves=st.booleans(),
    ahead=st.integers(0, 10**6),
    others=st.integers(0, 100),
)


@given(OUTLOOKS, st.sampled_from(Lane), st.none() | st.floats(-DAY, 40 * DAY))
def test_whatever_is_told_each_row_has_one_lane(
    outlook: Outlook, lane: Lane, left_s: float | None
) -> None:
    """By `auto` no more go live than the limits carry, but where they have to, or save nothing."""
    chosen = live(lane, left_s, outlook)
    assert 0 <= chosen <= outlook.pending
    leaves = is_to_leave(LaneTerms(lane, left_s), outlook, margin_s=HOUR)
    if lane is not Lane.AUTO or leaves or not outlook.saves or outlook.rate is None:
        assert chosen in (0, outlook.pending)
    elif left_s is not None:
        assert chosen <= max((outlook.rate, *outlook.rates)) * left_s + 1


@given(OUTLOOKS, st.floats(2 * HOUR, DAY), st.integers(1, 10**6))
def test_more_work_beside_it_never_sends_more_rows_live(
    outlook: Outlook, left_s: float, more: int
) -> None:
    beside = replace(outlook, ahead=outlook.ahead + more, others=outlook.others + 1)
    if not is_to_leave(LaneTerms(Lane.AUTO, left_s), beside, margin_s=HOUR):
        assert live(Lane.AUTO, left_s, beside) <= live(Lane.AUTO, left_s, outlook)


def test_the_limits_carry_what_the_tightest_of_them_does() -> None:
    openai = ProviderSettings.model_validate(
        {
            "kind": "openai",
            "limits": {"rpm": 600, "tpm": "60k"},
            "account": {"tpd": "8640k"},
        }
    )
    held = limits_of(openai, "gpt-4o", {})
    by_requests, by_max_tokens = rate_carried(held, openai.kind, None), Load(100, 50, 1000)
    assert by_requests == 10.0
    assert rate_carried(held, openai.kind, by_max_tokens) == 0.1, "100 tokens a second over a day"
    assert rate_carried(held, openai.kind, Load(1, 1, 0)) == 10.0


@pytest.mark.parametrize(("kind", "rate"), [("openai", 1.0), ("anthropic", 6.0), ("gemini", 10.0)])
def test_tokens_are_counted_as_the_provider_does(kind: str, rate: float) -> None:
    settings = ProviderSettings.model_validate({"kind": kind, "limits": {"tpm": "60k"}})
    held = limits_of(settings, "model", {})
    found = rate_carried(held, settings.kind, Load(100, 200 / 3, 1000))
    assert found == pytest.approx(rate)


def test_both_leave_the_lane_when_all_that_is_left_must_be_asked_live_now() -> None:
    assert live(Lane.BATCH, HOUR + 1001) == 0
    assert live(Lane.BATCH, HOUR + 999) == live(Lane.AUTO, HOUR + 999) == 1000
    assert live(Lane.BATCH, -1.0) == 1000


def test_it_leaves_earlier_where_others_are_asked_live_beside_it() -> None:
    beside = replace(THOUSAND, ahead=10_000, others=1)
    assert live(Lane.BATCH, HOUR + 2001, beside) == 0
    assert live(Lane.BATCH, HOUR + 1999, beside) == 1000
    assert live(Lane.BATCH, HOUR + 1501, replace(beside, ahead=500)) == 0


def test_auto_goes_live_where_nothing_is_saved_or_nobody_knows_the_limits() -> None:
    assert live(Lane.AUTO, None, Outlook(10, 10, 1.0, saves=False)) == 10
    assert live(Lane.AUTO, 5 * HOUR, Outlook(10, 10, None)) == 10


@pytest.mark.parametrize("deadline", ["30", "yesterday", "2026-12-24T18:00", "2020-01-01T00:00Z"])
def test_a_deadline_is_a_time_from_now_or_an_instant_with_its_zone(deadline: str) -> None:
    assert parse_lane("auto", "30h") == LaneOrder(Lane.AUTO, 30 * HOUR)
    with pytest.raises(UsageError, match="--deadline"):
        parse_lane("auto", deadline)
    with pytest.raises(UsageError, match="--lane auto"):
        parse_lane("live", "30h")


def test_half_the_price_is_not_promised_where_there_is_no_batch_api() -> None:
    settings = Settings(
        providers={
            "own": ProviderSettings(kind=ProviderKind.OPENAI, base_url="http://localhost/v1"),
            "openai": ProviderSettings(kind=ProviderKind.OPENAI),
        }
    )
    require_batch_api(LaneOrder(Lane.BATCH), ["openai"], settings)
    require_batch_api(LaneOrder(Lane.AUTO), ["own"], settings)
    with pytest.raises(UsageError, match=r"providers\.own\.batch_api"):
        require_batch_api(LaneOrder(Lane.BATCH), ["own"], settings)
