"""How a worker process stops: by a signal, by two, and with its parent. Each test has its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptmill.schema.pauses import lift_pauses, pauses_now
from promptmill.simulator import Simulator
from tests.services.running_mill import OPENAI, RunningMill, Worker
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world
from tests.workers.conftest import CONCURRENCY

SLOW_S = 1.5


@pytest.fixture
def slow(mill: RunningMill) -> Iterator[RunningMill]:
    """The mill, with a provider that takes its time."""
    mill.simulator.configure(latency_s=SLOW_S)
    yield mill
    mill.simulator.configure(latency_s=0.0)


def open_calls(mill: RunningMill, batch: int) -> int:
    calls = (row for row in mill.simulator.bill() if row.finished_at is None)
    return sum(row.client_request_id.startswith(f"{batch}-") for row in calls)


def in_mid_batch(mill: RunningMill, worker: Worker) -> int:
    """Load more than *worker* can do at once, and return the batch when all its calls are open."""
    batch = mill.load(4 * CONCURRENCY)
    wait_until(lambda: open_calls(mill, batch) == CONCURRENCY, "as many open calls as are allowed")
    assert not worker.has_ended
    return batch


def finish(mill: RunningMill, batch: int) -> None:
    """Let another worker do the rest."""
    mill.simulator.configure(latency_s=0.0)
    other = mill.start_worker(OPENAI)
    assert mill.wait_done(batch) == {"succeeded": 4 * CONCURRENCY}
    other.kill()


def test_the_first_sigterm_lets_open_calls_end_and_puts_all_else_back(slow: RunningMill) -> None:
    worker = slow.start_worker(OPENAI)
    batch = in_mid_batch(slow, worker)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert slow.requests(batch) == CONCURRENCY, "a request went out after the signal"
    states = slow.states(batch)
    assert states.pop("succeeded") == CONCURRENCY
    # Hints that go back to the broker stay queued.
    assert states.keys() <= {"pending", "queued"}
    finish(slow, batch)
    assert slow.requests(batch) == 4 * CONCURRENCY
    assert_world(slow)


def test_the_second_sigterm_ends_it_at_once_and_open_calls_are_unknown(slow: RunningMill) -> None:
    slow.simulator.configure(latency_s=30.0)
    worker = slow.start_worker(OPENAI)
    batch = in_mid_batch(slow, worker)
    worker.signal(signal.SIGTERM)
    wait_until(lambda: b"Warm shutdown" in worker.log.read_bytes(), "the first signal to arrive")
    worker.signal(signal.SIGTERM)
    assert worker.wait(8) == 0
    unknown = f"select 1 from promptmill_attempts where batch_id = {batch} and outcome = 'unknown'"
    assert len(slow.sql(unknown)) == CONCURRENCY
    assert "running" not in slow.states(batch)
    finish(slow, batch)
    assert slow.requests(batch) == 5 * CONCURRENCY
    assert_world(slow)


def test_a_worker_ends_with_its_parent(slow: RunningMill) -> None:
    theirs, ours = os.pipe()
    worker = slow.start_worker(OPENAI, env={"PROMPTMILL_PARENT_FD": str(theirs)}, pass_fds=[theirs])
    os.close(theirs)
    batch = in_mid_batch(slow, worker)
    os.close(ours)
    assert worker.wait() == 0
    assert slow.requests(batch) == CONCURRENCY
    finish(slow, batch)
    assert_world(slow)


def test_a_worker_without_a_key_says_so_in_sql_and_puts_its_hints_back(mill: RunningMill) -> None:
    worker = mill.start_worker(OPENAI, env={"OPENAI_API_KEY": ""})
    batch = mill.load(3)

    def paused() -> list[str]:
        with mill.database.read() as connection:
            return [f"{pause.kind} {pause.fingerprint}" for pause in pauses_now(connection)]

    assert wait_until(paused, "the pause") == ["key -"]
    wait_until(lambda: mill.states(batch) == {"pending": 3}, "the hints to be put back")
    assert mill.requests(batch) == 0
    other = mill.start_worker(OPENAI)
    assert mill.wait_done(batch) == {"succeeded": 3}
    assert paused() == [], "a worker that has a key lifts the pause for want of one"
    worker.kill()
    other.kill()
    assert_world(mill)
    with mill.database.write() as connection:
        lift_pauses(connection, provider=OPENAI)


def test_a_worker_stops_when_a_newer_release_says_that_it_must_not_go_on(
    valkey: Valkey, simulator: Simulator, tmp_path: Path
) -> None:
    with RunningMill(tmp_path, valkey, simulator) as mill:
        worker = mill.start_worker(OPENAI)
        with mill.database.write() as connection:
            connection.exec_driver_sql("update revisions set works_from = '9999'")
        assert worker.wait() == 0
        assert "a newer promptmill has upgraded it" in worker.log.read_text()
