"""What people order: cancel, pause, resume, replay; and how batches are loaded."""

import pytest

from promptmill.schema.moves import steering
from promptmill.schema.moves.endings import fail, finish, hold, retry
from promptmill.schema.moves.loading import (
    Loaded,
    create_batch,
    discard_loading,
    find_batch,
    insert_jobs,
    look_at_batch,
    open_batch,
    position_of,
)
from promptmill.schema.pauses import lift_pauses, pause_provider, pauses_now
from promptmill.schema.reading import batch_counts, batch_row, batch_usage, due_jobs, latest_batches
from promptmill.schema.states import JobState
from tests.schema.scene import (
    ANSWER,
    ANSWERED,
    BROKEN,
    CUT,
    MODEL,
    PROVIDER,
    REFUSED,
    Scene,
    new_batch,
    new_jobs,
)


def states(scene: Scene, batch: int) -> list[JobState]:
    return [JobState(scene.job(job_id).state) for job_id in scene.ids(batch)]


# Loading


def test_a_load_is_found_and_resumed_by_its_identity(scene: Scene) -> None:
    with scene.database.write() as connection:
        assert find_batch(connection, "nothing of the kind") is None
        batch = create_batch(connection, new_batch("a", total=5))
        insert_jobs(connection, batch, new_jobs(2))
        found = find_batch(connection, "identity of a")
        assert found is not None
        assert (found.id, found.state, found.total) == (batch, "loading", 5)
        assert look_at_batch(connection, batch) == Loaded("loading", last=2)
        insert_jobs(connection, batch, new_jobs(5)[2:])
        open_batch(connection, batch)
        assert position_of(connection, batch, "row-4") == 4
        assert position_of(connection, batch, "row-6") is None


def test_the_newest_of_two_batches_with_one_identity_is_found(scene: Scene) -> None:
    with scene.database.write() as connection:
        create_batch(connection, new_batch("a"))
        newer = create_batch(connection, new_batch("a"), identity_no=1)
        found = find_batch(connection, "identity of a")
        assert found is not None
        assert (found.id, found.identity_no) == (newer, 1)


def test_a_load_that_was_given_up_is_discarded_in_chunks(scene: Scene) -> None:
    with scene.database.write() as connection:
        batch = create_batch(connection, new_batch(total=3))
        insert_jobs(connection, batch, new_jobs(3))
    for done in (False, False, True):
        with scene.database.write() as connection:
            assert discard_loading(connection, batch, most=2) is done
    assert [scene.count(table) for table in ("batches", "jobs", "job_payloads")] == [0, 0, 0]


def test_a_discard_that_is_cut_short_leaves_the_beginning(scene: Scene) -> None:
    with scene.database.write() as connection:
        batch = create_batch(connection, new_batch(total=5))
        insert_jobs(connection, batch, new_jobs(5))
    with scene.database.write() as connection:
        assert not discard_loading(connection, batch, most=2)
    left = scene.sql(f"select position from jobs where batch_id = {batch} order by position")
    assert [row.position for row in left] == [1, 2, 3], "another submit goes on behind them"
    with scene.database.write() as connection:
        insert_jobs(connection, batch, new_jobs(5)[3:])
        open_batch(connection, batch)


def test_an_empty_chunk_loads_nothing(scene: Scene) -> None:
    with scene.database.write() as connection:
        insert_jobs(connection, create_batch(connection, new_batch()), [])
    assert scene.ids(scene.load(2)) == [1, 2]


def test_a_batch_is_counted_and_dispatched_only_once_it_is_open(scene: Scene) -> None:
    with scene.database.write() as connection:
        batch = create_batch(connection, new_batch(total=3))
        insert_jobs(connection, batch, new_jobs(3))
    assert scene.queue(batch) == []
    with scene.database.write() as connection:
        assert open_batch(connection, batch)
        assert not open_batch(connection, batch), "it was open already"
    assert len(scene.queue(batch)) == 3


# Reading


