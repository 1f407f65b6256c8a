"""One contract for every kind of native request, at every adapter that has it."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.prices import PriceList
from promptmill.schema.requests import Endpoint
from promptmill.workers.attempted import result_of
from promptmill.workers.providers.base import Answer, Call
from tests.providers.dialects import CANARY, DIALECTS, PROMPT, Harness
from tests.providers.kinds import KINDS, UNKNOWN, Kind
from tests.providers.recorder import Recorder

ANSWERS: dict[str, dict[str, Any]] = {
    "responses": {"output": [], "status": "completed"},
    "embeddings": {"data": [{"embedding": [0.10]}]},
    "generations": {"data": [{"b64_json": "aGk="}]},
    "moderations": {"results": [{"flagged": False}]},
    "messages": {"content": [{"type": "text", "text": "a"}], "stop_reason": "end_turn"},
    "generateContent": {"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]},
    "embedContent": {"embedding": {"values": [0.10]}},
}
"""The least that each endpoint may answer."""


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of request in turn."""
    return request.param  # type: ignore[no-any-return]


def call_of(harness: Harness, kind: Kind, **native: Any) -> Call:
    """Make a call with a request id of its own."""
    call = harness.call(model=kind.model)
    body = kind.body | {"native": kind.native | native}
    return replace(call, body=body, endpoint=kind.endpoint)


def fails(harness: Harness, kind: Kind, fault: str, **conditions: Any) -> Any:
    """Play *fault* for a call that nobody else makes."""
    marker = f"[[{harness.call().request_id}]]"
    native = json.loads(json.dumps(kind.native).replace("One", marker).replace("A mill", marker))
    native = json.loads(json.dumps(native).replace("no harm", marker))
    harness.simulator.add_fault(fault, contains=marker, **conditions)
    call = replace(call_of(harness, kind), body=kind.body | {"native": native})
    return harness.run(harness.provider(kind.adapter).complete(call))


def record(
    harness: Harness, kind: Kind, native: dict[str, Any], told: dict[str, Any] | None = None
) -> tuple[Recorder, Any]:
    """Send *native* to a server that remembers it, and answers the least, and *told*."""

    async def send() -> tuple[Recorder, Any]:
        answers = {word: answer | (told or {}) for word, answer in ANSWERS.items()}
        async with Recorder(answers) as recorder:
            url = f"{recorder.url}/v1" if kind.adapter == "openai" else recorder.url
            provider = harness.provider(kind.adapter, url)
            call = Call(kind.model, kind.body | {"native": native}, "j1-f1", 20, kind.endpoint)
            return recorder, await provider.complete(call)

    return harness.run(send())  # type: ignore[no-any-return]


def test_a_request_goes_out_as_it_came(harness: Harness, kind: Kind) -> None:
    native = kind.native | (UNKNOWN if kind.knows_all else {})
    recorder, answer = record(harness, kind, native)
    assert isinstance(answer, Answer), answer
    (sent,) = recorder.bodies
    if kind.knows_all:
        model = {} if kind.adapter == "gemini" else {"model": kind.model}
        assert sent == native | model
    else:
        sent.pop("model", None)
        assert sent == native
    assert recorder.paths == [kind.path.format(model=kind.model)]
    assert recorder.headers[0]["x-client-request-id"] == "j1-f1"


@pytest.mark.parametrize(
    "kind", [one for one in KINDS if not one.knows_all], ids=lambda kind: kind.name
)
def test_a_field_that_the_old_sdk_does_not_know_is_refused_by_name(
    harness: Harness, kind: Kind
) -> None:
    refusal = harness.refusal(kind.adapter, call_of(harness, kind, **UNKNOWN))
    assert refusal.kind is ErrorKind.REQUEST
    assert "google-genai does" in refusal.message


def test_an_answer_is_kept_with_what_nobody_knows_yet(harness: Harness, kind: Kind) -> None:
    _, answer = record(harness, kind, kind.native, told=UNKNOWN)
    assert isinstance(answer, Answer), answer
    stored = result_of(answer)
    assert stored.body is not None
    assert json.loads(stored.body)["new_tomorrow"] == UNKNOWN["new_tomorrow"]
    assert stored.endpoint == kind.endpoint


def test_an_answer_has_what_the_bill_has(harness: Harness, kind: Kind) -> None:
    call = call_of(harness, kind)
    answer = harness.answer(kind.adapter, call)
    (row,) = harness.rows(call)
    assert row.model == kind.model
    assert bool(answer.text) == kind.has_text
    assert answer.finish_reason
    if kind.has_usage:
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (
            row.input_tokens,
            row.output_tokens,
        )
    else:
        assert answer.usage is None


@pytest.mark.parametrize(
    "kind", [one for one in KINDS if one.has_usage], ids=lambda kind: kind.name
)
def test_what_it_cost_is_known(harness: Harness, kind: Kind) -> None:
    usage = harness.answer(kind.adapter, call_of(harness, kind)).usage
    assert usage is not None
    prices = PriceList(DIALECTS[kind.adapter].kind)
    assert prices.cost_micros(kind.model, usage, at=datetime.now(UTC)) is not None


@pytest.mark.parametrize(
    ("fault", "meant"),
    [
        ("rate", ErrorKind.RATE),
        ("invalid_request", ErrorKind.REQUEST),
        ("reset", ErrorKind.UNKNOWN),
    ],
)
def test_a_refusal_means_the_same_as_of_a_chat(
    harness: Harness, kind: Kind, fault: str, meant: ErrorKind
) -> None:
    refusal = fails(harness, kind, fault)
    assert refusal.kind is meant
    assert CANARY not in repr(refusal)
    assert PROMPT not in repr(refusal)


