"""kill -9 of a worker at each step of the way of one prompt.

Each step has a provider, a queue, a batch and a worker of its own, in one mill; the worker dies
at that step of the batch's second job. Then one more worker goes on with what all of them left.
"""

import signal
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from promptmill.schema.states import JobState
from tests.crash.conftest import MakeMill
from tests.services.running_mill import RunningMill, Worker
from tests.services.waiting import wait_until
from tests.services.world import assert_world

JOBS = 4
VICTIM = "row-1"


@dataclass(frozen=True, slots=True)
class Step:
    """Where the worker dies, and what that may cost."""

    name: str
    requests: int
    """of the victim before the worker died"""
    is_rescued: bool
    """the job was running, so its outcome counts as unknown"""


STEPS = (
    Step("popped", 0, is_rescued=False),
    Step("started", 0, is_rescued=False),
    Step("claimed", 0, is_rescued=True),
    Step("sent", 1, is_rescued=True),
    Step("answered", 1, is_rescued=True),
    Step("stored", 1, is_rescued=True),
    Step("committed", 1, is_rescued=False),
    Step("acked", 1, is_rescued=False),
)
PAID_IN_VAIN = sum(step.requests for step in STEPS if step.is_rescued)


def broken_at_every_step(mill: RunningMill, *, on_unknown: str) -> dict[Step, int]:
    """Load a batch for each step, and let its worker die there; return the batches."""
    mill.simulator.add_fault("hang", contains="number 1 at sent", count=1, billed=True)
    batches, workers = {}, {}
    for step in STEPS:
        say = f"at {step.name}"
        batches[step] = mill.load(JOBS, providers=[step.name], on_unknown=on_unknown, say=say)
    mill.start_dispatcher()
    victims = {step: victim_of(mill, batch)["id"] for step, batch in batches.items()}
    for step, victim in victims.items():
        workers[step] = start_doomed(mill, step, victim)
    for step, worker in workers.items():
        if step.name == "sent":
            is_sent = partial(requests_of, mill, victims[step])
            wait_until(is_sent, "the call to be open", timeout=60)
            worker.kill()
        assert worker.wait(60) == -signal.SIGKILL, f"{step}: {worker.log.read_text()[-3000:]}"
    return batches


def start_doomed(mill: RunningMill, step: Step, job_id: int) -> Worker:
    if step.name == "sent":  # killed from outside, when the request has arrived
        return mill.start_worker(step.name, ready=False)
    mine = {"MINE": step.name, "MINE_JOB": str(job_id)}
    return mill.start_worker(step.name, app="tests.crash.crashing_app", env=mine, ready=False)


def victim_of(mill: RunningMill, batch: int) -> dict[str, Any]:
    (job,) = mill.sql(f"select * from jobs where batch_id = {batch} and custom_id = '{VICTIM}'")
    return job


def requests_of(mill: RunningMill, job_id: int) -> int:
    return sum(row.client_request_id.split("-")[1] == str(job_id) for row in mill.simulator.bill())


@pytest.mark.timeout(240)
def test_a_worker_killed_at_any_step_costs_no_job_and_one_request_at_most(
    make_mill: MakeMill, subtests: pytest.Subtests
) -> None:
    mill = make_mill(vendors=[step.name for step in STEPS], WORKER__CONCURRENCY="1")
    batches = broken_at_every_step(mill, on_unknown="retry")
    mill.start_worker(*(step.name for step in STEPS))
    for step, batch in batches.items():
        with subtests.test(step.name):
            assert mill.wait_done(batch) == {"succeeded": JOBS}
            victim = victim_of(mill, batch)
            again = 0 if step.requests and not step.is_rescued else 1
            assert requests_of(mill, victim["id"]) == step.requests + again
            assert victim["crashes"] == step.is_rescued
            assert mill.requests(batch) == JOBS - 1 + step.requests + again
    assert_world(mill, unbooked=PAID_IN_VAIN)


@pytest.mark.timeout(240)
def test_with_hold_no_request_follows_one_whose_outcome_is_unknown(
    make_mill: MakeMill, postgres_url: str, subtests: pytest.Subtests
) -> None:
    mill = make_mill(
        vendors=[step.name for step in STEPS], database_url=postgres_url, WORKER__CONCURRENCY="1"
    )
    batches = broken_at_every_step(mill, on_unknown="hold")
    mill.start_worker(*(step.name for step in STEPS))
    for step, batch in batches.items():
        with subtests.test(step.name):
            held = {"quarantined": 1} if step.is_rescued else {}
            assert mill.wait_done(batch) == {"succeeded": JOBS - len(held)} | held
            victim = victim_of(mill, batch)
            assert JobState(victim["state"]).word == ("quarantined" if held else "succeeded")
            requests = step.requests if held else 1
            assert requests_of(mill, victim["id"]) == requests
    assert_world(mill, unbooked=PAID_IN_VAIN)
