"""A job takes the answer of an equal request, or waits for it; what Redis said is not believed."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from promptmill.producer.dispatching.twins import TwinEnder
from promptmill.schema.cache_secret import cache_secret
from promptmill.schema.hint import Hint
from promptmill.schema.lanes import Lane
from promptmill.schema.moves import endings, steering
from promptmill.schema.moves.caching import LANED, Followed, Likeness, Wish, follow
from promptmill.schema.moves.laning import set_aside
from promptmill.schema.moves.pruning import Pruned, mark_pruned, prune_chunk
from promptmill.schema.moves.similar import NewEntry, newest_entries, remember
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
    new_jobs,
)

HOUR = 3600
ALIKE = Likeness("a scope", 0.97, "local")


class Equals:
    """Batches of one job each, all of which ask the same."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.ender = TwinEnder(scene.database, clock=self._seconds)

    def _seconds(self) -> float:
        return self.scene.clock.at.timestamp()

    def load(self, *, cache_s: int | None = HOUR, **changes: Any) -> int:
        (job_id,) = self.scene.ids(self.scene.load(cache_s=cache_s, **changes))
        return job_id

    def asked(self, **changes: Any) -> tuple[int, int]:
        """Load one that is being called; return its id and its fence."""
        return self.scene.running(cache_s=HOUR, **changes)

    def answered(self) -> int:
        job_id, fence = self.asked()
        self.scene.close(endings.finish(job_id, fence, ANSWERED, ANSWER))
        return job_id

    def follow(self, job_id: int, other: int, likeness: Likeness | None = None) -> Followed:
        (hint,) = self.scene.queue(self.scene.job(job_id).batch_id)
        with self.scene.database.write() as connection:
            return follow(connection, [Wish(hint, other, likeness)])[job_id]

    def set_aside(self, deadline_s: float | None = None) -> int:
        """Load one that waits for a provider batch."""
        job_id = self.load(lane=Lane.BATCH, deadline_s=deadline_s)
        scope = {"provider": PROVIDER, "model": MODEL}
        batch_id = self.scene.job(job_id).batch_id
        with self.scene.database.write() as connection:
            assert set_aside(connection, batch_id=batch_id, **scope, most=1) == 1
        return job_id

    def follow_in_lane(self, job_id: int, other: int) -> Followed:
        hint = Hint(job_id, self.scene.job(job_id).dispatch_no)
        with self.scene.database.write() as connection:
            return follow(connection, [Wish(hint, other)], way=LANED)[job_id]

    def compared(self, *, similar: float | None = 0.95) -> int:
        """Load one that asks something else, and takes what is similar."""
        (job,) = new_jobs(1)
        jobs = [structs.replace(job, request_hash="another")]
        (job_id,) = self.scene.ids(self.scene.load(jobs=jobs, cache_s=HOUR, cache_similar=similar))
        return job_id

    def remember(self, job_id: int, scope: str = "a scope") -> None:
        with self.scene.database.write() as connection:
            remember(connection, [NewEntry(job_id, scope, "AAA=")])

    def turn(self) -> None:
        """Let the dispatcher look at those that wait."""
        self.scene.clock.advance(2)
        self.ender.turn()

    def state(self, job_id: int) -> str:
        return JobState(self.scene.job(job_id).state).word


@pytest.fixture
def equals(scene: Scene) -> Equals:
    return Equals(scene)


def test_a_job_has_the_answer_of_another_and_costs_nothing(equals: Equals) -> None:
    other, job = equals.answered(), equals.load()
    assert equals.follow(job, other) is Followed.ANSWERED
    (row,) = equals.scene.sql(f"select * from promptmill_results where job_id = {job}")
    assert (row.text, row.twin_of, row.cost_usd, row.input_tokens) == ("four", other, 0, None)
    assert (row.state, row.attempts) == ("succeeded", 0)
    (usage,) = equals.scene.sql(
        "select sum(calls) as calls, sum(cost_usd) as cost from promptmill_usage_by_model"
    )
    assert (usage.calls, usage.cost) == (1, 0.0015)
    equals.scene.assert_sums()


def test_a_job_waits_for_one_that_is_being_called_and_ends_with_it(equals: Equals) -> None:
    (other, fence), job = equals.asked(), equals.load()
    assert equals.follow(job, other) is Followed.WAITS
    equals.turn()
    assert equals.state(job) == "waiting"
    equals.scene.close(endings.finish(other, fence, ANSWERED, ANSWER))
    equals.turn()
    assert equals.state(job) == "succeeded"
    assert equals.scene.result(job).text == "four"
    equals.scene.assert_sums()


