"""A streamed answer is the answer that would have come whole; a broken one is none, and is kept."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import anthropic
import pytest
from aiohttp import web
from anthropic._constants import MODEL_NONSTREAMING_TOKENS

from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.requests import Endpoint, native_request
from promptmill.workers.providers.anthropic.stream import MOST_OF_SLOW, MOST_UNSTREAMED, SLOW
from promptmill.workers.providers.base import Answer, Call, Refusal, charged
from promptmill.workers.providers.listener import Listener
from promptmill.workers.providers.openai.chat_stream import ChatFold
from tests.providers.dialects import CANARY, DIALECTS, PROMPT, Harness

RESPONSES = "openai:responses"
LOOK = {"type": "function", "function": {"name": "look"}}
MODELS = {"openai": "gpt-5", RESPONSES: "gpt-5", "anthropic": "claude-sonnet-5"}


@pytest.fixture(params=[*DIALECTS, RESPONSES])
def name(request: pytest.FixtureRequest) -> str:
    """Each adapter in turn, and OpenAI's once more by its other endpoint."""
    return str(request.param)


def streamed(harness: Harness, name: str, **body: Any) -> Call:
    model = MODELS.get(name, "gemini-2.5-flash")
    call = harness.call(model=model, stream=True, **body)
    if name != RESPONSES:
        return call
    native = native_request({"input": call.body["messages"][0]["content"]}, Endpoint.RESPONSES)
    return replace(call, body={**call.body, **native}, endpoint=Endpoint.RESPONSES)


def test_a_streamed_answer_is_the_one_that_comes_whole(harness: Harness, name: str) -> None:
    call = streamed(harness, name)
    answer = harness.answer(name, call)
    whole = harness.answer(name, replace(call, body={**call.body, "stream": None}))
    assert answer.first_token_s is not None
    assert answer.first_token_s > 0
    own = answer.response_id, answer.request_id, answer.first_token_s, answer.body
    ids = dict(zip(("response_id", "request_id", "first_token_s", "body"), own, strict=True))
    assert answer == replace(whole, **ids)  # type: ignore[arg-type]
    assert _without_ids(answer) == _without_ids(whole)
    assert answer.usage is not None
    assert len(harness.rows(call)) == 2


def past_a_token(name: str) -> dict[str, int]:
    """Let a fault come after the first token; by default it does, but for a short response."""
    return {"after_events": 7} if name == RESPONSES else {}


def _without_ids(answer: Answer) -> Any:
    if answer.body is None or answer.response_id is None:
        return None
    told = answer.body.decode().replace(answer.response_id.partition("_")[2], "")
    return {**json.loads(told), "created_at": None}


def test_the_name_and_the_key_are_sent_with_a_stream_too(harness: Harness, name: str) -> None:
    call, plain = streamed(harness, name), harness.call()
    harness.answer(name, call)
    harness.answer(name, plain)
    assert harness.rows(call)[0].key == harness.rows(plain)[0].key


@pytest.mark.parametrize("accident", ["cut", "stall", "truncated", "stream_error"])
def test_a_stream_that_breaks_off_is_unknown_and_what_came_is_kept(
    harness: Harness, name: str, accident: str
) -> None:
    call = replace(streamed(harness, name), timeout_s=0.5 if accident == "stall" else 20)
    refusal = harness.refusal(name, call, fault=accident, **past_a_token(name))
    assert refusal.kind is ErrorKind.UNKNOWN
    assert refusal.first_token_s is not None
    assert refusal.raw is not None
    assert "[" in str(json.loads(refusal.raw))  # the beginning of each of the stand-in's answers
    assert charged(refusal) is None
    assert (refusal.usage is not None) == (not name.startswith("openai"))
    assert len(harness.rows(call)) == 1
    assert PROMPT not in repr(refusal)


def test_an_error_before_the_first_token_is_what_it_is_without_a_stream(
    harness: Harness, name: str
) -> None:
    refusal = harness.refusal(name, streamed(harness, name), fault="stream_error", after_events=1)
    before = {"gemini": 0, "gemini-legacy": 0}.get(name, 1)
    if before == 0:  # its first event has a token already
        call = streamed(harness, name)
        refusal = harness.refusal(name, call, fault="stream_error", after_events=0)
    assert refusal.kind is ErrorKind.OVERLOADED
    assert refusal.http_status in {503, 529}
    assert refusal.raw is None


