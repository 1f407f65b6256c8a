"""A budget in SQL: reserved by the claim, settled by the end, never exceeded."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import pytest

from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import Attempted
from promptmill.schema.moves.spending import (
    Reservation,
    Spending,
    pause_used_up,
    read_spending,
    set_budget,
)
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import due_jobs
from promptmill.schema.states import JobState
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, BUSY, CUT, UNSENT, Scene

PAID = replace(ANSWERED, cost_micros=30)
BAD = replace(BROKEN, cost_micros=None, error_kind=ErrorKind.BAD_RESPONSE)


@dataclass
class Till:
    """A batch with a budget, on a scene."""

    scene: Scene
    batch: int

    def claim(self, hints: Sequence[Hint], *, micros: int = 100, worker: str = "w1") -> list[int]:
        """Claim jobs of which each can cost *micros*; return those that were claimed."""
        asked = {hint.job_id: Reservation(self.batch, micros) for hint in hints}
        return sorted(self.scene.claim(*hints, worker=worker, reservations=asked))

    def finish(self, job: int, attempted: Attempted = PAID) -> None:
        self.scene.close(endings.finish(job, self.fence(job), attempted, ANSWER))

    def fence(self, job: int) -> int:
        return int(self.scene.job(job).fence)

    def set(self, micros: int | None) -> bool:
        with self.scene.database.write() as connection:
            return set_budget(connection, self.batch, micros)

    def pause(self) -> list[str]:
        with self.scene.database.write() as connection:
            return [reason for _, reason in pause_used_up(connection)]

    @property
    def now(self) -> Spending:
        with self.scene.database.read() as connection:
            return read_spending(connection, [self.batch])[self.batch]

    @property
    def state(self) -> str:
        return str(self.scene.sql(f"select state from batches where id = {self.batch}")[0].state)

    def sees(self, hint: Hint) -> bool:
        """Whether a worker that looks at the job now would go on with it."""
        with self.scene.database.read() as connection:
            return bool(due_jobs(connection, [hint]))


@pytest.fixture
def till(scene: Scene) -> Till:
    """Ten jobs and a budget for three of them, at 100 micro-dollars each."""
    return Till(scene, scene.load(10, budget_micros=350))


def test_what_does_not_fit_is_not_claimed(till: Till) -> None:
    hints = till.scene.queue(till.batch)
    assert till.claim(hints) == [hint.job_id for hint in hints[:3]]
    assert till.now == Spending(350, spent=0, reserved=300, unknown=0, wanted=100)
    assert till.scene.job(hints[3].job_id).state == JobState.QUEUED
    till.scene.assert_sums()


def test_what_a_call_cost_takes_the_place_of_what_was_reserved(till: Till) -> None:
    hints = till.scene.queue(till.batch)
    first, *_ = till.claim(hints)
    till.finish(first)
    assert till.now == Spending(350, spent=30, reserved=200, unknown=0, wanted=100)
    assert till.claim(hints[3:]) == [hints[3].job_id]
    assert till.now.room == 20
    till.scene.assert_sums()


@pytest.mark.parametrize("refused", [BUSY, BROKEN, UNSENT], ids=["429", "500", "not sent"])
def test_what_cost_nothing_gives_its_room_back(till: Till, refused: Attempted) -> None:
    job, *_ = till.claim(till.scene.queue(till.batch, most=1))
    till.scene.close(endings.retry(job, till.fence(job), refused, 1.0))
    assert (till.now.reserved, till.now.unknown, till.now.room) == (0, 0, 350)
    till.scene.assert_sums()


@pytest.mark.parametrize("lost", [CUT, BAD], ids=["cut", "bad_response"])
def test_what_nobody_knows_the_cost_of_stays_reserved(till: Till, lost: Attempted) -> None:
    job, *_ = till.claim(till.scene.queue(till.batch, most=1))
    till.scene.close(endings.retry(job, till.fence(job), lost, 1.0))
    assert (till.now.reserved, till.now.unknown, till.now.room) == (0, 100, 250)
    till.scene.assert_sums()


def test_a_dead_workers_call_stays_reserved_until_its_late_answer_tells(till: Till) -> None:
    job, *_ = till.claim(till.scene.queue(till.batch, most=1))
    fence = till.fence(job)
    till.scene.rescue((job, fence))
    assert (till.now.reserved, till.now.unknown) == (0, 100)
    till.scene.close(endings.finish(job, fence, PAID, ANSWER))
    assert (till.now.spent, till.now.unknown) == (30, 0)
    till.scene.assert_sums()


def test_an_answer_without_usage_stays_reserved(till: Till) -> None:
    job, *_ = till.claim(till.scene.queue(till.batch, most=1))
    till.finish(job, replace(ANSWERED, usage=None, cost_micros=None))
    assert (till.now.spent, till.now.unknown) == (0, 100)


def test_a_claim_that_reserves_nothing_gets_no_job_of_a_batch_with_a_budget(till: Till) -> None:
    assert till.scene.claim(*till.scene.queue(till.batch, most=1)) == {}


def test_a_batch_without_a_budget_is_claimed_beside_it(till: Till) -> None:
    free = till.scene.queue(till.scene.load(2))
    hints = till.scene.queue(till.batch, most=5)
    asked = {hint.job_id: Reservation(till.batch, 100) for hint in hints}
    claimed = till.scene.claim(*hints, *free, reservations=asked)
    assert sorted(claimed) == sorted(hint.job_id for hint in (*hints[:3], *free))


def test_a_batch_pauses_when_the_next_call_does_not_fit_and_nothing_runs(till: Till) -> None:
    hints = till.scene.queue(till.batch)
    first, second, third = till.claim(hints)
    assert till.pause() == []  # what is open may cost less
    for job in (first, second, third):
        till.finish(job, replace(PAID, cost_micros=100))
    assert till.pause() == [
        "budget: $0.00030 of $0.00035 spent, and the next call may cost $0.00010"
    ]
    assert till.state == "paused"


def test_a_batch_that_is_held_is_not_called_further_while_calls_are_open(till: Till) -> None:
    hints = till.scene.queue(till.batch)
    first, *_ = till.claim(hints)
    assert not till.sees(hints[3])
    till.finish(first)
    assert till.sees(hints[3])


def test_a_raised_budget_lets_it_go_on_and_the_same_one_does_not(till: Till) -> None:
    hints = till.scene.queue(till.batch)
    for job in till.claim(hints):
        till.finish(job, replace(PAID, cost_micros=100))
    till.pause()
    assert not till.set(350)
    assert till.state == "paused"
    assert till.set(1000)
    assert till.state == "open"
    assert len(till.claim(hints[3:])) == 7


def test_no_budget_any_more_lets_it_go_on(till: Till) -> None:
    hints = till.scene.queue(till.batch)
    for job in till.claim(hints):
        till.finish(job, replace(PAID, cost_micros=100))
    till.pause()
    assert till.set(None)
    assert len(till.scene.claim(*hints[3:])) == 7
    till.scene.assert_sums()


def test_a_pause_by_hand_is_not_lifted_by_a_budget(till: Till) -> None:
    till.scene.order("update batches set state = 'paused', paused_reason = 'by hand'")
    assert not till.set(10_000)
    assert till.state == "paused"


def test_a_budget_given_later_counts_what_was_spent_before(scene: Scene) -> None:
    till = Till(scene, scene.load(3))
    hints = scene.queue(till.batch)
    first, second = sorted(scene.claim(*hints[:2]))
    till.finish(first)
    till.set(100)
    till.finish(second)
    assert till.now == Spending(100, spent=60, reserved=0, unknown=0, wanted=None)
    assert till.claim(hints[2:], micros=41) == []
    assert till.claim(hints[2:], micros=40) == [hints[2].job_id]


def test_smaller_calls_are_tried_where_a_large_one_did_not_fit(till: Till) -> None:
    hints = till.scene.queue(till.batch)
    assert till.claim(hints[:1], micros=400) == []
    assert till.now.wanted == 400
    assert till.claim(hints[1:3], micros=50) == [hint.job_id for hint in hints[1:3]]
    assert till.now.wanted == 50


def test_eight_workers_at_once_never_exceed_it(database: Database) -> None:
    """Each claims groups and closes them; after every commit the sums must fit."""
    scene = Scene(database)
    till = Till(scene, scene.load(240, budget_micros=9000))
    hints = scene.queue(till.batch, most=240)
    over: list[Spending] = []

    def look() -> None:
        if (seen := till.now).room is None or seen.room < 0:
            over.append(seen)

    def work(number: int) -> None:
        rng = Random(number)
        mine = hints[number::8]
        for start in range(0, len(mine), 5):
            jobs = till.claim(mine[start : start + 5], worker=f"w{number}")
            look()
            for job in jobs:
                cost = rng.choice([None, 10, 60, 100])
                till.finish(job, replace(PAID, cost_micros=cost))
            look()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not over
    scene.assert_sums()
    assert till.now.reserved == 0
    assert 0 <= (till.now.room or 0) < 1000
