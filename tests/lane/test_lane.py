"""Jobs that go by a provider's batch API, over the wire."""

import json
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from promptmill.producer.control import cancel, resume_provider
from promptmill.producer.watching.lane_text import lane_lines
from promptmill.producer.watching.progress import read_progress
from promptmill.schema.lanes import Lane
from promptmill.schema.moves.laning import set_lane
from promptmill.schema.provider_batches import open_provider_batches
from promptmill.simulator import Row, Simulator, SimulatorConfig
from promptmill.simulator.provider import Provider
from tests.services.running_mill import ANTHROPIC, FAST_LANE, GEMINI, OPENAI, RunningMill
from tests.services.valkey import Valkey
from tests.services.waiting import wait_until
from tests.services.world import assert_world

SERVER_ERROR = {OPENAI: "server_error", ANTHROPIC: "api_error", GEMINI: "INTERNAL"}
INVALID = {
    OPENAI: "invalid_request_error",
    ANTHROPIC: "invalid_request_error",
    GEMINI: "INVALID_ARGUMENT",
}
EXPIRED = {OPENAI: 20, ANTHROPIC: 20, GEMINI: 40}
JOBS = 40
ENV = {**FAST_LANE, "WORKER__REQUEST_LOG": "requests"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A mill whose first worker was killed between a provider batch and its commit, and whose
    second while it read results.
    """

    mill: RunningMill
    batches: Mapping[str, int]
    """by provider, of 40 prompts each, to which all happens that can"""


@pytest.fixture(scope="module")
def scene(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with (
        Valkey(Path(tempfile.mkdtemp(dir=run_folder))) as valkey,
        Simulator(SimulatorConfig()) as simulator,
        RunningMill(tmp_path_factory.mktemp("mill"), valkey, simulator, env=ENV) as mill,
    ):
        mill.start_dispatcher()
        batches = {provider: befallen(mill, provider) for provider in SERVER_ERROR}
        killed(mill, "create")
        left = mill.sql("select state, provider_id, tries from provider_batches")
        assert {"state": "whole", "provider_id": None, "tries": 1} in left
        for provider in batches:
            simulator.add_fault(
                "reset", provider=Provider(provider), model="batches.create", count=1
            )
        killed(mill, "read")
        assert mill.sql(
            "select worker_id from attempts group by worker_id"
            " having min(outcome) = 0 and max(outcome) > 0"
        ), "some of the rows that came are stored"
        mill.start_worker()
        for batch in batches.values():
            mill.wait_done(batch)
        yield Scene(mill, batches)
        assert_world(mill)


def killed(mill: RunningMill, where: str) -> None:
    doomed = mill.start_worker(app="tests.lane.doomed_app", env={"MINE": where})
    assert doomed.wait() == -signal.SIGKILL


def befallen(mill: RunningMill, provider: str) -> int:
    """Load a batch of which a row will be dropped, one in error, one refused, and half expire."""
    for number, fault in ((7, "dropped"), (8, "server_error"), (9, "invalid_request")):
        count = None if number == 9 else 1
        mill.simulator.add_fault(fault, contains=f"number {number} of {provider}", count=count)
    mill.simulator.add_fault("expired", provider=Provider(provider), model="batches.run", count=1)
    return mill.load(
        JOBS, providers=[provider], say=f"of {provider}", lane=Lane.BATCH, budget_micros=1_000_000
    )


@pytest.mark.parametrize("provider", SERVER_ERROR)
def test_whatever_befalls_a_provider_batch_each_job_ends_once_at_half_the_price(
    scene: Scene, provider: str
) -> None:
    """The world is compared with the bill: a second submission would be a call without a row."""
    mill, batch = scene.mill, scene.batches[provider]
    assert mill.states(batch) == {"succeeded": 39, "failed": 1}
    assert all(row.half_price for row in mill.simulator.bill() if is_of(row, batch))
    first, *_ = mill.sql(
        f"select jobs, problem from provider_batches where batch_id = {batch} order by made_at"
    )
    assert first == {"jobs": JOBS, "problem": "expired"}
    told = mill.sql(
        f"select error_code, count(*) as n from attempts where batch_id = {batch}"
        " group by error_code"
    )
    assert {one["error_code"]: one["n"] for one in told} == {
        None: 39,
        "batch_expired": EXPIRED[provider],
        "batch_row_missing": 1,
        SERVER_ERROR[provider]: 1,
        INVALID[provider]: 1,
    }


def test_a_cancelled_batch_is_cancelled_at_its_provider(scene: Scene) -> None:
    mill = scene.mill
    with held(mill):
        batch = mill.load(10, lane=Lane.BATCH)
        at_provider(mill, batch)
        cancel(mill.database, batch)
        assert mill.wait_done(batch) == {"succeeded": 5, "cancelled": 5}
    (one,) = mill.sql(f"select state, problem from provider_batches where batch_id = {batch}")
    assert one == {"state": "ended", "problem": "cancelled"}


def test_a_batch_whose_deadline_is_near_leaves_the_lane(scene: Scene) -> None:
    mill = scene.mill
    with held(mill):
        batch = mill.load(10, lane=Lane.AUTO, deadline_s=100_000)
        at_provider(mill, batch)
        progress = read_progress(mill.database, batch)
        assert progress.state == "away"
        view = f"select state from promptmill_batches where batch_id = {batch}"
        assert mill.sql(view) == [{"state": "away"}]
        assert next(lane_lines(progress.away)).startswith("10 at openai's batch API since ")
        with mill.database.write() as connection:
            set_lane(connection, batch, Lane.AUTO, deadline_s=1800)
        assert mill.wait_done(batch) == {"succeeded": 10}
    prices = [row.half_price for row in mill.simulator.bill() if is_of(row, batch)]
    assert sorted(prices) == [False] * 5 + [True] * 5


def test_a_row_that_is_refused_for_money_stops_the_key_and_keeps_the_jobs(scene: Scene) -> None:
    mill = scene.mill
    mill.simulator.add_fault("money", contains="number 1 poor", count=1)
    batch = mill.load(3, providers=[ANTHROPIC], say="poor", lane=Lane.BATCH)
    paused = "select reason from pauses where provider = 'anthropic'"
    wait_until(lambda: mill.sql(paused), "the key to be stopped")
    assert mill.states(batch).keys() <= {"succeeded", "pending", "waiting", "running"}
    resume_provider(mill.database, mill.settings, ANTHROPIC)
    assert mill.wait_done(batch) == {"succeeded": 3}
    attempts = mill.sql(
        f"select job_id, fence from attempts where batch_id = {batch} and outcome <> 4"
    )
    called = {(one["job_id"], one["fence"]) for one in attempts}
    wait_until(lambda: logged(mill, batch) == called, "each row to be in the request log")


def logged(mill: RunningMill, batch: int) -> set[tuple[int, int]]:
    lines = [
        json.loads(line)
        for path in (mill.folder / "requests").glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return {(one["job_id"], one["fence"]) for one in lines if one["batch_id"] == batch}


@contextmanager
def held(mill: RunningMill) -> Iterator[None]:
    """Let provider batches take a minute."""
    mill.simulator.configure(batch_s=60.0)
    yield
    mill.simulator.configure(batch_s=0.0)


def at_provider(mill: RunningMill, batch: int) -> None:
    def is_there() -> bool:
        with mill.database.read() as connection:
            there = open_provider_batches(connection, batch_id=batch)
        return bool(there) and all(one.state == "sent" for one in there)

    wait_until(is_there, "the batch to be at its provider", timeout=30)


def is_of(row: Row, batch: int) -> bool:
    return row.client_request_id.startswith(f"{batch}-")
