"""Bins, ticks, percentiles and numbers: the pure parts of a report."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.producer.figures import duration, human, milliseconds, round_amount, share
from promptmill.producer.report.plot import round_ticks
from promptmill.producer.report.timeline import (
    MOST_BINS,
    busiest_minute,
    choose_bins,
    elapsed,
    time_ticks,
)
from promptmill.producer.watching.latency import Percentiles, merged, percentiles
from promptmill.schema.money import dollars

BEGAN = datetime(2026, 11, 22, 11, 3, 17, 250_000, tzinfo=UTC)


@given(st.floats(0, 5 * 365 * 86_400))
def test_bins_hold_all_of_the_time_and_are_few(span_s: float) -> None:
    last = BEGAN + timedelta(seconds=span_s)
    bins, count = choose_bins(BEGAN, last, last)
    assert 1 <= count <= MOST_BINS + 1
    assert bins.origin <= BEGAN
    assert (last - bins.origin).total_seconds() < count * bins.width_s + 1e-3


def test_long_bins_begin_at_a_round_minute() -> None:
    last = BEGAN + timedelta(hours=5)
    bins, _ = choose_bins(BEGAN, last, last)
    assert (bins.width_s, bins.origin.minute, bins.origin.second) == (300, 0, 0)


def test_a_clock_that_is_ahead_does_not_stretch_the_axis() -> None:
    bins, count = choose_bins(BEGAN, BEGAN + timedelta(days=900), BEGAN + timedelta(seconds=30))
    assert bins.width_s * count < 40


@given(st.floats(0.1, 1e9))
def test_ticks_of_time_are_few_and_within_the_axis(span_s: float) -> None:
    ticks = time_ticks(span_s)
    assert 1 <= len(ticks) <= 11
    assert ticks[-1][0] <= span_s * 1.001
    assert len({label for _, label in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        *((0, "0"), (0.5, "0.5s"), (90, "1m30s"), (300, "5m"), (5400, "1h30m"), (7200, "2h")),
        *((86_400, "24h"), (2 * 86_400, "2d")),
    ],
)
def test_times_since_the_beginning_are_short(seconds: float, label: str) -> None:
    assert elapsed(seconds) == label


@given(st.floats(0.01, 1e12))
def test_ticks_of_an_axis_reach_its_most_and_are_few(most: float) -> None:
    ticks = round_ticks(most)
    assert ticks[0] == 0
    assert ticks[-1] >= most * 0.99
    assert len(ticks) <= 7
    assert all(float(tick).is_integer() for tick in ticks)


def test_the_busiest_minute_spans_bins() -> None:
    assert busiest_minute([10, 0, 50, 50, 0], 30) == 100
    assert busiest_minute([600], 300) == 120
    assert busiest_minute([], 1) == 0


def test_percentiles_are_those_of_the_answer_with_that_rank() -> None:
    histogram = {100: 50, 200: 40, 900: 9, 5000: 1}
    assert percentiles(histogram) == Percentiles(100, 100, 200, 900, 900, 5000)
    assert percentiles({}) is None
    assert percentiles({7: 1}) == Percentiles(1, 7, 7, 7, 7, 7)
    assert merged([{1: 2}, {1: 3, 4: 1}]) == {1: 5, 4: 1}


def test_numbers_are_short_and_never_claim_more_than_there_is() -> None:
    assert [human(n) for n in (0, 999, 999.6, 1000, 12_345, 451_578_803)] == [
        *("0", "999", "1.0k", "1.0k", "12.3k", "452M")
    ]
    assert [round_amount(n) for n in (0, 500, 1400, 900_000, 2_500_000)] == [
        *("0", "500", "1.4k", "900k", "2.5M")
    ]
    assert [share(*pair) for pair in ((0, 9), (9, 9), (9999, 10_000), (1, 10_000), (0, 0))] == [
        *("0%", "100%", "99.9%", "<0.1%", "-")
    ]
    assert [dollars(n) for n in (0, 1_204_500_000, 31_000, 420, 4)] == [
        *("$0.00", "$1,204.50", "$0.031", "$0.00042", "$0.0000040")
    ]
    assert [milliseconds(n) for n in (640, 1200, 14_000, 125_000)] == [
        *("640 ms", "1.2 s", "14 s", "2m05s")
    ]
    assert [duration(n) for n in (9, 850, 11_100, 187_200)] == ["9s", "14m10s", "3h05m", "2d04h"]
