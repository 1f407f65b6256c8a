"""What a worker may still do that was taken for dead."""

from promptmill.schema.moves import endings
from promptmill.schema.moves.steering import cancel_batch, cancel_jobs
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.presence import declare_dead, register_worker
from promptmill.schema.states import JobState
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, Scene


def lose(scene: Scene, worker: str = "w1") -> None:
    with scene.database.write() as connection:
        register_worker(
            connection, worker_id=worker, host="h", pid=1, version="1", keys={}, concurrency=1
        )
        assert declare_dead(connection, worker, beat=0)


def test_an_answer_that_comes_after_its_job_was_held_is_stored(scene: Scene) -> None:
    job_id, fence = scene.running(on_unknown="hold")
    scene.rescue((job_id, fence))
    assert scene.job(job_id).state == JobState.QUARANTINED
    assert scene.close(endings.finish(job_id, fence, ANSWERED, ANSWER)) == {job_id}
    assert scene.job(job_id).state == JobState.SUCCEEDED
    assert scene.attempt(job_id, fence).outcome == AttemptOutcome.SUCCEEDED
    assert scene.sql("select text from results")[0].text == ANSWER.text
    scene.assert_sums()


def test_an_answer_that_comes_after_its_job_was_cancelled_is_stored(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.rescue((job_id, fence))
    with scene.database.write() as connection:
        cancel_batch(connection, scene.job(job_id).batch_id)
        cancel_jobs(connection, scene.job(job_id).batch_id)
    assert scene.close(endings.finish(job_id, fence, ANSWERED, ANSWER)) == {job_id}
    assert scene.job(job_id).state == JobState.SUCCEEDED
    scene.assert_sums()


def test_a_failure_that_comes_after_its_job_was_held_leaves_it_held(scene: Scene) -> None:
    job_id, fence = scene.running(on_unknown="hold")
    scene.rescue((job_id, fence))
    assert not scene.close(endings.retry(job_id, fence, BROKEN, 1.0))
    assert scene.job(job_id).state == JobState.QUARANTINED


def test_a_worker_that_was_declared_dead_claims_nothing_under_that_name(scene: Scene) -> None:
    hints = scene.queue(scene.load())
    lose(scene)
    assert scene.claim(*hints) == {}
    assert scene.claim(*hints, worker="its new name")
