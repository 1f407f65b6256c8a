"""A batch of which no prompt can be answered."""

import re

from promptmill.producer.control import resume, retry
from tests.crash.conftest import MakeMill
from tests.services.running_mill import OPENAI
from tests.services.waiting import wait_until
from tests.services.world import assert_world

CALLS, JOBS, MOST = 5, 200, 10


def test_equal_errors_in_a_row_pause_their_batch_until_told(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY=str(CALLS), RETRY__SAME_FAILURES=str(MOST))
    mill.simulator.add_fault("model_not_found")
    mill.start_dispatcher()
    mill.start_worker(OPENAI)
    batch = mill.load(JOBS)
    paused = f"select paused_reason from batches where id = {batch} and state = 'paused'"
    (row,) = wait_until(lambda: mill.sql(paused), "the batch to pause")
    assert f"{MOST} prompts in a row failed with the same error" in row["paused_reason"]
    wait_until(lambda: not mill.states(batch).keys() & {"queued", "running"}, "open calls to end")
    assert mill.requests(batch) <= MOST + CALLS
    mill.simulator.clear_faults()
    assert resume(mill.database, batch)
    states = mill.wait_done(batch)
    assert states["failed"] == JOBS - states["succeeded"] <= MOST + CALLS
    retry(mill.database, batch)
    assert mill.wait_done(batch) == {"succeeded": JOBS}
    assert_world(mill)


def test_a_batch_of_which_too_many_fail_pauses_over_all_workers_until_told(
    make_mill: MakeMill,
) -> None:
    """Every third prompt is refused, so no row of equal errors stops it."""
    mill = make_mill(WORKER__CONCURRENCY=str(CALLS))
    mill.simulator.add_fault("content_policy", every=3)
    mill.start_dispatcher()
    for _ in range(2):
        mill.start_worker(OPENAI)
    batch = mill.load(JOBS, max_failures=MOST)
    paused = f"select paused_reason from batches where id = {batch} and state = 'paused'"
    (row,) = wait_until(lambda: mill.sql(paused), "the batch to pause")
    # Calls that ended together are counted together.
    told = re.match(r"max-failures reached: (\d+) of (\d+) prompts failed", row["paused_reason"])
    assert told
    assert MOST <= int(told[1]) < MOST + 2 * CALLS
    assert int(told[2]) == JOBS
    wait_until(lambda: not mill.states(batch).keys() & {"queued", "running"}, "open calls to end")
    assert MOST <= mill.states(batch)["failed"] <= MOST + 2 * CALLS
    mill.simulator.clear_faults()
    assert resume(mill.database, batch)
    assert mill.wait_done(batch)["failed"] <= MOST + 2 * CALLS
    assert_world(mill)
