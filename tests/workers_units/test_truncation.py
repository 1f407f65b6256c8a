"""Prompts that are cut fit by OpenAI's own count, and keep what must be kept."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from promptmill.schema.requests import Endpoint, native_request
from promptmill.schema.tokens import count, count_plain
from promptmill.schema.truncation import Truncate
from promptmill.workers.truncation import Shortened, shorten

SYSTEM = {"role": "system", "content": "You are terse."}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]

texts = st.text(
    st.one_of(st.sampled_from("ab \n,.()0{"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=200,
)


@st.composite
def turns(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Make turns, some of which call a tool."""
    made = []
    for number in range(draw(st.integers(1, 5))):
        turn: list[dict[str, Any]] = [{"role": "user", "content": draw(texts)}]
        if draw(st.booleans()):
            call: dict[str, Any] = {"id": f"call-{number}", "type": "function"}
            call["function"] = {"name": "look", "arguments": json.dumps({"at": draw(texts)})}
            turn.append({"role": "assistant", "content": None, "tool_calls": [call]})
            turn.append({"role": "tool", "tool_call_id": call["id"], "content": draw(texts)})
        if draw(st.booleans()):
            turn.append({"role": "assistant", "content": draw(texts)})
        made.append(turn)
    return made


def of_turns(said: list[list[dict[str, Any]]]) -> dict[str, Any]:
    messages = [SYSTEM, *(message for turn in said for message in turn)]
    return {"messages": messages, "tools": TOOLS}


def cut(body: dict[str, Any], how: Truncate, most: int) -> Shortened | None:
    return shorten(body, how, tokens=count_plain(body), most=most)


def openais_count(body: dict[str, Any]) -> int:
    """Count as OpenAI's cookbook does: each value of a message, 3 a message, 3 for the reply."""
    said = 3
    for message in body["messages"]:
        said += 3
        for value in message.values():
            said += count(value) if isinstance(value, str) else 0
            for call in value if isinstance(value, list) else ():
                said += count(call["function"]["name"]) + count(call["function"]["arguments"])
    return said


@settings(max_examples=150, deadline=None)
@given(turns(), st.sampled_from([Truncate.DROP_OLDEST, Truncate.HEAD, Truncate.TAIL]), st.data())
def test_a_cut_prompt_fits_and_keeps_system_last_turn_and_pairs_of_tools(
    said: list[list[dict[str, Any]]], how: Truncate, data: st.DataObject
) -> None:
    body = of_turns(said)
    whole, least = count_plain(body), count_plain(of_turns(said[-1:]))
    most = data.draw(st.integers(1, whole - 1))
    shorter = cut(body, how, most)
    if shorter is None:
        assert most < least, "its system and last turn would have had room"
        return
    messages = shorter.body["messages"]
    assert openais_count(shorter.body) <= count_plain(shorter.body) == shorter.tokens <= most
    assert (messages[0], shorter.body["tools"]) == (SYSTEM, TOOLS)
    calls = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert calls == [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    last = messages[-len(said[-1]) :]
    if most >= least:
        assert last == said[-1]
        kept = [message for turn in said[:-1] for message in turn]
        left = messages[1 : -len(last)]
        assert left == (
            kept[: len(left)] if how is Truncate.HEAD else kept[len(kept) - len(left) :]
        )
    else:
        assert how is not Truncate.DROP_OLDEST
        assert [message["role"] for message in last] == [message["role"] for message in said[-1]]
        for was, now in zip(said[-1], last, strict=True):
            if was["role"] == "assistant":
                assert was == now
            elif how is Truncate.HEAD:
                assert was["content"].startswith(now["content"])
            else:
                assert was["content"].endswith(now["content"])


def test_each_providers_own_shape_is_cut_by_its_turns() -> None:
    long, answer = "word " * 300, {"ok": True}
    called = [{"type": "tool_use", "id": "t", "name": "look", "input": {"at": long}}]
    told = [{"type": "tool_result", "tool_use_id": "t", "content": long}]
    anthropic = [
        {"role": "user", "content": "old"},
        {"role": "assistant", "content": called},
        {"role": "user", "content": told},
        {"role": "user", "content": [{"type": "text", "text": "new"}]},
    ]
    gemini = [
        {"role": "user", "parts": [{"text": long}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": answer}}]},
        {"parts": [{"text": "new"}]},
    ]
    responses = [
        {"role": "user", "content": long},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": long},
        {"role": "user", "content": "new"},
    ]
    for name, said, endpoint in (
        ("messages", anthropic, Endpoint.CHAT),
        ("contents", gemini, Endpoint.CHAT),
        ("input", responses, Endpoint.RESPONSES),
    ):
        body = native_request({name: said, "system": "be terse"}, endpoint)
        shorter = cut(body, Truncate.DROP_OLDEST, 50)
        assert shorter is not None, name
        assert shorter.body["native"] == {name: said[-1:], "system": "be terse"}
        assert shorter.turns == 1


def test_a_text_alone_is_cut_at_either_end() -> None:
    body = native_request({"input": "one two three four five"}, Endpoint.EMBEDDINGS)
    head, tail = cut(body, Truncate.HEAD, 2), cut(body, Truncate.TAIL, 2)
    assert head is not None
    assert head.body["native"]["input"] == "one two"
    assert tail is not None
    assert tail.body["native"]["input"] == " four five"
    assert cut(body, Truncate.DROP_OLDEST, 2) is None
    many = native_request({"input": ["one two three", "four five"]}, Endpoint.EMBEDDINGS)
    assert cut(many, Truncate.HEAD, 2) is None, "each of them has the whole window"
