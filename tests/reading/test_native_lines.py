"""Anthropic's and Gemini's batch lines: kept as they are, and what nobody would answer refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from promptmill.producer.reading import Prompt, checked_schema, read_schema
from promptmill.schema.errors import InputError, UsageError

Read = Callable[..., list[Prompt]]
Refuse = Callable[..., InputError]
PARAMS: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "new": 1}]}],
    "thinking": {"type": "disabled"},
}
REQUEST: dict[str, Any] = {
    "contents": [{"parts": [{"text": "hi"}]}],
    "generation_config": {"temperature": 0.7},
    "tools": [{"google_search": {}}],
}
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
CLOSED = SCHEMA | {"additionalProperties": False}


def anthropic(**changes: Any) -> bytes:
    return json.dumps({"custom_id": "a", "params": PARAMS | changes}).encode()


def gemini(**changes: Any) -> bytes:
    return json.dumps({"key": "k", "request": REQUEST | changes}).encode()


def native(prompt: Prompt) -> Any:
    return prompt.request["native"]


def test_an_anthropic_line_is_kept_as_it_is(read: Read) -> None:
    (prompt,) = read(anthropic())
    assert (prompt.custom_id, prompt.model) == ("a", "claude-haiku-4-5")
    assert native(prompt) == {key: PARAMS[key] for key in PARAMS if key != "model"}


def test_a_gemini_line_is_kept_as_it_is(read: Read) -> None:
    named, unnamed = read(
        gemini(model="models/gemini-2.5-flash") + b"\n" + json.dumps({"request": REQUEST}).encode()
    )
    assert (named.custom_id, named.model) == ("k", "gemini-2.5-flash")
    assert (unnamed.custom_id, unnamed.model) == ("line-2", None)
    assert native(named) == native(unnamed) == REQUEST


def test_options_are_put_where_the_provider_looks(read: Read) -> None:
    given: dict[str, Any] = {"system": "On {{ custom_id }}.", "schema": CLOSED}
    (one,) = read(anthropic(), parameters={"top_k": 5}, model="anthropic/other", **given)
    assert one.model == "anthropic/other"
    assert native(one)["system"] == "On a."
    assert native(one)["top_k"] == 5
    assert native(one)["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    given["system"] = "On {{ key }}."
    (two,) = read(gemini(), parameters={"topK": 5}, **given)
    assert native(two)["systemInstruction"] == {"parts": [{"text": "On k."}]}
    assert native(two)["generation_config"] == {
        "temperature": 0.7,
        "topK": 5,
        "responseMimeType": "application/json",
        "responseJsonSchema": CLOSED,
    }


@pytest.mark.parametrize(
    ("line", "options", "streams"),
    [
        (anthropic(stream=True), {}, True),
        (anthropic(stream=False), {}, False),
        (anthropic(), {"stream": True}, True),
        (anthropic(stream=True), {"stream": False}, False),
        (gemini(), {"stream": True}, True),
        (gemini(), {}, False),
    ],
)
def test_that_an_answer_is_to_be_streamed_is_kept_beside_the_request(
    line: bytes, options: dict[str, Any], streams: bool, read: Read
) -> None:
    (prompt,) = read(line, parameters=options)
    assert prompt.request.get("stream", False) is streams
    assert "stream" not in native(prompt)


BAD: dict[str, tuple[bytes, str]] = {
    "no maximum": (anthropic(max_tokens=None), "max_tokens is not a positive integer"),
    "no messages": (anthropic(messages=[]), "messages is missing"),
    "no content": (anthropic(messages=[{"role": "user"}]), "messages[0] has no content"),
    "no role": (anthropic(messages=[{"content": "x"}]), "messages[0] has no role"),
    "a stream of some kind": (anthropic(stream="yes"), "stream is neither true nor false"),
    "two answers": (gemini(generation_config={"candidateCount": 2}), "several answers"),
    "no parts": (gemini(contents=[{"role": "user"}]), "contents[0] has no parts"),
    "no contents": (gemini(contents="x"), "contents is missing"),
    "a config that is none": (gemini(generation_config=1), "generation_config is not an object"),
    "a maximum that is none": (
        gemini(generation_config={"maxOutputTokens": "9"}),
        "maxOutputTokens is not",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_request_that_nobody_answers_is_refused(name: str, refused: Refuse) -> None:
    data, problem = BAD[name]
    good = gemini() if b'"request"' in data else anthropic()
    error = refused(good + b"\n" + data)
    assert error.line == 2
    assert problem in error.problem


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (b'{"text": "x"}', "this line is not one"),
        (b'{"custom_id": "b", "params": {}, "prio": 1}', "no field 'prio'"),
        (b'{"custom_id": "b", "params": []}', "params is not an object"),
    ],
)
def test_another_kind_of_line_is_refused(second: bytes, problem: str, refused: Refuse) -> None:
    assert problem in refused(anthropic() + b"\n" + second).problem


def test_a_second_system_message_is_refused(refused: Refuse) -> None:
    assert "of its own" in refused(anthropic(system="x"), system="y").problem
    line = gemini(systemInstruction={"parts": []})
    assert "of its own" in refused(line, system="y").problem


def test_templates_are_for_rows(read: Read) -> None:
    for options in ({"template": "{x}"}, {"id_column": "x"}):
        with pytest.raises(UsageError, match="for plain rows; these Anthropic batch lines"):
            read(anthropic(), **options)


def test_a_schema_becomes_a_response_format_for_rows(read: Read) -> None:
    (prompt,) = read(b'{"text": "x"}', schema=CLOSED)
    assert prompt.request["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": CLOSED, "strict": True},
    }


def test_a_schema_is_read_from_a_file_or_as_it_stands(tmp_path: Any) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    assert read_schema(str(path)) == read_schema(json.dumps(SCHEMA)) == CLOSED


def test_objects_within_are_closed_and_one_with_a_choice_is_not_enforced(read: Read) -> None:
    inner = {"type": "object", "properties": {"y": {"type": "number"}}}
    schema = checked_schema(SCHEMA | {"properties": {"x": {"type": "array", "items": inner}}})
    assert schema["properties"]["x"]["items"]["additionalProperties"] is False
    (prompt,) = read(b'{"text": "x"}', schema=schema)
    assert prompt.request["response_format"]["json_schema"]["strict"] is False


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("absent.json", "cannot be read"),
        ("{", "is not JSON"),
        ('{"type": "array"}', "does not describe an object"),
        ('{"type": "object", "properties": {"x": {"type": "str"}}}', "'str' is no type"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(given: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_schema(given)
