"""What an adapter gives for a good answer."""

import json
from typing import Any

import pytest

from promptmill.schema.outcomes import Usage
from promptmill.simulator import Limits, Simulator, SimulatorConfig
from promptmill.workers.providers.base import Answer
from promptmill.workers.providers.registry import make_provider
from tests.providers.dialects import CANARY, PROMPT, Harness
from tests.providers.recorder import Recorder

MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-5"}


def test_an_answer_has_what_the_bill_has(harness: Harness, name: str) -> None:
    call = harness.call(model=MODELS.get(name, "gemini-2.5-flash"))
    answer = harness.answer(name, call)
    (row,) = harness.rows(call)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (
        row.input_tokens,
        row.output_tokens,
    )
    assert answer.text
    assert answer.finish_reason in {"stop", "end_turn", "STOP"}
    assert answer.response_model == call.model
    assert answer.response_id


def test_the_call_is_named_to_the_provider(harness: Harness, name: str) -> None:
    call = harness.call()
    harness.answer(name, call)
    assert [row.client_request_id for row in harness.rows(call)] == [call.request_id]


def test_the_key_is_the_one_of_the_settings(harness: Harness, name: str) -> None:
    from hashlib import sha256

    call = harness.call()
    harness.answer(name, call)
    (row,) = harness.rows(call)
    assert row.key == sha256(CANARY.encode()).hexdigest()[:8]


def test_nothing_shows_the_key_the_prompt_or_the_answer(harness: Harness, name: str) -> None:
    call = harness.call()
    answer = harness.answer(name, call)
    assert answer.text
    shown = repr(answer) + repr(call) + repr(harness.provider(name))
    for secret in (CANARY, PROMPT, answer.text):
        assert secret not in shown


def test_output_is_cut_where_the_request_says(harness: Harness, name: str) -> None:
    answer = harness.answer(name, harness.call(max_tokens=3))
    assert answer.finish_reason in {"length", "max_tokens", "MAX_TOKENS"}


@pytest.mark.parametrize(
    ("adapter", "body", "usage"),
    [
        (
            "openai",
            {
                "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}],
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 30,
                    "prompt_tokens_details": {"cached_tokens": 60},
                    "completion_tokens_details": {"reasoning_tokens": 20},
                },
                "service_tier": "flex",
            },
            Usage(100, 30, cache_read_tokens=60, reasoning_tokens=20, service_tier="flex"),
        ),
        (
            "openai",
            {
                "choices": [{"message": {"content": "a"}, "finish_reason": "stop"}],
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 30,
                    "prompt_cache_hit_tokens": 40,
                },
                "service_tier": {"of": "another vendor"},
            },
            Usage(100, 30, cache_read_tokens=40),
        ),
        (
            "anthropic",
            {
                "content": [{"type": "text", "text": "a"}],
                "stop_reason": "end_turn",
                "usage": {
                    "input_tokens": 10,
                    "cache_read_input_tokens": 60,
                    "cache_creation_input_tokens": 30,
                    "cache_creation": {
                        "ephemeral_5m_input_tokens": 10,
                        "ephemeral_1h_input_tokens": 20,
                    },
                    "service_tier": "standard",
                    "output_tokens": 25,
                    "output_tokens_details": {"thinking_tokens": 5},
                },
            },
            Usage(
                100,
                25,
                cache_read_tokens=60,
                cache_write_tokens=30,
                reasoning_tokens=5,
                cache_write_1h_tokens=20,
                service_tier="standard",
            ),
        ),
        (
            "gemini",
            {
                "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}],
                "usageMetadata": {
                    "promptTokenCount": 100,
                    "cachedContentTokenCount": 60,
                    "candidatesTokenCount": 10,
                    "thoughtsTokenCount": 15,
                },
            },
            Usage(100, 25, cache_read_tokens=60, reasoning_tokens=15),
        ),
    ],
)
def test_totals_of_usage_are_inclusive(
    harness: Harness, adapter: str, body: dict[str, object], usage: Usage
) -> None:
    answer = harness.answer(adapter, fault="raw", body=json.dumps(body))
    assert answer.usage == usage


