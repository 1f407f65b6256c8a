"""A job that falls back to another model goes whole: its counters, its queue, its first name."""

from typing import Any

from promptmill.schema.moves import endings
from promptmill.schema.moves.queueing import queue_pending
from promptmill.schema.moves.rerouting import Detour, reroute
from promptmill.schema.moves.twins import end_twins, mark_twins
from promptmill.schema.pauses import lasting_pauses, pause_provider
from promptmill.schema.states import JobState
from tests.schema.scene import (
    ANSWER,
    ANSWERED,
    BROKEN,
    MODEL,
    PROVIDER,
    REFUSED,
    UNSENT,
    Scene,
    new_jobs,
)

ASKED = f"{PROVIDER}/{MODEL}"
OTHER, THIRD = "anthropic/claude-test", "gemini/models/flash-test"


def queue_of(scene: Scene, batch: int, name: str) -> list[Any]:
    provider, _, model = name.partition("/")
    with scene.database.write() as connection:
        return queue_pending(connection, batch_id=batch, provider=provider, model=model, most=9)


def detour(scene: Scene, batch: int, *, now: str = ASKED, to: str = OTHER, most: int = 100) -> int:
    with scene.database.write() as connection:
        return reroute(connection, Detour(batch, ASKED, now, to), most=most)


def test_a_refused_job_is_asked_of_another_model_and_remembers_the_first(scene: Scene) -> None:
    job_id, fence = scene.running()
    batch = scene.job(job_id).batch_id
    assert scene.close(endings.fall_back(job_id, fence, REFUSED, OTHER)) == {job_id}
    (queued,) = queue_of(scene, batch, OTHER)
    fence = scene.claim(queued.hint)[job_id]
    scene.close(endings.fall_back(job_id, fence, UNSENT, THIRD))
    job = scene.job(job_id)
    assert (f"{job.provider}/{job.model}", job.fell_back_from) == (THIRD, ASKED)
    assert (job.state, job.attempts, job.refusals) == (JobState.PENDING, 0, 1)
    tried = scene.sql("select provider, model, outcome from attempts order by fence")
    assert [(one.provider, one.model, one.outcome) for one in tried] == [
        (PROVIDER, MODEL, 2),
        ("anthropic", "claude-test", 4),
    ]
    scene.assert_sums()


def test_a_late_end_sends_no_job_to_another_model(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.rescue((job_id, fence))
    scene.again(job_id)
    assert scene.close(endings.fall_back(job_id, fence, REFUSED, OTHER)) == set()
    assert scene.job(job_id).fell_back_from is None
    scene.assert_sums()


def test_what_waits_falls_back_and_what_is_in_hand_does_not(scene: Scene) -> None:
    batch = scene.load(5)
    first, second, *_ = scene.queue(batch, most=3)
    claimed = scene.claim(first, second)
    scene.close(endings.retry(first.job_id, claimed[first.job_id], BROKEN, 60))
    assert [detour(scene, batch, most=2), detour(scene, batch), detour(scene, batch)] == [2, 1, 0]
    jobs = scene.sql("select * from jobs order by id")
    assert [(job.provider, job.state) for job in jobs] == [
        ("anthropic", JobState.PENDING),
        (PROVIDER, JobState.RUNNING),
        (PROVIDER, JobState.QUEUED),
        ("anthropic", JobState.PENDING),
        ("anthropic", JobState.PENDING),
    ]
    assert all(job.run_at is None for job in jobs)
    assert len(queue_of(scene, batch, OTHER)) == 3
    assert scene.claim(first) == {}, "the hint in the first queue is stale"
    scene.assert_sums()


def test_a_twin_waits_and_has_the_answer_of_the_other_model(scene: Scene) -> None:
    batch = scene.load(2)
    scene.order("update job_payloads set request_hash = 'same'")
    with scene.database.write() as connection:
        assert mark_twins(connection, batch) == 1
    scene.order("update batches set state = 'paused', paused_reason = 'user'")
    assert detour(scene, batch) == 0
    scene.order("update batches set state = 'open', paused_reason = null")
    assert detour(scene, batch) == 1
    twin = scene.sql("select * from jobs where twin_of is not null")[0]
    assert (twin.provider, twin.state) == (PROVIDER, JobState.WAITING)
    (queued,) = queue_of(scene, batch, OTHER)
    fence = scene.claim(queued.hint)[queued.job_id]
    scene.close(endings.finish(queued.job_id, fence, ANSWERED, ANSWER))
    with scene.database.write() as connection:
        assert end_twins(connection, [twin.id]) == 1
    twin = scene.job(twin.id)
    assert (twin.provider, twin.fell_back_from, twin.state) == ("anthropic", ASKED, 4)


def test_a_second_detour_takes_only_who_was_asked_the_same_first(scene: Scene) -> None:
    batch = scene.load(1, jobs=new_jobs(1))
    detour(scene, batch)
    with scene.database.write() as connection:
        other = Detour(batch, "openai/another", OTHER, THIRD)
        assert reroute(connection, other, most=9) == 0
    assert detour(scene, batch, now=OTHER, to=THIRD) == 1
    (job,) = scene.sql("select * from jobs")
    assert (job.provider, job.model, job.fell_back_from) == ("gemini", "models/flash-test", ASKED)


def test_a_pause_lasts_until_it_is_nearly_over(scene: Scene) -> None:
    with scene.database.write() as connection:
        pause_provider(connection, provider="openai", kind="key", reason="key")
        pause_provider(connection, provider="gemini", kind="daily", reason="day", seconds=90)
        pause_provider(connection, provider="anthropic", kind="user", reason="a person")

    def lasting() -> list[str]:
        with scene.database.read() as connection:
            return [one.provider for one in lasting_pauses(connection, seconds=60)]

    assert lasting() == ["gemini", "openai"]
    scene.clock.advance(31)
    assert lasting() == ["openai"]
