"""Answers that must follow a schema, through one real worker: what is asked again and paid."""

import base64
from typing import Any

import pytest

from tests.services.running_mill import MODELS, OPENAI, RunningMill

pytestmark = pytest.mark.usefixtures("worker")

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}, "stars": {"type": "integer", "minimum": 1}},
    "required": ["label", "stars"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
LOOK = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}


def load(mill: RunningMill, on_invalid: str, *, misfits: int, **body: Any) -> int:
    """Load one prompt whose first *misfits* answers are JSON that does not follow the schema."""
    say = f"{on_invalid} {misfits}"
    if misfits:
        mill.simulator.add_fault("misfit", contains=say, count=misfits)
    return mill.load(say=say, on_invalid=on_invalid, response_format=FORM, **body)


def told(mill: RunningMill, batch: int) -> tuple[dict[str, int], int, list[str | None]]:
    """Tell how the prompts of *batch* ended, how often was asked, and the codes of the attempts."""
    states = mill.wait_done(batch)
    rows = mill.sql(
        f"select error_code, cost_usd from promptmill_attempts where batch_id = {batch}"
        " order by job_id, fence"
    )
    assert all(row["cost_usd"] > 0 for row in rows), "what was answered was paid"
    return states, mill.requests(batch), [row["error_code"] for row in rows]


def validities(mill: RunningMill, batch: int) -> list[tuple[str | None, str | None]]:
    rows = mill.sql(f"select validity, problem from promptmill_results where batch_id = {batch}")
    return [(row["validity"], row["problem"]) for row in rows]


def test_each_provider_is_told_the_schema_and_answers_by_it(mill: RunningMill) -> None:
    batch = mill.load(6, providers=list(MODELS), say="by schema", response_format=FORM)
    assert told(mill, batch) == ({"succeeded": 6}, 6, [None] * 6)
    assert validities(mill, batch) == [("valid", None)] * 6


def test_what_is_not_by_its_schema_is_kept_asked_again_or_failed_as_the_batch_says(
    mill: RunningMill,
) -> None:
    kept = load(mill, "keep", misfits=1)
    retried, repaired = load(mill, "retry", misfits=1), load(mill, "repair", misfits=1)
    in_vain, failed = load(mill, "repair", misfits=2), load(mill, "fail", misfits=1)
    assert told(mill, kept) == ({"succeeded": 1}, 1, [None])
    assert told(mill, retried) == ({"succeeded": 1}, 2, ["invalid_answer", None])
    assert told(mill, repaired) == ({"succeeded": 1}, 2, ["invalid_answer", None])
    assert told(mill, in_vain) == ({"failed": 1}, 2, ["invalid_answer", "invalid_again"])
    assert told(mill, failed) == ({"failed": 1}, 1, ["invalid_answer"])
    assert validities(mill, kept) == [("invalid", "type at /")]
    assert validities(mill, retried) == [("valid", None)]
    assert validities(mill, repaired) == [("repaired", None)]


def test_a_repair_tells_the_answer_and_what_is_wrong_with_it(mill: RunningMill) -> None:
    batches = {how: load(mill, how, misfits=1, temperature=0) for how in ("retry", "repair")}
    asked = {}
    for how, batch in batches.items():
        mill.wait_done(batch)
        rows = mill.sql(
            f"select input_tokens from promptmill_attempts where batch_id = {batch} order by fence"
        )
        asked[how] = [row["input_tokens"] for row in rows]
    assert asked["retry"][1] == asked["retry"][0]
    assert asked["repair"][1] > asked["repair"][0] + 20
    (kept,) = mill.sql(
        "select b.body_base64 from attempt_bodies b join jobs j on j.id = b.job_id"
        f" where j.batch_id = {batches['repair']}"
    )
    assert base64.b64decode(kept["body_base64"]) == b"[]"


def test_what_was_cut_by_its_token_limit_is_not_asked_again(mill: RunningMill) -> None:
    batch = load(mill, "repair", misfits=0, max_tokens=2)
    assert told(mill, batch) == ({"failed": 1}, 1, ["cut_answer"])


def test_calls_of_tools_are_rows(mill: RunningMill) -> None:
    batch = mill.load(3, providers=list(MODELS), say="call it", tools=[LOOK], response_format=FORM)
    assert mill.wait_done(batch) == {"succeeded": 3}
    rows = mill.sql(
        "select provider, call_no, name, arguments, call_id from promptmill_tool_calls"
        f" where batch_id = {batch} order by position"
    )
    assert [row["provider"] for row in rows] == list(MODELS)
    assert all((row["call_no"], row["name"]) == (1, "look") and row["call_id"] for row in rows)
    assert all(row["arguments"].startswith('{"label"') for row in rows)
    assert validities(mill, batch) == [(None, None)] * 3, "nothing was answered yet"


def test_a_schema_that_is_none_keeps_no_answer_back(mill: RunningMill) -> None:
    schema = {"$ref": "http://127.0.0.1:9/schema.json"}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    batch = mill.load(say="no schema", providers=[OPENAI], response_format=form)
    assert mill.wait_done(batch) == {"succeeded": 1}
    ((validity, problem),) = validities(mill, batch)
    assert (validity, "cannot be used" in (problem or "")) == ("unchecked", True)
