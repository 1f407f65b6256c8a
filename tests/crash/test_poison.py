"""An answer that kills whoever reads it."""

import pytest

from tests.crash.conftest import MakeMill
from tests.crash.steps import requests_of, start_doomed, victim_of, wait_killed
from tests.services.running_mill import OPENAI
from tests.services.world import assert_world

JOBS = 12


@pytest.mark.parametrize("beside", [0, pytest.param(4, marks=pytest.mark.long)])
def test_a_job_that_kills_its_workers_is_bought_three_times_and_then_held(
    make_mill: MakeMill, beside: int
) -> None:
    mill = make_mill(WORKER__CONCURRENCY=str(beside + 1))
    mill.simulator.configure(latency_s=0.1)
    mill.start_dispatcher()
    batch = mill.load(JOBS)
    victim = victim_of(mill, batch)["id"]
    most = mill.settings.retry.max_crashes
    for worker in [start_doomed(mill, "answered", victim, OPENAI) for _ in range(most)]:
        wait_killed(worker)
    mill.start_worker(OPENAI)
    assert mill.wait_done(batch) == {"quarantined": 1, "succeeded": JOBS - 1}
    assert requests_of(mill, victim) == most
    assert_world(mill, unbooked=most * (beside + 1))
