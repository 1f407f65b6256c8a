"""The queues are as deep as they should be, with the right jobs, whatever happens to Redis."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from promptmill.producer.dispatching.feed import Feeder
from promptmill.schema.live_limits import set_limit
from promptmill.schema.moves import endings
from promptmill.schema.moves.loading import create_batch, insert_jobs
from promptmill.schema.moves.steering import pause_batch
from promptmill.schema.pauses import pause_provider
from promptmill.schema.presence import NO_KEY
from promptmill.schema.states import JobState
from tests.dispatch.mill import Mill
from tests.schema.scene import BROKEN, MODEL, PROVIDER, new_batch, new_jobs


def test_a_queue_is_bounded_whatever_the_batch(mill: Mill) -> None:
    batch = mill.scene.load(5000)
    mill.worker(concurrency=40)
    dispatcher = mill.dispatcher()
    for _ in range(3):
        dispatcher.round()
    assert mill.states(batch) == {JobState.PENDING: 4960, JobState.QUEUED: 40}
    assert len(mill.take()) == 40


def test_without_a_worker_a_queue_is_kept_at_its_least_depth(mill: Mill) -> None:
    mill.scene.load(500)
    mill.worker(keys={"gemini": "k1"}, concurrency=300)
    mill.dispatcher().round()
    assert len(mill.take()) == 10


def test_a_queue_grows_with_the_rate_at_which_jobs_start(mill: Mill) -> None:
    mill.scene.load(5000)
    mill.worker(concurrency=20)
    dispatcher = mill.dispatcher()
    for _ in mill.pass_time(60, step=1):
        dispatcher.round()
        mill.scene.claim(*mill.take(15))
    dispatcher.round()
    # 15 a second for the next 10 s, and the 20 calls that can be open at once.
    assert 150 <= len(mill.take()) <= 170


def test_free_places_make_a_queue_no_deeper_than_limits_let_through(mill: Mill) -> None:
    with mill.database.write() as connection:
        set_limit(connection, provider=PROVIDER, model=MODEL, dimension="rpm", ceiling=120)
    mill.scene.load(5000)
    mill.worker(concurrency=90)
    mill.dispatcher().round()
    assert len(mill.take()) == 20, "ten seconds of it"


def test_a_queue_is_never_deeper_than_its_ceiling(mill: Mill) -> None:
    mill.settings = mill.tuned(depth_max=100)
    mill.scene.load(5000)
    mill.worker(concurrency=90_000)
    mill.dispatcher().round()
    assert len(mill.take()) == 100


def test_models_of_one_provider_share_its_workers(mill: Mill) -> None:
    for name in ("a", "b"):
        mill.scene.load(jobs=new_jobs(500, model=name), name=name)
    mill.worker(concurrency=60)
    mill.dispatcher().round()
    queued = mill.scene.sql("select model, count(*) as n from jobs where state = 1 group by model")
    assert {row.model: row.n for row in queued} == {"a": 30, "b": 30}


def test_two_that_lead_for_a_moment_hint_each_job_once(mill: Mill) -> None:
    batch = mill.scene.load(400)
    mill.settings = mill.tuned(depth_min=400)
    feeders = [
        Feeder(mill.settings, mill.database, mill.sender(), clock=mill.now) for _ in range(2)
    ]
    with ThreadPoolExecutor() as threads:
        fed = list(threads.map(lambda feeder: [feeder.feed() for _ in range(5)], feeders))
    taken = mill.take()
    assert sorted(hint.job_id for hint in taken) == mill.scene.ids(batch)
    assert sum(one.hints for rounds in fed for one in rounds) == 400


def test_a_batch_that_is_loading_is_not_fed(mill: Mill) -> None:
    with mill.database.write() as connection:
        batch = create_batch(connection, new_batch())
        insert_jobs(connection, batch, new_jobs(5))
    assert mill.dispatcher().round().hints == 0


def test_a_higher_priority_goes_first(mill: Mill) -> None:
    low = mill.scene.load(100, priority=-2)
    high = mill.scene.load(100, priority=-1)
    mill.worker(concurrency=30)
    mill.dispatcher().round()
    assert mill.states(low) == {JobState.PENDING: 100}
    assert mill.states(high) == {JobState.PENDING: 70, JobState.QUEUED: 30}


def test_an_urgent_batch_is_taken_before_a_full_queue_of_bulk(mill: Mill) -> None:
    bulk = mill.scene.load(100)
    mill.worker(concurrency=30)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    urgent = mill.scene.load(7, priority=1)
    dispatcher.round()
    taken = [hint.job_id for hint in mill.take()]
    assert taken == mill.scene.ids(urgent) + mill.scene.ids(bulk)[:30]


def test_batches_of_one_priority_share_fairly(mill: Mill) -> None:
    first = mill.scene.load(1000)
    mill.worker(concurrency=40)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    second = mill.scene.load(1000)
    mill.scene.claim(*mill.take(30))
    dispatcher.round()
    # The first has 30 running and 10 queued: all 30 free places go to the second.
    assert mill.states(second)[JobState.QUEUED] == 30
    assert mill.states(first) == {
        JobState.PENDING: 960,
        JobState.QUEUED: 10,
        JobState.RUNNING: 30,
    }


def test_a_retry_goes_before_new_jobs_once_its_time_has_come(mill: Mill) -> None:
    mill.scene.load(50)
    mill.worker(concurrency=10)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    first = mill.take()
    for job, fence in mill.scene.claim(*first).items():
        mill.scene.close(endings.retry(job, fence, BROKEN, 30))
    dispatcher.round()
    others = mill.take()
    assert not {hint.job_id for hint in others} & {hint.job_id for hint in first}
    mill.scene.clock.advance(31)
    mill.scene.claim(*others)
    dispatcher.round()
    again = mill.take(10)
    assert {hint.job_id for hint in again} == {hint.job_id for hint in first}
    assert {hint.dispatch_no for hint in again} == {2}


@pytest.mark.parametrize("model", ["", MODEL])
@pytest.mark.parametrize("fingerprint", ["", "k1"])
def test_what_is_paused_is_not_fed(mill: Mill, model: str, fingerprint: str) -> None:
    mill.scene.load(50)
    mill.worker()
    with mill.database.write() as connection:
        pause_provider(
            connection,
            provider=PROVIDER,
            model=model,
            fingerprint=fingerprint,
            kind="money",
            reason="no credit",
            seconds=60,
        )
    dispatcher = mill.dispatcher()
    assert dispatcher.round().hints == 0
    mill.scene.clock.advance(61)
    assert dispatcher.round().hints == 10


def test_a_provider_is_fed_while_one_worker_has_a_good_key(mill: Mill) -> None:
    mill.scene.load(500)
    mill.worker("w1", keys={PROVIDER: NO_KEY}, concurrency=300)
    mill.worker("w2", keys={PROVIDER: "k2"}, concurrency=20)
    with mill.database.write() as connection:
        pause_provider(
            connection, provider=PROVIDER, fingerprint=NO_KEY, kind="key", reason="no key"
        )
    assert mill.dispatcher().round().hints == 20


def test_what_is_queued_of_a_paused_batch_leaves_room_for_others(mill: Mill) -> None:
    paused = mill.scene.load(500)
    mill.worker(concurrency=40)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    with mill.database.write() as connection:
        pause_batch(connection, paused, "by hand")
    other = mill.scene.load(500)
    dispatcher.round()
    assert mill.states(other)[JobState.QUEUED] == 40


def test_an_outage_of_redis_moves_nothing_and_is_told_once(mill: Mill) -> None:
    batch = mill.scene.load(50)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    hints = mill.take()
    with capture_logs() as told:
        mill.valkey.stop()
        try:
            mill.scene.claim(*hints)
            for _ in mill.pass_time(60, step=1):
                assert dispatcher.round().hints == 0
            assert mill.states(batch) == {JobState.PENDING: 40, JobState.RUNNING: 10}
        finally:
            mill.valkey.start()
        mill.scene.clock.advance(10)
        assert dispatcher.round().hints == 10
    assert [line["event"] for line in told] == ["service lost", "service back"]


def test_a_publish_that_dies_on_the_way_is_put_back(mill: Mill) -> None:
    batch = mill.scene.load(50)
    dispatcher = mill.dispatcher()
    dispatcher.round()
    mill.scene.claim(*mill.take())
    # The broker answers a ping and refuses to store: full, under `noeviction`.
    mill.valkey.client.config_set("maxmemory", 1)
    try:
        assert dispatcher.round().hints == 0
        assert mill.states(batch) == {JobState.PENDING: 40, JobState.RUNNING: 10}
    finally:
        mill.valkey.client.config_set("maxmemory", 0)
    mill.scene.clock.advance(10)
    assert dispatcher.round().hints == 10
    assert {hint.dispatch_no for hint in mill.take()} == {2}


def test_all_queues_together_are_never_deeper_than_the_ceiling(mill: Mill) -> None:
    mill.settings = mill.tuned(depth_max=100)
    for name, jobs in (("a", 500), ("b", 500), ("c", 500)):
        mill.scene.load(jobs=new_jobs(jobs, model=name), name=name)
    mill.worker(concurrency=90_000)
    for _ in range(3):
        mill.dispatcher().round()
    queued = mill.scene.sql("select model, count(*) as n from jobs where state = 1 group by model")
    assert {row.model: row.n for row in queued} == {"a": 33, "b": 33, "c": 33}
