"""A batch whose prompts all fail in the same way is noticed."""

from dataclasses import replace

import pytest

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import DueJob
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.same_failures import SameFailures

MOST = 3
JOB = DueJob(
    job_id=1,
    dispatch_no=1,
    batch_id=7,
    position=17,
    provider="openai",
    model="gpt-test",
    attempts=0,
    refusals=0,
    on_unknown="retry",
    age_s=0.0,
    body="{}",
)
WRONG = Refusal(ErrorKind.REQUEST, "no such model", http_status=404, code="model_not_found")
ANSWER = Answer(text="four", finish_reason="stop", usage=None)


@pytest.fixture
def same() -> SameFailures:
    return SameFailures(MOST)


def test_the_last_of_so_many_is_told_as_an_example(same: SameFailures) -> None:
    assert [same.observe(JOB, WRONG) for _ in range(MOST - 1)] == [None] * (MOST - 1)
    reason = same.observe(JOB, WRONG)
    assert reason is not None
    assert "3 prompts" in reason
    assert "prompt 17: no such model" in reason
    assert "`promptmill resume 7`" in reason


def test_who_is_told_to_go_on_is_stopped_only_by_as_many_again(same: SameFailures) -> None:
    told = [same.observe(JOB, WRONG) is not None for _ in range(2 * MOST)]
    assert told == [False, False, True] * 2


@pytest.mark.parametrize(
    "between",
    [ANSWER, replace(WRONG, code="context_length_exceeded"), replace(WRONG, http_status=400)],
)
def test_an_answer_or_another_error_between_begins_the_row_anew(
    same: SameFailures, between: Answer | Refusal
) -> None:
    for reply in (WRONG, WRONG, between, WRONG, WRONG):
        assert same.observe(JOB, reply) is None


def test_other_refusals_do_not_count_and_do_not_interrupt(same: SameFailures) -> None:
    for kind in set(ErrorKind) - {ErrorKind.REQUEST}:
        assert same.observe(JOB, Refusal(kind, "why")) is None
    same.observe(JOB, WRONG)
    same.observe(JOB, WRONG)
    same.observe(JOB, Refusal(ErrorKind.RATE, "why"))
    assert same.observe(JOB, WRONG)


def test_each_batch_has_its_own_row(same: SameFailures) -> None:
    for batch in (1, 2, 1, 2):
        assert same.observe(replace(JOB, batch_id=batch), WRONG) is None


def test_nothing_is_counted_where_that_is_wanted() -> None:
    same = SameFailures(0)
    assert not any(same.observe(JOB, WRONG) for _ in range(100))


def test_refusals_that_come_before_the_first_answer_prove_nothing(same: SameFailures) -> None:
    number = same.began(JOB)
    assert [same.observe(JOB, WRONG) for _ in range(2 * MOST - 1)] == [None] * (2 * MOST - 1)
    same.ended(JOB, number)
    assert same.observe(JOB, WRONG) is not None


def test_but_a_call_that_does_not_end_is_outweighed(same: SameFailures) -> None:
    same.began(JOB)
    told = [same.observe(JOB, WRONG) is not None for _ in range(2 * MOST)]
    assert told == [False] * (2 * MOST - 1) + [True]


def test_calls_that_began_later_are_as_likely_to_fail(same: SameFailures) -> None:
    same.observe(JOB, WRONG)
    same.began(JOB)
    same.observe(JOB, WRONG)
    assert same.observe(JOB, WRONG) is not None
