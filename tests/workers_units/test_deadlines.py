"""How long a call may take, by what others took."""

import pytest

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.deadlines import FLOOR_S, LEAST, Deadlines
from promptmill.workers.providers.base import Answer, Refusal

MOST_S = 600.0
ANSWER = Answer(text="four", finish_reason="stop", usage=None)
CUT = Refusal(ErrorKind.UNKNOWN, "no complete answer within 60 s")


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines(most_s=MOST_S, factor=5.0)


def see(deadlines: Deadlines, *latencies: float, model: str = "m") -> None:
    for seconds in latencies:
        deadlines.observe("openai", model, ANSWER, took_s=seconds, given_s=MOST_S)


def of(deadlines: Deadlines, *, attempts: int = 0, model: str = "m") -> float:
    return deadlines.of("openai", model, attempts=attempts)


def test_nothing_is_concluded_from_a_few_answers(deadlines: Deadlines) -> None:
    see(deadlines, *[20.0] * (LEAST - 1))
    assert of(deadlines) == MOST_S
    see(deadlines, 20.0)
    assert of(deadlines) == 5 * 20.0


def test_one_slow_answer_in_a_hundred_is_not_the_measure(deadlines: Deadlines) -> None:
    see(deadlines, 300.0, *[20.0] * (2 * LEAST - 1))
    assert of(deadlines) == 100.0


def test_quick_answers_leave_a_minute_all_the_same(deadlines: Deadlines) -> None:
    see(deadlines, *[0.5] * LEAST)
    assert of(deadlines) == FLOOR_S


def test_the_setting_is_the_most(deadlines: Deadlines) -> None:
    see(deadlines, *[200.0] * LEAST)
    assert of(deadlines) == MOST_S


def test_each_attempt_has_twice_the_time_of_the_last(deadlines: Deadlines) -> None:
    see(deadlines, *[20.0] * LEAST)
    assert [of(deadlines, attempts=n) for n in range(4)] == [100.0, 200.0, 400.0, MOST_S]


def test_each_model_has_its_own(deadlines: Deadlines) -> None:
    see(deadlines, *[20.0] * LEAST)
    assert of(deadlines, model="another") == MOST_S


def test_calls_that_are_cut_widen_it_until_they_are_not(deadlines: Deadlines) -> None:
    see(deadlines, *[20.0] * LEAST)
    given = [of(deadlines)]
    while given[-1] < MOST_S:
        for _ in range(25):
            deadlines.observe("openai", "m", CUT, took_s=given[-1] + 0.01, given_s=given[-1])
        given.append(of(deadlines))
    assert given == [100.0, pytest.approx(500.05), MOST_S]


def test_an_answer_that_broke_off_in_time_says_nothing(deadlines: Deadlines) -> None:
    for _ in range(LEAST):
        deadlines.observe("openai", "m", CUT, took_s=1.0, given_s=MOST_S)
    assert of(deadlines) == MOST_S


def test_a_factor_of_0_learns_nothing() -> None:
    deadlines = Deadlines(most_s=MOST_S, factor=0.0)
    see(deadlines, *[20.0] * LEAST)
    assert of(deadlines) == MOST_S


def test_what_answers_took_before_a_restart_is_known_after_it(deadlines: Deadlines) -> None:
    deadlines.seed("openai", "m", [(20_000, 990), (30_000, 4990), (300_000, 20)])
    assert of(deadlines) == 5 * 30.0
    deadlines.seed("openai", "few", [(20_000, LEAST - 1)])
    assert of(deadlines, model="few") == MOST_S


def test_what_is_seen_after_a_restart_replaces_what_was_before_it(deadlines: Deadlines) -> None:
    deadlines.seed("openai", "m", [(20_000, 5000)])
    see(deadlines, *[40.0] * 1000)
    assert of(deadlines) == 5 * 40.0
