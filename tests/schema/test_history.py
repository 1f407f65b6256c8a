"""What is read back of past calls, to rebuild the limiter's memory from."""

from collections.abc import Collection
from datetime import timedelta

import pytest

from promptmill.schema.database import Database
from promptmill.schema.history import (
    PastAnswer,
    Used,
    recent_answers,
    recent_latencies,
    used_since,
)
from promptmill.schema.moves.endings import Attempted, finish, keep, retry, snooze, unclaim
from promptmill.schema.new_job import NewJob
from promptmill.schema.outcomes import AttemptOutcome, Usage
from tests.schema.scene import (
    ANSWER,
    ANSWERED,
    BUSY,
    CUT,
    MODEL,
    PROVIDER,
    START,
    UNSENT,
    Scene,
    new_jobs,
)
from tests.schema.test_plans import assert_no_scan, full, full_postgres, full_sqlite, plans

__all__ = ["full", "full_postgres", "full_sqlite"]

HOUR = timedelta(hours=1)


def used(scene: Scene, models: Collection[str] | None = (MODEL,), since: timedelta = -HOUR) -> Used:
    with scene.database.read() as connection:
        return used_since(connection, PROVIDER, models, START + since)


def answers(scene: Scene, count: int = 50, model: str = MODEL) -> tuple[PastAnswer, ...]:
    with scene.database.read() as connection:
        return recent_answers(connection, PROVIDER, model, count)


def answer(scene: Scene, *, given: int = 100, answered: int = 20, **changes: object) -> None:
    attempted = Attempted(AttemptOutcome.SUCCEEDED, usage=Usage(given, answered, 40))
    scene.close(finish(*scene.running(**changes), attempted, ANSWER))


# Used


def test_nothing_was_used_where_nothing_was_called(scene: Scene) -> None:
    scene.load(3)
    assert used(scene) == Used(0, 0, 0)


def test_each_call_that_was_sent_counts_and_none_that_was_not(scene: Scene) -> None:
    for closing in (
        finish(*scene.running(), ANSWERED, ANSWER),
        snooze(*scene.running(), BUSY, 60),
        retry(*scene.running(), CUT, 60),
        unclaim(*scene.running(), UNSENT),
    ):
        scene.close(closing)
    assert used(scene) == Used(requests=3, input_tokens=100, output_tokens=20)


def test_an_answer_that_came_late_counts_too(scene: Scene) -> None:
    job_id, fence = scene.running()
    scene.rescue((job_id, fence))
    scene.claim(*scene.queue(scene.job(job_id).batch_id), worker="w2")
    scene.close(finish(job_id, fence, ANSWERED, ANSWER))
    assert scene.attempt(job_id, fence).outcome == AttemptOutcome.LATE
    assert used(scene) == Used(requests=2, input_tokens=200, output_tokens=40)


def test_open_calls_count_with_the_mean_of_the_answered_ones_of_their_model(scene: Scene) -> None:
    answer(scene, given=100, answered=20)
    answer(scene, given=300, answered=40)
    scene.running()
    scene.running()
    assert used(scene) == Used(4, 400 + 2 * 200, 60 + 2 * 30)


def test_open_calls_count_as_requests_where_none_was_answered(scene: Scene) -> None:
    scene.running()
    assert used(scene) == Used(requests=1)


def test_what_was_before_the_hour_of_the_start_does_not_count(scene: Scene) -> None:
    """The clock stands at 10:59 at first, and usage is summed up by the hour of the start."""
    answer(scene)
    scene.clock.advance(3600)
    answer(scene)
    assert used(scene) == Used(2, 200, 40)
    assert used(scene, since=timedelta(minutes=5)) == Used(1, 100, 20)
    assert used(scene, since=2 * HOUR) == Used()


def test_models_are_told_apart_and_other_providers_do_not_count(scene: Scene) -> None:
    answer(scene)
    scene.load(jobs=new_jobs(2, model="other"))
    scene.claim(*scene.queue(2, model="other", most=1))
    foreign = scene.load(jobs=new_jobs(1, provider="azure"))
    scene.order(f"update jobs set state = 1, queued_at = '2026-11-22T10:00Z' where id = {foreign}")
    assert used(scene).requests == 1
    assert used(scene, models=["other"]).requests == 1
    assert used(scene, models=None) == Used(2, 100, 20)
    assert used(scene, models=[]) == Used()


# Answers


