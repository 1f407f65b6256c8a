"""Our one request shape at each provider: said in its words, or refused by name."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from google.genai import types
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers.base import Answer, Call, Refusal
from tests.providers.dialects import Harness
from tests.providers.recorder import Recorder
from tests.providers.unified.files import FILES
from tests.providers.unified.kind import TALK, Kind, Refused, Told
from tests.providers.unified.talks import SIGNED, TALKS, WAIT
from tests.providers.unified.wishes import WISHES

KINDS = (*TALKS, *WISHES, *FILES)
BY_NAME = [pytest.param(kind, id=kind.name) for kind in KINDS]
OPENAIS = [pytest.param(kind, id=kind.name) for kind in KINDS if kind.is_openais]
TRANSLATED = ["anthropic", "gemini", "gemini-legacy"]


Sent = tuple[Answer | Refusal, list[dict[str, Any]]]
"""What a call came to, and the bodies that went out."""
Send = Callable[[str, Kind], Sent]


@pytest.fixture(scope="module")
def send(harness: Harness) -> Iterator[Send]:
    """Sends a kind with an adapter to one recorder: clients are slow to make."""
    recorder = Recorder()
    harness.run(recorder.__aenter__())

    def send_one(adapter: str, kind: Kind) -> Sent:
        recorder.bodies.clear()
        base_url = f"{recorder.url}/v1" if adapter == "openai" else recorder.url
        call = Call(model=kind.model, body=kind.body, request_id="j1-f1", timeout_s=20)
        outcome = harness.run(harness.provider(adapter, base_url).complete(call))
        return outcome, list(recorder.bodies)

    yield send_one
    harness.run(recorder.__aexit__())


def told(kind: Kind, adapter: str) -> Told:
    if adapter == "anthropic":
        return kind.anthropic
    if adapter == "gemini-legacy" and kind.legacy is not None:
        return kind.legacy
    return kind.gemini


@pytest.mark.parametrize("adapter", TRANSLATED)
@pytest.mark.parametrize("kind", BY_NAME)
def test_each_kind_is_said_in_the_providers_words_or_refused_by_name(
    send: Send, adapter: str, kind: Kind
) -> None:
    outcome, bodies = send(adapter, kind)
    expected = told(kind, adapter)
    if isinstance(expected, Refused):
        assert isinstance(outcome, Refusal)
        assert (outcome.kind, outcome.code) == (ErrorKind.REQUEST, "unsendable")
        assert outcome.message.startswith(f"{expected.field}: ")
        assert bodies == []
    else:
        assert isinstance(outcome, Answer)
        (body,) = bodies
        said = {name: body[name] for name in expected}
        if adapter == "gemini-legacy":  # it writes words as their numbers
            assert in_its_own_types(said) == in_its_own_types(expected)
        else:
            assert said == expected


def in_its_own_types(body: dict[str, Any]) -> Any:
    from google.generativeai.protos import GenerateContentRequest

    return GenerateContentRequest.from_json(json.dumps(body))


@pytest.mark.parametrize("kind", BY_NAME)
def test_what_anthropic_is_told_is_what_its_sdk_may_say(send: Send, kind: Kind) -> None:
    _, bodies = send("anthropic", kind)
    for body in bodies:
        assert accepted(MessageCreateParamsNonStreaming, body) == body


@pytest.mark.parametrize("kind", BY_NAME)
def test_what_gemini_is_told_is_what_its_sdk_may_say(send: Send, kind: Kind) -> None:
    fields: dict[str, Any] = {
        "contents": list[types.Content],
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "generationConfig": types.GenerationConfig,
    }
    _, bodies = send("gemini", kind)
    for body in bodies:
        for name, value in body.items():
            adapter: TypeAdapter[Any] = TypeAdapter(fields[name])
            read = adapter.validate_python(value)
            assert adapter.dump_python(read, mode="json", by_alias=True, exclude_none=True) == value


@pytest.mark.parametrize("kind", OPENAIS)
def test_our_shape_is_what_openais_sdk_may_say(send: Send, kind: Kind) -> None:
    _, (body,) = send("openai", kind)
    assert body == kind.body | {"model": kind.model}
    assert accepted(CompletionCreateParamsNonStreaming, body) == body


def accepted(shape: Any, body: dict[str, Any]) -> Any:
    """Validate *body*; what *shape* does not know is missing in what is returned."""
    adapter: TypeAdapter[Any] = TypeAdapter(shape)  # alive until all is read
    return plain(adapter.validate_python(body))


def plain(value: Any) -> Any:
    """Make lists of the iterators by which pydantic validates."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, Iterator | list | tuple):
        return [plain(item) for item in value]
    return value


