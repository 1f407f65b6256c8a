"""Which lane is chosen: by deadline, price and what the live limits can carry."""

import pytest

from promptmill.producer.dispatching.lane_choice import Outlook, live_jobs
from promptmill.producer.submitting.lane_order import LaneOrder, parse_lane, require_batch_api
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


def test_both_leave_the_lane_when_all_that_is_left_must_be_asked_live_now() -> None:
    assert live(Lane.BATCH, HOUR + 1001) == 0
    assert live(Lane.BATCH, HOUR + 999) == live(Lane.AUTO, HOUR + 999) == 1000
    assert live(Lane.BATCH, -1.0) == 1000


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
