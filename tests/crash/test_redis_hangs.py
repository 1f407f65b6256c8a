"""Redis neither answers nor closes its connections, as on a machine that is suspended."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.crash.conftest import MakeMill
from tests.services.running_mill import OPENAI
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

JOBS = 100
"""Celery keeps two dozen events back before it sends them."""


@contextmanager
def hanging(valkey: Valkey) -> Iterator[None]:
    """Suspend the server for as long as the block lasts."""
    pid = int(valkey.client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_redis_that_hangs_keeps_no_open_call_from_its_answer(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY=str(JOBS))
    mill.simulator.configure(latency_s=2.0, latency_sigma=0.5)
    mill.start_worker(OPENAI)
    mill.start_dispatcher()
    batch = mill.load(JOBS)
    wait_until(lambda: mill.states(batch).get("running") == JOBS, "all calls to be open")
    wait_until(lambda: mill.states(batch).get("succeeded"), "the first answer")
    with hanging(mill.valkey):
        assert mill.wait_done(batch, 12) == {"succeeded": JOBS}
    assert_world(mill)


@pytest.mark.long
def test_a_worker_that_is_told_to_stop_while_redis_hangs_stops_in_time(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY="5")
    mill.simulator.configure(latency_s=1.0)
    mill.start_dispatcher()
    worker = mill.start_worker(OPENAI)
    batch = mill.load(40)
    wait_until(lambda: mill.states(batch).get("succeeded"), "the first answer")
    with hanging(mill.valkey):
        wait_until(lambda: "service lost" in worker.log.read_text(), "it to notice", timeout=20)
        worker.signal(signal.SIGTERM)
        assert worker.wait(mill.settings.worker.grace_s + 10) == 0
    mill.simulator.configure(latency_s=0.0)
    mill.start_worker(OPENAI)
    assert mill.wait_done(batch) == {"succeeded": 40}
    assert mill.requests(batch) == 40
    assert_world(mill)
