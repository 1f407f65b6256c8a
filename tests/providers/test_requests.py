"""What goes over the wire, and what is refused before anything does."""

from typing import Any

import pytest

from promptmill.producer.reading.parameters import TAKEN
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.workers.providers.base import Answer, Call
from promptmill.workers.providers.openai.server import server_of
from tests.providers.dialects import CANARY, PROMPT, Harness
from tests.providers.recorder import Recorder
from tests.providers.unified.talks import WAIT

TALK = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "One, "}, {"type": "text", "text": "two"}],
    },
    {"role": "assistant", "content": "three"},
    {"role": "user", "content": "and?"},
]
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "stop": ["END"]}
TRANSLATED = ["anthropic", "gemini", "gemini-legacy"]


def send(harness: Harness, adapter: str, **body: Any) -> Recorder:
    """Send *body* with *adapter* to a recorder of its own, and return that."""

    async def record() -> Recorder:
        async with Recorder() as recorder:
            base_url = f"{recorder.url}/v1" if adapter == "openai" else recorder.url
            provider = harness.provider(adapter, base_url)
            call = Call(model="m-1", body=body, request_id="j1-f1", timeout_s=20)
            answer = await provider.complete(call)
            assert isinstance(answer, Answer), answer
            return recorder

    recorder: Recorder = harness.run(record())
    assert len(recorder.bodies) == 1
    return recorder


def test_an_openai_body_goes_out_as_it_came(harness: Harness) -> None:
    body: dict[str, Any] = {"messages": TALK, "seed": 7, "max_tokens": 9, **SAMPLING}
    body |= {"response_format": {"type": "json_object"}, "logprobs": True, "vendor": {"own": 1}}
    sent = send(harness, "openai", **body, model="other")
    assert sent.bodies == [body | {"model": "m-1"}]
    assert sent.paths == ["/v1/chat/completions"]
    assert sent.headers[0]["authorization"] == f"Bearer {CANARY}"
    assert sent.headers[0]["content-type"] == "application/json"


def test_a_conversation_in_anthropics_words(harness: Harness) -> None:
    sent = send(harness, "anthropic", messages=TALK, max_completion_tokens=9, **SAMPLING)
    assert sent.bodies == [
        {
            "model": "m-1",
            "max_tokens": 9,
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": "One, two"},
                {"role": "assistant", "content": "three"},
                {"role": "user", "content": "and?"},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "stop_sequences": ["END"],
        }
    ]
    assert sent.paths == ["/v1/messages"]
    assert sent.headers[0]["anthropic-version"]


def test_anthropic_gets_a_maximum_even_if_none_is_asked_for(harness: Harness) -> None:
    sent = send(harness, "anthropic", messages=TALK)
    assert sent.bodies[0]["max_tokens"] == 4096


@pytest.mark.parametrize("adapter", ["gemini", "gemini-legacy"])
def test_a_conversation_in_geminis_words(harness: Harness, adapter: str) -> None:
    sent = send(harness, adapter, messages=TALK, max_tokens=9, **SAMPLING)
    (body,) = sent.bodies
    turns = [
        (turn["role"], "".join(part["text"] for part in turn["parts"])) for turn in body["contents"]
    ]
    assert turns == [("user", "One, two"), ("model", "three"), ("user", "and?")]
    assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    config = body["generationConfig"]
    assert config["maxOutputTokens"] == 9
    assert config["stopSequences"] == ["END"]
    assert config["temperature"] == pytest.approx(0.5)
    assert config["topP"] == pytest.approx(0.9)
    assert sent.paths == ["/v1beta/models/m-1:generateContent"]
    assert sent.headers[0]["x-goog-api-key"] == CANARY


@pytest.mark.parametrize("adapter", ["openai", *TRANSLATED])
def test_every_request_carries_our_name_of_it(harness: Harness, adapter: str) -> None:
    sent = send(harness, adapter, messages=TALK)
    assert sent.headers[0]["x-client-request-id"] == "j1-f1"


def test_no_trace_of_ours_is_sent_to_anthropic(harness: Harness) -> None:
    assert "traceparent" not in send(harness, "anthropic", messages=TALK).headers[0]


@pytest.mark.parametrize("adapter", TRANSLATED)
@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("tools", {"tools": [{"type": "function"}]}),
        ("logprobs", {"logprobs": True}),
        ("n", {"n": 2}),
        ("response_format", {"response_format": {"type": "grammar"}}),
        ("temperature", {"temperature": "hot"}),
        ("messages", {"messages": []}),
        ("messages[0].role", {"messages": [{"role": "tool", "content": "x"}]}),
        (
            "messages[1].role",
            {"messages": [{"role": "user", "content": PROMPT}, {"role": "system", "content": "x"}]},
        ),
        (
            "messages[0].content[0]",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        ),
        ("tool_calls", {"messages": [{"role": "user", "content": "x", "tool_calls": []}]}),
        ("body", {"messages": [{"role": "user", "content": "\ud83d"}]}),
    ],
)
def test_what_cannot_be_said_is_refused_by_name_and_not_sent(
    harness: Harness, adapter: str, field: str, body: dict[str, Any]
) -> None:
    call = harness.call(**body)
    refusal = harness.refusal(adapter, call)
    assert refusal.kind is ErrorKind.REQUEST
    assert field in refusal.message
    assert "nothing was sent" in refusal.message
    assert PROMPT not in refusal.message
    assert harness.rows(call) == []


