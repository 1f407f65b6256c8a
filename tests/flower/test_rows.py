"""How a task becomes a row: `flower_config.format_task`, on Celery's own task of events."""

import pytest
from celery.events.state import Task

from promptmill.producer.cli.flower_config import format_task


def test_the_name_is_the_provider() -> None:
    assert format_task(Task(name="promptmill.complete.openai")).name == "openai"


def test_a_task_that_flower_knows_too_little_of_is_shown_as_it_is() -> None:
    task = format_task(Task(uuid="job-1"))
    assert (task.name, task.state, task.result) == ("", "PENDING", None)


@pytest.mark.parametrize("told", ["ok in=512 out=83 $0.0004", "ok"])
def test_an_answer_is_a_success(told: str) -> None:
    task = format_task(Task(state="SUCCESS", result=repr(told)))
    assert (task.state, task.result) == ("SUCCESS", told)


@pytest.mark.parametrize("told", ["snoozed 3.0 s: rate 429", "dropped: stale", "paused: key 401"])
def test_a_message_that_brought_no_answer_is_not_shown_as_a_success(told: str) -> None:
    task = format_task(Task(state="SUCCESS", result=repr(told)))
    assert (task.state, task.result) == ("NO ANSWER", told)


@pytest.mark.parametrize(
    ("state", "exception", "shown"),
    [
        ("FAILURE", "JobFailed('request 400 x (why)')", "request 400 x (why)"),
        ("FAILURE", 'JobFailed("it\'s too long")', "it's too long"),
        ("FAILURE", "RuntimeError('no runtime')", "RuntimeError('no runtime')"),
        (
            "RETRY",
            "Retry(Retry(...), JobFailed('transient 500 e'), 1.26)",
            "transient 500 e, again in 1.3 s",
        ),
        ("RETRY", "Retry(Retry(...), None, None)", "Retry(Retry(...), None, None)"),
    ],
)
def test_the_reason_stands_where_a_result_would(state: str, exception: str, shown: str) -> None:
    assert format_task(Task(state=state, exception=exception)).result == shown


def test_the_result_of_an_earlier_attempt_is_not_shown_for_a_failure() -> None:
    task = Task(state="FAILURE", result="'snoozed 1.0 s: rate 429'", exception="JobFailed('late')")
    assert format_task(task).result == "late"