@pytest.mark.parametrize(
    ("adapter", "error"),
    [
        ("openai", {"error": {"code": "content_policy_violation", "message": "no"}}),
        (RESPONSES, {"error": {"code": "content_policy_violation", "message": "no"}}),
        ("anthropic", {"type": "error", "error": {"type": "invalid_request_error"}}),
        ("gemini", {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}),
    ],
)
def test_a_request_refused_in_mid_stream_is_not_asked_again(
    harness: Harness, adapter: str, error: dict[str, Any]
) -> None:
    call = streamed(harness, adapter)
    said = json.dumps(error)
    refusal = harness.refusal(
        adapter, call, fault="stream_error", body=said, **past_a_token(adapter)
    )
    assert (refusal.kind, refusal.http_status) == (ErrorKind.REQUEST, 400)
    assert refusal.raw is not None


def test_a_page_in_place_of_a_stream_is_kept_raw(harness: Harness, name: str) -> None:
    refusal = harness.refusal(name, streamed(harness, name), fault="html")
    assert refusal.kind is ErrorKind.BAD_RESPONSE
    assert refusal.raw is not None
    assert refusal.raw.startswith(b"<!DOCTYPE")


def test_a_server_that_does_not_stream_answers_all_the_same(harness: Harness, name: str) -> None:
    refusal = harness.refusal(name, streamed(harness, name), fault="raw", body='{"x": 1}')
    assert refusal.kind is ErrorKind.BAD_RESPONSE
    assert refusal.raw == b'{"x": 1}'


def test_a_refusal_is_no_stream(harness: Harness, name: str) -> None:
    refusal = harness.refusal(name, streamed(harness, name), fault="rate")
    assert (refusal.kind, refusal.http_status) == (ErrorKind.RATE, 429)


@pytest.mark.parametrize("accident", ["nul", "surrogate"])
def test_strange_text_is_streamed_as_it_is(harness: Harness, name: str, accident: str) -> None:
    answer = harness.answer(name, streamed(harness, name), fault=accident)
    assert answer.text is not None
    assert answer.text.endswith("\0" if accident == "nul" else "\ud83d")


@pytest.mark.parametrize("asks", [{}, {"tools": [LOOK], "tool_choice": "required"}])
def test_what_is_heard_of_an_answer_is_the_answer(
    harness: Harness, name: str, asks: dict[str, Any]
) -> None:
    heard: list[Any] = []
    call = replace(streamed(harness, name, **asks), listener=Listener(heard.append))
    answer = harness.answer(name, call)
    if name == RESPONSES:
        deltas = [one["delta"] for one in heard if one["type"] == "response.output_text.delta"]
        assert "".join(deltas) == answer.text
        return
    fold = ChatFold()
    for chunk in heard:
        fold.add(json.dumps(chunk).encode())
    (choice,) = fold.body()["choices"]
    assert choice["message"]["content"] == answer.text
    assert choice["message"].get("tool_calls", []) == list(answer.tool_calls)
    assert bool(answer.tool_calls) == bool(asks)


def test_a_call_ends_when_its_listener_leaves(harness: Harness, name: str) -> None:
    listener = Listener(lambda _piece: asyncio.get_running_loop().call_soon(listener.leave))
    call = replace(streamed(harness, name), timeout_s=5, listener=listener)
    refusal = harness.refusal(name, call, fault="stall", **past_a_token(name))
    assert refusal.kind is ErrorKind.UNKNOWN
    assert "nobody waited" in refusal.message
    assert refusal.raw is not None


# What a server says, where the stand-in says less.


