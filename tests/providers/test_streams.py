"""A streamed answer is the answer that would have come whole; a broken one is none, and is kept."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import anthropic
import pytest
from anthropic._constants import MODEL_NONSTREAMING_TOKENS

from promptmill.schema.outcomes import ErrorKind
from promptmill.workers.providers.anthropic.stream import MOST_OF_SLOW, MOST_UNSTREAMED, SLOW
from promptmill.workers.providers.base import Answer, charged
from promptmill.workers.providers.listener import Listener
from promptmill.workers.providers.openai.chat_stream import ChatFold
from tests.providers.dialects import DIALECTS, PROMPT, Harness
from tests.providers.streams import RESPONSES, streamed

LOOK = {"type": "function", "function": {"name": "look"}}


@pytest.fixture(params=[*DIALECTS, RESPONSES])
def name(request: pytest.FixtureRequest) -> str:
    """Each adapter in turn, and OpenAI's once more by its other endpoint."""
    return str(request.param)


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
