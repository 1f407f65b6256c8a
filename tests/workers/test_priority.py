"""An urgent batch overtakes the bulk where a limit binds, also what workers have in hand."""

from pathlib import Path

from promptmill.simulator import Simulator
from tests.services.running_mill import OPENAI, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

BULK = 160


def test_an_urgent_batch_overtakes_the_bulk_that_waits_for_the_limit(
    tmp_path: Path, valkey: Valkey, simulator: Simulator
) -> None:
    env = {"PROVIDERS__OPENAI__LIMITS__RPM": "1200"}  # 20 a second
    with RunningMill(tmp_path, valkey, simulator, env=env) as mill:
        mill.start_dispatcher()
        mill.start_worker(OPENAI)
        bulk = mill.load(BULK, say="bulk")
        wait_until(lambda: mill.states(bulk).get("succeeded", 0) >= 10, "the bulk to be under way")
        before = mill.states(bulk)["succeeded"]
        urgent = mill.load(5, say="urgent", priority=1)
        mill.wait_done(urgent)
        overtaken = mill.states(bulk)["succeeded"] - before
        # 2 s of the limit may be booked by the bulk; in its turn it would wait for some 95.
        assert overtaken < 65
        mill.wait_done(bulk)
        assert_world(mill)
