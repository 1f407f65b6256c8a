"""The jobs of a pool go to who can start them: by weight, and to the others where one cannot."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.producer.dispatching.booked_out import is_booked_out
from promptmill.producer.dispatching.dealing import Dealer, Hand
from promptmill.producer.dispatching.dispatch import Dispatcher
from promptmill.schema.limit_state import SIZE, LimitState, places
from promptmill.schema.live_limits import set_limit
from promptmill.schema.moves import endings
from promptmill.schema.moves.queueing import queue_pending
from promptmill.schema.pauses import lift_pauses, pause_provider
from promptmill.schema.pools import PoolSettings
from promptmill.schema.settings import ProviderSettings
from promptmill.schema.states import JobState
from tests.dispatch.mill import Mill
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, BUSY, MODEL, new_jobs

POOL, FIRST, SECOND = "both", "openai", "openai-b"
KEYS = {FIRST: "k1", SECOND: "k2"}


@pytest.fixture
def dispatcher(mill: Mill) -> Iterator[Dispatcher]:
    """One that deals to a first member three of four jobs."""
    second = ProviderSettings(kind=mill.settings.providers[FIRST].kind)
    mill.settings = mill.tuned(depth_min=40).model_copy(
        update={
            "providers": {**mill.settings.providers, SECOND: second},
            "pools": {POOL: PoolSettings(members={FIRST: 3, SECOND: 1})},
        }
    )
    dispatcher = mill.dispatcher()
    yield dispatcher
    dispatcher.close()


def load(mill: Mill, count: int, **changes: Any) -> int:
    return mill.scene.load(count, jobs=new_jobs(count, provider=POOL), **changes)


def placed(mill: Mill) -> dict[tuple[str, int], int]:
    mill.scene.assert_sums()
    rows = mill.scene.sql("select provider, state, count(*) as n from jobs group by 1, 2")
    return {(row.provider, row.state): row.n for row in rows}


def test_jobs_are_dealt_by_weight_and_what_comes_back_is_the_pools(
    mill: Mill, dispatcher: Dispatcher
) -> None:
    load(mill, 100)
    dispatcher.round()
    assert placed(mill) == {(POOL, JobState.PENDING): 100}, "nobody is there to be dealt to"
    mill.worker(keys=KEYS, concurrency=40)
    dispatcher.round()
    dealt = {(FIRST, JobState.QUEUED): 40, (SECOND, JobState.QUEUED): 13}
    assert placed(mill) == dealt | {(POOL, JobState.PENDING): 47}, "the first one's queue is full"
    mine, other = mill.take(provider=FIRST), mill.take(provider=SECOND)
    fences = mill.scene.claim(*mine[:2], *other[:1])
    retried, snoozed, running = (*fences.items(),)
    mill.scene.close(endings.retry(*retried, BROKEN, 1.0), endings.snooze(*snoozed, BUSY, 1.0))
    assert placed(mill)[POOL, JobState.WAITING] == 2
    mill.scene.clock.advance(2)
    assert mill.scene.claim(*mine[:2]) == {}, "they are dealt first"
    mill.scene.rescue(running)
    dispatcher.round()
    again = mill.take(provider=FIRST) + mill.take(provider=SECOND)
    assert {retried[0], snoozed[0]} <= {hint.job_id for hint in again}
    attempts = mill.scene.sql("select provider from attempts order by job_id")
    assert [row.provider for row in attempts] == [FIRST, FIRST, SECOND]


def test_a_member_that_nobody_can_call_gives_back_and_the_other_takes_all(
    mill: Mill, dispatcher: Dispatcher
) -> None:
    mill.worker(keys=KEYS, concurrency=60)
    load(mill, 60)
    dispatcher.round()
    assert placed(mill) == {(FIRST, JobState.QUEUED): 45, (SECOND, JobState.QUEUED): 15}
    stale = mill.take(provider=FIRST)
    with mill.database.write() as connection:
        pause_provider(connection, provider=FIRST, kind="key", reason="key", fingerprint="k1")
    for _ in range(2):
        dispatcher.round()
    assert placed(mill) == {(SECOND, JobState.QUEUED): 60}
    assert mill.scene.claim(*stale) == {}, "the hints of the first are stale"
    with mill.database.write() as connection:
        pause_provider(connection, provider=SECOND, kind="money", reason="money")
    dispatcher.round()
    assert placed(mill) == {(SECOND, JobState.QUEUED): 60}, "nobody could take them"
    with mill.database.write() as connection:
        lift_pauses(connection, provider=FIRST)
    for _ in range(2):
        dispatcher.round()
    assert placed(mill) == {(FIRST, JobState.QUEUED): 60}
    hints = mill.take(provider=FIRST)
    assert len(mill.scene.claim(*hints)) == 60


def test_a_member_at_its_limit_gets_what_that_lets_through_and_the_other_all_else(
    mill: Mill, dispatcher: Dispatcher
) -> None:
    mill.worker(keys=KEYS, concurrency=100)
    with mill.database.write() as connection:
        set_limit(connection, provider=FIRST, model=MODEL, dimension="rpm", ceiling=60)
    load(mill, 180)
    dispatcher.round()
    dealt = {(FIRST, JobState.QUEUED): 10, (SECOND, JobState.QUEUED): 3}
    assert placed(mill) == dealt | {(POOL, JobState.PENDING): 167}, "by weight, as long as it can"
    dispatcher.round()
    assert placed(mill)[SECOND, JobState.QUEUED] == 100, "the first has ten seconds of its limit"
    at_work = mill.scene.claim(*mill.take(provider=SECOND))
    dispatcher.round()
    placed_now = placed(mill)
    assert placed_now[FIRST, JobState.QUEUED] == 10
    assert placed_now[SECOND, JobState.QUEUED] == 70
    dispatcher.round()
    assert placed(mill) == placed_now, "the second is busy, too: nothing is moved for nothing"
    mill.scene.close(*(endings.finish(*one, ANSWERED, ANSWER) for one in at_work.items()))
    for _ in range(3):
        dispatcher.round()
    assert placed(mill) == {(SECOND, JobState.QUEUED): 80, (SECOND, JobState.SUCCEEDED): 100}


def test_who_asks_a_member_itself_shares_its_queue_with_the_pool(
    mill: Mill, dispatcher: Dispatcher
) -> None:
    mill.worker(keys=KEYS, concurrency=40)
    pooled = load(mill, 500)
    direct = mill.scene.load(500)
    urgent = load(mill, 4, priority=50)
    dispatcher.round()
    rows = mill.scene.sql(
        "select batch_id, provider, count(*) as n from jobs where state = 1 group by 1, 2"
    )
    queued = {(row.batch_id, row.provider): row.n for row in rows}
    assert queued[direct, FIRST] == 18
    assert queued[pooled, FIRST] + queued[urgent, FIRST] == 22
    assert queued[urgent, FIRST] + queued.get((urgent, SECOND), 0) == 4


def test_work_of_others_at_a_full_member_holds_up_no_pool(
    mill: Mill, dispatcher: Dispatcher
) -> None:
    mill.worker(keys=KEYS, concurrency=40)
    mill.scene.load(200, priority=50)
    dispatcher.round()
    assert placed(mill)[FIRST, JobState.QUEUED] == 40, "it is full"
    load(mill, 100)
    dispatcher.round()
    assert placed(mill)[SECOND, JobState.QUEUED] == 40


def test_what_is_queued_where_the_pool_has_no_queue_is_dealt_anew(
    mill: Mill, dispatcher: Dispatcher
) -> None:
    batch = load(mill, 60)
    pooled: dict[str, Any] = {"batch_id": batch, "provider": POOL, "model": MODEL}
    with mill.database.write() as connection:
        queue_pending(connection, **pooled, most=20)  # by who knows no pool of the name
        queue_pending(connection, **pooled, most=20, to="gone")
    dispatcher.round()
    assert placed(mill) == {("gone", JobState.QUEUED): 20, (POOL, JobState.PENDING): 40}
    dispatcher.sweep()
    assert placed(mill) == {(POOL, JobState.PENDING): 60}
    mill.worker(keys=KEYS, concurrency=60)
    dispatcher.round()
    assert placed(mill) == {(FIRST, JobState.QUEUED): 45, (SECOND, JobState.QUEUED): 15}


def test_what_nobody_knows_is_not_queued_and_what_was_goes_back_and_waits(mill: Mill) -> None:
    batch = load(mill, 60)
    pooled: dict[str, Any] = {"batch_id": batch, "provider": POOL, "model": MODEL}
    with mill.database.write() as connection:
        queue_pending(connection, **pooled, most=20)
        queue_pending(connection, **pooled, most=20, to="gone")
    dispatcher = mill.dispatcher()  # its settings have no pool
    mill.worker("w1", keys=KEYS, concurrency=60)
    dispatcher.round()
    dispatcher.sweep()
    dispatcher.round()
    assert placed(mill) == {(POOL, JobState.PENDING): 60}
    mill.worker("w2", keys={POOL: "k1"}, concurrency=60)
    dispatcher.round()
    assert placed(mill) == {(POOL, JobState.QUEUED): 60}


HANDS = st.lists(
    st.builds(
        Hand,
        member=st.sampled_from("abcde"),
        weight=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]),
        room=st.integers(0, 20),
        is_booked_out=st.booleans(),
    ),
    unique_by=lambda hand: hand.member,
    max_size=5,
)


@given(st.lists(st.tuples(st.integers(0, 40), HANDS), max_size=5))
def test_a_deal_is_within_what_there_is_and_leaves_nobody_idle(
    rounds: list[tuple[int, list[Hand]]],
) -> None:
    dealer = Dealer()
    for jobs, hands in rounds:
        dealt = dealer.deal(jobs, hands)
        by_name = {hand.member: hand for hand in hands}
        assert sum(dealt.values()) <= jobs
        assert all(0 < count <= by_name[name].room for name, count in dealt.items())
        weighted = [hand for hand in hands if hand.weight and not hand.is_booked_out]
        if weighted:
            assert all(by_name[name].weight for name in dealt), "the others spare those of weight 0"
        if sum(dealt.values()) < jobs:
            in_turn = weighted or [hand for hand in hands if not hand.is_booked_out]
            full = [hand for hand in in_turn if dealt.get(hand.member, 0) == hand.room]
            assert full or not in_turn
            left = [hand for hand in hands if hand.is_booked_out and (hand.weight or not in_turn)]
            assert all(dealt.get(hand.member, 0) == hand.room for hand in left)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.sampled_from([1.0, 2.5, 7.0]))
def test_over_any_rounds_shares_are_within_a_job_of_the_weights(
    rounds: list[int], weight: float
) -> None:
    dealer = Dealer()
    total: dict[str, int] = {"a": 0, "b": 0}
    for jobs in rounds:
        for name, n in dealer.deal(jobs, [Hand("a", weight, 99), Hand("b", 1.0, 99)]).items():
            total[name] += n
    assert total["a"] == pytest.approx(sum(rounds) * weight / (weight + 1), abs=1.01)


def test_who_comes_back_makes_nothing_up() -> None:
    dealer, away = Dealer(), Hand("a", 1.0, 100, is_booked_out=True)
    other = Hand("b", 1.0, 100)
    assert dealer.deal(90, [away, other]) == {"b": 90}
    assert dealer.deal(10, [Hand("a", 1.0, 100), other]) == {"a": 5, "b": 5}


def state(**numbers: float) -> LimitState:
    """A state of the limiter whose numbers are 0 but these; by dimension, those of rpm."""
    found = [0.0] * SIZE
    for name, number in numbers.items():
        place = places()[name.upper()]
        found[place if name in ("at", "limit", "rate", "depth") else place - 1] = number
    return LimitState(tuple(found), "")


@pytest.mark.parametrize(
    ("numbers", "out"),
    [
        ({}, False),
        ({"last": 2e6}, True),
        ({"last": 0.4e6}, False),
        ({"pause": 5e6}, True),
        ({"capped": 1e6}, True),
        # Ten a second with a depth of a quarter of a second: full until in 2 s, or nearly so.
        ({"limit": 600, "rate": 1e-5, "depth": 2.5, "at": 2e6}, True),
        ({"limit": 600, "rate": 1e-5, "depth": 2.5, "at": 0.2e6}, False),
        # One in ten seconds: the next one starts when the bucket holds it.
        ({"limit": 6, "rate": 1e-7, "depth": 1, "at": 9e6}, True),
    ],
)
def test_booked_out_is_who_would_start_nothing_within_a_second(
    numbers: Mapping[str, float], out: bool
) -> None:
    now_us = 100e6
    ahead = {"last", "pause", "capped", "at"}
    moved = {name: n + now_us if name in ahead else n for name, n in numbers.items()}
    fresh = {"cut": 1, "seen": now_us}
    assert is_booked_out(state(**moved, **fresh), now_us=now_us) is out
    assert not is_booked_out(state(**moved, **fresh), now_us=now_us + 20e6)