def test_openai_itself_is_told_no_marks_of_other_providers() -> None:
    from promptmill.workers.providers.openai.chat import chat
    from promptmill.workers.providers.openai.server import server_of

    text = {"type": "text", "text": "Long."}
    marked: dict[str, Any] = {
        "messages": [{"role": "user", "content": [text | {"cache_control": {}}]}, *SIGNED]
    }
    marked |= {"cache_control": {}, "tools": [WAIT | {"cache_control": {}}]}
    call = Call("m-1", marked, "j1-f1", 20)
    body = chat(server_of(None)).body(call)
    assert "cache_control" not in str(body)
    assert "extra_content" not in str(body)
    assert body["messages"][0]["content"] == [text]
    assert body["tools"] == [WAIT]
    vendors = chat(server_of("https://openrouter.ai/api/v1")).body(call)
    assert vendors == marked | {"model": "m-1"}


@pytest.mark.parametrize("adapter", TRANSLATED)
@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("tools[0].type", {"tools": [{"type": "browser"}]}),
        ("tools[0]", {"tools": [{"type": "function", "function": {}}]}),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice", {"tools": [WAIT], "tool_choice": "often"}),
        ("tool_choice", {"tools": [WAIT], "tool_choice": {"type": "allowed_tools"}}),
        (
            "tool_choice",
            {"tools": [WAIT], "tool_choice": {"type": "function", "function": {"name": "x"}}},
        ),
        ("reasoning_effort", {"reasoning_effort": "utmost"}),
        ("response_format", {"response_format": {"type": "json_schema"}}),
        ("messages[1].content", {"messages": [*TALK, {"role": "assistant"}]}),
        (
            "messages[1].tool_calls[0].function.arguments",
            {
                "messages": [
                    *TALK,
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}],
                    },
                ]
            },
        ),
        (
            "messages[1].role",
            {"messages": [*TALK, {"role": "tool", "tool_call_id": "9", "content": "x"}]},
        ),
        *(
            (f"messages[0].content[0]{place}", {"messages": [{"role": "user", "content": [part]}]})
            for place, part in [
                (".type", {"type": "hologram"}),
                ("", {"type": "text"}),
                (".image_url.url", {"type": "image_url", "image_url": {"url": "cat.png"}}),
                (".image_url.url", {"type": "image_url", "image_url": {"url": "data:,x"}}),
                (".image_url.url", {"type": "image_url", "image_url": {"url": "file:///etc/x"}}),
                (
                    ".image_url.detail",
                    {"type": "image_url", "image_url": {"url": "https://a.b/c", "detail": "low"}},
                ),
                (".file", {"type": "file", "file": {}}),
            ]
        ),
        (
            "messages[0].content",
            {
                "messages": [
                    {
                        "role": "system",
                        "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c"}}],
                    },
                    *TALK,
                ]
            },
        ),
    ],
)
def test_a_request_that_says_nothing_clear_is_refused_at_its_place(
    harness: Harness, adapter: str, field: str, body: dict[str, Any]
) -> None:
    call = harness.call(**body)
    refusal = harness.refusal(adapter, call)
    assert refusal.message.startswith(field)
    assert harness.rows(call) == []


def test_what_gemini_called_can_be_told_to_it_again(harness: Harness) -> None:
    called = {"functionCall": {"name": "wait", "args": {}}, "thoughtSignature": "c2lnbmVk"}
    answer = {"candidates": [{"finishReason": "STOP", "content": {"parts": [called]}}]}

    async def asked() -> Any:
        async with Recorder({"generateContent": answer}) as recorder:
            return await harness.provider("gemini", recorder.url).complete(harness.call())

    got = harness.run(asked())
    assert list(got.tool_calls) == SIGNED[1]["tool_calls"]
