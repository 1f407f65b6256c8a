"""Batches of nobody that have ended are set apart, until something of them is done again."""

from collections.abc import Callable, Sequence
from threading import Thread
from typing import NamedTuple

import pytest

from promptmill.schema.backlog import backlog
from promptmill.schema.moves import endings, steering
from promptmill.schema.moves.carrying import ended_of_nobody, set_apart
from promptmill.schema.moves.spending import Reservation
from promptmill.schema.states import JobState
from tests.schema.scene import ANSWER, ANSWERED, REFUSED, Scene

BUDGET = 10_000


class Running(NamedTuple):
    batch: int
    job: int
    fence: int


def running(scene: Scene, *, budget: int | None = None, tenant: int | None = None) -> Running:
    """Make a batch of one job, and claim that."""
    batch = scene.load(1, budget_micros=budget, tenant_id=tenant)
    (hint,) = scene.queue(batch)
    asked = {} if budget is None else {hint.job_id: Reservation(batch, 100)}
    ((job, fence),) = scene.claim(hint, reservations=asked).items()
    return Running(batch, job, fence)


def failed(scene: Scene, *, budget: int | None = None, tenant: int | None = None) -> int:
    batch, job, fence = running(scene, budget=budget, tenant=tenant)
    scene.close(endings.fail(job, fence, REFUSED))
    return batch


def ended(scene: Scene) -> list[int]:
    with scene.database.read() as connection:
        return ended_of_nobody(connection, most=10)


def sweep(scene: Scene) -> int:
    return mark(scene, ended(scene))


def mark(scene: Scene, batches: Sequence[int]) -> int:
    with scene.database.write() as connection:
        return set_apart(connection, batches)


def replay(scene: Scene, batch: int) -> None:
    with scene.database.write() as connection:
        assert steering.replay_jobs(connection, batch, [JobState.FAILED])


def replay_by_an_older_release(scene: Scene, batch: int) -> None:
    again = "state = 0, generation = generation + 1, fence = fence + 1, finished_at = null"
    assert scene.order(f"update jobs set {again} where batch_id = {batch}")


def to_do(scene: Scene) -> list[int]:
    with scene.database.read() as connection:
        return [one.batch_id for one in backlog(connection)]


def test_what_has_ended_is_set_apart_and_nothing_else(scene: Scene) -> None:
    waiting, cancelled = scene.load(), scene.load()
    with scene.database.write() as connection:
        steering.cancel_batch(connection, cancelled)
    done = failed(scene)
    failed(scene, tenant=7)
    assert ended(scene) == [done]
    with scene.database.write() as connection:
        steering.cancel_jobs(connection, cancelled)
    assert ended(scene) == [cancelled, done]
    assert (sweep(scene), ended(scene)) == (2, [])
    assert to_do(scene) == [waiting]


@pytest.mark.parametrize("budget", [None, BUDGET])
@pytest.mark.parametrize("again", [replay, replay_by_an_older_release])
def test_what_is_done_again_is_looked_at_again_and_keeps_its_budget(
    scene: Scene, again: Callable[[Scene, int], None], budget: int | None
) -> None:
    batch = failed(scene, budget=budget)
    assert (sweep(scene), to_do(scene)) == (1, [])
    again(scene, batch)
    assert to_do(scene) == [batch]
    (row,) = scene.sql(f"select budget_micros from batches where id = {batch}")
    assert row.budget_micros == budget
    assert ended(scene) == []
    scene.assert_sums()


def test_a_late_answer_to_a_job_of_a_batch_that_is_set_apart_is_stored(scene: Scene) -> None:
    batch, job, fence = running(scene, budget=BUDGET)
    scene.rescue((job, fence))
    with scene.database.write() as connection:
        steering.cancel_batch(connection, batch)
        steering.cancel_jobs(connection, batch)
    assert sweep(scene) == 1
    scene.close(endings.finish(job, fence, ANSWERED, ANSWER))
    assert scene.job(job).state == JobState.SUCCEEDED
    scene.assert_sums()


def test_a_replay_that_commits_meanwhile_is_seen(scene: Scene) -> None:
    batch = failed(scene)
    other = Thread(target=mark, args=(scene, ended(scene)))
    with scene.database.write() as connection:
        assert steering.replay_jobs(connection, batch, [JobState.FAILED])
        other.start()
    other.join(60)
    assert to_do(scene) == [batch]