def test_a_worker_reads_what_its_hints_are_still_good_for(scene: Scene) -> None:
    batch = scene.load(2)
    first, second = scene.queue(batch)
    scene.claim(second)
    scene.clock.advance(60)
    with scene.database.read() as connection:
        (due,) = due_jobs(connection, [first, second])
    assert (due.job_id, due.dispatch_no, due.position) == (first.job_id, first.dispatch_no, 1)
    assert (due.provider, due.model, due.body) == (PROVIDER, MODEL, '{"prompt": "2 + 2"}')
    assert due.on_unknown == "retry"
    assert due.age_s == pytest.approx(60, abs=0.01)


def test_progress_is_read_from_counters_and_rollups(scene: Scene) -> None:
    batch = scene.load(3)
    one, two, _three = scene.claim(*scene.queue(batch)).items()
    scene.close(finish(*one, ANSWERED, ANSWER), retry(*two, BROKEN, 1.0))
    with scene.database.read() as connection:
        counts = {row.state: row.jobs for row in batch_counts(connection, batch)}
        usage = batch_usage(connection, batch)
        row = batch_row(connection, batch)
        assert row is not None
        assert [found.id for found in latest_batches(connection)] == [batch]
        assert batch_row(connection, batch + 1) is None
    assert counts == {JobState.RUNNING: 1, JobState.SUCCEEDED: 1, JobState.WAITING: 1}
    assert [(u.outcome, u.error_kind, u.calls, u.cost_micros) for u in usage] == [
        (1, "", 1, 1500),
        (2, "transient", 1, 0),
    ]
    assert (row.state, row.total) == ("open", 3)


# Cancel


def test_cancel_ends_what_is_open_and_lets_what_runs_go_on(scene: Scene) -> None:
    batch = scene.load(5)
    one, two, three, *_ = scene.queue(batch, most=4)
    fences = scene.claim(one, two, three)
    scene.close(retry(one.job_id, fences[one.job_id], BROKEN, 9.0))
    scene.close(finish(two.job_id, fences[two.job_id], ANSWERED, ANSWER))
    with scene.database.write() as connection:
        assert steering.cancel_batch(connection, batch)
        assert not steering.cancel_batch(connection, batch)
        moved = [steering.cancel_jobs(connection, batch, most=2) for _ in range(3)]
    assert moved == [2, 1, 0]
    cancelled = JobState.CANCELLED
    assert states(scene, batch) == [
        cancelled,
        JobState.SUCCEEDED,
        JobState.RUNNING,
        cancelled,
        cancelled,
    ]
    scene.close(finish(three.job_id, fences[three.job_id], ANSWERED, ANSWER))
    assert scene.job(three.job_id).state == JobState.SUCCEEDED


def test_a_replay_does_not_undo_a_cancel_that_came_between_its_chunks(scene: Scene) -> None:
    batch = scene.load(2)
    first, _second = scene.ids(batch)
    with scene.database.write() as connection:
        steering.cancel_batch(connection, batch)
        steering.cancel_jobs(connection, batch)
        steering.replay_jobs(connection, batch, [JobState.CANCELLED], most=1)
        steering.cancel_batch(connection, batch)
        steering.replay_jobs(connection, batch, [JobState.CANCELLED], after=first)
        row = batch_row(connection, batch)
    assert row is not None
    assert row.state == "cancelled"


def test_a_batch_that_is_still_loading_is_not_cancelled(scene: Scene) -> None:
    with scene.database.write() as connection:
        batch = create_batch(connection, new_batch(total=1))
        insert_jobs(connection, batch, new_jobs(1))
        assert not steering.cancel_batch(connection, batch)
        assert open_batch(connection, batch)


# Pause


def test_a_paused_batch_goes_on_when_told(scene: Scene) -> None:
    batch = scene.load(1)
    (hint,) = scene.queue(batch)
    with scene.database.write() as connection:
        assert steering.pause_batch(connection, batch, "budget reached")
        assert not steering.pause_batch(connection, batch, "again")
    assert scene.claim(hint) == {}
    with scene.database.write() as connection:
        assert steering.resume_batch(connection, batch)
        assert not steering.resume_batch(connection, batch)
    assert scene.claim(hint) == {hint.job_id: 1}


