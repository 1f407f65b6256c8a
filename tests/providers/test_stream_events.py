"""What the events of a stream come to: what servers say, where the stand-in says less."""

import json
import zlib
from typing import Any

import pytest
from aiohttp import web

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers.base import Answer, Refusal
from tests.providers.dialects import CANARY, Harness
from tests.providers.streams import RESPONSES, streamed


def ask(
    harness: Harness, adapter: str, *events: Any, coding: str | None = None, **body: Any
) -> Answer | Refusal:
    """Stream *events* to the adapter, byte by byte, and let the connection break off after them.

    *coding* is what the answer says of itself; it is compressed where that is `gzip`.
    """
    said = b"".join(event if isinstance(event, bytes) else sse(event) for event in events)
    told = {} if coding is None else {"Content-Encoding": coding}

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **told})
        await response.prepare(request)
        packing = zlib.compressobj(wbits=31)
        for at in range(0, len(said), 7):
            piece = said[at : at + 7]
            if coding == "gzip":
                piece = packing.compress(piece) + packing.flush(zlib.Z_SYNC_FLUSH)
            await response.write(piece)
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


@pytest.mark.parametrize("coding", ["identity", "none", "UTF-8", "gzip"])
def test_a_stream_is_read_as_it_comes_whatever_it_says_of_its_coding(
    harness: Harness, coding: str
) -> None:
    """Servers say such words to have it left alone; nobody was asked to compress it."""
    begun = chunk(content="four")
    answer = ask(harness, "openai", begun, chunk("stop"), coding=coding)
    assert isinstance(answer, Answer)
    assert answer.text == "four"
    cut = ask(harness, "openai", begun, coding=coding)
    assert isinstance(cut, Refusal)
    assert cut.kind is ErrorKind.UNKNOWN
    assert cut.raw is not None
    assert b"four" in cut.raw


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
