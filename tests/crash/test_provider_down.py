"""A provider that answers 500 to everybody."""

import pytest

from promptmill.workers.outages import ROW
from tests.crash.conftest import MakeMill
from tests.services.running_mill import OPENAI
from tests.services.waiting import wait_until
from tests.services.world import assert_world

CALLS = 20
JOBS = 3 * CALLS


@pytest.mark.long
def test_a_provider_that_is_down_uses_up_no_attempts_and_is_tried_by_single_calls(
    make_mill: MakeMill,
) -> None:
    mill = make_mill(WORKER__CONCURRENCY=str(CALLS), RETRY__MAX_ATTEMPTS="3")
    mill.simulator.add_fault("server_error")
    mill.start_dispatcher()
    worker = mill.start_worker(OPENAI)
    batch = mill.load(JOBS)
    told = "provider_paused"
    wait_until(lambda: worker.log.read_text().count(told) >= 3, "the third pause", timeout=60)
    while_down = mill.requests(batch)
    mill.simulator.clear_faults()
    assert mill.wait_done(batch, 60) == {"succeeded": JOBS}
    assert while_down <= 2 * CALLS + ROW, "one by one, but for what was open when it began"
    assert "overloaded 500" in worker.log.read_text(), "and says why"
    assert_world(mill)
