"""What each end of an attempt writes and uses up."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from promptmill.schema.instants import parse_instant
from promptmill.schema.moves.endings import (
    Closing,
    fail,
    finish,
    hold,
    keep,
    retry,
    snooze,
    unclaim,
)
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.states import JobState
from tests.schema.scene import (
    ANSWER,
    ANSWERED,
    BROKEN,
    BUSY,
    CUT,
    REFUSED,
    START,
    UNSENT,
    Scene,
)

Close = Callable[[int, int], Closing]


def test_finish_stores_the_answer_and_what_it_cost(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.clock.advance(2)
    assert scene.close(finish(job_id, fence, ANSWERED, ANSWER)) == {job_id}
    job, result, attempt = scene.job(job_id), scene.result(job_id), scene.attempt(job_id, fence)
    assert (job.state, job.attempts, job.refusals, job.crashes) == (JobState.SUCCEEDED, 1, 0, 0)
    assert job.lease_owner is None
    assert job.finished_at == attempt.ended_at == result.created_at
    assert (result.text, result.finish_reason, result.fence) == ("four", "stop", fence)
    assert (attempt.outcome, attempt.http_status) == (AttemptOutcome.SUCCEEDED, 200)
    assert (attempt.input_tokens, attempt.output_tokens, attempt.cost_micros) == (100, 20, 1500)
    assert (attempt.cache_read_tokens, attempt.cache_write_tokens) == (40, 5)
    assert (attempt.reasoning_tokens, attempt.latency_ms) == (7, 1234)


@pytest.mark.parametrize(
    ("move", "state", "attempts", "refusals"),
    [
        (lambda j, f: finish(j, f, ANSWERED, ANSWER), JobState.SUCCEEDED, 1, 0),
        (lambda j, f: retry(j, f, BROKEN, 3.0), JobState.WAITING, 1, 0),
        (lambda j, f: snooze(j, f, BUSY, 3.0), JobState.WAITING, 0, 1),
        (lambda j, f: keep(j, f, UNSENT), JobState.PENDING, 0, 0),
        (lambda j, f: unclaim(j, f, UNSENT), JobState.QUEUED, 0, 0),
        (lambda j, f: fail(j, f, REFUSED), JobState.FAILED, 1, 0),
        (lambda j, f: hold(j, f, CUT), JobState.QUARANTINED, 1, 0),
    ],
    ids=["finish", "retry", "snooze", "keep", "unclaim", "fail", "hold"],
)
def test_what_each_close_uses_up(
    scene: Scene, move: Close, state: JobState, attempts: int, refusals: int
) -> None:
    job_id, fence = scene.running()
    assert scene.close(move(job_id, fence)) == {job_id}
    job = scene.job(job_id)
    assert (job.state, job.attempts, job.refusals, job.crashes) == (state, attempts, refusals, 0)
    assert job.lease_owner is None
    assert (job.queued_at is not None) == (state == JobState.QUEUED)
    assert (job.finished_at is not None) == (state >= JobState.SUCCEEDED)
    assert (job.run_at is not None) == (state == JobState.WAITING)
    assert (scene.result(job_id) is not None) == (state == JobState.SUCCEEDED)


def test_delays_of_whole_and_broken_seconds_are_closed_in_one_group(scene: Scene) -> None:
    fences = scene.claim(*scene.queue(scene.load(3)))
    one, two, three = fences.items()
    scene.close(retry(*one, BROKEN, 5), snooze(*two, BUSY, 2.25), keep(*three, UNSENT))
    waits = [parse_instant(scene.job(job_id).run_at) for job_id in list(fences)[:2]]
    assert [(at - START).total_seconds() for at in waits if at] == [5, 2.25]


def test_what_came_and_could_not_be_used_is_kept(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.close(fail(job_id, fence, replace(REFUSED, body_base64="PGh0bWw+")))
    (kept,) = scene.sql("select * from attempt_bodies")
    assert (kept.job_id, kept.fence, kept.body_base64) == (job_id, fence, "PGh0bWw+")


@pytest.mark.parametrize(
    "closing",
    [
        finish(1, 1, ANSWERED, ANSWER),
        retry(1, 1, BROKEN, 3.0),
        retry(1, 1, CUT, 3.0),
        fail(1, 1, REFUSED),
        keep(1, 1, UNSENT),
    ],
    ids=["finish", "retry", "retry after unknown", "fail", "keep"],
)
def test_a_close_repeated_because_the_commits_answer_was_lost_changes_nothing(
    scene: Scene, closing: Closing
) -> None:
    job_id, fence = scene.running()
    closing = replace(closing, job_id=job_id, fence=fence)
    assert scene.close(closing) == {job_id}
    before = scene.everything()
    scene.clock.advance(1)
    assert scene.close(closing) == set()
    assert scene.everything() == before
