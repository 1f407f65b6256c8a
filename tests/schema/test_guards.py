"""What SQL refuses and keeps by itself, also against hand-written SQL, on both engines."""

from dataclasses import replace
from itertools import product

import pytest
from msgspec import structs

from promptmill.schema.database import DatabaseError
from promptmill.schema.instants import parse_instant
from promptmill.schema.moves.endings import fail, finish, retry, snooze
from promptmill.schema.states import FINAL_STATES, LEGAL_MOVES, JobState
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, BUSY, REFUSED, Scene, new_jobs

NOW = "'2026-11-22T11:00:00.000Z'"
COLUMNS = {
    JobState.QUEUED: f"queued_at = {NOW}",
    JobState.RUNNING: "lease_owner = 'w1'",
    JobState.WAITING: f"run_at = {NOW}",
} | dict.fromkeys(FINAL_STATES, f"finished_at = {NOW}")


def to(state: JobState) -> str:
    """Write what an UPDATE sets so that a job in *state* passes the CHECKs."""
    cleared = dict.fromkeys(("queued_at", "lease_owner", "run_at", "finished_at"), "null")
    if state in COLUMNS:
        column, value = COLUMNS[state].split(" = ")
        cleared[column] = value
    return f"state = {state.value}, " + ", ".join(f"{k} = {v}" for k, v in cleared.items())


def put(scene: Scene, state: JobState) -> int:
    """Load one job and bring it to *state* by legal moves."""
    (job_id,) = scene.ids(scene.load(1))
    ways = {
        JobState.PENDING: (),
        JobState.WAITING: (JobState.QUEUED, JobState.WAITING),
        JobState.SUCCEEDED: (JobState.RUNNING, JobState.SUCCEEDED),
        JobState.FAILED: (JobState.RUNNING, JobState.FAILED),
    }
    for step in ways.get(state, (state,)):
        scene.order(f"update jobs set {to(step)} where id = {job_id}")
    return job_id


def test_each_of_the_64_moves_is_legal_or_refused_as_the_map_says(scene: Scene) -> None:
    for old, new in product(JobState, JobState):
        job_id = put(scene, old)
        legal = old == new or new in LEGAL_MOVES[old]
        move = f"update jobs set {to(new)} where id = {job_id}"
        if legal:
            assert scene.order(move) == 1, f"{old.word} to {new.word}"
        else:
            with pytest.raises(DatabaseError, match="illegal job state move"):
                scene.order(move)
        assert scene.job(job_id).state == (new if legal else old)
    scene.assert_sums()


def test_one_illegal_move_undoes_the_whole_statement(scene: Scene) -> None:
    put(scene, JobState.SUCCEEDED)
    pending = put(scene, JobState.PENDING)
    with pytest.raises(DatabaseError, match="illegal job state move"):
        scene.order(f"update jobs set {to(JobState.QUEUED)}")
    assert scene.job(pending).state == JobState.PENDING
    scene.assert_sums()


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("update jobs set state = 8, queued_at = null", "ck_jobs_"),
        ("update jobs set queued_at = null", "ck_jobs_queued_at_iff_queued"),
        ("update jobs set lease_owner = 'w1'", "ck_jobs_lease_iff_running"),
        (f"update jobs set run_at = {NOW}", "ck_jobs_run_at_iff_waiting"),
        (f"update jobs set finished_at = {NOW}", "ck_jobs_finished_at_iff_final"),
        ("update batches set state = 'done'", "ck_batches_state"),
        ("update batches set state = 'paused'", "ck_batches_reason_iff_paused"),
        ("update batches set paused_reason = 'user'", "ck_batches_reason_iff_paused"),
        ("update batches set on_unknown = 'guess'", "ck_batches_on_unknown"),
    ],
)
def test_a_check_names_what_is_wrong(scene: Scene, statement: str, constraint: str) -> None:
    put(scene, JobState.QUEUED)
    # An unknown state is refused by whichever guard comes first.
    with pytest.raises(DatabaseError, match=f"{constraint}|illegal job state move"):
        scene.order(statement)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("update attempts set outcome = 1", "ck_attempts_ended_at_iff_closed"),
        (f"update attempts set ended_at = {NOW}", "ck_attempts_ended_at_iff_closed"),
        (f"update attempts set outcome = 6, ended_at = {NOW}", "ck_attempts_outcome"),
    ],
)
def test_an_attempt_has_an_end_if_and_only_if_it_is_closed(
    scene: Scene, statement: str, constraint: str
) -> None:
    scene.running()
    with pytest.raises(DatabaseError, match=constraint):
        scene.order(statement)


