"""The eight steps of the way of one prompt at which a worker is killed, and what each may cost.

Each step has a provider, a queue, a batch and a worker of its own, in one mill; the worker dies
at that step of the batch's second job, or of its last where the next call would be out by then.
"""

import signal
from dataclasses import dataclass
from functools import partial
from typing import Any

from promptmill.schema.states import JobState
from tests.services.running_mill import RunningMill, Worker
from tests.services.waiting import wait_until

JOBS = 4
VICTIM, LAST = "row-1", f"row-{JOBS - 1}"


@dataclass(frozen=True, slots=True)
class Step:
    """Where the worker dies, and what that may cost."""

    name: str
    requests: int
    """of the victim before the worker died"""
    is_rescued: bool
    """the job was running, so its outcome counts as unknown"""
    victim: str = VICTIM
    """the custom id of the job at which it dies"""


STEPS = (
    Step("popped", 0, is_rescued=False),
    Step("started", 0, is_rescued=False),
    Step("claimed", 0, is_rescued=True),
    Step("sent", 1, is_rescued=True),
    Step("answered", 1, is_rescued=True),
    Step("stored", 1, is_rescued=True),
    Step("committed", 1, is_rescued=False),
    Step("acked", 1, is_rescued=False, victim=LAST),
)
NAMES = tuple(step.name for step in STEPS)
PAID_IN_VAIN = sum(step.requests for step in STEPS if step.is_rescued)


def broken_at_every_step(mill: RunningMill, *, on_unknown: str) -> dict[Step, int]:
    """Load a batch for each step, and let its worker die there; return the batches."""
    mill.simulator.add_fault("hang", contains="number 1 at sent", count=1, billed=True)
    batches, workers = {}, {}
    for step in STEPS:
        say = f"at {step.name}"
        batches[step] = mill.load(JOBS, providers=[step.name], on_unknown=on_unknown, say=say)
    victims = {step: victim_of(mill, batch, step.victim)["id"] for step, batch in batches.items()}
    for step, victim in victims.items():
        workers[step] = start_doomed(mill, step.name, victim)
    for step, worker in workers.items():
        if step.name == "sent":
            is_sent = partial(requests_of, mill, victims[step])
            wait_until(is_sent, "the call to be open", timeout=60)
            worker.kill()
        wait_killed(worker)
    return batches


def start_doomed(mill: RunningMill, step: str, job_id: int, *providers: str) -> Worker:
    """Start a worker that will die at *step* of a job; at `sent` it is killed from outside."""
    providers = providers or (step,)
    if step == "sent":
        return mill.start_worker(*providers, ready=False)
    mine = {"MINE": step, "MINE_JOB": str(job_id)}
    return mill.start_worker(*providers, app="tests.crash.crashing_app", env=mine, ready=False)


def wait_killed(worker: Worker) -> None:
    """Wait until *worker* has died of its mine."""
    code = worker.wait(60)
    assert code == -signal.SIGKILL, f"ended with {code}: {worker.log.read_text()[-3000:]}"


def assert_cost(mill: RunningMill, step: Step, batch: int, *, on_unknown: str) -> None:
    """Wait for the end of a step's batch; check where its jobs went and how often it was asked."""
    is_held = step.is_rescued and on_unknown == "hold"
    held = {"quarantined": 1} if is_held else {}
    states, victim = mill.wait_done(batch), victim_of(mill, batch, step.victim)
    assert states == {"succeeded": JOBS - len(held)} | held, f"{step.name}: {states}"
    word = JobState(victim["state"]).word
    assert word == ("quarantined" if is_held else "succeeded"), f"{step.name}: {word}"
    assert victim["crashes"] == step.is_rescued, f"{step.name}: {victim['crashes']} crashes"
    asked_again = not is_held and (step.is_rescued or not step.requests)
    requests, wanted = requests_of(mill, victim["id"]), step.requests + asked_again
    assert requests == wanted, f"{step.name}: {requests} requests, {wanted} are enough"
    assert mill.requests(batch) == JOBS - 1 + wanted, f"{step.name}: another job was asked twice"


def victim_of(mill: RunningMill, batch: int, victim: str = VICTIM) -> dict[str, Any]:
    (job,) = mill.sql(f"select * from jobs where batch_id = {batch} and custom_id = '{victim}'")
    return job


def requests_of(mill: RunningMill, job_id: int) -> int:
    return sum(row.client_request_id.split("-")[1] == str(job_id) for row in mill.simulator.bill())
