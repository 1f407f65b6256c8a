"""Flower reads the queues of a bundled server too, which has a unix socket and no port."""

from pathlib import Path

from promptmill.simulator import Simulator
from tests.flower.monitor import Monitor, queue_lengths
from tests.services.running_mill import ANTHROPIC, OPENAI, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until


def test_the_broker_page_counts_hints_over_a_unix_socket(
    short_folder: Path, valkey: Valkey, simulator: Simulator
) -> None:
    with RunningMill(short_folder, valkey, simulator) as mill, Monitor(mill) as flower:
        batch = mill.load(9, providers=(OPENAI, OPENAI, ANTHROPIC))
        mill.start_dispatcher()
        wait_until(lambda: mill.states(batch) == {"queued": 9}, "all hints to be out")
        lengths = queue_lengths(flower.get("/broker").text)
    assert lengths == {"promptmill.openai": 6, "promptmill.anthropic": 3, "promptmill.gemini": 0}