def test_an_answer_of_another_shape_is_kept_raw(harness: Harness, kind: Kind) -> None:
    refusal = fails(harness, kind, "empty_object")
    assert (refusal.kind, refusal.raw) == (ErrorKind.BAD_RESPONSE, b"{}")


@pytest.mark.parametrize("adapter", ["anthropic", "gemini", "gemini-legacy"])
@pytest.mark.parametrize("endpoint", [Endpoint.RESPONSES, Endpoint.IMAGES, Endpoint.MODERATIONS])
def test_an_endpoint_that_a_provider_has_not_is_refused(
    harness: Harness, adapter: str, endpoint: Endpoint
) -> None:
    body = {"endpoint": endpoint.value, "native": {"input": "x"}}
    call = replace(harness.call(), body=body, endpoint=endpoint)
    refusal = harness.refusal(adapter, call)
    assert refusal.kind is ErrorKind.REQUEST
    assert f"answers no {endpoint}" in refusal.message
    assert harness.rows(call) == []


def of_openai(endpoint: Endpoint) -> Kind:
    return next(one for one in KINDS if (one.adapter, one.endpoint) == ("openai", endpoint))


RESPONSES = of_openai(Endpoint.RESPONSES)


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("rate_limit_exceeded", ErrorKind.RATE),
        ("server_error", ErrorKind.TRANSIENT),
        ("invalid_prompt", ErrorKind.REQUEST),
        ("image_content_policy_violation", ErrorKind.REQUEST),
    ],
)
def test_a_response_that_failed_counts_by_its_code(
    harness: Harness, code: str, meant: ErrorKind
) -> None:
    error = {"code": code, "message": "no"}
    body: dict[str, Any] = {"status": "failed", "output": [], "error": error}
    refusal = fails(harness, RESPONSES, "raw", body=json.dumps(body))
    assert (refusal.kind, refusal.code) == (meant, code)


def test_a_response_that_is_cut_says_why(harness: Harness) -> None:
    answer = harness.answer("openai", call_of(harness, RESPONSES, max_output_tokens=3))
    assert answer.finish_reason == "max_output_tokens"
    assert answer.text


def test_a_response_that_is_not_there_yet_is_no_answer(harness: Harness) -> None:
    body: dict[str, Any] = {"status": "queued", "output": [], "error": None}
    refusal = fails(harness, RESPONSES, "raw", body=json.dumps(body))
    assert refusal.kind is ErrorKind.BAD_RESPONSE
    assert "a response that is queued" in refusal.message


def test_the_calls_of_a_response_are_written_as_a_chats(harness: Harness) -> None:
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
    call = call_of(harness, RESPONSES, tools=tools, tool_choice="required")
    (made,) = harness.answer("openai", call).tool_calls
    assert made["type"] == "function"
    assert made["function"] == {"name": "look", "arguments": "{}"}


def test_images_are_found_in_their_answers(harness: Harness) -> None:
    images = harness.answer("openai", call_of(harness, of_openai(Endpoint.IMAGES), n=2))
    tools = [{"type": "image_generation"}]
    call = call_of(harness, RESPONSES, tools=tools, tool_choice="required")
    for answer in (images, harness.answer("openai", call)):
        assert answer.media
        for found in answer.media:
            assert found.media_type == "image/png"
            assert base64.b64decode(found.base64).startswith(b"\x89PNG")
    assert len(images.media) == 2


@pytest.mark.parametrize("adapter", ["gemini", "gemini-legacy"])
def test_images_of_gemini_are_found(harness: Harness, adapter: str) -> None:
    kind = next(one for one in KINDS if one.name == f"{adapter}-chat")
    parts = [{"text": "see"}, {"inlineData": {"mimeType": "image/webp", "data": "aGk="}}]
    told = {"modality": "IMAGE", "tokenCount": 1290}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 1300, "candidatesTokensDetails": [told]}
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    body = {"candidates": [candidate], "usageMetadata": usage}
    answer = fails(harness, kind, "raw", body=json.dumps(body))
    assert (answer.usage.output_tokens, answer.usage.image_tokens) == (1300, 1290)
    assert [(one.media_type, one.base64) for one in answer.media] == [("image/webp", "aGk=")]


MORE: dict[str, dict[str, Any]] = {
    "openai": {
        "choices": [
            {
                "message": {"role": "assistant", "content": "a", "annotations": [{"url": "x"}]},
                "finish_reason": "stop",
            }
        ]
    },
    "anthropic": {
        "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
        "stop_reason": "end_turn",
    },
    "gemini": {
        "candidates": [
            {
                "content": {"parts": [{"text": "a"}]},
                "finishReason": "STOP",
                "groundingMetadata": {"webSearchQueries": ["x"]},
            }
        ]
    },
}


@pytest.mark.parametrize("adapter", MORE)
def test_a_translated_request_keeps_the_answer_where_it_says_more_than_the_columns(
    harness: Harness, adapter: str
) -> None:
    assert harness.answer(adapter).body is None
    body = json.dumps(MORE[adapter]).encode()
    assert harness.answer(adapter, fault="raw", body=body.decode()).body == body
    for told in ({"new_tomorrow": 1}, {"new_tomorrow": {"a": None}}):
        body = json.dumps(MORE[adapter] | told).encode()
        assert harness.answer(adapter, fault="raw", body=body.decode()).body == body