@pytest.mark.parametrize("end", [endings.fail, endings.hold])
def test_of_those_that_wait_for_what_comes_to_nothing_one_is_asked(
    equals: Equals, end: Any
) -> None:
    other, fence = equals.asked()
    waiting = [equals.load() for _ in range(3)]
    for job in waiting:
        equals.follow(job, other)
    equals.scene.close(end(other, fence, REFUSED))
    equals.turn()
    first, *others = waiting
    assert [equals.state(job) for job in waiting] == ["pending", "waiting", "waiting"]
    assert equals.scene.job(first).twin_of is None
    assert {equals.scene.job(job).twin_of for job in others} == {first}
    _, fence = equals.scene.again(first)
    equals.scene.close(endings.finish(first, fence, ANSWERED, ANSWER))
    equals.turn()
    assert {equals.state(job) for job in waiting} == {"succeeded"}
    equals.scene.assert_sums()


def test_a_retry_is_waited_for(equals: Equals) -> None:
    (other, fence), job = equals.asked(), equals.load()
    equals.follow(job, other)
    equals.scene.close(endings.retry(other, fence, BROKEN, 60))
    equals.turn()
    assert equals.state(job) == "waiting"


@pytest.mark.parametrize("how", ["paused", "cancelled"])
def test_nobody_waits_for_a_batch_that_was_stopped(equals: Equals, how: str) -> None:
    other, job, late = equals.load(), equals.load(), equals.load()
    assert equals.follow(job, other) is Followed.WAITS
    with equals.scene.database.write() as connection:
        if how == "paused":
            steering.pause_batch(connection, equals.scene.job(other).batch_id, "by hand")
        else:
            steering.cancel_batch(connection, equals.scene.job(other).batch_id)
    assert equals.follow(late, other) is Followed.REFUSED
    equals.turn()
    assert equals.state(job) == "pending"


def test_but_a_call_that_is_open_in_it_is_waited_for(equals: Equals) -> None:
    (other, fence), job = equals.asked(), equals.load()
    with equals.scene.database.write() as connection:
        steering.pause_batch(connection, equals.scene.job(other).batch_id, "by hand")
    assert equals.follow(job, other) is Followed.WAITS
    equals.turn()
    assert equals.state(job) == "waiting"
    equals.scene.close(endings.finish(other, fence, ANSWERED, ANSWER))
    equals.turn()
    assert equals.state(job) == "succeeded"


def test_what_redis_says_is_not_believed(equals: Equals) -> None:
    answered, job = equals.answered(), equals.load()
    (foreign,) = new_jobs(1)
    others = [structs.replace(foreign, request_hash="another")]
    (asks_otherwise,) = equals.scene.ids(equals.scene.load(jobs=others, cache_s=HOUR))
    twin = equals.load()
    equals.follow(twin, answered)
    failed, fence = equals.asked()
    equals.scene.close(endings.fail(failed, fence, REFUSED))
    for other in (4_000_000_000, -1, job, asks_otherwise, twin, failed):
        assert equals.follow(job, other) is Followed.REFUSED, other
        assert equals.state(job) == "queued"
        equals.scene.order("update jobs set state = 0, queued_at = null where state = 1")


def test_an_answer_is_taken_while_it_is_as_young_as_the_taker_wants(equals: Equals) -> None:
    other, patient, hasty = equals.answered(), equals.load(), equals.load(cache_s=60)
    equals.scene.clock.advance(61)
    assert equals.follow(hasty, other) is Followed.REFUSED
    assert equals.follow(patient, other) is Followed.ANSWERED


def test_nobody_who_is_in_a_hurry_waits_for_a_batch_api(equals: Equals) -> None:
    """A live job never; one of the lane only where its batch has no deadline, or in its own."""
    other, live = equals.set_aside(), equals.load()
    assert equals.follow(live, other) is Followed.REFUSED
    hurried, unhurried = equals.set_aside(deadline_s=2 * 86_400), equals.set_aside()
    assert equals.follow_in_lane(hurried, other) is Followed.REFUSED
    assert equals.follow_in_lane(unhurried, other) is Followed.WAITS
    assert equals.follow_in_lane(hurried, equals.asked()[0]) is Followed.WAITS


def test_a_stale_hint_takes_nothing(equals: Equals) -> None:
    other, job = equals.answered(), equals.load()
    (hint,) = equals.scene.queue(equals.scene.job(job).batch_id)
    with equals.scene.database.write() as connection:
        first = follow(connection, [Wish(hint, other)])
        again = follow(connection, [Wish(hint, other)])
    assert (first[job], again[job]) == (Followed.ANSWERED, Followed.STALE)


def test_two_that_would_wait_for_each_other_are_asked(equals: Equals) -> None:
    """As two workers may write it on PostgreSQL in the same moment."""
    one, two = equals.load(), equals.load()
    equals.follow(one, two)
    equals.follow(two, one)
    equals.scene.order(
        f"update jobs set state = 3, twin_of = {one}, queued_at = null,"
        f" run_at = (select run_at from jobs where id = {one}) where id = {two}"
    )
    equals.turn()
    assert {equals.state(one), equals.state(two)} == {"pending"}


def test_who_waits_for_one_that_takes_the_answer_of_a_third_takes_it_from_that(
    equals: Equals,
) -> None:
    first, job, third = equals.load(), equals.load(), equals.answered()
    assert equals.follow(job, first) is Followed.WAITS
    assert equals.follow(first, third) is Followed.ANSWERED
    equals.turn()
    assert equals.state(job) == "pending"
    assert equals.follow(job, third) is Followed.ANSWERED
    assert equals.scene.job(job).twin_of == third
    equals.scene.assert_sums()


