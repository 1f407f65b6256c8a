"""Redis holds nothing that cannot be made again."""

from tests.crash.conftest import MakeMill
from tests.services.running_mill import MODELS
from tests.services.waiting import wait_until
from tests.services.world import assert_world

JOBS = 300


def test_a_redis_emptied_in_mid_batch_loses_no_job_and_repeats_no_request(
    make_mill: MakeMill,
) -> None:
    mill = make_mill(WORKER__CONCURRENCY="10")
    mill.simulator.configure(latency_s=0.05)
    mill.start_dispatcher()
    mill.start_worker()
    batch = mill.load(JOBS, providers=list(MODELS))
    wait_until(lambda: mill.states(batch).get("succeeded", 0) > JOBS / 5, "a part to be answered")
    mill.valkey.client.flushall()
    assert mill.states(batch).get("succeeded", 0) < JOBS, "it was done before"
    assert mill.wait_done(batch) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS
    assert_world(mill)
