"""What becomes of the jobs of a worker that died."""

import pytest

from promptmill.schema.moves.endings import (
    finish,
    keep,
)
from promptmill.schema.moves.rescuing import is_on_trial, running_of
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import JobState
from tests.schema.scene import (
    ANSWER,
    ANSWERED,
    UNSENT,
    Scene,
)


def test_a_rescued_job_is_pending_and_counts_a_crash_but_no_attempt(scene: Scene) -> None:
    job_id, fence = scene.running()
    assert scene.rescue((job_id, fence)) == {job_id}
    job, attempt = scene.job(job_id), scene.attempt(job_id, fence)
    assert (job.state, job.crashes, job.attempts, job.lease_owner) == (0, 1, 0, None)
    assert (attempt.outcome, attempt.error_code) == (AttemptOutcome.UNKNOWN, "worker_lost")
    assert attempt.error_text == "its beat stood still"


def test_a_job_that_kills_its_workers_is_quarantined(scene: Scene) -> None:
    job_id, fence = scene.running()
    for crash in (1, 2, 3):
        assert scene.job(job_id).crashes == crash - 1
        scene.rescue((job_id, fence), worker=scene.job(job_id).lease_owner)
        if crash < 3:
            _, fence = scene.again(job_id)
    assert scene.job(job_id).state == JobState.QUARANTINED


def test_jobs_that_are_open_beside_one_that_kills_its_workers_are_not_quarantined(
    scene: Scene,
) -> None:
    batch = scene.load(2)
    for _ in range(3):
        both = scene.claim(*scene.queue(batch)).items()
        scene.rescue(*both)
    poison, neighbour = scene.ids(batch)
    for job_id in (poison, neighbour):
        assert (scene.job(job_id).crashes, scene.job(job_id).state) == (3, JobState.PENDING)
    scene.rescue(*scene.claim(*scene.queue(batch, most=1)).items())
    assert scene.job(poison).state == JobState.QUARANTINED, "it was alone"
    ((_, fence),) = scene.claim(*scene.queue(batch)).items()
    scene.close(finish(neighbour, fence, ANSWERED, ANSWER))
    assert scene.job(neighbour).state == JobState.SUCCEEDED


def test_a_job_that_is_never_left_alone_is_quarantined_in_the_end(scene: Scene) -> None:
    batch = scene.load(2)
    for _ in range(6):
        assert {scene.job(job_id).state for job_id in scene.ids(batch)} == {JobState.PENDING}
        scene.rescue(*scene.claim(*scene.queue(batch)).items())
    assert {scene.job(job_id).state for job_id in scene.ids(batch)} == {JobState.QUARANTINED}


@pytest.mark.parametrize(
    ("crashes", "most", "alone"),
    [(0, 3, False), (1, 3, False), (2, 3, True), (5, 3, True), (0, 1, False), (1, 1, True)],
)
def test_a_job_is_on_trial_when_its_next_crash_is_to_be_its_last(
    crashes: int, most: int, alone: bool
) -> None:
    assert is_on_trial(crashes, max_crashes=most) is alone


def test_where_unknown_means_hold_one_crash_is_enough(scene: Scene) -> None:
    job_id, fence = scene.running(on_unknown="hold")
    scene.rescue((job_id, fence))
    assert scene.job(job_id).state == JobState.QUARANTINED


def test_only_what_that_worker_still_holds_is_rescued(scene: Scene) -> None:
    job_id, fence = scene.running()
    assert scene.rescue((job_id, fence), worker="w2") == set(), "another's"
    assert scene.rescue((job_id, fence - 1)) == set(), "an older claim"
    scene.close(finish(job_id, fence, ANSWERED, ANSWER))
    assert scene.rescue((job_id, fence)) == set(), "it finished meanwhile"
    assert scene.attempt(job_id, fence).outcome == AttemptOutcome.SUCCEEDED


def test_what_a_worker_holds_is_what_it_claimed_and_did_not_close(scene: Scene) -> None:
    first, second, third = scene.queue(scene.load(3))
    scene.claim(third, worker="w2")
    fences = scene.claim(first, second)
    scene.close(keep(first.job_id, fences[first.job_id], UNSENT))
    with scene.database.read() as connection:
        assert running_of(connection, "w1", most=10) == [(second.job_id, 1)]
        assert running_of(connection, "nobody", most=10) == []
