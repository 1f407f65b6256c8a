"""kill -9 of the worker that calls for all the jobs that ask the same."""

import pytest

from tests.crash.conftest import MakeMill
from tests.services.running_mill import OPENAI
from tests.services.waiting import wait_until
from tests.services.world import assert_world, paid_again


@pytest.mark.parametrize("on_unknown", ["retry", pytest.param("hold", marks=pytest.mark.long)])
def test_jobs_that_wait_for_a_call_outlive_its_worker(make_mill: MakeMill, on_unknown: str) -> None:
    mill = make_mill(WORKER__CONCURRENCY="20")
    mill.start_dispatcher()
    mill.simulator.add_fault("hang", contains="the same", count=1)
    doomed = mill.start_worker(OPENAI)
    batch = mill.load(10, different=1, say="the same", cache_s=3600, on_unknown=on_unknown)
    wait_until(
        lambda: mill.states(batch) == {"running": 1, "waiting": 9} and mill.requests(batch),
        "nine to wait for a call that is open",
    )
    doomed.kill()
    mill.start_worker(OPENAI)
    held = {"quarantined": 1} if on_unknown == "hold" else {}
    assert mill.wait_done(batch) == {"succeeded": 10 - len(held), **held}
    assert mill.requests(batch) == 2
    assert_world(mill, unbooked=1)
    assert paid_again(mill) == 0
