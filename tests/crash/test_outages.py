"""Redis, SQL or a worker is away for a while, and comes back."""

import signal
from threading import Event

import pytest

from promptmill.producer.dispatching.broker import make_sender
from promptmill.schema.moves.queueing import queue_pending
from tests.crash.conftest import MakeMill
from tests.services.postgres import Postgres
from tests.services.running_mill import MODELS, OPENAI, RunningMill
from tests.services.waiting import wait_until
from tests.services.world import assert_world

JOBS = 200


def in_mid_batch(mill: RunningMill) -> int:
    """Start a batch, and return it when a part of it is answered."""
    mill.simulator.configure(latency_s=0.1)
    mill.start_dispatcher()
    mill.start_worker(OPENAI)
    batch = mill.load(JOBS)
    wait_until(lambda: mill.states(batch).get("succeeded", 0) > JOBS / 10, "a part to be answered")
    return batch


@pytest.mark.long
def test_a_redis_that_crashes_and_comes_back_empty_loses_no_job(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY="10")
    batch = in_mid_batch(mill)
    mill.valkey.kill()
    mill.valkey.forget()
    mill.valkey.start()
    assert mill.wait_done(batch, 60) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS
    assert not mill.workers[0].has_ended
    assert_world(mill)


def test_sql_connections_that_are_cut_at_any_moment_repeat_no_request(
    make_mill: MakeMill, postgres: Postgres, postgres_url: str
) -> None:
    mill = make_mill(database_url=postgres_url, WORKER__CONCURRENCY="10")
    batch = in_mid_batch(mill)
    for _ in range(15):
        postgres.cut_connections(postgres_url)
        Event().wait(0.1)
    assert mill.wait_done(batch, 60) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS
    assert_world(mill)


@pytest.mark.long
def test_sql_that_stands_still_for_longer_than_a_lease_rescues_nobody(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY="10")
    batch = in_mid_batch(mill)
    with mill.database.write():  # SQLite's only writer
        Event().wait(1.5 * mill.settings.dispatch.lease_s)
    assert mill.wait_done(batch) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS
    assert_world(mill)


def test_a_worker_that_was_suspended_cannot_touch_the_job_that_was_taken_from_it(
    make_mill: MakeMill,
) -> None:
    mill = make_mill(WORKER__CONCURRENCY="1")
    mill.simulator.configure(latency_s=0.5)
    mill.start_dispatcher()
    zombie = mill.start_worker(OPENAI)
    batch = mill.load(1)
    wait_until(lambda: mill.requests(batch), "the call to be open")
    zombie.signal(signal.SIGSTOP)
    other = mill.start_worker(OPENAI)
    assert mill.wait_done(batch) == {"succeeded": 1}
    zombie.signal(signal.SIGCONT)

    def outcomes() -> list[str]:
        rows = mill.sql("select outcome from promptmill_attempts order by fence")
        return [row["outcome"] for row in rows]

    wait_until(lambda: outcomes() == ["late", "succeeded"], "the late answer to be booked")
    assert_world(mill)
    more = mill.load(5)
    other.kill()
    assert mill.wait_done(more) == {"succeeded": 5}, "the worker goes on under a new name"


@pytest.mark.long
def test_a_failure_that_a_suspended_worker_brings_late_undoes_no_answer(
    make_mill: MakeMill,
) -> None:
    mill = make_mill(WORKER__CONCURRENCY="1")
    mill.simulator.configure(latency_s=0.5)
    mill.simulator.add_fault("raw", status=400, body='{"error": {}}', count=1)
    mill.start_dispatcher()
    zombie = mill.start_worker(OPENAI)
    batch = mill.load(1)
    wait_until(lambda: mill.requests(batch), "the call to be open")
    zombie.signal(signal.SIGSTOP)
    mill.start_worker(OPENAI)
    assert mill.wait_done(batch) == {"succeeded": 1}
    zombie.signal(signal.SIGCONT)
    refused = "select 1 from attempts where http_status = 400"
    wait_until(lambda: mill.sql(refused), "the late failure to be booked")
    assert mill.states(batch) == {"succeeded": 1}
    assert_world(mill)


@pytest.mark.long
def test_hints_that_come_three_times_are_answered_once(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY="10")
    mill.simulator.configure(latency_s=0.05)
    batch = mill.load(50)
    with mill.database.write() as connection:
        queued = queue_pending(
            connection, batch_id=batch, provider=OPENAI, model=MODELS[OPENAI], most=50
        )
    sender = make_sender(mill.settings)
    sender.publish([(job, 5) for job in queued * 3])
    sender.close()
    mill.start_worker(OPENAI)
    mill.start_worker(OPENAI)
    assert mill.wait_done(batch) == {"succeeded": 50}
    assert mill.requests(batch) == 50
    assert_world(mill)