def test_a_custom_id_is_once_in_a_batch(scene: Scene) -> None:
    jobs = new_jobs(2)
    with pytest.raises(DatabaseError, match=r"(?i)unique"):
        scene.load(2, jobs=[jobs[0], structs.replace(jobs[1], custom_id=jobs[0].custom_id)])
    assert scene.count("jobs") == 0, "nothing of the transaction is kept"


# Counters and rollups


def test_counters_follow_several_batches_models_and_states_at_once(scene: Scene) -> None:
    scene.load(3)
    scene.load(2, jobs=new_jobs(2, model="another"))
    scene.order(f"update jobs set {to(JobState.CANCELLED)}")
    scene.order("update jobs set state = 0, finished_at = null where position = 1")
    scene.assert_sums()
    rows = scene.sql("select model, state, jobs from batch_counts where jobs > 0 order by 1, 2")
    assert [(row.model, row.state, row.jobs) for row in rows] == [
        ("another", 0, 1),
        ("another", 6, 1),
        ("gpt-test", 0, 1),
        ("gpt-test", 6, 2),
    ]


def test_usage_is_summed_by_the_hour_in_which_the_call_began(scene: Scene) -> None:
    scene.clock.advance(59)  # 10:59:59
    job_id, fence = scene.running()
    scene.clock.advance(2)  # the answer comes in the next hour
    scene.close(finish(job_id, fence, ANSWERED, ANSWER))
    other, fence = scene.running()
    scene.close(retry(other, fence, BROKEN, 1.0))
    rows = scene.sql("select * from usage_hourly order by hour_at, outcome")
    assert [(str(parse_instant(row.hour_at))[11:19], row.outcome, row.calls) for row in rows] == [
        ("10:00:00", 1, 1),
        ("11:00:00", 2, 1),
    ]
    first, second = rows
    assert (first.input_tokens, first.output_tokens, first.cost_micros) == (100, 20, 1500)
    assert (first.error_kind, second.error_kind) == ("", "transient")


def test_a_cost_that_is_not_known_counts_as_unpriced_not_as_nothing(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.close(finish(job_id, fence, replace(ANSWERED, cost_micros=None), ANSWER))
    (row,) = scene.sql("select * from usage_hourly")
    assert (row.calls, row.unpriced_calls, row.cost_micros) == (1, 1, 0)


def test_a_rollup_moves_with_an_attempt_that_is_told_better(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.rescue((job_id, fence))
    scene.close(snooze(job_id, fence, replace(BUSY, cost_micros=3), 1.0))
    scene.assert_sums()
    rows = scene.sql("select outcome, calls, cost_micros from usage_hourly where calls > 0")
    assert [(row.outcome, row.calls, row.cost_micros) for row in rows] == [(2, 1, 3)]


@pytest.mark.parametrize(
    ("latency_ms", "kept"),
    [
        (0, 0),
        (99, 99),
        (100, 100),
        (119, 110),
        (1234, 1200),
        (99_999, 99_000),
        (1_234_567, 1_200_000),
        (12_345_678, 12_000_000),
    ],
)
def test_latencies_are_counted_with_two_significant_digits(
    scene: Scene, latency_ms: int, kept: int
) -> None:
    job_id, fence = scene.running()
    scene.close(finish(job_id, fence, replace(ANSWERED, latency_ms=latency_ms), ANSWER))
    (row,) = scene.sql("select * from latency_daily")
    assert (row.latency_ms, row.calls) == (kept, 1)
    assert str(parse_instant(row.day_at))[:19] == "2026-11-22 00:00:00"


def test_first_tokens_are_counted_where_an_answer_was_streamed(scene: Scene) -> None:
    fences = scene.claim(*scene.queue(scene.load(3)))
    one, two, three = fences.items()
    scene.close(
        finish(*one, replace(ANSWERED, first_token_ms=119), ANSWER),
        finish(*two, ANSWERED, ANSWER),
        fail(*three, replace(REFUSED, first_token_ms=50)),
    )
    (row,) = scene.sql("select * from first_token_daily")
    assert (row.first_token_ms, row.calls) == (110, 1)
    (row,) = scene.sql("select * from promptmill_first_token_by_model")
    assert (row.answers, row.p50_ms, row.slowest_ms) == (1, 110, 110)
    rows = scene.sql("select first_token_ms from promptmill_attempts order by 1")
    assert {row.first_token_ms for row in rows} == {None, 50, 119}


def test_only_answers_count_in_the_latency_histogram(scene: Scene) -> None:
    fences = scene.claim(*scene.queue(scene.load(3)))
    one, two, three = fences.items()
    scene.close(
        finish(*one, ANSWERED, ANSWER),
        finish(*two, ANSWERED, ANSWER),
        fail(*three, replace(REFUSED, latency_ms=50)),
    )
    (row,) = scene.sql("select * from latency_daily")
    assert (row.latency_ms, row.calls) == (1200, 2)
