"""`promptmill run`, killed in mid batch and typed again."""

import os
import signal
from time import monotonic

import pytest

from tests.acceptance.laptop import QUICK_TO_RESCUE, Laptop, living
from tests.services.waiting import wait_until

PROMPTS = 60


def begun(laptop: Laptop) -> list[str]:
    """Return a command that takes six seconds or more."""
    laptop.env |= QUICK_TO_RESCUE
    laptop.simulator.configure(latency_s=0.5)
    laptop.simulator.add_fault("rate", every=40, retry_after="1")
    prompts = laptop.write_prompts(PROMPTS)
    return ["run", str(prompts), "-m", "gpt-4o-mini", "-p", "Answer: {text}", "-c", "5"]


def open_since(laptop: Laptop, before: float) -> int:
    """Count the calls that were under way at some time from *before*, just before a kill, to now.

    The simulator ends a call as soon as its client is gone: after the kill it is open no more.
    """
    return sum(
        row.finished_at is None or row.finished_at >= before for row in laptop.simulator.bill()
    )


def assert_each_is_answered_once(laptop: Laptop, *, bought_twice: int) -> None:
    """Compare SQL with the bill."""
    assert laptop.sql("select state, count(*) from promptmill_results group by state") == [
        ("succeeded", PROMPTS)
    ]
    bill = laptop.simulator.summary().total
    assert len({row.prompt_sha256 for row in laptop.simulator.bill()}) == PROMPTS
    assert bill.requests <= PROMPTS + bought_twice + bill.refused
    intents = laptop.sql("select batch_id || '-' || job_id || '-' || fence from attempts")
    sent = [(row.client_request_id,) for row in laptop.simulator.bill()]
    assert len(set(sent)) == bill.requests
    assert set(sent) <= set(intents)


def test_a_killed_run_goes_on_and_nothing_is_asked_twice_but_calls_that_were_open(
    laptop: Laptop,
) -> None:
    command = begun(laptop)
    run = laptop.begin(*command)
    laptop.wait_for_answers(PROMPTS // 3)
    family = run.family() - set(laptop.valkeys())
    before = monotonic()
    run.kill()
    was_open = open_since(laptop, before)

    again = laptop.promptmill(*command)
    assert again.code == 0, again.err
    assert_each_is_answered_once(laptop, bought_twice=was_open)
    wait_until(lambda: not family & living().keys(), "what the killed run had started to end")
    assert laptop.valkeys() == []


@pytest.mark.long
def test_a_run_goes_on_without_its_worker_and_gets_another(laptop: Laptop) -> None:
    run = laptop.begin(*begun(laptop))
    laptop.wait_for_answers(PROMPTS // 3)
    ((worker,),) = laptop.sql("select pid from workers where stopped_at is null")
    before = monotonic()
    os.kill(worker, signal.SIGKILL)
    was_open = open_since(laptop, before)

    typed = run.ended()
    assert typed.code == 0, typed.err
    assert "worker-openai-1 was killed, by SIGKILL; it was started again" in typed.err
    assert_each_is_answered_once(laptop, bought_twice=was_open)


@pytest.mark.long
def test_a_run_goes_on_without_its_redis_and_gets_it_back(laptop: Laptop) -> None:
    run = laptop.begin(*begun(laptop))
    laptop.wait_for_answers(PROMPTS // 3)
    laptop.kill(laptop.valkeys())

    typed = run.ended()
    assert typed.code == 0, typed.err
    assert typed.err.count("the bundled Redis was gone; it was started again") == 1
    assert "worker-" not in typed.err
    assert_each_is_answered_once(laptop, bought_twice=0)
    assert laptop.valkeys() == []


def test_a_run_goes_on_after_every_process_was_killed(laptop: Laptop) -> None:
    command = begun(laptop)
    run = laptop.begin(*command)
    laptop.wait_for_answers(PROMPTS // 3)
    family = run.family()
    assert {*laptop.valkeys()} < family
    before = monotonic()
    laptop.kill(family)
    was_open = open_since(laptop, before)
    run.ended()

    again = laptop.promptmill(*command)
    assert again.code == 0, again.err
    assert_each_is_answered_once(laptop, bought_twice=was_open)
