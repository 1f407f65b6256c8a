"""A claim: who gets a job, by which hint, and what is written before its call."""

import pytest

from promptmill.schema.database import DatabaseError
from promptmill.schema.hint import Hint
from promptmill.schema.instants import parse_instant
from promptmill.schema.moves.endings import (
    retry,
    unclaim,
)
from promptmill.schema.moves.queueing import unqueue
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.reading import due_jobs
from promptmill.schema.states import JobState
from tests.schema.scene import (
    BROKEN,
    START,
    UNSENT,
    Scene,
)


def test_a_claim_raises_the_fence_and_writes_the_intent(scene: Scene) -> None:
    job_id, fence = scene.running()
    job, attempt = scene.job(job_id), scene.attempt(job_id, fence)
    assert (job.state, job.fence, job.lease_owner) == (JobState.RUNNING, 1, "w1")
    assert (job.queued_at, job.attempts) == (None, 0)
    assert (attempt.outcome, attempt.worker_id, attempt.ended_at) == (0, "w1", None)
    assert (attempt.batch_id, attempt.provider, attempt.model) == (
        job.batch_id,
        job.provider,
        job.model,
    )
    assert parse_instant(attempt.started_at) == START


def test_a_job_is_claimed_once_however_often_its_hint_comes(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    assert scene.claim(hint, hint) == {hint.job_id: 1}
    assert scene.claim(hint) == {}
    assert scene.claim(hint, worker="w2") == {}
    assert scene.job(hint.job_id).lease_owner == "w1"
    assert scene.count("attempts") == 1


def test_a_hint_with_a_stale_number_claims_nothing(scene: Scene) -> None:
    batch = scene.load(1)
    (old,) = scene.queue(batch)
    with scene.database.write() as connection:
        unqueue(connection, [old])
    scene.queue(batch)
    assert scene.claim(old) == {}


def test_a_job_that_no_hint_was_published_for_is_not_claimed(scene: Scene) -> None:
    (job_id,) = scene.ids(scene.load(1))
    assert scene.claim(Hint(job_id, 0)) == {}
    assert scene.claim(Hint(job_id + 1000, 1)) == {}


def test_one_refused_claim_does_not_hinder_the_others_of_its_group(scene: Scene) -> None:
    first, second, third = scene.queue(scene.load(3))
    scene.claim(second, worker="w2")
    assert scene.claim(first, second, third) == {first.job_id: 1, third.job_id: 1}


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_nothing_of_a_stopped_batch_is_claimed(scene: Scene, state: str) -> None:
    (hint,) = scene.queue(scene.load(1))
    reason = "'user'" if state == "paused" else "null"
    scene.order(f"update batches set state = '{state}', paused_reason = {reason}")
    assert scene.claim(hint) == {}
    assert scene.job(hint.job_id).state == JobState.QUEUED


def test_a_waiting_job_is_claimed_by_the_hint_it_had_once_it_is_due(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    fence = scene.claim(hint)[hint.job_id]
    scene.close(retry(hint.job_id, fence, BROKEN, 5.0))
    scene.clock.advance(5)
    assert scene.claim(hint) == {hint.job_id: 2}


def test_a_doubled_hint_does_not_cut_a_backoff_short(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    fence = scene.claim(hint)[hint.job_id]
    scene.close(retry(hint.job_id, fence, BROKEN, 60.0))
    scene.clock.advance(59)
    assert scene.claim(hint) == {}
    assert scene.job(hint.job_id).state == JobState.WAITING
    with scene.database.read() as connection:
        assert due_jobs(connection, [hint]) == [], "nor is it worth permits"


def test_an_undone_claim_leaves_its_hint_good(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    fence = scene.claim(hint)[hint.job_id]
    scene.close(unclaim(hint.job_id, fence, UNSENT))
    assert scene.attempt(hint.job_id, fence).outcome == AttemptOutcome.NOT_SENT
    assert scene.claim(hint) == {hint.job_id: fence + 1}


def test_hand_written_sql_cannot_skip_the_lease(scene: Scene) -> None:
    scene.running()
    with pytest.raises(DatabaseError, match="lease_iff_running"):
        scene.order("update jobs set lease_owner = null")
