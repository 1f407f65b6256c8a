"""Call slots of a process and places under the limiter's cap never wait for each other."""

from pathlib import Path
from threading import Event

from promptmill.simulator import Simulator
from promptmill.workers.turn import PATIENCE_S
from tests.services.running_mill import OPENAI, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

CALLS = 5
JOBS = 150


def test_a_stumble_of_sql_leaves_no_slot_waiting_for_a_booking_that_waits_for_a_slot(
    tmp_path: Path, valkey: Valkey, simulator: Simulator
) -> None:
    env = {"WORKER__CONCURRENCY": str(CALLS), "PROVIDERS__OPENAI__CONCURRENCY": str(CALLS)}
    with RunningMill(tmp_path, valkey, simulator, env=env) as mill:
        simulator.configure(latency_s=0.1)
        mill.start_dispatcher()
        mill.start_worker(OPENAI)
        batch = mill.load(JOBS)
        wait_until(lambda: mill.states(batch).get("succeeded", 0) > 4 * CALLS, "all to be in hand")
        with mill.database.write():  # SQLite's only writer: every claim is late
            Event().wait(1.0)
            stored = mill.states(batch).get("succeeded", 0)
            assert mill.requests(batch) <= stored + CALLS, "a crash now would cost more than CALLS"
        assert mill.wait_done(batch, PATIENCE_S / 2) == {"succeeded": JOBS}
        assert_world(mill)