def test_a_late_answer_of_its_own_ends_a_job_that_waits(equals: Equals) -> None:
    other, _ = equals.asked()
    job, fence = equals.asked()
    equals.scene.rescue((job, fence))
    assert equals.follow(job, other) is Followed.WAITS
    equals.scene.close(endings.finish(job, fence, ANSWERED, ANSWER))
    assert (equals.state(job), equals.scene.job(job).twin_of) == ("succeeded", None)
    equals.turn()
    equals.scene.assert_sums()


def test_a_late_answer_of_its_own_changes_nothing_of_a_job_that_has_one(equals: Equals) -> None:
    other, (job, fence) = equals.answered(), equals.asked()
    equals.scene.rescue((job, fence))
    assert equals.follow(job, other) is Followed.ANSWERED
    mine = replace(ANSWER, text="my own")
    assert not equals.scene.close(endings.finish(job, fence, ANSWERED, mine))
    assert equals.scene.result(job).text == "four"
    assert equals.scene.attempt(job, fence).outcome == 5
    equals.scene.assert_sums()


def test_one_that_waits_for_what_was_pruned_is_asked(equals: Equals) -> None:
    (other, fence), job = equals.asked(), equals.load()
    equals.follow(job, other)
    batch = equals.scene.job(other).batch_id
    equals.scene.close(endings.hold(other, fence, CUT))
    equals.scene.clock.advance(HOUR * 2)
    with equals.scene.database.write() as connection:
        assert mark_pruned(connection, batch, Pruned.ALL, age_s=HOUR)
        assert prune_chunk(connection, batch, Pruned.ALL, after=0, most=10)
    equals.turn()
    assert equals.state(job) == "pending"
    assert equals.follow(job, other) is Followed.REFUSED


def test_the_secret_is_made_up_once(scene: Scene) -> None:
    secret = cache_secret(scene.database)
    assert len(secret) == 32
    assert cache_secret(scene.database) == secret


def test_a_hit_by_similarity_tells_its_source_and_how_similar_it_was(equals: Equals) -> None:
    other, job, equal = equals.answered(), equals.compared(), equals.load()
    equals.remember(other)
    assert equals.follow(job, other, ALIKE) is Followed.ANSWERED
    assert equals.follow(equal, other) is Followed.ANSWERED
    rows = equals.scene.sql(
        "select job_id, text, twin_of, similarity, cost_usd from promptmill_results order by job_id"
    )
    assert [(row.job_id, row.twin_of, row.similarity) for row in rows] == [
        (other, None, None),
        (job, other, 0.97),
        (equal, other, None),
    ]
    (kept,) = equals.scene.sql("select embedder from similar_hits")
    assert kept.embedder == "local"
    equals.scene.assert_sums()


def test_what_is_not_similar_enough_or_of_another_scope_is_no_hit(equals: Equals) -> None:
    other = equals.answered()
    equals.remember(other)
    for job, likeness in (
        (equals.compared(), replace(ALIKE, similarity=0.94)),
        (equals.compared(), replace(ALIKE, scope="another")),
        (equals.compared(similar=None), ALIKE),
    ):
        assert equals.follow(job, other, likeness) is Followed.REFUSED
    assert equals.scene.count("similar_hits") == 0


def test_who_waits_for_what_is_similar_is_asked_itself_where_that_fails(equals: Equals) -> None:
    other, fence = equals.asked()
    equals.remember(other)
    jobs = [equals.compared(), equals.compared()]
    assert [equals.follow(job, other, ALIKE) for job in jobs] == [Followed.WAITS] * 2
    equals.scene.close(endings.fail(other, fence, REFUSED))
    equals.turn()
    assert [equals.state(job) for job in jobs] == ["pending", "pending"]


def test_entries_are_read_by_scope_from_the_last_that_is_known(equals: Equals) -> None:
    first, second, foreign = equals.answered(), equals.answered(), equals.answered()
    equals.remember(first)
    equals.remember(foreign, "another scope")
    equals.remember(second)
    equals.remember(second)
    with equals.scene.database.read() as connection:
        found = newest_entries(connection, "a scope", after=0, most=10)
        assert [entry.job_id for entry in found] == [second, first]
        new = newest_entries(connection, "a scope", after=found[1].id, most=10)
        assert [entry.job_id for entry in new] == [second]


def test_a_vector_goes_with_its_prompt(equals: Equals) -> None:
    other = equals.answered()
    equals.remember(other)
    batch = equals.scene.job(other).batch_id
    equals.scene.clock.advance(HOUR * 2)
    with equals.scene.database.write() as connection:
        assert mark_pruned(connection, batch, Pruned.PROMPTS, age_s=HOUR)
        prune_chunk(connection, batch, Pruned.PROMPTS, after=0, most=10)
    assert equals.scene.count("similar_entries") == 0
