"""Prompts that one model does not answer, through one real worker: another one does."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from promptmill.schema.fallbacks import Fallback, When
from promptmill.schema.pauses import lift_pauses, pauses_now
from tests.services.running_mill import ANTHROPIC, GEMINI, MODELS, OPENAI, RunningMill

pytestmark = pytest.mark.usefixtures("worker")

FULL = {name: f"{name}/{model}" for name, model in MODELS.items()}
LONG = "many words that say little " * 200
FILTERED = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": MODELS[OPENAI],
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "As to"},
            "finish_reason": "content_filter",
        }
    ],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}


def rules(*ways: tuple[str, tuple[When, ...]]) -> dict[str, tuple[Fallback, ...]]:
    return {FULL[OPENAI]: tuple(Fallback(FULL[name], when) for name, when in ways)}


def tried(mill: RunningMill, batch: int) -> list[tuple[Any, ...]]:
    rows = mill.sql(
        "select provider, outcome, error_kind from promptmill_attempts"
        f" where batch_id = {batch} order by job_id, fence"
    )
    return [tuple(row.values()) for row in rows]


def answered_by(mill: RunningMill, batch: int, *, asked: str = FULL[OPENAI]) -> dict[str, int]:
    rows = mill.sql(
        "select provider, fell_back_from, count(*) as n from promptmill_results"
        f" where batch_id = {batch} group by 1, 2"
    )
    assert all(row["fell_back_from"] in (None, asked) for row in rows)
    assert all((row["fell_back_from"] is None) == (row["provider"] == OPENAI) for row in rows)
    return {row["provider"]: row["n"] for row in rows}


@pytest.fixture
def going_on(mill: RunningMill) -> Iterator[RunningMill]:
    """A mill whose pauses and faults end with the test."""
    yield mill
    mill.simulator.configure(windows={})
    mill.simulator.clear_faults()
    with mill.database.write() as connection:
        lift_pauses(connection, provider=OPENAI)


def test_each_refusal_goes_the_way_that_its_rule_says(going_on: RunningMill) -> None:
    mill = going_on
    mill.simulator.configure(windows={OPENAI: 900})
    mill.simulator.add_fault("content_policy", contains="forbidden", model="gpt")
    mill.simulator.add_fault("raw", contains="half said", model="gpt", body=json.dumps(FILTERED))
    chosen = rules((GEMINI, (When.CONTEXT,)), (ANTHROPIC, (When.POLICY,)))
    forbidden = mill.load(say="forbidden", fallbacks=chosen)
    half = mill.load(say="half said", fallbacks=chosen)
    long = mill.load(say=LONG, fallbacks=chosen)
    longer = mill.load(say=LONG, fallbacks=chosen, max_input_tokens=300)
    other = mill.load(say="forbidden", fallbacks=rules((GEMINI, (When.CONTEXT, When.PAUSED))))
    plain = mill.load(say="half said")
    for batch in (forbidden, half, long, plain):
        assert mill.wait_done(batch) == {"succeeded": 1}
    assert mill.wait_done(longer) == mill.wait_done(other) == {"failed": 1}
    by_policy = [(OPENAI, "refused", "request"), (ANTHROPIC, "succeeded", None)]
    assert tried(mill, forbidden) == tried(mill, half) == by_policy
    assert tried(mill, long) == [(OPENAI, "refused", "request"), (GEMINI, "succeeded", None)]
    assert tried(mill, longer) == [(one, "not_sent", "request") for one in (OPENAI, GEMINI)]
    assert tried(mill, other) == [(OPENAI, "refused", "request")]
    assert answered_by(mill, forbidden) == {ANTHROPIC: 1}
    (cost,) = mill.sql(f"select cost_usd from promptmill_results where batch_id = {forbidden}")
    assert cost["cost_usd"] > 0
    (paid,) = mill.sql(f"select cost_usd from promptmill_attempts where batch_id = {half}"
                       " and outcome = 'refused'")  # fmt: skip
    assert paid["cost_usd"] > 0, "what the filter cut was paid"
    counts = mill.sql(f"select provider, jobs from batch_counts where batch_id = {forbidden}"
                      " and jobs > 0")  # fmt: skip
    assert counts == [{"provider": ANTHROPIC, "jobs": 1}]


def test_all_that_waits_for_a_refused_key_is_asked_of_another(going_on: RunningMill) -> None:
    mill = going_on
    mill.simulator.add_fault("bad_key", contains="no key", model="gpt")
    kept = mill.load(say="no key")
    moved = mill.load(60, say="no key", fallbacks=rules((ANTHROPIC, (When.PAUSED,))))
    assert mill.wait_done(moved) == {"succeeded": 60}
    assert answered_by(mill, moved) == {ANTHROPIC: 60}
    assert mill.states(kept).keys() <= {"pending", "queued"}
    mill.simulator.clear_faults()
    with mill.database.write() as connection:
        lift_pauses(connection, provider=OPENAI)
    assert mill.wait_done(kept) == {"succeeded": 1}
    assert answered_by(mill, kept) == {OPENAI: 1}


def test_an_outage_that_lasts_sends_its_jobs_on(going_on: RunningMill) -> None:
    mill, model = going_on, "gpt-4o"  # a model of its own: its rate is cut for a while
    asked = f"{OPENAI}/{model}"
    mill.simulator.add_fault("overloaded", contains="is down", model="gpt", retry_after="0.1")
    ways = {asked: (Fallback(FULL[GEMINI], (When.PAUSED,)),)}
    batch = mill.load(4, say="is down", model=model, fallbacks=ways)
    assert mill.wait_done(batch, 60) == {"succeeded": 4}
    assert answered_by(mill, batch, asked=asked) == {GEMINI: 4}
    with mill.database.read() as connection:
        kinds = {(one.provider, one.model, one.kind) for one in pauses_now(connection)}
    assert kinds == {(OPENAI, model, "overloaded")}