def test_answers_come_with_their_request_and_their_true_usage(scene: Scene) -> None:
    answer(scene, given=100, answered=20)
    assert answers(scene) == (PastAnswer('{"prompt": "2 + 2"}', 100, 40, 20),)
    assert "2 + 2" not in repr(answers(scene))


def numbered(count: int) -> list[NewJob]:
    return [
        NewJob(n, f"row-{n}", PROVIDER, MODEL, f'{{"prompt": "{n}"}}', f"{n:064x}")
        for n in range(1, count + 1)
    ]


def prompts(found: tuple[PastAnswer, ...]) -> set[int]:
    return {int(each.body.split('"')[3]) for each in found}


def test_the_last_answers_of_a_batch_under_way_come_first(scene: Scene) -> None:
    batch = scene.load(jobs=numbered(100))
    hints = scene.queue(batch, most=40)
    for job_id, fence in scene.claim(*hints[:30]).items():
        scene.close(finish(job_id, fence, ANSWERED, ANSWER))
    assert prompts(answers(scene, 10)) == set(range(21, 31))
    assert len(answers(scene, 50)) == 30


def test_answers_of_a_batch_that_has_ended_are_found_too(scene: Scene) -> None:
    batch = scene.load(jobs=numbered(5))
    for job_id, fence in scene.claim(*scene.queue(batch)).items():
        scene.close(finish(job_id, fence, ANSWERED, ANSWER))
    scene.load(3)
    assert prompts(answers(scene)) == {1, 2, 3, 4, 5}


def test_a_job_that_is_pending_again_hides_no_answers(scene: Scene) -> None:
    batch = scene.load(jobs=numbered(5))
    first, *others = scene.claim(*scene.queue(batch)).items()
    scene.close(keep(*first, BUSY))
    for job_id, fence in others:
        scene.close(finish(job_id, fence, ANSWERED, ANSWER))
    assert prompts(answers(scene)) == {2, 3, 4, 5}


def test_batches_fill_each_other_up_newest_first(scene: Scene) -> None:
    for given in (1, 2, 3, 4):
        answer(scene, given=given)
    assert [each.input_tokens for each in answers(scene, 2)] == [4, 3]
    assert [each.input_tokens for each in answers(scene)] == [4, 3, 2]


def test_other_models_and_answers_without_usage_are_no_examples(scene: Scene) -> None:
    untold = Attempted(AttemptOutcome.SUCCEEDED)
    scene.close(finish(*scene.running(), untold, ANSWER))
    assert answers(scene) == ()
    answer(scene)
    assert answers(scene, model="other") == ()


# Plans


FILL = (
    """insert into batch_counts select batch_id, provider, model, state, count(*) from jobs
group by 1, 2, 3, 4""",
    """insert into results (job_id, batch_id, fence, finish_reason, created_at)
select id, batch_id, 1, 'stop', finished_at from jobs where state = 4""",
    """update attempts set outcome = 1, ended_at = started_at, input_tokens = 9, output_tokens = 5
where job_id in (select job_id from results)""",
    "analyze",
)


@pytest.fixture
def answered(full: Database) -> Database:
    """The full database of the plans, with the answers of its jobs and what counts them."""
    with full.write() as connection:
        if not connection.exec_driver_sql("select count(*) from results").scalar():
            for statement in FILL:
                connection.exec_driver_sql(statement)
    return full


def test_latencies_of_the_newest_batches_are_told_by_model(scene: Scene) -> None:
    for took_ms, batches in ((90_000, 1), (1234, 3)):
        for _ in range(batches):
            attempted = Attempted(AttemptOutcome.SUCCEEDED, latency_ms=took_ms)
            scene.close(finish(*scene.running(), attempted, ANSWER))
    with scene.database.read() as connection:
        assert recent_latencies(connection) == {(PROVIDER, MODEL): [(1200, 3), (90_000, 1)]}
        assert recent_latencies(connection, batches=3) == {(PROVIDER, MODEL): [(1200, 3)]}


def test_examples_are_found_by_keys_and_by_the_batch(answered: Database) -> None:
    found: list[PastAnswer] = []
    plan = plans(answered, lambda c: found.extend(recent_answers(c, PROVIDER, MODEL)))
    assert len(found) == 50
    assert_no_scan(plan)
    for table in ("results", "job_payloads"):
        assert f"Seq Scan on {table}" not in plan, plan


def test_what_was_used_is_read_from_the_sums_and_what_runs(answered: Database) -> None:
    plan = plans(answered, lambda c: used_since(c, PROVIDER, None, START - HOUR))
    assert "jobs_running" in plan
    assert_no_scan(plan)