def ask(harness: Harness, adapter: str, *events: Any, **body: Any) -> Answer | Refusal:
    """Stream *events* to the adapter, byte by byte, and let the connection break off after them."""
    said = b"".join(event if isinstance(event, bytes) else sse(event) for event in events)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for at in range(0, len(said), 7):
            await response.write(said[at : at + 7])
        if request.transport is not None:
            request.transport.close()
        return response

    async def asked() -> Answer | Refusal:
        application = web.Application()
        application.router.add_post("/{path:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            return await harness.provider(adapter, url).complete(streamed(harness, adapter, **body))
        finally:
            await runner.cleanup()

    return harness.run(asked())  # type: ignore[no-any-return]


def sse(event: Any) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def chunk(finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def piece(index: int, arguments: str, **known: Any) -> dict[str, Any]:
    return {"index": index, **known, "function": {"arguments": arguments}}


def test_calls_of_tools_are_put_together_by_their_index(harness: Harness) -> None:
    first, second = {"id": "t1", "type": "function"}, {"id": "t2", "type": "function"}
    named = {"index": 0, **first, "function": {"name": "look", "arguments": ""}}
    other = {"index": 1, **second, "function": {"name": "ask", "arguments": "{}"}}
    answer = ask(
        harness,
        "openai",
        chunk(role="assistant", content=None, tool_calls=[named]),
        chunk(tool_calls=[piece(0, '{"a":', id="t1")]),
        chunk(tool_calls=[other, piece(0, " 1}")]),
        chunk("tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        b"data: [DONE]\n\n",
    )
    assert isinstance(answer, Answer)
    assert answer.text is None
    assert answer.tool_calls == (
        {**first, "function": {"name": "look", "arguments": '{"a": 1}'}},
        {**second, "function": {"name": "ask", "arguments": "{}"}},
    )
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 2)


def test_a_response_is_the_one_that_its_last_event_holds_and_until_then_what_came(
    harness: Harness,
) -> None:
    said = [
        {"type": "response.created", "response": {"id": "r1", "status": "in_progress"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "I "},
        {"type": "response.something.new", "output_index": 0},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "th"},
    ]
    refusal = ask(harness, RESPONSES, *said)
    assert isinstance(refusal, Refusal)
    assert refusal.kind is ErrorKind.UNKNOWN
    assert refusal.raw is not None
    assert json.loads(refusal.raw)["output"][0]["content"][0]["text"] == "I th"

    text = {"type": "message", "content": [{"type": "output_text", "text": "I think"}]}
    usage = {"input_tokens": 3, "output_tokens": 2}
    last = {"id": "r1", "status": "completed", "output": [text], "usage": usage}
    answer = ask(harness, RESPONSES, *said, {"type": "response.completed", "response": last})
    assert isinstance(answer, Answer)
    assert (answer.text, answer.response_id, answer.finish_reason) == ("I think", "r1", "completed")
    assert answer.usage is not None

    failed = {**last, "status": "failed", "error": {"code": "rate_limit_exceeded"}}
    refusal = ask(harness, RESPONSES, *said[:1], {"type": "response.failed", "response": failed})
    assert isinstance(refusal, Refusal)
    assert refusal.kind is ErrorKind.RATE


def test_an_answer_that_had_come_whole_counts_though_the_connection_broke(
    harness: Harness,
) -> None:
    answer = ask(harness, "openai", chunk(content="a"), chunk(content="b"), chunk("stop"))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.usage) == ("ab", None)


def test_halves_of_a_character_in_two_chunks_become_one(harness: Harness) -> None:
    halves = (chunk(content="\ud83d"), chunk(content="\ude00", refusal=None), chunk("stop"))
    answer = ask(harness, "openai", *halves)
    assert isinstance(answer, Answer)
    assert answer.text == "\U0001f600"


def test_a_refusal_of_the_model_is_streamed_as_one(harness: Harness) -> None:
    answer = ask(harness, "openai", chunk(refusal="I "), chunk(refusal="will not."), chunk("stop"))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason) == ("I will not.", "refusal")


@pytest.mark.parametrize("event", [b"data: {cut\n\n", b"data: []\n\n", b'data: {"choices": 5}\n\n'])
def test_an_event_that_cannot_be_read_is_no_answer(harness: Harness, event: bytes) -> None:
    refusal = ask(harness, "openai", chunk(content="a"), event, chunk("stop"))
    assert isinstance(refusal, Refusal)
    assert refusal.kind is ErrorKind.BAD_RESPONSE
    assert refusal.raw is not None
    assert json.loads(refusal.raw)["choices"][0]["message"]["content"] == "a"


