"""Ctrl-C, once and twice."""

from tests.acceptance.laptop import Laptop, living
from tests.services.waiting import wait_until


def test_the_first_interrupt_stops_the_spending_and_loses_no_answer(laptop: Laptop) -> None:
    laptop.simulator.configure(latency_s=0.5)
    prompts = str(laptop.write_prompts(60))
    command = ["run", prompts, "-m", "gemini-2.5-flash", "-p", "Answer: {text}", "-c", "5"]
    run = laptop.begin(*command)
    laptop.wait_for_answers(5)
    run.interrupt()
    stopped = run.ended()
    assert stopped.code == 130, stopped.err
    assert "the same command goes on" in stopped.err.lower()
    asked = laptop.simulator.summary().total.requests
    assert asked < 60
    assert laptop.count("results") == asked

    laptop.simulator.configure(latency_s=0)
    again = laptop.promptmill(*command)
    assert again.code == 0, again.err
    assert laptop.count("results") == 60
    assert laptop.simulator.summary().total.requests == 60


def test_the_second_interrupt_ends_everything_at_once(laptop: Laptop) -> None:
    laptop.simulator.configure(latency_s=60)
    prompts = laptop.write_prompts(20)
    run = laptop.begin("run", prompts, "-m", "gpt-4o-mini", "-p", "Answer: {text}", "-c", "5")
    wait_until(lambda: laptop.simulator.summary().total.open == 5, "open calls", timeout=40)
    family = run.family()
    run.interrupt()
    wait_until(lambda: "stopping" in run.err, "the warm stop to begin")
    run.interrupt()
    # Open calls would get 30 s.
    assert run.ended(within_s=15).code == 130
    assert not family & living().keys()
