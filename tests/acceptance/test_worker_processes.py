"""`promptmill worker PROVIDER --processes N`."""

import os
import signal

from tests.acceptance.laptop import Laptop, living
from tests.services.waiting import wait_until


def test_two_processes_share_the_work_one_is_replaced_and_both_drain(laptop: Laptop) -> None:
    prompts = laptop.write_prompts(40)
    laptop.promptmill("submit", prompts, "-m", "gpt-4o-mini", "-p", "Answer: {text}")
    worker = laptop.begin("worker", "openai", "--processes", "2", "-c", "4")
    dispatch = laptop.begin("dispatch")
    laptop.wait_for_answers(40)
    wait_until(lambda: laptop.count("workers") == 2, "two workers", timeout=30)
    os.kill(laptop.sql("select pid from workers")[0][0], signal.SIGKILL)
    wait_until(lambda: laptop.count("workers") == 3, "a third", timeout=30)

    family = worker.family() - set(laptop.valkeys())
    worker.terminate()
    assert worker.ended().code == 0, worker.err
    assert not family & living().keys()
    dispatch.terminate()
    dispatch.ended()
