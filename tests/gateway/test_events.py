"""An answer that was stored whole is said as its provider would have streamed it."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from promptmill.gateway.events import ChatEvents, Events, ResponseEvents
from promptmill.gateway.live import Reply
from promptmill.workers.providers.fold import Fold, encode_body
from promptmill.workers.providers.openai.chat_stream import ChatFold
from promptmill.workers.providers.openai.responses_stream import ResponsesFold
from promptmill.workers.providers.sse import Events as ServerEvents
from tests.services.published import CHUNK, hold, hold_event

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 5,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "tool_calls": [CALL, CALL]},
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ],
    "usage": USAGE,
}
PART = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
DONE = {"status": "completed"}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 5,
    "status": "completed",
    "model": "m",
    "output": [
        {"id": "m1", "type": "message", "role": "assistant", "content": [PART], **DONE},
        {
            "id": "f1",
            "type": "function_call",
            "call_id": "c1",
            "name": "look",
            "arguments": "{}",
            **DONE,
        },
    ],
    **dict.fromkeys(("error", "incomplete_details", "instructions"), None),
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1,
    "usage": {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 3,
    },
}


@pytest.mark.parametrize(
    ("events", "fold", "body"),
    [
        (ChatEvents(has_usage=True), ChatFold(), COMPLETION),
        (ResponseEvents(), ResponsesFold(), RESPONSE),
    ],
)
def test_a_whole_answer_is_folded_back_to_itself(
    events: Events, fold: Fold, body: dict[str, Any]
) -> None:
    said = b"".join(events.end(Reply(200, body)))
    assert gathered(fold, [said]) == body


def test_what_is_heard_is_said_at_once_and_how_it_ended_when_that_is_stored() -> None:
    events, fold = ChatEvents(has_usage=False), ChatFold()
    head = {"id": "x", "model": "m", "created": 7, "usage": None}
    (first,) = [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]
    last = {"index": 0, "delta": {"content": "lo"}, "finish_reason": "length"}
    spoken = [
        events.say({**head, "choices": [first]}),
        events.say({**head, "choices": [last]}),
        events.say({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}),
        events.say({**head, "choices": [], "usage": USAGE}),
    ]
    assert [bool(one) for one in spoken] == [True, True, False, False]
    assert b"length" not in b"".join(spoken)
    whole = gathered(fold, [*spoken, *events.end(Reply(200, COMPLETION))])
    assert whole["choices"][0]["message"]["content"] == "Hello"
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert (whole["id"], whole["created"], "usage" in whole) == ("x", 7, False)


def gathered(fold: Fold, said: Iterable[bytes]) -> Any:
    """Fold what was streamed."""
    for data in ServerEvents().feed(b"".join(said)):
        fold.add(data)
        if b"chat.completion.chunk" in data:
            hold(CHUNK, json.loads(data))
        elif b"sequence_number" in data:
            hold_event(json.loads(data))
    assert fold.is_complete
    return fold.body()


def test_halves_of_a_character_and_odd_events_break_no_stream() -> None:
    events, fold = ChatEvents(has_usage=False), ChatFold()
    head = {"id": "x", "model": "m", "created": 7, "usage": None}
    deltas = [{"role": "assistant", "content": "\ud83d"}, {"content": "\ude00"}]
    said = [events.say({**head, "choices": [{"index": 0, "delta": one}]}) for one in deltas]
    for data in ServerEvents().feed(b"".join(said)):
        fold.add(data)
    whole = json.loads(encode_body(fold.body()))
    assert whole["choices"][0]["message"]["content"] == "\N{GRINNING FACE}"
    responses = ResponseEvents()
    odd = {"type": "response.output_text.delta", "sequence_number": None, "delta": "a"}
    assert responses.say({"delta": "of no type"}) == b""
    assert b'"sequence_number":0' in responses.say(odd).replace(b" ", b"")
