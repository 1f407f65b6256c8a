"""Answers held against their schema, and the second request for one that does not follow it."""

from dataclasses import replace
from typing import Any

import pytest

from promptmill.schema.answer_forms import Validity, form_of
from promptmill.workers.answer_check import NoSchemaError, judged, misfit_of
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.repair import repairing

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}},
    "required": ["label"],
    "additionalProperties": False,
}
ANSWER = Answer(text='{"label": "good"}', finish_reason="stop", usage=None)


def judge(text: str | None, on_invalid: str = "retry", *, asked_again: bool = False) -> Any:
    answer = replace(ANSWER, text=text)
    return judged(answer, SCHEMA, on_invalid=on_invalid, asked_again=asked_again)


def test_an_answer_by_its_schema_is_marked() -> None:
    assert judge('{"label": "bad"}').checked.validity is Validity.VALID
    assert judge('{"label": "bad"}', asked_again=True).checked.validity is Validity.VALID
    repaired = judge('{"label": "bad"}', "repair", asked_again=True)
    assert repaired.checked.validity is Validity.REPAIRED


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "not JSON"),
        ("", "not JSON"),
        ("Zanzibar", "not JSON"),
        ('```json\n{"label": "good"}\n```', "not JSON"),
        ('{"label": "Zanzibar"}', "enum at /label"),
        ("{}", "required at /"),
        ('{"label": "\\ud83d"}', "JSON that cannot be checked"),
        (f'{{"label": {10**40}}}', "enum at /label"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_wrong_is_said_without_a_word_of_the_answer(text: str | None, problem: str) -> None:
    kept = judge(text, "keep")
    assert (kept.checked.validity, kept.checked.problem) == (Validity.INVALID, problem)
    refused = judge(text)
    assert isinstance(refused, Refusal)
    assert problem in refused.message
    assert "Zanzibar" not in refused.message


def test_a_request_for_a_tool_is_no_answer_yet() -> None:
    answer = replace(ANSWER, text=None, tool_calls=({"id": "1"},))
    assert judged(answer, SCHEMA, on_invalid="fail", asked_again=False) is answer


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "http://127.0.0.1:9/x"}, {"$ref": "file:///etc/passwd"}, {"type": "objekt"}],
)
def test_a_schema_that_is_none_or_elsewhere_is_not_looked_for(schema: dict[str, Any]) -> None:
    with pytest.raises(NoSchemaError, match="cannot be used"):
        misfit_of("{}", schema)


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ({}, None),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": {"type": "json_object"}}, {"type": "object"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            SCHEMA,
        ),
        ({"native": {"output_config": {"effort": "low"}}}, None),
        ({"native": {"output_config": {"format": {"schema": SCHEMA}}}}, SCHEMA),
        ({"native": {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}}, SCHEMA),
        ({"native": {"generationConfig": {"responseJsonSchema": SCHEMA}}}, SCHEMA),
        ({"native": {"text": {"verbosity": "low"}}}, None),
    ],
)
def test_the_form_is_found_in_our_shape_and_in_the_providers_own(
    body: dict[str, Any], form: dict[str, Any] | None
) -> None:
    assert form_of(body) == form


ASKED = [{"role": "user", "content": "?"}]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"messages": ASKED}, ("messages",)),
        ({"native": {"messages": ASKED, "max_tokens": 9}}, ("native", "messages")),
        ({"native": {"input": "?"}}, ("native", "input")),
        ({"native": {"input": ASKED}}, ("native", "input")),
    ],
)
def test_a_repair_goes_on_where_the_request_ended(
    body: dict[str, Any], place: tuple[str, ...]
) -> None:
    again: Any = repairing(body, SCHEMA, b'{"label": "so-so"}')
    for step in place:
        again = again[step]
    first, said, wish = again
    assert (first, said) == (ASKED[0], {"role": "assistant", "content": '{"label": "so-so"}'})
    assert "/label" in wish["content"]
    assert "so-so" in wish["content"]


def test_a_repair_in_geminis_words() -> None:
    native = {"contents": [{"role": "user", "parts": [{"text": "?"}]}]}
    again = repairing({"native": native}, SCHEMA, b"no JSON")["native"]["contents"]
    assert [turn["role"] for turn in again] == ["user", "model", "user"]
    assert again[1]["parts"] == [{"text": "no JSON"}]


@pytest.mark.parametrize("invalid", [b"", b"x" * 300_000])
def test_what_cannot_be_told_again_is_asked_as_before(invalid: bytes) -> None:
    assert repairing({"messages": ASKED}, SCHEMA, invalid) == {"messages": ASKED}
