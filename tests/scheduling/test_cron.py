"""When an expression is due, and what clocks that change make of it."""

from datetime import UTC, datetime, timedelta

import pytest

from promptmill.producer.scheduling.cron import next_time
from promptmill.schema.errors import UsageError

BERLIN = "Europe/Berlin"


def due(cron: str, after: str, times: int = 1, zone: str = BERLIN) -> list[str]:
    found, at = [], datetime.fromisoformat(after)
    for _ in range(times):
        at = next_time(cron, zone, after=at)
        assert at.tzinfo is UTC
        found.append(f"{at:%m-%d %H:%M}")
    return found


def test_it_is_due_by_the_clock_of_its_zone() -> None:
    assert due("0 2 * * *", "2026-11-28T12:00Z") == ["11-29 01:00"]
    assert due("0 2 * * *", "2026-11-28T12:00Z", zone="UTC") == ["11-29 02:00"]
    assert due("0 2 * * *", "2026-11-29T01:00Z") == ["11-30 01:00"], "what is due is over"
    assert due("0 9 * * MON-FRI", "2026-11-27T12:00Z") == ["11-30 08:00"]


def test_a_time_that_the_clock_leaves_out_is_due_right_after_it() -> None:
    assert due("30 2 * * *", "2026-03-28T12:00Z", 2) == ["03-29 01:00", "03-30 00:30"]


def test_a_time_that_comes_twice_is_due_once_and_one_of_every_hour_twice() -> None:
    assert due("30 2 * * *", "2026-10-24T12:00Z", 2) == ["10-25 00:30", "10-26 01:30"]
    for passed in range(1, 120, 7):  # from anywhere in these two hours
        after = datetime(2026, 10, 25, 0, 30, tzinfo=UTC) + timedelta(minutes=passed)
        assert next_time("30 2 * * *", BERLIN, after=after).day == 26
    assert due("30 * * * *", "2026-10-25T00:00Z", 3) == [
        "10-25 00:30",
        "10-25 01:30",
        "10-25 02:30",
    ]


@pytest.mark.parametrize(
    ("cron", "zone", "told"),
    [
        ("61 * * * *", "UTC", "no cron expression .bad minute.*write five fields"),
        ("* * * *", "UTC", "no cron expression .wrong number of fields"),
        ("@daily", "UTC", "no cron expression"),
        ("0 0 30 2 *", "UTC", "30 2"),
        ("0 0 * * *", "Mars/Olympus", "--timezone 'Mars/Olympus': there is no such time zone"),
    ],
)
def test_what_is_never_due_is_refused(cron: str, zone: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        next_time(cron, zone, after=datetime(2026, 11, 28, tzinfo=UTC))
