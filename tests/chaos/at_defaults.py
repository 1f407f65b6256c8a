"""At the times that people have who set none: R57 to R59. All else is played with short ones."""

import signal
from functools import partial
from time import monotonic
from typing import Any

from promptmill.schema.settings import DispatchSettings, RetrySettings, WorkerSettings
from tests.chaos.catalogue import Fault
from tests.chaos.stage import Stage, requests_exactly, suspended
from tests.services.running_mill import FAST, OPENAI, RunningMill, Worker
from tests.services.waiting import wait_until

OPEN = 20
RESCUED_S = 65.0
SECTIONS = {"WORKER": WorkerSettings(), "DISPATCH": DispatchSettings(), "RETRY": RetrySettings()}


def rescued(stage: Stage) -> None:
    """A worker is killed with its calls open; another one is there, and a sweeper.

    Then one that no process of this machine can see to be gone, as if its machine had died.
    """
    mill = stage.mill(latency_s=5, WORKER__CONCURRENCY=str(OPEN), **_usual_times())
    for end in (Worker.kill, _stop_beating):
        doomed = mill.start_worker(OPENAI)
        batch = mill.load(OPEN)
        _wait_open(mill)
        end(doomed)
        ended_at = monotonic()
        helper = mill.start_worker(OPENAI)
        wait_until(partial(_is_rescued, mill, doomed.pid), "a rescue", timeout=90)
        after_s = monotonic() - ended_at
        if not doomed.has_ended:
            doomed.kill()
        stage.judge(mill, batch, unbooked=2 * OPEN, away_s=RESCUED_S)
        requests_exactly(mill, batch, 2 * OPEN)
        assert after_s <= RESCUED_S, f"rescued after {after_s:.1f} s"
        helper.kill()


def _stop_beating(worker: Worker) -> None:
    worker.signal(signal.SIGSTOP)


def sql_away(stage: Stage) -> None:
    """SQL is away for minutes with answers in flight: they are stored, and none is bought again."""
    mill, line = stage.mill_behind_a_line(
        latency_s=3, WORKER__CONCURRENCY=str(OPEN), **_usual_times()
    )
    mill.start_worker(OPENAI)
    batch = mill.load(jobs := 3 * OPEN)
    _wait_open(mill)
    line.refuse()
    stage.pause(away_s := stage.size(80, 300))
    line.heal()
    wait_until(lambda: _is_done(mill, batch), "all to be answered", timeout=240)
    stage.judge(mill, batch, away_s=away_s + RESCUED_S)
    requests_exactly(mill, batch, jobs)


def machine_asleep(stage: Stage) -> None:
    """The machine sleeps for minutes, but for the provider: nobody is dead when it wakes up."""
    mill = stage.mill(
        latency_s=3, dispatched=False, WORKER__CONCURRENCY=str(OPEN), **_usual_times()
    )
    dispatcher = stage.dispatch(mill)
    worker = mill.start_worker(OPENAI)
    batch = mill.load(jobs := 3 * OPEN)
    _wait_open(mill)
    with suspended(dispatcher.pid, worker.pid):
        stage.pause(away_s := stage.size(80, 300))
    wait_until(lambda: _is_done(mill, batch), "all to be answered", timeout=120)
    stage.judge(mill, batch, away_s=away_s + RESCUED_S)
    requests_exactly(mill, batch, jobs)


def _usual_times() -> dict[str, Any]:
    """Undo what makes mills of tests quick."""
    times = {}
    for name in FAST:
        section, _, setting = name.partition("__")
        if section in SECTIONS:
            times[name] = str(getattr(SECTIONS[section], setting.lower()))
    return times


def _wait_open(mill: RunningMill) -> None:
    def is_open() -> bool:
        return sum(row.finished_at is None for row in mill.simulator.bill()) == OPEN

    wait_until(is_open, f"{OPEN} open calls", timeout=30)


def _held_by(mill: RunningMill, pid: int) -> bool:
    held = "select 1 from jobs j join workers w on w.id = j.lease_owner where j.state = 2"
    return bool(mill.sql(f"{held} and w.pid = {pid}"))


def _is_rescued(mill: RunningMill, pid: int) -> bool:
    return not _held_by(mill, pid)


def _is_done(mill: RunningMill, batch: int) -> bool:
    return set(mill.states(batch)) == {"succeeded"}


FAULTS = (
    Fault("R57", "default_rescue", "kill -9 of a worker, at the default lease", rescued),
    Fault("R58", "default_outage", "SQL away for minutes, at default times", sql_away),
    Fault("R59", "default_sleep", "all asleep for minutes, at default times", machine_asleep),
)
