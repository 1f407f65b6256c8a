from random import Random

from hypothesis import given
from hypothesis import strategies as st

from promptmill.workers.backoff import next_delay

RNG = Random(7)


def delays(attempt: int, *, retry_after_s: float | None = None, cap_s: float = 60.0) -> list[float]:
    return [
        next_delay(attempt, retry_after_s=retry_after_s, base_s=1.0, cap_s=cap_s, rng=RNG)
        for _ in range(500)
    ]


def test_the_ceiling_doubles_with_each_attempt() -> None:
    for attempt, ceiling in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0)):
        spread = delays(attempt)
        assert max(spread) <= ceiling
        assert max(spread) > 0.9 * ceiling
        assert min(spread) < 0.1 * ceiling


def test_no_delay_is_above_the_cap() -> None:
    assert max(delays(10_000, cap_s=60.0)) <= 60.0


def test_retry_after_is_waited_for_and_those_who_wait_do_not_come_back_together() -> None:
    spread = delays(3, retry_after_s=30.0)
    assert min(spread) >= 30.0
    assert max(spread) - min(spread) > 3.0


@given(
    attempt=st.integers(-3, 10**6),
    retry_after_s=st.none() | st.floats(0, 86_400),
    base_s=st.floats(0.001, 100),
    cap_s=st.floats(0.001, 10_000),
    seed=st.integers(),
)
def test_a_delay_is_at_least_retry_after_and_at_most_the_cap_more(
    attempt: int, retry_after_s: float | None, base_s: float, cap_s: float, seed: int
) -> None:
    delay = next_delay(
        attempt, retry_after_s=retry_after_s, base_s=base_s, cap_s=cap_s, rng=Random(seed)
    )
    told = retry_after_s or 0.0
    assert told <= delay <= told + cap_s