@pytest.mark.parametrize("field", ["seed", "frequency_penalty", "presence_penalty"])
def test_anthropic_has_no_such_parameter(harness: Harness, field: str) -> None:
    body: dict[str, Any] = {field: 1}
    assert field in harness.refusal("anthropic", harness.call(**body)).message


def test_a_field_that_is_null_is_not_there(harness: Harness) -> None:
    assert "seed" not in send(harness, "anthropic", messages=TALK, seed=None, tools=None).bodies[0]


@pytest.mark.parametrize("body", [{"n": 3}, {"messages": [{"role": "user", "content": "\ud83d"}]}])
def test_openai_is_not_asked_what_could_not_be_kept(harness: Harness, body: dict[str, Any]) -> None:
    call = harness.call(**body)
    assert harness.refusal("openai", call).kind is ErrorKind.REQUEST
    assert harness.rows(call) == []


@pytest.mark.parametrize(
    ("base_url", "output_limit", "reads_limits"),
    [
        (None, "max_completion_tokens", True),
        ("https://eu.api.openai.com/v1", "max_completion_tokens", True),
        ("https://mine.openai.azure.com/openai/v1/", "max_completion_tokens", True),
        ("https://api.groq.com/openai/v1", "max_tokens", False),
        ("https://api.deepseek.com", "max_tokens", False),
        ("http://localhost:11434/v1", "max_tokens", True),
        ("https://api.openai.com.evil.example/v1", "max_tokens", False),
    ],
)
def test_an_endpoint_is_spoken_to_as_it_wants(
    base_url: str | None,
    output_limit: str,
    reads_limits: bool,
) -> None:
    endpoint = server_of(base_url)
    assert (endpoint.output_limit, bool(endpoint.limit_headers)) == (output_limit, reads_limits)


@pytest.mark.parametrize("base_url", [None, "https://api.groq.com/openai/v1"])
@pytest.mark.parametrize("reads", [True, False])
def test_settings_say_over_the_host_whether_limit_headers_are_read(
    base_url: str | None, reads: bool
) -> None:
    endpoint = server_of(base_url, read_limit_headers=reads)
    assert bool(endpoint.limit_headers) == reads
    assert endpoint.output_limit == server_of(base_url).output_limit


NATIVE: dict[str, dict[str, Any]] = {
    "anthropic": {
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "One"}]}],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "thinking": {"type": "disabled"},
        "new_tomorrow": {"a": [1.5, None]},
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "One"}, {"text": "two"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.5, "thinkingConfig": {"thinkingBudget": 0}},
        "tools": [{"googleSearch": {}}],
        "newTomorrow": {"a": [1.5, None]},
    },
}


@pytest.mark.parametrize("adapter", NATIVE)
def test_a_providers_own_body_goes_out_as_it_came(harness: Harness, adapter: str) -> None:
    sent = send(harness, adapter, native=NATIVE[adapter])
    model = {"model": "m-1"} if adapter == "anthropic" else {}
    assert sent.bodies == [NATIVE[adapter] | model]


def test_geminis_own_body_goes_out_through_the_old_sdk_too(harness: Harness) -> None:
    body = {key: NATIVE["gemini"][key] for key in ("contents", "systemInstruction")}
    sent = send(harness, "gemini-legacy", native=body)
    assert sent.bodies[0]["contents"] == body["contents"]
    assert sent.bodies[0]["systemInstruction"] == body["systemInstruction"]


SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}


@pytest.mark.parametrize(
    ("adapter", "path"),
    [
        ("anthropic", ("output_config", "format", "schema")),
        ("gemini", ("generationConfig", "responseJsonSchema")),
    ],
)
def test_a_schema_of_the_answer_is_said_in_each_dialect(
    harness: Harness, adapter: str, path: tuple[str, ...]
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    said: Any = send(harness, adapter, messages=TALK, response_format=form).bodies[0]
    for name in path:
        said = said[name]
    assert said == SCHEMA


def test_the_old_sdk_cannot_say_a_schema(harness: Harness) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    refusal = harness.refusal("gemini-legacy", harness.call(response_format=form))
    assert "google-genai does" in refusal.message


@pytest.mark.parametrize("kind", TAKEN)
def test_the_options_that_submit_lets_through_are_those_that_are_said(
    harness: Harness, kind: ProviderKind
) -> None:
    values: dict[str, Any] = dict.fromkeys(TAKEN[kind], 1)
    values |= {"stop": ["END"], "response_format": {"type": "text"}, "reasoning_effort": "low"}
    values |= {"max_tokens": 4096, "max_completion_tokens": 4096, "cache_control": {}}
    values |= {"tools": [WAIT], "tool_choice": "auto", "parallel_tool_calls": True}
    values |= {"stream": False}
    sent = send(harness, kind.value, messages=TALK, **values).bodies[0]
    assert "END" in str(sent)
    for name in TAKEN[ProviderKind.GEMINI] - TAKEN[kind]:
        body: dict[str, Any] = {name: 1}
        assert name in harness.refusal(kind.value, harness.call(**body)).message
