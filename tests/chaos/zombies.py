"""Workers that are slow, suspended, or told to stop: R22 to R26."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.catalogue import Fault
from tests.chaos.stage import NotHereError, Stage, requests_exactly
from tests.services.running_mill import OPENAI, RunningMill, Worker
from tests.services.waiting import wait_until

OPEN = 20


def slow_calls(stage: Stage) -> None:
    """Calls of three leases, from a worker that beats."""
    mill = stage.mill(latency_s=6, WORKER__CONCURRENCY="20")
    mill.start_worker(OPENAI)
    batch = mill.load(jobs := stage.size(20, 60))
    stage.judge(mill, batch)
    requests_exactly(mill, batch, jobs)


def overtaken(stage: Stage) -> None:
    """Another worker has done the jobs before the first one wakes up, with answers and errors."""
    mill = stage.mill(latency_s=0.7, WORKER__CONCURRENCY=str(OPEN))
    error = '{"error": {"message": "no", "type": "server_error"}}'
    mill.simulator.add_fault("raw", status=500, body=error, every=2, count=OPEN // 2)
    with _suspended_in_calls(mill) as batch:
        mill.start_worker(OPENAI)
        mill.wait_done(batch, 60)
    late = "select count(*) as n from attempts where outcome in (2, 5)"
    wait_until(lambda: mill.sql(late)[0]["n"] == OPEN, "the zombie to tell what it has")
    stage.judge(mill, batch)
    requests_exactly(mill, batch, 2 * OPEN)


def adopted(stage: Stage) -> None:
    """Nobody has claimed the jobs meanwhile: held, they are ended by the late answers."""
    mill = stage.mill(latency_s=0.7, WORKER__CONCURRENCY=str(OPEN))
    with _suspended_in_calls(mill, on_unknown="hold") as batch:
        wait_until(
            lambda: mill.states(batch) == {"quarantined": OPEN}, "the jobs to be held", timeout=20
        )
    wait_until(lambda: mill.states(batch) == {"succeeded": OPEN}, "the answers to be adopted")
    stage.judge(mill, batch)
    requests_exactly(mill, batch, OPEN)


def clocks(stage: Stage) -> None:
    """The worker's clock is a day ahead, then an hour behind; SQL's is right."""
    library = _wrong_clock(stage)
    for shift_s in (86_400, -3600):
        env = {"LD_PRELOAD": str(library), "WRONG_CLOCK_S": str(shift_s)}
        told = subprocess.run(
            [sys.executable, "-c", "import time; print(time.time())"],
            env={**os.environ, **env},
            capture_output=True,
            check=True,
        )
        assert abs(float(told.stdout) - time.time() - shift_s) < 60, "the clock is not wrong"
        mill = stage.mill(database_url=stage.postgres_url(), WORKER__CONCURRENCY="10")
        mill.simulator.add_fault("server_error", every=5, count=10)
        mill.start_worker(OPENAI, env=env)
        batch = mill.load(jobs := stage.size(100, 500))
        stage.judge(mill, batch)
        requests_exactly(mill, batch, jobs + 10)


def _wrong_clock(stage: Stage) -> Path:
    """Compile what makes a process' wall clock wrong."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        msg = "needs Linux and a C compiler"
        raise NotHereError(msg)
    library = stage.new_folder() / "wrong_clock.so"
    source = Path(__file__).with_name("wrong_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def told_to_stop(stage: Stage) -> None:
    mill = stage.mill(latency_s=1, WORKER__CONCURRENCY=str(OPEN))
    first = mill.start_worker(OPENAI)
    batch = mill.load(3 * OPEN)
    _wait_open(mill, OPEN)
    first.signal(signal.SIGTERM)
    assert first.wait() == 0, "it did not end in order"
    requests_exactly(mill, batch, OPEN)
    assert mill.states(batch).get("succeeded") == OPEN, "an open call was not stored"
    second = mill.start_worker(OPENAI)
    _wait_open(mill, OPEN)
    second.signal(signal.SIGTERM)
    wait_until(lambda: _is_told(second), "the first signal to be heard")
    second.signal(signal.SIGTERM)
    second.wait()
    unknown = mill.sql("select count(*) as n from attempts where outcome = 3")[0]["n"]
    mill.start_worker(OPENAI)
    stage.judge(mill, batch, unbooked=unknown)
    requests_exactly(mill, batch, 3 * OPEN + unknown)


@contextmanager
def _suspended_in_calls(mill: RunningMill, *, on_unknown: str = "retry") -> Iterator[int]:
    zombie = mill.start_worker(OPENAI)
    batch = mill.load(OPEN, on_unknown=on_unknown)
    _wait_open(mill, OPEN)
    zombie.signal(signal.SIGSTOP)
    try:
        yield batch
    finally:
        zombie.signal(signal.SIGCONT)


def _wait_open(mill: RunningMill, calls: int) -> None:
    def is_open() -> bool:
        return sum(row.finished_at is None for row in mill.simulator.bill()) == calls

    wait_until(is_open, f"{calls} open calls", timeout=30)


def _is_told(worker: Worker) -> bool:
    return "Warm shutdown" in worker.log.read_text()


FAULTS = (
    Fault("R22", "slow_calls", "calls of three leases", slow_calls),
    Fault("R23", "zombie", "suspended over its lease, overtaken, wakes up", overtaken),
    Fault("R24", "zombie_adopted", "suspended over its lease, wakes up before a claim", adopted),
    Fault("R25", "clocks", "a worker's clock is wrong by a day, by an hour", clocks),
    Fault("R26", "told_to_stop", "SIGTERM with 20 calls open; two SIGTERMs", told_to_stop),
)
