"""The shapes of limits, on a clock that the test turns."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.simulator.config import Shape
from promptmill.simulator.windows import DAY, MINUTE, FixedWindow, Window, window_for

LIMIT = 100.0
ARRIVALS = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=25),
        st.floats(min_value=0.5, max_value=LIMIT),
    ),
    max_size=60,
)


def admitted(window: Window, arrivals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Send calls (seconds since the one before, cost) and return those let in, with their time."""
    now = 1000.0
    accepted = []
    for gap, cost in arrivals:
        now += gap
        if window.wait(now, cost) == 0:
            window.take(now, cost)
            accepted.append((now, cost))
    return accepted


def most_in_any(log: list[tuple[float, float]], seconds: float) -> float:
    """Return the largest sum of costs in any half-open window of *seconds*."""
    return max(
        (sum(cost for at, cost in log if start <= at < start + seconds) for start, _ in log),
        default=0.0,
    )


@given(ARRIVALS)
def test_a_sliding_minute_never_admits_more_than_the_limit_in_any_minute(
    arrivals: list[tuple[float, float]],
) -> None:
    log = admitted(window_for(Shape.SLIDING_MINUTE, LIMIT), arrivals)
    assert most_in_any(log, MINUTE) <= LIMIT + 1e-6


@given(ARRIVALS)
def test_a_fixed_minute_never_admits_more_than_the_limit_in_one_of_its_minutes(
    arrivals: list[tuple[float, float]],
) -> None:
    log = admitted(window_for(Shape.FIXED_MINUTE, LIMIT), arrivals)
    by_minute: dict[int, float] = {}
    for at, cost in log:
        minute = int((at - log[0][0]) // MINUTE)
        by_minute[minute] = by_minute.get(minute, 0.0) + cost
    assert all(total <= LIMIT + 1e-6 for total in by_minute.values())


@given(ARRIVALS, st.floats(min_value=1, max_value=200))
def test_a_token_bucket_admits_at_most_its_depth_and_what_flowed_in(
    arrivals: list[tuple[float, float]], seconds: float
) -> None:
    log = admitted(window_for(Shape.TOKEN_BUCKET, LIMIT), arrivals)
    assert most_in_any(log, seconds) <= LIMIT + seconds * LIMIT / MINUTE + 1e-3


@given(ARRIVALS, st.floats(min_value=1, max_value=200))
def test_a_second_deep_bucket_admits_one_large_call_and_what_flowed_in(
    arrivals: list[tuple[float, float]], seconds: float
) -> None:
    log = admitted(window_for(Shape.PER_SECOND, LIMIT), arrivals)
    largest = max((cost for _, cost in log), default=0.0)
    depth = LIMIT / MINUTE
    assert most_in_any(log, seconds) <= depth + largest + seconds * depth + 1e-3


@pytest.mark.parametrize("shape", Shape)
@given(arrivals=ARRIVALS, cost=st.floats(min_value=0.5, max_value=LIMIT))
def test_a_call_fits_after_exactly_the_wait_it_was_told(
    shape: Shape, arrivals: list[tuple[float, float]], cost: float
) -> None:
    window = window_for(shape, LIMIT)
    admitted(window, arrivals)
    now = 1000.0 + sum(gap for gap, _ in arrivals)
    # One ulp of a large clock is more than the hair that windows forgive.
    assert window.wait(now + window.wait(now, cost) + 1e-6, cost) == 0


@pytest.mark.parametrize("shape", Shape)
def test_a_call_above_the_limit_never_fits(shape: Shape) -> None:
    assert math.isinf(window_for(shape, LIMIT).wait(0.0, LIMIT + 1))


@pytest.mark.parametrize("shape", Shape)
def test_a_refused_call_takes_nothing(shape: Shape) -> None:
    window = window_for(shape, 10)
    window.take(0.0, 10)
    before = window.remaining(0.5)
    window.wait(0.5, 10)
    assert window.remaining(0.5) == before


@pytest.mark.parametrize("shape", Shape)
def test_all_of_the_limit_is_back_after_the_reset_it_tells(shape: Shape) -> None:
    window = window_for(shape, LIMIT)
    full = window.remaining(5.0)
    window.take(5.0, full)
    assert window.remaining(5.0) == 0
    assert window.remaining(5.0 + window.reset(5.0) + 1e-6) == pytest.approx(full)


@pytest.mark.parametrize("shape", Shape)
def test_a_cost_known_too_late_leaves_a_debt(shape: Shape) -> None:
    window = window_for(shape, LIMIT)
    window.take(0.0, LIMIT)
    window.take(0.0, LIMIT / 2)
    assert window.remaining(0.0) == 0
    assert window.wait(0.0, 1) > 0


def test_a_day_begins_with_its_first_call_and_lasts_a_day() -> None:
    day = FixedWindow(1, period_s=DAY)
    day.take(500.0, 1)
    assert day.wait(500.0, 1) == DAY
    assert day.wait(500.0 + DAY - 1, 1) == 1
    assert day.wait(500.0 + DAY, 1) == 0


@pytest.mark.parametrize("shape", [Shape.TOKEN_BUCKET, Shape.PER_SECOND])
def test_a_bucket_holds_as_many_seconds_of_its_limit_as_it_is_told(shape: Shape) -> None:
    bucket = window_for(shape, LIMIT, burst_s=6)
    assert bucket.remaining(0.0) == LIMIT / 10
    bucket.take(0.0, LIMIT / 10)
    assert bucket.wait(0.0, 1) == pytest.approx(60 / LIMIT)
