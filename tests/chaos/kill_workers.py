"""kill -9 at random: workers and the dispatcher of a mill at work, then the books are checked.

    ./run chaos kill_workers [--seed 7] [--seconds 60] [--jobs 5000] [--workers 3]

Ends with a table and exit status 0, or with what did not hold. Anybody who is killed is started
again at once; the same seed kills at the same moments.
"""
# ruff: noqa: T201  a command of its own

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from threading import Event
from time import monotonic

from promptmill.schema.instants import known_instant
from promptmill.simulator import Simulator, SimulatorConfig
from tests.chaos.stage import DISPATCH, Figures
from tests.services.running_mill import FAST, MODELS, RunningMill, Worker
from tests.services.valkey import Valkey
from tests.services.world import assert_world, paid_again

MOST_WAIT_S = 4.0
"""between two kills; the mean is half of it"""
AWAY_S = 5.0
"""until a killed dispatcher has a successor that sweeps"""
END_S = 120.0
"""for what is left when the killing has ended"""


@dataclass
class Killer:
    """Kills members of the crew at random and starts others in their place."""

    mill: RunningMill
    rng: Random
    killed_at: dict[int, datetime] = field(default_factory=dict)
    """worker pid to the moment of its end"""
    dispatchers: int = 0

    def begin(self, workers: int) -> None:
        self.crew = [self.mill.start_worker(ready=False) for _ in range(workers)]
        for worker in self.crew:
            self.mill.wait_ready(worker)
        self.dispatcher = self.mill.start_process(*DISPATCH, log="dispatch.log")

    def strike(self) -> None:
        """Kill one: the dispatcher as often as any worker."""
        choice = self.rng.randrange(len(self.crew) + 1)
        if choice == len(self.crew):
            self.stop_dispatcher()
            self.dispatchers += 1
            self.dispatcher = self.mill.start_process(*DISPATCH, log="dispatch.log")
        else:
            self._kill(self.crew[choice])
            self.crew[choice] = self.mill.start_worker(ready=False)

    def stop_dispatcher(self) -> None:
        self.dispatcher.kill()
        self.dispatcher.wait(10)

    def _kill(self, worker: Worker) -> None:
        worker.kill()
        self.killed_at[worker.pid] = datetime.now(UTC)


def main(arguments: Sequence[str]) -> Figures:
    """Kill until the time is over, let the rest be done, and check."""
    options = _options(arguments)
    env = {"RETRY__MAX_CRASHES": "50", "WORKER__CONCURRENCY": "30"}
    config = SimulatorConfig(latency_s=0.4, latency_sigma=0.5, seed=options.seed)
    with (
        tempfile.TemporaryDirectory(prefix="pm-chaos-") as name,
        Valkey(Path(name)) as valkey,
        Simulator(config) as simulator,
        RunningMill(_folder(name), valkey, simulator, env=env) as mill,
    ):
        simulator.add_fault("server_error", probability=0.01)
        simulator.add_fault("cut", probability=0.005)
        killer = Killer(mill, Random(options.seed))
        killer.begin(options.workers)
        began = monotonic()
        batch = mill.load(options.jobs, providers=list(MODELS))
        try:
            _kill_until(began + options.seconds, killer, batch)
            states = mill.wait_done(batch, timeout_s=END_S)
            took_s = monotonic() - began
        finally:
            killer.stop_dispatcher()
        crashes = sum(row["crashes"] for row in mill.sql("select crashes from jobs"))
        _print_table(mill, killer, states, crashes=crashes, took_s=took_s)
        assert states == {"succeeded": options.jobs}
        assert_world(mill, unbooked=crashes, away_s=AWAY_S)
        lost = options.jobs - sum(states.values())
        return Figures(lost=lost, paid_again=paid_again(mill), seconds=took_s)


def _kill_until(until: float, killer: Killer, batch: int) -> None:
    """Strike until the time is over or all is done."""
    pause = Event()
    while monotonic() < until and set(killer.mill.states(batch)) != {"succeeded"}:
        pause.wait(killer.rng.uniform(0, MOST_WAIT_S))
        killer.strike()


def _print_table(
    mill: RunningMill, killer: Killer, states: dict[str, int], *, crashes: int, took_s: float
) -> None:
    refused = sum(row.status >= 400 or row.fault != "" for row in mill.simulator.bill())
    rows = {
        "workers killed": len(killer.killed_at),
        "dispatchers killed": killer.dispatchers,
        "jobs": states,
        "requests": mill.simulator.summary().total.requests,
        "answered with a fault": refused,
        "calls open at a kill (crashes)": crashes,
        "slowest rescue after a kill": f"{_slowest_rescue_s(mill, killer):.1f} s"
        f" (lease {FAST['DISPATCH__LEASE_S']} s)",
        "time": f"{took_s:.0f} s",
    }
    for name, value in rows.items():
        print(f"{name:32} {value}")


def _slowest_rescue_s(mill: RunningMill, killer: Killer) -> float:
    pids = {row["id"]: row["pid"] for row in mill.sql("select id, pid from workers")}
    lost = mill.sql("select worker_id, ended_at from attempts where error_code = 'worker_lost'")
    waits = [
        (known_instant(row["ended_at"]) - killer.killed_at[pids[row["worker_id"]]]).total_seconds()
        for row in lost
        if pids[row["worker_id"]] in killer.killed_at
    ]
    return max(waits, default=0.0)


def _folder(name: str) -> Path:
    folder = Path(name) / "mill"
    folder.mkdir()
    return folder


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run chaos kill_workers")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=3)
    return parser.parse_args(arguments)