@pytest.mark.parametrize(
    ("pause", "claimed"),
    [
        ({}, False),
        ({"model": MODEL}, False),
        ({"model": "another"}, True),
        ({"fingerprint": "k1"}, False),
        ({"fingerprint": "k2"}, True),
        ({"provider": "gemini"}, True),
    ],
    ids=["provider", "model", "another model", "key", "another key", "another provider"],
)
def test_a_pause_stops_claims_of_what_it_names(
    scene: Scene, pause: dict[str, str], claimed: bool
) -> None:
    (hint,) = scene.queue(scene.load(1))
    with scene.database.write() as connection:
        named = {"provider": PROVIDER} | pause
        pause_provider(connection, kind="money", reason="no credit left", **named)  # type: ignore[arg-type]
    assert bool(scene.claim(hint, key="k1")) is claimed


def test_a_pause_for_a_time_ends_by_itself(scene: Scene) -> None:
    (hint,) = scene.queue(scene.load(1))
    with scene.database.write() as connection:
        pause_provider(connection, provider=PROVIDER, kind="rate", reason="429", seconds=30)
    scene.clock.advance(29.9)
    assert scene.claim(hint) == {}
    with scene.database.read() as connection:
        (held,) = pauses_now(connection)
    assert (held.provider, held.kind, held.reason) == (PROVIDER, "rate", "429")
    assert held.until_at is not None
    assert (held.until_at - held.since_at).total_seconds() == 30
    scene.clock.advance(0.1)
    assert scene.claim(hint) == {hint.job_id: 1}
    with scene.database.read() as connection:
        assert pauses_now(connection) == []


def test_lifting_pauses_of_one_key_leaves_the_others(scene: Scene) -> None:
    with scene.database.write() as connection:
        for key in ("k1", "k2"):
            pause_provider(connection, provider=PROVIDER, kind="key", reason="401", fingerprint=key)
        assert lift_pauses(connection, provider=PROVIDER, fingerprint="k1") == 1
        assert [pause.fingerprint for pause in pauses_now(connection)] == ["k2"]
        assert lift_pauses(connection, provider=PROVIDER) == 1


# Replay


def test_a_replay_is_a_new_generation_with_a_clean_slate(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.close(fail(job_id, fence, REFUSED))
    batch = scene.job(job_id).batch_id
    with scene.database.write() as connection:
        assert steering.replay_jobs(connection, batch, [JobState.FAILED]) == [job_id]
        assert steering.replay_jobs(connection, batch, [JobState.FAILED], after=job_id) == []
    job = scene.job(job_id)
    assert (job.state, job.generation, job.fence) == (JobState.PENDING, 1, fence + 1)
    assert (job.attempts, job.refusals, job.crashes, job.finished_at) == (0, 0, 0, None)
    assert scene.attempt(job_id, fence).outcome == 2, "what was is kept"


def test_a_replay_moves_only_the_states_that_were_asked_for(scene: Scene) -> None:
    batch = scene.load(4)
    one, two, three, _four = sorted(scene.claim(*scene.queue(batch)).items())
    scene.close(fail(*one, REFUSED), hold(*two, CUT), finish(*three, ANSWERED, ANSWER))
    with scene.database.write() as connection:
        wanted = [JobState.QUARANTINED, JobState.SUCCEEDED]
        assert steering.replay_jobs(connection, batch, wanted) == [two[0]]
    assert states(scene, batch) == [
        JobState.FAILED,
        JobState.PENDING,
        JobState.SUCCEEDED,
        JobState.RUNNING,
    ]


def test_a_replay_opens_a_cancelled_batch_again(scene: Scene) -> None:
    batch = scene.load(3)
    ids = scene.ids(batch)
    with scene.database.write() as connection:
        steering.cancel_batch(connection, batch)
        steering.cancel_jobs(connection, batch)
        moved = [
            steering.replay_jobs(connection, batch, [JobState.CANCELLED], after=after, most=2)
            for after in (0, ids[1], ids[2])
        ]
    assert moved == [ids[:2], ids[2:], []]
    assert len(scene.claim(*scene.queue(batch))) == 3
