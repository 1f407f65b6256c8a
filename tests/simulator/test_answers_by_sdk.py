"""The official SDKs cannot tell the simulator from the provider: text, ids, usage, headers."""

from collections.abc import Callable
from typing import Any

import pytest
from google.genai import types as genai_types

from promptmill.simulator import Limits, Simulator
from tests.simulator.clients import Sdks

PROVIDERS = ["openai", "anthropic", "google-genai", "google-generativeai"]


def text_of(answer: Any) -> str:
    """Return the text of any SDK's answer."""
    if hasattr(answer, "choices"):
        return str(answer.choices[0].message.content)
    if hasattr(answer, "content"):
        return str(answer.content[0].text)
    return str(answer.text)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_same_prompt_gets_the_same_answer_and_another_prompt_another(
    provider: str, simulator: Simulator, sdks: Sdks
) -> None:
    first, again, other = (
        text_of(sdks.ask(provider, simulator, text)) for text in ("hello", "hello", "good bye")
    )
    assert first == again != other


def test_an_openai_answer_has_all_that_the_sdk_knows(simulator: Simulator, sdks: Sdks) -> None:
    raw = sdks.openai(simulator).chat.completions.with_raw_response.create(
        model="gpt-5", messages=[{"role": "user", "content": "x" * 400}], max_completion_tokens=20
    )
    answer = raw.parse()
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    assert answer.model == "gpt-5"
    assert answer.system_fingerprint
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage.prompt_tokens == 100
    assert answer.usage.completion_tokens <= 20
    assert answer.usage.total_tokens == 100 + answer.usage.completion_tokens
    assert raw.request_id is not None
    assert raw.request_id.startswith("req_")


def test_an_anthropic_answer_has_all_that_the_sdk_knows(simulator: Simulator, sdks: Sdks) -> None:
    answer = sdks.anthropic(simulator).messages.create(
        model="claude-sonnet-5",
        max_tokens=5,
        system="s" * 39,
        messages=[{"role": "user", "content": [{"type": "text", "text": "x" * 40}]}],
    )
    assert answer.id.startswith("msg_")
    assert answer.model == "claude-sonnet-5"
    assert answer.stop_reason == "max_tokens"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (20, 5)
    assert answer._request_id is not None
    assert answer._request_id.startswith("req_")


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_a_gemini_answer_has_all_that_the_sdk_knows(
    version: str, simulator: Simulator, sdks: Sdks
) -> None:
    answer = sdks.gemini(simulator, version=version).models.generate_content(
        model="gemini-2.5-flash",
        contents="x" * 40,
        config=genai_types.GenerateContentConfig(system_instruction="s" * 39),
    )
    usage = answer.usage_metadata
    assert usage is not None
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason is genai_types.FinishReason.STOP
    assert answer.response_id
    assert answer.model_version == "gemini-2.5-flash"
    assert usage.prompt_token_count == 20
    assert usage.total_token_count == 20 + (usage.candidates_token_count or 0) + (
        usage.thoughts_token_count or 0
    )


def test_gemini_thinks_for_some_prompts_and_tells_no_count_for_the_others(
    simulator: Simulator, sdks: Sdks
) -> None:
    client = sdks.gemini(simulator)
    thoughts = {
        client.models.generate_content(
            model="gemini-2.5-flash", contents=f"prompt {number}"
        ).usage_metadata.thoughts_token_count  # type: ignore[union-attr]
        for number in range(12)
    }
    assert None in thoughts
    assert 0 not in thoughts
    assert len(thoughts) > 1


def test_all_sdks_list_models(simulator: Simulator, sdks: Sdks) -> None:
    assert "gpt-4o" in [model.id for model in sdks.openai(simulator).models.list()]
    assert "claude-sonnet-5" in [model.id for model in sdks.anthropic(simulator).models.list()]
    gemini = [model.name for model in sdks.gemini(simulator).models.list()]
    assert "models/gemini-2.5-flash" in gemini


def test_openai_headers_tell_where_the_limits_stand(
    start: Callable[..., Simulator], sdks: Sdks
) -> None:
    simulator = start(limits=Limits(rpm=60, tpm=6000))
    headers = (
        sdks.openai(simulator)
        .chat.completions.with_raw_response.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hello"}], max_tokens=1000
        )
        .headers
    )
    assert headers["x-ratelimit-limit-requests"] == "60"
    assert headers["x-ratelimit-remaining-requests"] == "59"
    assert headers["x-ratelimit-reset-requests"] in {"1s", "1000ms", "999ms", "998ms"}
    assert headers["x-ratelimit-limit-tokens"] == "6000"
    assert int(headers["x-ratelimit-remaining-tokens"]) == pytest.approx(5000, abs=5)


def test_anthropic_headers_tell_where_the_limits_stand(
    start: Callable[..., Simulator], sdks: Sdks
) -> None:
    simulator = start(limits=Limits(rpm=60, itpm=50_000, otpm=8_000))
    headers = (
        sdks.anthropic(simulator)
        .messages.with_raw_response.create(
            model="claude-sonnet-5",
            max_tokens=8000,
            messages=[{"role": "user", "content": "x" * 40_000}],
        )
        .headers
    )
    prefix = "anthropic-ratelimit"
    assert headers[f"{prefix}-requests-remaining"] == "59"
    assert headers[f"{prefix}-input-tokens-remaining"] == "40000"
    assert headers[f"{prefix}-output-tokens-remaining"] == "8000"
    assert headers[f"{prefix}-tokens-limit"] == "58000"
    assert headers[f"{prefix}-input-tokens-reset"].endswith("Z")


def test_gemini_tells_no_limits_in_its_headers(start: Callable[..., Simulator], sdks: Sdks) -> None:
    simulator = start(limits=Limits(rpm=60, tpm=6000))
    answer = sdks.gemini(simulator).models.generate_content(
        model="gemini-2.5-flash", contents="hello"
    )
    assert answer.sdk_http_response is not None
    assert not [name for name in answer.sdk_http_response.headers or {} if "ratelimit" in name]
