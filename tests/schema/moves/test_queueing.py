"""How jobs are queued, put back and made to wait."""

from promptmill.schema.hint import Hint
from promptmill.schema.instants import parse_instant
from promptmill.schema.moves.endings import (
    retry,
)
from promptmill.schema.moves.queueing import postpone, unqueue
from promptmill.schema.states import JobState
from tests.schema.scene import (
    BROKEN,
    START,
    Scene,
)


def test_pending_jobs_are_queued_oldest_first_and_each_once(scene: Scene) -> None:
    batch = scene.load(5)
    first, second = scene.queue(batch, most=3), scene.queue(batch, most=3)
    assert [hint.job_id for hint in (*first, *second)] == scene.ids(batch)
    assert scene.queue(batch) == []
    job = scene.job(first[0].job_id)
    assert (job.state, job.dispatch_no) == (JobState.QUEUED, 1)
    assert parse_instant(job.queued_at) == START


def test_only_the_asked_batch_and_model_are_queued(scene: Scene) -> None:
    batch, other = scene.load(2), scene.load(2)
    assert scene.queue(batch, model="another") == []
    assert {hint.job_id for hint in scene.queue(batch)} == set(scene.ids(batch))
    assert [scene.job(job_id).state for job_id in scene.ids(other)] == [JobState.PENDING] * 2


def test_unqueued_jobs_are_pending_again_and_get_a_new_number(scene: Scene) -> None:
    batch = scene.load(1)
    (old,) = scene.queue(batch)
    with scene.database.write() as connection:
        assert unqueue(connection, [old]) == {old.job_id}
    assert scene.job(old.job_id).state == JobState.PENDING
    (new,) = scene.queue(batch)
    assert new.dispatch_no == old.dispatch_no + 1
    with scene.database.write() as connection:
        assert unqueue(connection, [old]) == set(), "a stale hint changes nothing"
    assert scene.job(old.job_id).state == JobState.QUEUED


def test_a_postponed_job_waits_and_uses_up_nothing(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    with scene.database.write() as connection:
        assert postpone(connection, [(hint, 7.5)]) == {hint.job_id}
    job = scene.job(hint.job_id)
    assert (job.state, job.attempts, job.refusals, job.fence) == (JobState.WAITING, 0, 0, 0)
    waits = parse_instant(job.run_at)
    assert waits is not None
    assert (waits - START).total_seconds() == 7.5


def test_a_stale_hint_postpones_nothing(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    with scene.database.write() as connection:
        stale = Hint(hint.job_id, hint.dispatch_no - 1)
        assert postpone(connection, [(stale, 7.5)]) == set()
    assert scene.job(hint.job_id).state == JobState.QUEUED


def test_a_running_job_is_neither_postponed_nor_unqueued(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    scene.claim(hint)
    with scene.database.write() as connection:
        assert postpone(connection, [(hint, 1.0)]) == set()
        assert unqueue(connection, [hint]) == set()


def test_waiting_jobs_are_queued_when_their_time_has_come_longest_due_first(scene: Scene) -> None:
    hints = scene.queue(scene.load(3))
    fences = scene.claim(*hints)
    delays = dict(zip(fences, (30.0, 10.0, 60.0), strict=True))
    scene.close(*(retry(job, fences[job], BROKEN, delay) for job, delay in delays.items()))
    scene.clock.advance(9.999)
    assert scene.queue_due() == []
    scene.clock.advance(20.001)
    due = sorted(delays, key=delays.__getitem__)[:2]
    assert [hint.job_id for hint in scene.queue_due(most=1)] == due[:1]
    assert [hint.job_id for hint in scene.queue_due()] == due[1:]
    assert scene.job(due[0]).run_at is None
    assert scene.job(due[0]).dispatch_no == 2


def test_waiting_jobs_of_a_paused_batch_are_not_queued(scene: Scene) -> None:
    job, fence = scene.running()
    scene.close(retry(job, fence, BROKEN, 1.0))
    scene.order("update batches set state = 'paused', paused_reason = 'user'")
    scene.clock.advance(2)
    assert scene.queue_due() == []