def test_usage_that_was_not_told_is_none_and_no_reason_to_lose_the_answer(
    harness: Harness,
) -> None:
    choices = [{"message": {"content": "a"}, "finish_reason": "stop"}]
    for usage in (None, {"prompt_tokens": "many"}):
        body = json.dumps({"choices": choices, "usage": usage})
        answer = harness.answer("openai", fault="raw", body=body)
        assert (answer.text, answer.usage) == ("a", None)


@pytest.mark.parametrize("adapter", ["gemini", "gemini-legacy"])
def test_thoughts_are_no_part_of_the_text(harness: Harness, adapter: str) -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "yes"}, {"text": ", sir"}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    assert harness.answer(adapter, fault="raw", body=json.dumps(body)).text == "yes, sir"


def test_a_refusal_of_the_model_is_an_answer_that_says_so(harness: Harness) -> None:
    message = {"content": None, "refusal": "I will not."}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})
    answer = harness.answer("openai", fault="raw", body=body)
    assert (answer.text, answer.finish_reason) == ("I will not.", "refusal")


def test_tool_calls_of_openai_come_through(harness: Harness) -> None:
    tool_call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": None, "tool_calls": [tool_call]}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    answer = harness.answer("openai", fault="raw", body=body)
    assert (answer.text, answer.tool_calls) == (None, (tool_call,))


@pytest.mark.parametrize(
    ("adapter", "limits", "told"),
    [
        ("openai", Limits(rpm=5000, tpm=2e6), {"rpm": 5000.0, "tpm": 2e6}),
        (
            "anthropic",
            Limits(rpm=1000, itpm=4e5, otpm=8e4),
            {"rpm": 1000.0, "itpm": 4e5, "otpm": 8e4},
        ),
    ],
)
def test_published_ceilings_are_read_by_our_names(
    harness: Harness, adapter: str, limits: Limits, told: dict[str, float]
) -> None:
    from tests.providers.dialects import DIALECTS

    with Simulator(SimulatorConfig(limits=limits)) as limited:
        provider = harness.provider(adapter, DIALECTS[adapter].url_of(limited))
        answer = harness.run(provider.complete(harness.call()))
    assert dict(answer.limits) == told


@pytest.mark.parametrize("adapter", ["openai", "anthropic"])
def test_ceilings_are_not_read_where_the_settings_say_so(harness: Harness, adapter: str) -> None:
    from tests.providers.dialects import DIALECTS

    with Simulator(SimulatorConfig(limits=Limits(rpm=5000, tpm=2e6, itpm=2e6))) as limited:
        settings = DIALECTS[adapter].settings(DIALECTS[adapter].url_of(limited))
        deaf = settings.model_copy(update={"read_limit_headers": False})
        provider = make_provider(adapter, deaf, harness.http)
        answer = harness.run(provider.complete(harness.call()))
    assert isinstance(answer, Answer)
    assert dict(answer.limits) == {}


LOOK = {"city": "Bern", "days": 2}


@pytest.mark.parametrize(
    ("adapter", "word", "answer"),
    [
        (
            "anthropic",
            "messages",
            {
                "stop_reason": "tool_use",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": LOOK},
                ],
            },
        ),
        (
            "gemini",
            "generateContent",
            {
                "candidates": [
                    {
                        "finishReason": "STOP",
                        "content": {
                            "parts": [
                                {"text": "I look."},
                                {"functionCall": {"id": "t1", "name": "look", "args": LOOK}},
                            ]
                        },
                    }
                ]
            },
        ),
    ],
)
def test_a_call_of_a_tool_is_kept_as_openai_writes_it(
    harness: Harness, adapter: str, word: str, answer: dict[str, Any]
) -> None:
    async def asked() -> Any:
        async with Recorder({word: answer}) as recorder:
            return await harness.provider(adapter, recorder.url).complete(harness.call())

    got: Answer = harness.run(asked())
    (call,) = got.tool_calls
    assert (got.text, call["id"], call["type"]) == ("I look.", "t1", "function")
    assert call["function"]["name"] == "look"
    assert json.loads(call["function"]["arguments"]) == LOOK