def test_what_is_kept_of_a_stream_has_no_key_in_it(harness: Harness) -> None:
    refusal = ask(harness, "openai", chunk(content=CANARY[:9]), chunk(content=CANARY[9:]))
    assert isinstance(refusal, Refusal)
    assert refusal.raw is not None
    assert CANARY.encode() not in refusal.raw


STARTED = {
    "type": "message_start",
    "message": {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 60, "output_tokens": 1},
    },
}


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def test_an_anthropic_message_is_put_together_block_by_block(harness: Harness) -> None:
    tool = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    cited = {"type": "citations_delta", "citation": {"type": "page", "title": "x"}}
    answer = ask(
        harness,
        "anthropic",
        STARTED,
        b"event: ping\ndata: {}\n\n",
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "sig"},
        ),
        *block(
            1,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": "I "},
            cited,
            {"type": "text_delta", "text": "look."},
        ),
        {"type": "something_new", "index": 1},
        *block(
            2,
            tool,
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"city": "B'},
            {"type": "input_json_delta", "partial_json": 'ern"}'},
        ),
        *block(3, {**tool, "id": "t2"}),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 25, "output_tokens_details": {"thinking_tokens": 5}},
        },
        {"type": "message_stop"},
    )
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason) == ("I look.", "tool_use")
    assert [json.loads(one["function"]["arguments"]) for one in answer.tool_calls] == [
        {"city": "Bern"},
        {},
    ]
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (70, 25)
    assert (answer.usage.cache_read_tokens, answer.usage.reasoning_tokens) == (60, 5)


def test_gemini_parts_are_joined_where_they_are_alike(harness: Harness) -> None:
    def said(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **more}]}

    answer = ask(
        harness,
        "gemini",
        said({"text": "hm", "thought": True}),
        said({"text": ", so", "thought": True}),
        said({"text": "It is "}),
        said({"text": "warm."}, {"functionCall": {"name": "look", "args": {"a": 1}}}),
        said({"text": "", "thoughtSignature": "x"}, finishReason="STOP")
        | {"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 3}},
    )
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish_reason) == ("It is warm.", "STOP")
    assert [one["function"]["name"] for one in answer.tool_calls] == ["look"]
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (4, 3)


def test_bare_json_in_a_gemini_stream_is_the_error_that_it_is(harness: Harness) -> None:
    error = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "later"}}
    refusal = ask(harness, "gemini", json.dumps(error, indent=2).encode())
    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.http_status) == (ErrorKind.OVERLOADED, 503)


@pytest.mark.parametrize("model", ["claude-sonnet-5", *sorted(MODEL_NONSTREAMING_TOKENS)])
def test_anthropic_is_asked_for_a_stream_where_its_sdk_would_refuse_to_wait(
    harness: Harness, model: str
) -> None:
    most = MOST_OF_SLOW if model in SLOW else MOST_UNSTREAMED
    client = anthropic.Anthropic(api_key="x")
    ceiling = MODEL_NONSTREAMING_TOKENS.get(model)
    client._calculate_nonstreaming_timeout(most, ceiling)
    with pytest.raises(ValueError, match="Streaming is required"):
        client._calculate_nonstreaming_timeout(most + 1, ceiling)
    client.close()
    for allowed, streams in ((most, False), (most + 1, True)):
        answer = harness.answer("anthropic", harness.call(model=model, max_tokens=allowed))
        assert (answer.first_token_s is not None) is streams


def test_a_cancelled_stream_ends_its_connection(harness: Harness, name: str) -> None:
    call = streamed(harness, name)
    harness.simulator.add_fault("stall", contains=call.body["messages"][0]["content"])

    async def give_up() -> None:
        task = asyncio.ensure_future(harness.provider(name).complete(call))
        while not harness.rows(call):  # noqa: ASYNC110  the simulator is in another thread
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    harness.run(give_up())
