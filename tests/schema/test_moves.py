"""Every move of a job, by what it does: one suite over both engines."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from promptmill.schema.database import DatabaseError
from promptmill.schema.hint import Hint
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
from promptmill.schema.moves.queueing import postpone, unqueue
from promptmill.schema.moves.rescuing import is_on_trial, running_of
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.reading import due_jobs
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


@pytest.fixture(autouse=True)
def _sums_hold(scene: Scene) -> Iterator[None]:
    """After every test: counters equal the tables, rollups the sums over attempts."""
    yield
    scene.assert_sums()


Close = Callable[[int, int], Closing]


# Queueing


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


# Claiming


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


# Closing


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


# Zombies: workers that go on after their jobs were taken from them


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


def test_an_undone_claim_leaves_its_hint_good(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    fence = scene.claim(hint)[hint.job_id]
    scene.close(unclaim(hint.job_id, fence, UNSENT))
    assert scene.attempt(hint.job_id, fence).outcome == AttemptOutcome.NOT_SENT
    assert scene.claim(hint) == {hint.job_id: fence + 1}


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


# Rescue


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


# SQL refuses what no move does


def test_hand_written_sql_cannot_skip_the_lease(scene: Scene) -> None:
    scene.running()
    with pytest.raises(DatabaseError, match="lease_iff_running"):
        scene.order("update jobs set lease_owner = null")
