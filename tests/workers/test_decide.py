"""The one error table as the worker carries it out, row by row."""

from dataclasses import replace
from random import Random

import pytest

from promptmill.schema.outcomes import ErrorKind, Usage
from promptmill.schema.reading import DueJob
from promptmill.schema.settings import RetrySettings
from promptmill.workers import decide as deciding
from promptmill.workers.decide import Failed, Held, Retry, Snoozed, Stopped, Succeeded
from promptmill.workers.providers.base import Answer, Refusal

JOB = DueJob(
    job_id=1,
    dispatch_no=1,
    batch_id=1,
    position=1,
    provider="openai",
    model="gpt-4o-mini",
    attempts=0,
    refusals=0,
    on_unknown="retry",
    age_s=0.0,
    body="{}",
)
POLICY = RetrySettings(max_attempts=3, max_refusals=10, base_s=1.0, cap_s=8.0)
REFUSED = (ErrorKind.RATE, ErrorKind.OVERLOADED, ErrorKind.DAILY)
TRIED = (ErrorKind.TRANSIENT, ErrorKind.UNKNOWN, ErrorKind.BAD_RESPONSE)


def decide(
    kind: ErrorKind, job: DueJob = JOB, *, retry_after_s: float | None = None
) -> deciding.Outcome:
    refusal = Refusal(kind, "why", retry_after_s=retry_after_s)
    return deciding.decide(refusal, job, policy=POLICY, rng=Random(1))


def test_an_answer_is_stored() -> None:
    answer = Answer(text="four", finish_reason="stop", usage=Usage(1, 1))
    found = deciding.decide(answer, JOB, policy=POLICY, rng=Random(1))
    assert found == Succeeded(answer)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_has_its_row(kind: ErrorKind) -> None:
    expected = {
        ErrorKind.RATE: Snoozed,
        ErrorKind.OVERLOADED: Snoozed,
        ErrorKind.DAILY: Snoozed,
        ErrorKind.TRANSIENT: Retry,
        ErrorKind.UNKNOWN: Retry,
        ErrorKind.BAD_RESPONSE: Retry,
        ErrorKind.MONEY: Stopped,
        ErrorKind.KEY: Stopped,
        ErrorKind.REQUEST: Failed,
    }
    assert type(decide(kind)) is expected[kind]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_pauses_everybody_for_as_long_as_was_told(kind: ErrorKind) -> None:
    found = decide(kind, retry_after_s=17.0)
    assert isinstance(found, Snoozed)
    assert found.pause_s == 17.0
    assert 17.0 <= found.delay_s <= 17.5


def test_a_refusal_that_names_no_time_pauses_by_its_kind() -> None:
    pauses = {}
    for kind in REFUSED:
        found = decide(kind)
        assert isinstance(found, Snoozed)
        pauses[kind] = found.pause_s
    assert pauses[ErrorKind.RATE] < pauses[ErrorKind.OVERLOADED] < pauses[ErrorKind.DAILY]


@pytest.mark.parametrize("kind", REFUSED)
def test_refusals_use_no_attempt_but_are_not_endless(kind: ErrorKind) -> None:
    assert isinstance(decide(kind, replace(JOB, attempts=2, refusals=8)), Snoozed)
    assert isinstance(decide(kind, replace(JOB, refusals=9)), Failed)


@pytest.mark.parametrize("kind", [ErrorKind.TRANSIENT, ErrorKind.UNKNOWN])
def test_a_try_that_came_to_nothing_is_repeated_until_the_attempts_are_used_up(
    kind: ErrorKind,
) -> None:
    assert isinstance(decide(kind, replace(JOB, attempts=1)), Retry)
    assert isinstance(decide(kind, replace(JOB, attempts=2)), Failed)


@pytest.mark.parametrize(
    ("kind", "why"), [(ErrorKind.TRANSIENT, "1 attempt"), (ErrorKind.RATE, "refused 1 time")]
)
def test_where_one_is_the_most_the_reason_counts_to_one(kind: ErrorKind, why: str) -> None:
    once = RetrySettings(max_attempts=1, max_refusals=1)
    found = deciding.decide(Refusal(kind, "why"), JOB, policy=once, rng=Random(1))
    assert isinstance(found, Failed)
    assert found.why == why


@pytest.mark.parametrize("kind", TRIED)
def test_a_retry_waits_at_least_as_long_as_was_told(kind: ErrorKind) -> None:
    found = decide(kind, retry_after_s=30.0)
    assert isinstance(found, Retry)
    assert 30.0 <= found.delay_s <= 31.0


def test_an_unknown_outcome_is_held_where_the_batch_says_so() -> None:
    assert isinstance(decide(ErrorKind.UNKNOWN, replace(JOB, on_unknown="hold")), Held)


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.UNKNOWN])
def test_hold_is_for_unknown_outcomes_only(kind: ErrorKind) -> None:
    assert not isinstance(decide(kind, replace(JOB, on_unknown="hold")), Held)


def test_an_unusable_answer_is_paid_for_twice_at_most() -> None:
    assert isinstance(decide(ErrorKind.BAD_RESPONSE, replace(JOB, attempts=1)), Failed)


def formless(code: str, on_invalid: str, *, attempts: int = 0) -> deciding.Outcome:
    refusal = Refusal(ErrorKind.BAD_RESPONSE, "why", code=code)
    job = replace(JOB, on_invalid=on_invalid, attempts=attempts)
    return deciding.decide(refusal, job, policy=POLICY, rng=Random(1))


@pytest.mark.parametrize("on_invalid", ["retry", "repair"])
def test_an_answer_that_does_not_follow_its_schema_is_asked_for_once_more(on_invalid: str) -> None:
    assert isinstance(formless("invalid_answer", on_invalid), Retry)
    assert isinstance(formless("invalid_answer", on_invalid, attempts=1), Retry), "after a 500"
    assert isinstance(formless("invalid_again", on_invalid, attempts=1), Failed)
    assert isinstance(formless("cut_answer", on_invalid), Failed)


def test_an_answer_that_does_not_follow_its_schema_fails_where_its_batch_says_so() -> None:
    assert isinstance(formless("invalid_answer", "fail"), Failed)


@pytest.mark.parametrize("kind", [ErrorKind.MONEY, ErrorKind.KEY])
def test_money_and_key_stop_the_key_and_never_fail_a_job(kind: ErrorKind) -> None:
    worn = replace(JOB, attempts=99, refusals=99)
    assert isinstance(decide(kind, worn), Stopped)


def test_a_request_that_is_refused_for_what_it_is_fails_at_once() -> None:
    found = decide(ErrorKind.REQUEST, retry_after_s=5.0)
    assert isinstance(found, Failed)
    assert found.refusal.message == "why"
