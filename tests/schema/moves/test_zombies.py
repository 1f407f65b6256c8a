"""Workers that go on after their jobs were taken from them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from promptmill.schema.moves.endings import (
    Closing,
    fail,
    finish,
    hold,
    keep,
    retry,
)
from promptmill.schema.moves.queueing import postpone
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import JobState
from tests.schema.scene import (
    ANSWER,
    ANSWERED,
    BROKEN,
    CUT,
    REFUSED,
    UNSENT,
    Scene,
)

Close = Callable[[int, int], Closing]


@pytest.mark.parametrize(
    "failure",
    [
        lambda j, f: fail(j, f, REFUSED),
        lambda j, f: retry(j, f, BROKEN, 1.0),
        lambda j, f: hold(j, f, CUT),
        lambda j, f: keep(j, f, UNSENT),
    ],
    ids=["fail", "retry", "hold", "keep"],
)
def test_a_zombies_failure_does_not_end_the_new_run(scene: Scene, failure: Close) -> None:
    job_id, old = scene.running()
    scene.rescue((job_id, old))
    _, new = scene.again(job_id)
    assert scene.close(failure(job_id, old)) == set()
    job = scene.job(job_id)
    assert (job.state, job.fence, job.lease_owner) == (JobState.RUNNING, new, "w2")
    assert (job.attempts, job.crashes) == (0, 1)


def test_a_late_answer_is_booked_with_its_cost_and_does_not_end_the_new_run(scene: Scene) -> None:
    job_id, old = scene.running()
    scene.rescue((job_id, old))
    _, new = scene.again(job_id)
    assert scene.close(finish(job_id, old, ANSWERED, ANSWER)) == set()
    late = scene.attempt(job_id, old)
    assert (late.outcome, late.cost_micros) == (AttemptOutcome.LATE, 1500)
    assert scene.result(job_id) is None
    assert scene.close(finish(job_id, new, ANSWERED, ANSWER), worker="w2") == {job_id}
    assert scene.result(job_id).fence == new
    assert scene.attempt(job_id, new).outcome == AttemptOutcome.SUCCEEDED


def test_a_late_answer_after_the_end_leaves_the_first_answer(scene: Scene) -> None:
    job_id, old = scene.running()
    scene.rescue((job_id, old))
    _, new = scene.again(job_id)
    scene.close(finish(job_id, new, ANSWERED, ANSWER), worker="w2")
    scene.close(finish(job_id, old, ANSWERED, replace(ANSWER, text="five")))
    assert (scene.result(job_id).text, scene.result(job_id).fence) == ("four", new)
    assert scene.attempt(job_id, old).outcome == AttemptOutcome.LATE


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.QUEUED, JobState.WAITING])
def test_a_late_answer_is_adopted_where_nobody_claimed_since(scene: Scene, state: JobState) -> None:
    job_id, fence = scene.running()
    scene.rescue((job_id, fence))
    if state != JobState.PENDING:
        hints = scene.queue(scene.job(job_id).batch_id)
    if state == JobState.WAITING:
        with scene.database.write() as connection:
            postpone(connection, [(hint, 9.0) for hint in hints])
    assert scene.job(job_id).state == state
    assert scene.close(finish(job_id, fence, ANSWERED, ANSWER)) == {job_id}
    job = scene.job(job_id)
    assert (job.state, job.attempts, job.crashes) == (JobState.SUCCEEDED, 1, 1)
    assert scene.result(job_id).fence == fence
    assert scene.attempt(job_id, fence).outcome == AttemptOutcome.SUCCEEDED


def test_a_late_answer_after_a_replay_is_only_booked(scene: Scene) -> None:
    job_id, fence = scene.running(on_unknown="hold")
    scene.rescue((job_id, fence))
    scene.order("update jobs set state = 0, generation = 1, fence = fence + 1, finished_at = null")
    assert scene.close(finish(job_id, fence, ANSWERED, ANSWER)) == set()
    assert scene.job(job_id).state == JobState.PENDING
    assert scene.attempt(job_id, fence).outcome == AttemptOutcome.LATE


def test_a_late_failure_of_a_rescued_job_tells_more_than_unknown(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.rescue((job_id, fence))
    scene.close(retry(job_id, fence, BROKEN, 1.0))
    attempt = scene.attempt(job_id, fence)
    assert (attempt.outcome, attempt.error_code) == (AttemptOutcome.REFUSED, "server_error")
    assert scene.job(job_id).state == JobState.PENDING
