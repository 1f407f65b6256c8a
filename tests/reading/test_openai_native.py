"""OpenAI Batch lines that are no chats: kept as they are, one endpoint a file."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from promptmill.producer.reading import Prompt
from promptmill.schema.errors import InputError, UsageError

Read = Callable[..., list[Prompt]]
Refuse = Callable[..., InputError]
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "responses": ("/v1/responses", {"input": "hi", "reasoning": {"effort": "low"}}),
    "embeddings": ("/v1/embeddings", {"input": ["hi", "you"], "dimensions": 8}),
    "images": ("/v1/images/generations", {"prompt": "a mill", "n": 2}),
    "moderations": ("/v1/moderations", {"input": "hi"}),
}


def line(endpoint: str, custom_id: str = "a", **changes: Any) -> bytes:
    url, body = BODIES[endpoint]
    body = {"model": "m"} | body | changes
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body}).encode()


@pytest.mark.parametrize("endpoint", BODIES)
def test_a_line_is_kept_as_it_is(read: Read, endpoint: str) -> None:
    (prompt,) = read(line(endpoint, new_tomorrow=1))
    assert (prompt.custom_id, prompt.model) == ("a", "m")
    assert prompt.request == {
        "endpoint": endpoint,
        "native": BODIES[endpoint][1] | {"new_tomorrow": 1},
    }


def test_a_moderation_without_a_model_is_asked_of_openais_usual_one(read: Read) -> None:
    (prompt,) = read(line("moderations", model=None))
    assert prompt.model == "omni-moderation-latest"


def test_options_go_into_the_body(read: Read) -> None:
    (prompt,) = read(line("embeddings"), parameters={"dimensions": 4})
    assert prompt.request["native"]["dimensions"] == 4


def test_a_response_takes_a_system_message_and_a_schema(read: Read) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    (prompt,) = read(line("responses"), system="Be brief.", schema=schema)
    native = prompt.request["native"]
    assert native["instructions"] == "Be brief."
    assert native["text"]["format"]["schema"] == schema


@pytest.mark.parametrize("given", [{"system": "Be brief."}, {"schema": {"type": "object"}}])
@pytest.mark.parametrize("endpoint", ["embeddings", "images", "moderations"])
def test_what_has_no_place_in_a_request_is_refused(
    read: Read, endpoint: str, given: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=f"no such thing in a request for {endpoint}"):
        read(line(endpoint), **given)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (line("embeddings", input=[]), "input is missing or empty"),
        (line("images", prompt=""), "prompt is missing or empty"),
        (line("moderations", stream=True), "stream is asked for"),
        (line("embeddings", background=True), "background is asked for"),
        (line("responses", background=True, store=False), "background goes with store: false"),
        (line("responses", max_output_tokens=0), "max_output_tokens is not a positive integer"),
        (line("embeddings") + b"\n" + line("images", "b"), "url is not /v1/embeddings"),
        (line("embeddings").replace(b"POST", b"GET"), "method is not POST"),
        (b'{"custom_id": "a", "url": "/v1/completions", "body": {}}', "url is none of those"),
        (line("embeddings") + b'\n{"body": {"input": "x"}}', "the line has no custom_id"),
    ],
)
def test_what_nobody_would_answer_is_refused(refused: Refuse, data: bytes, problem: str) -> None:
    assert problem in refused(data).problem


def test_a_response_may_be_made_in_the_background_and_an_image_may_have_one(read: Read) -> None:
    made, plain, drawn = (
        read(written)[0].request["native"].get("background")
        for written in (
            line("responses", background=True),
            line("responses", background=False),
            line("images", background="transparent"),
        )
    )
    assert (made, plain, drawn) == (True, None, "transparent")


def test_gemini_lines_may_ask_for_embeddings(read: Read) -> None:
    request = {"content": {"parts": [{"text": "hi"}]}, "outputDimensionality": 8}
    written = json.dumps({"key": "k", "request": request}).encode()
    (prompt,) = read(written, parameters={"taskType": "CLUSTERING"})
    assert prompt.request == {
        "endpoint": "embeddings",
        "native": request | {"taskType": "CLUSTERING"},
    }
