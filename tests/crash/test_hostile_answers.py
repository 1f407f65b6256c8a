"""Answers that SQL refuses, refusals that mislead, errors that quote what is secret."""

import json

from tests.crash.answers import UNSTORABLE
from tests.crash.conftest import MakeMill
from tests.services.running_mill import ANTHROPIC, MODELS, OPENAI
from tests.services.world import assert_world

GROUP = 50


def test_answers_that_sql_refuses_are_kept_and_take_no_other_of_their_group_with_them(
    make_mill: MakeMill,
) -> None:
    mill = make_mill(WORKER__CONCURRENCY=str(GROUP))
    mill.simulator.configure(latency_s=0.3)
    for number, fault in enumerate(UNSTORABLE.values()):
        mill.simulator.add_fault(contains=f"number {10 + number} ", **fault)
    mill.start_dispatcher()
    mill.start_worker(OPENAI)
    batch = mill.load(GROUP)
    assert mill.wait_done(batch) == {"succeeded": GROUP}
    assert mill.requests(batch) == GROUP
    assert_world(mill)


def test_refusals_use_no_attempt_whatever_time_they_tell(make_mill: MakeMill) -> None:
    mill = make_mill(WORKER__CONCURRENCY="20")
    told = ("0", "1", "0.2", "Wed, 21 Oct 2015 07:28:00 GMT")
    for number, value in enumerate(told):
        mill.simulator.add_fault(
            "rate", retry_after=value, contains=f"number {10 + number} ", count=2
        )
    mill.start_dispatcher()
    mill.start_worker(OPENAI)
    batch = mill.load(GROUP)
    assert mill.wait_done(batch) == {"succeeded": GROUP}
    assert mill.requests(batch) == GROUP + 2 * len(told)
    assert {row["attempts"] for row in mill.sql("select attempts from jobs")} == {1}
    assert_world(mill)


def test_errors_that_quote_key_and_prompt_leave_them_nowhere(make_mill: MakeMill) -> None:
    mill = make_mill()
    statuses = (400, 404, 500)
    for provider in MODELS:
        secrets = f"{mill.key(provider)} prompt{mill.canary} number"
        error = dict.fromkeys(("message", "type", "code", "status", "param"), secrets)
        for number, status in enumerate(statuses):
            body = json.dumps({"error": error, "choices": secrets})
            say = f"number {number} to {provider}"
            mill.simulator.add_fault("raw", status=status, body=body, contains=say, count=1)
    mill.start_dispatcher()
    mill.start_worker()
    batches = [
        mill.load(len(statuses), providers=[provider], say=f"to {provider}") for provider in MODELS
    ]
    for batch in batches:
        mill.wait_done(batch)
        assert mill.requests(batch) > len(statuses), "no error was tried again"
    assert_world(mill)


def test_an_unusable_answer_that_quotes_the_key_is_kept_without_it(make_mill: MakeMill) -> None:
    mill = make_mill()
    body = json.dumps({"error": {"message": mill.key(ANTHROPIC)}})
    mill.simulator.add_fault("raw", status=200, body=body, count=1)
    mill.start_dispatcher()
    mill.start_worker(ANTHROPIC)
    batch = mill.load(1, providers=[ANTHROPIC])
    assert mill.wait_done(batch) == {"succeeded": 1}
    assert len(mill.sql("select * from attempt_bodies")) == 1
    assert_world(mill)
