"""Responses that OpenAI makes in the background outlive the workers that asked for them."""

import signal

from tests.crash.conftest import MakeMill
from tests.services.leaks import assert_nothing_leaks
from tests.services.running_mill import OPENAI, RunningMill
from tests.services.waiting import wait_until

JOBS = 2
HOUR_S = 3600.0


def wait_open(mill: RunningMill, worker_no: int) -> None:
    """Wait until the attempts of the worker that came so manieth are open, and the ids in SQL."""
    opened = f"(select count(*) from attempts where outcome = 0) = {JOBS}"
    begun = f"(select count(*) from attempts) = {worker_no * JOBS}"
    kept = f"(select count(*) from background_responses) = {JOBS}"
    what = f"what worker {worker_no} waits for"
    wait_until(lambda: mill.sql(f"select 1 where {opened} and {begun} and {kept}"), what)


def test_a_response_is_bought_once_whatever_becomes_of_those_who_wait_for_it(
    make_mill: MakeMill,
) -> None:
    mill = make_mill(WORKER__POLL_S="0.05", WORKER__GRACE_S="60")
    mill.simulator.configure(background_s=HOUR_S)
    mill.start_dispatcher()
    native = {"input": f"prompt{mill.canary} think", "background": True}
    # What is unknown would be held for a person: here nothing is.
    batch = mill.load(JOBS, on_unknown="hold", endpoint="responses", native=native)

    killed = mill.start_worker(OPENAI)
    wait_open(mill, 1)
    killed.kill()
    told_to_stop = mill.start_worker(OPENAI)
    wait_open(mill, 2)
    told_to_stop.signal(signal.SIGTERM)
    told_to_stop.wait()  # not for its grace: nothing is lost
    mill.simulator.configure(background_s=0.0)
    mill.start_worker(OPENAI)

    assert mill.wait_done(batch) == {"succeeded": JOBS}
    assert mill.requests(batch) == JOBS, "one response each on the bill"
    attempts = mill.sql("select error_code, cost_micros > 0 as paid from attempts order by fence")
    assert [(row["error_code"], row["paid"]) for row in attempts] == [
        *[("worker_lost", None)] * JOBS,
        *[("worker_stopped", None)] * JOBS,
        *[(None, 1)] * JOBS,
    ]
    assert_nothing_leaks(mill)
