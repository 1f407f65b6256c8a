"""A batch pauses when too many of its jobs have failed, whoever saw them fail."""

import threading

import pytest

from promptmill.schema.database import Database
from promptmill.schema.moves import steering
from promptmill.schema.moves.closing import close
from promptmill.schema.moves.endings import fail, finish, hold
from promptmill.schema.new_job import NewJob
from promptmill.schema.states import JobState
from tests.schema.scene import ANSWER, ANSWERED, CUT, REFUSED, Scene, new_jobs

MOST = 3


@pytest.fixture
def batch(scene: Scene) -> int:
    return scene.load(20, max_failures=MOST)


def claimed(scene: Scene, batch: int, most: int = 10) -> list[tuple[int, int]]:
    return sorted(scene.claim(*scene.queue(batch, most=most)).items())


def paused(scene: Scene, batch: int) -> str | None:
    row = scene.sql(f"select state, paused_reason from batches where id = {batch}")[0]
    assert (row.state == "paused") == (row.paused_reason is not None)
    return None if row.paused_reason is None else str(row.paused_reason)


def test_the_last_failure_that_is_allowed_pauses_it_with_an_example(
    scene: Scene, batch: int
) -> None:
    jobs = claimed(scene, batch)
    scene.close(fail(*jobs[0], REFUSED), hold(*jobs[1], CUT))
    scene.close(finish(*jobs[2], ANSWERED, ANSWER))
    assert paused(scene, batch) is None
    scene.close(fail(*jobs[3], REFUSED))
    assert paused(scene, batch) == (
        "max-failures reached: 3 of 20 prompts failed, for example prompt 4: request"
    )
    assert scene.queue(batch) == []
    scene.close(fail(*jobs[4], REFUSED), finish(*jobs[5], ANSWERED, ANSWER))
    assert scene.job(jobs[4][0]).state == JobState.FAILED


def test_jobs_that_are_held_because_their_worker_was_lost_count(scene: Scene) -> None:
    batch = scene.load(20, max_failures=1, on_unknown="hold")
    scene.rescue(*claimed(scene, batch, most=1))
    assert "for example prompt 1: its beat stood still" in (paused(scene, batch) or "")


def test_told_to_go_on_it_pauses_after_as_many_again(scene: Scene, batch: int) -> None:
    jobs = claimed(scene, batch)
    scene.close(*(fail(*job, REFUSED) for job in jobs[:4]))
    with scene.database.write() as connection:
        assert steering.resume_batch(connection, batch)
    scene.close(*(fail(*job, REFUSED) for job in jobs[4:6]))
    assert paused(scene, batch) is None
    scene.close(fail(*jobs[6], REFUSED))
    assert "7 of 20" in (paused(scene, batch) or "")


def test_a_pause_by_hand_does_not_start_the_count_anew(scene: Scene, batch: int) -> None:
    jobs = claimed(scene, batch)
    scene.close(*(fail(*job, REFUSED) for job in jobs[:2]))
    with scene.database.write() as connection:
        steering.pause_batch(connection, batch, "by hand")
        steering.resume_batch(connection, batch)
    scene.close(fail(*jobs[2], REFUSED))
    assert paused(scene, batch)


def test_another_number_sets_it_going_and_counts_all_that_failed(scene: Scene, batch: int) -> None:
    jobs = claimed(scene, batch)
    scene.close(*(fail(*job, REFUSED) for job in jobs[:3]))
    with scene.database.write() as connection:
        assert steering.allow_failures(connection, batch, 5)
    scene.close(fail(*jobs[3], REFUSED))
    assert paused(scene, batch) is None
    scene.close(fail(*jobs[4], REFUSED))
    assert paused(scene, batch)


def test_another_number_does_not_undo_a_pause_by_hand(scene: Scene, batch: int) -> None:
    with scene.database.write() as connection:
        steering.pause_batch(connection, batch, "by hand")
        assert not steering.allow_failures(connection, batch, None)
    assert paused(scene, batch) == "by hand"


def test_what_is_tried_again_has_not_failed(scene: Scene, batch: int) -> None:
    """Also where the batch had been told to go on with its failures."""
    jobs = claimed(scene, batch)
    scene.close(*(fail(*job, REFUSED) for job in jobs[:3]))
    with scene.database.write() as connection:
        steering.resume_batch(connection, batch)
        steering.replay_jobs(connection, batch, [JobState.FAILED])
    scene.close(*(fail(*job, REFUSED) for job in jobs[3:5]))
    assert paused(scene, batch) is None
    scene.close(fail(*jobs[5], REFUSED))
    assert "3 of 20" in (paused(scene, batch) or "")


def test_a_batch_of_which_nothing_is_left_is_not_paused(scene: Scene) -> None:
    batch = scene.load(MOST, max_failures=MOST)
    scene.close(*(fail(*job, REFUSED) for job in claimed(scene, batch)))
    assert paused(scene, batch) is None


def test_of_two_workers_whose_failures_meet_one_sees_both(postgres_database: Database) -> None:
    """Their counters are of two models, so neither waits for the other's."""
    scene = Scene(postgres_database)
    jobs = [*new_jobs(5), *(_of_other_model(job) for job in new_jobs(5))]
    batch = scene.load(10, jobs=jobs, max_failures=2)
    first = claimed(scene, batch, most=1)[0]
    second = next(iter(scene.claim(*scene.queue(batch, most=1, model="other")).items()))
    begun = threading.Event()

    def close_second() -> None:
        begun.set()
        scene.close(fail(*second, REFUSED))

    thread = threading.Thread(target=close_second)
    with scene.database.write() as connection:
        close(connection, [fail(*first, REFUSED)], worker_id="w1")
        thread.start()
        begun.wait()
        assert paused(scene, batch) is None
    thread.join()
    assert "2 of 10" in (paused(scene, batch) or "")


def _of_other_model(job: NewJob) -> NewJob:
    return NewJob(
        job.position + 5, f"{job.custom_id}-b", job.provider, "other", job.body, job.request_hash
    )
